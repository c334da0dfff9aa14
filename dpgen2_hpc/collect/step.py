"""Collect: the labels of an iteration become its increment of the dataset; earlier folders are never touched."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpgen2_hpc.collect.comparison import Error, error_of, in_row, summary
from dpgen2_hpc.data.dataset import write_labels
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.reading import read_labels
from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import fresh_folder, publish_folder, read_lines, write_atomic, write_lines
from dpgen2_hpc.state.identity import digest_folder
from dpgen2_hpc.state.ledger import Task, TaskState
from dpgen2_hpc.state.results import CollectResult
from dpgen2_hpc.state.workdir import Place

Row = dict[str, Any]


@dataclass(frozen=True)
class CollectStep:
    """The step *collect*; see ``loop/step.py``. It has no tasks."""

    type_map: tuple[str, ...]
    mixed: bool = False
    """Whether the increment is written in the mixed type: one system for frames of one size."""
    name: str = "collect"
    command: str = ""

    def prepare(self, place: Place) -> list[Task]:
        """Do nothing: nothing is drawn."""
        return []

    def harvest(self, place: Place, tasks: Sequence[TaskState]) -> CollectResult:
        """Compare the labels with what the models predicted, and write the increment and its manifest, each whole."""
        folder, source = place.folder(self.name), place.folder("fp").path
        rows = read_lines(source / "labels.jsonl")
        errors = _errors(place, rows)
        temporary = fresh_folder(folder.path / "data.new")
        places = self._write(source / "labels", temporary, rows)
        digest = digest_folder(temporary)
        publish_folder(temporary, folder.path / "data")
        manifest = [
            {"iteration": place.iteration, **row, "system": system, "index": index, **error}
            for row, error, (system, index) in zip(map(_kept, rows), map(in_row, errors), places, strict=True)
        ]
        write_lines(folder.path / "manifest.jsonl", manifest)
        write_atomic(folder.digests, "".join(f"{row['digest']}\n" for row in rows))
        systems = sorted({system for system, _ in places})
        return results.save(folder, CollectResult(len(rows), systems, digest, summary(errors, rows)))

    def _write(self, labels: Path, folder: Path, rows: Sequence[Row]) -> list[tuple[str, int]]:
        """Write the labels of the rows below ``folder``; return where each went. What is not mixed is copied."""
        places = [(row["system"], row["index"]) for row in rows]
        if self.mixed:
            return write_labels(folder, _read(labels, places), self.type_map, mixed=True)
        for system in sorted({system for system, _ in places}):
            shutil.copytree(labels / system, folder / system)
        return places


def _errors(place: Place, rows: Sequence[Row]) -> list[Error | None]:
    """Return how wrong the models were about each frame; ``None`` where nothing was predicted."""
    asked = [index for index, row in enumerate(rows) if row.get("predicted")]
    labels = _read(
        place.folder("fp").path / "labels", [(rows[index]["system"], rows[index]["index"]) for index in asked]
    )
    predicted = _read(place.folder("select").path / "predicted", [tuple(rows[index]["predicted"]) for index in asked])
    errors: list[Error | None] = [None] * len(rows)
    for index, *pair in zip(asked, predicted, labels, strict=True):
        errors[index] = error_of(*pair)
    return errors


def _read(folder: Path, places: Sequence[tuple[str, int]]) -> list[Labels]:
    """Return the labels at these places (system, index) below a folder; each system is read once."""
    found = {system: read_labels(folder / system) for system in sorted({system for system, _ in places})}
    return [found[system][index] for system, index in places]


def _kept(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "predicted"}
