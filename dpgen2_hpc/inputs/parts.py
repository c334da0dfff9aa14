"""The plugins that ``param.json`` describes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dargs

from dpgen2_hpc import kinds
from dpgen2_hpc.inputs.read import KeyPath
from dpgen2_hpc.inputs.systems import Pattern
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


@dataclass(frozen=True)
class Parts:
    """The plugins of an input; ``None`` where a fault stands in the way: the others are checked all the same."""

    value: Mapping[str, Any]
    patterns: Sequence[Pattern]
    trainer: Trainer | None
    explorer: Explorer | None
    convergence: Convergence | None
    labeler: Labeler | None
    configurations: Sequence[Configurations | None] | None
    stages: Sequence[Sequence[TaskGroup | None]] | None

    @classmethod
    def of(cls, value: Mapping[str, Any], folder: Path, patterns: Sequence[Pattern]) -> "Parts":
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

    def placed(self) -> Iterator[tuple[KeyPath, Kind | None]]:
        """Yield every plugin with the path of its settings."""
        yield from ((("train",), self.trainer), (("explore",), self.explorer), (("fp",), self.labeler))
        yield ("explore", "convergence"), self.convergence
        for number, source in enumerate(self.configurations or ()):
            yield ("explore", "configurations", number), source
        for stage, groups in enumerate(self.stages or ()):
            for number, group in enumerate(groups):
                yield ("explore", "stages", stage, number), group

    def context(self, kept: frozenset[str]) -> CheckContext:
        """Return what the plugins may know of one another; ``kept`` are files that the run has taken up."""
        inputs = self.value.get("inputs", {})
        elements, masses = tuple(inputs.get("type_map", ())), tuple(inputs.get("mass_map", ()))
        models = self.value.get("train", {}).get("numb_models", 4)
        return CheckContext(elements, masses, models, kept, lambda: self.occurring(elements))

    def occurring(self, elements: tuple[str, ...], chosen: TaskGroup | None = None) -> Occurring:
        """Return which atoms the frames to be labelled may have: those of configurations that runs start from.

        ``chosen``: of the frames of one task group.
        """
        groups = [chosen] if chosen else [group for row in self.stages or () for group in row]
        explored = {index for group in groups if group for index in group.conf_idx}
        sources = [source for index, source in enumerate(self.configurations or ()) if index in explored]
        if not sources or None in sources or not all(group and group.fixes_composition for group in groups):
            return Occurring(elements)
        found = [one for source in sources if source and (one := source.occurring(elements)).elements]
        formulas = {one.symbols for one in found}
        return Occurring(
            tuple(element for element in elements if any(element in one.elements for one in found)),
            formulas.pop() if len(formulas) == 1 else None,
            frozenset().union(*(one.periodic for one in found)),
        )


def _kind(kind: str, settings: Mapping[str, Any], folder: Path) -> Any:
    """Return the kind that the settings describe, with their paths made absolute; ``None`` if a setting is missing.

    It is of the family that ``kind`` names: :func:`dpgen2_hpc.kinds.load` has seen to that.
    """
    if "type" not in settings:
        return None
    found = kinds.load(kind, settings["type"])
    arguments = found.arguments()
    if not all(_is_whole(argument, settings) for argument in arguments):
        return None
    own = {argument.name: settings[argument.name] for argument in arguments}
    return found.from_settings(found.resolved(own, folder))


def _is_whole(argument: dargs.Argument, settings: Mapping[str, Any]) -> bool:
    """Whether settings have an argument with all that is below it: what has a fault was left out of them."""
    if argument.name not in settings:
        return False
    held = settings[argument.name]
    inside = argument.sub_fields.values() if isinstance(held, dict) and not argument.repeat else ()
    return all(_is_whole(member, held) for member in inside)
