"""Selection: which frames are labelled, and when a stage has converged."""

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.kinds.base import Kind
from dpgen2_hpc.kinds.exploration import Deviations

ACCURATE, CANDIDATE, FAILED, INVALID = range(4)
"""The classes of a frame, as numbers in an array."""


class Convergence(Kind):
    """What makes a frame a candidate, and a stage converged."""

    @abstractmethod
    def classify(self, deviations: Deviations) -> NDArray[np.uint8]:
        """Return the class of each frame."""

    @abstractmethod
    def order(
        self, force: NDArray[np.float64], virial: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.intp]:
        """Return the order in which the candidates are asked to be labelled: a permutation."""

    @abstractmethod
    def converged(self, counts: Mapping[str, int]) -> bool:
        """Return whether the stage has converged.

        ``counts`` has the frames ``explored``, ``accurate``, ``candidate``, ``failed`` and ``invalid``, and the MD
        ``runs``, those that ``ended_early``, and those of these whose number of frames asked for cannot be known
        (``of_unknown_length``): what these did not write is not among the invalid frames.
        """

    @abstractmethod
    def levels(self) -> dict[str, float | None]:
        """Return the trust levels under the names that the report shows."""
