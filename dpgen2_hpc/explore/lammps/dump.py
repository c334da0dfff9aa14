"""The text of one frame of a LAMMPS dump, taken apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame

HEADER_LINES = 9


class _NoNumbersError(Exception):
    """Where numbers should be is something else."""


@dataclass(frozen=True)
class Record:
    """The text of one whole frame, taken apart: ``body`` has a line for each atom."""

    step: int
    natoms: int
    box: tuple[bytes, ...]
    columns: tuple[bytes, ...]
    body: bytes

    def frame(self, type_map: Sequence[str]) -> Frame | None:
        """Return the frame, or ``None`` if its numbers are none.

        Raises
        ------
        ValueError
            The dump has other columns or types than it should.
        """
        try:
            table = self._table((b"type", b"x", b"y", b"z"))
            cell, origin = _cell(self.box)
        except _NoNumbersError:
            return None
        symbols = _symbols(table[:, 0].astype(np.int64), type_map)
        return Frame(symbols, table[:, 1:] - origin, cell, periodic=b"ff" not in self.box[0].split())

    def forces(self) -> NDArray[np.float64] | None:
        """Return the forces, shape (N, 3), eV/Å; ``None`` if the dump has none or its numbers are none."""
        names = (b"fx", b"fy", b"fz")
        if not set(names) <= set(self.columns):
            return None
        try:
            return self._table(names)
        except _NoNumbersError:
            return None

    def _table(self, names: Sequence[bytes]) -> NDArray[np.float64]:
        """Return these columns, a row for each atom by its number."""
        places = [self._column(name) for name in (b"id", *names)]
        try:
            table = np.array(self.body.split(), dtype=np.float64).reshape(self.natoms, len(self.columns))[:, places]
        except ValueError as problem:
            raise _NoNumbersError from problem
        if not np.all(np.isfinite(table)):
            raise _NoNumbersError
        return np.asarray(table[np.argsort(table[:, 0], kind="stable"), 1:])

    def _column(self, name: bytes) -> int:
        if name not in self.columns:
            raise ValueError(f"the dump has no column {name.decode()}")
        return self.columns.index(name)


def parsed(text: bytes) -> Record | None:
    """Return the frame at the start of ``text``, which ends where the next one begins; ``None`` unless it is whole."""
    lines = text.split(b"\n", HEADER_LINES)
    if len(lines) <= HEADER_LINES or not lines[8].startswith(b"ITEM: ATOMS"):
        return None
    if not lines[1].strip().isdigit() or not lines[3].strip().isdigit():
        return None
    natoms, (body, newline, _) = int(lines[3]), lines[HEADER_LINES].rpartition(b"\n")  # behind it: a torn marker
    if body.count(b"\n") + len(newline) != natoms:
        return None
    return Record(int(lines[1]), natoms, tuple(lines[4:8]), tuple(lines[8].split()[2:]), body)


def _cell(box: Sequence[bytes]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the cell vectors, shape (3, 3), and the origin, shape (3,), both in Å, from the header's four box lines.

    The bounds of a skewed cell are those of the box around it, as the LAMMPS manual's page on triclinic boxes tells.
    """
    try:
        rows = np.array([line.split() for line in box[1:]], dtype=np.float64)
    except ValueError as problem:
        raise _NoNumbersError from problem
    if not np.all(np.isfinite(rows)) or rows.ndim != 2 or rows.shape[1] < 2:
        raise _NoNumbersError
    xy, xz, yz = rows[:, 2] if rows.shape[1] == 3 else (0.0, 0.0, 0.0)
    low = rows[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
    high = rows[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
    lengths = high - low
    return np.array([[lengths[0], 0, 0], [xy, lengths[1], 0], [xz, yz, lengths[2]]], dtype=np.float64), low


def _symbols(types: NDArray[np.int64], type_map: Sequence[str]) -> tuple[str, ...]:
    if types.min(initial=1) < 1 or types.max(initial=1) > len(type_map):
        raise ValueError(f"the dump has a type that is not among the {len(type_map)} of type_map")
    return tuple(type_map[kind - 1] for kind in types)
