"""Systems in the format ``deepmd/npy``: one folder for all frames of one formula.

    Al16Cu16/  type.raw  type_map.raw  [nopbc]  set.000/  coord.npy  box.npy  [energy.npy  force.npy  [virial.npy]]

The atoms stand in the order of the type map. Frames with and without a virial are never in one folder, for the trainer
would take the missing ones as zero. Written plainly: a folder counts only when its result does.
"""

import functools
import io
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels

NOPBC = "nopbc"
NO_VIRIAL = "-novirial"
DRAWING_BOX = 100.0
"""Edge (Å) of the cell that a system without periodicity gets where it has none."""

ARRAYS = ("coord", "box", "energy", "force", "virial")
VERSION_1 = b"\x93NUMPY\x01\x00"
HEAD = 256
"""Bytes of a file that hold the head of every array that is written here."""

Array = NDArray[np.float64]
Place = tuple[str, int]
"""Where a frame went: the system's name, and the index in it."""


# ---- writing --------------------------------------------------------------------------------------------------------


def write_frames(folder: Path, frames: Sequence[Frame], type_map: Sequence[str]) -> list[Place]:
    """Write frames as systems below an empty ``folder``; return where each went, in the order given."""
    names = [frame.system(type_map) for frame in frames]
    for name, members in _grouped(names).items():
        _write_system(folder / name, [frames[i] for i in members], type_map)
    return _places(names)


def write_labels(folder: Path, labels: Sequence[Labels], type_map: Sequence[str]) -> list[Place]:
    """Write labelled frames as systems below an empty ``folder``; return where each went, in the order given.

    Periodic frames without virial get a system of their own, ``<formula>-novirial``; frames without periodicity have
    none, whatever the code wrote.
    """
    names = [_labelled_system(label, type_map) for label in labels]
    for name, members in _grouped(names).items():
        _write_labelled(folder / name, [labels[i] for i in members], type_map)
    return _places(names)


def _labelled_system(label: Labels, type_map: Sequence[str]) -> str:
    name = label.frame.system(type_map)
    return name + NO_VIRIAL if label.frame.periodic and label.virial is None else name


