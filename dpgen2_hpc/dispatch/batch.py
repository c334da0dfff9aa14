"""The jobs of one step, from the first intent to the last verdict.

Every decision is a function of the ledger, the jobs' own claim files and the queue's answers, so that a driver that was
killed anywhere goes on from what it finds. The order of writing is the whole trick: an intent is durable before its
job is submitted, a verdict before anything follows from it.
"""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from dpgen2_hpc.dispatch.attempts import ensure_attempt
from dpgen2_hpc.dispatch.policy import Policy, cores
from dpgen2_hpc.dispatch.site import Claim, Site
from dpgen2_hpc.errors import OutputError, StateError
from dpgen2_hpc.state.ledger import BROKEN, DONE, FAILED, LOST, Event, JobState, Ledger, TaskState

LOOKS = 2
"""How often the queue must say that it does not know a job."""


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


class Batch:
    """The tasks of one step and the jobs that run them."""

    def __init__(
        self,
        site: Site,
        worker: Worker,
        policy: Policy,
        name: Callable[[int], str],
        before_submission: Callable[[], None],
    ) -> None:
        """Take up a batch where its ledger stands; ``name`` gives a job's name from its number.

        ``before_submission`` may raise to stop the driver between two submissions.
        """
        self.site, self.worker, self.policy, self.name = site, worker, policy, name
        self.before_submission = before_submission
        self.folder = site.folder
        self.ledger = Ledger.read(self.folder.ledger)
        if self.folder.task(len(self.ledger.tasks)).exists():
            known = len(self.ledger.tasks)
            raise StateError(f"'{self.folder.ledger}' was cut: it knows {known} tasks, and there are more.")
        self._doubts = {job.index: 0 for job in self.ledger.open_jobs() if job.id is None}
        """Looks in vain for jobs that may or may not have been submitted: "not there" is believed when said twice."""

    @property
    def finished(self) -> bool:
        """Whether every task has its last verdict."""
        return all(task.settled for task in self.ledger.tasks)

    @property
    def grace(self) -> float:
        """How long a job must be missing before it is believed to be gone, s."""
        return self.site.scheduler.grace if self.policy.grace is None else self.policy.grace

    @property
    def unsure(self) -> bool:
        """Whether the very next look decides something by itself: a job is missing, or might have been submitted."""
        soon = time.time() + self.site.scheduler.minimum_wait - self.grace
        missing = [job.missing_since for job in self.ledger.open_jobs() if job.missing_since is not None]
        return bool(self._doubts) or any(since <= soon for since in missing)

    def open(self) -> None:
        """Write the intents of all tasks that wait for a job: one write, one fsync."""
        waiting = self.ledger.waiting()
        size = self.site.machine.group_size or len(waiting)
        groups = [waiting[start : start + size] for start in range(0, len(waiting), size)] if waiting else []
        first = len(self.ledger.jobs)
        self.ledger.append(
            {
                "event": "intent",
                "job": number,
                "name": self.name(number),
                "tasks": [[task.index, task.attempt + 1] for task in group],
            }
            for number, group in enumerate(groups, first)
        )

    def advance(self) -> bool:
        """Do what can be done now, look once at what runs; return whether anything changed.

        Raises
        ------
        QueueDown
            The queue did not answer: nothing is concluded from that.
        """
        before = self._shape()
        self._settle_doubts()
        self._look()
        if not self.finished:
            self.open()
            self._submit()
        return before != self._shape()

    def elsewhere(self) -> set[str]:
        """Return the other hosts on which jobs may run that only they can see."""
        return {str(job.host) for job in self.ledger.open_jobs() if job.id is not None and self._elsewhere(job)}

    # ---- submission

    def _submit(self) -> None:
        """Submit what has no id, in order, as far as ``parallelism`` allows."""
        jobs = self.ledger.open_jobs()
        taken = sum(job.id is not None or job.index in self._doubts for job in jobs)
        free = (self.policy.parallelism or self._default_parallelism()) - taken
        for job in jobs:
            if job.id is None and job.index not in self._doubts and free > 0:
                self.before_submission()
                self._submit_one(job)
                free -= 1

    def _submit_one(self, job: JobState) -> None:
        tasks = [self.ledger.tasks[task] for task, _ in job.tasks]
        for task in tasks:
            ensure_attempt(self.folder, task, self.worker.carry_over)
        self._doubts[job.index] = 0
        identifier = self.site.submit(job, tasks)
        self.ledger.append([_id_event(job, identifier, socket.gethostname())])
        del self._doubts[job.index]

    def _default_parallelism(self) -> float:
        """Return how many processes this host bears; a queue has limits of its own."""
        if self.site.scheduler.own_host:
            return max(1, cores() // self.site.machine.cpu_per_node)
        return float("inf")

    # ---- doubts: intents that a dead driver, or a lost reply, may or may not have submitted

    def _settle_doubts(self) -> None:
        """Adopt doubtful jobs that the queue or their claim shows; those that two looks did not show are submitted."""
        doubtful = [job for job in self.ledger.open_jobs() if job.index in self._doubts]
        entries = {entry.name: entry for entry in self.site.live([job.name for job in doubtful])}
        adopted: list[Event] = []
        for job in doubtful:
            claim, entry = self.site.claim(job.name), entries.get(job.name)
            if claim is not None:
                adopted.append(_id_event(job, claim.id, claim.host))
            elif entry is not None:
                adopted.append(_id_event(job, entry.id, socket.gethostname()))
            self._doubts[job.index] += 1
        self.ledger.append(adopted)
        self._doubts = {job.index: self._doubts[job.index] for job in doubtful if self._still_doubtful(job)}

    def _still_doubtful(self, job: JobState) -> bool:
        return job.id is None and self._doubts[job.index] < LOOKS

    # ---- looking

    def _look(self) -> None:
        """Believe what jobs say of themselves; ask the queue about the rest."""
        jobs = [job for job in self.ledger.open_jobs() if job.id is not None]
        claims = {job.index: self.site.claim(job.name) for job in jobs}
        self._judge(jobs, claims)
        silent = [job for job in jobs if job.state != "gone" and not self._elsewhere(job)]
        entries = {entry.name: entry for entry in self.site.live([job.name for job in silent])}
        events: list[Event] = []
        for job in silent:
            if job.name in entries:
                running = claims[job.index] is not None or entries[job.name].running
                state = "running" if running else "submitted"
                if job.state != state or job.missing_since is not None:
                    events.append({"event": "state", "job": job.index, "state": state})
            elif job.missing_since is None:
                events.append(_missing_event(job))
            elif time.time() - job.missing_since >= self.grace:
                events += self._given_up(job)
        self.ledger.append(events)

    def _elsewhere(self, job: JobState) -> bool:
        """Whether only another host could see the job: its claim is believed, its silence proves nothing."""
        return self.site.scheduler.own_host and job.host != socket.gethostname()

    def _judge(self, jobs: list[JobState], claims: dict[int, Claim | None]) -> None:
        """Judge the attempts that jobs say they have ended; a job all of whose tasks have ended is gone."""
        events: list[Event] = []
        for job in jobs:
            claim = claims[job.index]
            verdicts = list(self._verdicts(job, claim)) if claim is not None else []
            events += verdicts
            if all(self._attempt_ended(claim, task, attempt) for task, attempt in job.tasks):
                events.append({"event": "state", "job": job.index, "state": "gone"})
        self.ledger.append(events)

    def _attempt_ended(self, claim: Claim | None, task: int, attempt: int) -> bool:
        return claim is not None and (task, attempt) in claim.ended

    def _verdicts(self, job: JobState, claim: Claim) -> Iterator[Event]:
        for number, attempt in job.tasks:
            task = self.ledger.tasks[number]
            if (number, attempt) in claim.ended and task.attempt == attempt and task.verdict is None:
                yield self._verdict(task, claim.ended[number, attempt])

    def _given_up(self, job: JobState) -> list[Event]:
        """Return the events of a job that is believed to be gone; its last words are read after the queue's answer."""
        claim = self.site.claim(job.name)
        events = list(self._verdicts(job, claim)) if claim is not None else []
        for number, attempt in job.tasks:
            task = self.ledger.tasks[number]
            if not self._attempt_ended(claim, number, attempt) and task.attempt == attempt and task.verdict is None:
                began = self.site.began(task) or claim is None or not claim.ended
                events.append(self._verdict(task, None) if began else _not_begun_event(task))
        return [*events, {"event": "state", "job": job.index, "state": "gone"}]

    # ---- verdicts

    def _verdict(self, task: TaskState, exit_code: int | None) -> Event:
        """Judge one attempt; an attempt that the queue ended is tried again before what it left is looked at."""
        self.site.fetch([task])
        if exit_code is None and task.lost < self.policy.retry_count:
            return _verdict_event(task, LOST, "it ended without a word: cancelled, killed, or its host failed")
        try:
            note = self.worker.judge(task.index, self.folder.task(task.index), exit_code)
        except OutputError as error:
            if exit_code is None or task.failed >= self.policy.FAILURES:
                cause = LOST if exit_code is None else FAILED
                return {**_verdict_event(task, BROKEN, str(error)), "cause": cause}
            return _verdict_event(task, FAILED, str(error))
        return _verdict_event(task, DONE, note)

    def _shape(self) -> tuple[object, ...]:
        """Return what a change would change."""
        jobs = tuple((job.id, job.state, job.missing_since) for job in self.ledger.jobs)
        return jobs, tuple(self.ledger.counts().values())


def _id_event(job: JobState, identifier: str, host: str) -> Event:
    return {"event": "id", "job": job.index, "id": identifier, "host": host}


def _missing_event(job: JobState) -> Event:
    return {"event": "state", "job": job.index, "state": "missing", "since": round(time.time(), 3)}


def _not_begun_event(task: TaskState) -> Event:
    """Return the verdict on a task whose turn in its job never came, while others' did: it costs no attempt."""
    why = "its job ended before its turn came"
    return {**_verdict_event(task, LOST, why), "began": False}


def _verdict_event(task: TaskState, state: str, why: str | None) -> Event:
    return {"event": "verdict", "task": task.index, "attempt": task.attempt, "state": state, "why": why}
