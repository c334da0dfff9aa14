"""``python -m dpgen2_hpc`` is the command ``dpgen2-hpc``."""

import sys

from dpgen2_hpc.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
