"""``doc``: the arguments of the input files as text."""

import argparse

from dpgen2_hpc.errors import DONE


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    from dpgen2_hpc.inputs.describe import described, table  # noqa: PLC0415  (`-h` stays quick)
    from dpgen2_hpc.loop.trees import machine_tree, tree_of  # noqa: PLC0415

    if arguments.markdown:
        sections = {
            "param.json": tree_of("param"),
            "machine.json (train, explore and fp have the keys of default)": machine_tree(["default"]),
        }
        print(table(list(sections.items())))
        return DONE
    file = "machine" if arguments.machine else "param"
    print(described(tree_of(file, arguments.dialect), arguments.path or ""))
    return DONE
