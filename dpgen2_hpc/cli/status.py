"""``status``: where the run stands."""

import argparse
import json

from dpgen2_hpc.cli.console import shown
from dpgen2_hpc.cli.main import existing
from dpgen2_hpc.errors import DONE
from dpgen2_hpc.report.status import read_status


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code."""
    status = read_status(existing(arguments))
    print(json.dumps(status.as_json()) if arguments.json else shown(status.as_text()))
    return DONE
