"""The five steps, each described once: what is a constant of a step stands here, and nowhere else by its name."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Tasks:
    """What is fixed about a step that has tasks, and so jobs.

    ``prepare_key`` and ``run_key`` are the manual's words for its preparation and for one of its tasks, ``digits`` how
    many a task's number has. ``success_ratio`` is the part of the tasks that must be usable unless the user says
    otherwise; ``command_part`` names the object of the step's section of ``param.json`` that has the command;
    ``config`` is its member of ``step_configs``; ``files`` is how many files a task's folder has in the end, roughly.
    """

    prepare_key: str
    run_key: str
    digits: int
    success_ratio: float
    command_part: str
    config: str
    files: int
    where: str
    """What its section of ``machine.json`` says."""
    may_skip: bool = True
    """Whether the user may go on without one of its tasks."""


@dataclass(frozen=True)
class StepInfo:
    """What is fixed about a step.

    ``number`` stands in its folder's name and in the seeds of what it draws: it never changes. ``key`` is the manual's
    word for the finished step.
    """

    name: str
    number: int
    key: str
    tasks: Tasks | None = None

    @property
    def folder(self) -> str:
        """The name of its folder in that of an iteration."""
        return f"{self.number:02d}.{self.name}"


TRAIN = StepInfo(
    "train",
    0,
    "prep-run-train",
    Tasks("prep-train", "run-train", 4, 1.0, "config", "run_train_config", 27, "Where training runs.", may_skip=False),
)
EXPLORE = StepInfo(
    "explore",
    1,
    "prep-run-lmp",
    Tasks("prep-lmp", "run-lmp", 6, 0.5, "config", "run_explore_config", 9, "Where exploration runs."),
)
SELECT = StepInfo("select", 2, "select-confs")
FP = StepInfo(
    "fp",
    3,
    "prep-run-fp",
    Tasks("prep-fp", "run-fp", 6, 0.9, "run_config", "run_fp_config", 9, "Where labels are computed."),
)
COLLECT = StepInfo("collect", 4, "collect-data")

ALL = (TRAIN, EXPLORE, SELECT, FP, COLLECT)
"""In their order."""

BY_NAME: Mapping[str, StepInfo] = {step.name: step for step in ALL}

WITH_TASKS: Mapping[str, Tasks] = {step.name: step.tasks for step in ALL if step.tasks is not None}
"""What is fixed about the steps that have tasks, by their names."""
