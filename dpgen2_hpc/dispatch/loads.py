"""What a job loads before its tasks: modules, scripts, variables; and what of it would not come out as it is meant.

The order in a job's script is dpdispatcher's: modules, ``source_list``, ``envs``, ``prepend_script``.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dpgen2_hpc.data.variables import variable_fault
from dpgen2_hpc.dispatch.flags import Finding

COMMANDS = {"source_list": "source", "module_list": "module load", "module_unload_list": "module unload"}
"""What an entry of these keys becomes in the script."""

_EXPANDED = re.compile(r"\$[A-Za-z_{(]|`|(^|:)~/")


def load_faults(resources: Mapping[str, Any], written: Callable[[str, str], object]) -> Iterator[Finding]:
    """Yield what no script can be made of.

    ``written`` makes the line for an entry of one of :data:`COMMANDS`, and raises ``ValueError`` where it refuses to:
    dpdispatcher quotes entries, so that nothing in them could be expanded.
    """
    for key, command in COMMANDS.items():
        for entry in resources.get(key) or []:
            if not _splits(entry):
                yield (key,), f"{entry!r} has a quote that is not closed"
                continue
            try:
                written(key, entry)
            except ValueError:
                text = f"{entry!r} is not a plain path or name (~, $ and && are not followed here): remove it, and add"
                yield (key,), f"{text} '{command} {entry}' to prepend_script"
    for name, value in (resources.get("envs") or {}).items():
        if problem := variable_fault(name, value):
            yield ("envs", name), problem
    if resources.get("strategy", {}).get("if_cuda_multi_devices") and not resources.get("gpu_per_node"):
        text = "gives each task of a job one of its GPUs: set gpu_per_node to their number"
        yield ("strategy", "if_cuda_multi_devices"), text


def load_notices(resources: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what comes too late for the modules, and values that look as if a shell should expand them."""
    lines = [part for line in resources.get("prepend_script") or [] for part in line.splitlines()]
    late = next((line for line in lines if re.match(r"\s*module\s+(-\S+\s+)*use\b", line)), None)
    if late and resources.get("module_list"):
        text = f"'{late.strip()}' comes after the modules of module_list are loaded: to load modules after it, add"
        yield ("prepend_script",), f"{text} 'module load ...' lines here, and remove them from module_list"
    for name, value in (resources.get("envs") or {}).items():
        values = value if isinstance(value, list) else [value]
        if any(_EXPANDED.search(str(part)) for part in values):
            text = "is set as it is written: '$' and '~' are not expanded. If they should be, remove it, and add"
            yield ("envs", name), f"{text} 'export {name}=...' to prepend_script"


def _splits(line: str) -> bool:
    try:
        shlex.split(line)
    except ValueError:
        return False
    return True
