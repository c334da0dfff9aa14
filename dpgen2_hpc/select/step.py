"""Select: class every explored frame by its deviation, put the candidates in order, take the first that pass."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.dataset import write_frames, write_labels
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.kinds import ACCURATE, CANDIDATE, FAILED, INVALID, Convergence, Explorer
from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import fresh_folder, publish_folder, read_json, write_json, write_lines
from dpgen2_hpc.state.ledger import Task, TaskState
from dpgen2_hpc.state.results import ExploreResult, SelectResult
from dpgen2_hpc.state.workdir import Place

CANDIDATE_ROW = np.dtype([("task", "<i4"), ("md_step", "<i8"), ("force", "<f8"), ("virial", "<f8")])
"""A row of ``order.npy``: 28 bytes a candidate."""

Read = TypeVar("Read")
Runs = Mapping[int, Path]
"""The folder of each usable run, by its task's number."""

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

    def prepare(self, place: Place) -> list[Task]:
        """Class all frames and write the candidates in their order; what is drawn is drawn here."""
        folder = place.folder(self.name)
        counts, candidates, force = self._classify(place)
        rng = np.random.default_rng(place.seeds(self.name))
        order = self.convergence.order(candidates["force"], candidates["virial"], rng)
        np.save(folder.path / "order.npy", candidates[order])
        write_json(folder.path / "classes.json", {**counts, "deviation_f": _quantiles(force)})
        return []

    def harvest(self, place: Place, tasks: Sequence[TaskState]) -> SelectResult:
        """Read candidates in their order until enough have passed, and write those down."""
        folder = place.folder(self.name)
        order = np.load(folder.path / "order.npy", allow_pickle=False)
        classes = read_json(folder.path / "classes.json")
        quantiles = classes.pop("deviation_f")
        explore = results.load(ExploreResult, place.folder("explore"))
        runs = {run["task"]: place.folder("explore").path / run["path"] for run in explore.runs}
        drawn = self._draw(place, order, runs)
        self._write_predicted(place, drawn, runs)
        self._write(place, drawn)
        counts = {
            **classes,
            "candidate": classes["candidate"] - drawn.unreadable,
            "invalid": classes["invalid"] + drawn.unreadable,
        }
        result = SelectResult(
            **counts,
            selected=len(drawn.frames),
            filtered=0,
            duplicate=drawn.duplicate,
            not_drawn=len(order) - drawn.looked_at,
            converged=self.convergence.converged(counts),
            levels=self.convergence.levels(),
            deviation_f=quantiles,
        )
        result.check()
        return results.save(folder, result)

    def _classify(self, place: Place) -> tuple[dict[str, int], NDArray[Any], NDArray[np.float64]]:
        """Return the counts, the candidates in the order of the runs, and all finite force deviations."""
        explore = results.load(ExploreResult, place.folder("explore"))
        totals = np.zeros(4, dtype=np.int64)
        candidates, forces = [np.empty(0, CANDIDATE_ROW)], [np.empty(0)]
        for run in explore.runs:
            deviations = self.explorer.deviations(place.folder("explore").path / run["path"])
            classes = self.convergence.classify(deviations)
            totals += np.bincount(classes, minlength=4)
            chosen = np.flatnonzero(classes == CANDIDATE)
            rows = np.empty(len(chosen), CANDIDATE_ROW)
            rows["task"], rows["md_step"] = run["task"], deviations.md_steps[chosen]
            rows["force"], rows["virial"] = deviations.force[chosen], deviations.virial[chosen]
            candidates.append(rows)
            forces.append(deviations.force[classes != INVALID])
        names = {"accurate": ACCURATE, "candidate": CANDIDATE, "failed": FAILED, "invalid": INVALID}
        counts = {"explored": int(totals.sum()), **{name: int(totals[code]) for name, code in names.items()}}
        return counts, np.concatenate(candidates), np.concatenate(forces)

    def _draw(self, place: Place, order: NDArray[Any], runs: Runs) -> Drawn:
        """Look at candidates in portions, so that no more is read than is needed."""
        drawn, known = Drawn(), _known_digests(place)
        while len(drawn.frames) < self.task_max and drawn.looked_at < len(order):
            portion = order[drawn.looked_at : drawn.looked_at + self.task_max - len(drawn.frames)]
            drawn.looked_at += len(portion)
            where = list(zip(portion["task"].tolist(), portion["md_step"].tolist(), strict=True))
            for row, frame in zip(portion, self._read(runs, where, self.explorer.frames), strict=True):
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

    def _read(
        self, runs: Runs, where: Sequence[tuple[int, int]], read: Callable[..., list[Read | None]]
    ) -> list[Read | None]:
        """Read something of each frame (task, MD step), each run opened once."""
        of_run: dict[int, list[int]] = {}
        for index, (task, _) in enumerate(where):
            of_run.setdefault(task, []).append(index)
        found: list[Read | None] = [None] * len(where)
        for task, indices in sorted(of_run.items()):
            steps = [where[index][1] for index in indices]
            for index, one in zip(indices, read(runs[task], steps, self.type_map), strict=True):
                found[index] = one
        return found

    def _write_predicted(self, place: Place, drawn: Drawn, runs: Runs) -> None:
        """Write what the models said of the selected frames, for the comparison with their labels."""
        where = [(row["task"], row["md_step"]) for row in drawn.rows]
        found = self._read(runs, where, self.explorer.predictions)
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
    paths = [place.workdir.step(iteration, "collect").digests for iteration, _ in increments]
    known: set[str] = set()
    for path in (place.workdir.initial_digests, *paths):
        known.update(path.read_text().split())
    return known


def _quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    """Return quantiles of the finite values, under the names ``q0``, ``q10`` ... ``q100``."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return {}
    return {f"q{100 * q:g}": float(value) for q, value in zip(QUANTILES, np.quantile(finite, QUANTILES), strict=True)}
