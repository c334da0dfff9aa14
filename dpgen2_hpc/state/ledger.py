"""``batch.jsonl``: what happened to one step's jobs and tasks. Append-only; the state is the fold over its lines."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dpgen2_hpc.errors import StateError
from dpgen2_hpc.state.files import append_durable, write_lines

Event = dict[str, Any]

VERDICTS = DONE, LOST, FAILED, BROKEN = "done", "lost", "failed", "broken"
"""Verdicts on an attempt: usable; ended by the queue; ended by its own program; the last of all attempts failed."""

SEEN = ("submitted", "running", "gone")
"""What a look may find a job to be; beside these it may be missing."""

QUEUE = DOWN, FULL, ANSWERS = "down", "full", "answers"
"""What a batch may notice of its queue: it does not answer; it takes no more jobs for now; all is well again."""


@dataclass(frozen=True)
class Task:
    """One directory and one command, as ``prepare`` plans it: ``inputs`` are the names of its input files."""

    identity: str
    command: str
    inputs: tuple[str, ...]


@dataclass
class TaskState:
    """A task and its newest attempt (0: none yet)."""

    index: int
    identity: str
    command: str
    inputs: tuple[str, ...]
    attempt: int = 0
    verdict: str | None = None
    why: str | None = None
    before: str | None = None
    """The verdict on the attempt before the newest."""
    cause: str | None = None
    """What the last of all attempts of a broken task ended with: *lost* or *failed*."""
    lost: int = 0
    failed: int = 0
    skipped: bool = False
    """Whether a person has set it aside: the step goes on without it."""

    @property
    def settled(self) -> bool:
        """Whether nothing more happens to it without a person."""
        return self.verdict in (DONE, BROKEN)


@dataclass
class JobState:
    """A queue entry and the attempts (task, attempt) that it runs.

    ``state`` is *intended* before the queue has accepted it, then *submitted*, *running*, *gone*. ``missing_since``
    (s since the epoch) is set while looks at the queue do not find it: "gone" is believed when said twice.
    ``cancelled`` says why we asked the queue to end it, if we did.
    """

    index: int
    name: str
    tasks: tuple[tuple[int, int], ...]
    id: str | None = None
    host: str | None = None
    state: str = "intended"
    missing_since: float | None = None
    cancelled: str | None = None


@dataclass(frozen=True)
class Trouble:
    """A queue that does not answer (*down*) or takes no more jobs (*full*), since when (s), in its own words."""

    state: str
    since: float
    words: str


@dataclass
class Ledger:
    """The fold over a ``batch.jsonl``, and the only code that appends to one."""

    path: Path
    tasks: list[TaskState] = field(default_factory=list)
    jobs: list[JobState] = field(default_factory=list)
    rounds: int = 1
    trouble: Trouble | None = None

    @classmethod
    def create(cls, path: Path, tasks: Sequence[Task]) -> None:
        """Write a new ledger with its tasks, whole: the last act of a step's preparation."""
        write_lines(path, [{"event": "task", "task": i, **_task_row(task)} for i, task in enumerate(tasks)])

    @classmethod
    def read(cls, path: Path) -> "Ledger":
        """Read a ledger; a torn last line is ignored, since nobody has relied upon it.

        Raises
        ------
        StateError
            It is missing, or a line is broken or says something impossible.
        """
        ledger = cls(path)
        for number, line in enumerate(_whole_lines(path), 1):
            try:
                ledger.apply(json.loads(line))
            except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
                raise StateError(f"'{path}', line {number}: this is no line of a ledger ({error!r}).") from error
        return ledger

    def append(self, events: Iterable[Event]) -> None:
        """Make events durable, all in one write and one fsync, then let them count; each gets its time (s)."""
        rows = [{**event, "at": round(time.time(), 3)} for event in events]
        if rows:
            append_durable(self.path, "".join(json.dumps(row) + "\n" for row in rows))
            for row in rows:
                self.apply(row)

    def apply(self, event: Event) -> None:
        """Fold one event into the state."""
        handlers: Mapping[str, Callable[[Event], None]] = {
            "task": self._task,
            "intent": self._intent,
            "id": self._id,
            "state": self._state,
            "verdict": self._verdict,
            "round": self._round,
            "skip": self._skip,
            "cancel": self._cancel,
            "queue": self._queue,
        }
        handlers[event["event"]](event)

    def waiting(self) -> list[TaskState]:
        """Return the tasks that need a new job: never tried, or their last attempt failed."""
        covered = {task for job in self.open_jobs() for task, _ in job.tasks if not self._judged(job, task)}
        return [task for task in self.tasks if not task.settled and task.index not in covered]

    def open_jobs(self) -> list[JobState]:
        """Return the jobs that are not gone, in the order of their intents."""
        return [job for job in self.jobs if job.state != "gone"]

    def counts(self) -> dict[str, int]:
        """Return how many tasks are waiting, running, done and broken, and their total."""
        running = {attempt for job in self.jobs if job.state == "running" for attempt in job.tasks}
        done = sum(task.verdict == DONE for task in self.tasks)
        broken = sum(task.verdict == BROKEN for task in self.tasks)
        live = sum(task.verdict is None and (task.index, task.attempt) in running for task in self.tasks)
        total = len(self.tasks)
        return {
            "total": total,
            "waiting": total - done - broken - live,
            "running": live,
            "done": done,
            "broken": broken,
        }

    def _judged(self, job: JobState, task: int) -> bool:
        """Whether the attempt of ``task`` that this job runs has its verdict."""
        state = self.tasks[task]
        return state.verdict is not None or (task, state.attempt) not in job.tasks

    def _task(self, event: Event) -> None:
        if event["task"] != len(self.tasks):
            raise ValueError(f"task {event['task']} out of order")
        self.tasks.append(TaskState(event["task"], event["identity"], event["command"], tuple(event["inputs"])))

    def _intent(self, event: Event) -> None:
        if event["job"] != len(self.jobs):
            raise ValueError(f"job {event['job']} out of order")
        tasks = tuple((int(task), int(attempt)) for task, attempt in event["tasks"])
        for task, attempt in tasks:
            state = self.tasks[_index(task)]
            state.before, state.attempt, state.verdict = state.verdict, attempt, None
        self.jobs.append(JobState(event["job"], event["name"], tasks))

    def _id(self, event: Event) -> None:
        job = self._job(event)
        job.id, job.host, job.missing_since = str(event["id"]), event["host"], None
        job.state = "submitted" if job.state == "intended" else job.state

    def _state(self, event: Event) -> None:
        job = self._job(event)
        if event["state"] == "missing":
            job.missing_since = float(event["at"])
        elif event["state"] in SEEN:
            job.state, job.missing_since = event["state"], None
        else:
            raise ValueError(f"unknown state {event['state']!r}")

    def _verdict(self, event: Event) -> None:
        task = self.tasks[_index(event["task"])]
        if event["attempt"] != task.attempt:
            raise ValueError(f"attempt {event['attempt']} of task {task.index} is not its newest")
        if event["state"] not in VERDICTS:
            raise ValueError(f"unknown verdict {event['state']!r}")
        task.verdict, task.why, task.cause = event["state"], event["why"], event.get("cause")
        task.lost += task.verdict == LOST and event.get("began", True)
        task.failed += task.verdict == FAILED

    def _round(self, event: Event) -> None:
        self.rounds = event["round"]
        for number in event["tasks"]:
            task = self.tasks[_index(number)]
            task.verdict, task.lost, task.failed, task.skipped = task.cause or FAILED, 0, 0, False

    def _skip(self, event: Event) -> None:
        for number in event["tasks"]:
            self.tasks[_index(number)].skipped = True

    def _cancel(self, event: Event) -> None:
        self._job(event).cancelled = str(event["why"])

    def _queue(self, event: Event) -> None:
        if event["state"] not in QUEUE:
            raise ValueError(f"unknown state of the queue {event['state']!r}")
        over = event["state"] == ANSWERS
        self.trouble = None if over else Trouble(event["state"], float(event["at"]), str(event["words"]))

    def _job(self, event: Event) -> JobState:
        return self.jobs[_index(event["job"])]


def _index(number: int) -> int:
    if number < 0:
        raise ValueError(f"number {number} is negative")
    return number


def _task_row(task: Task) -> Event:
    return {"identity": task.identity, "command": task.command, "inputs": list(task.inputs)}


def events(path: Path) -> list[Event]:
    """Return all that happened, in the order of time: for people; what counts is the fold."""
    return [json.loads(line) for line in _whole_lines(path)]


def _whole_lines(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StateError(f"'{path}' is missing; it was there when the record was written.") from error
    return data[: data.rfind(b"\n") + 1].splitlines()
