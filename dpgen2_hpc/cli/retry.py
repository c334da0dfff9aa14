"""``retry``: let broken tasks, and labels that the gate refused, run again."""

import argparse

from dpgen2_hpc.cli.console import logging_to
from dpgen2_hpc.cli.main import existing
from dpgen2_hpc.errors import DONE
from dpgen2_hpc.loop import acts
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.record import RecordFile


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    workdir = existing(arguments)
    lock = Lock.acquire(workdir.lock)
    try:
        with logging_to(None if arguments.dry_run else workdir.log):
            file = RecordFile(workdir.record, lock)
            keys = acts.retry(workdir, file, arguments.keys, dry_run=arguments.dry_run)
    finally:
        lock.release()
    if arguments.dry_run:
        print(f"would let run again: {', '.join(keys)}")
    else:
        print("To go on: dpgen2-hpc run PARAM MACHINE")
    return DONE
