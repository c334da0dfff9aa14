"""Read what tasks wrote: regular files only, and never more of them than was asked for.

A task may leave anything under the name of its output: a fifo, a folder, a device, a link to nothing, eight gigabytes.
None of these may hang or end the driver. What a task did wrong raises :class:`OutputError`, and its attempt has failed;
what is wrong with the disk (EIO, ESTALE, EMFILE ...) stays an ``OSError``, and costs no attempt.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from dpgen2_hpc.errors import OutputError

LIMIT = 1 << 29
"""Bytes of a file that is read whole: 512 MiB, far above the output of any single-point calculation."""

OF_THE_TASK = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.ENAMETOOLONG}
)
"""Errors of a path that say something about what a task left there, not about the disk."""


def open_output(path: Path) -> BinaryIO:
    """Open a file that a task wrote, for reading; links are followed.

    Raises
    ------
    OutputError
        It is missing, is not a regular file, or its mode forbids the owner to read it.
    OSError
        The disk did not allow it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a fifo would wait for a writer
    except OSError as error:
        raise blamed(error, path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OutputError(f"'{path.name}' is not a regular file")
    return os.fdopen(descriptor, "rb")


def read_output(path: Path, limit: int = LIMIT) -> bytes:
    """Return the content of a file that a task wrote; raises what :func:`open_output` does.

    Raises
    ------
    OutputError
        It has more than ``limit`` bytes.
    """
    with open_output(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise OutputError(f"'{path.name}' has {size} bytes, more than the {limit} that are read")
        return file.read(limit)


def read_output_text(path: Path, limit: int = LIMIT) -> str:
    """Return a file that a task wrote as text; bytes that are not UTF-8 become the replacement character."""
    return read_output(path, limit).decode(errors="replace")


def read_output_end(path: Path, length: int) -> bytes:
    """Return at most the last ``length`` bytes of a file that a task wrote, of any size."""
    with open_output(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - length))
        return file.read(length)


def read_output_ends(path: Path, length: int) -> bytes:
    """Return at most the first and the last ``length`` bytes of a file that a task wrote, of any size."""
    with open_output(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= 2 * length:
            return file.read(2 * length)
        head = file.read(length)
        file.seek(size - length)
        return head + b"\n" + file.read(length)


def blamed(error: OSError, path: Path) -> OutputError | OSError:
    """Return the error to raise in the place of ``error``: the task's fault, or still the disk's."""
    if error.errno == errno.ENOENT and not path.is_symlink():
        return OutputError(f"there is no '{path.name}'")
    if error.errno in OF_THE_TASK or _forbids_its_owner(error, path):
        return OutputError(f"'{path.name}' cannot be read: {error.strerror}")
    return error


def _forbids_its_owner(error: OSError, path: Path) -> bool:
    """Whether a file may not be read because its task took the permission away, as against a fault of the disk."""
    if error.errno not in (errno.EACCES, errno.EPERM):
        return False
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & stat.S_IRUSR


def tail(path: Path, lines: int = 10) -> str:
    r"""Return the last lines of a log, the empty string if it cannot be read; only its end is read.

    What a terminal would obey is shown as ``\x1b``: a program may print anything.
    """
    try:
        end = read_output_end(path, 200 * lines)
    except OutputError:
        return ""
    return "\n".join(printable(line) for line in end.decode(errors="replace").splitlines()[-lines:])


def printable(text: str) -> str:
    r"""Return a line in which control characters are escaped, except tabs.

    Examples
    --------
    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(
        character if character.isprintable() or character == "\t" else character.encode("unicode_escape").decode()
        for character in text
    )
