"""A starting configuration as LAMMPS reads it: ``conf.lmp``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.outputs import read_output_text
from dpgen2_hpc.errors import InputError, OutputError

VACUUM = 9.0
"""Distance (Å) from the outermost atoms to the walls of the box of a frame without periodicity."""

TITLE, OPEN = "dpgen2_hpc", "nopbc"
"""First line of a configuration, a title to LAMMPS, and the word that follows where there is no periodicity."""

EDGES = ("xlo", "ylo", "zlo")

LARGEST = 1 << 28
"""Most bytes of a configuration that are read: 256 MiB."""

Array = NDArray[np.float64]


def write_conf(frame: Frame, type_map: Sequence[str], path: Path) -> None:
    """Write a frame for ``read_data``, its atoms in the frame's own order, to 1e-12 Å.

    The cell is turned as LAMMPS wants it (see :func:`lower_triangular`). Atoms outside of it are left there, since
    LAMMPS wraps them itself. Without periodicity the box is drawn around the atoms, which stay where they are.
    """
    title, box, coords = _turned(frame) if frame.periodic else _boxed(frame)
    lines = [
        title,
        f"\n{len(coords)} atoms\n{len(type_map)} atom types\n",
        *box,
        "\nAtoms # atomic\n",
        _atom_lines(frame.types(type_map), coords),
    ]
    path.write_text("\n".join(lines))


def _turned(frame: Frame) -> tuple[str, list[str], Array]:
    """Return title, box and coordinates of a periodic frame."""
    cell, coords = lower_triangular(frame.cell, frame.coords)
    edges = [_edge(axis, 0.0, cell[i, i]) for i, axis in enumerate("xyz")]
    return TITLE, [*edges, f"{cell[1, 0]:.16g} {cell[2, 0]:.16g} {cell[2, 1]:.16g} xy xz yz"], coords


def _boxed(frame: Frame) -> tuple[str, list[str], Array]:
    """Return title, box and coordinates of a frame without periodicity."""
    low, high = frame.coords.min(axis=0) - VACUUM, frame.coords.max(axis=0) + VACUUM
    edges = [_edge(axis, low[i], high[i]) for i, axis in enumerate("xyz")]
    return f"{TITLE} {OPEN}", edges, frame.coords


def _edge(axis: str, low: float, high: float) -> str:
    return f"{low:.16g} {high:.16g} {axis}lo {axis}hi"


def read_conf(path: Path, type_map: Sequence[str]) -> Frame:
    """Return the frame of a configuration that :func:`write_conf` wrote, its atoms in the order of their ids.

    Coordinates (Å) are counted from the cell's origin.

    Raises
    ------
    OutputError
        It is missing, or is not such a file.
    """
    lines = read_output_text(path, LARGEST).splitlines()
    try:
        return _parse(lines, type_map)
    except (ValueError, IndexError, StopIteration, KeyError, OverflowError) as error:
        raise OutputError(f"'{path.name}' is not a configuration that LAMMPS could start from: {error!r}") from error


def _parse(lines: Sequence[str], type_map: Sequence[str]) -> Frame:
    natoms = next(int(line.split()[0]) for line in lines if line.endswith(" atoms"))
    bounds = {words[2]: words[:2] for line in lines if len(words := line.split()) == 4 and words[2] in EDGES}
    low, high = np.array([bounds[name] for name in EDGES], dtype=np.float64).T
    cell = np.diag(high - low)
    tilts = next((line.split()[:3] for line in lines if line.endswith(" xy xz yz")), ("0", "0", "0"))
    cell[1, 0], cell[2, 0], cell[2, 1] = map(float, tilts)
    start = next(number for number, line in enumerate(lines) if line.startswith("Atoms")) + 2
    rows = [line.split()[:5] for line in lines[start : start + natoms]]
    table = np.array(rows, dtype=np.float64).reshape(natoms, 5)
    table = table[np.argsort(table[:, 0], kind="stable")]
    if not np.all(table[:, 1] >= 1):
        raise ValueError(f"type {table[:, 1].min():g}")
    symbols = tuple(type_map[int(kind) - 1] for kind in table[:, 1])
    return Frame(symbols, table[:, 2:] - low, cell, periodic=lines[0].split()[-1:] != [OPEN])


def is_periodic(path: Path) -> bool:
    """Return whether a configuration that :func:`write_conf` wrote has periodicity."""
    with path.open() as lines:
        return lines.readline().split()[-1:] != [OPEN]


def lower_triangular(cell: Array, coords: Array) -> tuple[Array, Array]:
    """Return cell and coordinates turned so that a is along x, b in the xy plane and c above it.

    A left-handed cell is replaced by its negative, which spans the same lattice: turned, never mirrored.

    Parameters
    ----------
    cell
        Cell vectors as rows, shape (3, 3), Å.
    coords
        Cartesian coordinates, shape (N, 3), Å.

    Raises
    ------
    InputError
        The cell has no volume.
    """
    volume = float(np.linalg.det(cell))
    if not np.isfinite(volume) or abs(volume) < 1e-6:
        raise InputError(f"a configuration has a cell without volume: {np.array(cell).tolist()}")
    orthogonal, triangular = np.linalg.qr(np.sign(volume) * cell.T)
    signs = np.sign(np.diag(triangular))
    return np.tril((signs[:, None] * triangular).T), coords @ (orthogonal * signs)


def _atom_lines(types: NDArray[np.int64], coords: Array) -> str:
    numbers = range(1, len(types) + 1)
    rows = zip(numbers, (types + 1).tolist(), *coords.T.tolist(), strict=True)
    return "".join("%d %d %.12f %.12f %.12f\n" % row for row in rows)  # noqa: UP031  the fastest
