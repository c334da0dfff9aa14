"""Real programs: where they are, and what happens when they are not."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest


def demanded() -> bool:
    """Whether a missing program is a failure and not a reason to skip: CI sets it."""
    return os.environ.get("DPGEN2_HPC_DEMAND") == "1"


def need(*names: str) -> str:
    """Return a PATH with these programs, or skip the test (fail it where they are demanded)."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    missing = [name for name in names if shutil.which(name, path=path) is None]
    if missing:
        (pytest.fail if demanded() else pytest.skip)(f"not installed: {', '.join(missing)} (make test installs them)")
    return path


def need_package(name: str) -> None:
    """Skip the test where a Python package is missing (fail it where programs are demanded)."""
    if importlib.util.find_spec(name) is None:
        (pytest.fail if demanded() else pytest.skip)(f"not installed: {name} (make test installs it)")
