"""What a plugin may be, and where the program finds it: the one page that a plugin's author reads.

A *kind* is one way of training, exploring, labelling ...: a frozen dataclass of its settings with

* ``arguments()``: its keys of ``param.json``, as :class:`Key`; checked, documented and spelled out like our own;
* ``from_settings(settings)``: the instance, from a dictionary with every key of ``arguments()`` in it;
* ``checks(context)``: faults that no key shows alone;
* ``notices(context)``, if there is something to say: what is not wrong and may not be meant;
* its work, which is the protocol below that bears its name.

A plugin never sees the record, the work directory or the queue: it gets paths and values.

Our own kinds stand in :data:`OWN` (loaded when named); a package of yours offers more by an entry point of the group
``dpgen2_hpc.<kind>``, for example ``dpgen2_hpc.fp``.
"""

import functools
import importlib
import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import Any, Protocol, Self, cast

import dargs
import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import InputError

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


# ---- arguments ------------------------------------------------------------------------------------------------------


CHANGES: Mapping[str, str] = {
    "now": "followed at once",
    "next": "followed from the next iteration on",
    "append": "new entries at the end are followed at once, other changes refused",
    "labels": "followed until fp has been given its first frame, then refused",
    "refused": "refused: what has been computed would be falsified",
}
"""What a changed key of ``param.json`` does to a run that has begun."""


