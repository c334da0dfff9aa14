"""``param.json``: what it means, and what no key of it shows alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import dargs

from dpgen2_hpc import kinds
from dpgen2_hpc.errors import InputError, spelled
from dpgen2_hpc.inputs import systems
from dpgen2_hpc.inputs.contents import with_contents
from dpgen2_hpc.inputs.dialects import today, understood
from dpgen2_hpc.inputs.read import Document, KeyPath, read_json
from dpgen2_hpc.inputs.systems import Pattern
from dpgen2_hpc.inputs.tree import in_order
from dpgen2_hpc.kinds import (
    CheckContext,
    Configurations,
    Convergence,
    Explorer,
    Kind,
    Labeler,
    Occurring,
    TaskGroup,
    Trainer,
)

COMMANDS: Mapping[str, str] = {"train": "config", "explore": "config", "fp": "run_config"}
"""Where each step's section has the key ``command``."""


@dataclass(frozen=True)
class Settings:
    """What a run follows, as objects."""

    type_map: tuple[str, ...]
    masses: tuple[float, ...]
    initial_systems: tuple[Path, ...]
    trainer: Trainer
    explorer: Explorer
    configurations: tuple[Configurations, ...]
    stages: tuple[tuple[TaskGroup, ...], ...]
    convergence: Convergence
    max_numb_iter: int
    fatal_at_max: bool
    labeler: Labeler
    fp_type: str
    task_max: int
    max_force: float
    max_pressure: float
    seed: int


@dataclass(frozen=True)
class Param:
    """``param.json``, understood: ``value`` as JSON with every default in it, and what it means.

    ``patterns`` are the entries of ``init_data_sys``; ``folder`` is where relative paths begin; ``commands`` are those
    of ``machine.json``. ``document`` is the file, for faults that are found later; ``notices`` tell what the labeler
    does not follow, or follows in its own way.
    """

    value: Mapping[str, Any]
    settings: Settings
    meaningless: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    document: Document
    folder: Path
    commands: Mapping[str, str | None] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    def following(self, value: Mapping[str, Any]) -> "Param":
        """Return the parameters with another understood ``value``: that of an earlier ``param.json``."""
        settings = _settings(_Parts.of(_with_commands(value, self.commands), self.folder, self.patterns))
        return replace(self, value=value, settings=settings)


def load_param(
    path: Path,
    commands: Mapping[str, str | None],
    *,
    old_compatible: bool = False,
    kept: frozenset[str] = frozenset(),
) -> Param:
    """Read ``param.json``; ``commands`` are those of ``machine.json``, which come first.

    ``kept`` are the files and systems that the run has taken up: see :class:`dpgen2_hpc.kinds.CheckContext`.

    Raises
    ------
    InputError
        Everything that is wrong with it.
    """
    value, document, faults = understood(read_json(path), old_compatible=old_compatible)
    value, document, more = with_contents(value, document)
    faults = [*faults, *more]
    folder = path.parent.resolve()
    patterns = tuple(_patterns(value, folder, kept))
    parts = _Parts.of(_with_commands(value, commands), folder, patterns)
    context = _context(value, parts, kept)
    faults += [document.fault(*problem) for problem in _problems(value, parts, context)]
    if faults:
        raise InputError(in_order(faults))
    meaningless = tuple(spelled(path) for path in map(document.written, today.NOT_FOLLOWED) if path in document.places)
    own = {key: entry for key, entry in value.items() if key not in today.MEANINGLESS}
    notices = _notices(parts, context, document)
    return Param(own, _settings(parts), meaningless, patterns, document, folder, commands, notices)


def root() -> dargs.Argument:
    """Return the argument tree of ``param.json``, today's dialect."""
    return today.tree()


# ---- the meaning ----------------------------------------------------------------------------------------------------


