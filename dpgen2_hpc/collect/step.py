"""Collect: the labels of an iteration become its increment of the dataset; earlier folders are never touched."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpgen2_hpc.data.dataset import write_labels
from dpgen2_hpc.data.reading import read_labels
from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import fresh_folder, publish_folder, read_lines, write_lines
from dpgen2_hpc.state.identity import digest_folder
from dpgen2_hpc.state.ledger import Task, TaskState
from dpgen2_hpc.state.results import CollectResult
from dpgen2_hpc.state.workdir import Place


@dataclass(frozen=True)
class CollectStep:
    """The step *collect*; see ``loop/step.py``. It has no tasks."""

    type_map: tuple[str, ...] = ()
    mixed: bool = False
    """Whether the increment is written in the mixed type: one system for frames of one size."""
    name: str = "collect"

    def prepare(self, place: Place) -> list[Task]:
        """Do nothing: nothing is drawn."""
        return []

    def harvest(self, place: Place, tasks: Sequence[TaskState]) -> CollectResult:
        """Write the increment and its manifest, each whole."""
        folder, labels = place.folder(self.name), place.folder("fp").path
        rows = read_lines(labels / "labels.jsonl")
        systems = sorted({row["system"] for row in rows})
        temporary = fresh_folder(folder.path / "data.new")
        if self.mixed:
            rows = self._write_mixed(labels / "labels", temporary, rows)
            systems = sorted({row["system"] for row in rows})
        else:
            for system in systems:
                shutil.copytree(labels / "labels" / system, temporary / system)
        digest = digest_folder(temporary)
        publish_folder(temporary, folder.path / "data")
        write_lines(folder.path / "manifest.jsonl", [{"iteration": place.iteration, **row} for row in rows])
        return results.save(folder, CollectResult(len(rows), systems, digest))

    def _write_mixed(self, labels: Path, folder: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Write the labels that the rows name in the mixed type; return the rows with the places where they went."""
        found = {system: read_labels(labels / system) for system in sorted({row["system"] for row in rows})}
        chosen = [found[row["system"]][row["index"]] for row in rows]
        places = write_labels(folder, chosen, self.type_map, mixed=True)
        moved = zip(rows, places, strict=True)
        return [{**row, "system": system, "index": index} for row, (system, index) in moved]
