"""The forces that a training learns from: how large they are, from a sample."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dpgen2_hpc.data.npy import read_array

SYSTEMS, FRAMES = 32, 64
"""How many systems are looked into, evenly over all, and how many frames of each."""


def force_spread(directory: Path, systems: Sequence[str]) -> float | None:
    """Return the root mean square of the reference forces in eV/Å, or ``None`` where none can be read.

    ``systems`` are paths as seen from ``directory``, in the format deepmd/npy.
    """
    chosen = sorted({round(place) for place in np.linspace(0, len(systems) - 1, min(SYSTEMS, len(systems)))})
    squares = [square for index in chosen for square in _mean_squares(directory / systems[index])]
    return math.sqrt(sum(squares) / len(squares)) if squares else None


def _mean_squares(system: Path) -> Iterator[float]:
    """Yield the mean square of the forces of the first frames of a system."""
    for path in sorted(system.glob("set.*/force.npy"))[:1]:
        try:
            forces = np.asarray(read_array(path)[:FRAMES], dtype=np.float64)
        except ValueError:  # what is wrong with the data, dp has said
            continue
        yield from (float(value) for value in (forces**2).mean(axis=1) if math.isfinite(value))
