"""``run``: start or resume."""

import argparse
import json
import logging
import subprocess
from collections.abc import Callable
from functools import partial

from dpgen2_hpc.cli.console import logging_to
from dpgen2_hpc.cli.main import work_directory
from dpgen2_hpc.errors import BLOCKED, DONE, STILL_RUNNING, Blocked, InputError, Interrupted
from dpgen2_hpc.loop.begin import open_run
from dpgen2_hpc.loop.contents import kept_files, kept_systems
from dpgen2_hpc.loop.driver import Driver
from dpgen2_hpc.loop.plan import Plan, load_plan
from dpgen2_hpc.loop.rehearsal import describe_next
from dpgen2_hpc.loop.signals import Signals
from dpgen2_hpc.loop.survey import survey
from dpgen2_hpc.report.status import read_status
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.record import RecordFile
from dpgen2_hpc.state.workdir import WorkDir

log = logging.getLogger(__name__)

NOTIFY_SECONDS = 60.0
"""How long the user's command may take."""


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    if arguments.dry_run:
        plan, workdir, notices = _given(arguments, submits=False)
        print("\n".join([*notices, describe_next(workdir, plan)]))
        return DONE
    return drive(arguments, lambda: None)


def drive(arguments: argparse.Namespace, begun: Callable[[], None]) -> int:
    """Be the driver; call ``begun`` once the inputs are good, the lock is taken and the run is begun or taken up."""
    plan, workdir, notices = _given(arguments, submits=True)
    workdir.root.mkdir(parents=True, exist_ok=True)
    lock = Lock.acquire(workdir.lock, take_over=arguments.take_over)
    try:
        with Signals() as signals, logging_to(workdir.log):
            for notice in notices:
                log.info("notice: %s", notice)
            driver = _take_up(arguments, workdir, plan, lock, signals)
            begun()
            before = driver.record.sequence
            code = _to_its_end(driver)
            news = driver.record.sequence > before  # cron asks a blocked run again and again
            if news and code in (DONE, BLOCKED) and plan.notify is not None:
                lock.release()  # the status of a run that nobody drives any more
                notify(plan.notify, workdir)
            return code
    finally:
        lock.release()


def _given(arguments: argparse.Namespace, *, submits: bool) -> tuple[Plan, WorkDir, list[str]]:
    """Return what the command line names, and the notices of a run that is about to begin.

    Raises
    ------
    InputError
        Something that the inputs name is not as it must be.
    """
    workdir = WorkDir(work_directory(arguments))
    compatible, kept = arguments.old_compatible, kept_files(workdir) | kept_systems(workdir)
    plan = load_plan(arguments.param, arguments.machine, old_compatible=compatible, kept=kept)
    if workdir.record.exists():
        return plan, workdir, []
    found = survey(plan, submits=submits)
    if found.faults:
        raise InputError(found.faults)
    return plan, workdir, list(found.notices)


def _take_up(arguments: argparse.Namespace, workdir: WorkDir, plan: Plan, lock: Lock, signals: Signals) -> Driver:
    file = RecordFile(workdir.record, lock)
    record, now = open_run(
        workdir, plan, file, new_identity=arguments.new_identity, requeue_waiting=arguments.requeue_waiting
    )
    each = None if plan.notify is None else partial(notify, plan.notify, workdir)
    once = getattr(arguments, "once", False)
    return Driver(
        workdir,
        now,
        file,
        record,
        signals,
        once=once,
        take_over=arguments.take_over,
        upcoming=plan,
        on_iteration=each,
    )


def _to_its_end(driver: Driver) -> int:
    try:
        code = driver.run()
    except Interrupted as error:
        log.info("ended by %s; jobs that run go on, and the same command resumes", error)
        return 128 + error.signum
    except Blocked as error:
        log.error("%s", error)  # noqa: TRY400  (a message for people; there is no bug to trace)
        return error.exit_code
    if code == STILL_RUNNING:
        log.info("jobs are running; the same command goes on from here")
    return code


def notify(command: str, workdir: WorkDir) -> None:
    """Give the status to the user's command; one that fails is a line in the log, and stops nothing."""
    status = json.dumps(read_status(workdir).as_json())
    try:
        done = subprocess.run(
            command, shell=True, input=status, text=True, capture_output=True, timeout=NOTIFY_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        log.warning("notify: the command took longer than %g s and was ended: %s", NOTIFY_SECONDS, command)
        return
    if done.returncode != 0:
        log.warning("notify: the command ended with exit code %d: %s", done.returncode, done.stderr.strip()[-500:])
