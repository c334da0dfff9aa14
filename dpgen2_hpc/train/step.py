"""Train: an ensemble of models on the dataset as it stands; its members differ in their seeds alone."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.kinds import Trainer, TrainingInput
from dpgen2_hpc.plugins import call_plugin
from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import read_lines
from dpgen2_hpc.state.identity import digest_files, identity
from dpgen2_hpc.state.ledger import Task, TaskState
from dpgen2_hpc.state.results import TrainResult
from dpgen2_hpc.state.words import Verdict
from dpgen2_hpc.state.workdir import Place, located, task_key

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainStep:
    """The step *train*; see ``loop/step.py``."""

    trainer: Trainer
    type_map: tuple[str, ...]
    name: str = "train"

    @property
    def command(self) -> str:
        """The command of a training."""
        return self.trainer.command_line(())

    def prepare(self, place: Place) -> list[Task]:
        """Write the inputs of each member."""
        dataset = self._dataset(place)
        for data in dataset:
            place.folder(self.name).share(data.name, data.target, place.workdir.root)
        return [self._member(place, index, 1, dataset) for index in range(self.trainer.numb_models)]

    def write(self, place: Place, task: int, first: int, directory: Path) -> Task:
        """Write the inputs of one member; after an error of its own program it has other seeds."""
        return self._inputs(place, task, first, self._dataset(place), directory)

    def judge(self, place: Place, task: int, directory: Path, exit_code: int | None) -> str | None:
        """Accept a training that ended well and left a model; a freeze that was killed may have left half of one."""
        if exit_code != 0:
            raise OutputError(f"the training ended with exit code {exit_code}")
        call_plugin(task_key(place.iteration, self.name, task), self.trainer.finish, directory)
        return None

    def carry_over(self, place: Place, task: TaskState, old: Path, new: Path) -> None:
        """Go on from the checkpoint of a killed training, if it left one that can be read."""
        if task.before != Verdict.LOST:
            return
        where = task_key(place.iteration, self.name, task.index)
        try:
            call_plugin(where, self.trainer.carry_over, old, new)
        except OutputError as error:
            log.warning("%s: starts from the beginning, its checkpoint cannot be used: %s", where, error)

    def harvest(self, place: Place, tasks: Sequence[TaskState]) -> TrainResult:
        """List the models."""
        folder = place.folder(self.name)
        models = []
        for task in tasks:
            if task.verdict != Verdict.DONE:
                continue
            where = task_key(place.iteration, self.name, task.index)
            try:
                facts = call_plugin(where, self.trainer.finish, folder.task(task.index))
            except OutputError as error:
                log.warning("%s: its model is not usable any more: %s", where, error)
            else:
                path = f"{folder.task_name(task.index)}/{self.trainer.model_file}"
                row = {"task": task.index, "path": path, "identity": task.identity, "attempt": task.attempt}
                models.append({**row, **facts})
        return results.save(folder, TrainResult(models, total=len(tasks)))

    def _dataset(self, place: Place) -> list["Data"]:
        """Return the initial systems, then the increments of earlier iterations."""
        base = place.workdir.base
        data = [
            Data(f"init.{number:06d}", located(base, row["path"]), None, row["digest"])
            for number, row in enumerate(read_lines(place.workdir.initial_data))
        ]
        for iteration, increment in results.increments(place.workdir, place.iteration):
            folder = place.workdir.step(iteration, "collect").path / "data"
            data.append(Data(f"iter-{iteration:06d}", folder, tuple(increment.systems), increment.digest))
        return data

    def _member(self, place: Place, index: int, first: int, dataset: Sequence["Data"]) -> Task:
        directory = place.folder(self.name).task(index)
        directory.mkdir()
        return self._inputs(place, index, first, dataset, directory)

    def _inputs(self, place: Place, index: int, first: int, dataset: Sequence["Data"], directory: Path) -> Task:
        systems = tuple(path for data in dataset for path in data.paths())
        rng = np.random.default_rng(place.seeds(self.name, index))
        names = self.trainer.write_inputs(TrainingInput(index, systems, self.type_map, rng), directory)
        if first > 1:
            self.trainer.reseed(directory, np.random.default_rng([*place.seeds(self.name, index), first]))
        files = digest_files(directory, names)
        return Task(identity(kind="train", files=files, data=[data.digest for data in dataset]), files)


@dataclass(frozen=True)
class Data:
    """A part of the dataset: its name in ``shared/``, what that links to, its systems there, and its digest."""

    name: str
    target: Path
    systems: tuple[str, ...] | None
    digest: str

    def paths(self) -> list[str]:
        """Return the paths of the systems as seen from a task's folder."""
        link = f"../shared/{self.name}"
        return [link] if self.systems is None else [f"{link}/{system}" for system in self.systems]
