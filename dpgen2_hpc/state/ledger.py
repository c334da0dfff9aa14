"""``batch.jsonl``: what happened to one step's jobs and tasks. Append-only; the state is the fold over its lines.

Only the driver that holds the lock appends, and says so: before its first line stands a line *driver* with the lock's
token, and each of its lines bears the token (``by``). A driver that was stopped, lost the lock to ``--take-over`` and
wakes up in the middle of an append adds lines behind the line *driver* of its successor: these do not count.

A line *driver* says how many lines its driver had read (``lines``). It counts only if no others were added meanwhile:
what a driver decides from an outdated state has no effect, and the driver notices it right after writing.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dpgen2_hpc.errors import StateError
from dpgen2_hpc.state.clock import Moment
from dpgen2_hpc.state.files import append_durable, write_lines
from dpgen2_hpc.state.host import Host
from dpgen2_hpc.state.lock import Holder, Lock
from dpgen2_hpc.state.words import JobStatus, QueueStatus, Verdict
from dpgen2_hpc.state.workdir import StepFolder

Event = dict[str, Any]

SEEN = (JobStatus.SUBMITTED, JobStatus.RUNNING, JobStatus.GONE)
"""What a look may find a job to be; beside these it may be missing."""

TOKEN = 8
"""Digits of a driver's token in its lines."""

DIGITS = 16
"""Digits of an input's digest that a ledger keeps: enough to see that somebody has edited the file."""

TROUBLES = {
    QueueStatus.DOWN: "degraded, the queue does not answer",
    QueueStatus.FULL: "the queue takes no more jobs for now",
    QueueStatus.REFUSED: "the scheduler rejects a job, which is submitted once more",
}
"""What a batch may notice of its queue: it does not answer; it takes no more jobs for now; all is well again."""


@dataclass(frozen=True)
class Task:
    """One directory, as ``prepare`` fills it: ``inputs`` are the digests of its input files, by name."""

    identity: str
    inputs: Mapping[str, str]


@dataclass
class TaskState:
    """A task and its newest attempt (0: none yet).

    ``written`` has, for each attempt before which the inputs were written, their digests by name (``None``: written by
    an older version, which noted names alone).
    """

    index: int
    identity: str
    written: dict[int, Mapping[str, str | None]]
    replaced: dict[int, list[Mapping[str, str | None]]] = field(default_factory=dict)
    """What was written for an attempt before its inputs were written again: its folder may still have these."""
    attempt: int = 0
    first: int = 1
    """The attempt that started over: the first one, or the newest that follows an error of the task's own program."""
    verdict: Verdict | None = None
    why: str | None = None
    before: Verdict | None = None
    """The verdict on the attempt before the newest."""
    command: str | None = None
    """The command, where an older version fixed it with the task; now each job has that of its attempts."""
    cause: Verdict | None = None
    """What the last of all attempts of a broken task ended with: *lost* or *failed*."""
    lost: int = 0
    failed: int = 0
    skipped: bool = False
    """Whether the user skips it: the step goes on without it."""

    @property
    def settled(self) -> bool:
        """Whether the task is final unless the user acts (done or failed)."""
        return self.verdict in (Verdict.DONE, Verdict.BROKEN)

    def inputs_of(self, attempt: int) -> Mapping[str, str | None]:
        """Return the digests of the inputs that were written for an attempt, by name."""
        return self.written[max(number for number in self.written if number <= max(attempt, 1))]


@dataclass
class JobState:
    """A queue entry and the attempts (task, attempt) that it runs.

    ``state`` is *intended* before the queue has accepted it, then *submitted*, *running*, *gone*. ``missing`` is set
    while looks at the queue do not find it: "gone" is believed when said twice. ``cancelled`` says why we asked the
    queue to end it, if we did. ``history`` is what the queue said of its end, ``attempts``
    has the attempt of each task.
    """

    index: int
    name: str
    tasks: tuple[tuple[int, int], ...]
    command: str | None = None
    id: str | None = None
    host: Host | None = None
    state: JobStatus = JobStatus.INTENDED
    missing: Moment | None = None
    cancelled: str | None = None
    history: str | None = None
    attempts: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Trouble:
    """A queue that does not answer (*down*), takes no more jobs (*full*) or rejects one (*refused*), and its reply."""

    state: QueueStatus
    since: float
    words: str


