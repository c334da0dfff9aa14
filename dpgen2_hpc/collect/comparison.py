"""The true error: what the models predicted of the frames beside what first principles say, before they learn it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.labels import Labels


@dataclass(frozen=True)
class Error:
    """How wrong the model that drove the run was about one frame.

    Parameters
    ----------
    energy
        Predicted minus labelled, eV/atom.
    forces
        The same of the forces, shape (N, 3), eV/Å.
    virial
        The same of the virial, shape (3, 3), eV/atom; ``None`` where one of both has none.
    """

    energy: float
    forces: NDArray[np.float64]
    virial: NDArray[np.float64] | None

    @property
    def largest_force(self) -> float:
        """The largest over atoms of the length of the difference, eV/Å: the measure of the force deviation."""
        return float(np.sqrt(np.einsum("ni,ni->n", self.forces, self.forces).max()))

    @property
    def largest_virial(self) -> float | None:
        """The largest over components, eV/atom: the measure of the virial deviation."""
        return None if self.virial is None else float(np.abs(self.virial).max())


def error_of(predicted: Labels, labels: Labels) -> Error:
    """Return the error of a prediction; both have their atoms in the same order."""
    natoms = len(labels.frame.symbols)
    virial = None
    if predicted.virial is not None and labels.virial is not None:
        virial = (predicted.virial - labels.virial) / natoms
    return Error((predicted.energy - labels.energy) / natoms, predicted.forces - labels.forces, virial)


def in_row(error: Error | None) -> dict[str, float | None]:
    """Return what the manifest says of a frame's error: eV/Å, eV/atom, eV/atom."""
    if error is None:
        return {}
    return {"error_f": error.largest_force, "error_e": error.energy, "error_v": error.largest_virial}


def summary(found: Sequence[Error | None], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the error of an iteration's labels, ``None`` where nothing was predicted.

    ``rmse_e`` and ``rmse_v`` (eV/atom) and ``rmse_f`` (eV/Å) are over all components; ``error_f`` is the mean over
    frames of the largest error of a force, and ``deviation_f`` the mean over the same frames (``rows``) of what the
    ensemble's disagreement said of it, both eV/Å.
    """
    errors = [error for error in found if error is not None]
    if not errors:
        return None
    deviations = [row["deviation_f"] for row, error in zip(rows, found, strict=True) if error is not None]
    return {
        "frames": len(errors),
        "rmse_e": _rms([np.array([error.energy]) for error in errors]),
        "rmse_f": _rms([error.forces for error in errors]),
        "rmse_v": _rms([error.virial for error in errors if error.virial is not None]),
        "error_f": float(np.mean([error.largest_force for error in errors])),
        "deviation_f": float(np.mean(deviations)),
    }


def _rms(arrays: Sequence[NDArray[np.float64]]) -> float | None:
    """Return the root mean square of all numbers, ``None`` if there are none."""
    return float(np.sqrt(np.mean(np.concatenate([array.ravel() for array in arrays]) ** 2))) if arrays else None
