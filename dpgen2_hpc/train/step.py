"""Train: an ensemble of models on the dataset as it stands; its members differ in their seeds alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.kinds import Trainer, TrainingInput
from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import read_lines
from dpgen2_hpc.state.identity import digest_files, identity
from dpgen2_hpc.state.ledger import DONE, LOST, Task, TaskState
from dpgen2_hpc.state.results import TrainResult
from dpgen2_hpc.state.workdir import Place


@dataclass(frozen=True)
class TrainStep:
    """The step *train*; see ``loop/step.py``."""

    trainer: Trainer
    type_map: tuple[str, ...]
    name: str = "train"

    def prepare(self, place: Place) -> list[Task]:
        """Write the inputs of each member."""
        systems, digests = self._link_dataset(place)
        return [self._member(place, index, systems, digests) for index in range(self.trainer.numb_models)]

    def judge(self, place: Place, task: int, directory: Path, exit_code: int | None) -> str | None:
        """Accept a training that ended well and left a model; a freeze that was killed may have left half of one."""
        if exit_code != 0:
            raise OutputError(f"the training ended with exit code {exit_code}")
        self.trainer.finish(directory)
        return None

    def carry_over(self, place: Place, task: TaskState, old: Path, new: Path) -> None:
        """Go on from the checkpoint of a killed training; start a failed one anew, with the next seeds."""
        if task.before == LOST:
            self.trainer.carry_over(old, new)
        else:
            self.trainer.reseed(new, np.random.default_rng([*place.seeds(self.name, task.index), task.attempt]))

    def harvest(self, place: Place, tasks: Sequence[TaskState]) -> TrainResult:
        """List the models."""
        folder = place.folder(self.name)
        models = []
        for task in tasks:
            if task.verdict == DONE:
                facts = self.trainer.finish(folder.task(task.index))
                path = f"{folder.task_name(task.index)}/{self.trainer.model_file}"
                row = {"task": task.index, "path": path, "identity": task.identity, "attempt": task.attempt}
                models.append({**row, **facts})
        return results.save(folder, TrainResult(models, total=len(tasks)))

    def _link_dataset(self, place: Place) -> tuple[tuple[str, ...], list[str]]:
        """Link initial systems and increments; return their paths as tasks see them, and their digests."""
        folder, root = place.folder(self.name), place.workdir.root
        paths, digests = [], []
        for number, row in enumerate(read_lines(place.workdir.initial_data)):
            paths.append(folder.share(f"init.{number:06d}", (root / row["path"]), root))
            digests.append(row["digest"])
        for iteration, increment in results.increments(place.workdir, place.iteration):
            name = f"iter-{iteration:06d}"
            link = folder.share(name, place.workdir.step(iteration, "collect").path / "data", root)
            paths += [f"{link}/{system}" for system in increment.systems]
            digests.append(increment.digest)
        return tuple(paths), digests

    def _member(self, place: Place, index: int, systems: tuple[str, ...], digests: list[str]) -> Task:
        directory = place.folder(self.name).task(index)
        directory.mkdir()
        rng = np.random.default_rng(place.seeds(self.name, index))
        inputs = tuple(self.trainer.write_inputs(TrainingInput(index, systems, self.type_map, rng), directory))
        command = self.trainer.command
        files = digest_files(directory, inputs)
        return Task(identity(kind="train", command=command, files=files, data=digests), command, inputs)
