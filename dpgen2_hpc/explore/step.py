"""Explore: MD runs from the starting configurations of the stage, driven by the models that have just been trained."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dpgen2_hpc.kinds import Explorer, TaskGroup
from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.identity import digest_file, digest_files, identity
from dpgen2_hpc.state.ledger import DONE, Task, TaskState
from dpgen2_hpc.state.results import ExploreResult, TrainResult
from dpgen2_hpc.state.workdir import Place

SHUFFLES = 5
"""Ends the key of the generators that shuffle configurations, which no other key is as long as."""


@dataclass(frozen=True)
class Start:
    """Where one run starts: the number of its group, its configuration, temperature (K) and pressure (bar)."""

    group: int
    configuration: str
    temperature: float
    pressure: float | None


@dataclass(frozen=True)
class ExploreStep:
    """The step *explore*; see ``loop/step.py``. ``stages`` has the task groups of each stage."""

    explorer: Explorer
    stages: tuple[tuple[TaskGroup, ...], ...]
    type_map: tuple[str, ...]
    masses: tuple[float, ...]
    shuffle_models: bool = False
    name: str = "explore"

    def prepare(self, place: Place) -> list[Task]:
        """Write the inputs of a run for each configuration, temperature and pressure of each group."""
        models, digests = self._link_models(place), self._link_configurations(place)
        return [self._task(place, number, start, models, digests) for number, start in enumerate(self._starts(place))]

    def judge(self, place: Place, task: int, directory: Path, exit_code: int | None) -> str | None:
        """Accept a run with at least one complete frame; a crash after that is noted."""
        step = self.explorer.finish(directory, exit_code)
        return None if step is None else f"the run ended early, at MD step {step}"

    def carry_over(self, place: Place, task: TaskState, old: Path, new: Path) -> None:
        """An MD run starts from its inputs: restarted in place it would append to what it wrote."""

    def harvest(self, place: Place, tasks: Sequence[TaskState]) -> ExploreResult:
        """List the usable runs."""
        folder = place.folder(self.name)
        starts = self._starts(place)
        runs = []
        for task in tasks:
            if task.verdict == DONE:
                early = self.explorer.finish(folder.task(task.index), 1) if task.why else None
                path = {"task": task.index, "path": folder.task_name(task.index)}
                runs.append({**path, **asdict(starts[task.index]), "crashed_at": early})
        return results.save(folder, ExploreResult(runs, total=len(tasks)))

    def _starts(self, place: Place) -> list[Start]:
        """Return where each run of the iteration starts."""
        pools = read_json(place.workdir.pools)
        starts = []
        for number, group in enumerate(self.stages[place.stage]):
            pool = [name for entry in group.conf_idx for name in pools[entry]]
            key = (place.seed, place.stage, number, 0, SHUFFLES)
            for drawn in group.sample(len(pool), place.index_in_stage, key):
                starts += [Start(number, pool[drawn], *state) for state in group.states()]
        return starts

    def _link_models(self, place: Place) -> list[dict[str, Any]]:
        """Link the ensemble; return each model's path as tasks see it, and its identity."""
        train = results.load(TrainResult, place.folder("train"))
        folder, root = place.folder(self.name), place.workdir.root
        linked = []
        for row in train.models:
            name = f"model.{row['task']:03d}{Path(row['path']).suffix}"
            path = folder.share(name, place.folder("train").path / row["path"], root)
            linked.append({"path": path, "trained": [row["identity"], row["attempt"]]})
        return linked

    def _link_configurations(self, place: Place) -> dict[str, str]:
        """Link the configurations that the iteration starts from; return the digest of each."""
        digests = {}
        for name in sorted({start.configuration for start in self._starts(place)}):
            source = place.workdir.configurations / name
            place.folder(self.name).share(_shared_name(name), source, place.workdir.root)
            digests[name] = digest_file(source)
        return digests

    def _task(
        self, place: Place, number: int, start: Start, models: Sequence[Mapping[str, Any]], digests: Mapping[str, str]
    ) -> Task:
        directory = place.folder(self.name).task(number)
        directory.mkdir()
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
        files = {**digest_files(directory, names), self.explorer.configuration_file: digests[start.configuration]}
        trained = [model["trained"] for model in order]
        who = identity(kind="explore", command=self.explorer.command, files=files, models=trained)
        return Task(who, self.explorer.command, (self.explorer.configuration_file, *names))


def _shared_name(configuration: str) -> str:
    """Return the name of a configuration (``000/000012.lmp``) in ``shared/``."""
    return f"conf.{configuration.replace('/', '.')}"


def _driver_first(models: Sequence[Mapping[str, Any]], driver: int) -> list[Mapping[str, Any]]:
    return [models[driver], *models[:driver], *models[driver + 1 :]]
