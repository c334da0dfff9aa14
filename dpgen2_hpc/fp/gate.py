"""The gate: whether what a code wrote is a label of the frame that was asked for. An exit code proves nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused
from dpgen2_hpc.kinds import Labeler

GPA = 160.21766208
"""1 eV/Å³ in GPa."""

TURNED = 1e-5
"""Å by which the entries of two cells differ at most where no parser has turned one of them."""

PORTION = 256
"""Labels that are judged together: calls of numpy cost more than the numbers of one label, and memory has an end."""

Array = NDArray[np.float64]


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
        (judged,) = self.judge([labeler.read_labels(directory)], [frame], has_virial=labeler.has_virial)
        if isinstance(judged, LabelRefused):
            raise judged
        return judged

    def judge(
        self, found: Sequence[Labels], wanted: Sequence[Frame], *, has_virial: bool
    ) -> list[Labels | LabelRefused]:
        """Return each label on the frame that was asked for, or why it is none.

        ``has_virial``: without one there is no label of a periodic frame.
        """
        judged: list[Labels | LabelRefused] = list(found)
        alike: dict[tuple[int, bool, bool], list[int]] = {}
        for index, (labels, frame) in enumerate(zip(found, wanted, strict=True)):
            problem = _unlike(labels, frame, has_virial=has_virial)
            if problem:
                judged[index] = LabelRefused(problem)
                continue
            virial = frame.periodic and labels.virial is not None
            alike.setdefault((len(frame.symbols), frame.periodic, virial), []).append(index)
        for (_, periodic, virial), indices in alike.items():
            for start in range(0, len(indices), PORTION):
                chosen = indices[start : start + PORTION]
                with np.errstate(invalid="ignore"):  # what is no number is refused below
                    stack = _Stack([found[i] for i in chosen], [wanted[i] for i in chosen], periodic, virial)
                    verdicts = self._judge_stack(stack)
                for index, verdict in zip(chosen, verdicts, strict=True):
                    judged[index] = verdict
        return judged

    def _judge_stack(self, stack: "_Stack") -> list[Labels | LabelRefused]:
        reasons = self._reasons(stack)
        turned = stack.turned()
        return [
            LabelRefused(reasons[index]) if index in reasons else stack.label(index, turned=bool(turned[index]))
            for index in range(len(stack.wanted))
        ]

    def _reasons(self, stack: "_Stack") -> dict[int, str]:
        """Return why labels of a stack are refused, each with the first reason that there is."""
        reasons: dict[int, str] = {}

        def refuse(which: NDArray[np.bool_], text: Callable[[int], str]) -> None:
            for index in np.flatnonzero(which).tolist():
                reasons.setdefault(index, text(index))

        if stack.periodic:
            refuse(stack.flat, lambda _: "the cell has no volume")
            limit = self.position_tolerance * np.abs(stack.cells).max(axis=(1, 2))
            refuse(~(stack.stretched() <= limit), lambda _: "the cell is not the one that was asked for")
        moved = stack.moved()
        refuse(
            ~(moved <= self.position_tolerance), lambda i: f"an atom is {moved[i]:.3g} Å from where it was asked to be"
        )
        refuse(~stack.finite(), lambda _: "energy, forces or virial are not finite")
        force, pressure = stack.largest_force(), stack.pressure()
        refuse(
            force > self.max_force, lambda i: f"the largest force is {force[i]:.1f} eV/Å, more than {self.max_force:g}"
        )
        refuse(
            pressure > self.max_pressure,
            lambda i: f"the pressure is {pressure[i]:.0f} GPa, more than {self.max_pressure:g}",
        )
        return reasons


def _unlike(labels: Labels, wanted: Frame, *, has_virial: bool) -> str | None:
    """Return what is wrong with a label before one looks at its numbers."""
    if labels.frame.symbols != wanted.symbols:
        return "the atoms are not those that were asked for, or not in that order"
    if np.shape(labels.forces)[:1] != np.shape(wanted.coords)[:1]:
        forces = len(labels.forces) if np.shape(labels.forces) else "no"
        return f"there are {forces} forces for {len(wanted.symbols)} atoms"
    malformed = _malformed(labels)
    if malformed:
        return malformed
    if wanted.periodic and not labels.frame.periodic:
        return "it was computed without periodicity, which the frame has"
    if wanted.periodic and labels.virial is None and has_virial:
        return "the output has no virial: was it cut, or is the stress not asked for?"
    return None


def _malformed(labels: Labels) -> str | None:
    """Return which array of a label has another shape than its atoms ask for, or does not hold real numbers."""
    atoms = len(labels.frame.symbols)
    arrays = {
        "energy": (labels.energy, ()),
        "forces": (labels.forces, (atoms, 3)),
        "coordinates": (labels.frame.coords, (atoms, 3)),
        "cell": (labels.frame.cell, (3, 3)),
        **({} if labels.virial is None else {"virial": (labels.virial, (3, 3))}),
    }
    for name, (value, shape) in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            return f"the {name} are not real numbers" if name != "energy" else "the energy is not a real number"
        if array.shape != shape:
            return f"{name}: the shape is {array.shape}, for {atoms} atoms it must be {shape}"
    return None


class _Stack:
    """Labels of one number of atoms, all periodic or none, all with a virial or none, and the frames asked for."""

    def __init__(self, found: Sequence[Labels], wanted: Sequence[Frame], periodic: bool, virial: bool) -> None:
        self.found, self.wanted, self.periodic = found, wanted, periodic
        self.energies = np.array([labels.energy for labels in found])
        self.forces = _stacked([labels.forces for labels in found])
        self.virials = _stacked([labels.virial for labels in found if labels.virial is not None]) if virial else None
        self.cells = _stacked([frame.cell for frame in wanted])
        found_cells = _stacked([labels.frame.cell for labels in found])
        self.flat = ~(np.abs(np.linalg.det(found_cells)) > 0)
        self.found_cells = np.where(self.flat[:, None, None], np.eye(3), found_cells)

    def turned(self) -> NDArray[np.bool_]:
        """Return whose cell is not the very one that was asked for: a parser has turned it."""
        return np.asarray(np.abs(self.found_cells - self.cells).max(axis=(1, 2)) > TURNED)

    def label(self, index: int, *, turned: bool) -> Labels:
        """Return a label on the frame that was asked for; forces and virial of one in a turned cell are turned back."""
        labels, frame = self.found[index], self.wanted[index]
        virial = None if self.virials is None else self.virials[index]
        if not (turned and self.periodic):
            return Labels(frame, labels.energy, labels.forces, virial)
        left, _, right = np.linalg.svd(np.linalg.inv(frame.cell) @ labels.frame.cell)
        turn = left @ right  # the nearest rotation: the cell found = the cell wanted @ turn
        return Labels(frame, labels.energy, labels.forces @ turn.T, None if virial is None else turn @ virial @ turn.T)

    def stretched(self) -> Array:
        """Return by how much (Å²) lengths and angles differ: what a rotation leaves of a cell are scalar products."""
        difference = self.found_cells @ _transposed(self.found_cells) - self.cells @ _transposed(self.cells)
        return np.asarray(np.abs(difference).max(axis=(1, 2)))

    def moved(self) -> Array:
        """Return the largest distance (Å) of an atom of each frame from its wanted place.

        In a periodic frame that of nearest images, by fractional coordinates, since parsers turn cells. A frame without
        periodicity may have been put into a box, by a code that folds atoms back into it.
        """
        found = _stacked([labels.frame.coords for labels in self.found])
        wanted = _stacked([frame.coords for frame in self.wanted])
        if not self.periodic:
            boxed = np.array([labels.frame.periodic for labels in self.found]) & ~self.flat
            folds = np.round((found - wanted) @ np.linalg.inv(self.found_cells)) * boxed[:, None, None]
            return _largest_norm(found - folds @ self.found_cells - wanted)
        fractions = found @ np.linalg.inv(self.found_cells) - wanted @ np.linalg.inv(self.cells)
        fractions -= np.round(fractions)
        return _largest_norm(fractions @ self.cells)

    def finite(self) -> NDArray[np.bool_]:
        """Return where energy, forces and virial are numbers."""
        finite = np.isfinite(self.energies) & np.isfinite(self.forces).all(axis=(1, 2))
        if self.virials is not None:
            finite &= np.isfinite(self.virials).all(axis=(1, 2))
        return np.asarray(finite)

    def largest_force(self) -> Array:
        """Return the largest force of each label, eV/Å."""
        return _largest_norm(self.forces)

    def pressure(self) -> Array:
        """Return each label's pressure, without its sign, GPa; zero without a virial."""
        if self.virials is None:
            return np.zeros(len(self.wanted))
        trace = np.trace(self.virials, axis1=1, axis2=2)
        return np.asarray(np.abs(trace / 3 / np.linalg.det(self.cells)) * GPA)


def _stacked(arrays: Sequence[Array]) -> Array:
    """Return what ``np.stack`` does of arrays of three columns, in a third of its time."""
    return np.concatenate(arrays).reshape(len(arrays), -1, 3)


def _transposed(matrices: Array) -> Array:
    return np.swapaxes(matrices, 1, 2)


def _largest_norm(vectors: Array) -> Array:
    """Return the length of the longest vector of each frame; ``vectors`` has the shape (F, N, 3)."""
    return np.asarray(np.sqrt(np.einsum("fni,fni->fn", vectors, vectors)).max(axis=1))
