"""Systems of one frame by the thousand, as labels come: those that are alike are taken apart together.

A system costs the reading of its files, and no call of numpy of its own. Whatever is not as simple as a label mostly is
(one set of one frame, in the plain form) is read by ``reading.py`` alone, which also has the words for what is wrong.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.dataset import NOPBC, REAL_TYPES
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.npy import SMALL, Header, plain_header, read_bytes
from dpgen2_hpc.data.reading import COLUMNS, System, has_shape, inspect, labels_of, read_labels, symbols_of, words

SET = "set.000"
PORTION = 1000
"""Systems whose files are held in memory at a time."""

MOST_FRAMES = 1000
"""Frames of a system that are read: a task that was asked for one label may have left any number of them."""


class _Kind(NamedTuple):
    """What systems that are alike have in common: the text of their types, their arrays, and the heads of these."""

    type_map: bytes
    types: bytes
    periodic: bool
    arrays: tuple[str, ...]
    heads: tuple[tuple[bytes, int], ...]
    """Of each array's file the head, and the length."""


def read_many(folders: Sequence[str]) -> list[list[Labels] | ValueError]:
    """Return for each system what ``reading.read_labels`` returns, or the error that it raises."""
    found: list[list[Labels] | ValueError] = []
    for start in range(0, len(folders), PORTION):
        found += _portion(folders[start : start + PORTION])
    return found


def _portion(folders: Sequence[str]) -> list[list[Labels] | ValueError]:
    found: dict[int, list[Labels] | ValueError] = {}
    alike: dict[_Kind, list[tuple[int, list[bytes]]]] = {}
    for index, folder in enumerate(folders):
        simple = _simple(folder)
        if simple is None:
            found[index] = _alone(folder)
        else:
            alike.setdefault(simple[0], []).append((index, simple[1]))
    for kind, members in alike.items():
        together = _together(kind, [files for _, files in members])
        for number, (index, _) in enumerate(members):
            found[index] = _alone(folders[index]) if together is None else [together[number]]
    return [found[index] for index in range(len(folders))]


def _alone(folder: str) -> list[Labels] | ValueError:
    try:
        frames = inspect(Path(folder)).frames
        if frames > MOST_FRAMES:
            return ValueError(f"'{folder}' has {frames} frames, more than the {MOST_FRAMES} that are read.")
        return read_labels(Path(folder))
    except ValueError as error:
        return error


def _simple(path: str) -> tuple[_Kind, list[bytes]] | None:
    """Return a system's kind and the content of its arrays; ``None`` where something is unusual."""
    try:
        names = os.listdir(path)  # noqa: PTH208  (names alone)
        inside = os.listdir(f"{path}/{SET}")  # noqa: PTH208
        if REAL_TYPES in inside or [name for name in names if name.startswith("set.")] != [SET]:
            return None
        arrays = tuple(name for name in COLUMNS if name in inside)
        files = [read_bytes(f"{path}/{SET}/{name}", SMALL) for name in arrays]
        if any(len(data) > SMALL for data in files):
            return None
        heads = tuple([(data[: 10 + int.from_bytes(data[8:10], "little")], len(data)) for data in files])
        texts = read_bytes(f"{path}/type_map.raw", SMALL), read_bytes(f"{path}/type.raw", SMALL)
    except OSError:
        return None
    if any(len(text) > SMALL for text in texts):
        return None
    return _Kind(*texts, NOPBC not in names, arrays, heads), files


def _together(kind: _Kind, members: Sequence[Sequence[bytes]]) -> list[Labels] | None:
    """Return the labels of systems that are alike, one each; ``None`` where they are not what labels should be."""
    needed = {"coord.npy", "energy.npy", "force.npy", *(["box.npy"] if kind.periodic else [])}
    symbols = _symbols(kind)
    if symbols is None or not needed <= set(kind.arrays):
        return None
    arrays: dict[str, NDArray[Any]] = {}
    for place, (name, (head, size)) in enumerate(zip(kind.arrays, kind.heads, strict=True)):
        header = _header(head, size)
        each, besides = COLUMNS[name]
        if header is None or not has_shape(header, 1, each * len(symbols) + besides):
            return None
        joined = b"".join([memoryview(files[place])[len(head) :] for files in members])
        arrays[name] = np.frombuffer(joined, header.dtype).reshape(len(members), -1)
    return labels_of(System((), symbols, kind.periodic, ()), arrays)


def _header(head: bytes, size: int) -> Header | None:
    try:
        return plain_header(head, size)
    except ValueError:
        return None


def _symbols(kind: _Kind) -> tuple[str, ...] | None:
    try:
        return symbols_of(words(kind.types), words(kind.type_map))
    except UnicodeDecodeError:
        return None
