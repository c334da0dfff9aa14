"""The beginning of a run, and the taking up of one: where its directory is, and what becomes of its jobs."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dpgen2_hpc.dispatch.batch import cancel
from dpgen2_hpc.dispatch.machine import StepMachine
from dpgen2_hpc.errors import InputError, QueueDown, StateError, UserError
from dpgen2_hpc.loop import contents, follow
from dpgen2_hpc.loop.plan import Plan, remote_name, site_of
from dpgen2_hpc.state import stops
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.identity import digest_file
from dpgen2_hpc.state.ledger import JobState, Ledger
from dpgen2_hpc.state.record import Home, Record, RecordFile, is_moved, read_record, refuse_contradictions
from dpgen2_hpc.state.words import JobStatus, Phase, Verdict
from dpgen2_hpc.state.workdir import WorkDir

log = logging.getLogger(__name__)


def open_run(
    workdir: WorkDir, plan: Plan, file: RecordFile, *, new_identity: bool = False, requeue_waiting: bool = False
) -> tuple[Record, Plan]:
    """Begin a run in an empty directory, or take up the one that is there; a copy only with ``new_identity``.

    With ``requeue_waiting`` jobs that still wait in the queue are cancelled; the driver submits their tasks again. The
    plan that is returned is what the run follows now: see :func:`dpgen2_hpc.loop.follow.follow`.

    Raises
    ------
    UserError
        The directory holds something else, or a copy, or the inputs have changed in a way that would falsify it.
    """
    if not workdir.record.exists():
        refuse_strange(workdir)
        record = file.commit(Record.begin(workdir.root, plan.param.settings.seed))
        log.info("new run in %s", workdir.root)
    else:
        record = _come_home(workdir, plan, file, read_record(workdir.record), new_identity=new_identity)
    if workdir.inputs.exists():
        shutil.rmtree(follow.aside_of(workdir), ignore_errors=True)
        _refuse_damage(workdir, plan, record)
        _refuse_other_place(workdir, plan, record)
        contents.refuse_other_contents(workdir)
        plan = follow.follow(workdir, plan, record)
        follow.follow_machine(workdir, plan)
        if requeue_waiting:
            _cancel_waiting(workdir, plan, record, file, "it waited, and is submitted again (--requeue-waiting)")
    elif (record.iteration, record.step, record.phase) == (0, "train", Phase.PENDING):
        follow.write_inputs(workdir, plan)
    else:
        raise StateError(f"'{workdir.inputs}' is missing: it says what this run follows.", workdir.inputs)
    if record.lists is None:
        record = file.commit(replace(record, lists=_digests_of_lists(workdir)))
    return record, plan


def _digests_of_lists(workdir: WorkDir) -> dict[str, str]:
    """Return the digests of the lists that are written once: emptied, they would read as "there are none"."""
    return {path.name: digest_file(path) for path in (workdir.initial_data, workdir.initial_digests) if path.exists()}


def _refuse_damage(workdir: WorkDir, plan: Plan, record: Record) -> None:
    """Refuse lists of ``inputs/`` that were emptied or edited, and a record that does not fit the inputs.

    Raises
    ------
    StateError
        The record and the inputs do not belong together.
    """
    for name, digest in (record.lists or {}).items():
        if _digests_of_lists(workdir).get(name) != digest:
            path = workdir.inputs / name
            raise StateError(f"'{path}' is not what it was when the record was written: it was cut or edited.", path)
    seed, stages = read_json(workdir.param)["seed"], len(plan.param.settings.stages)
    if record.seed != seed:
        text = f"'{workdir.record}': seed is {record.seed}, and the run follows seed {seed}."
        raise StateError(text, workdir.record)
    refuse_contradictions(record, workdir.record)
    if record.stage >= stages:
        text = f"'{workdir.record}': stage is {record.stage}, and there are {stages} stages, numbered from 0 on."
        raise StateError(text, workdir.record)


def refuse_strange(workdir: WorkDir) -> None:
    """Refuse a directory without a record that holds one of our names.

    Raises
    ------
    UserError
        It does: a record was lost, or the directory is another program's.
    """
    found = workdir.ours()
    if found:
        raise UserError(
            f"'{workdir.root}' has no record.json, but {', '.join(found)}: is the record lost? Nothing was written. "
            + stops.advice("record-missing")
        )


PLACE = ("batch_type", "context_type", "remote_root")
"""What says where the jobs of a step are to be found."""


def _refuse_other_place(workdir: WorkDir, plan: Plan, record: Record) -> None:
    """Refuse to look for the jobs of a step in another place than the one that they were sent to.

    Raises
    ------
    InputError
        ``machine.json`` names another place for a step that has jobs.
    """
    if record.phase != Phase.SUBMITTED or record.step not in plan.machines:
        return
    if not _has_jobs(workdir, record):
        return
    old, new = read_json(workdir.machine)[record.step]["machine"], plan.machines[record.step].machine
    for name in PLACE:
        if old.get(name) != new.get(name):
            raise InputError(
                f"machine.json: {record.step}.machine.{name} was {old.get(name)!r} and is {new.get(name)!r} now, but "
                f"the step has jobs there. {stops.advice('place-changed')}"
            )


def _has_jobs(workdir: WorkDir, record: Record) -> bool:
    """Whether jobs of the step may be in the place that they were sent to; cancelled ones count while they live."""
    jobs = Ledger.read(workdir.step(record.iteration, record.step).ledger).open_jobs()
    sent = [job for job in jobs if job.id is not None or _was_sent(workdir, record, job)]
    if not sent or any(job.cancelled is None for job in sent):
        return bool(sent)
    section = read_json(workdir.machine)[record.step]
    site = site_of(StepMachine(section["machine"], section["resources"]), workdir, record)
    with _answered():
        return bool(site.queue.live([job.name for job in sent]))


def _was_sent(workdir: WorkDir, record: Record, job: JobState) -> bool:
    """Whether the script of a job lies where the old ``machine.json`` had it run: it may have been submitted."""
    folder = workdir.step(record.iteration, record.step)
    remote = read_json(workdir.machine)[record.step]["machine"].get("remote_root")
    places = [folder.path, *([Path(remote) / remote_name(workdir, record)] if remote else [])]
    return any((place / "jobs" / f"{job.name}.sub").exists() for place in places)


def _come_home(workdir: WorkDir, plan: Plan, file: RecordFile, record: Record, *, new_identity: bool) -> Record:
    """Note where the directory is now, if it has been moved or copied."""
    now = Home.of(workdir.root)
    if new_identity:
        log.info("a run of its own from here on, copied from %s", record.home.path)
        _forget_jobs(workdir, record, file)
        return file.commit(replace(record, identity=Record.begin(workdir.root, record.seed).identity, home=now))
    if not is_moved(record.home, now):
        return record
    _refuse_live_jobs(workdir, plan, record, file)
    log.info("the directory was moved from %s", record.home.path)
    return file.commit(replace(record, home=now))


@contextmanager
def _answered() -> Iterator[None]:
    """Re-raise QueueDown as a UserError."""
    try:
        yield
    except QueueDown as error:
        raise UserError(f"the queue does not answer, so that nothing was changed: {error}. Try again later.") from error


def _cancel_waiting(workdir: WorkDir, plan: Plan, record: Record, file: RecordFile, why: str) -> None:
    """Cancel the jobs of the step that still wait in the queue.

    Raises
    ------
    UserError
        The queue does not answer.
    """
    if record.phase == Phase.SUBMITTED:
        ledger = Ledger.read(workdir.step(record.iteration, record.step).ledger, file.lock)
        with _answered():
            cancelled = cancel(plan.site(workdir, record), ledger, why, waiting_only=True)
        if cancelled:
            names = ", ".join(f"{entry.name} ({entry.id})" for entry in cancelled)
            log.info("cancelled, to be submitted again: %s", names)


def _refuse_live_jobs(workdir: WorkDir, plan: Plan, record: Record, file: RecordFile) -> None:
    """Refuse to go on in a new place while jobs still work with the old one's paths; those that wait are cancelled.

    Raises
    ------
    UserError
        There are such jobs, or the queue does not answer.
    """
    if record.phase != Phase.SUBMITTED:
        return
    _cancel_waiting(workdir, plan, record, file, "its directory was moved while it waited")
    jobs = Ledger.read(workdir.step(record.iteration, record.step).ledger).open_jobs()
    with _answered():
        live = plan.site(workdir, record).queue.live([job.name for job in jobs if job.cancelled is None])
    if live:
        names = ", ".join(f"{entry.name} ({entry.id})" for entry in live)
        raise UserError(
            f"the directory was moved from {record.home.path} while jobs run there: {names}. "
            + stops.advice("moved-with-jobs")
        )


def _forget_jobs(workdir: WorkDir, record: Record, file: RecordFile) -> None:
    """Take the open jobs of a copied run for lost: they are the original's."""
    if record.phase == Phase.SUBMITTED:
        ledger = Ledger.read(workdir.step(record.iteration, record.step).ledger, file.lock)
        for job in ledger.open_jobs():
            if job.id is None:
                ledger.append([{"event": "state", "job": job.index, "state": JobStatus.GONE}])
                continue
            unjudged = [ledger.tasks[task] for task, attempt in job.tasks if ledger.tasks[task].attempt == attempt]
            why = "its job belongs to the directory that this one was copied from"
            ledger.append(
                [
                    *(
                        {
                            "event": "verdict",
                            "task": task.index,
                            "attempt": task.attempt,
                            "state": Verdict.LOST,
                            "why": why,
                        }
                        for task in unjudged
                        if task.verdict is None
                    ),
                    {"event": "state", "job": job.index, "state": JobStatus.GONE},
                ]
            )
