"""What a person does to a run while no driver works on it: end the driver, cancel its jobs, let tasks run again."""

import logging
import os
import re
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from dpgen2_hpc.dispatch.batch import cancel
from dpgen2_hpc.dispatch.machine import StepMachine
from dpgen2_hpc.errors import InputError, LockHeld
from dpgen2_hpc.loop.plan import site_of
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.ledger import DONE, Ledger, TaskState
from dpgen2_hpc.state.lock import Holder, describe, holder_of
from dpgen2_hpc.state.record import Home, Record, RecordFile, is_moved, read_record
from dpgen2_hpc.state.workdir import RUN_KEYS, WorkDir, iteration_name, task_key

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds that a driver has to finish the write in hand; a queue that does not answer takes its time."""

_KEY = re.compile(r"(iter-(\d{6}))--(run-\w+)-(\d+)")


# ---- stop -----------------------------------------------------------------------------------------------------------


def end_driver(workdir: WorkDir, holder: Holder) -> None:
    """Ask the driver to leave, as Ctrl-C does, and wait until it has; its jobs go on.

    Raises
    ------
    LockHeld
        It works on another host, or does not leave.
    """
    if holder.host != socket.gethostname():
        raise LockHeld(f"the driver runs on another host: {describe(holder)}. Type this command there.")
    os.kill(holder.pid, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while holder_of(workdir.lock) == holder:
        if time.monotonic() > end:
            raise LockHeld(f"the driver has not left within {PATIENCE:g} s: {describe(holder)}. Try again, or kill it.")
        time.sleep(0.1)


def cancel_jobs(workdir: WorkDir, *, dry_run: bool = False) -> list[str]:
    """Cancel every job of the run that its queue knows, and return them in words; no attempt is counted against a task.

    Raises
    ------
    QueueDown
        The queue did not answer: nothing was cancelled.
    StateError
        The directory is a copy: the jobs are the original's.
    """
    record = read_record(workdir.record)
    is_moved(record.home, Home.of(workdir.root))
    if record.phase != "submitted":
        return []
    section = read_json(workdir.machine)[record.step]
    site = site_of(StepMachine(section["machine"], section["resources"]), workdir, record)
    ledger = Ledger.read(site.folder.ledger)
    if dry_run:
        entries = site.live([job.name for job in ledger.open_jobs()])
    else:
        entries = cancel(site, ledger, "a person has cancelled its job (stop --jobs)")
    return [f"{entry.name} ({entry.id})" for entry in entries]


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
        It is none.
    """
    match = _KEY.fullmatch(key)
    step = next((step for step, word in RUN_KEYS.items() if match and word == match[3]), None)
    if match is None or step is None:
        like = ", ".join(task_key(0, step, 0) for step in RUN_KEYS)
        raise InputError(f"'{key}' is no key of a task; such keys look like {like}; status and showkey list them")
    return TaskPlace(task_key(int(match[2]), step, int(match[4])), int(match[2]), step, int(match[4]))


def retry(workdir: WorkDir, file: RecordFile, keys: Sequence[str], *, dry_run: bool = False) -> list[str]:
    """Let broken tasks, and labels that the gate refused, run again with the next `run`; return their keys.

    Raises
    ------
    InputError
        A key names no task that could be tried again; nothing was changed.
    """
    record = read_record(workdir.record)
    places, ledger = _ended_badly(workdir, record, keys)
    if not dry_run:
        file.check(record)
        ledger.append([{"event": "round", "round": ledger.rounds + 1, "tasks": [place.index for place in places]}])
        if record.phase == "finished":
            file.commit(record.reopened())
        log.info("a person lets %s run again", ", ".join(place.key for place in places))
    return [place.key for place in places]


def skip(workdir: WorkDir, file: RecordFile, keys: Sequence[str], *, dry_run: bool = False) -> list[str]:
    """Set broken tasks, and labels that the gate refused, aside: the step goes on without them; return their keys.

    Raises
    ------
    InputError
        A key names no task that could be set aside; nothing was changed.
    """
    record = read_record(workdir.record)
    places, ledger = _ended_badly(workdir, record, keys)
    if record.step == "train":
        raise InputError(f"'{places[0].key}' cannot be set aside: every member of the ensemble is needed")
    if not dry_run:
        file.check(record)
        ledger.append([{"event": "skip", "tasks": [place.index for place in places]}])
        log.info("a person sets %s aside", ", ".join(place.key for place in places))
    return [place.key for place in places]


def _ended_badly(workdir: WorkDir, record: Record, keys: Sequence[str]) -> tuple[list[TaskPlace], Ledger]:
    """Return the tasks of the present step that the keys name, each once, and the step's ledger.

    Raises
    ------
    InputError
        One is not of this step, has not ended, or has left something that is in use.
    """
    places = list(dict.fromkeys(place_of(key) for key in keys))
    for place in places:
        _refuse_other_step(record, place)
    ledger = Ledger.read(workdir.step(record.iteration, record.step).ledger)
    for place in places:
        _refuse_settled_well(ledger, place)
    return places, ledger


def _refuse_other_step(record: Record, place: TaskPlace) -> None:
    now = f"{iteration_name(record.iteration)}, {record.step}, which is {record.phase}"
    if (place.iteration, place.step) != (record.iteration, record.step):
        raise InputError(f"'{place.key}' is not of the step that the run stands in ({now}): its results are in use")
    if record.phase not in ("submitted", "finished"):
        raise InputError(f"nothing can be done about '{place.key}' now: the run stands in {now}")


def _refuse_settled_well(ledger: Ledger, place: TaskPlace) -> None:
    if place.index >= len(ledger.tasks):
        raise InputError(f"'{place.key}': the step has {len(ledger.tasks)} tasks only, counted from 0")
    task = ledger.tasks[place.index]
    if not task.settled:
        raise InputError(f"'{place.key}' has not ended yet: wait for it, or stop its job")
    if task.verdict == DONE and not is_refused(place.step, task):
        raise InputError(f"'{place.key}' is done, and what it left is in use")


def is_refused(step: str, task: TaskState) -> bool:
    """Whether a task has ended well with a label that the gate refused."""
    return step == "fp" and task.verdict == DONE and task.why is not None
