"""Systems in the format ``deepmd/npy``: one folder for all frames of one formula.

    Al16Cu16/  type.raw  type_map.raw  [nopbc]  set.000/  coord.npy  box.npy  [energy.npy  force.npy  [virial.npy]]

The atoms stand in the order of the type map. Frames with and without a virial are never in one folder, for the trainer
would take the missing ones as zero. Written plainly: a folder counts only when its result does.

In the mixed type frames of one size are a system, whatever their formulas: ``real_atom_types.npy`` in each set has the
types of each frame's atoms, and ``type.raw`` only says how many they are.
"""

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.npy import Header, read_array, read_header

NOPBC = "nopbc"
NO_VIRIAL = "-novirial"
REAL_TYPES = "real_atom_types.npy"
DRAWING_BOX = 100.0
"""Edge (Å) of the cell that a system without periodicity gets where it has none."""

ARRAYS = ("coord", "box", "energy", "force", "virial")
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


def write_labels(
    folder: Path, labels: Sequence[Labels], type_map: Sequence[str], *, mixed: bool = False
) -> list[Place]:
    """Write labelled frames as systems below an empty ``folder``; return where each went, in the order given.

    Periodic frames without virial get a system of their own, ``<formula>-novirial``; frames without periodicity have
    none, whatever the code wrote. With ``mixed`` frames of one size share a system: ``mixed32`` in the place of the
    formula.
    """
    names = [_labelled_system(label, type_map, mixed=mixed) for label in labels]
    for name, members in _grouped(names).items():
        _write_labelled(folder / name, [labels[i] for i in members], type_map)
        if mixed:
            _mix(folder / name, [labels[i].frame for i in members], type_map)
    return _places(names)


def _labelled_system(label: Labels, type_map: Sequence[str], *, mixed: bool) -> str:
    name = label.frame.system(type_map)
    if mixed:
        name = f"mixed{len(label.frame.symbols)}" + ("" if label.frame.periodic else f"-{NOPBC}")
    return name + NO_VIRIAL if label.frame.periodic and label.virial is None else name


def _mix(folder: Path, frames: Sequence[Frame], type_map: Sequence[str]) -> None:
    """Say each frame's types in its set, and only their number in ``type.raw``."""
    types = [frame.sorted(type_map).types(type_map) for frame in frames]
    np.save(folder / "set.000" / REAL_TYPES, np.stack(types).astype(np.int32))
    _write_lines(folder / "type.raw", [0] * len(types[0]))


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

    ``type_map`` is the system's own, ``formula`` empty for one of the mixed type. ``labelled``: every set has energies
    and forces.
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
    counts = Counter(() if (sets[0] / REAL_TYPES).exists() else symbols)
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
    return [frame for _, frames in _frames(folder) for frame in frames]


def read_labels(folder: Path) -> list[Labels]:
    """Return the labels of the system ``folder``, its sets in the order of their names; atoms that pad are left out.

    Raises
    ------
    ValueError
        As :func:`inspect`, or there are no labels.
    """
    return [label for one, frames in _frames(folder, padded=True) for label in _labels(one, frames)]


def _frames(folder: Path, *, padded: bool = False) -> Iterator[tuple[Path, list[Frame]]]:
    """Yield each set with its frames; with ``padded`` the atoms that only pad are in them, under the symbol ``""``."""
    type_map, symbols = _atoms(folder)
    periodic = not (folder / NOPBC).exists()
    for one in _sets(folder):
        coords, cells = _coords_and_cells(one, len(symbols), periodic=periodic)
        kinds = _real_symbols(one, type_map) or [symbols] * len(coords)
        frames = [Frame(*entry, periodic) for entry in zip(kinds, coords, cells, strict=True)]
        yield one, frames if padded else [_without_padding(frame) for frame in frames]


def _real_symbols(one: Path, type_map: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the symbols of each frame of a mixed set, ``""`` where an atom only pads; nothing for another set."""
    if not (one / REAL_TYPES).exists():
        return []
    types = read_array(one / REAL_TYPES)
    if types.min() < -1 or types.max() >= len(type_map):
        raise ValueError(f"'{one / REAL_TYPES}' holds types beyond 0 to {len(type_map) - 1}, those of type_map.raw.")
    names = (*type_map, "")
    return [tuple(names[kind] for kind in row) for row in types.tolist()]


def _without_padding(frame: Frame) -> Frame:
    if "" not in frame.symbols:
        return frame
    real = [number for number, symbol in enumerate(frame.symbols) if symbol]
    return Frame(tuple(frame.symbols[i] for i in real), frame.coords[real], frame.cell, frame.periodic)


def _labels(one: Path, frames: Sequence[Frame]) -> Iterator[Labels]:
    """Yield the labels of a set; what they are for stands in frames with padding."""
    energies = np.ravel(read_array(one / "energy.npy")).tolist()
    forces = np.array(read_array(one / "force.npy"), dtype=np.float64).reshape(len(frames), -1, 3)
    has_virial = (one / "virial.npy").exists() and bool(frames) and frames[0].periodic
    virials = np.array(read_array(one / "virial.npy"), dtype=np.float64).reshape(-1, 3, 3) if has_virial else None
    for number, frame in enumerate(frames):
        real = [place for place, symbol in enumerate(frame.symbols) if symbol]
        virial = None if virials is None else virials[number]
        yield Labels(_without_padding(frame), float(energies[number]), forces[number][real], virial)


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
    _in_all(sets, REAL_TYPES.removesuffix(".npy"))
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
    headers = {name: read_header(folder / f"{name}.npy") for name in ARRAYS if f"{name}.npy" in there}
    frames = headers["coord"].shape[0] if headers["coord"].shape else 0
    for name, header in headers.items():
        _check_shape(folder / f"{name}.npy", header, frames, _columns(name, natoms))
    if REAL_TYPES in there:
        real = read_array(folder / REAL_TYPES)
        if real.shape != (frames, natoms) or real.dtype.kind not in "iu":
            raise ValueError(f"'{folder / REAL_TYPES}' must hold {frames} rows of {natoms} whole numbers.")
    return frames


def _columns(name: str, natoms: int) -> int:
    return {"coord": 3 * natoms, "force": 3 * natoms, "energy": 1}.get(name, 9)


def _check_shape(path: Path, array: Header, frames: int, columns: int) -> None:
    right = len(array.shape) > 0 and array.shape[0] == frames and math.prod(array.shape) == frames * columns
    if array.dtype.kind != "f" or not right:
        shape = f"{array.shape} of {array.dtype}"
        raise ValueError(f"'{path}' has the shape {shape}; expected are {frames} rows of {columns} real numbers.")


def _coords_and_cells(folder: Path, natoms: int, *, periodic: bool) -> tuple[Array, Array]:
    """Return a set's coordinates, shape (F, N, 3), and cells, shape (F, 3, 3), both in Å."""
    frames = _check_set(folder, natoms, periodic=periodic)
    coords = np.array(read_array(folder / "coord.npy"), dtype=np.float64).reshape(frames, natoms, 3)
    if not (folder / "box.npy").exists():
        return coords, np.tile(np.eye(3) * DRAWING_BOX, (frames, 1, 1))
    return coords, np.array(read_array(folder / "box.npy"), dtype=np.float64).reshape(frames, 3, 3)
