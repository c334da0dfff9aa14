"""What the user does to a run: end the driver, cancel its jobs, retry and skip tasks."""

import logging
import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

from dpgen2_hpc.dispatch.batch import cancel
from dpgen2_hpc.dispatch.machine import StepMachine
from dpgen2_hpc.dispatch.names import job_name
from dpgen2_hpc.errors import InputError, LockHeld, StateError
from dpgen2_hpc.loop.plan import site_of
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.ledger import Ledger, TaskState, read_ledger
from dpgen2_hpc.state.lock import Holder, Lock, describe, holder_of
from dpgen2_hpc.state.record import Home, Record, RecordFile, is_moved, read_record
from dpgen2_hpc.state.steps import WITH_TASKS
from dpgen2_hpc.state.words import Phase, Verdict
from dpgen2_hpc.state.workdir import WorkDir, iteration_name, task_key

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds that a driver has to finish the write in hand; a queue that does not answer takes its time."""

JOBS_OF_A_TASK, UNKNOWN_TASKS = 10, 1000
"""Jobs that are looked for where the ledger is lost: first attempts and retries of each task of the step."""

_KEY = re.compile(r"(iter-(\d{6}))--(run-\w+)-(\d+)")


# ---- stop -----------------------------------------------------------------------------------------------------------


def end_driver(workdir: WorkDir, holder: Holder) -> None:
    """Ask the driver to leave, as Ctrl-C does, and wait until it has; its jobs go on.

    Raises
    ------
    LockHeld
        It works on another host, or does not leave.
    """
    if not holder.machine.is_here:
        raise LockHeld(f"the driver runs on another host: {describe(holder)}. Run this command there.")
    os.kill(holder.pid, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while holder_of(workdir.lock) == holder:
        if time.monotonic() > end:
            raise LockHeld(f"the driver has not left within {PATIENCE:g} s: {describe(holder)}. Try again, or kill it.")
        time.sleep(0.1)


def cancel_jobs(workdir: WorkDir, lock: Lock | None) -> list[str]:
    """Cancel every job of the run that its queue knows, and return them in words; no attempt is counted.

    Without the lock nothing is cancelled: the jobs that would be are returned.

    Raises
    ------
    QueueDown
        The queue did not answer: nothing was cancelled.
    StateError
        The directory is a copy: the jobs are the original's.
    """
    record = read_record(workdir.record)
    is_moved(record.home, Home.of(workdir.root))
    if record.phase != Phase.SUBMITTED:
        return []
    section = read_json(workdir.machine)[record.step]
    site = site_of(StepMachine(section["machine"], section["resources"]), workdir, record)
    try:
        ledger = Ledger.read(site.folder.ledger, lock)
    except StateError:  # lost or broken: the jobs' names can be told without it, and nothing can be noted
        entries = site.queue.live(job_names(workdir, record))
        if entries and lock is not None:
            site.queue.cancel(entries)
    else:
        open_names = [job.name for job in ledger.open_jobs()]
        why = "job cancelled by the user (stop --jobs)"
        entries = site.queue.live(open_names) if lock is None else cancel(site, ledger, why)
    return [f"{entry.name} ({entry.id})" for entry in entries]


def job_names(workdir: WorkDir, record: Record) -> list[str]:
    """Return the names of the present step's jobs; where its ledger is lost, all that they may have had."""
    folder = workdir.step(record.iteration, record.step)
    try:
        return [job.name for job in Ledger.read(folder.ledger).jobs]
    except StateError:
        numbers = range(JOBS_OF_A_TASK * (record.tasks or UNKNOWN_TASKS))
        return [job_name(record.tag, record.iteration, record.step, number) for number in numbers]


# ---- retry ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TaskPlace:
    """A task that a key names."""

    key: str
    iteration: int
    step: str
    index: int


