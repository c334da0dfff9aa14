"""What the starting configurations look like, and what of it cannot be meant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from dpgen2_hpc.data.densities import usual_volume
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import InputError, counted
from dpgen2_hpc.explore.configurations.geometry import density, nearest_distance
from dpgen2_hpc.loop.follow import starting_frames
from dpgen2_hpc.loop.plan import Plan
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.workdir import WorkDir

LOOKED_AT = 10
"""Frames of a source of configurations whose distances are computed."""

OVERLAP, CLOSE, HEAVY = 0.5, 0.7, 30.0
"""Å below which atoms overlap, Å below which no two atoms of any molecule are, g/cm³ above which nothing is."""

SPARSE = 0.6
"""Part of its elements' own density below which matter has holes: a vacuum, or a wrong lattice constant."""

UNLIKE = 1.5
"""Factor by which volumes per atom of starts and of initial data differ when one of them may be wrong."""

Finding = tuple[str, bool]
"""A sentence, and whether it is a fault (else a notice)."""


def pool_of(plan: Plan, entry: int, workdir: WorkDir | None) -> "Sequence[Frame] | Kept":
    """Return the starting configurations of an entry; where their files are gone, how many of them the run has.

    Raises
    ------
    InputError
        A file cannot be read, and no run has taken it up.
    """
    try:
        return starting_frames(plan.param.settings, entry)
    except InputError:
        pools = read_json(workdir.pools) if workdir is not None and workdir.pools.exists() else []
        if entry >= len(pools):
            raise
        return Kept(len(pools[entry]))


@dataclass(frozen=True)
class Kept:
    """Starting configurations that only the run has: their number."""

    number: int

    def __len__(self) -> int:
        """Return their number."""
        return self.number

    @override
    def __str__(self) -> str:
        return f"{counted(self.number, 'configuration')}, in the work directory (the files are gone)"


@dataclass(frozen=True)
class Look:
    """What the frames of one source look like: smallest distance in Å; of periodic ones densities in g/cm³.

    ``volumes`` are theirs per atom (Å³), and ``usual`` says in which density their elements are found.
    """

    frames: int
    atoms: tuple[int, ...]
    nearest: float
    densities: tuple[float, ...]
    volumes: tuple[float, ...]
    usual: tuple[float, ...]

    @classmethod
    def at(cls, frames: Sequence[Frame], masses: Mapping[str, float]) -> "Look":
        """Look at some frames, evenly over all."""
        chosen = [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, LOOKED_AT).astype(int))]
        periodic = [frame for frame in chosen if frame.periodic]
        return cls(
            frames=len(frames),
            atoms=tuple(sorted({len(frame.symbols) for frame in frames})),
            nearest=min(nearest_distance(frame) for frame in chosen),
            densities=tuple(density(frame, masses) for frame in periodic),
            volumes=tuple(_volume(frame) / len(frame.symbols) for frame in periodic),
            usual=tuple(_usual_density(frame, masses) for frame in periodic),
        )

    @override
    def __str__(self) -> str:
        atoms = f"{self.atoms[0]} to {self.atoms[-1]}" if len(self.atoms) > 1 else str(self.atoms[0])
        text = f"{counted(self.frames, 'configuration')} of {atoms} atoms, nearest two {self.nearest:.2f} Å apart"
        if self.densities:
            low, high = f"{min(self.densities):.3g}", f"{max(self.densities):.3g}"
            text += f", {low} g/cm³" if low == high else f", {low} to {high} g/cm³"
        return text if self.densities else f"{text}, without periodicity"

    def findings(self, learned: Sequence[tuple[float, float]]) -> Iterator[Finding]:
        """Yield what cannot be matter, or is unlike the initial data, whose volumes per atom are ``learned``."""
        if self.nearest < OVERLAP:
            yield f"atoms overlap: two are {self.nearest:.2f} Å apart. Is the lattice constant right, in Å?", True
        elif self.nearest < CLOSE:
            yield f"two atoms are {self.nearest:.2f} Å apart, closer than in any molecule: is that meant?", False
        if self.densities and max(self.densities) > HEAVY:
            yield f"{max(self.densities):.3g} g/cm³ is denser than any matter: is that meant?", False
        if sparse := [pair for pair in zip(self.densities, self.usual, strict=True) if pair[0] < SPARSE * pair[1]]:
            found, usual = min(sparse)
            text = (
                f"{found:.3g} g/cm³ is thin: these elements have {usual:.3g} g/cm³ when solid or liquid. Is the "
                "lattice constant right, in Å? Vacuum in the cell would explain it."
            )
            yield text, False
        if learned and not self.volumes:
            text = (
                "there is no cell: the atoms are explored with open boundaries, while the initial data are periodic. "
                'Is that meant? In an XYZ file Lattice="..." gives the cell.'
            )
            yield text, False
        if learned and self.volumes and (unlike := self._unlike(learned)):
            yield unlike, False

    def _unlike(self, learned: Sequence[tuple[float, float]]) -> str:
        """Return how much denser or thinner the frames are than all that the first models learn; empty if not."""
        low, high = min(low for low, _ in learned), max(high for _, high in learned)
        if low / UNLIKE <= min(self.volumes) and max(self.volumes) <= high * UNLIKE:
            return ""
        found = max(self.volumes, key=lambda volume: max(volume / high, low / volume))
        known = f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
        return (
            f"{found:.3g} Å³ per atom, while the initial data have {known}: the first models have learned nothing like "
            "it. Is the lattice constant right, or is something missing in init_data_sys?"
        )


def _volume(frame: Frame) -> float:
    return abs(float(np.linalg.det(frame.cell)))


def _usual_density(frame: Frame, masses: Mapping[str, float]) -> float:
    """Return the density (g/cm³) of the frame's atoms in the volume of their elements; 0 where that is unknown."""
    usual = usual_volume(frame.symbols)
    return 0.0 if usual is None else density(frame, masses) * _volume(frame) / usual
