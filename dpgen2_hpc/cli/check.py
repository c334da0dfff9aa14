"""``check``: everything that can be known before submitting."""

import argparse

from dpgen2_hpc.errors import DONE


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    from dpgen2_hpc.loop.plan import load_plan  # noqa: PLC0415  (`-h` stays quick)
    from dpgen2_hpc.loop.rehearsal import describe_inputs  # noqa: PLC0415

    plan = load_plan(arguments.param, arguments.machine, old_compatible=arguments.old_compatible)
    print(describe_inputs(plan))
    return DONE
