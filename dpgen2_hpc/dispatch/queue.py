"""The conversation with a scheduler: submit, look, cancel, and ask how jobs have ended.

Each command runs for a limited time, in the batch's folder, without the user's variables that change its answer.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dpgen2_hpc.data.outputs import printable, read_output_ends
from dpgen2_hpc.dispatch.command import LIMIT, nothing, run_command
from dpgen2_hpc.dispatch.schedulers import Entry, Reply, Scheduler, ending_of
from dpgen2_hpc.errors import InputError, OutputError, QueueDown, UserError
from dpgen2_hpc.state import stops
from dpgen2_hpc.state.ledger import JobState

NOT_FOUND = (126, 127)
"""Exit codes of a shell that did not find a command, or may not run it."""

REPORT = 1 << 16
"""Bytes that are read of a job's output at each end: a queue's report is short, before the output or after it."""

PORTION = 500
"""Jobs that one command names: a command line has a limit."""

PATIENCE = 30.0
"""How long the queue may take to say how jobs have ended, s: the run goes on without it."""

HISTORY = 1000
"""Characters that are kept of what the queue says of one job's end."""

SUBMITS = "DPGEN2_HPC_SUBMIT"
"""Marks the environment of a submit command with the job's name: one that outlives its driver is seen by the next."""

Row = TypeVar("Row")


@dataclass(frozen=True)
class Queue:
    """A scheduler, and the folder ``root`` of the batch whose jobs it runs.

    ``check`` is called while a command runs, and may raise ``Interrupted``.
    """

    scheduler: Scheduler
    root: Path
    check: Callable[[], None] = nothing

    def call(self, command: str, limit: float = LIMIT) -> Reply:
        """Run a command of the scheduler in the batch's folder.

        Raises
        ------
        QueueDown
            It took longer than ``limit`` (s).
        Interrupted
            The driver was told to leave meanwhile.
        UserError
            It is not installed here.
        """
        self.make_root()
        kept = {name: value for name, value in os.environ.items() if not re.fullmatch(self.scheduler.hidden, name)}
        environment = kept | dict(self.scheduler.variables)
        reply = run_command(command, self.root, environment, limit=limit, check=self.check)
        if reply.code in NOT_FOUND:
            words = reply.err.strip() or f"exit code {reply.code}"
            raise UserError(f"a scheduler command does not run on this host: {words}. {stops.advice('no-scheduler')}")
        return reply

    def make_root(self) -> None:
        """Make the folder in which the jobs run."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(f"machine.json: remote_root: '{self.root}' cannot be made: {error.strerror}") from error

    def submit(self, name: str, script: str) -> str:
        """Hand a job's script to the queue, and return the job's id; raises what ``submitted_id`` does."""
        reply = self.call(f"{SUBMITS}={name} {self.scheduler.submit(name, script)}")
        return self.scheduler.submitted_id(reply)

    def submitting(self, names: Sequence[str]) -> set[str]:
        """Return those of these jobs that a process of this host is still handing to the queue: its driver died."""
        marks = {f"{SUBMITS}={name}".encode(): name for name in names}
        found: set[str] = set()
        for name in os.listdir("/proc") if marks else ():  # noqa: PTH208  (names are all that is needed)
            with suppress(OSError):  # it is not a process, has ended meanwhile, or is another user's
                words = Path(f"/proc/{name}/environ").read_bytes().split(b"\0") if name.isdigit() else ()
                found |= {marks[word] for word in words if word in marks}
        return found

    def live(self, names: Sequence[str]) -> list[Entry]:
        """Ask the queue, once, which of these names it knows.

        Raises
        ------
        QueueDown
            It did not answer.
        """
        return self.scheduler.live(self.call(self.scheduler.list_live(names)), names) if names else []

    def cancel(self, entries: Sequence[Entry]) -> None:
        """Ask the queue to end these jobs, some hundreds at a time."""
        for some in portions(entries):
            self.call(self.scheduler.cancel(some))

    # ---- how jobs have ended

    def is_over(self, job: JobState) -> bool:
        """Whether the queue says that it has ended a job: in the job's output, or in its history.

        A job that ended by itself is not meant: its own last words may arrive late on a network file system.
        """
        said = self.scheduler.over and re.search(self.scheduler.over, self._report(job.name), re.MULTILINE)
        return bool(said or ending_of(self.scheduler.endings, job.history or ""))

    def ending(self, job: JobState) -> str | None:
        """Return how the queue ended a job, if the job's output or the queue's history says that it did."""
        texts = (self._report(job.name), job.history or "")
        found = next(filter(None, (ending_of(self.scheduler.endings, text) for text in texts)), None)
        return found[0] if found else None

    def history(self, jobs: Sequence[JobState]) -> dict[int, str]:
        """Ask the queue how these jobs have ended; return its words by the job's number, where it has any.

        A queue that does not answer, or has no history, says nothing: nothing depends on it.
        """
        by_cluster: dict[str, list[JobState]] = {}
        for job in jobs:
            if job.id:
                by_cluster.setdefault(job.id.partition(";")[2], []).append(job)
        words: dict[int, str] = {}
        for some in (part for together in by_cluster.values() for part in portions(together)):
            known = {_number(str(job.id)): job.index for job in some}
            with suppress(QueueDown, UserError):
                told = self._ended([str(job.id) for job in some])
                words |= {known[_number(key)]: _short(text) for key, text in told.items() if _number(key) in known}
        return {job: text for job, text in words.items() if text}

    def _ended(self, ids: Sequence[str]) -> dict[str, str]:
        command = self.scheduler.history(ids)
        return self.scheduler.ended(self.call(command, PATIENCE)) if command else {}

    def _report(self, name: str) -> str:
        """Return both ends of a job's output, or an empty text where it cannot be read."""
        try:
            return read_output_ends(self.root / "jobs" / f"{name}.out", REPORT).decode(errors="replace")
        except OutputError:
            return ""


def portions(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield rows in portions that fit into a command line."""
    for start in range(0, len(rows), PORTION):
        yield rows[start : start + PORTION]


def _number(identifier: str) -> str:
    """Return a job's id without the server or cluster behind it, which not every command names alike."""
    return re.split(r"[.;]", identifier, maxsplit=1)[0]


def _short(text: str) -> str:
    return "\n".join(printable(line) for line in text[:HISTORY].splitlines())
