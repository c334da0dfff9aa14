"""What is made of an attempt that has ended: usable, lost to the queue, or failed by its own program."""

from dataclasses import dataclass
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU
from typing import Protocol

from dpgen2_hpc.dispatch.policy import Policy
from dpgen2_hpc.dispatch.site import Ended, Site
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.state.ledger import BROKEN, DONE, FAILED, LOST, Event, JobState, TaskState

ENDERS = {128 + number for number in (SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU)}
"""Exit codes of programs that somebody else has ended: the queue, the system for want of memory, a person."""

TIMED_OUT = (124, 128 + SIGKILL)
"""Exit codes of ``timeout``: the program obeyed it, or had to be killed."""


class Worker(Protocol):
    """What a step knows about its own tasks."""

    def judge(self, task: int, directory: Path, exit_code: int | None) -> str | None:
        """Return a note on a usable attempt, or ``None``; ``exit_code`` is ``None`` when the queue ended it.

        Raises
        ------
        OutputError
            The attempt left nothing usable.
        """

    def carry_over(self, task: TaskState, old: Path, new: Path) -> None:
        """Bring what a new attempt may use of the old one, whose verdict is ``task.before``."""


@dataclass(frozen=True)
class Judge:
    """Judges the attempts of a batch: by how they ended, by what they left, and by how often was tried."""

    site: Site
    worker: Worker
    policy: Policy

    def verdict(self, job: JobState, task: TaskState, ended: Ended | None) -> Event:
        """Judge one attempt; one that the queue ended is tried again before what it left is looked at."""
        self.site.fetch([task])
        if job.cancelled is not None and (ended is None or ended.exit_code in ENDERS):
            return {**_verdict_event(task, LOST, job.cancelled), "began": False}
        why, lost = self._foreign_end(job, ended)
        if lost and task.lost < self.policy.retry_count:
            return _verdict_event(task, LOST, why)
        try:
            exit_code = None if lost or ended is None else ended.exit_code
            note = self.worker.judge(task.index, self.site.folder.task(task.index), exit_code)
        except OutputError as error:
            why = f"{why}; {error}" if why else str(error)
            if lost or task.failed >= self.policy.FAILURES:
                return {**_verdict_event(task, BROKEN, why), "cause": LOST if lost else FAILED}
            return _verdict_event(task, FAILED, why)
        return _verdict_event(task, DONE, note)

    def _foreign_end(self, job: JobState, ended: Ended | None) -> tuple[str | None, bool]:
        """Return who else ended an attempt, if not its own program, and whether it counts as lost to the queue."""
        if ended is None:
            return self.site.ending(job.name) or "it ended without a word: cancelled, killed, or its host failed", True
        timeout = self.policy.timeout
        if timeout and ended.exit_code in TIMED_OUT and ended.seconds + 1 >= timeout:
            return f"it took longer than its timeout of {timeout:g} s", self.policy.timeout_is_transient
        if ended.exit_code in ENDERS:
            number = ended.exit_code - 128
            return self.site.ending(job.name) or f"signal {number} ended it: by hand, or for want of memory", True
        return None, False


def not_begun(task: TaskState) -> Event:
    """Return the verdict on a task whose turn in its job never came, while others' did: it costs no attempt."""
    why = "its job ended before its turn came"
    return {**_verdict_event(task, LOST, why), "began": False}


def _verdict_event(task: TaskState, state: str, why: str | None) -> Event:
    return {"event": "verdict", "task": task.index, "attempt": task.attempt, "state": state, "why": why}
