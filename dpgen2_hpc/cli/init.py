"""``init``: input files to begin with."""

import argparse
import os

from dpgen2_hpc.errors import DONE, InputError


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    from dpgen2_hpc.dispatch.environment import activation_for  # noqa: PLC0415  (`-h` stays quick)
    from dpgen2_hpc.inputs.starting import starting_files  # noqa: PLC0415
    from dpgen2_hpc.inputs.tree import TO_FILL  # noqa: PLC0415

    texts = starting_files(arguments.fp, arguments.scheduler, activation_for(arguments.scheduler, os.environ))
    there = [name for name in texts if (arguments.directory / name).exists()]
    if there:
        raise InputError(f"'{arguments.directory}' has {', '.join(there)} already; nothing was written")
    arguments.directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (arguments.directory / name).write_text(text, encoding="utf-8")
        marks = text.count(TO_FILL) - (name == "param.json")
        print(
            f"wrote {arguments.directory / name}"
            + (f", with {marks} place{'s' * (marks > 1)} to fill in" if marks else "")
        )
    print(f"search for '{TO_FILL}'; `dpgen2-hpc check param.json machine.json` says what is left to do")
    return DONE