def _with_commands(value: Mapping[str, Any], commands: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the parameters with the machine's commands in the place of their own."""
    result = dict(value)
    for step, key in COMMANDS.items():
        if commands.get(step) and key in value.get(step, {}):
            result[step] = {**value[step], key: {**value[step][key], "command": commands[step]}}
    return result


def _patterns(value: Mapping[str, Any], folder: Path, kept: frozenset[str]) -> list[Pattern]:
    inputs = value.get("inputs", {})
    return systems.find(inputs, folder, kept) if {"init_data_sys", "init_data_prefix"} <= set(inputs) else []


@dataclass(frozen=True)
class _Parts:
    """The plugins of an input; ``None`` where a fault stands in the way: the others are checked all the same."""

    value: Mapping[str, Any]
    patterns: Sequence[Pattern]
    trainer: Kind | None
    explorer: Kind | None
    convergence: Kind | None
    labeler: Kind | None
    configurations: Sequence[Kind | None] | None
    stages: Sequence[Sequence[Kind | None]] | None

    @classmethod
    def of(cls, value: Mapping[str, Any], folder: Path, patterns: Sequence[Pattern]) -> "_Parts":
        """Return the plugins that the settings describe, as far as they do."""
        explore = value.get("explore", {})
        sources = explore.get("configurations")
        stages = explore.get("stages")
        return cls(
            value,
            patterns,
            trainer=_kind("train", value.get("train", {}), folder),
            explorer=_kind("explore", explore, folder),
            convergence=_kind("convergence", explore.get("convergence", {}), folder),
            labeler=_kind("fp", value.get("fp", {}), folder),
            configurations=None if sources is None else [_kind("configurations", entry, folder) for entry in sources],
            stages=None if stages is None else [[_kind("groups", group, folder) for group in row] for row in stages],
        )

    def occurring(self, elements: tuple[str, ...]) -> Occurring:
        """Return which atoms the frames to be labelled may have: those of configurations that runs start from."""
        groups = [group for row in self.stages or () for group in row]
        explored = {index for group in groups for index in getattr(group, "conf_idx", ())}
        sources = [source for index, source in enumerate(self.configurations or ()) if index in explored]
        methods = [getattr(source, "occurring", None) for source in sources]
        if not methods or None in methods or not all(getattr(group, "fixes_composition", False) for group in groups):
            return Occurring(elements)
        found = [one for method in methods if method and (one := method(elements)).elements]
        formulas = {one.symbols for one in found}
        return Occurring(
            tuple(element for element in elements if any(element in one.elements for one in found)),
            formulas.pop() if len(formulas) == 1 else None,
            frozenset().union(*(one.periodic for one in found)),
        )


def _kind(kind: str, settings: Mapping[str, Any], folder: Path) -> Kind | None:
    """Return the kind that the settings describe, with their paths made absolute; ``None`` if a setting is missing."""
    if "type" not in settings:
        return None
    found = kinds.load(kind, settings["type"])
    arguments = found.arguments()
    if not all(_is_whole(argument, settings) for argument in arguments):
        return None
    own = {argument.name: settings[argument.name] for argument in arguments}
    resolved = getattr(found, "resolved", None)
    return found.from_settings(resolved(own, folder) if resolved else own)


def _is_whole(argument: dargs.Argument, settings: Mapping[str, Any]) -> bool:
    """Whether settings have an argument with all that is below it: what has a fault was left out of them."""
    if argument.name not in settings:
        return False
    held = settings[argument.name]
    inside = argument.sub_fields.values() if isinstance(held, dict) and not argument.repeat else ()
    return all(_is_whole(member, held) for member in inside)


def _settings(parts: _Parts) -> Settings:
    """Return what an input without faults means."""
    value = parts.value
    inputs, explore, fp = value["inputs"], value["explore"], value["fp"]
    return Settings(
        type_map=tuple(inputs["type_map"]),
        masses=tuple(inputs["mass_map"]),
        initial_systems=tuple(system.folder for pattern in parts.patterns for system in pattern.systems),
        trainer=cast(Trainer, parts.trainer),
        explorer=cast(Explorer, parts.explorer),
        configurations=tuple(cast(Sequence[Configurations], parts.configurations)),
        stages=tuple(map(tuple, cast(Sequence[Sequence[TaskGroup]], parts.stages))),
        convergence=cast(Convergence, parts.convergence),
        max_numb_iter=explore["max_numb_iter"],
        fatal_at_max=explore["fatal_at_max"],
        labeler=cast(Labeler, parts.labeler),
        fp_type=fp["type"],
        task_max=fp["task_max"],
        max_force=fp["max_force"],
        max_pressure=fp["max_pressure"],
        seed=value["seed"],
    )


# ---- across keys ----------------------------------------------------------------------------------------------------

Problem = tuple[KeyPath, str]


def _context(value: Mapping[str, Any], parts: _Parts, kept: frozenset[str]) -> CheckContext:
    """Return what the parts may know of one another."""
    inputs = value.get("inputs", {})
    elements, masses = tuple(inputs.get("type_map", ())), tuple(inputs.get("mass_map", ()))
    models = value.get("train", {}).get("numb_models", 4)
    return CheckContext(elements, masses, models, kept, lambda: parts.occurring(elements))


def _problems(value: Mapping[str, Any], parts: _Parts, context: CheckContext) -> Iterator[Problem]:
    """Yield what no key shows alone, in every part that could be understood.

    What is compared with the elements is not, while something is wrong with these themselves.
    """
    inputs = value.get("inputs", {})
    wrong = list(_element_problems(inputs))
    yield from wrong
    single: list[tuple[KeyPath, Kind | None]] = [
        (("explore",), parts.explorer),
        (("explore", "convergence"), parts.convergence),
    ]
    if context.type_map and context.mass_map and not wrong:
        if {"init_data_sys", "init_data_prefix"} <= set(inputs):
            yield from systems.problems(parts.patterns, context.type_map)
        single += [(("train",), parts.trainer), (("fp",), parts.labeler)]
        yield from _periodicity_problems(parts.labeler, context)
        yield from _configuration_problems(parts.configurations, context)
    for path, kind in single:
        yield from _below(path, kind.checks(context)) if kind else ()
    yield from _stages_problems(parts, context)


def _element_problems(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    elements, masses = inputs.get("type_map"), inputs.get("mass_map")
    if elements is None:
        return
    if not elements:
        yield ("inputs", "type_map"), "must not be empty"
    for element in sorted({element for element in elements if elements.count(element) > 1}):
        yield ("inputs", "type_map"), f"has '{element}' more than once"
    for index, element in enumerate(elements):
        if not element or not element.isascii() or not element.replace("_", "").isalnum():
            text = f"{element!r} is no name of an element: letters, digits and '_' alone go through all the programs"
            yield ("inputs", "type_map", index), text
    if masses is not None and elements and len(masses) != len(elements):
        yield ("inputs", "mass_map"), f"needs one mass for each of {', '.join(elements)}; there are {len(masses)}"


def _periodicity_problems(labeler: Kind | None, context: CheckContext) -> Iterator[Problem]:
    """Yield that the code cannot label what is explored; a code that says nothing of it is not asked."""
    can = getattr(labeler, "periodic", None)
    if can is None:
        return
    if True not in can and True in context.occurring.periodic:
        yield (
            ("fp", "type"),
            "computes molecules, and configurations are periodic: set remove_pbc there, or another type",
        )
    if False not in can and False in context.occurring.periodic:
        yield ("fp", "type"), "computes periodic frames, and configurations have no periodicity: choose another type"


def _configuration_problems(sources: Sequence[Kind | None] | None, context: CheckContext) -> Iterator[Problem]:
    path: KeyPath = ("explore", "configurations")
    if sources is not None and not sources:
        yield path, "must not be empty: exploration starts from these configurations"
    for number, source in enumerate(sources or ()):
        yield from _below((*path, number), source.checks(context)) if source else ()


def _stages_problems(parts: _Parts, context: CheckContext) -> Iterator[Problem]:
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
            yield from _below(path, group.checks(context))
            if parts.configurations:
                yield from _below(path, _range_problems(cast(TaskGroup, group), len(parts.configurations)))


def _range_problems(group: TaskGroup, configurations: int) -> Iterator[Problem]:
    for place, index in enumerate(group.conf_idx):
        if index >= configurations:
            text = f"is {index}, but explore.configurations has {configurations} entries, which count from 0"
            yield ("conf_idx", place), text
        elif index in group.conf_idx[:place]:
            yield ("conf_idx", place), f"{index} stands here twice: its configurations would be explored twice as often"


def _notices(parts: _Parts, context: CheckContext, document: Document) -> tuple[str, ...]:
    """Return what the labeler does not follow, or follows in its own way, in the user's words."""
    method = getattr(parts.labeler, "notices", None)
    found = [document.fault(*problem) for problem in _below(("fp",), method(context) if method else ())]
    return tuple(f"{spelled(notice.path)}: {notice.message}" for notice in found)


def _below(path: KeyPath, problems: Iterable[Problem]) -> Iterator[Problem]:
    return (((*path, *place), text) for place, text in problems)
