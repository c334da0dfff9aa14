"""The gate: whether what a code wrote is a label of the frame that was asked for. An exit code proves nothing.

A labeler may be anybody's: what it returns is compared with the shapes and types that a label has before anything is
computed from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.elements import element_of
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused
from dpgen2_hpc.kinds import Labeler
from dpgen2_hpc.plugins import text_of

GPA = 160.21766208
"""1 eV/Å³ in GPa."""

TURNED = 1e-5
"""Å by which the entries of two cells differ at most where no parser has turned one of them."""

FAR = 1e6
"""Cells by which a code may move an atom to another image: beyond, a float has too few digits to compare."""

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
            It is rejected; the message says why.
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
        """Return each label on the frame that was asked for, or why it is rejected.

        ``has_virial``: a label of a periodic frame without a virial is rejected.
        """
        judged: list[Labels | LabelRefused] = []
        alike: dict[tuple[int, bool, bool], list[int]] = {}
        for index, (given, frame) in enumerate(zip(found, wanted, strict=True)):
            judged.append(_comparable(given, frame, has_virial=has_virial))
            if isinstance(judged[index], Labels):
                virial = frame.periodic and given.virial is not None
                alike.setdefault((len(frame.symbols), frame.periodic, virial), []).append(index)
        for (_, periodic, virial), indices in alike.items():
            for start in range(0, len(indices), PORTION):
                chosen = indices[start : start + PORTION]
                labels = [cast(Labels, judged[index]) for index in chosen]
                with np.errstate(all="ignore"):  # what is not a number, or too large for one, is rejected below
                    verdicts = self._verdicts(labels, [wanted[index] for index in chosen], periodic, virial)
                for index, verdict in zip(chosen, verdicts, strict=True):
                    judged[index] = verdict
        return judged

    def _verdicts(
        self, found: Sequence[Labels], wanted: Sequence[Frame], periodic: bool, virial: bool
    ) -> list[Labels | LabelRefused]:
        """Judge labels that are alike; where one has a matrix that cannot be inverted, each by itself."""
        try:
            return self._judge_stack(_Stack(found, wanted, periodic, virial))
        except np.linalg.LinAlgError as error:
            if len(found) == 1:
                return [LabelRefused(f"it cannot be compared with the frame that was asked for: {error}")]
        pairs = zip(found, wanted, strict=True)
        return [one for label, frame in pairs for one in self._verdicts([label], [frame], periodic, virial)]

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


def _comparable(given: Any, wanted: Frame, *, has_virial: bool) -> Labels | LabelRefused:
    """Return a label that has the parts of one of ``wanted``, or why it cannot be compared with it."""
    try:
        labels = _well_formed(given, wanted)
    except LabelRefused as refused:
        return refused
    if wanted.periodic and not labels.frame.periodic:
        return LabelRefused("it was computed without periodicity, which the frame has")
    if wanted.periodic and labels.virial is None and has_virial:
        return LabelRefused("the output has no virial: was it cut, or is the stress not asked for?")
    return labels


# ---- shapes and types -----------------------------------------------------------------------------------------------


def _well_formed(labels: Any, wanted: Frame) -> Labels:
    """Return a label whose parts have the types and shapes that a label has.

    Raises
    ------
    LabelRefused
        One has not, and cannot be turned into it without a guess.
    """
    if not isinstance(labels, Labels) or not isinstance(labels.frame, Frame):
        raise LabelRefused(f"the labeler returned {type(labels).__name__}, not labels of a frame")
    frame, atoms = labels.frame, len(wanted.symbols)
    if type(frame.symbols) is not tuple or frame.symbols != wanted.symbols:
        _refuse_symbols(frame.symbols, wanted.symbols)
    coords = _numbers("the coordinates", frame.coords, (atoms, 3))
    cell = _numbers("the cell", frame.cell, (3, 3))
    found = Frame(wanted.symbols, coords, cell, _flag(frame.periodic))
    energy = float(_numbers("the energy", labels.energy, ()))
    forces = _numbers("the forces", labels.forces, (atoms, 3))
    virial = None if labels.virial is None else _numbers("the virial", labels.virial, (3, 3))
    return Labels(found, energy, forces, virial)


def _refuse_symbols(given: Any, wanted: tuple[str, ...]) -> None:
    """Refuse atoms that are not of the elements that were asked for; codes print Fe for Fe1. A list is understood."""
    if not isinstance(given, tuple | list) or not all(isinstance(symbol, str) for symbol in given):
        raise LabelRefused("the labeler returned no list of element symbols")
    if list(map(element_of, given)) != list(map(element_of, wanted)):
        raise LabelRefused("the atoms are not those that were asked for, or not in that order")


def _flag(given: Any) -> bool:
    if not isinstance(given, bool | np.bool_):
        raise LabelRefused(f"the labeler does not say whether the frame is periodic, but {type(given).__name__}")
    return bool(given)


def _numbers(what: str, given: Any, shape: tuple[int, ...]) -> Array:
    """Return real numbers of this shape, in double precision."""
    if type(given) is np.ndarray and given.dtype == np.float64 and given.shape == shape:
        return given  # as nearly all are: labels come in thousands
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise LabelRefused(f"{what}: some of the numbers are masked")
    try:
        array = np.asarray(given)
    except Exception as error:  # an object of a labeler's own may raise anything here
        raise LabelRefused(f"{what}: cannot be understood: {type(error).__name__}: {text_of(error)}") from error
    if array.dtype.kind not in "fiu":
        raise LabelRefused(f"{what}: not real numbers, but of the type {array.dtype}")
    if array.shape != shape:
        raise LabelRefused(f"{what}: found the shape {array.shape}, expected {shape}")
    return array.astype(np.float64, copy=False)


# ---- many labels at once --------------------------------------------------------------------------------------------


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
            folds = _whole((found - wanted) @ np.linalg.inv(self.found_cells)) * boxed[:, None, None]
            return _largest_norm(found - folds @ self.found_cells - wanted)
        fractions = found @ np.linalg.inv(self.found_cells) - wanted @ np.linalg.inv(self.cells)
        fractions -= _whole(fractions)
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


def _whole(fractions: Array) -> Array:
    """Return the nearest whole numbers of cells; zero beyond :data:`FAR`, where a float has no room for the rest."""
    return np.where(np.abs(fractions) < FAR, np.round(fractions), 0.0)


def _largest_norm(vectors: Array) -> Array:
    """Return the length of the longest vector of each frame; ``vectors`` has the shape (F, N, 3)."""
    return np.asarray(np.sqrt(np.einsum("fni,fni->fn", vectors, vectors)).max(axis=1))
