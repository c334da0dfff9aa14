"""Real programs and their data files: where they are, and what happens when they are not."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

PSEUDO = Path(os.environ.get("ESPRESSO_PSEUDO", "/usr/share/espresso/pseudo"))
"""Pseudopotentials of Quantum ESPRESSO; Debian has them in a package of their own."""
CP2K_DATA = Path(os.environ.get("CP2K_DATA_DIR", "/usr/share/cp2k"))
"""Basis sets and potentials of CP2K."""


def demanded() -> bool:
    """Whether a missing program is a failure and not a reason to skip: CI sets it."""
    return os.environ.get("DPGEN2_HPC_DEMAND") == "1"


def need(*names: str, files: Iterable[Path] = ()) -> str:
    """Return a PATH with these programs, or skip the test (fail it where they are demanded); so for their data."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    missing = [name for name in names if shutil.which(name, path=path) is None]
    missing += [str(file) for file in files if not file.is_file()]
    if missing:
        (pytest.fail if demanded() else pytest.skip)(f"not installed: {', '.join(missing)} (make test installs them)")
    return path


def need_package(name: str) -> None:
    """Skip the test where a Python package is missing (fail it where programs are demanded)."""
    if importlib.util.find_spec(name) is None:
        (pytest.fail if demanded() else pytest.skip)(f"not installed: {name} (make test installs it)")