def _grouped(names: Sequence[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(name, []).append(index)
    return groups


def _places(names: Sequence[str]) -> list[Place]:
    seen: Counter[str] = Counter()
    places = []
    for name in names:
        places.append((name, seen[name]))
        seen[name] += 1
    return places


def _write_system(folder: Path, frames: Sequence[Frame], type_map: Sequence[str]) -> None:
    """Write frames that have one formula, and one answer to the question of periodicity."""
    ordered = [frame.sorted(type_map) for frame in frames]
    (folder / "set.000").mkdir(parents=True)
    _write_lines(folder / "type.raw", ordered[0].types(type_map).tolist())
    _write_lines(folder / "type_map.raw", type_map)
    if not ordered[0].periodic:
        (folder / NOPBC).touch()
    _save(folder, "coord", [frame.coords for frame in ordered])
    _save(folder, "box", [frame.cell for frame in ordered])


def _write_labelled(folder: Path, labels: Sequence[Labels], type_map: Sequence[str]) -> None:
    _write_system(folder, [label.frame for label in labels], type_map)
    np.save(folder / "set.000" / "energy.npy", np.array([label.energy for label in labels], dtype=np.float64))
    _save(folder, "force", [label.forces[label.frame.order(type_map)] for label in labels])
    virials = [label.virial for label in labels if label.frame.periodic and label.virial is not None]
    if virials:
        _save(folder, "virial", virials)


def _write_lines(path: Path, lines: Sequence[object]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def _save(folder: Path, name: str, rows: Sequence[Array]) -> None:
    np.save(folder / "set.000" / f"{name}.npy", np.stack(rows).reshape(len(rows), -1).astype(np.float64))


# ---- reading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SystemSummary:
    """What a system holds, told without reading its numbers.

    ``type_map`` is the system's own. ``labelled``: every set has energies and forces.
    """

    frames: int
    natoms: int
    type_map: tuple[str, ...]
    formula: str
    has_virial: bool
    periodic: bool
    labelled: bool


def inspect(folder: Path) -> SystemSummary:
    """Return what the system ``folder`` holds, from ``type.raw`` and the headers of its arrays.

    Raises
    ------
    ValueError
        A file is missing or broken, or two do not fit together; the message is a sentence that names it.
    """
    type_map, symbols = _atoms(folder)
    sets, periodic = _sets(folder), not (folder / NOPBC).exists()
    counts = Counter(symbols)
    return SystemSummary(
        frames=sum(_check_set(one, len(symbols), periodic=periodic) for one in sets),
        natoms=len(symbols),
        type_map=type_map,
        formula="".join(f"{symbol}{counts[symbol]}" for symbol in type_map if counts[symbol]),
        has_virial=_in_all(sets, "virial"),
        periodic=periodic,
        labelled=_in_all(sets, "energy") and _in_all(sets, "force"),
    )


def read_frames(folder: Path) -> list[Frame]:
    """Return the frames of the system ``folder``, its sets in the order of their names.

    Raises
    ------
    ValueError
        As :func:`inspect`.
    """
    _, symbols = _atoms(folder)
    periodic = not (folder / NOPBC).exists()
    return [
        Frame(symbols, coords, cell, periodic)
        for one in _sets(folder)
        for coords, cell in zip(*_coords_and_cells(one, len(symbols), periodic=periodic), strict=True)
    ]


def _atoms(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the system's type map, and the symbol of each of its atoms."""
    type_map = tuple(_words(folder / "type_map.raw", "the elements' names, one a line"))
    types = _words(folder / "type.raw", "the type of each atom, as a number from 0 on")
    symbols = dict(zip(map(str, range(len(type_map))), type_map, strict=True))
    strange = [word for word in types if word not in symbols]
    if strange or not types:
        found = f"'{strange[0]}'" if strange else "nothing"
        raise ValueError(f"'{folder / 'type.raw'}' holds {found}; expected are numbers from 0 to {len(type_map) - 1}.")
    return type_map, tuple(symbols[word] for word in types)


def _words(path: Path, content: str) -> list[str]:
    try:
        return path.read_text().split()
    except (OSError, UnicodeDecodeError) as problem:
        raise ValueError(f"'{path}' cannot be read; it should hold {content}.") from problem


def _sets(folder: Path) -> list[Path]:
    sets = sorted(path for path in folder.glob("set.*") if path.is_dir())
    if not sets:
        raise ValueError(f"'{folder}' has no folder set.000 with the frames.")
    mixed = [one for one in sets if (one / "real_atom_types.npy").exists()]
    if mixed:
        raise ValueError(f"'{mixed[0]}' is of the mixed type (real_atom_types.npy), which is not read here.")
    return sets


def _in_all(sets: Sequence[Path], name: str) -> bool:
    """Return whether all sets have an array; some with and some without are not one system."""
    found = [(one / f"{name}.npy").exists() for one in sets]
    if any(found) and not all(found):
        raise ValueError(f"'{sets[found.index(False)] / name}.npy' is missing, while other sets of the system have it.")
    return all(found)


def _check_set(folder: Path, natoms: int, *, periodic: bool) -> int:
    """Return the number of frames of a set all of whose arrays agree on it."""
    there = {"coord.npy", *(["box.npy"] if periodic else []), *os.listdir(folder)}  # noqa: PTH208  (names alone)
    headers = {name: _header(folder / f"{name}.npy") for name in ARRAYS if f"{name}.npy" in there}
    frames = headers["coord"].shape[0] if headers["coord"].shape else 0
    for name, header in headers.items():
        _check_shape(folder / f"{name}.npy", header, frames, _columns(name, natoms))
    return frames


def _columns(name: str, natoms: int) -> int:
    return {"coord": 3 * natoms, "force": 3 * natoms, "energy": 1}.get(name, 9)


@dataclass(frozen=True)
class _Header:
    """What the head of an array's file says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def _header(path: Path) -> _Header:
    """Return the head of a whole array; files as numpy itself writes them are only looked at, others mapped."""
    try:
        with path.open("rb") as file:
            head, size = file.read(HEAD), os.fstat(file.fileno()).st_size
        length = 10 + int.from_bytes(head[8:10], "little")
        if head.startswith(VERSION_1) and length <= len(head):
            header = _parsed(head[:length])
            if header.dtype.kind == "f" and size >= length + math.prod(header.shape) * header.dtype.itemsize:
                return header
    except (OSError, ValueError, SyntaxError):
        pass  # numpy has the words for what is wrong
    array = _mapped(path)
    return _Header(array.shape, array.dtype)


@functools.lru_cache(maxsize=1024)
def _parsed(head: bytes) -> _Header:
    shape, _, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(head[8:]))
    return _Header(shape, dtype)


def _check_shape(path: Path, array: _Header, frames: int, columns: int) -> None:
    right = len(array.shape) > 0 and array.shape[0] == frames and math.prod(array.shape) == frames * columns
    if array.dtype.kind != "f" or not right:
        shape = f"{array.shape} of {array.dtype}"
        raise ValueError(f"'{path}' has the shape {shape}; expected are {frames} rows of {columns} real numbers.")


def _mapped(path: Path) -> Array:
    """Return the array of a file without reading more than its header."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        len(array)
    except (OSError, ValueError, EOFError, TypeError) as problem:
        raise ValueError(f"'{path}' is missing or is no whole array: {problem}") from problem
    return np.asanyarray(array)


def _coords_and_cells(folder: Path, natoms: int, *, periodic: bool) -> tuple[Array, Array]:
    """Return a set's coordinates, shape (F, N, 3), and cells, shape (F, 3, 3), both in Å."""
    frames = _check_set(folder, natoms, periodic=periodic)
    coords = np.array(_mapped(folder / "coord.npy"), dtype=np.float64).reshape(frames, natoms, 3)
    if not (folder / "box.npy").exists():
        return coords, np.tile(np.eye(3) * DRAWING_BOX, (frames, 1, 1))
    return coords, np.array(_mapped(folder / "box.npy"), dtype=np.float64).reshape(frames, 3, 3)
