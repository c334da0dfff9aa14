"""What no key of ``param.json`` shows alone: what is wrong across keys, and what may not be meant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dpgen2_hpc.inputs import elements, systems
from dpgen2_hpc.inputs.parts import Parts
from dpgen2_hpc.inputs.read import KeyPath
from dpgen2_hpc.kinds import CheckContext, Kind, Labeler, TaskGroup

Problem = tuple[KeyPath, str]


def problems(value: Mapping[str, Any], parts: Parts, context: CheckContext) -> Iterator[Problem]:
    """Yield what no key shows alone, in every part that could be understood.

    What is compared with the elements is not, while something is wrong with these themselves.
    """
    inputs = value.get("inputs", {})
    wrong = list(elements.problems(inputs))
    yield from wrong
    yield from systems.absence(inputs)
    single: list[tuple[KeyPath, Kind | None]] = [
        (("explore",), parts.explorer),
        (("explore", "convergence"), parts.convergence),
    ]
    if context.type_map and context.mass_map and not wrong:
        yield from systems.problems(parts.patterns, context.type_map)
        single += [(("train",), parts.trainer), (("fp",), parts.labeler)]
        yield from _periodicity_problems(parts.labeler, context)
        yield from _configuration_problems(parts.configurations, context, needed="type" in value.get("explore", {}))
    for path, kind in single:
        yield from _below(path, kind.checks(context)) if kind else ()
    yield from _stages_problems(parts, context)


def notices(parts: Parts, context: CheckContext) -> Iterator[Problem]:
    """Yield what an input without faults may not mean: strange masses, and what its kinds say."""
    yield from elements.strange_masses(context.type_map, context.mass_map)
    for path, kind in parts.placed():
        yield from _below(path, kind.notices(context)) if kind else ()


def _periodicity_problems(labeler: Labeler | None, context: CheckContext) -> Iterator[Problem]:
    """Yield that the code cannot label what is explored."""
    if labeler is None or labeler.periodic == {True, False}:
        return
    if True not in labeler.periodic and True in context.occurring.periodic:
        yield (
            ("fp", "type"),
            "computes molecules, and configurations are periodic: set remove_pbc there, or another type",
        )
    if False not in labeler.periodic and False in context.occurring.periodic:
        yield ("fp", "type"), "computes periodic frames, and configurations have no periodicity: choose another type"


def _configuration_problems(
    sources: Sequence[Kind | None] | None, context: CheckContext, *, needed: bool
) -> Iterator[Problem]:
    """Yield what is wrong with configurations; whether they are needed, an explorer that is not there yet may say."""
    path: KeyPath = ("explore", "configurations")
    if needed and sources is not None and not sources:
        yield path, "must not be empty: exploration starts from these configurations"
    for number, source in enumerate(sources or ()):
        yield from _below((*path, number), source.checks(context)) if source else ()


def _stages_problems(parts: Parts, context: CheckContext) -> Iterator[Problem]:
    if parts.stages is None:
        return
    if not parts.stages:
        yield ("explore", "stages"), "must not be empty: there would be nothing to explore"
    for stage, groups in enumerate(parts.stages):
        if not groups:
            yield ("explore", "stages", stage), "must not be empty: the stage would explore nothing"
        for number, group in enumerate(groups):
            if group is None:
                continue
            path: KeyPath = ("explore", "stages", stage, number)
            own = replace(context, find_occurring=partial(parts.occurring, context.type_map, group))
            yield from _below(path, group.checks(own))
            if parts.configurations:
                yield from _below(path, _range_problems(group, len(parts.configurations)))


def _range_problems(group: TaskGroup, configurations: int) -> Iterator[Problem]:
    for place, index in enumerate(group.conf_idx):
        if index >= configurations:
            text = f"is {index}, but explore.configurations has {configurations} entries, which count from 0"
            yield ("conf_idx", place), text
        elif index in group.conf_idx[:place]:
            yield ("conf_idx", place), f"{index} stands here twice: its configurations would be explored twice as often"


def _below(path: KeyPath, problems: Iterator[Problem]) -> Iterator[Problem]:
    return (((*path, *place), text) for place, text in problems)
