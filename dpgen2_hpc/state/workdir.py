"""Where everything lies in a work directory, and the keys by which people name it. No other module spells a path."""

import os
from dataclasses import dataclass
from pathlib import Path

from dpgen2_hpc.state.steps import BY_NAME, WITH_TASKS

STEPS = tuple(BY_NAME)
"""The names of the steps, in their order."""


def iteration_name(iteration: int) -> str:
    """Return ``iter-000003``."""
    return f"iter-{iteration:06d}"


def task_key(iteration: int, step: str, task: int) -> str:
    """Return the manual's key of a task: ``iter-000001--run-fp-000002``."""
    return f"{iteration_name(iteration)}--{WITH_TASKS[step].run_key}-{task:0{WITH_TASKS[step].digits}d}"


@dataclass(frozen=True)
class StepFolder:
    """The folder of one step of one iteration."""

    path: Path
    step: str

    @property
    def ledger(self) -> Path:
        """What happened to the step's jobs and tasks."""
        return self.path / "batch.jsonl"

    @property
    def result(self) -> Path:
        """What the step hands on."""
        return self.path / "result.json"

    @property
    def jobs(self) -> Path:
        """Scripts, claims and status files of the jobs."""
        return self.path / "jobs"

    @property
    def shared(self) -> Path:
        """Links to what several tasks read."""
        return self.path / "shared"

    @property
    def digests(self) -> Path:
        """The digest of each frame that was collected, one a line."""
        return self.path / "digests.txt"

    def task_name(self, task: int) -> str:
        """Return the name of a task's folder."""
        return f"task.{task:0{WITH_TASKS[self.step].digits}d}"

    def task(self, task: int) -> Path:
        """Return the folder of a task's current attempt."""
        return self.path / self.task_name(task)

    def share(self, name: str, target: Path, root: Path) -> str:
        """Link ``target`` into ``shared/`` and return its path as seen from a task's folder.

        A target inside of or beside the work directory (``root``) gets a relative link: both can be moved together.
        """
        link = self.shared / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(target, link.parent) if is_near(target, root) else target)
        return f"../shared/{name}"

    def attempt(self, task: int, attempt: int) -> Path:
        """Return the folder to which a finished attempt is moved when there is another."""
        return self.path / f"{self.task_name(task)}.attempt-{attempt}"


def is_near(path: Path, root: Path) -> bool:
    """Return whether a path lies inside of or beside the work directory ``root``: both may be moved together."""
    folder = root if root.parent == Path(root.anchor) else root.parent
    return path.is_relative_to(folder)


def located(base: Path, kept: str) -> Path:
    """Return where a kept path leads; ``base`` is :attr:`WorkDir.base`."""
    return Path(os.path.normpath(base / kept))


@dataclass(frozen=True)
class WorkDir:
    """A work directory."""

    root: Path

    @property
    def base(self) -> Path:
        """The folder in which kept relative paths begin: a mirror, which links to ``inputs/``, has those of the run."""
        return self.inputs.readlink().parent if self.inputs.is_symlink() else self.root

    def kept(self, path: str | Path) -> str:
        """Return a path as it is kept: relative inside of or beside the work directory, absolute elsewhere.

        A folder that holds the work directory and its inputs can be moved as a whole.
        """
        absolute = os.path.normpath(self.root / path)
        return os.path.relpath(absolute, self.root) if is_near(Path(absolute), self.root) else absolute

    @property
    def record(self) -> Path:
        """Where the run is."""
        return self.root / "record.json"

    @property
    def log(self) -> Path:
        """The history for people; never read back."""
        return self.root / "dpgen2_hpc.log"

    @property
    def lock(self) -> Path:
        """There while a driver lives."""
        return self.root / "lock"

    @property
    def checked(self) -> Path:
        """What the files that were taken up looked like when their contents were last verified; may be missing."""
        return self.root / ".checked.json"

    @property
    def inputs(self) -> Path:
        """What the run follows."""
        return self.root / "inputs"

    @property
    def param(self) -> Path:
        """``param.json`` as it was understood."""
        return self.inputs / "param.json"

    @property
    def machine(self) -> Path:
        """``machine.json`` as it was understood."""
        return self.inputs / "machine.json"

    @property
    def initial_data(self) -> Path:
        """One line for each initial system: its path, frames, and digest."""
        return self.inputs / "init_data.jsonl"

    @property
    def files(self) -> Path:
        """One line for each other file that was taken up when the run began: its path and digest."""
        return self.inputs / "files.jsonl"

    @property
    def pools(self) -> Path:
        """The names of the starting configurations, a list for each entry of ``explore.configurations``."""
        return self.inputs / "configurations.json"

    @property
    def initial_digests(self) -> Path:
        """The digest of each initial frame, one a line."""
        return self.inputs / "init_digests.txt"

    @property
    def configurations(self) -> Path:
        """Starting configurations, a folder for each entry of ``explore.configurations``."""
        return self.inputs / "configurations"

    @property
    def fp_files(self) -> Path:
        """What the labels of all iterations read: pseudopotentials, basis sets, as they were when the run began."""
        return self.inputs / "fp"

    @property
    def models(self) -> Path:
        """Links to the newest ensemble."""
        return self.root / "models"

    def step(self, iteration: int, step: str) -> StepFolder:
        """Return the folder of a step."""
        return StepFolder(self.root / iteration_name(iteration) / BY_NAME[step].folder, step)

    def ours(self) -> list[str]:
        """Return those entries of the directory that bear one of our names, ``record.json`` and the log apart."""
        names = {"inputs", "models"}
        found = [entry.name for entry in self.root.iterdir()] if self.root.is_dir() else []
        return sorted(name for name in found if name in names or name.startswith("iter-"))


@dataclass(frozen=True)
class Place:
    """Where in the run a step is prepared or harvested: all that a step may know besides its settings."""

    workdir: WorkDir
    seed: int
    iteration: int
    stage: int
    index_in_stage: int

    def folder(self, step: str) -> StepFolder:
        """Return the folder of a step of this iteration."""
        return self.workdir.step(self.iteration, step)

    def seeds(self, step: str, index: int = 0) -> tuple[int, ...]:
        """Return the key of a random generator of its own: draws do not depend on what was drawn elsewhere."""
        return (self.seed, self.iteration, STEPS.index(step), index)
