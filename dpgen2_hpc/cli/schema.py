"""``schema``: JSON Schema of the input files, for editors."""

import argparse
import json

from dpgen2_hpc.errors import DONE


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    from dpgen2_hpc.inputs.schema import machine_schema, schema  # noqa: PLC0415  (`-h` stays quick)
    from dpgen2_hpc.loop.trees import tree_of  # noqa: PLC0415

    make = machine_schema if arguments.file == "machine" else schema
    found = make(tree_of(arguments.file, arguments.dialect), f"{arguments.file}.json of dpgen2_hpc")
    print(json.dumps(found, indent=1, ensure_ascii=False))
    return DONE