@dataclass
class Ledger:
    """The fold over a ``batch.jsonl``, and the only code that appends to one; without the ``lock`` it is read-only."""

    path: Path
    lock: Lock | None = field(default=None, repr=False, compare=False)
    tasks: list[TaskState] = field(default_factory=list)
    jobs: list[JobState] = field(default_factory=list)
    rounds: int = 1
    trouble: Trouble | None = None
    refusals: set[str] = field(default_factory=set)
    """With what words, numbers left out, the queue has rejected jobs since it accepted the last one."""
    settings: set[str] = field(default_factory=set)
    """Digests of the settings that the tasks were prepared with, and of those that later drivers followed."""
    driver: str | None = None
    """The token of the driver whose lines count: the newest line *driver* names it."""
    machine: Host | None = None
    """The machine of that driver: where its jobs run if they run without a queue."""
    lines: int = field(default=0, compare=False)
    """How many lines have been read or appended, those without effect included."""

    @classmethod
    def create(cls, path: Path, tasks: Sequence[Task], settings: str | None = None) -> None:
        """Write a new ledger with its tasks, whole: the last act of a step's preparation.

        ``settings`` is a digest of the settings that the inputs were written with.
        """
        rows: list[Event] = [{"event": "task", "task": i, **_task_row(task)} for i, task in enumerate(tasks)]
        write_lines(path, rows + ([{"event": "settings", "digest": settings}] if settings else []))

    @classmethod
    def read(cls, path: Path, lock: Lock | None = None) -> "Ledger":
        """Read a ledger, to append to it if the ``lock`` is given; a torn last line is ignored: nobody relied on it.

        Raises
        ------
        StateError
            It is missing, or a line is broken or says something impossible.
        """
        ledger = cls(path, lock)
        for number, line in enumerate(_whole_lines(path), 1):
            try:
                ledger.apply(json.loads(line))
            except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
                raise StateError(
                    f"'{path}', line {number}: this is not a line of a ledger ({error!r}).", path
                ) from error
        return ledger

    def append(self, events: Iterable[Event]) -> None:
        """Make events durable, all in one write and one fsync, then let them count; each gets its time (s).

        Raises
        ------
        LockHeld
            The lock was taken over by another driver: nothing was written that counts.
        StateError
            A driver that had lost the lock has added lines since the ledger was read: nothing was written that counts.
        """
        told = list(events)
        if not told:
            return
        if self.lock is None:
            raise ValueError(f"'{self.path}' was opened for reading only")
        self.lock.check()
        now, token = self.lock.clock.now(), self.lock.holder.token[:TOKEN]
        begins = self.driver != token
        if begins:
            told = [self._introduction(self.lock.holder), *told]
        rows = [self._row(event, now, token) for event in told]
        append_durable(self.path, "".join(json.dumps(row) + "\n" for row in rows))
        if begins:
            self._check_that_it_counts(self.lock, token)
        for row in rows:
            self.apply(row)

    def _introduction(self, holder: Holder) -> Event:
        """Return the line *driver* of a driver that has read the lines that are known here."""
        return {"event": "driver", **asdict(holder.machine), "pid": holder.pid, "lines": self.lines}

    def _check_that_it_counts(self, lock: Lock, token: str) -> None:
        """Make sure that no other driver has added lines between reading the ledger and the line *driver*."""
        if Ledger.read(self.path).driver != token:
            lock.check()
            raise StateError(
                f"'{self.path}': a driver that had lost the lock has added lines to it in this instant. Nothing was "
                "overwritten. Run the same command again to go on from the file."
            )

    def _row(self, event: Event, now: Moment, token: str) -> Event:
        """Return an event as it is written: with its time, that of a missing job by two clocks, and its driver."""
        twice = {"boot": now.boot, "uptime": round(now.uptime, 3)} if event.get("state") == JobStatus.MISSING else {}
        return {**event, **twice, "at": round(now.at, 3), "by": token}

    def apply(self, event: Event) -> None:
        """Fold one event into the state; one of a driver that had lost the lock by then has no effect."""
        if event["event"] == "driver" and event.get("lines", self.lines) >= self.lines:
            self.driver = str(event["by"])
        self.lines += 1
        if self.driver in (None, event.get("by", self.driver)):
            self._handlers[event["event"]](event)

    @functools.cached_property
    def _handlers(self) -> Mapping[str, Callable[[Event], None]]:
        return {
            "driver": self._driver,
            "task": self._task,
            "settings": lambda event: self.settings.add(str(event["digest"])),
            "inputs": self._inputs,
            "intent": self._intent,
            "command": self._command,
            "id": self._id,
            "state": self._state,
            "verdict": self._verdict,
            "round": self._round,
            "skip": self._skip,
            "cancel": self._cancel,
            "history": self._history,
            "queue": self._queue,
        }

    def waiting(self) -> list[TaskState]:
        """Return the tasks that need a new job: never tried, or their last attempt failed."""
        covered = {task for job in self.open_jobs() for task, _ in job.tasks if not self._judged(job, task)}
        return [task for task in self.tasks if not task.settled and task.index not in covered]

    def open_jobs(self) -> list[JobState]:
        """Return the jobs that are not gone, in the order of their intents."""
        return [job for job in self.jobs if job.state != JobStatus.GONE]

    def counts(self) -> dict[str, int]:
        """Return how many tasks are waiting, running, done and failed, and their total."""
        running = {attempt for job in self.jobs if job.state == JobStatus.RUNNING for attempt in job.tasks}
        done = sum(task.verdict == Verdict.DONE for task in self.tasks)
        failed = sum(task.verdict == Verdict.BROKEN for task in self.tasks)
        live = sum(task.verdict is None and (task.index, task.attempt) in running for task in self.tasks)
        total = len(self.tasks)
        return {
            "total": total,
            "waiting": total - done - failed - live,
            "running": live,
            "done": done,
            "failed": failed,
        }

    def _judged(self, job: JobState, task: int) -> bool:
        """Whether the attempt of ``task`` that this job runs has its verdict."""
        state = self.tasks[task]
        return state.verdict is not None or job.attempts.get(task) != state.attempt

    def _driver(self, event: Event) -> None:
        self.machine = Host(*(str(event[name]) for name in ("name", "boot", "namespace", "hardware")))

    def _task(self, event: Event) -> None:
        if event["task"] != len(self.tasks):
            raise ValueError(f"task {event['task']} out of order")
        written = {1: _digests(event["inputs"])}
        self.tasks.append(TaskState(event["task"], event["identity"], written, command=event.get("command")))

    def _inputs(self, event: Event) -> None:
        task, attempt = self.tasks[_index(event["task"])], int(event["attempt"])
        task.replaced.setdefault(attempt, []).append(task.inputs_of(attempt))
        task.written[attempt] = _digests(event["inputs"])

    def _intent(self, event: Event) -> None:
        if event["job"] != len(self.jobs):
            raise ValueError(f"job {event['job']} out of order")
        tasks = tuple((int(task), int(attempt)) for task, attempt in event["tasks"])
        for task, attempt in tasks:
            state = self.tasks[_index(task)]
            state.before, state.attempt, state.verdict = state.verdict, attempt, None
            state.first = attempt if state.before == Verdict.FAILED else state.first
        job = JobState(event["job"], event["name"], tasks, event.get("command"), attempts=dict(tasks))
        self.jobs.append(job)

    def _command(self, event: Event) -> None:
        self._job(event).command = str(event["command"])

    def _id(self, event: Event) -> None:
        job = self._job(event)
        job.id, job.missing = str(event["id"]), None
        self.refusals.clear()
        known = self.machine if self.machine is not None and "boot" not in event else None
        job.host = known or Host(event["host"], *(event.get(name, "") for name in ("boot", "namespace", "hardware")))
        job.state = JobStatus.SUBMITTED if job.state == JobStatus.INTENDED else job.state

    def _state(self, event: Event) -> None:
        job = self._job(event)
        if event["state"] == JobStatus.MISSING:
            job.missing = Moment(float(event["at"]), event.get("boot", ""), float(event.get("uptime", 0.0)))
        elif event["state"] in SEEN:
            job.state, job.missing = JobStatus(event["state"]), None
        else:
            raise ValueError(f"unknown state {event['state']!r}")

    def _verdict(self, event: Event) -> None:
        task = self.tasks[_index(event["task"])]
        if event["state"] not in tuple(Verdict):
            raise ValueError(f"unknown verdict {event['state']!r}")
        if event["attempt"] > task.attempt:
            raise ValueError(f"task {task.index} had no attempt {event['attempt']}")
        if event["attempt"] < task.attempt:
            return  # by a driver that was slower than its successor: the newer attempt's verdict is what counts
        cause = event.get("cause")
        task.verdict, task.why = Verdict(event["state"]), event["why"]
        task.cause = None if cause is None else Verdict(cause)
        task.lost += task.verdict == Verdict.LOST and event.get("began", True)
        task.failed += task.verdict == Verdict.FAILED

    def _round(self, event: Event) -> None:
        self.rounds = event["round"]
        for number in event["tasks"]:
            task = self.tasks[_index(number)]
            task.verdict, task.lost, task.failed, task.skipped = task.cause or Verdict.FAILED, 0, 0, False

    def _skip(self, event: Event) -> None:
        for number in event["tasks"]:
            self.tasks[_index(number)].skipped = True

    def _cancel(self, event: Event) -> None:
        self._job(event).cancelled = str(event["why"])

    def _history(self, event: Event) -> None:
        self._job(event).history = str(event["words"])

    def _queue(self, event: Event) -> None:
        if event["state"] not in tuple(QueueStatus):
            raise ValueError(f"unknown state of the queue {event['state']!r}")
        over = event["state"] == QueueStatus.ANSWERS
        self.trouble = None if over else Trouble(QueueStatus(event["state"]), float(event["at"]), str(event["words"]))
        if event["state"] == QueueStatus.REFUSED:
            self.refusals.add(_without_numbers(str(event["words"])))

    def was_refused(self, words: str) -> bool:
        """Whether the queue has rejected jobs with these words before, since it accepted the last one."""
        return _without_numbers(words) in self.refusals

    def _job(self, event: Event) -> JobState:
        return self.jobs[_index(event["job"])]


