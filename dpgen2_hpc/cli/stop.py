"""``stop``: end the driver; with ``--jobs`` cancel its jobs too. The same ``run`` goes on after either."""

import argparse
import logging

from dpgen2_hpc.cli.console import logging_to
from dpgen2_hpc.cli.main import existing
from dpgen2_hpc.errors import DONE, QueueDown, UserError
from dpgen2_hpc.loop import acts
from dpgen2_hpc.state.lock import Lock, describe, holder_of
from dpgen2_hpc.state.workdir import WorkDir

log = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    workdir = existing(arguments)
    _driver(workdir, dry_run=arguments.dry_run)
    if arguments.jobs:
        _jobs(workdir, dry_run=arguments.dry_run)
    return DONE


def _driver(workdir: WorkDir, *, dry_run: bool) -> None:
    holder = holder_of(workdir.lock)
    if holder is None:
        print("no driver is running")
    elif dry_run:
        print(f"would end the driver: {describe(holder)}")
    else:
        acts.end_driver(workdir, holder)
        print(f"the driver has left (it was process {holder.pid}); its jobs go on unless they are cancelled")


def _jobs(workdir: WorkDir, *, dry_run: bool) -> None:
    """Cancel the jobs; a real act takes the lock, so that no driver submits meanwhile."""
    lock = None if dry_run else Lock.acquire(workdir.lock)
    try:
        with logging_to(None if dry_run else workdir.log):
            jobs = acts.cancel_jobs(workdir, lock)
            if jobs and not dry_run:
                log.info("the user has cancelled %d jobs: %s", len(jobs), ", ".join(jobs))
    except QueueDown as error:
        raise UserError(f"the queue does not answer, no job was cancelled: {error}") from error
    finally:
        if lock is not None:
            lock.release()
    if not jobs:
        print("the queue knows no job of this run")
    elif dry_run:
        print(f"would cancel {len(jobs)} jobs: {', '.join(jobs)}")
