"""Fixtures for all tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from project import Project, end_started


def pytest_collection_modifyitems(items):
    """Slow tests first, so that no core waits for the last of them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(autouse=True)
def _no_task_is_held(tmp_path: Path):
    yield
    (tmp_path / "hold").unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def _no_driver_is_left():
    yield
    end_started()
