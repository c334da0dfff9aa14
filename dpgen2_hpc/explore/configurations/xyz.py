"""XYZ, plain and extended: any number of frames, with labels or without (extended XYZ: libAtoms and ASE write it)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FORMATS = ("xyz", "extxyz", "quip/gap/xyz")
"""dpdata's names of the format."""

DRAWN = 100.0
"""Edge (Å) of the cell of a frame without one: dpdata's, in which nothing is periodic."""

PLAIN = "species:S:1:pos:R:3"
"""The columns of a frame that does not say what it has."""

_WORD = re.compile(r"""(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)'|\{([^}]*)\}|\[([^\]]*)\]|(\S+))""")
"""A key with its value, which may stand in quotation marks or brackets."""

SPECIES, POSITIONS = ("species", "element", "symbol"), ("pos", "positions")
"""Names of the columns that are read."""


def read_xyz(path: str) -> list[dict[str, Any]]:
    """Return every frame as dpdata has one: names, types, cell and coordinates (Å); ``nopbc`` where there is no cell.

    Raises
    ------
    ValueError
        It is no XYZ; the message has the number of the line.
    """
    lines = Path(path).read_text().splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return list(_frames(lines))


def _frames(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    at = 0
    while at < len(lines):
        words = lines[at].split()
        if len(words) != 1 or not words[0].isdigit() or words[0] == "0":
            raise ValueError(f"line {at + 1} must have the number of atoms, found '{lines[at][:50]}'")
        end = at + 2 + int(words[0])
        if end > len(lines):
            raise ValueError(f"line {at + 1} says {words[0]} atoms, and the file ends before")
        yield _frame(lines[at + 1], lines[at + 2 : end], at + 3)
        at = end


def _frame(comment: str, rows: Sequence[str], number: int) -> dict[str, Any]:
    """Return a frame; its atoms begin on line ``number``."""
    about = {key.lower(): next(filter(None, values), "") for key, *values in _WORD.findall(comment)}
    kind, place = _columns(about.get("properties", PLAIN))
    symbols, coords = [], []
    for index, row in enumerate(map(str.split, rows)):
        where = f"line {number + index}"
        coords.append(_numbers(row[place : place + 3], 3, where))
        symbols.append(row[kind])
    names = list(dict.fromkeys(symbols))
    data = {
        "atom_names": names,
        "atom_numbs": [symbols.count(name) for name in names],
        "atom_types": np.array([names.index(symbol) for symbol in symbols]),
        "coords": np.array([coords]),
        "orig": np.zeros(3),
    }
    cell = _cell(about, f"line {number - 1}")
    return {**data, "cells": np.eye(3)[None] * DRAWN, "nopbc": True} if cell is None else {**data, "cells": cell[None]}


def _columns(properties: str) -> tuple[int, int]:
    """Return in which column the elements stand, and in which the positions begin."""
    fields = properties.split(":")
    begin: dict[str, int] = {}
    column = 0
    for name, width in zip(fields[::3], fields[2::3], strict=False):
        begin[name.lower()] = column
        column += int(width) if width.isdigit() else 1
    kind = next((begin[name] for name in SPECIES if name in begin), None)
    place = next((begin[name] for name in POSITIONS if name in begin), None)
    if kind is None or place is None:
        raise ValueError(f"Properties={properties} has no elements (species:S:1) or no positions (pos:R:3)")
    return kind, place


def _cell(about: Mapping[str, str], where: str) -> Any:
    """Return the cell (Å), a vector in each row, or ``None`` if there is none or nothing is periodic in it."""
    periodic = about.get("pbc", "T").replace(",", " ").upper().split()
    if "lattice" not in about or not any(word.startswith(("T", "1")) for word in periodic):
        return None
    cell = np.reshape(_numbers(about["lattice"].replace(",", " ").split(), 9, f"{where}: Lattice"), (3, 3))
    if not abs(np.linalg.det(cell)) > 0:
        raise ValueError(f"{where}: Lattice has no volume")
    return cell * np.sign(np.linalg.det(cell))


def _numbers(words: Sequence[str], count: int, where: str) -> list[float]:
    try:
        found = [float(word.lower().replace("d", "e")) for word in words]
    except ValueError:
        found = []
    if len(found) != count or not np.isfinite(found).all():
        raise ValueError(f"{where} must have {count} numbers, found '{' '.join(words)}'")
    return found