def _without_numbers(words: str) -> str:
    """Return a reply without its numbers: times and ids differ each time."""
    return re.sub(r"\d+", "#", words)


def _index(number: int) -> int:
    if number < 0:
        raise ValueError(f"number {number} is negative")
    return number


def _task_row(task: Task) -> Event:
    return {"identity": task.identity, "inputs": {name: digest[:DIGITS] for name, digest in task.inputs.items()}}


def _digests(inputs: Mapping[str, str] | Sequence[str]) -> Mapping[str, str | None]:
    """Return the digests of inputs by name; an older version noted a list of names."""
    return dict(inputs) if isinstance(inputs, Mapping) else dict.fromkeys(inputs)


def read_ledger(folder: StepFolder, tasks: int | None, lock: Lock | None = None) -> Ledger:
    """Return the ledger of a step that has so many tasks (``None``: not known).

    Raises
    ------
    StateError
        It is missing, broken, or has another number of tasks: an emptied file is not a step without tasks.
    """
    ledger = Ledger.read(folder.ledger, lock)
    if tasks is not None and len(ledger.tasks) != tasks:
        raise StateError(
            f"'{folder.ledger}' has {len(ledger.tasks)} tasks, and the step had {tasks}: it was cut or edited.",
            folder.ledger,
        )
    return ledger


def events(path: Path) -> list[Event]:
    """Return all that happened, in the order of time: for people; what counts is the fold."""
    return [json.loads(line) for line in _whole_lines(path)]


def _whole_lines(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StateError(f"'{path}' is missing; it was there when the record was written.", path) from error
    return data[: data.rfind(b"\n") + 1].splitlines()
