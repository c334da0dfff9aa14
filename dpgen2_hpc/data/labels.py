"""Labels: what first principles say of a frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame


@dataclass(frozen=True)
class Labels:
    """The answer of a first-principles code for one frame.

    Parameters
    ----------
    frame
        The configuration that the code says it computed.
    energy
        Total energy, eV.
    forces
        Shape (N, 3), eV/Å, in the order of the frame's atoms.
    virial
        Shape (3, 3), eV, positive for a compressed cell; ``None`` where the code gives none.
    """

    frame: Frame
    energy: float
    forces: NDArray[np.float64]
    virial: NDArray[np.float64] | None = None

    def sorted(self, type_map: Sequence[str]) -> "Labels":
        """Return the labels with the atoms in the order of ``type_map``; atoms of one kind keep their order."""
        order = self.frame.order(type_map)
        return self if order is None else replace(self, frame=self.frame.sorted(type_map), forces=self.forces[order])
