"""What the driving model predicted along a run: forces in the dump, energy and pressure in ``predicted.out``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.explore.lammps.dump import Record
from dpgen2_hpc.explore.lammps.input import PREDICTED, TRAJECTORY
from dpgen2_hpc.explore.lammps.trajectory import read

BAR = 1602176.634
"""1 eV/Å³ in bar."""

COLUMNS = 8
"""MD step, energy (eV), and the virial's part of the pressure (bar): XX YY ZZ XY XZ YZ."""

Row = NDArray[np.float64]


def read_predictions(directory: Path, md_steps: Sequence[int], type_map: Sequence[str]) -> list[Labels | None]:
    """Return what the driving model said of the frames of these MD steps; ``None`` where that was not kept."""
    rows = _rows(directory / PREDICTED)

    def taken(record: Record) -> Labels | None:
        frame, forces = record.frame(type_map), record.forces()
        row = rows.get(record.step)
        return None if frame is None or forces is None or row is None else _labels(frame, forces, row)

    return read(directory / TRAJECTORY, md_steps, taken)


def _labels(frame: Frame, forces: NDArray[np.float64], row: Row) -> Labels:
    energy, (xx, yy, zz, xy, xz, yz) = float(row[0]), row[1:]
    pressure = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    virial = pressure * abs(float(np.linalg.det(frame.cell))) / BAR
    return Labels(frame, energy, forces, virial if frame.periodic else None)


def _rows(path: Path) -> dict[int, Row]:
    """Return the rows of ``predicted.out`` by MD step, of equal steps the last; what is no whole row is passed over."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    lines = text[: text.rfind(b"\n") + 1].splitlines()
    return {int(row[0]): row[1:] for row in map(_row, lines) if row is not None}


def _row(line: bytes) -> Row | None:
    words = line.split()
    if len(words) != COLUMNS or not words[0].isdigit():
        return None
    try:
        row = np.array(words, dtype=np.float64)
    except ValueError:
        return None
    return row if np.all(np.isfinite(row)) else None
