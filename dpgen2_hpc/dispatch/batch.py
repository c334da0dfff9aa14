"""The jobs of one step, from the first intent to the last verdict.

Every decision is a function of the ledger, the jobs' own claim files and the queue's answers, so that a driver that was
killed anywhere goes on from what it finds. The order of writing is the whole trick: an intent is durable before its
job is submitted, a verdict before anything follows from it.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict

from dpgen2_hpc.dispatch.attempts import ensure_attempt
from dpgen2_hpc.dispatch.policy import Policy, cores
from dpgen2_hpc.dispatch.schedulers import Entry
from dpgen2_hpc.dispatch.site import Claim, Site
from dpgen2_hpc.dispatch.verdicts import ENDERS, Judge, Worker, not_begun
from dpgen2_hpc.errors import QueueDown, QueueFull, StateError, SubmissionRefused
from dpgen2_hpc.state.clock import Moment
from dpgen2_hpc.state.host import Host
from dpgen2_hpc.state.ledger import Event, JobState, Ledger, TaskState
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.words import JobStatus, QueueStatus, Verdict

LOOKS = 2
"""How often the queue must say that it does not know a job."""


class Batch:
    """The tasks of one step and the jobs that run them."""

    def __init__(
        self,
        site: Site,
        worker: Worker,
        policy: Policy,
        name: Callable[[int], str],
        before_submission: Callable[[], None],
        *,
        lock: Lock,
    ) -> None:
        """Take up a batch where its ledger stands; ``name`` gives a job's name from its number.

        ``before_submission`` may raise to stop the driver between two submissions.
        """
        self.site, self.worker, self.policy, self.name = site, worker, policy, name
        self.before_submission, self.judge = before_submission, Judge(site, worker, policy)
        self.folder, self.clock = site.folder, lock.clock
        self.ledger = Ledger.read(self.folder.ledger, lock)
        if self.folder.task(len(self.ledger.tasks)).exists():
            known = len(self.ledger.tasks)
            raise StateError(
                f"'{self.folder.ledger}' was cut: it has {known} tasks, and the folder has more. Restore it, or "
                f"prepare the whole step again: dpgen2-hpc rewind {self.folder.step}"
            )
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
    def in_doubt(self) -> bool:
        """Whether there are jobs of which nobody knows yet whether the queue has accepted them."""
        return bool(self._doubts)

    @property
    def unsure(self) -> bool:
        """Whether the very next look decides something by itself: a job is missing, was rejected, or is in doubt."""
        now, soon = self.clock.now(), self.grace - self.site.scheduler.minimum_wait
        missing = [job.missing for job in self.ledger.open_jobs() if job.missing is not None]
        trouble = self.ledger.trouble
        rejected = trouble is not None and trouble.state == QueueStatus.REFUSED
        return self.in_doubt or rejected or any(now.since(moment) >= soon for moment in missing)

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
                "command": self.worker.command,
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
        SubmissionRefused
            The queue has rejected a job twice, with the same words.
        """
        before = self._shape()
        try:
            self._settle_doubts()
            self._look()
            if not self.finished:
                self.open()
                self._submit()
        except QueueDown as error:
            self._in_trouble(QueueStatus.DOWN, str(error))
            raise
        if self.ledger.trouble is not None and self.ledger.trouble.state == QueueStatus.DOWN and not self.in_doubt:
            self.ledger.append([_ANSWERS])
        return before != self._shape()

    def _in_trouble(self, state: str, words: str) -> None:
        """Note, once, that the queue does not do what it should."""
        if self.ledger.trouble is None or self.ledger.trouble.state != state:
            self.ledger.append([{"event": "queue", "state": state, "words": words}])

    def elsewhere(self) -> set[str]:
        """Return the other hosts on which jobs may run that only they can see."""
        return {str(job.host) for job in self.ledger.open_jobs() if job.id is not None and self._elsewhere(job)}

    def declare_dead(self) -> list[str]:
        """Give up the jobs that run on other hosts: the user says that these are dead; return the jobs' names."""
        jobs = [job for job in self.ledger.open_jobs() if job.id is not None and self._elsewhere(job)]
        why = "its host is dead, the user says (--take-over)"
        for job in jobs:
            unjudged = [self.ledger.tasks[task] for task, attempt in job.tasks if self._is_open(task, attempt)]
            verdicts = [
                {"event": "verdict", "task": task.index, "attempt": task.attempt, "state": Verdict.LOST, "why": why}
                for task in unjudged
            ]
            self.ledger.append([*verdicts, {"event": "state", "job": job.index, "state": JobStatus.GONE}])
        return [job.name for job in jobs]

    def _is_open(self, task: int, attempt: int) -> bool:
        state = self.ledger.tasks[task]
        return state.attempt == attempt and state.verdict is None

    # ---- submission

    def _submit(self) -> None:
        """Submit what has no id, in order, as far as ``parallelism`` and the queue allow."""
        jobs = self.ledger.open_jobs()
        taken = sum(job.id is not None or job.index in self._doubts for job in jobs)
        free = (self.policy.parallelism or self._default_parallelism()) - taken
        for job in jobs:
            if job.id is None and job.index not in self._doubts and free > 0:
                self.before_submission()
                try:
                    self._submit_one(job)
                except SubmissionRefused as error:
                    self._refused(job, error)
                    return
                except QueueFull as error:
                    del self._doubts[job.index]
                    self._in_trouble(QueueStatus.FULL, str(error))
                    return
                free -= 1

    def _refused(self, job: JobState, error: SubmissionRefused) -> None:
        """Note a rejected job; one that may exist all the same is looked for before it is submitted again.

        Raises
        ------
        SubmissionRefused
            The same words for the second time: only the user can help.
        """
        if error.certain:
            del self._doubts[job.index]
            self.site.withdraw(job)
        if self.ledger.was_refused(str(error)):
            raise error
        self.ledger.append([{"event": "queue", "state": QueueStatus.REFUSED, "words": str(error)}])

    def _submit_one(self, job: JobState) -> None:
        tasks = [self.ledger.tasks[task] for task, _ in job.tasks]
        for task in tasks:
            ensure_attempt(self.ledger, self.folder, task, self.worker, refresh=self._was_changed())
        if job.command != self.worker.command:
            self.ledger.append([{"event": "command", "job": job.index, "command": self.worker.command}])
        self._doubts[job.index] = 0
        identifier = self.site.submit(job, tasks, self.policy)
        well = [_ANSWERS] if self.ledger.trouble is not None else []
        self.ledger.append([_id_event(job, identifier, Host.me()), *well])
        del self._doubts[job.index]

    def _was_changed(self) -> bool:
        """Whether the step's settings have changed since its tasks were prepared: a first attempt must follow, too."""
        ledger, settings = self.ledger, self.worker.settings
        if ledger.settings and settings not in ledger.settings:
            ledger.append([{"event": "settings", "digest": settings}])
        return len(ledger.settings) > 1

    def _default_parallelism(self) -> float:
        """Return how many processes this host bears; a queue has limits of its own."""
        if self.site.scheduler.own_host:
            return max(1, cores() // self.site.machine.cpu_per_node)
        return float("inf")

    # ---- doubts: intents that a dead driver, or a lost reply, may or may not have submitted

    def _settle_doubts(self) -> None:
        """Adopt doubtful jobs that the queue or their claim shows; those that two looks did not show are submitted.

        A look does not count while the submit command of a dead driver still lives: it may yet be heard.
        """
        doubtful = [job for job in self.ledger.open_jobs() if job.index in self._doubts]
        underway = self.site.queue.submitting([job.name for job in doubtful])
        entries = {entry.name: entry for entry in self.site.queue.live([job.name for job in doubtful])}
        adopted: list[Event] = []
        for job in doubtful:
            claim, entry = self.site.claim(job.name), entries.get(job.name)
            if claim is not None:
                adopted.append(_id_event(job, claim.id, claim.host))
            elif entry is not None:
                adopted.append(_id_event(job, entry.id, Host.me()))
            self._doubts[job.index] += job.name not in underway
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
        silent = [job for job in jobs if job.state != JobStatus.GONE and not self._elsewhere(job)]
        entries = {entry.name: entry for entry in self.site.queue.live([job.name for job in silent])}
        new = [job for job in silent if job.name not in entries and job.missing is None]
        self._ask_about([job for job in new if not self.site.queue.is_over(job)])
        events: list[Event] = []
        over: list[JobState] = []
        now: Moment = self.clock.now()
        for job in silent:
            if job.name in entries:
                running = claims[job.index] is not None or entries[job.name].running
                state = JobStatus.RUNNING if running else JobStatus.SUBMITTED
                if job.state != state or job.missing is not None:
                    events.append({"event": "state", "job": job.index, "state": state})
            elif self.site.queue.is_over(job) or self._has_ended(job, claims[job.index]):
                over.append(job)
            elif job.missing is None:
                events.append(_missing_event(job))
            elif now.since(job.missing) >= self._grace(job, claims[job.index]):
                over.append(job)
        self.ledger.append(events)
        self._give_up(over)

    def _grace(self, job: JobState, claim: Claim | None) -> float:
        """Return how long a job must be missing, s: one that was cancelled before it began leaves no late words."""
        return min(self.grace, self.site.scheduler.minimum_wait) if job.cancelled and claim is None else self.grace

    def _elsewhere(self, job: JobState) -> bool:
        """Whether only another host could see the job: its claim is believed, its silence proves nothing."""
        host = job.host
        return self.site.scheduler.own_host and host is not None and not (host.is_here or host.has_restarted)

    def _judge(self, jobs: list[JobState], claims: dict[int, Claim | None]) -> None:
        """Judge the attempts that jobs say they have ended; a job all of whose tasks have ended is gone.

        A job that was just killed is left to the queue, whose words on the reason come after the job's own.
        """
        events: list[Event] = []
        for job in jobs:
            claim = claims[job.index]
            if claim is None or self._was_just_killed(job, claim):
                continue
            events += self._verdicts(job, claim)
            if self._has_ended(job, claim):
                events.append({"event": "state", "job": job.index, "state": JobStatus.GONE})
        self.ledger.append(events)

    def _has_ended(self, job: JobState, claim: Claim | None) -> bool:
        return all(self._attempt_ended(claim, task, attempt) for task, attempt in job.tasks)

    def _was_just_killed(self, job: JobState, claim: Claim) -> bool:
        """Whether a signal ended the task that began last, so that a queue may yet say why the job is at its end."""
        if self.site.scheduler.own_host or not any(ended.exit_code in ENDERS for ended in claim.ended.values()):
            return False
        begun = [place for place in job.tasks if place in claim.ended or self.site.began(self.ledger.tasks[place[0]])]
        last = claim.ended.get(begun[-1]) if begun else None
        known = job.cancelled is not None or self.site.queue.is_over(job)
        return last is not None and last.exit_code in ENDERS and not known

    def _attempt_ended(self, claim: Claim | None, task: int, attempt: int) -> bool:
        return claim is not None and (task, attempt) in claim.ended

    def _verdicts(self, job: JobState, claim: Claim) -> Iterator[Event]:
        for number, attempt in job.tasks:
            if (number, attempt) in claim.ended and self._is_open(number, attempt):
                yield self.judge.verdict(job, self.ledger.tasks[number], claim.ended[number, attempt])

    def _ask_about(self, jobs: list[JobState]) -> None:
        """Ask the queue how jobs that it no longer lists have ended, as far as it remembers."""
        told = self.site.queue.history(jobs) if jobs else {}
        self.ledger.append({"event": "history", "job": job, "words": words} for job, words in told.items())

    def _give_up(self, jobs: list[JobState]) -> None:
        """Judge what jobs have left that have ended; the queue's accounting may know by now what it did not before."""
        self._ask_about([job for job in jobs if job.history is None or not self.site.queue.is_over(job)])
        self.ledger.append(event for job in jobs for event in self._given_up(job))

    def _given_up(self, job: JobState) -> list[Event]:
        """Return the events of a job that is believed to be gone; its last words are read after the queue's answer."""
        claim = self.site.claim(job.name)
        events = list(self._verdicts(job, claim)) if claim is not None else []
        for number, attempt in job.tasks:
            task: TaskState = self.ledger.tasks[number]
            if not self._attempt_ended(claim, number, attempt) and self._is_open(number, attempt):
                began = self.site.began(task) or claim is None or not claim.ended
                events.append(self.judge.verdict(job, task, None) if began else not_begun(task))
        return [*events, {"event": "state", "job": job.index, "state": JobStatus.GONE}]

    def _shape(self) -> tuple[object, ...]:
        """Return what a change would change."""
        jobs = tuple((job.id, job.state, job.missing) for job in self.ledger.jobs)
        return jobs, tuple(self.ledger.counts().values()), len(self.ledger.refusals)


def cancel(site: Site, ledger: Ledger, why: str, *, waiting_only: bool = False) -> list[Entry]:
    """Ask the queue to end the open jobs that it knows, or only those that have not begun; return them.

    What they did not end counts against no task: the next driver submits it again.

    Raises
    ------
    QueueDown
        The queue did not answer.
    """
    jobs = {job.name: job for job in ledger.open_jobs()}
    entries = [
        entry
        for entry in site.queue.live(list(jobs))
        if not waiting_only or not (entry.running or site.claim(entry.name) is not None)
    ]
    named = {entry.name: entry for entry in entries}
    adopted = [_id_event(jobs[name], entry.id, Host.me()) for name, entry in named.items() if jobs[name].id is None]
    ledger.append([*adopted, *({"event": "cancel", "job": jobs[name].index, "why": why} for name in named)])
    site.queue.cancel(entries)
    return entries


_ANSWERS: Event = {"event": "queue", "state": QueueStatus.ANSWERS}


def _id_event(job: JobState, identifier: str, host: Host) -> Event:
    """Return the event that a job has its id; ``host`` is where it can be looked up, if that is one host alone.

    Of the driver's own machine the name is enough: its line *driver* has the rest.
    """
    machine = asdict(host)
    name = machine.pop("name")
    return {"event": "id", "job": job.index, "id": identifier, "host": name, **({} if host == Host.me() else machine)}


def _missing_event(job: JobState) -> Event:
    return {"event": "state", "job": job.index, "state": JobStatus.MISSING}
