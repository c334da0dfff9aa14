"""Select: class every explored frame by its deviation, put the candidates in order, take the first that pass."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.dataset import write_frames, write_labels
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.npy import write_array
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.kinds import Convergence, Explorer
from dpgen2_hpc.runs import RunReader
from dpgen2_hpc.select.tally import Tally
from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import fresh_folder, publish_folder, read_json, write_json, write_lines
from dpgen2_hpc.state.ledger import Task, TaskState
from dpgen2_hpc.state.results import ExploreResult, Run, SelectResult
from dpgen2_hpc.state.workdir import Place, task_key

log = logging.getLogger(__name__)

Read = TypeVar("Read")
Runs = Mapping[int, Run]
"""The usable runs by their tasks' numbers."""

Where = tuple[int, int]
"""Task and MD step of a frame."""

QUANTILES = (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)


@dataclass
class Drawn:
    """What became of the candidates, in the order in which they were looked at."""

    frames: list[Frame] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    duplicate: int = 0
    unreadable: int = 0
    looked_at: int = 0


@dataclass(frozen=True)
class SelectStep:
    """The step *select*; see ``loop/step.py``. It has no tasks."""

    explorer: Explorer
    convergence: Convergence
    type_map: tuple[str, ...]
    task_max: int
    name: str = "select"
    command: str = ""

    def prepare(self, place: Place) -> list[Task]:
        """Class all frames and write the candidates in their order; what is drawn is drawn here."""
        folder = place.folder(self.name)
        tally = self._classify(place)
        candidates = np.concatenate(tally.candidates)
        rng = np.random.default_rng(place.seeds(self.name))
        order = self.convergence.order(candidates["force"], candidates["virial"], rng)
        write_array(folder.path / "order.npy", candidates[order])
        quantiles = _quantiles(np.concatenate(tally.forces))
        write_json(folder.path / "classes.json", {**tally.counts(), "deviation_f": quantiles})
        return []

    def harvest(self, place: Place, tasks: Sequence[TaskState]) -> SelectResult:
        """Read candidates in their order until enough have passed, and write those down."""
        folder = place.folder(self.name)
        order = np.load(folder.path / "order.npy", allow_pickle=False)
        classes = read_json(folder.path / "classes.json")
        results.must_have(folder.path / "order.npy", len(order), classes["candidate"])
        quantiles = classes.pop("deviation_f")
        explore = results.load(ExploreResult, place.folder("explore"))
        runs = {run.task: run for run in map(Run.from_row, explore.runs)}
        drawn = self._draw(place, order, runs)
        self._write_predicted(place, drawn, runs)
        self._write(place, drawn)
        counts = {
            **classes,
            "candidate": classes["candidate"] - drawn.unreadable,
            "invalid": classes["invalid"] + drawn.unreadable,
        }
        converged = self.convergence.converged(counts)
        counts.pop("of_unknown_length", None)  # ``classes.json`` of the first version has no counts of runs
        result = SelectResult(
            **counts,
            selected=len(drawn.frames),
            filtered=0,
            duplicate=drawn.duplicate,
            not_drawn=len(order) - drawn.looked_at,
            converged=converged,
            levels=self.convergence.levels(),
            deviation_f=quantiles,
        )
        result.check()
        return results.save(folder, result)

    def _classify(self, place: Place) -> Tally:
        """Return what the runs of the iteration explored."""
        explore = results.load(ExploreResult, place.folder("explore"))
        tally = Tally()
        for run in map(Run.from_row, explore.runs):
            try:
                deviations = self._reader(place, run).deviations()
            except OutputError as error:
                key = task_key(place.iteration, "explore", run.task)
                log.warning("%s: cannot be read, all its frames count as invalid: %s", key, error)
                tally.add_failed(run.asked)
            else:
                tally.add(run, deviations, self.convergence)
        for row in explore.failed:
            tally.add_failed(row["asked"])
        return tally

    def _reader(self, place: Place, run: Run) -> RunReader:
        key = task_key(place.iteration, "explore", run.task)
        return RunReader(self.explorer, key, place.folder("explore").path / run.path, self.type_map)

    def _draw(self, place: Place, order: NDArray[Any], runs: Runs) -> Drawn:
        """Look at candidates in portions, so that no more is read than is needed."""
        drawn, known = Drawn(), _known_digests(place)
        while len(drawn.frames) < self.task_max and drawn.looked_at < len(order):
            portion = order[drawn.looked_at : drawn.looked_at + self.task_max - len(drawn.frames)]
            drawn.looked_at += len(portion)
            where = list(zip(portion["task"].tolist(), portion["md_step"].tolist(), strict=True))
            for row, frame in zip(portion, self._frames(place, runs, where), strict=True):
                self._take(drawn, known, row, frame)
        return drawn

    def _take(self, drawn: Drawn, known: set[str], row: Any, frame: Frame | None) -> None:
        if frame is None:
            drawn.unreadable += 1
            return
        digest = frame.digest(self.type_map)
        if digest in known:
            drawn.duplicate += 1
            return
        known.add(digest)
        drawn.frames.append(frame)
        virial = float(row["virial"])
        drawn.rows.append(
            {
                "task": int(row["task"]),
                "md_step": int(row["md_step"]),
                "deviation_f": float(row["force"]),
                "deviation_v": virial if np.isfinite(virial) else None,
                "digest": digest,
            }
        )

    def _frames(self, place: Place, runs: Runs, where: Sequence[Where]) -> list[Frame | None]:
        """Read frames; ``None`` for those that are not whole, or are not of their run."""

        def read(run: Run, indices: Sequence[int]) -> list[Frame | None]:
            reader = self._reader(place, run)
            first = reader.start() if run.fixes_composition else None
            return reader.frames([where[index][1] for index in indices], first)

        return self._read(place, runs, where, read)

    def _read(
        self,
        place: Place,
        runs: Runs,
        where: Sequence[Where],
        read: Callable[[Run, Sequence[int]], list[Read | None]],
    ) -> list[Read | None]:
        """Read something of each frame, each run opened once; ``None`` for all of a run that cannot be read."""
        of_run: dict[int, list[int]] = {}
        for index, (task, _) in enumerate(where):
            of_run.setdefault(task, []).append(index)
        found: list[Read | None] = [None] * len(where)
        for task, indices in sorted(of_run.items()):
            try:
                for index, one in zip(indices, read(runs[task], indices), strict=True):
                    found[index] = one
            except OutputError as error:
                log.warning("%s: cannot be read: %s", task_key(place.iteration, "explore", task), error)
        return found

    def _write_predicted(self, place: Place, drawn: Drawn, runs: Runs) -> None:
        """Write what the models predicted for the selected frames, for the comparison with their labels."""
        where = [(row["task"], row["md_step"]) for row in drawn.rows]

        def read(run: Run, indices: Sequence[int]) -> list[Labels | None]:
            frames = [drawn.frames[index] for index in indices]
            return self._reader(place, run).predictions([where[index][1] for index in indices], frames)

        found = self._read(place, runs, where, read)
        kept = [(row, one) for row, one in zip(drawn.rows, found, strict=True) if one is not None]
        folder = place.folder(self.name).path
        temporary = fresh_folder(folder / "predicted.new")
        positions = write_labels(temporary, [one for _, one in kept], self.type_map)
        publish_folder(temporary, folder / "predicted")
        for (row, _), position in zip(kept, positions, strict=True):
            row["predicted"] = position

    def _write(self, place: Place, drawn: Drawn) -> None:
        folder = place.folder(self.name).path
        temporary = fresh_folder(folder / "selected.new")
        positions = write_frames(temporary, drawn.frames, self.type_map)
        publish_folder(temporary, folder / "selected")
        rows = [
            {"system": system, "index": index, **row}
            for (system, index), row in zip(positions, drawn.rows, strict=True)
        ]
        write_lines(folder / "selected.jsonl", rows)


def _known_digests(place: Place) -> set[str]:
    """Return the digests of the dataset's frames: the initial ones and those of the increments."""
    increments = results.increments(place.workdir, place.iteration)
    known = set(place.workdir.initial_digests.read_text().split())
    for iteration, increment in increments:
        path = place.workdir.step(iteration, "collect").digests
        digests = path.read_text().split()
        results.must_have(path, len(digests), increment.frames)
        known.update(digests)
    return known


def _quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    """Return quantiles of the finite values, under the names ``q0``, ``q10`` ... ``q100``."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return {}
    return {f"q{100 * q:g}": float(value) for q, value in zip(QUANTILES, np.quantile(finite, QUANTILES), strict=True)}
