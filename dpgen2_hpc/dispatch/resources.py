"""``resources`` of ``machine.json``: the bounds of its numbers, and what would go wrong on the queue much later."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import dargs

from dpgen2_hpc.dispatch.environment import environment_notices
from dpgen2_hpc.dispatch.flags import flag_faults, flag_notices
from dpgen2_hpc.dispatch.loading import loading_faults, loading_notices
from dpgen2_hpc.dispatch.schedulers import Scheduler
from dpgen2_hpc.dispatch.schedulers.options import Options, Style
from dpgen2_hpc.dispatch.sizes import size_notices
from dpgen2_hpc.kinds import Key

LEAST = {"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "group_size": 0, "para_deg": 1, "wait_time": 0}
"""The smallest sensible numbers; ``group_size`` 0 is all tasks in one job."""

OWN_KEYS = frozenset({"partition", "nodes"})
"""Options of ``sbatch`` that ``resources`` has under other names: queue_name, number_node."""

VALUE = str | int | float
VARIABLES = dict[str, VALUE | list[VALUE]]

_QUEUE = re.compile(r"[^\s'\"`$;&|<>()\\#]*")

Problem = tuple[tuple[str, ...], str]


def bound(tree: Any, own: Sequence[dargs.Argument], batch_type: str | None, options: Options | None) -> None:
    """Give dpdispatcher's tree of ``resources`` our bounds, and the keys that a batch system has in ``kwargs``."""
    fields = tree.sub_fields
    tree.hint = hint = partial(option_hint, options)
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
        hint=hint,
        extra_check=None if own or not batch_type else lambda given: not given,
        extra_check_errmsg=f"{batch_type} has no keys of its own here: leave kwargs empty, or out",
    )


def option_hint(options: Options | None, key: str, value: Any) -> str | None:
    """Return how a key that is an option of the submit command is written, e.g. ``qos``; ``None`` for others."""
    name = key.replace("_", "-")
    if options is None or options.style is not Style.LONG or name in OWN_KEYS or name in options.fates:
        return None
    if name not in options.valued | options.plain | options.optional:
        return None
    shown = f"={value}" if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return f"it is an option of {options.command}; write it into custom_flags as '{options.directive} --{name}{shown}'"


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
    yield from flag_faults(scheduler, batch_type, resources)
    yield from loading_faults(resources)
    if resources.get("strategy", {}).get("if_cuda_multi_devices"):
        place = ("strategy", "if_cuda_multi_devices")
        if resources.get("gpu_per_node", 0) < 1:
            yield place, "gives each task one of a node's GPUs: set gpu_per_node to how many a node has"
        if resources.get("number_node", 1) != 1:
            yield place, "gives each task one of a node's GPUs: number_node must be 1"


def resource_notices(
    scheduler: Scheduler, batch_type: str, resources: Mapping[str, Any], environ: Mapping[str, str]
) -> list[Problem]:
    """Return what of ``resources`` is not used, or does not reach a job that is submitted from ``environ``."""
    found = [
        *flag_notices(scheduler, resources),
        *size_notices(scheduler.options, resources),
        *loading_notices(resources),
        *environment_notices(scheduler, batch_type, resources, environ),
    ]
    return [(("resources", *place), text) for place, text in found]
