"""``retry``: run failed tasks and rejected labels again."""

import argparse
from collections.abc import Callable

from dpgen2_hpc.cli.console import logging_to
from dpgen2_hpc.cli.main import existing
from dpgen2_hpc.errors import DONE
from dpgen2_hpc.loop import acts
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.record import RecordFile


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    return act(arguments, acts.retry, "let run again")


def act(arguments: argparse.Namespace, function: Callable[..., list[str]], words: str) -> int:
    """Apply ``function`` to the named tasks while holding the lock; return the exit code."""
    workdir = existing(arguments)
    lock = Lock.acquire(workdir.lock)
    try:
        with logging_to(None if arguments.dry_run else workdir.log):
            keys = function(workdir, RecordFile(workdir.record, lock), arguments.keys, dry_run=arguments.dry_run)
    finally:
        lock.release()
    print(f"would {words}: {', '.join(keys)}" if arguments.dry_run else "To go on: dpgen2-hpc run PARAM MACHINE")
    return DONE
