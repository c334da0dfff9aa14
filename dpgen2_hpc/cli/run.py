"""``run``: start or resume."""

import argparse
import logging
from pathlib import Path

from dpgen2_hpc.cli.console import logging_to
from dpgen2_hpc.cli.main import work_directory
from dpgen2_hpc.errors import DONE, STILL_RUNNING, Blocked, InputError, Interrupted
from dpgen2_hpc.loop.begin import open_run
from dpgen2_hpc.loop.driver import Driver
from dpgen2_hpc.loop.plan import Plan, load_plan
from dpgen2_hpc.loop.rehearsal import describe_next
from dpgen2_hpc.loop.signals import Signals
from dpgen2_hpc.loop.survey import survey
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.record import RecordFile
from dpgen2_hpc.state.workdir import WorkDir

log = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    plan = load_plan(arguments.param, arguments.machine, old_compatible=arguments.old_compatible)
    workdir = WorkDir(work_directory(arguments))
    notices = [] if workdir.record.exists() else _first_look(plan, arguments.machine)
    if arguments.dry_run:
        print("\n".join([*notices, describe_next(workdir, plan)]))
        return DONE
    workdir.root.mkdir(parents=True, exist_ok=True)
    lock = Lock.acquire(workdir.lock, take_over=arguments.take_over)
    try:
        with Signals() as signals, logging_to(workdir.log):
            for notice in notices:
                log.info("notice: %s", notice)
            return _drive(arguments, workdir, plan, lock, signals)
    finally:
        lock.release()


def _first_look(plan: Plan, machine: Path) -> list[str]:
    """Return the notices of a run that is about to begin.

    Raises
    ------
    InputError
        Something that the inputs name is not as it must be.
    """
    found = survey(plan, machine)
    if found.faults:
        raise InputError(found.faults)
    return list(found.notices)


def _drive(arguments: argparse.Namespace, workdir: WorkDir, plan: Plan, lock: Lock, signals: Signals) -> int:
    file = RecordFile(workdir.record, lock)
    try:
        record, now = open_run(workdir, plan, file, new_identity=arguments.new_identity)
        code = Driver(workdir, now, file, record, signals, once=arguments.once, upcoming=plan).run()
    except Interrupted as error:
        log.info("ended by %s; jobs that run go on, and the same command resumes", error)
        return 128 + error.signum
    except Blocked as error:
        log.error("%s", error)  # noqa: TRY400  (a message for people; there is no bug to trace)
        return error.exit_code
    if code == STILL_RUNNING:
        log.info("jobs are running; the same command goes on from here")
    return code
