"""``check``: everything that can be known before submitting."""

import argparse

from dpgen2_hpc.errors import DONE, InputError


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    from dpgen2_hpc.loop.plan import load_plan  # noqa: PLC0415  (`-h` stays quick)
    from dpgen2_hpc.loop.survey import survey  # noqa: PLC0415

    plan = load_plan(arguments.param, arguments.machine, old_compatible=arguments.old_compatible)
    found = survey(plan)
    print("\n".join([*found.lines, *(f"notice: {notice}" for notice in found.notices)]))
    if found.faults:
        raise InputError(found.faults)
    print("no fault was found")
    return DONE
