"""Training: one model of the ensemble."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dpgen2_hpc.kinds.base import Kind


@dataclass(frozen=True)
class TrainingInput:
    """What one member of the ensemble is trained on.

    ``systems`` are the training systems' paths as seen from the task's folder; ``rng`` gives the member's seeds.
    """

    index: int
    systems: tuple[str, ...]
    type_map: tuple[str, ...]
    rng: np.random.Generator


class Trainer(Kind):
    """A way of training one model."""

    json_files: ClassVar[tuple[str, ...]] = ()
    """Keys that name a JSON file, or a list of them: the content takes their place when the run begins."""

    numb_models: int
    """How many members the ensemble has."""

    model_file: str
    """The name of the model that a training leaves in its task's folder."""

    @abstractmethod
    def command_line(self, words: Sequence[str]) -> str:
        """Return the shell command of a task, run with the task's folder as current directory.

        ``words`` are those that the task was prepared with.
        """

    @abstractmethod
    def write_inputs(self, task: TrainingInput, directory: Path) -> list[str]:
        """Write the member's input files into ``directory`` and return their names."""

    @abstractmethod
    def finish(self, directory: Path) -> dict[str, Any]:
        """Return facts of a finished training for its report.

        Raises
        ------
        OutputError
            No usable model: the file is missing, or the training diverged.
        """

    def reseed(self, directory: Path, rng: np.random.Generator) -> None:
        """Give the member whose inputs are in ``directory`` other seeds: the last training failed."""

    def carry_over(self, old: Path, new: Path) -> int | None:
        """Copy the last complete checkpoint of a killed attempt into the next; return its step, or ``None``."""
        return None
