"""``model_devi.out``: how much the ensemble disagrees along a run."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.kinds import Deviations

COLUMNS = ("step", "max_devi_f", "max_devi_v")

Table = NDArray[np.float64]
"""One row for each line, shape (F, 3): MD step, force deviation (eV/Å), virial deviation (eV/atom)."""


def read_deviations(path: Path) -> Deviations:
    """Return the deviations of a run, each MD step once: of a step that was written twice the last row counts.

    A line that was cut off at the end of the file is no row; one that is no list of numbers is a row of NaN if its MD
    step can be read.

    Raises
    ------
    OutputError
        The file is missing or has no header.
    """
    places = read_header(path)
    table = _fast_table(path, places) if _ends_with_newline(path) else None
    return _joined(_slow_table(path, places) if table is None else table)


def read_header(path: Path) -> tuple[int, ...]:
    """Return the places of :data:`COLUMNS` among the file's columns.

    Raises
    ------
    OutputError
        The file is missing or has no header.
    """
    try:
        with path.open("rb") as lines:
            header = lines.readline()
    except OSError as problem:
        raise OutputError(f"'{path}' cannot be read: {problem.strerror}") from problem
    names = header.decode(errors="replace").lstrip("#").split()
    if not header.startswith(b"#") or not header.endswith(b"\n") or not set(COLUMNS) <= set(names):
        raise OutputError(f"'{path}' has no header with the columns {', '.join(COLUMNS)}")
    return tuple(names.index(name) for name in COLUMNS)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def _fast_table(path: Path, places: tuple[int, ...]) -> Table | None:
    """Return the table of a file in which all is well, else ``None``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header alone is no cause for a warning
            table = np.loadtxt(path, usecols=places, ndmin=2, encoding="ascii").reshape(-1, len(places))
    except ValueError:
        return None
    return table if np.all(_are_steps(table[:, 0])) else None


def _slow_table(path: Path, places: tuple[int, ...]) -> Table:
    text = path.read_bytes().decode("ascii", errors="replace")
    whole = text[: text.rfind("\n") + 1].split("\n")
    rows = [_row(line.split(), places) for line in whole if line.strip() and not line.startswith("#")]
    table = np.array(rows, dtype=np.float64).reshape(-1, len(places))
    return table[_are_steps(table[:, 0])]


def _are_steps(numbers: Table) -> NDArray[np.bool_]:
    return (numbers >= 0) & (numbers < 2.0**53)


def _row(words: list[str], places: tuple[int, ...]) -> list[float]:
    step, *deviations = (_number(words[place]) if place < len(words) else np.nan for place in places)
    return [step, *deviations] if np.all(~np.isnan(deviations)) else [step, np.nan, np.nan]


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return np.nan


def _joined(table: Table) -> Deviations:
    """Return the rows by MD step, of equal steps the last."""
    steps, indices = np.unique(table[::-1, 0].astype(np.int64), return_index=True)
    rows = table[::-1][indices]
    return Deviations(steps, rows[:, 1], rows[:, 2])
