"""Fixtures for all tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
