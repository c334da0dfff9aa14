"""``module_list``, ``source_list`` and ``envs``: what a job's shell makes of them.

dpdispatcher 1.1.0 quotes every word of them, and refuses words that a shell would change. Older versions wrote them
into the script as they were, and so files have ``~/env.sh`` and ``gcc/$VERSION``: variables and the home folder, which
can mean one thing only, reach the shell bare here. All else that a shell would act on belongs into ``prepend_script``.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from dpgen2_hpc.data.variables import variable_fault

COMMANDS = {"module_unload_list": "module unload", "module_list": "module load", "source_list": "source"}

_STATIC = re.compile(r"""(?:[^\s'"\\$`;&|<>()*?\[\]{}~#]|\\.|'[^']*'|"(?:\\.|[^"\\$`])*"|[^\S\n\r])*""")
"""Words that a shell takes as they are."""

_BARE = re.compile(r"(?:(?<!\S)~(?=/)|\$\w+|\$\{\w+\}|[\w./:@%+=,-]|[ \t])+")
"""Words with variables and the home folder, and nothing else."""

_TOKEN = "DPGEN2_HPC_BARE_{}"  # noqa: S105  (a mark in a script)

Problem = tuple[tuple[str, ...], str]


def loading_faults(resources: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the entries that would not reach a job as they are meant."""
    for key, command in COMMANDS.items():
        for entry in resources.get(key) or []:
            if text := _problem(entry, command):
                yield (key,), f"{entry!r} {text}"
    for name, value in (resources.get("envs") or {}).items():
        if text := variable_fault(name, value):
            yield ("envs", name), text


def loading_notices(resources: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what comes too late for the modules: ``prepend_script`` stands behind them in the script."""
    lines = [part for line in resources.get("prepend_script") or [] for part in line.splitlines()]
    late = next((line for line in lines if re.match(r"\s*module\s+(-\S+\s+)*use\b", line)), None)
    if late and resources.get("module_list"):
        text = f"'{late.strip()}' comes after the modules of module_list are loaded: to load modules after it, add"
        yield ("prepend_script",), f"{text} 'module load ...' lines here, and remove them from module_list"


def _problem(entry: str, command: str) -> str | None:
    if "\0" in entry or "\n" in entry or "\r" in entry:
        return "has a line break or a NUL character: write each line as an entry"
    if entry.lstrip().startswith("-"):
        return f"begins with '-': write '{command} {entry.strip()}' into prepend_script"
    if _BARE.fullmatch(entry) or (_STATIC.fullmatch(entry) and _splits(entry)):
        return None
    if not _splits(entry):
        return "has a quote that is not closed"
    written = entry if entry.startswith(f"{command} ") else f"{command} {entry}"
    return f"has more than names in it: write {written!r} into prepend_script"


def _splits(line: str) -> bool:
    try:
        shlex.split(line)
    except ValueError:
        return False
    return True


def shielded(resources: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return resources that dpdispatcher accepts, and what :func:`bared` must put into the script for its marks."""
    marks: dict[str, str] = {}
    result = dict(resources)
    for key in COMMANDS:
        result[key] = [_marked(entry, marks) for entry in resources.get(key) or []]
    return result, marks


def _marked(entry: str, marks: dict[str, str]) -> str:
    if not entry.strip() or _STATIC.fullmatch(entry) or not _BARE.fullmatch(entry):
        return entry
    mark = _TOKEN.format(len(marks))
    marks[mark] = entry
    return mark


def bared(script: str, marks: Mapping[str, str]) -> str:
    """Return a script with the bare entries in the place of their marks."""
    return re.sub(_TOKEN.format(r"\d+"), lambda mark: marks[mark[0]], script)
