"""The gate: whether what a code wrote is a label of the frame that was asked for. An exit code proves nothing."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused
from dpgen2_hpc.kinds import Labeler

GPA = 160.21766208
"""1 eV/Å³ in GPa."""


@dataclass(frozen=True)
class Gate:
    """What every label must pass.

    ``max_force`` (eV/Å) and ``max_pressure`` (GPa) keep collapsed frames out, which poison the models (measured).
    ``position_tolerance`` (Å) is how far an atom may be from where it was asked to be.
    """

    max_force: float = 50.0
    max_pressure: float = 500.0
    position_tolerance: float = 1e-3

    def read(self, labeler: Labeler, directory: Path, frame: Frame) -> Labels:
        """Return the label of ``frame`` that stands in ``directory``, on the frame that was asked for.

        Raises
        ------
        LabelRefused
            It is none, and why.
        OutputError
            Nothing could be read.
        """
        labels = labeler.read_labels(directory)
        self._check_frame(labels.frame, frame)
        if frame.periodic and labels.virial is None and labeler.has_virial:
            raise LabelRefused("the output has no virial: was it cut, or is the stress not asked for?")
        turned = _turned_back(labels, frame) if frame.periodic else replace(labels, frame=frame, virial=None)
        self._check_numbers(turned)
        return turned

    def _check_frame(self, found: Frame, wanted: Frame) -> None:
        if found.symbols != wanted.symbols:
            raise LabelRefused("the atoms are not those that were asked for, or not in that order")
        if wanted.periodic and not found.periodic:
            raise LabelRefused("it was computed without periodicity, which the frame has")
        if wanted.periodic:
            if not abs(np.linalg.det(found.cell)) > 0:
                raise LabelRefused("the cell has no volume")
            moved = _displacement(found, wanted)
            stretched = np.abs(_metric(found) - _metric(wanted)).max()
            if stretched > self.position_tolerance * np.abs(wanted.cell).max():
                raise LabelRefused("the cell is not the one that was asked for")
        else:
            moved = float(np.abs(found.coords - wanted.coords).max())
        if not moved <= self.position_tolerance:
            raise LabelRefused(f"an atom is {moved:.3g} Å from where it was asked to be")

    def _check_numbers(self, labels: Labels) -> None:
        virial, frame = labels.virial, labels.frame
        numbers = [np.array([labels.energy]), labels.forces, *([] if virial is None else [virial])]
        if labels.forces.shape != frame.coords.shape:
            raise LabelRefused(f"there are {len(labels.forces)} forces for {len(frame.symbols)} atoms")
        if not all(np.isfinite(array).all() for array in numbers):
            raise LabelRefused("energy, forces or virial are not finite")
        largest = float(np.linalg.norm(labels.forces, axis=1).max())
        if largest > self.max_force:
            raise LabelRefused(f"the largest force is {largest:.1f} eV/Å, more than {self.max_force:g}")
        if virial is not None:
            pressure = abs(float(np.trace(virial))) / 3 / abs(float(np.linalg.det(frame.cell))) * GPA
            if pressure > self.max_pressure:
                raise LabelRefused(f"the pressure is {pressure:.0f} GPa, more than {self.max_pressure:g}")


def _turned_back(labels: Labels, wanted: Frame) -> Labels:
    """Return labels on the frame that was asked for: a parser that rotates the cell has rotated forces and virial."""
    if np.allclose(labels.frame.cell, wanted.cell, rtol=0, atol=1e-5):
        return replace(labels, frame=wanted)
    left, _, right = np.linalg.svd(np.linalg.inv(wanted.cell) @ labels.frame.cell)
    turn = left @ right  # the nearest rotation: found.cell = wanted.cell @ turn
    virial = None if labels.virial is None else turn @ labels.virial @ turn.T
    forces = labels.forces @ turn.T if labels.forces.shape == wanted.coords.shape else labels.forces
    return Labels(wanted, labels.energy, forces, virial)


def _displacement(found: Frame, wanted: Frame) -> float:
    """Return the largest distance (Å) of an atom from its wanted place, by nearest images.

    Fractional coordinates are compared, since parsers rotate cells.
    """
    fractions = found.coords @ np.linalg.inv(found.cell) - wanted.coords @ np.linalg.inv(wanted.cell)
    fractions -= np.round(fractions)
    return float(np.linalg.norm(fractions @ wanted.cell, axis=1).max())


def _metric(frame: Frame) -> np.ndarray:
    """Return what a rotation leaves of the cell: lengths and angles, as scalar products (Å²)."""
    return frame.cell @ frame.cell.T
