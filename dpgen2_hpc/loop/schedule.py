"""What comes after an iteration: a pure function of the settings and of the iterations' reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What comes after an iteration."""

    GO_ON = "go on"
    COMPLETE = "complete"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Limits:
    """What the schedule must know of ``explore``; ``levels`` are those that the next iteration would have."""

    stages: int
    max_numb_iter: int
    fatal_at_max: bool
    levels: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What comes next: with *go on*, the stage and the index in it of the next iteration."""

    action: Action
    reason: str
    stage: int = 0
    index_in_stage: int = 0


def decide(limits: Limits, reports: Sequence[Mapping[str, Any]]) -> Decision:
    """Return what comes after the last of ``reports`` (rows of ``record.json``, at least one).

    The order of the questions is part of the contract: nothing valid explored, converged, nothing selected (unless the
    levels are others by now), the last allowed iteration, go on.
    """
    last = reports[-1]
    stage, done = int(last["stage"]), int(last["index_in_stage"]) + 1
    early = f" ({last['ended_early']} of {last['runs']} MD runs ended early)" if last.get("ended_early") else ""
    if last["explored"] == last["invalid"]:
        return Decision(
            Action.BLOCKED, f"no valid frame was explored: every run failed, or every deviation is NaN{early}"
        )
    if last["converged"]:
        return _after_stage(limits, stage, f"stage {stage} has converged")
    if last["selected"] == 0 and not _has_other_levels(limits, last):
        return Decision(Action.BLOCKED, f"stage {stage} has not converged, and no frame could be selected{early}")
    if done >= limits.max_numb_iter:
        reason = f"stage {stage} has not converged in max_numb_iter = {limits.max_numb_iter} iterations{early}"
        return Decision(Action.BLOCKED, reason) if limits.fatal_at_max else _after_stage(limits, stage, reason)
    return Decision(Action.GO_ON, f"stage {stage} has not converged yet", stage, done)


def _has_other_levels(limits: Limits, last: Mapping[str, Any]) -> bool:
    """Whether a person has changed the levels since the last iteration: what it could not select, the next one may."""
    return any(name in last and last[name] != level for name, level in limits.levels.items())


def _after_stage(limits: Limits, stage: int, reason: str) -> Decision:
    if stage + 1 < limits.stages:
        return Decision(Action.GO_ON, reason, stage + 1, 0)
    return Decision(Action.COMPLETE, reason)
