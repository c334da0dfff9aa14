"""Starting configurations of alloys: a lattice, replicated, with random types, strains and displacements."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose, prod, sqrt
from pathlib import Path
from typing import Any, Self

import dargs
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.explore.configurations.reading import read
from dpgen2_hpc.kinds import CheckContext, Configurations, Key, Occurring, Problem

Array = NDArray[np.float64]

CUBE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
LATTICES: Mapping[str, tuple[Sequence[Sequence[float]], Sequence[Sequence[float]]]] = {
    "bcc": (CUBE, ((0, 0, 0), (0.5, 0.5, 0.5))),
    "fcc": (CUBE, ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))),
    "hcp": (((1, 0, 0), (0.5, sqrt(3) / 2, 0), (0, 0, sqrt(8 / 3))), ((0, 0, 0), (1 / 3, 1 / 3, 0.5))),
    "sc": (CUBE, ((0, 0, 0),)),
    "diamond": (((0, 1, 1), (1, 0, 1), (1, 1, 0)), ((0, 0, 0), (0.25, 0.25, 0.25))),
}
"""Unit cells as DPGEN2 means them: cell vectors in units of the lattice constant, and fractional positions."""

MOST_ATOMS = 10_000_000
"""Atoms of all configurations of one source, which are in memory at once."""

LATTICE_DOC = (
    "[name, constant in Å] or [file, its format in dpdata]. The constant is the edge of the cubic cell for bcc (2 "
    "atoms), fcc (4) and sc (1), and the distance of neighbours in the plane for hcp (2 atoms, ideal c/a). For diamond "
    "(2 atoms) it is HALF the edge of the conventional cubic cell, as in DPGEN2: silicon, a = 5.43 Å, is "
    "['diamond', 2.715]. Of a file the first frame counts, and only its cell and positions: the types are drawn."
)
CONCENTRATION_DOC = (
    "The probability with which an atom is of each type, in the order of type_map; they add up to 1. Types are drawn "
    "for each atom on its own, so the composition of a configuration scatters around it. With several concentrations "
    "each configuration draws one of them, and those with the first come first. null: all types alike."
)


@dataclass(frozen=True)
class Alloy(Configurations):
    """Random alloys on a lattice: the type ``alloy``.

    ``lattice`` is a name and a constant (Å), or a file and its format; an empty ``concentrations`` stands for one in
    which all types are alike; ``atom_pert_dist`` in Å.
    """

    lattice: tuple[Any, ...]
    numb_confs: int = 1
    replicate: tuple[int, ...] = (1, 1, 1)
    concentrations: tuple[tuple[float, ...], ...] = ()
    cell_pert_frac: float = 0.0
    atom_pert_dist: float = 0.0

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of the source."""
        return [
            Key("lattice", list, LATTICE_DOC),
            _optional("numb_confs", int, 1, "How many configurations.", minimum=1, maximum=100_000),
            _optional(
                "replicate",
                [int, list[int], None],
                None,
                "Unit cells in each direction.",
                minimum=1,
                maximum=1000,
            ),
            _optional("concentration", [list, None], None, CONCENTRATION_DOC),
            _optional(
                "cell_pert_frac",
                float,
                0.0,
                "Strain of the cell: a symmetric matrix whose diagonal is uniform within ± this fraction, the rest "
                "within ± its half.",
                minimum=0,
                below=0.5,
            ),
            _optional(
                "atom_pert_dist",
                float,
                0.0,
                "Displacement of the atoms, Å: normally distributed in each direction, root mean square length this.",
                minimum=0,
                maximum=5,
            ),
        ]

    @classmethod
    @override
    def resolved(cls, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings with an absolute path, a relative one being relative to ``folder``."""
        lattice = list(settings["lattice"])
        if len(lattice) == 2 and all(isinstance(part, str) for part in lattice):
            lattice[0] = str(folder / lattice[0])
        return {**settings, "lattice": lattice}

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the source for settings whose path is absolute."""
        times = 1 if settings["replicate"] is None else settings["replicate"]
        return cls(
            lattice=tuple(settings["lattice"]),
            numb_confs=settings["numb_confs"],
            replicate=(times,) * 3 if isinstance(times, int) else tuple(times),
            concentrations=tuple(tuple(row) for row in _rows(settings["concentration"])),
            cell_pert_frac=settings["cell_pert_frac"],
            atom_pert_dist=settings["atom_pert_dist"],
        )

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong with lattice, replicate and concentration."""
        yield from ((("lattice",), problem) for problem in self._lattice_problems(context))
        if len(self.replicate) != 3:
            yield ("replicate",), "expected is one number, or one for each of the three directions"
        elif self.numb_confs * prod(self.replicate) > MOST_ATOMS:
            text = f"{prod(self.replicate)} unit cells in each of {self.numb_confs} configurations are too many atoms"
            yield ("replicate",), f"{text}: more than {MOST_ATOMS} in all"
        for row in self.concentrations:
            yield from ((("concentration",), problem) for problem in _concentration_problems(row, context.type_map))

    def _lattice_problems(self, context: CheckContext) -> Iterator[str]:
        name, size = self.lattice if len(self.lattice) == 2 else (None, None)
        if Path(str(name)).name in LATTICES and isinstance(size, str) and not Path(str(name)).exists():
            yield f"the constant stands in quotes, which makes it the format of a file: write {size}, a number in Å"
        elif isinstance(name, str) and isinstance(size, str):
            if Path(name).exists() or not context.has_kept(name):
                yield from _file_problems(name, size)
        elif not isinstance(name, str) or not isinstance(size, int | float) or isinstance(size, bool):
            yield "expected is [name, constant in Å] or [file, format]"
        elif name not in LATTICES:
            yield f"there is no lattice '{name}'; there are {', '.join(LATTICES)}, or [file, format]"
        elif not 0 < size <= 100:
            yield f"the constant, {size} Å, must be above 0 and at most 100"

    @override
    def files_read(self) -> list[str]:
        """Return the file that the lattice comes from, if it comes from one."""
        name, size = self.lattice
        return [name] if isinstance(size, str) else []

    @override
    def occurring(self, type_map: Sequence[str]) -> Occurring:
        """Return the elements with a probability; all configurations have the same atoms if there is only one."""
        rows = self.concentrations or ((1.0,) * len(type_map),)
        drawn = tuple(element for i, element in enumerate(type_map) if any(row[i] for row in rows if i < len(row)))
        return Occurring(drawn, drawn * self._count() if len(drawn) == 1 else None, frozenset({True}))

    def _count(self) -> int:
        """Return the number of atoms of a configuration; 0 where the lattice cannot be read."""
        try:
            return len(self._sites()[1])
        except (InputError, LookupError):
            return 0

    @override
    def generate(self, type_map: Sequence[str], rng: np.random.Generator) -> list[Frame]:
        """Return ``numb_confs`` configurations."""
        cell, sites = self._sites()
        types = self._draw_types(len(sites), len(type_map), rng)
        cells = self._strained(cell, rng)
        coords = sites @ cells + rng.normal(0.0, self.atom_pert_dist / sqrt(3), (self.numb_confs, len(sites), 3))
        names = np.array(type_map)[types].tolist()
        return [Frame(tuple(names[i]), coords[i], cells[i]) for i in range(self.numb_confs)]

    def _sites(self) -> tuple[Array, Array]:
        """Return the replicated cell, shape (3, 3), Å, and fractional positions in it, shape (N, 3)."""
        cell, sites = self._unit()
        times = np.array(self.replicate)
        corners = np.stack(np.meshgrid(*map(np.arange, times), indexing="ij"), axis=-1).reshape(-1, 1, 3)
        return cell * times[:, None], ((corners + sites) / times).reshape(-1, 3)

    def _unit(self) -> tuple[Array, Array]:
        name, size = self.lattice
        if isinstance(size, str):
            frame = read(name, size)[0]
            return frame.cell, frame.coords @ np.linalg.inv(frame.cell).astype(np.float64)
        cell, sites = LATTICES[name]
        return np.array(cell, dtype=np.float64) * size, np.array(sites, dtype=np.float64)

    def _draw_types(self, natoms: int, kinds: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Return types, shape (numb_confs, N): each atom's is the number of cumulated probabilities that it exceeds."""
        cumulated = np.cumsum(np.array(self.concentrations or np.ones((1, kinds)), dtype=np.float64), axis=1)
        cumulated /= cumulated[:, -1:]
        picks = np.sort(rng.integers(len(cumulated), size=self.numb_confs))
        throws = rng.random((self.numb_confs, natoms, 1))
        types: NDArray[np.intp] = np.sum(throws >= cumulated[picks, None, :-1], axis=-1, dtype=np.intp)
        return types

    def _strained(self, cell: Array, rng: np.random.Generator) -> Array:
        """Return cells, shape (numb_confs, 3, 3), Å."""
        noise = rng.uniform(-self.cell_pert_frac, self.cell_pert_frac, (self.numb_confs, 3, 3))
        upper = np.triu(noise, 1) / 2
        diagonal = noise * np.eye(3)
        strained: Array = cell @ (np.eye(3) + diagonal + upper + upper.transpose(0, 2, 1))
        return strained


def _optional(name: str, dtype: Any, default: Any, doc: str, **more: Any) -> Key:
    return Key(name, dtype, doc, optional=True, default=default, **more)


def _rows(concentration: list[Any] | None) -> list[list[Any]]:
    """Return the concentrations as a list of them, however they were written."""
    if concentration is None:
        return []
    nested = concentration and all(isinstance(row, list) for row in concentration)
    return concentration if nested else [concentration]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _file_problems(path: str, fmt: str) -> list[str]:
    try:
        frames = read(path, fmt)
    except InputError as problem:
        return [str(problem)]
    return [] if frames and frames[0].periodic else [f"'{path}' holds no periodic configuration"]


def _concentration_problems(row: Sequence[Any], type_map: Sequence[str]) -> Iterator[str]:
    if not all(_is_number(value) and value >= 0 for value in row):
        yield f"{list(row)} must be numbers, none negative"
    elif len(row) != len(type_map):
        yield f"{list(row)} needs one number for each of {', '.join(type_map)}"
    elif not isclose(sum(row), 1.0, abs_tol=1e-6):
        yield f"{list(row)} adds up to {sum(row):g}, not to 1"
