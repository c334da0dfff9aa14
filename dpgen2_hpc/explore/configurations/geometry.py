"""How close atoms are, and how dense matter is: what shows a wrong lattice constant before a week of queue does."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.densities import GRAM_PER_CM3
from dpgen2_hpc.data.frame import Frame

PAIRS = 300_000
"""Most distances that are computed for one frame."""

IMAGES = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def nearest_distance(frame: Frame) -> float:
    """Return the smallest distance (Å) between two atoms, images included; infinity for a lone atom.

    Of a large frame only some atoms are looked at, evenly over it, each against all others.
    """
    images = IMAGES if frame.periodic else np.zeros((1, 3), dtype=int)
    coords = frame.coords
    if frame.periodic:
        fractions = coords @ np.linalg.inv(frame.cell)
        coords = (fractions - np.floor(fractions)) @ frame.cell
    rows = min(len(coords), max(1, PAIRS // (len(images) * len(coords))))
    chosen = np.unique(np.linspace(0, len(coords) - 1, rows).astype(int))
    shifted = (coords[None, :, :] + (images @ frame.cell)[:, None, :]).reshape(-1, 3)
    distances = np.linalg.norm(coords[chosen][:, None, :] - shifted[None, :, :], axis=-1)
    distances[_own(chosen, len(coords), images)] = np.inf
    return float(distances.min())


def _own(chosen: NDArray[np.intp], natoms: int, images: NDArray[np.int_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places of each chosen atom's distance to itself, which is no distance."""
    centre = int(np.flatnonzero(~images.any(axis=1))[0])
    return np.arange(len(chosen)), centre * natoms + chosen


def density(frame: Frame, masses: Mapping[str, float]) -> float:
    """Return the density (g/cm³) of a periodic frame; ``masses`` in u."""
    mass = sum(masses[symbol] for symbol in frame.symbols)
    return GRAM_PER_CM3 * mass / abs(float(np.linalg.det(frame.cell)))
