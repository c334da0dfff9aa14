"""What training data may not have: NaN, infinite or absurd numbers, a cell without volume, atoms on one place.

DeePMD-kit stops over such data with a message that names no file, or trains to its end on them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.dataset import REAL_TYPES, Array
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.physical import COINCIDE, FARTHEST, coincide, have_volume, may_coincide
from dpgen2_hpc.data.reading import sets_of

BOUNDS: Mapping[str, tuple[float, str]] = {
    "coord.npy": (FARTHEST, "Å"),
    "box.npy": (FARTHEST, "Å"),
    "energy.npy": (1e10, "eV"),
    "force.npy": (1e6, "eV/Å"),
    "virial.npy": (1e10, "eV"),
}
"""What no number of an array reaches; all-electron energies of large cells come to 1e9 eV."""

PORTION = 1 << 20
"""Coordinates that are looked at together."""


@dataclass(frozen=True)
class Contents:
    """What the numbers of a system say: why it cannot be learned from, and its smallest and largest volume per atom.

    The volumes (Å³) are those of periodic cells.
    """

    fault: str | None
    volumes: tuple[float, float] | None


@dataclass(frozen=True)
class _Portion:
    """Some frames of a set, the first of them number ``start``.

    ``cells`` is ``None`` without periodicity, ``real`` tells the atoms from those that only pad (``None``: all are).
    """

    start: int
    coords: Array
    cells: Array | None
    real: NDArray[np.bool_] | None

    def frame(self, index: int) -> Frame:
        """Return one frame, of atoms without names."""
        coords = self.coords[index] if self.real is None else self.coords[index][self.real[index]]
        cell = np.eye(3) if self.cells is None else self.cells[index]
        return Frame(("",) * len(coords), coords, cell, self.cells is not None)

    def fault(self) -> str | None:
        """Return what cannot be in these frames, as a predicate."""
        if self.cells is not None and not (sound := have_volume(self.cells)).all():
            return f"has a cell without volume in frame {self.start + int(np.argmin(sound))} (counted from 0)"
        for index in np.flatnonzero(may_coincide(self.coords, self.cells, self.real)).tolist():
            if coincide(self.frame(index)):
                return f"has atoms closer than {COINCIDE:g} Å in frame {self.start + index} (counted from 0)"
        return None

    def volumes(self) -> Array:
        """Return the volume per atom (Å³) of each frame; none without periodicity."""
        if self.cells is None:
            return np.empty(0)
        atoms = self.coords.shape[1] if self.real is None else self.real.sum(axis=1)
        return np.asarray(abs(np.linalg.det(self.cells)) / atoms)


def look_into(folder: Path) -> Contents:
    """Return what the numbers of the system ``folder`` say.

    Raises
    ------
    ValueError
        As :func:`dpgen2_hpc.data.reading.inspect`.
    """
    volumes = [np.empty(0)]
    for system, path, arrays in sets_of(folder):
        if fault := _absurd(path, arrays) or _strange_type(path, arrays, len(system.type_map)):
            return Contents(fault, None)
        for portion in _portions(arrays, periodic=system.periodic):
            if fault := portion.fault():
                return Contents(f"'{path}' {fault}", None)
            volumes.append(portion.volumes())
    found = np.concatenate(volumes)
    return Contents(None, (float(found.min()), float(found.max())) if len(found) else None)


def _absurd(path: str, arrays: Mapping[str, NDArray[Any]]) -> str | None:
    """Return which array of a set has a number that no computation gives, and where."""
    for name, (bound, unit) in BOUNDS.items():
        if name not in arrays:
            continue
        rows = arrays[name].reshape(len(arrays[name]), -1)
        size = max(1, PORTION // max(1, rows.shape[1]))
        for start in range(0, len(rows), size):
            good = np.abs(rows[start : start + size]) < bound  # of nan this is false
            if not good.all():
                frame, column = np.argwhere(~good)[0].tolist()
                found = float(rows[start + frame, column])
                what = f"{found:g} {unit}" if np.isfinite(found) else f"{found}"
                return f"'{path}/{name}' has {what} in frame {start + frame} (counted from 0)"
    return None


def _strange_type(path: str, arrays: Mapping[str, NDArray[Any]], types: int) -> str | None:
    """Return what is wrong with the types of a set of the mixed type, of which -1 stands for no atom."""
    kinds = arrays.get(REAL_TYPES)
    if kinds is None or (kinds.min(initial=0) >= -1 and kinds.max(initial=0) < types):
        return None
    return f"'{path}/{REAL_TYPES}' has types beyond 0 to {types - 1}, those of type_map.raw"


def _portions(arrays: Mapping[str, NDArray[Any]], *, periodic: bool) -> Iterator["_Portion"]:
    """Yield the frames of a set, so many at a time that memory does not matter."""
    coords = arrays["coord.npy"].reshape(len(arrays["coord.npy"]), -1, 3)
    size = max(1, PORTION // (3 * coords.shape[1]))
    for start in range(0, len(coords), size):
        part = slice(start, start + size)
        cells = np.asarray(arrays["box.npy"][part], float).reshape(-1, 3, 3) if periodic else None
        real = arrays[REAL_TYPES][part] >= 0 if REAL_TYPES in arrays else None
        yield _Portion(start, np.asarray(coords[part], float), cells, real)
