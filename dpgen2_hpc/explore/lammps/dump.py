"""Parse the text of one frame of a LAMMPS dump."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame

HEADER_LINES = 9

STEP_DIGITS = 15
"""Most digits of an MD step or a number of atoms: such numbers are exact as floating-point numbers, too."""

BOUNDARIES = {bytes(pair) for pair in itertools.product(b"pfsm", repeat=2)}
"""How LAMMPS writes the boundaries of one axis: ``pp``, ``ff``, ``fs`` ..."""

Table = NDArray[np.float64]


class _NoNumbersError(Exception):
    """The text is not the table of numbers that it should be."""


@dataclass(frozen=True)
class Record:
    """The parts of one whole frame: ``body`` has a line for each atom."""

    step: int
    natoms: int
    box: tuple[bytes, ...]
    columns: tuple[bytes, ...]
    body: bytes

    def frame(self, type_map: Sequence[str]) -> Frame | None:
        """Return the frame, or ``None`` if it is not one of these types with finite numbers in its columns."""
        try:
            table = self._table((b"type", b"x", b"y", b"z"))
            cell, origin = _cell(self.box)
            symbols = _symbols(table[:, 0], type_map)
        except _NoNumbersError:
            return None
        return Frame(symbols, table[:, 1:] - origin, cell, periodic=b"ff" not in self.box[0].split())

    def forces(self) -> Table | None:
        """Return the forces, shape (N, 3), eV/Å; ``None`` if the dump has none, or a number cannot be parsed."""
        try:
            return self._table((b"fx", b"fy", b"fz"))
        except _NoNumbersError:
            return None

    def _table(self, names: Sequence[bytes]) -> Table:
        """Return these columns, a row for each atom, in the order of their ids."""
        wanted = (b"id", *names)
        if not set(wanted) <= set(self.columns):
            raise _NoNumbersError
        table = _numbers(self.body.split(b"\n"), len(self.columns), [self.columns.index(name) for name in wanted])
        ids = table[:, 0]
        if len(np.unique(ids)) != self.natoms or not np.all((ids >= 1) & (ids == np.floor(ids))):
            raise _NoNumbersError
        return np.asarray(table[np.argsort(ids, kind="stable"), 1:])


def parsed(text: bytes) -> Record | None:
    """Return the frame at the start of ``text``, which ends where the next one begins; ``None`` unless it is whole."""
    lines = text.split(b"\n", HEADER_LINES)
    if len(lines) <= HEADER_LINES or not lines[8].startswith(b"ITEM: ATOMS"):
        return None
    step, natoms = whole_number(lines[1]), whole_number(lines[3])
    if step is None or natoms is None:
        return None
    body, newline, _ = lines[HEADER_LINES].rpartition(b"\n")  # after it: a torn marker
    if body.count(b"\n") + len(newline) != natoms:
        return None
    return Record(step, natoms, tuple(lines[4:8]), tuple(lines[8].split()[2:]), body)


def whole_number(text: bytes) -> int | None:
    """Return an MD step or a number of atoms, ``None`` if the text is not one, is negative or is beyond all bounds."""
    word = text.strip()
    return int(word) if word.isdigit() and len(word) <= STEP_DIGITS else None


def _numbers(lines: Sequence[bytes], columns: int, places: Sequence[int]) -> Table:
    """Return these columns of lines that have so many of them, all finite."""
    rows = [line.split() for line in lines]
    if any(len(row) != columns for row in rows):
        raise _NoNumbersError
    words = [row[place] for row in rows for place in places]
    try:
        table = np.array(words, dtype=np.float64).reshape(len(rows), len(places))
    except ValueError as problem:
        raise _NoNumbersError from problem
    if not np.all(np.isfinite(table)) or any(b"_" in word for word in words):  # Python reads 1_000 as a number
        raise _NoNumbersError
    return table


def _cell(box: Sequence[bytes]) -> tuple[Table, Table]:
    """Return the cell vectors, shape (3, 3), and the origin, shape (3,), both in Å, from the header's four box lines.

    The bounds of a skewed cell are those of the box around it, as described on the LAMMPS manual's page on triclinic
    boxes.
    """
    words = box[0].split()[3:]
    skewed = words[:3] == [b"xy", b"xz", b"yz"]
    if len(words) != 3 + 3 * skewed or not set(words[-3:]) <= BOUNDARIES:
        raise _NoNumbersError
    rows = _numbers(box[1:], 2 + skewed, range(2 + skewed))
    xy, xz, yz = rows[:, 2] if skewed else (0.0, 0.0, 0.0)
    low = rows[:, 0] - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
    high = rows[:, 1] - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
    lengths = high - low
    if not np.all(lengths > 0):
        raise _NoNumbersError
    return np.array([[lengths[0], 0, 0], [xy, lengths[1], 0], [xz, yz, lengths[2]]], dtype=np.float64), low


def _symbols(types: Table, type_map: Sequence[str]) -> tuple[str, ...]:
    if np.any(types < 1) or np.any(types > len(type_map)) or np.any(types != np.floor(types)):
        raise _NoNumbersError
    return tuple(type_map[kind - 1] for kind in types.astype(np.int64))
