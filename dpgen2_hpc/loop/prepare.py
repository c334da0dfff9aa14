"""The tasks of a step as they are written: its own inputs, and the user's own files (``user_forward_files``)."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dpgen2_hpc.dispatch.attempts import write_attempt
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.loop.step import Step
from dpgen2_hpc.state.files import fresh_folder
from dpgen2_hpc.state.identity import digest_file, digest_folder, identity
from dpgen2_hpc.state.ledger import Ledger, Task
from dpgen2_hpc.state.workdir import Place, StepFolder


def prepare(step: Step, place: Place, forward: Sequence[str] = ()) -> None:
    """Write the tasks of a step, from the start, and at last the ledger; each task gets the files ``forward`` too."""
    folder = place.folder(step.name)
    fresh_folder(folder.path)
    tasks = _forwarded(step.prepare(place), [Path(path) for path in forward], folder)
    for number in range(len(tasks)):
        write_attempt(folder.task(number), 1)
    Ledger.create(folder.ledger, tasks)


def _forwarded(tasks: Sequence[Task], paths: Sequence[Path], folder: StepFolder) -> list[Task]:
    """Copy the files into ``shared/`` once, link them into the folder of each task, and return the tasks with them.

    Raises
    ------
    InputError
        One bears the name of a file that a task has already.
    """
    if not paths or not tasks:
        return list(tasks)
    folder.shared.mkdir(exist_ok=True)
    digests = {}
    for path in paths:
        copy = folder.shared / path.name
        if copy.exists() or (folder.task(0) / path.name).exists():
            raise InputError(
                f"machine.json: {folder.step}.user_forward_files: '{path}' has the name of a file that each task has "
                "already; rename it"
            )
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, copy)
        digests[path.name] = digest_folder(copy) if path.is_dir() else digest_file(copy)
    for number in range(len(tasks)):
        for path in paths:
            (folder.task(number) / path.name).symlink_to(Path("..") / "shared" / path.name)
    return [
        replace(task, identity=identity(task=task.identity, forwarded=digests), inputs=(*task.inputs, *digests))
        for task in tasks
    ]
