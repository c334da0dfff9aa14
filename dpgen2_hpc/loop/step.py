"""What the driver expects of a step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from dpgen2_hpc.state.ledger import Task, TaskState
from dpgen2_hpc.state.workdir import Place


class StepResult(Protocol):
    """What a harvest returns, as far as the driver is concerned: it lets the policy judge."""

    @property
    def total(self) -> int:
        """All tasks."""

    @property
    def usable(self) -> int:
        """Tasks with a usable result."""


class Step(Protocol):
    """One of the five. Both halves are functions of what was committed before, and can be repeated from their start."""

    @property
    def name(self) -> str:
        """One of :data:`dpgen2_hpc.state.workdir.STEPS`."""

    @property
    def command(self) -> str:
        """The command of an attempt that is submitted now; empty for a step without tasks."""

    def prepare(self, place: Place) -> list[Task]:
        """Fill the step's folder, which is new and empty, and return its tasks; every draw is made here."""

    def harvest(self, place: Place, tasks: Sequence[TaskState]) -> Any:
        """Read what the tasks left, write the step's result, and return it (a :class:`StepResult`)."""


class TaskStep(Step, Protocol):
    """A step that has tasks."""

    def write(self, place: Place, task: int, first: int, directory: Path) -> Task:
        """Write the inputs of one task into ``directory``, as today's settings have them; ``prepare`` does the same.

        ``first`` is the attempt that started over, after an error of the task's own program: what is drawn depends on
        it (1: as ``prepare`` drew it). What several tasks share goes to ``shared/``, under a name with its digest.
        """

    def judge(self, place: Place, task: int, directory: Path, exit_code: int | None) -> str | None:
        """Return a note on an attempt that left something usable, or ``None`` where there is nothing to say.

        ``exit_code`` is ``None`` when the queue ended it.

        Raises
        ------
        OutputError
            The attempt left nothing usable.
        """

    def carry_over(self, place: Place, task: TaskState, old: Path, new: Path) -> None:
        """Copy what a new attempt may use of the old one, whose verdict is ``task.before``: a checkpoint."""
