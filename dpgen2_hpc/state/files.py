"""The only code that writes state: a file is there whole, or as it was.

Every name that ``rename`` or ``link`` makes visible has its content on the disk first (fsync), and the folder is synced
after. Task inputs and scripts, in folders that do not count yet, are plain writes and do not come through here.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dpgen2_hpc.errors import StateError, StorageError

TRANSIENT = frozenset(
    {
        *(errno.ESTALE, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ETIMEDOUT, errno.ENOLCK, errno.ETXTBSY),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EREMOTEIO, errno.ECONNRESET, errno.ENETDOWN),
        *(errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ESHUTDOWN, errno.ENOTCONN),
    }
)
"""Errors that pass: a file server that restarts, too many open files. The driver tries again (``loop/patience.py``)."""

NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES})
"""What file systems answer that cannot sync a folder."""


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what a full or broken disk raises into :class:`StorageError` with the file's name; what passes stays."""
    try:
        yield
    except OSError as error:
        if error.errno in TRANSIENT:
            raise
        raise StorageError(path, error) from error


def write_atomic(
    path: Path, content: str | bytes, mode: int = 0o644, before_rename: Callable[[], None] = lambda: None
) -> None:
    """Write a file whole: temporary in the same folder, fsync, rename, fsync of the folder.

    The temporary file is always a new one: neither a link that somebody put there nor the mode of an old one counts.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.tmp")
    with storing(path):
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        before_rename()
        os.replace(temporary, path)
        sync_folder(path.parent)


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    """Write ``value`` as indented JSON, atomically; NaN is not JSON and raises ``ValueError``."""
    write_atomic(path, json.dumps(value, indent=1, allow_nan=False) + "\n", mode)


def write_lines(path: Path, rows: Sequence[Any]) -> None:
    """Write a JSON line for each of ``rows``, atomically."""
    encode = json.JSONEncoder(allow_nan=False).encode  # `json.dumps` would make one for each row
    write_atomic(path, "".join(encode(row) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    """Read a state file.

    Raises
    ------
    StateError
        It is missing or broken; the message names the line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StateError(f"'{path}' is missing; it was there when the record was written.", path) from error
    except UnicodeDecodeError as error:
        raise StateError(f"'{path}' is not text: byte {error.start} is not UTF-8.", path) from error
    except json.JSONDecodeError as error:
        raise StateError(f"'{path}', line {error.lineno}: this is not JSON ({error.msg}).", path) from error


def read_lines(path: Path) -> list[Any]:
    """Read a file of JSON lines that was written whole."""
    rows = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise StateError(f"'{path}', line {number}: this is not JSON ({error.msg}).", path) from error
    return rows


def append_durable(path: Path, text: str) -> None:
    """Append whole lines and fsync; a torn line that an earlier crash left at the end is cut off first.

    The lines go to the end of the file as it is then (``O_APPEND``), and overwrite nothing that was appended meanwhile.
    For the same reason a file whose last line is whole is never cut, whatever its size is by then.
    """
    with storing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            size = os.lseek(descriptor, 0, os.SEEK_END)
            end = _end_of_last_line(descriptor, size)
            if end != size:
                os.ftruncate(descriptor, end)
            _write_all(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def publish_folder(temporary: Path, final: Path) -> None:
    """Give a folder that was filled aside its name, with everything in it on the disk.

    An older folder of that name is one that never counted (a step's harvest is repeated from its start): it goes.
    """
    with storing(final):
        for path in [*sorted(temporary.rglob("*")), temporary]:
            if not path.is_symlink():
                sync_folder(path) if path.is_dir() else _sync_file(path)
        if final.exists():
            shutil.rmtree(final)
        os.rename(temporary, final)
        sync_folder(final.parent)


def fresh_folder(path: Path) -> Path:
    """Return ``path`` as a new, empty folder; what an interrupted try left there is removed."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable, where the file system allows it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _end_of_last_line(descriptor: int, end: int) -> int:
    """Return the offset after the last newline before ``end``: lines are short, so one block nearly always shows it."""
    while end > 0:
        start = max(0, end - 65536)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StateError(f"'{path}' is missing; it was there when the record was written.", path) from error
    except UnicodeDecodeError as error:
        raise StateError(f"'{path}' is not text: byte {error.start} is not UTF-8.", path) from error
