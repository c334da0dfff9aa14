"""``resources`` of ``machine.json``: the bounds of its numbers, and what would go wrong on the queue much later."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dargs

from dpgen2_hpc.dispatch.schedulers import Scheduler
from dpgen2_hpc.kinds import Key

LEAST = {"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "group_size": 0, "para_deg": 1, "wait_time": 0}
"""The smallest sensible numbers; ``group_size`` 0 is all tasks in one job."""

VALUE = str | int | float
VARIABLES = dict[str, VALUE | list[VALUE]]

_DIRECTIVE = re.compile(r"#\s*(SBATCH|PBS|BSUB)\b", re.IGNORECASE)
_QUEUE = re.compile(r"[^\s'\"`$;&|<>()\\#]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Problem = tuple[tuple[str, ...], str]


def bound(tree: dargs.Argument, own: Sequence[dargs.Argument], batch_type: str | None) -> None:
    """Give dpdispatcher's tree of ``resources`` our bounds, and the keys that a batch system has in ``kwargs``."""
    fields = tree.sub_fields
    for name, least in LEAST.items():
        fields[name] = _like(fields[name], minimum=least)
    fields["strategy"].sub_fields["ratio_unfinished"] = _like(
        fields["strategy"].sub_fields["ratio_unfinished"], minimum=0, maximum=1
    )
    text = "The same as machine.batch_type, which says it: leave it out."
    fields["batch_type"] = Key("batch_type", str, text, optional=True)
    fields["envs"] = Key("envs", VARIABLES, "Environment variables of a job.", optional=True, default={})
    for key in own:
        if key.default is None:
            key.dtype = (*key.dtype, type(None))
    fields["kwargs"] = Key(
        "kwargs",
        dict,
        f"Keys that only {batch_type or 'one batch system'} has.",
        optional=True,
        default={},
        sub_fields=own,
        extra_check=None if own or not batch_type else lambda given: not given,
        extra_check_errmsg=f"{batch_type} has no keys of its own here: leave kwargs empty, or out",
    )


def _like(key: dargs.Argument, minimum: float, maximum: float | None = None) -> Key:
    """Return an argument with bounds."""
    optional, default = key.optional, key.default
    return Key(key.name, key.dtype, key.doc, optional=optional, default=default, minimum=minimum, maximum=maximum)


def resource_faults(scheduler: Scheduler, batch_type: str, resources: Mapping[str, Any]) -> list[Problem]:
    """Return what dpdispatcher would take and the queue, or the job, would not: (path, sentence)."""
    return [(("resources", *place), text) for place, text in _faults(scheduler, batch_type, resources)]


def _faults(scheduler: Scheduler, batch_type: str, resources: Mapping[str, Any]) -> Iterator[Problem]:
    again = resources.get("batch_type", batch_type)
    if again.lower() != batch_type.lower():
        yield ("batch_type",), f"is {again!r}, but machine.batch_type is {batch_type!r}: leave it out here"
    queue = resources.get("queue_name") or ""
    if not _QUEUE.fullmatch(queue):
        yield ("queue_name",), f"{queue!r} cannot be a queue: a name has no spaces, quotes or shell characters"
    for flag in resources.get("custom_flags") or []:
        texts = [*_flag_faults(scheduler, batch_type, flag), *_command_faults(scheduler, flag)]
        yield from ((("custom_flags",), text) for text in texts)
    gpu_line = resources.get("kwargs", {}).get("custom_gpu_line") or ""
    texts = [*_flag_faults(scheduler, batch_type, gpu_line), *_command_faults(scheduler, gpu_line)]
    yield from ((("kwargs", "custom_gpu_line"), text) for text in texts)
    for name in resources.get("envs") or {}:
        if not _VARIABLE.fullmatch(name):
            yield ("envs", name), "is no name of a variable: letters, digits and _, and no digit first"
    for line in resources.get("source_list") or []:
        if not _splits(line):
            yield ("source_list",), f"{line!r} has a quote that is not closed"
    header = resources.get("strategy", {}).get("customized_script_header_template_file")
    if header is not None and Path(header).is_file():
        place = ("strategy", "customized_script_header_template_file")
        yield from ((place, text) for text in _flag_faults(scheduler, batch_type, Path(header).read_text()))


def _flag_faults(scheduler: Scheduler, batch_type: str, lines: str) -> Iterator[str]:
    """Yield what is wrong with lines that go into the head of a job's script."""
    own = scheduler.options.prefix
    for line in lines.splitlines():
        if line.strip().startswith("-"):
            begin = f"begin it with {own}" if own else "remove it"
            yield f"'{line}' would run as a command: {begin}"
        elif own and _DIRECTIVE.match(line.strip()) and not re.match(rf"{own}\s", line):
            yield f"'{line}' is not for {batch_type}, whose lines begin with '{own} '"
        elif not _splits(line) and own and line.startswith(own):
            yield f"'{line}' has a quote that is not closed"
        else:
            yield from scheduler.options.refusals(line)


def _command_faults(scheduler: Scheduler, lines: str) -> Iterator[str]:
    """Yield the lines of a script's head that are commands: they would run before the job has claimed its tasks."""
    own = scheduler.options.prefix
    what = f"is not a {own} line and would" if own else "would"
    for line in lines.splitlines():
        if line.strip() and not line.strip().startswith(("#", "-")):
            yield f"'{line}' {what} run as a command: move it to prepend_script"


def _splits(line: str) -> bool:
    try:
        shlex.split(line)
    except ValueError:
        return False
    return True
