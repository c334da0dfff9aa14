"""What no frame of an exploration may be: other atoms than its run's, atoms on one place, a cell without volume."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame

COINCIDE = 1e-3
"""Distance (Å) below which two atoms are on one place: nothing that a model or a first-principles code can describe."""

FARTHEST = 1e6
"""Coordinates (Å) that no simulation of atoms reaches."""

MOST_BINS = 1 << 20
"""Bins along one axis: the numbers of three axes together must fit into 64 bits."""

Array = NDArray[np.float64]


def fault_of(frame: Frame, type_map: Sequence[str], start: Frame | None = None) -> str | None:
    """Return why a frame is invalid, as a predicate (``has 31 atoms ...``); ``None`` if it is valid.

    Parameters
    ----------
    frame
        A frame as a plugin returned it: nothing about it is taken for granted.
    type_map
        The elements that there may be.
    start
        The configuration that its run started from, where the run cannot change its atoms.

    Raises
    ------
    ValueError, TypeError
        The frame is not made of numbers.
    """
    natoms, coords, cell = len(frame.symbols), np.asarray(frame.coords, float), np.asarray(frame.cell, float)
    if natoms == 0 or coords.shape != (natoms, 3) or cell.shape != (3, 3):
        return f"has {natoms} atoms, coordinates of shape {coords.shape} and a cell of shape {cell.shape}"
    if strange := sorted(set(frame.symbols) - set(type_map)):
        return f"has atoms of {', '.join(map(str, strange))}, which type_map does not list"
    if not (np.all(np.abs(coords) < FARTHEST) and np.all(np.abs(cell) < FARTHEST)):
        return f"has numbers that are not finite, or are beyond {FARTHEST:g} Å"
    if start is not None and (other := _other_atoms(frame, start)):
        return other
    return _overlap(frame)


def _other_atoms(frame: Frame, start: Frame) -> str | None:
    """Return how the atoms of a frame differ from those of its start."""
    if len(frame.symbols) != len(start.symbols):
        return f"has {len(frame.symbols)} atoms, the starting configuration has {len(start.symbols)}"
    if frame.symbols != start.symbols:
        number = next(i for i, pair in enumerate(zip(frame.symbols, start.symbols, strict=True)) if pair[0] != pair[1])
        return f"has {frame.symbols[number]} as atom {number + 1}, the starting configuration {start.symbols[number]}"
    if frame.periodic != start.periodic:
        return "differs from the starting configuration in its periodicity"
    return None


def _overlap(frame: Frame) -> str | None:
    with np.errstate(all="ignore"):
        if frame.periodic and not have_volume(frame.cell).all():
            return "has a cell without volume"
        if coincide(frame):
            return f"has atoms closer than {COINCIDE:g} Å"
    return None


def have_volume(cells: Array) -> NDArray[np.bool_]:
    """Return whether opposite faces of cells, shape (..., 3, 3), are apart."""
    with np.errstate(all="ignore"):
        heights = _heights(cells)
        return np.asarray(np.all(np.isfinite(heights) & (heights > COINCIDE), axis=-1))


def _heights(cells: Array) -> Array:
    """Return the distances (Å) between opposite faces, shape (..., 3)."""
    faces = np.cross(cells[..., [1, 2, 0], :], cells[..., [2, 0, 1], :])
    return np.asarray(abs(np.linalg.det(cells))[..., None] / np.linalg.norm(faces, axis=-1))


def coincide(frame: Frame) -> bool:
    """Return whether two atoms are on one place, periodic images included.

    The cell is cut into bins, twice along each axis and shifted by half a bin: two atoms that coincide share a bin in
    one of the eight ways. So the cost grows as the number of atoms does, and few distances are computed.
    """
    places, cell = _places(frame.coords, frame.cell if frame.periodic else None)
    if not np.all(np.isfinite(places)):
        return True  # so far from the cell that the distance of two atoms is lost
    return any(
        _is_close(places[first] - places[second], cell, periodic=frame.periodic)
        for numbers in _binned(places, cell)
        for first, second in _sharing(numbers)
    )


def may_coincide(coords: Array, cells: Array | None, real: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Return which of F frames of N atoms, shape (F, N, 3), have two in one bin: few that :func:`coincide` must see.

    ``cells`` (F, 3, 3) is ``None`` without periodicity; ``real`` (F, N) is false for entries that only pad.
    """
    places, boxes = _places(coords, cells)
    found = ~np.all(np.isfinite(places), axis=(1, 2))
    places = np.where(found[:, None, None], 0.0, places)
    for numbers in _binned(places, boxes):
        alone = numbers if real is None else np.where(real, numbers, -1 - np.arange(numbers.shape[1]))
        found |= np.any(np.diff(np.sort(alone, axis=1), axis=1) == 0, axis=1)
    return np.asarray(found)


def _places(coords: Array, cells: Array | None) -> tuple[Array, Array]:
    """Return coordinates (..., N, 3) in units of the cells (..., 3, 3); without periodicity, of boxes around all."""
    if cells is not None:
        return coords @ np.linalg.inv(cells), cells
    low = coords.min(axis=-2, keepdims=True)
    edges = (coords - low).max(axis=(-2, -1)) + 1
    return (coords - low) / edges[..., None, None], np.eye(3) * edges[..., None, None]


def _binned(places: Array, cells: Array) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of the bins in which atoms are, shape (..., N), in each of the eight ways."""
    bins = np.clip(_heights(cells) // (2 * COINCIDE), 1, MOST_BINS)[..., None, :]
    width = bins.astype(np.int64)
    inside = (places - np.floor(places)) * bins
    ways = [np.floor(inside + shift).astype(np.int64) % width for shift in (0.0, 0.5)]
    for x, y, z in itertools.product(ways, repeat=3):
        yield np.asarray((x[..., 0] * width[..., 1] + y[..., 1]) * width[..., 2] + z[..., 2])


def _sharing(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of atoms whose bins have the same number."""
    order = np.argsort(numbers, kind="stable")
    for distance in range(1, len(order)):
        same = np.flatnonzero(numbers[order[distance:]] == numbers[order[:-distance]])
        if len(same) == 0:
            return
        yield from zip(order[same].tolist(), order[same + distance].tolist(), strict=True)


def _is_close(between: Array, cell: Array, *, periodic: bool) -> bool:
    nearest = between - np.round(between) if periodic else between
    return bool(np.linalg.norm(nearest @ cell) < COINCIDE)
