"""First principles: a task for each selected frame; what passes the gate is a label, the rest is dropped."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dpgen2_hpc.data.dataset import write_labels
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.reading import read_frames
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.gate import Gate
from dpgen2_hpc.fp.reading import read_all, read_label
from dpgen2_hpc.kinds import Labeler, NoLabel
from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import fresh_folder, publish_folder, write_json, write_lines
from dpgen2_hpc.state.identity import digest_file, digest_files, identity
from dpgen2_hpc.state.ledger import Task, TaskState
from dpgen2_hpc.state.results import FpResult, SelectResult
from dpgen2_hpc.state.words import Verdict
from dpgen2_hpc.state.workdir import Place, task_key

HANDED_ON = ("md_step", "digest", "deviation_f", "deviation_v", "predicted")
"""What ``select`` knows of a frame and ``collect`` asks for."""


@dataclass
class Harvested:
    """The labels of a step, and the frames that have none."""

    labels: list[Labels] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class FpStep:
    """The step *fp*; see ``loop/step.py``. ``code`` is the labeler's type, for the manifest."""

    labeler: Labeler
    code: str
    type_map: tuple[str, ...]
    gate: Gate = field(default_factory=Gate)
    name: str = "fp"

    @property
    def command(self) -> str:
        """The command of a label."""
        return self.labeler.command_line(())

    def prepare(self, place: Place) -> list[Task]:
        """Write the inputs of a task for each selected frame."""
        folder, tasks = place.folder(self.name), []
        for name in self.labeler.shared():
            folder.share(name, place.workdir.fp_files / name, place.workdir.root)
        shared = self._shared(place)
        for number, (_, frame) in enumerate(_selected(place)):
            folder.task(number).mkdir()
            tasks.append(self._task(folder.task(number), frame, shared))
        return tasks

    def write(self, place: Place, task: int, first: int, directory: Path) -> Task:
        """Write the inputs of one label."""
        return self._task(directory, _selected(place)[task][1], self._shared(place))

    def _shared(self, place: Place) -> dict[str, str]:
        """Return the digest of each file that all labels read."""
        return {name: digest_file(place.workdir.fp_files / name) for name in self.labeler.shared()}

    def judge(self, place: Place, task: int, directory: Path, exit_code: int | None) -> str | None:
        """Accept a label; one that the gate refuses is a result too, and not tried again by itself."""
        where = task_key(place.iteration, self.name, task)
        try:
            read_label(self.gate, self.labeler, where, directory, _selected(place)[task][1])
        except LabelRefused as error:
            return str(error)
        except OutputError as error:
            raise OutputError(f"{error} (exit code {exit_code})") from error
        return None

    def carry_over(self, place: Place, task: TaskState, old: Path, new: Path) -> None:
        """A label starts from its inputs: what a killed run has left could be taken for a result."""

    def harvest(self, place: Place, tasks: Sequence[TaskState]) -> FpResult:
        """Gather labels and dropped frames."""
        selected = _selected(place)
        harvested = Harvested()
        judged = self._judged(place, tasks, [frame for _, frame in selected])
        for task, (row, _), label in zip(tasks, selected, judged, strict=True):
            self._gather(place, harvested, task, row, label)
        self._write(place, harvested)
        result = FpResult(len(selected), len(harvested.labels), len(harvested.dropped))
        result.check()
        return results.save(place.folder(self.name), result)

    def _judged(self, place: Place, tasks: Sequence[TaskState], frames: Sequence[Frame]) -> list[Labels | NoLabel]:
        """Return the label of each task that has passed the gate, or why there is none."""
        folder = place.folder(self.name)
        found: dict[int, Labels | NoLabel] = {
            task.index: OutputError(task.why or "the task is broken") for task in tasks if task.verdict != Verdict.DONE
        }
        done = [task.index for task in tasks if task.verdict == Verdict.DONE]
        where = f"{folder.path.parent.name}/{folder.path.name}"
        found.update(zip(done, read_all(self.labeler, [folder.task(index) for index in done], where), strict=True))
        read = [(index, labels) for index, labels in found.items() if isinstance(labels, Labels)]
        wanted = [frames[index] for index, _ in read]
        judged = self.gate.judge([labels for _, labels in read], wanted, has_virial=self.labeler.has_virial)
        found.update(zip((index for index, _ in read), judged, strict=True))
        return [found[task.index] for task in tasks]

    def _gather(
        self, place: Place, harvested: Harvested, task: TaskState, row: dict[str, Any], label: Labels | NoLabel
    ) -> None:
        key = task_key(place.iteration, self.name, task.index)
        if isinstance(label, Labels):
            harvested.labels.append(label)
            who = {"key": key, "code": self.code, "identity": task.identity}
            origin = {"explored_by": task_key(place.iteration, "explore", row["task"])}
            known = {name: row[name] for name in HANDED_ON if name in row}
            harvested.rows.append({**who, **origin, **known})
            return
        folder = place.folder(self.name)
        path = f"{folder.path.parent.name}/{folder.path.name}/{folder.task_name(task.index)}"
        kind = "skipped" if task.skipped else "refused" if isinstance(label, LabelRefused) else "broken"
        harvested.dropped.append({"task": task.index, "key": key, "kind": kind, "reason": str(label), "path": path})

    def _write(self, place: Place, harvested: Harvested) -> None:
        folder = place.folder(self.name).path
        temporary = fresh_folder(folder / "labels.new")
        positions = write_labels(temporary, harvested.labels, self.type_map)
        publish_folder(temporary, folder / "labels")
        rows = [
            {"system": system, "index": index, **row}
            for (system, index), row in zip(positions, harvested.rows, strict=True)
        ]
        write_lines(folder / "labels.jsonl", rows)
        write_json(folder / "dropped.json", harvested.dropped)

    def _task(self, directory: Path, frame: Frame, shared: Mapping[str, str]) -> Task:
        written = self.labeler.write_inputs(frame, directory)
        files = dict(written) if isinstance(written, Mapping) else digest_files(directory, list(written))
        return Task(identity(kind=f"fp/{self.code}", files=dict(files), shared=dict(shared)), files)


@functools.lru_cache(maxsize=1)
def read_selected(folder: Path, count: int) -> tuple[tuple[dict[str, Any], Frame], ...]:
    """Return the selected frames with their lines, in the order in which they were drawn.

    Kept for the next call: each task of the step is judged with its frame.
    """
    rows = results.read_rows(folder / "selected.jsonl", count)
    systems = {name: read_frames(folder / "selected" / name) for name in sorted({row["system"] for row in rows})}
    return tuple((row, systems[row["system"]][row["index"]]) for row in rows)


def _selected(place: Place) -> tuple[tuple[dict[str, Any], Frame], ...]:
    select = place.folder("select")
    return read_selected(select.path, results.load(SelectResult, select).selected)
