"""Rows of ``model_devi.out`` and frames of ``traj.dump``, joined by MD step and occurrence."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.explore.lammps.deviation import Table, read_rows
from dpgen2_hpc.explore.lammps.input import DEVIATIONS, TRAJECTORY
from dpgen2_hpc.explore.lammps.trajectory import read_steps
from dpgen2_hpc.kinds import Deviations


@dataclass(frozen=True)
class Joined:
    """All frames of a run: ``deviations`` with NaN for what has no partner, and the MD steps that have both."""

    deviations: Deviations
    steps: NDArray[np.int64]

    @property
    def alone(self) -> int:
        """Number of MD steps that have only rows or only frames."""
        return len(np.setdiff1d(self.deviations.md_steps, self.steps))


def join(directory: Path) -> Joined:
    """Return the frames of a run with their deviations.

    The n-th row of an MD step belongs to the n-th frame of that step. Of the pairs of one step the last counts: a
    program that was started again at this step wrote it. A row without a frame and a frame without a row become NaN.

    Raises
    ------
    OutputError
        One of the files is missing or cannot be read.
    """
    return _joined(read_rows(directory / DEVIATIONS), read_steps(directory / TRAJECTORY))


def rows_of_steps(directory: Path) -> Mapping[int, int]:
    """Return how often each MD step is in the file of deviations."""
    return Counter(read_rows(directory / DEVIATIONS)[:, 0].astype(np.int64).tolist())


def _joined(rows: Table, frames: NDArray[np.int64]) -> Joined:
    row_steps = rows[:, 0].astype(np.int64)
    steps = np.union1d(row_steps, frames)
    row_counts, frame_counts = _counts(row_steps, steps), _counts(frames, steps)
    pairs = np.minimum(row_counts, frame_counts)
    both = steps[pairs > 0]
    by_step = np.argsort(row_steps, kind="stable")
    first = np.searchsorted(row_steps[by_step], both)
    paired = rows[by_step[first + pairs[pairs > 0] - 1]]
    single = np.repeat(steps, np.abs(row_counts - frame_counts))
    alone = np.column_stack([single, np.full((len(single), 2), np.nan)])
    table = np.concatenate([paired, alone])
    table = table[np.argsort(table[:, 0], kind="stable")]
    return Joined(Deviations(table[:, 0].astype(np.int64), table[:, 1], table[:, 2]), both)


def _counts(found: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each of ``steps``, which are sorted, was found."""
    return np.bincount(np.searchsorted(steps, found), minlength=len(steps)).astype(np.int64)
