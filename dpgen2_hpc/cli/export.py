"""``export``: the dataset in the format of another program."""

import argparse
import itertools

from dpgen2_hpc.cli.main import existing
from dpgen2_hpc.data.formats import EXTXYZ, keeps_labels
from dpgen2_hpc.errors import DONE, InputError
from dpgen2_hpc.report.export import collected, export, initial
from dpgen2_hpc.state.record import read_record


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    workdir = existing(arguments)
    finished = len(read_record(workdir.record).iterations)
    iterations = range(finished) if arguments.iterations is None else _range(arguments.iterations, finished)
    members = collected(workdir, iterations)
    if arguments.iterations is None:
        members = itertools.chain(initial(workdir), members)
    count = export(members, arguments.format, arguments.out, workdir)
    alone = arguments.format != EXTXYZ and not keeps_labels(arguments.format)
    what = "frames, without their labels: the format has no room for them," if alone else "labelled frames"
    print(f"{count} {what} in '{arguments.out}'")
    return DONE


def _range(text: str, finished: int) -> range:
    """Return the iterations of ``A-B`` (B not included) or ``A``."""
    first, dash, last = text.partition("-")
    if not _is_number(first) or (dash and not _is_number(last)):
        raise InputError(f"--iterations is '{text}'; expected is 3, or 0-3 for the iterations 0, 1 and 2")
    found = range(int(first), int(last) if dash else int(first) + 1)
    if not found or found.stop > finished:
        raise InputError(f"--iterations is '{text}'; this run has finished {finished} iterations, numbered from 0 on")
    return found


def _is_number(text: str) -> bool:
    """Return whether a text is a whole number in plain digits; ``²`` is a digit to Python, and not a number."""
    return text.isascii() and text.isdigit()
