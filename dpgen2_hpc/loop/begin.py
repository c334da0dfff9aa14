"""The beginning of a run, and the taking up of one: what stands in ``inputs/``, and what may have changed."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from dpgen2_hpc.data.dataset import read_frames
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.dispatch.batch import cancel
from dpgen2_hpc.errors import InputError, QueueDown, StateError, UserError
from dpgen2_hpc.inputs.changes import APPEND, LABELS, NEXT, NOW, Change, changes, held_back
from dpgen2_hpc.inputs.param import Settings, root
from dpgen2_hpc.loop.plan import Plan, remote_name
from dpgen2_hpc.state.files import fresh_folder, publish_folder, read_json, read_lines, write_json, write_lines
from dpgen2_hpc.state.identity import digest_file, digest_folder, last_change
from dpgen2_hpc.state.ledger import LOST, JobState, Ledger
from dpgen2_hpc.state.record import Home, Record, RecordFile, is_moved, read_record
from dpgen2_hpc.state.workdir import STEPS, WorkDir

log = logging.getLogger(__name__)

CONFIGURATIONS = 9
"""Stands where other keys of generators have the number of a step; there is no step 9."""


def open_run(
    workdir: WorkDir, plan: Plan, file: RecordFile, *, new_identity: bool = False, requeue_waiting: bool = False
) -> tuple[Record, Plan]:
    """Begin a run in an empty directory, or take up the one that is there; a copy only with ``new_identity``.

    With ``requeue_waiting`` jobs that still wait in the queue are cancelled; the driver submits their tasks anew. The
    plan that is returned is what the run follows now: see :func:`follow`.

    Raises
    ------
    UserError
        The directory holds something else, or a copy, or the inputs have changed in a way that would falsify it.
    """
    if not workdir.record.exists():
        refuse_strange(workdir)
        record = file.commit(Record.begin(workdir.root, plan.param.settings.seed))
        log.info("a new run begins in %s", workdir.root)
    else:
        record = _come_home(workdir, plan, file, read_record(workdir.record), new_identity=new_identity)
    if workdir.inputs.exists():
        shutil.rmtree(_aside(workdir), ignore_errors=True)
        _refuse_other_place(workdir, plan, record)
        _refuse_other_contents(workdir)
        plan = follow(workdir, plan, record)
        _follow_machine(workdir, plan)
        if requeue_waiting:
            _cancel_waiting(workdir, plan, record, "it waited, and was to be submitted anew (--requeue-waiting)")
    elif (record.iteration, record.step, record.phase) == (0, "train", "pending"):
        write_inputs(workdir, plan)
    else:
        raise StateError(f"'{workdir.inputs}' is missing: it says what this run follows.")
    return record, plan


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
            f"'{workdir.root}' has no record.json, but {', '.join(found)}: is the record lost? Restore it, or choose "
            "another directory with -C. Nothing was written."
        )


def pending_changes(workdir: WorkDir, plan: Plan) -> list[Change]:
    """Return what differs between the inputs that the run follows and those that were given now."""
    return changes(root(), read_json(workdir.param), plan.param.value)


def follow(workdir: WorkDir, plan: Plan, record: Record) -> Plan:
    """Follow what has changed in ``param.json`` as far as its class allows, and return what holds now.

    What is for the next iteration is held back until the run stands at the beginning of one.

    Raises
    ------
    InputError
        A change would falsify what the run has computed.
    """
    found = pending_changes(workdir, plan)
    refused = [change for change in found if not is_allowed(change, record)]
    if refused:
        lines = "\n".join(f"  {change}" for change in refused)
        raise InputError(
            "param.json has changed in a way that would falsify what this run has computed; change it back, or begin "
            f"another run elsewhere (-C):\n{lines}"
        )
    held = [change for change in found if is_for_later(change, record)]
    for change in found:
        when = ", from the next iteration on" if change in held else ""
        log.info("param.json has changed: %s%s", change, when)
    if held:
        plan = replace(plan, param=plan.param.following(held_back(plan.param.value, held)))
    if len(held) < len(found):
        old = len(read_json(workdir.param)["explore"]["configurations"])
        _write_configurations(workdir, plan.param.settings, old)
        if any(change.rule == LABELS for change in found):  # before the first label: no task reads these files yet
            _write_fp_files(workdir, plan.param.settings)
        _write_named(workdir, plan.param.settings)
        write_json(workdir.param, plan.param.value)
    return plan


def is_allowed(change: Change, record: Record) -> bool:
    """Return whether a run that stands where ``record`` says may follow a change."""
    return change.rule in (NOW, NEXT, APPEND) or (change.rule == LABELS and not _has_asked_fp(record))


def is_for_later(change: Change, record: Record) -> bool:
    """Return whether a change has to wait for the next iteration."""
    return change.rule == NEXT and (record.step, record.phase) != ("train", "pending")


def _has_asked_fp(record: Record) -> bool:
    """Return whether a frame has been written down for fp."""
    before = STEPS.index(record.step) < STEPS.index("fp") or (record.step, record.phase) == ("fp", "pending")
    return record.iteration > 0 or not before


def _follow_machine(workdir: WorkDir, plan: Plan) -> None:
    if read_json(workdir.machine) != plan.machine_value:
        log.info("machine.json has changed: unfinished tasks follow it; jobs in the queue keep what they have")
        write_machine(workdir.machine, plan)


def _refuse_other_contents(workdir: WorkDir) -> None:
    """Refuse files whose contents the run has taken up, and that are not what they were.

    Raises
    ------
    InputError
        A file or a system has changed since the run began.
    """
    changed = [row["path"] for row in read_lines(workdir.files) if _is_another(Path(row["path"]), row["digest"])]
    taken_up = workdir.initial_data.stat().st_mtime
    for row in read_lines(workdir.initial_data):
        folder = workdir.root / row["path"]
        if folder.exists() and last_change(folder) >= taken_up and digest_folder(folder) != row["digest"]:
            changed.append(str(folder))
    if changed:
        lines = "\n".join(f"  '{path}'" for path in changed)
        raise InputError(
            "param.json names files whose contents have changed since this run took them up; change them back, or "
            f"begin another run elsewhere (-C):\n{lines}"
        )


def _is_another(path: Path, digest: str) -> bool:
    return path.is_file() and digest_file(path) != digest


PLACE = ("batch_type", "context_type", "remote_root")
"""What says where the jobs of a step are to be found."""


def _refuse_other_place(workdir: WorkDir, plan: Plan, record: Record) -> None:
    """Refuse to look for the jobs of a step in another place than the one that they were sent to.

    Raises
    ------
    InputError
        ``machine.json`` names another place for a step that has jobs.
    """
    if record.phase != "submitted" or record.step not in plan.machines:
        return
    folder = workdir.step(record.iteration, record.step)
    if not any(job.id is not None or _was_sent(workdir, record, job) for job in Ledger.read(folder.ledger).open_jobs()):
        return
    old, new = read_json(workdir.machine)[record.step]["machine"], plan.machines[record.step].machine
    for name in PLACE:
        if old.get(name) != new.get(name):
            raise InputError(
                f"machine.json: {record.step}.machine.{name} was {old.get(name)!r} and is {new.get(name)!r} now, but "
                "the step has jobs there. Change it back until the step is done; other steps may have it at once."
            )


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
        _forget_jobs(workdir, record)
        return file.commit(replace(record, identity=Record.begin(workdir.root, record.seed).identity, home=now))
    if not is_moved(record.home, now):
        return record
    _refuse_live_jobs(workdir, plan, record)
    log.info("the directory was moved from %s", record.home.path)
    return file.commit(replace(record, home=now))


@contextmanager
def _answered() -> Iterator[None]:
    """Turn a queue that does not answer into words for the person who waits for one."""
    try:
        yield
    except QueueDown as error:
        raise UserError(f"the queue does not answer, so that nothing was changed: {error}. Try again later.") from error


def _cancel_waiting(workdir: WorkDir, plan: Plan, record: Record, why: str) -> None:
    """Cancel the jobs of the step that still wait in the queue.

    Raises
    ------
    UserError
        The queue does not answer.
    """
    if record.phase == "submitted":
        ledger = Ledger.read(workdir.step(record.iteration, record.step).ledger)
        with _answered():
            cancelled = cancel(plan.site(workdir, record), ledger, why, waiting_only=True)
        if cancelled:
            names = ", ".join(f"{entry.name} ({entry.id})" for entry in cancelled)
            log.info("cancelled, to be submitted anew: %s", names)


def _refuse_live_jobs(workdir: WorkDir, plan: Plan, record: Record) -> None:
    """Refuse to go on in a new place while jobs still work with the old one's paths; those that wait are cancelled.

    Raises
    ------
    UserError
        There are such jobs, or the queue does not answer.
    """
    if record.phase != "submitted":
        return
    _cancel_waiting(workdir, plan, record, "its directory was moved while it waited")
    jobs = Ledger.read(workdir.step(record.iteration, record.step).ledger).open_jobs()
    with _answered():
        live = plan.site(workdir, record).live([job.name for job in jobs if job.cancelled is None])
    if live:
        names = ", ".join(f"{entry.name} ({entry.id})" for entry in live)
        raise UserError(
            f"the directory was moved from {record.home.path} while jobs run there: {names}. "
            "Wait until they have ended, or end them (dpgen2-hpc stop --jobs), then type the same command again."
        )


def _forget_jobs(workdir: WorkDir, record: Record) -> None:
    """Take the open jobs of a copied run for lost: they are the original's."""
    if record.phase == "submitted":
        ledger = Ledger.read(workdir.step(record.iteration, record.step).ledger)
        for job in ledger.open_jobs():
            if job.id is None:
                ledger.append([{"event": "state", "job": job.index, "state": "gone"}])
                continue
            unjudged = [ledger.tasks[task] for task, attempt in job.tasks if ledger.tasks[task].attempt == attempt]
            why = "its job belongs to the directory that this one was copied from"
            ledger.append(
                [
                    *(
                        {"event": "verdict", "task": task.index, "attempt": task.attempt, "state": LOST, "why": why}
                        for task in unjudged
                        if task.verdict is None
                    ),
                    {"event": "state", "job": job.index, "state": "gone"},
                ]
            )


