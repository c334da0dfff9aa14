"""``user_forward_files``: files of the user's own that each task of a step finds in its folder."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dpgen2_hpc.errors import InputError
from dpgen2_hpc.state.identity import digest_file, digest_folder, identity
from dpgen2_hpc.state.ledger import Task
from dpgen2_hpc.state.workdir import StepFolder


def forwarded(tasks: Sequence[Task], paths: Sequence[Path], folder: StepFolder) -> list[Task]:
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
