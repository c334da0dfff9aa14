"""POSCAR of VASP 5 and later, in all the forms that VASP reads (VASP Wiki: POSCAR)."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FORMATS = ("vasp/poscar", "vasp/contcar", "poscar", "contcar")
"""dpdata's names of the format."""


def read_poscar(path: str, known: Collection[str] = ()) -> dict[str, Any]:
    """Return a configuration as dpdata has it: names, types, cell and coordinates (Å) of one frame.

    What is behind the positions (selective dynamics, velocities) is passed over. A left-handed cell is replaced by its
    negative, which spans the same lattice. ``Al_pv`` and ``Al/0123abcd`` mean ``Al``, unless ``known`` has the name.

    Raises
    ------
    ValueError
        It is not as VASP wants it; the message has the number of the line.
    """
    lines = [line.split() for line in Path(path).read_text().splitlines()]
    if len(lines) < 8:
        raise ValueError(f"it has {len(lines)} lines, and a POSCAR at least 8")
    rows = np.array([_numbers(lines, number, 3) for number in (2, 3, 4)])
    factors = _factors(lines, rows)
    names, counts = _species(lines, known)
    at = 7 + (lines[7][:1] != [] and lines[7][0][0] in "Ss")
    cartesian = at < len(lines) and lines[at][:1] != [] and lines[at][0][0] in "CcKk"
    places = np.array([_numbers(lines, at + 1 + index, 3) for index in range(sum(counts))]).reshape(-1, 3)
    cell = rows * factors
    if not abs(np.linalg.det(cell)) > 0:
        raise ValueError("the cell has no volume")
    coords = places * factors if cartesian else places @ cell
    return _data(names, counts, cell * np.sign(np.linalg.det(cell)), coords)


def _factors(lines: Sequence[Sequence[str]], rows: Array) -> Array:
    """Return what cell and Cartesian positions are multiplied by: one number, a volume (negative), or three."""
    three = len(lines[1]) > 2 and all(_is_number(word) for word in lines[1][:3])
    factors = np.array(_numbers(lines, 1, 3 if three else 1))
    if len(factors) == 1 and factors[0] < 0:
        factors = np.cbrt(-factors / abs(np.linalg.det(rows)))
    if not (factors > 0).all():
        raise ValueError("line 2: the scaling factor is 0, or one of three is negative")
    return factors


def _species(lines: Sequence[Sequence[str]], known: Collection[str]) -> tuple[list[str], list[int]]:
    if not lines[5] or lines[5][0].isdigit():
        raise ValueError("line 6 must have the names of the elements: add them before their numbers, as 'Al Cu'")
    counts: list[int] = []
    for word in lines[6]:
        if not word.isdigit():
            break
        counts.append(int(word))
    names = [_element(word, known) for word in lines[5][: len(counts)]]
    if not sum(counts) or len(names) != len(counts):
        raise ValueError(f"lines 6 and 7: '{' '.join(lines[5])}' and '{' '.join(lines[6])}' do not go together")
    return names, counts


def _element(word: str, known: Collection[str]) -> str:
    name = word.partition("/")[0]
    return name if name in known else name.partition("_")[0]


def _numbers(lines: Sequence[Sequence[str]], number: int, count: int) -> list[float]:
    """Return the first numbers of a line; ``number`` counts from 0. Fortran's 1.0d0 is one too."""
    words = lines[number][:count] if number < len(lines) else []
    if len(words) < count or not all(map(_is_number, words)):
        found = f"found '{' '.join(lines[number])}'" if number < len(lines) else "the file ends before"
        raise ValueError(f"line {number + 1} must have {count} number{'s' if count > 1 else ''}, {found}")
    return [_number(word) for word in words]


def _number(word: str) -> float:
    return float(word.lower().replace("d", "e"))


def _is_number(word: str) -> bool:
    try:
        return bool(np.isfinite(_number(word)))
    except ValueError:
        return False


def _data(names: Sequence[str], counts: Sequence[int], cell: Array, coords: Array) -> dict[str, Any]:
    """Return what dpdata.System wants; an element that stands there twice is one."""
    symbols = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
    kinds = list(dict.fromkeys(symbols))
    return {
        "atom_names": kinds,
        "atom_numbs": [symbols.count(kind) for kind in kinds],
        "atom_types": np.array([kinds.index(symbol) for symbol in symbols]),
        "cells": cell[None],
        "coords": coords[None],
        "orig": np.zeros(3),
    }
