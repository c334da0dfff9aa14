"""``skip``: set broken tasks, and labels that the gate refused, aside."""

import argparse

from dpgen2_hpc.cli.retry import act
from dpgen2_hpc.loop import acts


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    return act(arguments, acts.skip, "set aside")
