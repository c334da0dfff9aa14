"""Explore: MD runs from the starting configurations of the stage, driven by the models that have just been trained."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.kinds import Ending, Explorer, TaskGroup
from dpgen2_hpc.runs import RunReader
from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.identity import digest_file, digest_files, identity
from dpgen2_hpc.state.ledger import Task, TaskState
from dpgen2_hpc.state.results import ExploreResult, TrainResult
from dpgen2_hpc.state.words import Verdict
from dpgen2_hpc.state.workdir import Place, task_key

log = logging.getLogger(__name__)

SHUFFLES = 5
"""Ends the key of the generators that shuffle configurations, which no other key is as long as."""


@dataclass(frozen=True)
class Start:
    """Where one run starts: the number of its group, its configuration, temperature (K) and pressure (bar).

    ``asked`` is the number of frames that it is to write (``None``: cannot be known), ``fixes_composition`` whether all
    of them have the atoms of the configuration.
    """

    group: int
    configuration: str
    temperature: float
    pressure: float | None
    asked: int | None
    fixes_composition: bool


@dataclass(frozen=True)
class ExploreStep:
    """The step *explore*; see ``loop/step.py``. ``stages`` has the task groups of each stage."""

    explorer: Explorer
    stages: tuple[tuple[TaskGroup, ...], ...]
    type_map: tuple[str, ...]
    masses: tuple[float, ...]
    shuffle_models: bool = False
    name: str = "explore"
    known_starts: dict[Place, list[Start]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def command(self) -> str:
        """The command of a run."""
        return self.explorer.command_line(())

    def prepare(self, place: Place) -> list[Task]:
        """Write the inputs of a run for each configuration, temperature and pressure of each group."""
        folder, models, digests = place.folder(self.name), self._models(place), {}
        for model in models:
            folder.share(Path(model["path"]).name, model["target"], place.workdir.root)
        for name in sorted({start.configuration for start in self._starts(place)}):
            source = place.workdir.configurations / name
            folder.share(_shared_name(name), source, place.workdir.root)
            digests[name] = digest_file(source)
        tasks = []
        for number, start in enumerate(self._starts(place)):
            folder.task(number).mkdir()
            tasks.append(self._task(place, number, models, digests[start.configuration], folder.task(number)))
        return tasks

    def write(self, place: Place, task: int, first: int, directory: Path) -> Task:
        """Write the inputs of one run: an MD run that failed starts as it did, since its velocities are no fault."""
        source = place.workdir.configurations / self._starts(place)[task].configuration
        return self._task(place, task, self._models(place), digest_file(source), directory)

    def judge(self, place: Place, task: int, directory: Path, exit_code: int | None) -> str | None:
        """Accept a run with at least one complete and valid frame; one that ended early is noted."""
        start = self._starts(place)[task]
        return _note(self._ending(place, task, start, directory, exit_code))

    def carry_over(self, place: Place, task: TaskState, old: Path, new: Path) -> None:
        """An MD run starts from its inputs: restarted in place it would append to what it wrote."""

    def harvest(self, place: Place, tasks: Sequence[TaskState]) -> ExploreResult:
        """List the usable runs, and those that failed although nobody has skipped them."""
        starts = self._starts(place)
        runs, failed = [], []
        for task in tasks:
            if task.skipped:
                continue
            try:
                runs.append(self._run(place, task, starts[task.index]))
            except OutputError as error:
                log.warning("%s: all its frames count as invalid: %s", self._key(place, task.index), error)
                failed.append({"task": task.index, "asked": starts[task.index].asked, "why": str(error)})
        early = sum(run["ended_early"] for run in runs) + len(failed)
        folder = place.folder(self.name)
        if early:
            where = f"{folder.path.parent.name}/{folder.path.name}"
            log.warning("%s: %d of %d MD runs ended early", where, early, len(runs) + len(failed))
        return results.save(folder, ExploreResult(runs, len(tasks), failed))

    def _run(self, place: Place, task: TaskState, start: Start) -> dict[str, Any]:
        """Return the row of a usable run.

        Raises
        ------
        OutputError
            It has failed, or what it left is not usable any more.
        """
        if task.verdict != Verdict.DONE:
            raise OutputError(task.why or "the task failed")
        folder = place.folder(self.name)
        ending = self._ending(place, task.index, start, folder.task(task.index), 1 if task.why else 0)
        early = ending.early or task.why is not None
        return {
            "task": task.index,
            "path": folder.task_name(task.index),
            **asdict(start),
            "ended_early": early,
            "halted": ending.halted,
            "last_step": ending.last_step,
            "crashed_at": ending.last_step if early else None,
            "why": task.why or _note(ending),
        }

    def _ending(self, place: Place, task: int, start: Start, directory: Path, exit_code: int | None) -> Ending:
        """Return how a run ended; its ``last_step`` is that of the last frame that is valid.

        Raises
        ------
        OutputError
            No frame of it is usable.
        """
        run = RunReader(self.explorer, self._key(place, task), directory, self.type_map)
        ending = run.ending(exit_code)
        first = run.start() if start.fixes_composition else None
        fault = run.fault(ending.last_step, first)
        if fault is not None:
            ending = run.cut(ending, fault, first)
        if start.asked is None or ending.frames is None or ending.frames >= start.asked or ending.halted:
            return ending
        written = f"{ending.frames} of {start.asked} frames were written"
        return replace(ending, early=True, reason=f"{ending.reason}; {written}" if ending.reason else written)

    def _key(self, place: Place, task: int) -> str:
        return task_key(place.iteration, self.name, task)

    def _starts(self, place: Place) -> list[Start]:
        """Return where each run of the iteration starts; asked for once for each task that is judged."""
        if place not in self.known_starts:
            self.known_starts.clear()
            self.known_starts[place] = self._drawn_starts(place)
        return self.known_starts[place]

    def _drawn_starts(self, place: Place) -> list[Start]:
        pools = read_json(place.workdir.pools)
        starts = []
        for number, group in enumerate(self.stages[place.stage]):
            pool = [name for entry in group.conf_idx for name in pools[entry]]
            key = (place.seed, place.stage, number, 0, SHUFFLES)
            for drawn in group.sample(len(pool), place.index_in_stage, key):
                starts += [Start(number, pool[drawn], *state, *_extent(group)) for state in group.states()]
        return starts

    def _models(self, place: Place) -> list[dict[str, Any]]:
        """Return the ensemble: each model's path as tasks see it, the file, and its identity."""
        train = place.folder("train")
        return [
            {
                "path": f"../shared/model.{row['task']:03d}{Path(row['path']).suffix}",
                "target": train.path / row["path"],
                "trained": [row["identity"], row["attempt"]],
            }
            for row in results.load(TrainResult, train).models
        ]

    def _task(
        self, place: Place, number: int, models: Sequence[Mapping[str, Any]], digest: str, directory: Path
    ) -> Task:
        """Write the inputs of one run into ``directory``; ``digest`` is that of its configuration."""
        start = self._starts(place)[number]
        (directory / self.explorer.configuration_file).symlink_to(f"../shared/{_shared_name(start.configuration)}")
        rng = np.random.default_rng(place.seeds(self.name, number))
        order = _driver_first(models, int(rng.integers(len(models))) if self.shuffle_models else 0)
        run = self.stages[place.stage][start.group].run(
            start.temperature,
            start.pressure,
            models=[model["path"] for model in order],
            type_map=self.type_map,
            masses=self.masses,
            rng=rng,
        )
        names = self.explorer.write_inputs(run, directory)
        files = {**digest_files(directory, names), self.explorer.configuration_file: digest}
        trained = [model["trained"] for model in order]
        return Task(identity(kind="explore", files=files, models=trained), files)


def _extent(group: TaskGroup) -> tuple[int | None, bool]:
    """Return how many frames a group asks each run for, and whether it fixes their composition."""
    return group.asked, group.fixes_composition


def _note(ending: Ending) -> str | None:
    """Return how a run ended, ``None`` for a normal end."""
    return f"the run ended early, at MD step {ending.last_step}: {ending.reason}" if ending.early else None


def _shared_name(configuration: str) -> str:
    """Return the name of a configuration (``000/000012.lmp``) in ``shared/``."""
    return f"conf.{configuration.replace('/', '.')}"


def _driver_first(models: Sequence[Mapping[str, Any]], driver: int) -> list[Mapping[str, Any]]:
    return [models[driver], *models[:driver], *models[driver + 1 :]]
