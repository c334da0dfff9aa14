"""What can go wrong, one class for each reaction of the program (not one for each module).

A class with an ``exit_code`` ends the program with it and its message is for the user; the others are caught by the
code that knows the reaction which its docstring names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

DONE, BAD_INPUT, STILL_RUNNING, BLOCKED, HELD, BUG = 0, 2, 3, 4, 5, 70


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in an input file, and where.

    ``path`` leads to the key (``("explore", "stages", 0)``); ``line`` and ``column`` count from 1 where they are known.
    """

    file: str
    path: tuple[str | int, ...]
    message: str
    line: int | None = None
    column: int | None = None

    @override
    def __str__(self) -> str:
        place = self.file + "".join(f":{number}" for number in (self.line, self.column) if number is not None)
        return ": ".join(part for part in (place, spelled(self.path), self.message) if part)


def spelled(path: Sequence[str | int]) -> str:
    """Return a path as people write it: ``explore.stages[0][1].temps``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 job``, ``2 jobs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class UserError(Exception):
    """The program stops; the message tells the user what and where."""

    exit_code = BLOCKED


class InputError(UserError):
    """The user's files or words are wrong: all the faults at once, and nothing was touched."""

    exit_code = BAD_INPUT

    def __init__(self, faults: Sequence[Fault] | str) -> None:
        self.faults = () if isinstance(faults, str) else tuple(faults)
        super().__init__(faults if isinstance(faults, str) else "\n".join(str(fault) for fault in faults))


class StateError(UserError):
    """A file of the work directory (``path``) cannot be believed: stop, never start over."""

    def __init__(self, message: str, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class StorageError(UserError):
    """The disk did not do what it was asked (full, quota, read-only): stop; the same command goes on afterwards."""

    def __init__(self, path: Path | str, cause: OSError, advice: str = "") -> None:
        super().__init__(f"'{path}': {cause.strerror or cause}. {advice or STORAGE}")


STORAGE = (
    "Nothing is lost. Fix the disk (free some space, check quota and permissions), then run the same command again."
)


class LockHeld(UserError):
    """Another driver has the work directory: leave it alone."""

    exit_code = HELD


class Blocked(UserError):
    """User action is needed: the reason goes into the record, and the same command tries again."""


class QueueDown(Exception):
    """The queue did not answer, or not sensibly: wait and ask again, for as long as it lasts."""


class QueueFull(Exception):
    """The queue has surely not taken a job, and will later: go on with those that it has."""


class SubmissionRefused(Exception):
    """The scheduler has rejected a job.

    ``certain`` says whether the scheduler documents the answer as a refusal, so that the job surely does not exist. If
    it is false, look for the job by its name before you submit it again.
    """

    def __init__(self, words: str, certain: bool = True) -> None:
        super().__init__(words)
        self.certain = certain


class OutputError(Exception):
    """A task left nothing that can be used: the attempt has failed."""


class LabelRefused(Exception):
    """A label that is none (not converged, wrong atoms, absurd): drop the frame and count it."""


class SumError(Exception):
    """Frames or labels were lost or counted twice: a bug; stop at once."""


class Interrupted(Exception):
    """A signal asked the driver to leave: finish the write in hand, release the lock, keep the jobs."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(f"signal {signum}")
