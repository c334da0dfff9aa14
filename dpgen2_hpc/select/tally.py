"""What the runs of an iteration explored, by class. What a run was asked for and did not write is invalid."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.kinds import ACCURATE, CANDIDATE, FAILED, INVALID, Convergence, Deviations
from dpgen2_hpc.state.results import Run

CANDIDATE_ROW = np.dtype([("task", "<i4"), ("md_step", "<i8"), ("force", "<f8"), ("virial", "<f8")])
"""A row of ``order.npy``: 28 bytes a candidate."""

CLASSES = {"accurate": ACCURATE, "candidate": CANDIDATE, "failed": FAILED, "invalid": INVALID}


@dataclass
class Tally:
    """The sum over runs: numbers of frames by class, the candidates, and the force deviations of valid frames (eV/Å).

    ``of_unknown_length`` counts the runs that ended early and of which the number of frames asked for cannot be known.
    """

    totals: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(CLASSES), dtype=np.int64))
    candidates: list[NDArray[Any]] = field(default_factory=lambda: [np.empty(0, CANDIDATE_ROW)])
    forces: list[NDArray[np.float64]] = field(default_factory=lambda: [np.empty(0)])
    runs: int = 0
    ended_early: int = 0
    of_unknown_length: int = 0

    def add(self, run: Run, deviations: Deviations, convergence: Convergence) -> None:
        """Count the frames of a usable run."""
        deviations = _up_to(deviations, run.last_step)
        classes = convergence.classify(deviations)
        self.totals += np.bincount(classes, minlength=len(CLASSES))
        chosen = np.flatnonzero(classes == CANDIDATE)
        rows = np.empty(len(chosen), CANDIDATE_ROW)
        rows["task"], rows["md_step"] = run.task, deviations.md_steps[chosen]
        rows["force"], rows["virial"] = deviations.force[chosen], deviations.virial[chosen]
        self.candidates.append(rows)
        self.forces.append(deviations.force[classes != INVALID])
        self._add_missing(run, len(classes), int(np.sum(classes == INVALID)))

    def add_failed(self, asked: int | None) -> None:
        """Count a run of which no frame can be used."""
        self._add_missing(Run(0, "", asked, ended_early=True), 0, 0)

    def counts(self) -> dict[str, int]:
        """Return the numbers of frames and of runs."""
        classes = {name: int(self.totals[code]) for name, code in CLASSES.items()}
        runs = {"runs": self.runs, "ended_early": self.ended_early, "of_unknown_length": self.of_unknown_length}
        return {"explored": int(self.totals.sum()), **classes, **runs}

    def _add_missing(self, run: Run, written: int, invalid: int) -> None:
        """Count a run, and what it was asked for and did not write; that is at least one frame if nobody knows."""
        short = 0 if run.asked is None or (run.halted and not run.ended_early) else max(0, run.asked - written)
        early = run.ended_early or short > 0
        unknown = early and run.asked is None
        self.totals[INVALID] += max(short, 1 if unknown and invalid == 0 else 0)
        self.runs += 1
        self.ended_early += early
        self.of_unknown_length += unknown


def _up_to(deviations: Deviations, last_step: int | None) -> Deviations:
    """Return the deviations with NaN after the last valid frame."""
    if last_step is None:
        return deviations
    there = deviations.md_steps <= last_step
    force, virial = (np.where(there, values, np.nan) for values in (deviations.force, deviations.virial))
    return Deviations(deviations.md_steps, force, virial)
