"""``check``: everything that can be known before submitting."""

import argparse

from dpgen2_hpc.cli.main import work_directory
from dpgen2_hpc.errors import DONE, InputError
from dpgen2_hpc.state.workdir import WorkDir


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    from dpgen2_hpc.loop.contents import kept_files, refuse_other_contents  # noqa: PLC0415
    from dpgen2_hpc.loop.plan import load_plan  # noqa: PLC0415  (`-h` stays quick)
    from dpgen2_hpc.loop.survey import survey  # noqa: PLC0415

    workdir = WorkDir(work_directory(arguments))
    compatible, kept = arguments.old_compatible, kept_files(workdir)
    plan = load_plan(arguments.param, arguments.machine, old_compatible=compatible, kept=kept)
    found = survey(plan, workdir)
    print("\n".join([*found.lines, *(f"notice: {notice}" for notice in found.notices)]))
    if found.faults:
        raise InputError(found.faults)
    if workdir.record.exists() and workdir.inputs.exists():
        refuse_other_contents(workdir, note=False)
    print("no fault was found")
    return DONE
