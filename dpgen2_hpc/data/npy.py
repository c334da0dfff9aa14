"""Arrays in npy files: thousands of small ones, whose headers are alike, and large ones that are only looked into."""

import io
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL = 1 << 20
"""Bytes up to which a file is read whole."""


def read_array(path: Path) -> NDArray[Any]:
    """Return the array of a file, not to be written to; of a large one no more than its header is read.

    Raises
    ------
    ValueError
        The file is missing or holds no whole array; the message names it.
    """
    try:
        array = _small(path)
        if array is None:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        len(array)
    except (OSError, ValueError, EOFError, TypeError) as problem:
        raise ValueError(f"'{path}' is missing or is no whole array: {problem}") from problem
    return np.asanyarray(array)


def _small(path: Path) -> NDArray[Any] | None:
    """Return the array of a small file in the plain form that ``np.save`` writes; ``None`` for any other."""
    with path.open("rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size > SMALL:
            return None
        data = file.read()
    start = 10 + int.from_bytes(data[8:10], "little")
    if data[:8] != b"\x93NUMPY\x01\x00":
        return None
    shape, fortran, kind = _header(data[:start])
    if fortran or kind.hasobject or kind.itemsize * int(np.prod(shape)) != len(data) - start:
        return None
    return np.frombuffer(data, kind, offset=start).reshape(shape)


@lru_cache(maxsize=256)
def _header(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    stream = io.BytesIO(head)
    np.lib.format.read_magic(stream)
    shape, fortran, kind = np.lib.format.read_array_header_1_0(stream)
    return shape, fortran, kind