class Key(dargs.Argument):
    """A key of an input file: a dargs ``Argument`` that also knows its bounds and what a later change of it means.

    Parameters
    ----------
    minimum, maximum
        Inclusive bounds of a number, or of each number in a list.
    above, below
        Exclusive bounds.
    choices, later
        The words that are allowed, and those that DPGEN2 knows and this version does not act on yet.
    change
        What happens when the value differs on resume: ``"now"``, ``"next"`` (from the next iteration on), ``"append"``
        (entries may be added at the end), ``"labels"`` (free until the first frame was given to fp, then refused) or
        ``"refused"``. ``None``: what holds for the key above.
    available
        ``False``: DPGEN2 knows the key, this version does not act on it yet, and refuses it by name.
    hint
        Of a key with keys below: returns what to write instead of an unknown one (name, value), or ``None``.
    """

    def __init__(
        self,
        name: str,
        dtype: Any,
        doc: str,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        above: float | None = None,
        below: float | None = None,
        choices: Sequence[str] | None = None,
        later: Sequence[str] = (),
        change: str | None = None,
        available: bool = True,
        hint: Callable[[str, Any], str | None] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(name, dtype, doc=doc, **more)
        self.minimum, self.maximum, self.above, self.below = minimum, maximum, above, below
        self.choices, self.later = choices, later
        self.change, self.available, self.hint = change, available, hint


@dataclass(frozen=True)
class Occurring:
    """Which atoms frames may have: elements in the order of ``type_map``.

    ``symbols`` are those of the atoms of a frame, sorted by ``type_map`` as labelled frames are, if all have the same;
    ``periodic``: whether frames are periodic, and whether there are others.
    """

    elements: tuple[str, ...]
    symbols: tuple[str, ...] | None = None
    periodic: frozenset[bool] = frozenset()


@dataclass(frozen=True)
class CheckContext:
    """What a kind may know while it checks its settings: values from elsewhere in ``param.json``.

    ``kept`` are the absolute paths of files that a run has taken up: it does not need the originals any more.
    ``find_occurring`` looks at the configurations.
    """

    type_map: tuple[str, ...]
    mass_map: tuple[float, ...]
    numb_models: int
    kept: frozenset[str] = frozenset()
    find_occurring: Callable[[], Occurring] | None = None

    @cached_property
    def occurring(self) -> Occurring:
        """What frames to be labelled may have; all elements where the configurations cannot say it."""
        return self.find_occurring() if self.find_occurring else Occurring(self.type_map)

    def lacking(self, given: Container[str]) -> list[str]:
        """Return the elements that may occur and are not among those given; without any missing nothing is read."""
        missing = [element for element in self.type_map if element not in given]
        return [element for element in missing if element in self.occurring.elements]

    def has_file(self, path: str) -> bool:
        """Return whether there is a file ``path`` (absolute), or the run has taken it up."""
        return Path(path).is_file() or self.has_kept(path)

    def has_kept(self, pattern: str) -> bool:
        """Return whether the run has taken up a file with this absolute path, or one that the pattern matches."""
        text = os.path.normpath(pattern)
        spellings = (text, text.replace("**/", ""))
        return text in self.kept or any(fnmatchcase(path, one) for path in self.kept for one in spellings)


Problem = tuple[tuple[str | int, ...], str]
"""Where (a path below the kind's own settings) and what is wrong."""


class Kind(Protocol):
    """What all kinds have."""

    @classmethod
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of the kind's settings."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the kind for checked settings, defaults filled in."""

    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong across keys, or with the files that they name."""


# ---- train ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainingInput:
    """What one member of the ensemble is trained on.

    ``systems`` are the training systems' paths as seen from the task's folder; ``rng`` gives the member's seeds.
    """

    index: int
    systems: tuple[str, ...]
    type_map: tuple[str, ...]
    rng: np.random.Generator


class Trainer(Kind, Protocol):
    """A way of training one model."""

    numb_models: int
    model_file: str

    @property
    def command(self) -> str:
        """The shell command, run with the task's folder as current directory."""

    def write_inputs(self, task: TrainingInput, directory: Path) -> list[str]:
        """Write the member's input files into ``directory`` and return their names."""

    def finish(self, directory: Path) -> dict[str, Any]:
        """Return facts of a finished training for its report.

        Raises
        ------
        OutputError
            No usable model: the file is missing, or the training diverged.
        """

    def reseed(self, directory: Path, rng: np.random.Generator) -> None:
        """Give the member whose inputs are in ``directory`` other seeds: the last training failed."""

    def carry_over(self, old: Path, new: Path) -> int | None:
        """Copy the last complete checkpoint of a killed attempt into the next; return its step, or ``None``."""


# ---- explore --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deviations:
    """The model deviation along one exploration.

    Row i belongs to MD step ``md_steps[i]`` (increasing). ``force`` (eV/Å) and ``virial`` (eV/atom) are the maxima over
    atoms and over components. A row without its frame, and a frame without its row, has NaN in both; only such rows may
    share their MD step with another one.
    """

    md_steps: NDArray[np.int64]
    force: NDArray[np.float64]
    virial: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Reject arrays that do not belong together."""
        shapes = {self.md_steps.shape, self.force.shape, self.virial.shape}
        if shapes != {(len(self.md_steps),)} or np.any(np.diff(self.md_steps) < 0):
            raise ValueError(f"deviations must be three arrays of one length, by increasing MD step, found {shapes}")


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    ``early``: its program ended before it had written what it was asked for, and ``reason`` says why. ``halted``: its
    input told it to stop before (``fix halt``), which is a normal end. ``last_step`` is the MD step of the last usable
    frame. ``frames`` counts those that have their deviation (``None``: the explorer does not count them).
    """

    early: bool
    halted: bool
    last_step: int
    reason: str | None = None
    frames: int | None = None


@dataclass(frozen=True)
class MdRun:
    """One MD run that a task group asks for.

    ``temperature`` in K, ``pressure`` in bar (``None``: constant volume), ``timestep`` and the damping times
    ``tau_t`` and ``tau_p`` in ps, ``frequency`` the MD steps between two frames. ``models`` are paths as seen from the
    task's folder, the first drives. ``masses`` in u, in the order of ``type_map``.
    """

    ensemble: str
    steps: int
    temperature: float
    pressure: float | None
    timestep: float
    frequency: int
    tau_t: float
    tau_p: float
    models: tuple[str, ...]
    type_map: tuple[str, ...]
    masses: tuple[float, ...]
    seed: int
    neighbor_delay: int | None = None


class Explorer(Kind, Protocol):
    """A program that moves atoms with a model and tells how much the ensemble disagrees."""

    configuration_file: str
    """The name that a task's starting configuration bears in its folder."""

    @property
    def command(self) -> str:
        """The shell command, run with the task's folder as current directory."""

    def write_configuration(self, frame: Frame, type_map: Sequence[str], path: Path) -> None:
        """Write a starting configuration in the explorer's own format."""

    def read_configuration(self, path: Path, type_map: Sequence[str]) -> Frame:
        """Return a starting configuration, its atoms in the order in which :meth:`frames` returns them.

        Raises
        ------
        OutputError
            It cannot be read.
        """

    def write_inputs(self, run: MdRun, directory: Path) -> list[str]:
        """Write the input files of a run into ``directory`` (the configuration is there) and return their names."""

    def finish(self, directory: Path, exit_code: int | None) -> Ending:
        """Return how a run ended; ``exit_code`` is ``None`` when the scheduler ended it.

        A run may have ended early although its exit code is 0 (``lmp | tee``): its log and its files tell.

        Raises
        ------
        OutputError
            There is not one complete frame with its deviation.
        """

    def deviations(self, directory: Path) -> Deviations:
        """Return the deviation of every frame of a run, incomplete ones included.

        Raises
        ------
        OutputError
            The deviations or the trajectory cannot be read.
        """

    def frames(self, directory: Path, md_steps: Sequence[int], type_map: Sequence[str]) -> list[Frame | None]:
        """Return the frames of these MD steps, read by seeking; ``None`` where there is no whole and valid frame.

        Raises
        ------
        OutputError
            The trajectory cannot be read.
        """

    def predictions(self, directory: Path, md_steps: Sequence[int], type_map: Sequence[str]) -> list[Labels | None]:
        """Return what the driving model predicted for these frames; ``None`` where the run did not keep it.

        Raises
        ------
        OutputError
            The trajectory or the predictions cannot be read.
        """


class TaskGroup(Kind, Protocol):
    """An entry of a stage: which configurations are explored, at which temperatures and pressures, and how.

    ``asked``, where it is there, is the number of frames that each run is asked to write; without it, or where it is
    ``None``, that cannot be known. ``fixes_composition``, where it is there and true, says that all frames of a run
    have the atoms of its starting configuration, in the same order.
    """

    @property
    def conf_idx(self) -> Sequence[int]:
        """Entries of ``explore.configurations`` that the pool is made of."""

    def sample(self, pool: int, turn: int, seed: Sequence[int]) -> list[int]:
        """Return which configurations of a pool of this size iteration number ``turn`` of the stage explores."""

    def states(self) -> list[tuple[float, float | None]]:
        """Return temperature (K) and pressure (bar) of the runs from one configuration."""

    def run(
        self,
        temperature: float,
        pressure: float | None,
        *,
        models: Sequence[str],
        type_map: Sequence[str],
        masses: Sequence[float],
        rng: np.random.Generator,
    ) -> MdRun:
        """Return one run at a state of :meth:`states`; ``rng`` gives the seed of its velocities."""


class Configurations(Kind, Protocol):
    """A source of starting configurations.

    ``files_read()``, where it is there, lists the files that they come from: on resume they must be what they were.
    ``occurring(type_map)``, where it is there, returns which atoms they may have, as :class:`Occurring`; without it,
    all elements may occur.
    """

    def generate(self, type_map: Sequence[str], rng: np.random.Generator) -> list[Frame]:
        """Return the configurations; the same ``rng`` gives the same ones."""


# ---- select ---------------------------------------------------------------------------------------------------------

ACCURATE, CANDIDATE, FAILED, INVALID = range(4)
"""The classes of a frame, as numbers in an array."""


class Convergence(Kind, Protocol):
    """What makes a frame a candidate, and a stage converged."""

    def classify(self, deviations: Deviations) -> NDArray[np.uint8]:
        """Return the class of each frame."""

    def order(
        self, force: NDArray[np.float64], virial: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.intp]:
        """Return the order in which the candidates are asked to be labelled: a permutation."""

    def converged(self, counts: Mapping[str, int]) -> bool:
        """Return whether the stage has converged.

        ``counts`` has the frames ``explored``, ``accurate``, ``candidate``, ``failed`` and ``invalid``, and the MD
        ``runs``, those that ``ended_early``, and those of these whose number of frames asked for cannot be known
        (``of_unknown_length``): what these did not write is not among the invalid frames.
        """

    def levels(self) -> dict[str, float | None]:
        """Return the trust levels under the names that the report shows."""


# ---- fp -------------------------------------------------------------------------------------------------------------


class Labeler(Kind, Protocol):
    """A first-principles code.

    ``text_files``, a class variable where it is there, are paths to settings that name a text file: its content takes
    their place when the run begins. ``to_fill`` are paths to settings with a default that ``init`` asks for all the
    same. ``outputs`` names the files in which the code says how it went, beside what it prints: ``why`` shows their
    ends. ``whole_text(text, path, inputs)`` returns what is taken up of such a text file: that with what it includes.
    ``notices(context)`` yields what the settings say and labels do not follow. ``periodic`` says which frames the code
    can label, periodic ones (``True``) and molecules (``False``); without it, both.
    ``resolved(settings, folder)`` makes the other paths absolute. ``read_all(directories)`` reads the labels of
    many tasks at once, and returns those or what :meth:`read_labels` would raise. ``physics(settings)`` returns what of
    the settings a label depends on: a change that leaves it as it was is followed at any time.
    """

    has_virial: bool
    """Whether a label of a periodic frame must have a virial."""

    @property
    def command(self) -> str:
        """The shell command, run with the task's folder as current directory."""

    def shared(self) -> dict[str, Path]:
        """Return files that all tasks read, by the name they get in ``../shared/``: pseudopotentials."""

    def write_inputs(self, frame: Frame, directory: Path) -> Sequence[str] | Mapping[str, str]:
        """Write the input files for one frame into ``directory`` and return their names.

        A mapping tells each file's content apart (by a digest, say), so that it need not be read again. A file that
        many tasks have in common may be written into ``../shared/`` once and linked.
        """

    def read_labels(self, directory: Path) -> Labels:
        """Return the labels that the code wrote.

        Raises
        ------
        LabelRefused
            The code itself says that this is no result: not converged.
        OutputError
            There is no output that could be read.
        """


# ---- the registry ---------------------------------------------------------------------------------------------------


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


FAMILIES: Mapping[str, type] = {
    "train": Trainer,
    "explore": Explorer,
    "groups": TaskGroup,
    "configurations": Configurations,
    "convergence": Convergence,
    "fp": Labeler,
}
"""The protocol that every type of a kind follows."""


def _foreign(kind: str, point: EntryPoint) -> type[Kind]:
    """Return the class of another package, which has everything that its kind needs.

    Raises
    ------
    InputError
        It cannot be imported, or lacks something; the message names package and version.
    """
    package = f"{point.dist.name} {point.dist.version}" if point.dist else "another package"
    try:
        found = point.load()
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise InputError(f"the {kind} type '{point.name}' of {package} cannot be imported: {text}") from error
    if not isinstance(found, type) or (lacking := _lacking(found, FAMILIES[kind])):
        lacks = f"has no {', '.join(lacking)}" if isinstance(found, type) else "is no class"
        text = f"the {kind} type '{point.name}' of {package} ({point.value}) {lacks}"
        raise InputError(f"{text}. See dpgen2_hpc/kinds.py for what a type needs, or try another version of it.")
    return cast(type[Kind], found)


def _lacking(found: type, family: type) -> list[str]:
    """Return what a class lacks of its family: methods, and attributes, which a field without default announces."""
    needed = [name for base in (family, Kind) for name in (*vars(base), *base.__annotations__) if name[0] != "_"]
    fields = {name for base in found.__mro__ for name in vars(base).get("__annotations__", ())}
    return [name for name in dict.fromkeys(needed) if not hasattr(found, name) and name not in fields]