def place_of(key: str) -> TaskPlace:
    """Return what a task's key means.

    Raises
    ------
    InputError
        It is not one.
    """
    match = _KEY.fullmatch(key)
    step = next((step for step, tasks in WITH_TASKS.items() if match and tasks.run_key == match[3]), None)
    if match is None or step is None:
        like = ", ".join(task_key(0, step, 0) for step in WITH_TASKS)
        raise InputError(f"'{key}' is not a task key. Task keys look like {like}; status and showkey list them.")
    return TaskPlace(task_key(int(match[2]), step, int(match[4])), int(match[2]), step, int(match[4]))


def retry(workdir: WorkDir, file: RecordFile, keys: Sequence[str], *, dry_run: bool = False) -> list[str]:
    """Let tasks run again with the next `run`: failed ones, rejected labels, and done ones too; return their keys.

    Raises
    ------
    InputError
        A key names no task that could be tried again; nothing was changed.
    """
    record = read_record(workdir.record)
    places, ledger = _ended(workdir, record, keys, file.lock)
    if not dry_run:
        file.check(record)
        ledger.append([{"event": "round", "round": ledger.rounds + 1, "tasks": [place.index for place in places]}])
        if record.phase == Phase.FINISHED:
            file.commit(record.reopened())
        log.info("user requested a retry of %s", ", ".join(place.key for place in places))
    return [place.key for place in places]


def skip(workdir: WorkDir, file: RecordFile, keys: Sequence[str], *, dry_run: bool = False) -> list[str]:
    """Skip failed tasks and rejected labels: the step goes on without them; return their keys.

    Raises
    ------
    InputError
        A key names no task that could be set aside; nothing was changed.
    """
    record = read_record(workdir.record)
    places, ledger = _ended(workdir, record, keys, file.lock)
    for place in places:
        if ledger.tasks[place.index].verdict == Verdict.DONE and not is_refused(place.step, ledger.tasks[place.index]):
            raise InputError(f"'{place.key}' is done, so there is nothing to skip")
    if not WITH_TASKS[record.step].may_skip:
        raise InputError(f"'{places[0].key}' cannot be skipped: every member of the ensemble is needed")
    if not dry_run:
        file.check(record)
        ledger.append([{"event": "skip", "tasks": [place.index for place in places]}])
        log.info("user skips %s", ", ".join(place.key for place in places))
    return [place.key for place in places]


def _ended(workdir: WorkDir, record: Record, keys: Sequence[str], lock: Lock) -> tuple[list[TaskPlace], Ledger]:
    """Return the tasks of the present step that the keys name, each once, and the step's ledger.

    Raises
    ------
    InputError
        One is not of this step, or has not ended.
    """
    places = list(dict.fromkeys(place_of(key) for key in keys))
    for place in places:
        _refuse_other_step(record, place)
    ledger = read_ledger(workdir.step(record.iteration, record.step), record.tasks, lock)
    for place in places:
        _refuse_unsettled(ledger, place)
    return places, ledger


def _refuse_other_step(record: Record, place: TaskPlace) -> None:
    now = f"{iteration_name(record.iteration)}, {record.step}, which is {record.phase}"
    if (place.iteration, place.step) != (record.iteration, record.step):
        raise InputError(f"'{place.key}' is not a task of the present step ({now}): its results are in use")
    if record.phase not in (Phase.SUBMITTED, Phase.FINISHED):
        raise InputError(f"'{place.key}' cannot be changed now: the run is at {now}")


def _refuse_unsettled(ledger: Ledger, place: TaskPlace) -> None:
    if place.index >= len(ledger.tasks):
        raise InputError(f"'{place.key}': the step has {len(ledger.tasks)} tasks only, counted from 0")
    task = ledger.tasks[place.index]
    if not task.settled:
        raise InputError(f"'{place.key}' has not ended yet: wait for it, or cancel all jobs (dpgen2-hpc stop --jobs)")


def is_refused(step: str, task: TaskState) -> bool:
    """Whether a task has ended well with a label that the gate refused."""
    return step == "fp" and task.verdict == Verdict.DONE and task.why is not None
