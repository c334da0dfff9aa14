"""Collect: the labels of an iteration become its increment of the dataset; earlier folders are never touched."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import fresh_folder, publish_folder, read_lines, write_lines
from dpgen2_hpc.state.identity import digest_folder
from dpgen2_hpc.state.ledger import Task, TaskState
from dpgen2_hpc.state.results import CollectResult
from dpgen2_hpc.state.workdir import Place


@dataclass(frozen=True)
class CollectStep:
    """The step *collect*; see ``loop/step.py``. It has no tasks."""

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
        for system in systems:
            shutil.copytree(labels / "labels" / system, temporary / system)
        digest = digest_folder(temporary)
        publish_folder(temporary, folder.path / "data")
        write_lines(folder.path / "manifest.jsonl", [{"iteration": place.iteration, **row} for row in rows])
        return results.save(folder, CollectResult(len(rows), systems, digest))
