"""Bring back what a task wrote where its jobs ran in another folder: as it is, links included, each entry whole."""

import errno
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

HALF, TAKEN = ".dpgen2_hpc.half.", ".dpgen2_hpc.taken."
"""Names of an entry that is being copied, and of one that has been copied and is about to be removed."""


def written(directory: Path, sent: Iterable[str]) -> list[str]:
    """Return the names in a task's folder that were not sent there."""
    known = {"attempt", *sent}
    names = (path.name for path in directory.iterdir())
    return sorted(name for name in names if name not in known and not name.startswith((HALF, TAKEN)))


def bring_back(source: Path, target: Path, names: Iterable[str]) -> None:
    """Move these entries of ``source`` into ``target``; repeat it after a kill, and it is completed."""
    for name in names:
        try:
            _clear(target / name)
            (source / name).rename(target / name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_whole(source, target, name)


def _copy_whole(source: Path, target: Path, name: str) -> None:
    """Move an entry to another file system: it gets its name there when all of it is there, and only then goes here."""
    half, taken = target / f"{HALF}{name}", source / f"{TAKEN}{name}"
    _clear(half)
    _copy(source / name, half)
    if os.path.lexists(half):  # a fifo or a socket was not copied
        half.rename(target / name)
    (source / name).rename(taken)
    _clear(taken)


def _copy(source: Path, target: Path) -> None:
    """Copy a file, a link or a folder; what is neither (a fifo, a socket) holds nothing and is left out."""
    mode = source.lstat().st_mode
    if stat.S_ISDIR(mode):
        target.mkdir()
        for entry in os.scandir(source):
            _copy(source / entry.name, target / entry.name)
    elif stat.S_ISLNK(mode):
        target.symlink_to(source.readlink())
    elif stat.S_ISREG(mode):
        shutil.copy2(source, target)


def _clear(path: Path) -> None:
    """Remove what is there under a name, if anything is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
