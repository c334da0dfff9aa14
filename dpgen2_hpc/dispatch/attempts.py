"""A new attempt at a task: its inputs are written again, and the old folder is kept whole under another name."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from dpgen2_hpc.data.outputs import read_output_text
from dpgen2_hpc.errors import OutputError, StateError
from dpgen2_hpc.state.files import fresh_folder
from dpgen2_hpc.state.identity import digest_file, digest_folder
from dpgen2_hpc.state.ledger import DIGITS, Ledger, TaskState
from dpgen2_hpc.state.workdir import StepFolder

log = logging.getLogger(__name__)


class Writer(Protocol):
    """What a step does for an attempt before it is submitted."""

    def write(self, task: TaskState, directory: Path) -> Mapping[str, str]:
        """Write the inputs of a task's newest attempt as today's settings have them; return their digests by name."""

    def carry_over(self, task: TaskState, old: Path, new: Path) -> None:
        """Copy what a new attempt may use of the old one, whose verdict is ``task.before``: a checkpoint."""


def write_attempt(directory: Path, attempt: int) -> None:
    """Say in the folder of a task which attempt it is; jobs of another one leave."""
    (directory / "attempt").write_text(f"{attempt}\n")


def read_attempt(directory: Path) -> int | None:
    """Return which attempt a folder is, ``None`` if it does not say (a full disk leaves an empty file)."""
    try:
        return int(read_output_text(directory / "attempt", limit=100))
    except (OutputError, ValueError):
        return None


def ensure_attempt(
    ledger: Ledger, folder: StepFolder, task: TaskState, writer: Writer, *, refresh: bool = False
) -> None:
    """Make the folder of a task that of its newest attempt, with the inputs that today's settings ask for.

    A file that the user has edited in the task's folder is kept. Whatever instant an earlier try was killed at, this
    completes it: the new folder is filled under another name, the old one is renamed, the new one gets its name.
    ``refresh``: write the inputs again even if the folder is that attempt's; its program has not been started.
    """
    current, here = folder.task(task.index), read_attempt(folder.task(task.index))
    new, old = current.with_name(f"{current.name}.new"), current.with_name(f"{current.name}.old")
    if here == task.attempt and not refresh:
        return
    if not current.exists():
        if read_attempt(new) != task.attempt:
            raise StateError(
                f"'{current}' is missing, and its task is not done. Restore the folder, or prepare the whole step "
                f"again: dpgen2-hpc rewind {folder.step}"
            )
        new.rename(current)
        shutil.rmtree(old, ignore_errors=True)
        return
    _fill(ledger, folder, task, writer, new)
    if here == task.attempt or (here is None and task.attempt == 1):  # its program has not been started
        shutil.rmtree(old, ignore_errors=True)
        current.rename(old)
    else:
        current.rename(_free(folder.attempt(task.index, here or task.attempt - 1)))
    new.rename(current)
    shutil.rmtree(old, ignore_errors=True)


def _fill(ledger: Ledger, folder: StepFolder, task: TaskState, writer: Writer, new: Path) -> None:
    """Write the folder of a new attempt; note the digests of its inputs if they are not those of the last one."""
    current = folder.task(task.index)
    here = read_attempt(current)
    fresh_folder(new)
    written = {name: digest[:DIGITS] for name, digest in writer.write(task, new).items()}
    known = _known_digests(task, task.attempt if here is None else here)
    for name in _keep_edits(known, current, new):
        log.info("%s/%s: %s was edited by hand; your version is used", folder.path.name, current.name, name)
    if here != task.attempt and task.attempt > 1:
        writer.carry_over(task, current, new)
    write_attempt(new, task.attempt)
    if written != task.inputs_of(task.attempt):
        ledger.append([{"event": "inputs", "task": task.index, "attempt": task.attempt, "inputs": written}])


def _known_digests(task: TaskState, number: int) -> Mapping[str, set[str | None]]:
    """Return the digests of what may have been written into the folder of an attempt, by name.

    The digests of a new attempt's inputs are durable before its folder gets its name. If the driver was killed in
    between, the folder still has what they replace: that is not an edit of the user's.
    """
    replaced = task.replaced.get(number, []) if number == task.attempt else []
    known: dict[str, set[str | None]] = {}
    for written in (task.inputs_of(number), *replaced):
        for name, digest in written.items():
            known.setdefault(name, set()).add(digest)
    return known


def _keep_edits(known: Mapping[str, set[str | None]], old: Path, new: Path) -> list[str]:
    """Copy the inputs that are not what was written into ``old``; return the names of those known to be edited.

    Of a file that an older version wrote, no digest is known: it is kept as it is.
    """
    edited = []
    for name, digests in known.items():
        source, target = old / name, new / name
        if _is_as_written(source, digests):
            continue
        if None not in digests:
            edited.append(name)
        _replace(source, target)
    return edited


def _is_as_written(path: Path, digests: set[str | None]) -> bool:
    """Whether an input is not an edit of the user's: it has its digest, leads to a shared file, or was deleted."""
    is_link = path.is_symlink()
    if is_link and (None in digests or path.readlink().parts[:2] == ("..", "shared")):
        return True
    if not (path.is_file() or path.is_dir()):
        return not is_link
    return _digest(path)[:DIGITS] in digests


def _digest(path: Path) -> str:
    return digest_folder(path) if path.is_dir() else digest_file(path)


def _replace(source: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _free(path: Path) -> Path:
    """Return ``path``, or the first name after it under which there is nothing."""
    names = (path.with_name(f"{path.name}.{number}") for number in range(2, 1000))
    return next(name for name in (path, *names) if not name.exists())
