"""What the driving model predicted along a run: forces in the dump, energy and pressure in ``predicted.out``."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.outputs import open_output
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.explore.lammps.dump import Record, whole_number
from dpgen2_hpc.explore.lammps.input import PREDICTED, TRAJECTORY
from dpgen2_hpc.explore.lammps.joined import rows_of_steps
from dpgen2_hpc.explore.lammps.trajectory import read

BAR = 1602176.634
"""1 eV/Å³ in bar."""

COLUMNS = 8
"""MD step, energy (eV), and the virial's part of the pressure (bar): XX YY ZZ XY XZ YZ."""

LARGEST, LONGEST_LINE = 1 << 28, 1 << 12
"""Most bytes of the file that are read (256 MiB), and most of a line."""

Row = NDArray[np.float64]


def read_predictions(directory: Path, md_steps: Sequence[int], type_map: Sequence[str]) -> list[Labels | None]:
    """Return what the driving model predicted for the frames of these MD steps; ``None`` where that was not kept.

    A step that is in the file more than once has no prediction, since nothing says which frame a row belongs to.

    Raises
    ------
    OutputError
        There is no trajectory that could be read.
    """
    rows = _rows(directory / PREDICTED, set(md_steps))

    def taken(record: Record) -> Labels | None:
        frame, forces = record.frame(type_map), record.forces()
        row = rows.get(record.step)
        return None if frame is None or forces is None or row is None else _labels(frame, forces, row)

    return read(directory / TRAJECTORY, md_steps, taken, lambda: rows_of_steps(directory))


def _labels(frame: Frame, forces: NDArray[np.float64], row: Row) -> Labels:
    energy, (xx, yy, zz, xy, xz, yz) = float(row[0]), row[1:]
    pressure = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    virial = pressure * abs(float(np.linalg.det(frame.cell))) / BAR
    return Labels(frame, energy, forces, virial if frame.periodic else None)


def _rows(path: Path, md_steps: AbstractSet[int]) -> dict[int, Row | None]:
    """Return the rows of ``predicted.out`` for these MD steps; ``None`` for a step that has several."""
    rows: dict[int, Row | None] = {}
    try:
        with open_output(path) as file:
            for line in _lines(file):
                row = _row(line, md_steps)
                if row is not None:
                    rows[row[0]] = None if row[0] in rows else row[1]
    except OutputError:
        return {}
    return rows


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the whole lines of a file, up to the first that is too long for a row and up to a bound of bytes."""
    left = LARGEST
    while left > 0 and (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
        left -= len(line)
        yield line


def _row(line: bytes, md_steps: AbstractSet[int]) -> tuple[int, Row] | None:
    words = line.split()
    step = whole_number(words[0]) if len(words) == COLUMNS else None
    if step is None or step not in md_steps or b"_" in line:
        return None
    try:
        row = np.array(words[1:], dtype=np.float64)
    except ValueError:
        return None
    return (step, row) if np.all(np.isfinite(row)) else None
