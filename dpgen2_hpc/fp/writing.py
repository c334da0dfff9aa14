"""What writers of inputs share: tables of numbers, runs of elements, meshes of k points."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray


def table(numbers: NDArray[np.float64]) -> str:
    """Return rows of three numbers with twelve decimals; one formatting for all, since frames come in thousands."""
    return "%.12f %.12f %.12f\n" * len(numbers) % tuple(np.ravel(numbers).tolist())


def runs(symbols: Sequence[str]) -> list[tuple[str, int]]:
    """Return each run of atoms of one element, in order, and how many they are."""
    return [(symbol, len(list(members))) for symbol, members in groupby(symbols)]


def mesh(cell: NDArray[np.float64], spacing: Sequence[float]) -> tuple[int, int, int]:
    """Return the numbers of k points along the reciprocal vectors: VASP's rule for ``KSPACING``.

    ``spacing`` is in 1/Å, a number for each vector, with the factor 2 pi in it.
    """
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0)
    first, second, third = (max(1, int(np.ceil(one / gap))) for one, gap in zip(lengths, spacing, strict=True))
    return first, second, third
