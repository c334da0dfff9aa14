"""``skip``: go on without failed tasks and rejected labels."""

import argparse

from dpgen2_hpc.cli.retry import act
from dpgen2_hpc.loop import acts


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    return act(arguments, acts.skip, "skip")
