"""``showkey``: the keys of the finished steps."""

import argparse

from dpgen2_hpc.cli.main import existing
from dpgen2_hpc.errors import DONE
from dpgen2_hpc.report.keys import finished_keys, listing
from dpgen2_hpc.state.record import read_record


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    workdir = existing(arguments)
    print(listing(finished_keys(workdir, read_record(workdir.record))))
    return DONE
