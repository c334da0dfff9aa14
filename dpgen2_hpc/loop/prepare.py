"""The tasks of a step as they are written: its own inputs, and the user's own files (``user_forward_files``)."""

import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from dpgen2_hpc.dispatch.attempts import write_attempt
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.loop.step import Step, TaskStep
from dpgen2_hpc.state.files import fresh_folder
from dpgen2_hpc.state.identity import digest_file, digest_folder, identity
from dpgen2_hpc.state.ledger import DIGITS, Ledger, Task, TaskState
from dpgen2_hpc.state.workdir import Place, StepFolder


def prepare(step: Step, place: Place, forward: Sequence[str] = (), settings: str | None = None) -> None:
    """Write the tasks of a step, from the start, and at last the ledger; each task gets the files ``forward`` too."""
    folder = place.folder(step.name)
    fresh_folder(folder.path)
    tasks = step.prepare(place)
    if tasks and forward:
        digests = share_files(forward, folder)
        tasks = [_with_files(task, link_files(forward, digests, folder, n)) for n, task in enumerate(tasks)]
    for number in range(len(tasks)):
        write_attempt(folder.task(number), 1)
    Ledger.create(folder.ledger, tasks, settings if tasks else None)


def _with_files(task: Task, digests: Mapping[str, str]) -> Task:
    """Return a task with the user's own files among its inputs."""
    who = identity(task=task.identity, forwarded=dict(digests))
    return replace(task, identity=who, inputs={**task.inputs, **digests})


def share_files(paths: Sequence[str], folder: StepFolder) -> dict[str, str]:
    """Copy files into ``shared/`` under names with their digests, each whole; return the digests by file name.

    A changed file gets another name: an attempt that runs keeps the file that it was given.
    """
    folder.shared.mkdir(exist_ok=True)
    return {Path(path).name: _share(Path(path), folder.shared) for path in paths}


def _share(path: Path, shared: Path) -> str:
    half = shared / f".{path.name}.half"
    if half.is_dir():
        shutil.rmtree(half)
    (shutil.copytree if path.is_dir() else shutil.copy2)(path, half)
    digest = digest_folder(half) if half.is_dir() else digest_file(half)
    target = shared / _shared_name(path.name, digest)
    if target.exists():
        shutil.rmtree(half) if half.is_dir() else half.unlink()
    else:
        half.rename(target)
    return digest


def link_files(
    paths: Sequence[str], digests: Mapping[str, str], folder: StepFolder, task: int, directory: Path | None = None
) -> Mapping[str, str]:
    """Link shared files into a task's folder under their own names; return their digests by name.

    Raises
    ------
    InputError
        A file has the name of a file that the task has already.
    """
    for path in paths:
        name = Path(path).name
        try:
            os.symlink(f"../shared/{_shared_name(name, digests[name])}", (directory or folder.task(task)) / name)
        except FileExistsError as error:
            raise InputError(
                f"machine.json: {folder.step}.user_forward_files: '{path}' has the name of a file that each task has "
                "already; rename it"
            ) from error
    return digests


def _shared_name(name: str, digest: str) -> str:
    return f"{name}.{digest[:DIGITS]}"


@dataclass
class StepWorker:
    """A step at its place, as the batch sees it; ``forward`` are the user's own files that go with each task."""

    step: Step
    place: Place
    settings: str
    forward: Sequence[str] = ()

    @property
    def command(self) -> str:
        """The command of an attempt that is submitted now."""
        return self.step.command

    def write(self, task: TaskState, directory: Path) -> Mapping[str, str]:
        """See :class:`dpgen2_hpc.dispatch.attempts.Writer`."""
        written = self._task_step.write(self.place, task.index, task.first, directory)
        if not self.forward:
            return written.inputs
        folder = self.place.folder(self.step.name)
        return {**written.inputs, **link_files(self.forward, self._shared, folder, task.index, directory)}

    @functools.cached_property
    def _shared(self) -> Mapping[str, str]:
        """The digests of the user's own files, shared once in a driver's life."""
        return share_files(self.forward, self.place.folder(self.step.name))

    def judge(self, task: int, directory: Path, exit_code: int | None) -> str | None:
        """See :class:`dpgen2_hpc.loop.step.TaskStep`."""
        return self._task_step.judge(self.place, task, directory, exit_code)

    def carry_over(self, task: TaskState, old: Path, new: Path) -> None:
        """See :class:`dpgen2_hpc.loop.step.TaskStep`."""
        self._task_step.carry_over(self.place, task, old, new)

    @property
    def _task_step(self) -> TaskStep:
        return cast(TaskStep, self.step)  # the others have no tasks, and so no batch
