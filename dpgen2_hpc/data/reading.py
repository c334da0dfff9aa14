"""Reading of systems in the formats ``deepmd/npy`` and ``deepmd/npy/mixed``, which ``dataset.py`` describes.

Labels come as thousands of systems of one frame, and initial data as thousands of systems of which only the heads are
wanted. So a system is two listings of names and each of its files is opened once; paths are text, since thousands of
``Path`` cost more than the files.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.dataset import DRAWING_BOX, NOPBC, REAL_TYPES, Array
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.npy import Header, read_array, read_bytes, read_header

COLUMNS: Mapping[str, tuple[int, int]] = {
    "coord.npy": (3, 0),
    "box.npy": (0, 9),
    "energy.npy": (0, 1),
    "force.npy": (3, 0),
    "virial.npy": (0, 9),
}
"""The arrays of a set, and how many numbers of a frame stand in each: for each atom, and besides."""

LONGEST = 1 << 24
"""Bytes of the file with the types of a system's atoms, at most: 16 MiB are millions of atoms."""

Symbols = tuple[str, ...]
Read = TypeVar("Read", Header, NDArray[Any])


@dataclass(frozen=True)
class SystemSummary:
    """What a system holds, told without reading its numbers.

    ``type_map`` is the system's own, ``formula`` empty for one of the mixed type. ``labelled``: every set has energies
    and forces.
    """

    frames: int
    natoms: int
    type_map: Symbols
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
    system = _opened(folder)
    counts = Counter(() if system.has(REAL_TYPES) else system.symbols)
    return SystemSummary(
        frames=sum(_frames_in(_arrays(system, one, read_header)) for one in system.sets),
        natoms=len(system.symbols),
        type_map=system.type_map,
        formula="".join(f"{symbol}{counts[symbol]}" for symbol in system.type_map if counts[symbol]),
        has_virial=system.has("virial.npy"),
        periodic=system.periodic,
        labelled=system.has("energy.npy") and system.has("force.npy"),
    )


def read_frames(folder: Path) -> list[Frame]:
    """Return the frames of the system ``folder``, its sets in the order of their names.

    Raises
    ------
    ValueError
        As :func:`inspect`.
    """
    system = _opened(folder)
    loaded = [_arrays(system, one, read_array) for one in system.sets]
    frames = [frame for arrays in loaded for frame in _frames(system, arrays)]
    return [_without_padding(frame) for frame in frames] if system.has(REAL_TYPES) else frames


def read_labels(folder: Path) -> list[Labels]:
    """Return the labels of the system ``folder``, its sets in the order of their names; atoms that pad are left out.

    Raises
    ------
    ValueError
        As :func:`inspect`, or there are no labels.
    """
    system = _opened(folder)
    for name in ("energy.npy", "force.npy"):
        if not system.has(name):
            raise ValueError(f"'{system.sets[0].path}/{name}' is missing: there are no labels.")
    loaded = [_arrays(system, one, read_array) for one in system.sets]
    return [labels for arrays in loaded for labels in labels_of(system, arrays)]


def sets_of(folder: Path) -> Iterator[tuple["System", str, Mapping[str, NDArray[Any]]]]:
    """Yield for each set of a system the system, the set's path, and the arrays of :data:`COLUMNS` that it has.

    Raises
    ------
    ValueError
        As :func:`inspect`.
    """
    system = _opened(folder)
    for one in system.sets:
        yield system, one.path, _arrays(system, one, read_array)


# ---- a system's folders and files -----------------------------------------------------------------------------------


class _Set(NamedTuple):
    """A folder ``set.*`` and the names in it."""

    path: str
    names: frozenset[str]


class System(NamedTuple):
    """The folder of a system, listed: its own type map, and the symbol of each of its atoms."""

    type_map: Symbols
    symbols: Symbols
    periodic: bool
    sets: tuple[_Set, ...]

    def has(self, name: str) -> bool:
        """Return whether all sets have a file; some with and some without are not one system."""
        lacking = [one.path for one in self.sets if name not in one.names]
        if 0 < len(lacking) < len(self.sets):
            raise ValueError(f"'{lacking[0]}/{name}' is missing, while other sets of the system have it.")
        return not lacking


def _opened(folder: Path) -> System:
    path = str(folder)
    type_map = _words(f"{path}/type_map.raw", "the elements' names, one a line")
    types = _words(f"{path}/type.raw", "the type of each atom, as a number from 0 on")
    symbols = symbols_of(types, type_map)
    if symbols is None:
        strange = sorted(set(types) - set(map(str, range(len(type_map)))))
        found = f"'{strange[0]}'" if strange else "nothing"
        raise ValueError(f"'{path}/type.raw' holds {found}; expected are numbers from 0 to {len(type_map) - 1}.")
    names = os.listdir(path)  # noqa: PTH208  (names alone)
    sets = tuple(_Set(f"{path}/{name}", found) for name, found in _sets(path, names))
    if not sets:
        raise ValueError(f"'{path}' has no folder set.000 with the frames.")
    system = System(type_map, symbols, NOPBC not in names, sets)
    system.has(REAL_TYPES)
    return system