# ---- inputs/ --------------------------------------------------------------------------------------------------------


def write_inputs(workdir: WorkDir, plan: Plan) -> None:
    """Write ``inputs/`` whole: what the run follows."""
    aside = WorkDir(fresh_folder(_aside(workdir)))
    aside.inputs.mkdir()
    write_json(aside.param, plan.param.value)
    write_machine(aside.machine, plan)
    _write_initial_data(aside, plan.param.settings, workdir.root)
    _write_configurations(aside, plan.param.settings)
    _write_fp_files(aside, plan.param.settings)
    _write_named(aside, plan.param.settings)
    publish_folder(aside.inputs, workdir.inputs)
    aside.root.rmdir()


def _aside(workdir: WorkDir) -> Path:
    return workdir.root / "inputs.new"


def write_machine(path: Path, plan: Plan) -> None:
    """Write ``machine.json`` as understood, readable for its owner alone: it may hold secrets."""
    write_json(path, plan.machine_value, mode=0o600)


def _write_initial_data(aside: WorkDir, settings: Settings, root_folder: Path) -> None:
    rows, digests = [], []
    for folder in settings.initial_systems:
        frames = read_frames(folder)
        inside = folder.is_relative_to(root_folder)
        path = folder.relative_to(root_folder) if inside else folder
        rows.append({"path": str(path), "frames": len(frames), "digest": digest_folder(folder)})
        digests += [frame.digest(settings.type_map) for frame in frames]
    write_lines(aside.initial_data, rows)
    aside.initial_digests.write_text("".join(f"{digest}\n" for digest in digests))


