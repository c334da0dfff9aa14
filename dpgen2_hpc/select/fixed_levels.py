"""Trust levels that stay as the user has set them (type ``fixed-levels``)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import dargs
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from dpgen2_hpc.kinds import ACCURATE, CANDIDATE, FAILED, INVALID, CheckContext, Convergence, Deviations, Key, Problem


@dataclass(frozen=True)
class FixedLevels(Convergence):
    """Classes by ``lo <= deviation < hi``, candidates in random order; see :class:`dpgen2_hpc.kinds.Convergence`."""

    level_f_lo: float
    level_f_hi: float
    level_v_lo: float | None = None
    level_v_hi: float | None = None
    conv_accuracy: float = 0.9

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``explore.convergence``."""
        number = [float, type(None)]
        return [
            Key("level_f_lo", float, "Below it a force deviation is accurate, eV/Å.", minimum=0),
            Key("level_f_hi", float, "From it on a force deviation is failed, eV/Å.", above=0),
            Key("level_v_lo", number, "As level_f_lo for the virial, eV/atom.", optional=True, default=None, minimum=0),
            Key("level_v_hi", number, "As level_f_hi for the virial, eV/atom.", optional=True, default=None, above=0),
            Key(
                "conv_accuracy",
                float,
                "A stage has converged when this part of all explored frames is accurate.",
                optional=True,
                default=0.9,
                above=0,
                maximum=1,
            ),
        ]

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the levels for checked settings."""
        return cls(**settings)

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield levels in the wrong order, and a virial level without its other half."""
        pairs = {"f": (self.level_f_lo, self.level_f_hi), "v": (self.level_v_lo, self.level_v_hi)}
        for letter, (low, high) in pairs.items():
            if (low is None) != (high is None):
                missing, given = ("lo", "hi") if low is None else ("hi", "lo")
                yield (f"level_{letter}_{missing}",), f"is missing: level_{letter}_{given} is given"
            elif low is not None and high is not None and low >= high:
                yield (f"level_{letter}_lo",), f"must be below level_{letter}_hi ({high}), found {low}"

    @override
    def classify(self, deviations: Deviations) -> NDArray[np.uint8]:
        """Return the class of each frame: failed if force or virial is, accurate if both are, else candidate."""
        force = _level(deviations.force, self.level_f_lo, self.level_f_hi)
        finite = np.isfinite(deviations.force)
        if self.level_v_lo is not None and self.level_v_hi is not None:
            virial = _level(deviations.virial, self.level_v_lo, self.level_v_hi)
            finite &= np.isfinite(deviations.virial)
            force = np.maximum(force, virial)  # the worse of the two: ACCURATE < CANDIDATE < FAILED
        force[~finite] = INVALID
        return force

    @override
    def order(
        self, force: NDArray[np.float64], virial: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.intp]:
        """Return a random permutation."""
        return rng.permutation(len(force))

    @override
    def converged(self, counts: Mapping[str, int]) -> bool:
        """Return whether enough of what was explored is accurate; nothing valid is never enough.

        Of a run that ended early, and of which nobody knows how much it was asked for, the frames are not enough to
        judge by: no more than the part that need not be accurate may be such runs.
        """
        valid = counts["explored"] - counts["invalid"]
        if valid <= 0 or counts.get("of_unknown_length", 0) > (1 - self.conv_accuracy) * counts.get("runs", 0) + 1e-9:
            return False
        return counts["accurate"] / counts["explored"] >= self.conv_accuracy

    @override
    def levels(self) -> dict[str, float | None]:
        """Return the levels; those of the virial only if they are used."""
        levels: dict[str, float | None] = {"level_f_lo": self.level_f_lo, "level_f_hi": self.level_f_hi}
        if self.level_v_lo is not None:
            levels |= {"level_v_lo": self.level_v_lo, "level_v_hi": self.level_v_hi}
        return levels


def _level(deviation: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    """Return the classes of one kind of deviation; NaN comes out as candidate, and is dealt with by the caller."""
    classes = np.full(len(deviation), CANDIDATE, dtype=np.uint8)
    classes[deviation < low] = ACCURATE
    classes[deviation >= high] = FAILED
    return classes
