"""A frame: one configuration of atoms."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DIGEST_DIGITS = 6
"""Coordinates that agree to 1e-6 Å are the same: LAMMPS dumps and npy files differ beyond."""


@dataclass(frozen=True)
class Frame:
    """One configuration.

    Parameters
    ----------
    symbols
        Chemical symbol of each atom, length N.
    coords
        Cartesian coordinates, shape (N, 3), Å.
    cell
        Cell vectors as rows, shape (3, 3), Å.
    periodic
        Without periodicity the cell is only a box to draw in: such a frame has no virial.
    """

    symbols: tuple[str, ...]
    coords: NDArray[np.float64]
    cell: NDArray[np.float64]
    periodic: bool = True

    def sorted(self, type_map: Sequence[str]) -> "Frame":
        """Return the frame with its atoms in the order of ``type_map``; atoms of one kind keep their order."""
        order = self.order(type_map)
        if order is None:
            return self
        return Frame(tuple(self.symbols[i] for i in order), self.coords[order], self.cell, self.periodic)

    def order(self, type_map: Sequence[str]) -> NDArray[np.intp] | None:
        """Return the permutation that sorts the atoms by type, shape (N,); ``None`` where they are sorted."""
        return _order(self.symbols, tuple(type_map))

    def types(self, type_map: Sequence[str]) -> NDArray[np.int64]:
        """Return each atom's index in ``type_map``, shape (N,); a symbol that is not in it raises ``KeyError``."""
        return _types(self.symbols, tuple(type_map))

    def system(self, type_map: Sequence[str]) -> str:
        """Return the name of the system to which the frame belongs: ``Al16Cu16``, or ``H2O1-nopbc``."""
        formula = _formula(self.symbols, tuple(type_map))
        return formula if self.periodic else f"{formula}-nopbc"

    def digest(self, type_map: Sequence[str]) -> str:
        """Return a fingerprint (16 hexadecimal digits) that equal frames share, whatever their file format was."""
        frame = self.sorted(type_map)
        numbers = np.concatenate([frame.cell, frame.coords]) if self.periodic else frame.coords
        rounded = np.round(numbers, DIGEST_DIGITS) + 0.0  # no negative zeros
        text = f"{' '.join(frame.symbols)} {self.periodic}".encode()
        return hashlib.sha256(text + rounded.astype("<f8").tobytes()).hexdigest()[:16]


# Frames come in thousands, and there are few sequences of symbols among them.


@lru_cache(maxsize=256)
def _types(symbols: tuple[str, ...], type_map: tuple[str, ...]) -> NDArray[np.int64]:
    index = {symbol: number for number, symbol in enumerate(type_map)}
    types = np.array([index[symbol] for symbol in symbols], dtype=np.int64)
    types.setflags(write=False)  # all who ask get the same array
    return types


@lru_cache(maxsize=256)
def _order(symbols: tuple[str, ...], type_map: tuple[str, ...]) -> NDArray[np.intp] | None:
    types = _types(symbols, type_map)
    if np.all(types[:-1] <= types[1:]):
        return None
    order = np.argsort(types, kind="stable")
    order.setflags(write=False)
    return order


@lru_cache(maxsize=256)
def _formula(symbols: tuple[str, ...], type_map: tuple[str, ...]) -> str:
    counts = Counter(symbols)
    return "".join(f"{symbol}{counts[symbol]}" for symbol in type_map if counts[symbol])
