"""``param.json``: what it means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import dargs

from dpgen2_hpc.errors import Fault, InputError, spelled
from dpgen2_hpc.inputs import across, systems
from dpgen2_hpc.inputs.contents import with_contents
from dpgen2_hpc.inputs.dialects import today, understood
from dpgen2_hpc.inputs.parts import Parts
from dpgen2_hpc.inputs.policy import entry_at
from dpgen2_hpc.inputs.read import Document, read_json
from dpgen2_hpc.inputs.systems import Pattern
from dpgen2_hpc.inputs.tree import in_order
from dpgen2_hpc.kinds import Configurations, Convergence, Explorer, Labeler, TaskGroup, Trainer
from dpgen2_hpc.state.steps import WITH_TASKS


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
    of ``machine.json``. ``document`` is the file, for faults that are found later; ``notices`` tell, as faults do,
    what is not wrong and may not be meant.
    """

    value: Mapping[str, Any]
    settings: Settings
    meaningless: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    document: Document
    folder: Path
    commands: Mapping[str, str | None] = field(default_factory=dict)
    notices: tuple[Fault, ...] = ()

    def following(self, value: Mapping[str, Any]) -> "Param":
        """Return the parameters with another understood ``value``: that of an earlier ``param.json``."""
        settings = _settings(Parts.of(_with_commands(value, self.commands), self.folder, self.patterns))
        return replace(self, value=value, settings=settings)


def load_param(
    path: Path,
    commands: Mapping[str, str | None],
    *,
    old_compatible: bool = False,
    kept: frozenset[str] = frozenset(),
) -> Param:
    """Read ``param.json``, and understand it as :func:`param_of` does.

    Raises
    ------
    InputError
        Everything that is wrong with it.
    """
    return param_of(read_json(path), commands, old_compatible=old_compatible, kept=kept)


def param_of(
    written: Document,
    commands: Mapping[str, str | None],
    *,
    old_compatible: bool = False,
    kept: frozenset[str] = frozenset(),
) -> Param:
    """Understand a ``param.json`` that was read; ``commands`` are those of ``machine.json``, which come first.

    ``kept`` are the files and systems that the run has taken up: see :class:`dpgen2_hpc.kinds.CheckContext`.

    Raises
    ------
    InputError
        Everything that is wrong with it.
    """
    value, document, faults = understood(written, old_compatible=old_compatible)
    value, document, more = with_contents(value, document)
    faults = [*faults, *more]
    folder = Path(written.file).parent.resolve()
    patterns = tuple(_patterns(value, folder, kept))
    parts = Parts.of(_with_commands(value, commands), folder, patterns)
    context = parts.context(kept)
    faults += [document.fault(*problem) for problem in across.problems(value, parts, context)]
    if faults:
        raise InputError(in_order(faults))
    notices = (*document.notices, *(document.fault(*notice) for notice in across.notices(parts, context)))
    own = {key: entry for key, entry in value.items() if key not in today.MEANINGLESS}
    return Param(own, _settings(parts), _meaningless(value, document), patterns, document, folder, commands, notices)


def _meaningless(value: Mapping[str, Any], document: Document) -> tuple[str, ...]:
    """Return the keys that were given and are not followed, as the file has them."""
    given = (path for path in today.NOT_FOLLOWED if entry_at(value, path) is not None)
    return tuple(spelled(path) for path in map(document.written, given) if path in document.places)


def root() -> dargs.Argument:
    """Return the argument tree of ``param.json``, today's dialect."""
    return today.tree()


# ---- the meaning ----------------------------------------------------------------------------------------------------


def _with_commands(value: Mapping[str, Any], commands: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the parameters with the machine's commands in the place of their own."""
    result = dict(value)
    for step, tasks in WITH_TASKS.items():
        key = tasks.command_part
        if commands.get(step) and key in value.get(step, {}):
            result[step] = {**value[step], key: {**value[step][key], "command": commands[step]}}
    return result


def _patterns(value: Mapping[str, Any], folder: Path, kept: frozenset[str]) -> list[Pattern]:
    inputs = value.get("inputs", {})
    return systems.find(inputs, folder, kept) if {"init_data_sys", "init_data_prefix"} <= set(inputs) else []


def _settings(parts: Parts) -> Settings:
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
