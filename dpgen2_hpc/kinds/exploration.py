"""Exploration: what moves atoms, from where and under which conditions."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.kinds.base import Kind, Occurring


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


class Explorer(Kind):
    """A program that moves atoms with a model and tells how much the ensemble disagrees."""

    configuration_file: ClassVar[str]
    """The name that a task's starting configuration bears in its folder."""

    @abstractmethod
    def command_line(self, words: Sequence[str]) -> str:
        """Return the shell command of a task, run with the task's folder as current directory.

        ``words`` are those that the task was prepared with.
        """

    @abstractmethod
    def write_configuration(self, frame: Frame, type_map: Sequence[str], path: Path) -> None:
        """Write a starting configuration in the explorer's own format."""

    @abstractmethod
    def read_configuration(self, path: Path, type_map: Sequence[str]) -> Frame:
        """Return a starting configuration, its atoms in the order in which :meth:`frames` returns them.

        Raises
        ------
        OutputError
            It cannot be read.
        """

    @abstractmethod
    def write_inputs(self, run: MdRun, directory: Path) -> list[str]:
        """Write the input files of a run into ``directory`` (the configuration is there) and return their names."""

    @abstractmethod
    def finish(self, directory: Path, exit_code: int | None) -> Ending:
        """Return how a run ended; ``exit_code`` is ``None`` when the scheduler ended it.

        A run may have ended early although its exit code is 0 (``lmp | tee``): its log and its files tell.

        Raises
        ------
        OutputError
            There is not one complete frame with its deviation.
        """

    @abstractmethod
    def deviations(self, directory: Path) -> Deviations:
        """Return the deviation of every frame of a run, incomplete ones included.

        Raises
        ------
        OutputError
            The deviations or the trajectory cannot be read.
        """

    @abstractmethod
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
        return [None] * len(md_steps)


class TaskGroup(Kind):
    """An entry of a stage: which configurations are explored, at which temperatures and pressures, and how."""

    fixes_composition: ClassVar[bool] = False
    """Whether all frames of a run have the atoms of its starting configuration, in the same order."""

    conf_idx: tuple[int, ...]
    """Entries of ``explore.configurations`` that the pool is made of."""

    n_sample: int | None = None
    """How many configurations an iteration draws from the pool; ``None``: it takes all, or does not say."""

    @property
    def asked(self) -> int | None:
        """The number of frames that each run is asked to write; ``None``: it cannot be known."""
        return None

    @abstractmethod
    def sample(self, pool: int, turn: int, seed: Sequence[int]) -> list[int]:
        """Return which configurations of a pool of this size iteration number ``turn`` of the stage explores."""

    @abstractmethod
    def states(self) -> list[tuple[float, float | None]]:
        """Return temperature (K) and pressure (bar) of the runs from one configuration."""

    @abstractmethod
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


class Configurations(Kind):
    """A source of starting configurations."""

    @abstractmethod
    def generate(self, type_map: Sequence[str], rng: np.random.Generator) -> list[Frame]:
        """Return the configurations; the same ``rng`` gives the same ones."""

    def files_read(self) -> list[str]:
        """Return the files that they come from: on resume they must be what they were."""
        return []

    def occurring(self, type_map: Sequence[str]) -> Occurring:
        """Return which atoms they may have, as far as that can be said without generating them."""
        return Occurring(tuple(type_map))
