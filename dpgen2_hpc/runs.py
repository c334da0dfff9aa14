"""One MD run, read through its explorer: whatever the run left and the explorer does, the run alone fails."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.physical import fault_of
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.kinds import Deviations, Ending, Explorer
from dpgen2_hpc.plugins import call_plugin, describe_plugin

Wanted = TypeVar("Wanted")


@dataclass(frozen=True)
class RunReader:
    """Reads what one MD run left in ``directory``; ``where`` is its key, for the log.

    All methods raise :class:`OutputError` where the output cannot be read or the explorer fails on it.
    """

    explorer: Explorer
    where: str
    directory: Path
    type_map: tuple[str, ...]

    def ending(self, exit_code: int | None) -> Ending:
        """Return how the run ended, as its explorer sees it."""
        return self._ask(Ending, self.explorer.finish, self.directory, exit_code)

    def deviations(self) -> Deviations:
        """Return the deviation of every frame."""
        return self._ask(Deviations, self.explorer.deviations, self.directory)

    def start(self) -> Frame:
        """Return the configuration that the run started from."""
        path = self.directory / self.explorer.configuration_file
        return self._ask(Frame, self.explorer.read_configuration, path, self.type_map)

    def frames(self, md_steps: Sequence[int], first: Frame | None) -> list[Frame | None]:
        """Return the frames of these MD steps, ``None`` for those that are not whole and valid."""
        found = self._ask_all(Frame, self.explorer.frames, md_steps)
        return [frame if frame is None or self._reject(frame, first) is None else None for frame in found]

    def predictions(self, md_steps: Sequence[int], frames: Sequence[Frame]) -> list[Labels | None]:
        """Return what the driving model predicted for these frames, ``None`` where it does not fit the frame."""
        found = self._ask_all(Labels, self.explorer.predictions, md_steps)
        return [_fitting(one, frame) for one, frame in zip(found, frames, strict=True)]

    def fault(self, md_step: int, first: Frame | None) -> str | None:
        """Return why the frame of an MD step is invalid, ``None`` if it is valid; ``first`` is the run's start."""
        (frame,) = self._ask_all(Frame, self.explorer.frames, [md_step])
        return "is not a whole frame of these elements" if frame is None else self._reject(frame, first)

    def cut(self, ending: Ending, fault: str, first: Frame | None) -> Ending:
        """Return the ending of a run whose last frame is invalid.

        What makes it so (atoms that left) lasts to the end: the last valid frame is found by halving.
        """
        steps = self.deviations().md_steps
        steps = np.unique(steps[steps <= ending.last_step]).tolist()
        valid = bisect_left(steps, True, key=lambda step: self.fault(step, first) is not None)
        reason = f"the frame of MD step {ending.last_step} {fault}"
        if valid == 0:
            raise OutputError(f"the first frame is invalid, and {reason}")
        reason = f"{ending.reason}; {reason}" if ending.reason else reason
        return replace(ending, early=True, halted=False, last_step=steps[valid - 1], reason=reason)

    def _reject(self, frame: Frame, first: Frame | None) -> str | None:
        try:
            return fault_of(frame, self.type_map, first)
        except (TypeError, ValueError) as error:  # a foreign explorer may fill a frame with anything
            return f"is not a frame: {error}"

    def _ask(self, kind: type[Wanted], method: Callable[..., Any], *arguments: Any) -> Wanted:
        answer = call_plugin(self.where, method, *arguments)
        if not isinstance(answer, kind):
            raise OutputError(f"{describe_plugin(self.explorer)} returned {answer!r:.60} and not {kind.__name__}")
        return answer

    def _ask_all(self, kind: type[Wanted], method: Callable[..., Any], md_steps: Sequence[int]) -> list[Wanted | None]:
        answers = self._ask(list, method, self.directory, list(md_steps), self.type_map)
        if len(answers) != len(md_steps) or not all(answer is None or isinstance(answer, kind) for answer in answers):
            plugin = describe_plugin(self.explorer)
            raise OutputError(f"{plugin} did not return {kind.__name__} or None for each of {len(md_steps)} MD steps")
        return answers


def _fitting(predicted: Labels | None, frame: Frame) -> Labels | None:
    """Return a prediction of a frame whose numbers can be compared with its label, else ``None``."""
    if predicted is None or predicted.frame.symbols != frame.symbols:
        return None
    arrays = [predicted.forces, *([] if predicted.virial is None else [predicted.virial])]
    try:
        shapes = [array.shape for array in arrays] == [frame.coords.shape, (3, 3)][: len(arrays)]
        finite = np.isfinite(predicted.energy) and all(np.all(np.isfinite(array)) for array in arrays)
    except (AttributeError, TypeError):
        return None
    return replace(predicted, frame=frame) if shapes and finite else None
