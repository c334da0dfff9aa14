"""``status``: where the run stands."""

import argparse
import json

from dpgen2_hpc.cli.main import work_directory
from dpgen2_hpc.errors import DONE, InputError
from dpgen2_hpc.report.status import read_status
from dpgen2_hpc.state.workdir import WorkDir


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    status = read_status(existing(arguments))
    print(json.dumps(status.as_json()) if arguments.json else status.as_text())
    return DONE


def existing(arguments: argparse.Namespace) -> WorkDir:
    """Return the work directory of a run that is there.

    Raises
    ------
    InputError
        There is none.
    """
    if arguments.config is not None and arguments.id is None:
        raise InputError(f"'{arguments.config}' alone says nothing: name the work directory with -C, or as CONFIG ID")
    workdir = WorkDir(work_directory(arguments))
    if not workdir.record.exists():
        raise InputError(f"there is no run in '{workdir.root}' (no record.json); name its directory with -C")
    return workdir