def _write_fp_files(aside: WorkDir, settings: Settings) -> None:
    """Copy what all labels read: a file that changes later would change the physics. Some are licensed: 0600."""
    fresh_folder(aside.fp_files)
    for name, source in settings.labeler.shared().items():
        shutil.copyfile(source, aside.fp_files / name)
        (aside.fp_files / name).chmod(0o600)


def starting_frames(settings: Settings, entry: int) -> list[Frame]:
    """Return the starting configurations of an entry: the same ones whenever it is asked."""
    rng = np.random.default_rng((settings.seed, entry, CONFIGURATIONS))
    return settings.configurations[entry].generate(settings.type_map, rng)


def _write_named(workdir: WorkDir, settings: Settings) -> None:
    """Write which files of configurations and labels the inputs name, and what is in them."""
    sources = [path for source in settings.configurations for path in getattr(source, "files_read", list)()]
    paths = dict.fromkeys([*map(Path, sources), *settings.labeler.shared().values()])
    write_lines(workdir.files, [{"path": str(path), "digest": digest_file(path)} for path in paths])


def _write_configurations(aside: WorkDir, settings: Settings, first: int = 0) -> None:
    """Write every starting configuration once, in the explorer's format; tasks link to it.

    Entries before ``first`` are there already.
    """
    suffix = Path(settings.explorer.configuration_file).suffix
    pools = read_json(aside.pools)[:first] if first else []
    if first == len(settings.configurations):
        return
    for entry in range(first, len(settings.configurations)):
        frames = starting_frames(settings, entry)
        names = [f"{entry:03d}/{number:06d}{suffix}" for number in range(len(frames))]
        aside.configurations.mkdir(exist_ok=True)
        fresh_folder(aside.configurations / f"{entry:03d}")
        for name, frame in zip(names, frames, strict=True):
            settings.explorer.write_configuration(frame, settings.type_map, aside.configurations / name)
        pools.append(names)
    write_json(aside.pools, pools)
