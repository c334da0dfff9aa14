"""``model_devi.out``: how much the ensemble disagrees along a run."""

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.outputs import open_output
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.explore.lammps.dump import STEP_DIGITS, whole_number

COLUMNS = ("step", "max_devi_f", "max_devi_v")

BLOCK = 1 << 20
"""Bytes that are parsed at once."""

LARGEST = 1 << 28
"""Most bytes of the file (256 MiB): two million frames of 127 bytes each."""

LONGEST_HEADER = 1 << 16

Table = NDArray[np.float64]
"""One row for each line, shape (F, 3): MD step, force deviation (eV/Å), virial deviation (eV/atom)."""


def read_rows(path: Path) -> Table:
    """Return the rows of a run, shape (F, 3), in the order of the file: MD step, force and virial deviation.

    A line that was cut off at the end of the file is not a row. One whose numbers cannot be parsed is a row of NaN if
    its MD step can be.

    Raises
    ------
    OutputError
        The file is missing, too large, or has no header.
    """
    with open_output(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST:
            raise OutputError(f"'{path.name}' has {size} bytes, more than the {LARGEST} that are read")
        names = _header(file, path.name)
        places = [names.index(name) for name in COLUMNS]
        columns = sum(map(_width, names))
        tables = [_table(lines, columns, places) for lines in _blocks(file)]
    return np.concatenate([np.empty((0, len(COLUMNS))), *tables])


def _header(file: BinaryIO, name: str) -> list[str]:
    """Return the names of the columns from the file's first line."""
    header = file.readline(LONGEST_HEADER)
    names = header.decode(errors="replace").lstrip("#").split()
    if not header.startswith(b"#") or not header.endswith(b"\n") or not set(COLUMNS) <= set(names):
        raise OutputError(f"'{name}' has no header with the columns {', '.join(COLUMNS)}")
    return names


def _width(name: str) -> int:
    """Return how many columns a name stands for: ``atm_devi_f(32)``, the deviations of 32 atoms, for that many."""
    atoms = re.fullmatch(r".*\((\d{1,9})\)", name)
    return int(atoms[1]) if atoms else 1


def _blocks(file: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the whole lines after the header, about a block at a time."""
    while lines := file.readlines(BLOCK):
        if not lines[-1].endswith(b"\n"):
            lines.pop()
        yield [line for line in lines if line.strip() and not line.startswith(b"#")]


def _table(lines: Sequence[bytes], columns: int, places: Sequence[int]) -> Table:
    """Return the rows of these lines; ``places`` are those of :data:`COLUMNS` among ``columns`` columns."""
    fast = _fast_table(lines, columns, places)
    if fast is not None:
        return fast
    rows = [row for line in lines if (row := _row(line.split(), columns, places)) is not None]
    return np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))


def _fast_table(lines: Sequence[bytes], columns: int, places: Sequence[int]) -> Table | None:
    """Return the rows of lines in which all is well, else ``None``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no line at all is not worth a warning
            table = np.loadtxt(lines, ndmin=2, encoding="ascii").reshape(len(lines), -1)
    except ValueError:
        return None
    if table.shape[1] != columns:
        return None
    steps = table[:, places[0]]
    if not np.all((steps >= 0) & (steps < 10.0**STEP_DIGITS) & (steps == np.floor(steps))):
        return None
    return np.asarray(table[:, places])


def _row(words: Sequence[bytes], columns: int, places: Sequence[int]) -> list[float] | None:
    """Return a row; NaN where the deviations cannot be parsed, ``None`` where the MD step cannot.

    A number that is missing moves those after it into the columns before.
    """
    step = whole_number(words[places[0]]) if places[0] < len(words) else None
    if step is None:
        return None
    try:
        force, virial = (_number(words[place]) for place in places[1:]) if len(words) == columns else (np.nan, np.nan)
    except ValueError:
        force, virial = np.nan, np.nan
    return [step, force, virial]


def _number(word: bytes) -> float:
    if b"_" in word:  # Python reads 1_000 as a number
        raise ValueError(word)
    return float(word)
