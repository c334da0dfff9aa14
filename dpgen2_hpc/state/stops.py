"""Every state in which a run needs its user, and the way out of it: the one table of them.

Each message that stops a run ends with the advice of its entry, and each advice names a command or an edit. The test
``tests/loop/test_stops.py`` puts a run into each of these states and leads it out as the message says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dpgen2_hpc.errors import STORAGE

AGAIN = "run the same command again"


@dataclass(frozen=True)
class Stop:
    """A state that needs the user: what has happened, and the text that says how to go on."""

    when: str
    advice: str


STOPS: Mapping[str, Stop] = {
    # ---- blocked: the reason stands in record.json, and `run` tries again
    "tasks-failed": Stop(
        "a step has fewer usable tasks than the policy asks for",
        f"Fix the cause (dpgen2-hpc why {{key}} says more), then {AGAIN}: only the failed tasks are rerun.",
    ),
    "labels-rejected": Stop(
        "labels were computed and rejected, and too few are left",
        "Rejected labels are not rerun automatically. Fix the settings, then: dpgen2-hpc retry {keys}. To go on "
        "without them: dpgen2-hpc skip {keys}, or lower continue_on_success_ratio of fp in machine.json. Then "
        f"{AGAIN}.",
    ),
    "queue-refuses": Stop(
        "the scheduler rejects the jobs",
        f"Fix the step's resources in machine.json, then {AGAIN}.",
    ),
    "nothing-explored": Stop(
        "not one valid frame was explored",
        "Look at one of the MD runs (dpgen2-hpc why {key}) and at the learning curves of the models "
        "(00.train/task.*/lcurve.out). To explore again after a change: dpgen2-hpc rewind explore; to train again: "
        f"dpgen2-hpc rewind train. Then {AGAIN}.",
    ),
    "nothing-selected": Stop(
        "the stage has not converged, and there is no frame to label",
        "{levels}",
    ),
    "max-iterations": Stop(
        "the stage has reached max_numb_iter without converging",
        "Raise explore.max_numb_iter, or set explore.fatal_at_max to false to go on with the next stage, then "
        f"{AGAIN}.",
    ),
    # ---- stopped: nothing was written, the message stands on the terminal and in dpgen2_hpc.log
    "storage": Stop(
        "the disk does not take a write: full, quota, read-only, permissions",
        STORAGE,
    ),
    "lock-here": Stop(
        "another driver works in the directory, on this host",
        "To end it: dpgen2-hpc stop",
    ),
    "lock-elsewhere": Stop(
        "another driver holds the lock, on a host that cannot be asked from here",
        f"If that driver is dead, {AGAIN} with --take-over.",
    ),
    "jobs-elsewhere": Stop(
        "jobs without a queue (Shell) run on another host",
        f"If that host is dead, stop this driver and {AGAIN} with --take-over: their tasks are then rerun.",
    ),
    "state-missing": Stop(
        "a file that the record relies on was deleted, emptied, cut or edited",
        "Restore '{name}' from a copy, or repeat the step: dpgen2-hpc rewind {step}",
    ),
    "state-of-the-past": Stop(
        "a file of an earlier iteration was deleted, emptied, cut or edited",
        "Restore '{name}' from a copy: later iterations were computed from it.",
    ),
    "record-broken": Stop(
        "record.json was edited or damaged",
        f"Undo the edit or restore the file from a copy, then {AGAIN}.",
    ),
    "record-missing": Stop(
        "the directory has our folders and no record.json",
        "Restore record.json, or choose another directory: dpgen2-hpc run -C DIR PARAM MACHINE",
    ),
    "inputs-missing": Stop(
        "a file of inputs/ was deleted, emptied or edited: it says what the run follows",
        "Restore '{name}' from a copy, or begin another run: dpgen2-hpc run -C DIR PARAM MACHINE",
    ),
    "copied": Stop(
        "the directory is a copy of a run that still exists",
        f"To make it a run of its own, {AGAIN} with --new-identity.",
    ),
    "moved-with-jobs": Stop(
        "the directory was moved while its jobs run",
        f"Wait until they have ended, or end them (dpgen2-hpc stop --jobs), then {AGAIN}.",
    ),
    "place-changed": Stop(
        "machine.json names another place for a step that has jobs",
        "Change it back until the step is done (or end its jobs: dpgen2-hpc stop --jobs); other steps may have the new "
        "place at once.",
    ),
    "input-changed": Stop(
        "param.json has changed in a way that would falsify what the run has computed",
        "Change it back, or begin another run: dpgen2-hpc run -C DIR PARAM MACHINE. (How a code converges and runs may "
        "change at any time; to change anything else for a single task, edit the inputs in its folder (a "
        "link is shared by all tasks: replace it with a copy first), then: dpgen2-hpc retry KEY)",
    ),
    "no-scheduler": Stop(
        "the scheduler's commands are not found on this host",
        f"Log in to a host that has them, or fix PATH, then {AGAIN}.",
    ),
}


def advice(code: str, **facts: str) -> str:
    """Return how to go on from a state."""
    return STOPS[code].advice.format(**facts)


def advice_on(path: Path | None, root: Path) -> list[str]:
    """Return how to go on when a file of the run that works in ``root`` cannot be believed; nothing if unknown."""
    if path is None or not path.is_relative_to(root):
        return []
    parts = path.relative_to(root).parts
    name = "/".join(parts)
    if name == "record.json":
        return [advice("record-broken")]
    if parts[0] == "inputs":
        return [advice("inputs-missing", name=name)]
    if len(parts) < 2 or not parts[0].startswith("iter-"):
        return []
    step = parts[1].partition(".")[2]
    newest = max((entry.name for entry in root.glob("iter-*")), default=parts[0])
    code = "state-missing" if parts[0] >= newest else "state-of-the-past"
    return [advice(code, name=name, step=step)]
