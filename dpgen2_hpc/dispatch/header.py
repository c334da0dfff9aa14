"""The head of a job's script: dpdispatcher's lines and the user's, in the order in which the user's hold."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dpgen2_hpc.dispatch.directives import Given, is_command, kept, read
from dpgen2_hpc.dispatch.flags import FLAGS, TEMPLATE, Finding, user_lines
from dpgen2_hpc.dispatch.schedulers.options import Options

COUNTED = frozenset({"select", "nodes", "nodect", "ncpus", "procs"})
"""Resources of ``-l`` that say how many cores a job gets."""


def header(options: Options | None, own: str, flags: Sequence[str], *, is_template: bool) -> str:
    """Return the head of a script: ``own`` lines, of dpdispatcher or of the user's header, with the user's ``flags``.

    Flags stand before the first command of a header, since the submit command reads no directives behind it. Where two
    lines for the size of a job exclude each other, the user's stands alone.
    """
    lines = own.lstrip().splitlines()
    ours = [part for line in flags for part in line.splitlines()]
    if options is None:
        return "\n".join([*lines, *ours, ""])
    if is_template:
        end = next((number for number, line in enumerate(lines) if is_command(line)), len(lines))
        lines[end:end] = ours
    elif options.size_line:
        lines = [lines[0], *ours, *_without(options, lines[1:], read(options, ours))]
    else:
        lines += ours
    return "\n".join([*kept(lines, options), ""])


def _without(options: Options, lines: Sequence[str], given: Sequence[Given]) -> Iterator[str]:
    """Yield dpdispatcher's lines but those that the user's take the place of: the size of the job, and the queue.

    The user's come first, since OpenPBS keeps the first ``-l`` of a resource; of other options the last counts.
    """
    queue = any(option.name == "q" for option in given)
    for line in lines:
        if re.match(options.size_line, line) and _sizes(options, given):
            continue
        if not (queue and line.startswith(f"{options.directive} -q ")):
            yield line


def _sizes(options: Options, given: Sequence[Given]) -> list[str]:
    """Return the resources of the user's ``-l`` that exclude dpdispatcher's own line."""
    names = [name for option in given if option.name == "l" for name in _resources(option.value or "")]
    found = [name for name in names if name in options.sizes]
    return found + ["-L"] * any(option.name == "L" for option in given)


def _resources(value: str) -> list[str]:
    """Return the names in ``-l name=value,name=value``."""
    parts = re.findall(r"""(?:"[^"]*"|'[^']*'|[^,"'])+""", value)
    return [part.partition("=")[0].strip() for part in parts]


def size_notices(options: Options | None, resources: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield that the user's own size of a job takes the place of ours; and what is missing in it."""
    if options is None or not options.size_line or TEMPLATE in user_lines(resources):
        return
    found = list(dict.fromkeys(_sizes(options, read(options, user_lines(resources)[FLAGS]))))
    if found:
        own = " and ".join(f"'{name} ...'" if name.startswith("-") else f"'-l {name}=...'" for name in found)
        text = f"has its own {own}: number_node, cpu_per_node and gpu_per_node are not used for it"
        yield FLAGS, text + ("" if COUNTED & {*found} or "-L" in found else _advice(resources, found))


def _advice(resources: Mapping[str, Any], found: Sequence[str]) -> str:
    """Return what to write instead of ``-l mem=32gb`` alone, which says nothing of cores."""
    gpus = resources.get("gpu_per_node") or 0
    chunk = f"select={resources.get('number_node', 1)}:ncpus={resources.get('cpu_per_node', 1)}"
    chunk += (f":ngpus={gpus}" if gpus and "ngpus" not in found else "") + "".join(f":{name}=..." for name in found)
    return f", and the job gets the cores of the site's default. Write one line instead: #PBS -l {chunk}"
