"""Arrays in npy files: thousands of small ones, whose headers are alike, and large ones that are only looked into."""

import errno
import io
import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from math import inf, prod
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL = 1 << 20
"""Bytes up to which a file is read whole."""

BLOCK = 1 << 14
"""Bytes that are asked for at first: most files of one frame are shorter."""

HEAD = 256
"""Bytes of a file that hold the head of every array that ``np.save`` writes here."""

DISK = frozenset({errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.EINTR, errno.ENOMEM, errno.EAGAIN})
"""Errors that say nothing about what is in a file."""

BROKEN = (OSError, ValueError, EOFError, TypeError, SyntaxError, TokenError, OverflowError, MemoryError, KeyError)
"""What numpy raises over a file that is not an array, or one whose head is damaged."""

PLAIN = b"\x93NUMPY\x01\x00"


@dataclass(frozen=True)
class Header:
    """What the head of a file says of its array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def write_array(path: str | Path, array: NDArray[Any]) -> None:
    """Write an array as ``np.save`` does, which itself says nothing when the disk takes only a part of it.

    Raises
    ------
    OSError
        The disk did not take all of it.
    """
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    with Path(path).open("wb") as file:
        file.write(content.getbuffer())


def read_array(path: str | Path) -> NDArray[Any]:
    """Return the array of a file, not to be written to; of a large one no more than its header is read.

    Raises
    ------
    ValueError
        The file is missing or holds no whole array; the message names it.
    """
    try:
        array = _small(path)
        return np.load(path, mmap_mode="r", allow_pickle=False) if array is None else array
    except OSError as problem:
        if problem.errno in DISK:
            raise
        raise ValueError(f"'{path}' is missing or is no whole array: {problem}") from problem
    except BROKEN as problem:
        raise ValueError(f"'{path}' is missing or is no whole array: {problem}") from problem


def read_header(path: str | Path) -> Header:
    """Return what a file says of its array, which must be there whole; in the plain form the head alone is read.

    Raises
    ------
    ValueError
        As :func:`read_array`.
    """
    try:
        descriptor = _opened(path)
        try:
            found = _plain(os.read(descriptor, HEAD), os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
    except BROKEN:
        found = None  # read_array has the words for what is wrong
    if found is not None:
        return found[0]
    array = read_array(path)
    return Header(array.shape, array.dtype)


def read_bytes(path: str | Path, most: float = inf) -> bytes:
    """Return the content of a file; of one that is longer than ``most`` bytes, the beginning, which is longer too.

    Raises
    ------
    OSError
        It cannot be read, or is not a regular file.
    """
    descriptor = _opened(path)
    try:
        data = os.read(descriptor, BLOCK)
        if len(data) < BLOCK:
            return data
        pieces, known = [data], len(data)
        while known <= most and (more := os.read(descriptor, _left(descriptor, known))):
            pieces.append(more)
            known += len(more)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def _opened(path: str | Path) -> int:
    """Open a regular file; a fifo would wait for somebody who writes into it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def _left(descriptor: int, known: int) -> int:
    """Return how many bytes to ask for when so many of a file are known: all that are left, but a piece at least."""
    return min(max(os.fstat(descriptor).st_size - known, BLOCK), SMALL)


def _small(path: str | Path) -> NDArray[Any] | None:
    """Return the array of a small file in the plain form; ``None`` for any other."""
    data = read_bytes(path, SMALL)
    found = _plain(data, len(data))
    return None if found is None else np.ndarray(found[0].shape, found[0].dtype, data, found[1])


def _plain(data: bytes, size: int) -> tuple[Header, int] | None:
    """Return the header of a file of ``size`` bytes that begins with ``data``, and where its numbers begin."""
    start = 10 + int.from_bytes(data[8:10], "little")
    header = plain_header(data[:start], size) if start <= len(data) else None
    return None if header is None else (header, start)


def plain_header(head: bytes, size: int) -> Header | None:
    """Return what the head of a file of ``size`` bytes says.

    ``None`` unless the file is whole, and of the form that ``np.save`` gives to arrays in C order.
    """
    if not head.startswith(PLAIN):
        return None
    header, length = _parsed(head)
    return header if length == size - len(head) else None


@lru_cache(maxsize=1024)
def _parsed(head: bytes) -> tuple[Header, int]:
    """Return what a head says, and how many bytes the numbers have; -1 for arrays in Fortran's order and of objects."""
    stream = io.BytesIO(head)
    np.lib.format.read_magic(stream)
    try:
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except BROKEN as problem:
        raise ValueError(f"its head is damaged: {problem}") from problem
    plain = not fortran and not dtype.hasobject
    return Header(shape, dtype), dtype.itemsize * prod(shape) if plain else -1
