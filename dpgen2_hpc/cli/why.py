"""``why``: one card about a task, or about where the run stands."""

import argparse

from dpgen2_hpc.cli.console import shown
from dpgen2_hpc.cli.main import existing
from dpgen2_hpc.errors import DONE
from dpgen2_hpc.loop import why
from dpgen2_hpc.report.status import read_status


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    workdir = existing(arguments)
    cards = [why.of_task(workdir, key) for key in arguments.keys]
    print(shown("\n\n".join(cards or [read_status(workdir).why()])))
    return DONE
