"""Which types there are of each kind, our own and those of other packages."""

import functools
import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, distributions
from typing import Any, Literal, cast, overload

from dpgen2_hpc.errors import InputError
from dpgen2_hpc.kinds.base import Kind
from dpgen2_hpc.kinds.exploration import Configurations, Explorer, TaskGroup
from dpgen2_hpc.kinds.labeling import Labeler
from dpgen2_hpc.kinds.selection import Convergence
from dpgen2_hpc.kinds.training import Trainer

OWN: Mapping[str, Mapping[str, str]] = {
    "train": {"dp": "dpgen2_hpc.train.deepmd:DeepmdTrainer"},
    "explore": {"lmp": "dpgen2_hpc.explore.lammps.run:LammpsExplorer"},
    "groups": {"lmp-md": "dpgen2_hpc.explore.groups:MdGroup"},
    "configurations": {
        "alloy": "dpgen2_hpc.explore.configurations.alloy:Alloy",
        "file": "dpgen2_hpc.explore.configurations.file:Files",
    },
    "convergence": {"fixed-levels": "dpgen2_hpc.select.fixed_levels:FixedLevels"},
    "fp": {
        "ase": "dpgen2_hpc.fp.ase:AseLabeler",
        "vasp": "dpgen2_hpc.fp.vasp:VaspLabeler",
        "qe": "dpgen2_hpc.fp.qe:QeLabeler",
        "cp2k": "dpgen2_hpc.fp.cp2k:Cp2kLabeler",
        "fpop_cp2k": "dpgen2_hpc.fp.cp2k:Cp2kLabeler",
        "abacus": "dpgen2_hpc.fp.abacus:AbacusLabeler",
        "fpop_abacus": "dpgen2_hpc.fp.abacus:AbacusLabeler",
        "gaussian": "dpgen2_hpc.fp.gaussian:GaussianLabeler",
        "deepmd": "dpgen2_hpc.fp.deepmd:DeepmdLabeler",
        "custom": "dpgen2_hpc.fp.custom:CustomLabeler",
    },
}

LATER: Mapping[str, Sequence[str]] = {
    "train": ["dp-dist"],
    "explore": ["calypso", "calypso:default", "calypso:merge", "diffcsp", "ase"],
    "stages": ["lmp-template", "customized-lmp-template", "ase-md"],
    "configurations": [],
    "convergence": ["fixed-levels-max-select", "adaptive-lower"],
    "fp": [],
}
"""Types that DPGEN2 or DP-GEN know and this version does not offer, by the key that they stand under: refused by name,
not as a typing error."""

ALIASES: Mapping[str, Mapping[str, Sequence[str]]] = {"groups": {"lmp-md": ["lmp-npt"]}}
"""Other names of types: DPGEN2's earlier ones."""

FAMILIES: Mapping[str, Any] = {
    "train": Trainer,
    "explore": Explorer,
    "groups": TaskGroup,
    "configurations": Configurations,
    "convergence": Convergence,
    "fp": Labeler,
}
"""The class from which every type of a kind inherits."""


@functools.cache
def _offered() -> tuple[EntryPoint, ...]:
    """Return what other packages offer; looked for once and for all kinds, since it takes 10 ms and more."""
    points = (point for package in distributions() for point in package.entry_points)
    return tuple(point for point in points if point.group.startswith("dpgen2_hpc."))


def _installed(kind: str) -> Iterator[EntryPoint]:
    return (point for point in _offered() if point.group == f"dpgen2_hpc.{kind}")


def names(kind: str) -> list[str]:
    """Return the types of ``kind`` that can be used, our own first."""
    found = {point.name for point in _installed(kind)}
    return [*OWN[kind], *sorted(found - set(OWN[kind]))]


@overload
def load(kind: Literal["train"], name: str) -> type[Trainer]: ...
@overload
def load(kind: Literal["explore"], name: str) -> type[Explorer]: ...
@overload
def load(kind: Literal["groups"], name: str) -> type[TaskGroup]: ...
@overload
def load(kind: Literal["configurations"], name: str) -> type[Configurations]: ...
@overload
def load(kind: Literal["convergence"], name: str) -> type[Convergence]: ...
@overload
def load(kind: Literal["fp"], name: str) -> type[Labeler]: ...
@overload
def load(kind: str, name: str) -> type[Kind]: ...
def load(kind: str, name: str) -> type[Kind]:
    """Return the class that the type ``name`` of ``kind`` stands for.

    Raises
    ------
    InputError
        There is no such type, or another package's cannot be used.
    """
    if name in OWN[kind]:
        module, _, attribute = OWN[kind][name].partition(":")
        return cast(type[Kind], getattr(importlib.import_module(module), attribute))
    for point in _installed(kind):
        if point.name == name:
            return _foreign(kind, point)
    raise InputError(f"there is no {kind} type '{name}'; there are: {', '.join(names(kind))}")


def _foreign(kind: str, point: EntryPoint) -> type[Kind]:
    """Return the class of another package, which has everything that its kind needs.

    Raises
    ------
    InputError
        It cannot be imported, or does not fit; the message names package and version.
    """
    package = f"{point.dist.name} {point.dist.version}" if point.dist else "another package"
    what = f"the {kind} type '{point.name}' of {package}"
    try:
        found = point.load()
    except Exception as error:
        raise InputError(f"{what} cannot be imported: {type(error).__name__}: {error}") from error
    if reason := _misfit(found, FAMILIES[kind]):
        text = f"{what} ({point.value}) {reason}"
        raise InputError(f"{text}. See dpgen2_hpc/kinds/ for what a type needs, or try another version of it.")
    return cast(type[Kind], found)


def _misfit(found: Any, family: Any) -> str | None:
    """Return why a class is not one of a family, as a predicate; ``None`` if it is one."""
    if not isinstance(found, type):
        return "is not a class"
    if not issubclass(found, family) or not issubclass(found, Kind):
        return f"does not inherit from dpgen2_hpc.kinds.{family.__name__}"
    own = [base for base in found.__mro__ if issubclass(base, family) and base is not family]
    announced = {name for base in own for name in inspect.get_annotations(base)}
    settings = (name for name in inspect.get_annotations(family) if name not in announced and not hasattr(found, name))
    if lacking := [*sorted(found.__abstractmethods__), *settings]:
        return f"has no {', '.join(lacking)}"
    return next(filter(None, (_other_signature(found, family, name) for name in vars(family))), None)


def _other_signature(found: type[Kind], family: Any, name: str) -> str | None:
    """Return how the arguments of a method differ from those that it is called with; ``None``: they do not."""
    wanted, own = getattr(family, name), getattr(found, name)
    if name.startswith("_") or not callable(wanted):
        return None
    parameters = inspect.signature(wanted).parameters.values()
    named = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    try:
        inspect.signature(own).bind(*[None] * (len(parameters) - len(named)), **dict.fromkeys(named))
    except (TypeError, ValueError):
        return f"takes other arguments in '{name}': it is called as {name}{inspect.signature(wanted)}"
    return None