def _sets(path: str, names: Sequence[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for name in sorted(name for name in names if name.startswith("set.")):
        try:
            yield name, frozenset(os.listdir(f"{path}/{name}"))  # noqa: PTH208
        except (NotADirectoryError, FileNotFoundError):
            continue  # a file, or a link that leads nowhere
        except OSError as problem:
            raise ValueError(f"'{path}/{name}' cannot be read: {problem.strerror}.") from problem


def _words(path: str, content: str) -> tuple[str, ...]:
    try:
        text = read_bytes(path, LONGEST)
        if len(text) > LONGEST:
            raise ValueError(f"'{path}' has more than {LONGEST} bytes; it should hold {content}.")
        return words(text)
    except (OSError, UnicodeDecodeError) as problem:
        raise ValueError(f"'{path}' cannot be read; it should hold {content}.") from problem


@lru_cache(maxsize=1024)
def words(text: bytes) -> tuple[str, ...]:
    """Return the words of a text; of the same text the same ones."""
    return tuple(text.decode().split())


@lru_cache(maxsize=1024)
def symbols_of(types: tuple[str, ...], type_map: Symbols) -> Symbols | None:
    """Return the symbol of each atom, ``None`` if there is no atom, or one of a type that is none."""
    symbols = dict(zip(map(str, range(len(type_map))), type_map, strict=True))
    return tuple(symbols[word] for word in types) if types and symbols.keys() >= set(types) else None


def _arrays(system: System, one: _Set, read: Callable[[str], Read]) -> dict[str, Read]:
    """Return what a set has of :data:`COLUMNS`, and the types of its frames; all agree on how many frames there are."""
    needed = ("coord.npy", "box.npy") if system.periodic else ("coord.npy",)
    arrays = {name: read(f"{one.path}/{name}") for name in COLUMNS if name in one.names or name in needed}
    frames, natoms = _frames_in(arrays), len(system.symbols)
    for name, array in arrays.items():
        each, besides = COLUMNS[name]
        if not has_shape(array, frames, each * natoms + besides):
            wanted = f"expected are {frames} rows of {each * natoms + besides} real numbers"
            raise ValueError(f"'{one.path}/{name}' has the shape {array.shape} of {array.dtype}; {wanted}.")
    if REAL_TYPES in one.names:
        types = read(f"{one.path}/{REAL_TYPES}")
        if types.shape != (frames, natoms) or types.dtype.kind not in "iu":
            raise ValueError(f"'{one.path}/{REAL_TYPES}' must hold {frames} rows of {natoms} whole numbers.")
        arrays[REAL_TYPES] = types
    return arrays


def _frames_in(arrays: Mapping[str, Header] | Mapping[str, NDArray[Any]]) -> int:
    shape = arrays["coord.npy"].shape
    return int(shape[0]) if shape else 0


def has_shape(array: Header | NDArray[Any], frames: int, columns: int) -> bool:
    """Return whether an array has real numbers, so many for each of so many frames."""
    shape = array.shape
    return array.dtype.kind == "f" and len(shape) > 0 and shape[0] == frames and math.prod(shape[1:]) == columns


# ---- frames and labels ----------------------------------------------------------------------------------------------


def _frames(system: System, arrays: Mapping[str, NDArray[Any]]) -> list[Frame]:
    """Return the frames of a set; atoms that only pad are in them, under the symbol ``""``."""
    frames, periodic = _frames_in(arrays), system.periodic
    coords = _numbers(arrays["coord.npy"]).reshape(frames, len(system.symbols), 3)
    if "box.npy" in arrays:
        cells = _numbers(arrays["box.npy"]).reshape(frames, 3, 3)
    else:
        cells = np.broadcast_to(np.eye(3) * DRAWING_BOX, (frames, 3, 3))
    kinds = _real_symbols(system, arrays) or [system.symbols] * frames
    return [Frame(*one, periodic) for one in zip(kinds, coords, cells, strict=True)]


def labels_of(system: System, arrays: Mapping[str, NDArray[Any]]) -> list[Labels]:
    """Return the labels of a set."""
    frames = _frames(system, arrays)
    energies = arrays["energy.npy"].ravel().tolist()
    forces = _numbers(arrays["force.npy"]).reshape(len(frames), -1, 3)
    virials: Array | list[None] = [None] * len(frames)
    if "virial.npy" in arrays and system.periodic:
        virials = _numbers(arrays["virial.npy"]).reshape(-1, 3, 3)
    labels = [Labels(*one) for one in zip(frames, energies, forces, virials, strict=True)]
    return [_unpadded(one) for one in labels] if REAL_TYPES in arrays else labels


def _numbers(array: NDArray[Any]) -> Array:
    return np.asarray(array, dtype=np.float64)


def _real_symbols(system: System, arrays: Mapping[str, NDArray[Any]]) -> list[Symbols]:
    """Return the symbols of each frame of a mixed set, ``""`` where an atom only pads; nothing for another set."""
    if REAL_TYPES not in arrays:
        return []
    types = arrays[REAL_TYPES]
    if types.min(initial=0) < -1 or types.max(initial=0) >= len(system.type_map):
        raise ValueError(
            f"'{system.sets[0].path}/{REAL_TYPES}' holds types beyond 0 to {len(system.type_map) - 1}, those of "
            "type_map.raw."
        )
    names = (*system.type_map, "")
    return [tuple(names[kind] for kind in row) for row in types.tolist()]


def _without_padding(frame: Frame) -> Frame:
    real = [bool(symbol) for symbol in frame.symbols]
    return Frame(tuple(filter(None, frame.symbols)), frame.coords[real], frame.cell, frame.periodic)


def _unpadded(labels: Labels) -> Labels:
    real = [bool(symbol) for symbol in labels.frame.symbols]
    return replace(labels, frame=_without_padding(labels.frame), forces=labels.forces[real])
