"""What writers of inputs share: tables of numbers, runs of elements, meshes of k points."""

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby
from math import ceil, hypot, pi
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.state.files import write_atomic


def table(numbers: NDArray[np.float64]) -> str:
    """Return rows of three numbers with ten decimals; one formatting for all, since frames come in thousands."""
    return "%.10f %.10f %.10f\n" * len(numbers) % tuple(np.ravel(numbers).tolist())


@lru_cache(maxsize=128)
def runs(symbols: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Return each run of atoms of one element, in order, and how many they are; an iteration has few formulas."""
    return tuple((symbol, len(list(members))) for symbol, members in groupby(symbols))


def mesh(cell: NDArray[np.float64], spacing: Sequence[float]) -> tuple[int, int, int]:
    """Return the numbers of k points along the reciprocal vectors: VASP's rule for ``KSPACING``.

    ``spacing`` is in 1/Å, a number for each vector, with the factor 2 pi in it.
    """
    a, b, c = cell.tolist()
    normals = [_cross(b, c), _cross(c, a), _cross(a, b)]
    volume = abs(sum(one * other for one, other in zip(a, normals[0], strict=True)))
    first, second, third = (
        max(1, ceil(2 * pi * hypot(*normal) / volume / gap)) for normal, gap in zip(normals, spacing, strict=True)
    )
    return first, second, third


def _cross(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def put(path: str, text: str) -> None:
    """Write a small file: three system calls, and nothing around them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        view = memoryview(text.encode())
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def link_shared(directory: str, name: str, which: str, content: Callable[[], bytes], mode: int = 0o644) -> None:
    """Link a file of a task's folder to the one in ``../shared/``, which the first task that asks for it writes.

    There may be several of the name: ``which`` distinguishes them, a digest of what is in them. So an attempt that is
    written from changed settings gets a file of its own, and jobs that run keep theirs. What a killed driver or a power
    failure leaves half written does not have that name yet.
    """
    target = f"../shared/{name}.{which}"
    shared = f"{directory}/{target}"
    if not os.path.exists(shared):  # noqa: PTH110  (tasks come in thousands, and a Path costs more than the call)
        write_atomic(Path(shared), content(), mode)
    os.symlink(target, f"{directory}/{name}")
