"""``rewind``: take the present iteration back to one of its steps."""

import argparse

from dpgen2_hpc.cli.console import logging_to
from dpgen2_hpc.cli.main import existing
from dpgen2_hpc.errors import DONE
from dpgen2_hpc.loop.rewind import rewind
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.record import RecordFile


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    workdir = existing(arguments)
    lock = Lock.acquire(workdir.lock)
    try:
        with logging_to(None if arguments.dry_run else workdir.log):
            file = RecordFile(workdir.record, lock)
            moves = rewind(workdir, file, arguments.step, dry_run=arguments.dry_run)
    finally:
        lock.release()
    print("\n".join(f"{'would rename' if arguments.dry_run else 'renamed'}: {move}" for move in moves))
    if not arguments.dry_run:
        print("To go on: dpgen2-hpc run PARAM MACHINE")
    return DONE
