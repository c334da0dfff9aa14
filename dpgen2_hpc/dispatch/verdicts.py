"""Judge finished attempts: done, lost (ended by the scheduler) or failed (ended by its own program)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU
from typing import Protocol

from dpgen2_hpc.dispatch.attempts import read_attempt
from dpgen2_hpc.dispatch.policy import Policy
from dpgen2_hpc.dispatch.site import Ended, Site
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.state.ledger import Event, JobState, TaskState
from dpgen2_hpc.state.words import Verdict

ENDERS = {128 + number for number in (SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU)}
"""Exit codes of programs that the scheduler, the system (out of memory) or the user has ended."""

TIMED_OUT = (124, 128 + SIGKILL)
"""Exit codes of ``timeout``: the program obeyed it, or had to be killed."""


class Worker(Protocol):
    """What a step knows about its own tasks; it is a :class:`dpgen2_hpc.dispatch.attempts.Writer` too."""

    @property
    def command(self) -> str:
        """The command of an attempt that is submitted now, as today's inputs have it."""

    @property
    def settings(self) -> str:
        """A digest of the settings that inputs are written with now."""

    def write(self, task: TaskState, directory: Path) -> Mapping[str, str]:
        """Write the inputs of a task's newest attempt as today's settings have them; return their digests by name."""

    def judge(self, task: int, directory: Path, exit_code: int | None) -> str | None:
        """Return a note on a usable attempt, or ``None``; ``exit_code`` is ``None`` when the queue ended it.

        Raises
        ------
        OutputError
            The attempt left nothing usable.
        """

    def carry_over(self, task: TaskState, old: Path, new: Path) -> None:
        """Copy what a new attempt may use of the old one, whose verdict is ``task.before``: a checkpoint."""


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
            return {**_verdict_event(task, Verdict.LOST, job.cancelled), "began": False}
        why, lost = self._foreign_end(job, ended)
        if lost and task.lost < self.policy.retry_count:
            return _verdict_event(task, Verdict.LOST, why)
        try:
            exit_code = None if lost or ended is None else ended.exit_code
            note = self._judged(task, exit_code)
        except OutputError as error:
            why = f"{why}; {error}" if why else str(error)
            if lost or task.failed >= self.policy.FAILURES:
                return {**_verdict_event(task, Verdict.BROKEN, why), "cause": Verdict.LOST if lost else Verdict.FAILED}
            return _verdict_event(task, Verdict.FAILED, why)
        return _verdict_event(task, Verdict.DONE, note)

    def _judged(self, task: TaskState, exit_code: int | None) -> str | None:
        """Return the step's note on an attempt.

        Raises
        ------
        OutputError
            It left nothing usable, or the folder is not that attempt's: this driver is too late, or files were moved.
        """
        directory = self.site.folder.task(task.index)
        here = read_attempt(directory)
        if here != task.attempt:
            what = "is missing" if not directory.exists() else f"is not that of attempt {task.attempt}"
            raise OutputError(f"the folder '{directory.name}' {what}")
        return self.worker.judge(task.index, directory, exit_code)

    def _foreign_end(self, job: JobState, ended: Ended | None) -> tuple[str | None, bool]:
        """Return who else ended an attempt, if not its own program, and whether it counts as lost to the queue."""
        if ended is None:
            unknown = "no exit code was reported: job cancelled, killed, or node failure"
            return self.site.queue.ending(job) or unknown, True
        timeout = self.policy.timeout
        if timeout and ended.exit_code in TIMED_OUT and ended.seconds + 1 >= timeout:
            return f"it took longer than its timeout of {timeout:g} s", self.policy.timeout_is_transient
        if ended.exit_code in ENDERS:
            number = ended.exit_code - 128
            return self.site.queue.ending(job) or f"killed by signal {number}: by the user, or out of memory", True
        return None, False


def not_begun(task: TaskState) -> Event:
    """Return the verdict on a task whose turn in its job never came, while others' did: it costs no attempt."""
    why = "its job ended before its turn came"
    return {**_verdict_event(task, Verdict.LOST, why), "began": False}


def _verdict_event(task: TaskState, state: str, why: str | None) -> Event:
    return {"event": "verdict", "task": task.index, "attempt": task.attempt, "state": state, "why": why}
