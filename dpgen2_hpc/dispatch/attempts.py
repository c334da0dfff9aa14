"""A new attempt at a task: the old one's folder is set aside whole, never overwritten."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from dpgen2_hpc.errors import StateError
from dpgen2_hpc.state.files import fresh_folder
from dpgen2_hpc.state.ledger import TaskState
from dpgen2_hpc.state.workdir import StepFolder

CarryOver = Callable[[TaskState, Path, Path], None]
"""(task, old folder, new folder): bring what a new attempt may use of an old one, a checkpoint."""


def write_attempt(directory: Path, attempt: int) -> None:
    """Say in the folder of a task which attempt it is; jobs of another one leave."""
    (directory / "attempt").write_text(f"{attempt}\n")


def read_attempt(directory: Path) -> int | None:
    """Return which attempt a folder is, or ``None`` for none."""
    try:
        return int((directory / "attempt").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None


def ensure_attempt(folder: StepFolder, task: TaskState, carry_over: CarryOver) -> None:
    """Make the folder of a task that of its newest attempt.

    Whatever instant an earlier try was killed at, this completes it: the new folder is filled aside, the old one
    renamed away, the new one renamed into its place.
    """
    current, attempt = folder.task(task.index), task.attempt
    if read_attempt(current) == attempt:
        return
    new = current.with_name(f"{current.name}.new")
    if not current.exists() and not new.exists():
        raise StateError(f"'{current}' is missing: it holds the inputs of a task that is not done. Restore it.")
    if current.exists():
        fresh_folder(new)
        _copy_inputs(task, current, new)
        carry_over(task, current, new)
        write_attempt(new, attempt)
        current.rename(folder.attempt(task.index, read_attempt(current) or attempt - 1))
    new.rename(current)


def _copy_inputs(task: TaskState, old: Path, new: Path) -> None:
    """Copy the inputs that the task's line names; a link stays the link it is."""
    for name in task.inputs:
        source, target = old / name, new / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            os.symlink(source.readlink(), target)
        elif source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy2(source, target)
