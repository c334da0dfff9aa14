"""Fixtures for all tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from project import Project, end_started


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """The longest tests first, so that no core waits for the last of them; groups must be groups.

    Those on a real queue mostly wait, and are one group; those with real programs use a core each.

    pytest-xdist marks a test's group in its name. A pytest that it does not know loses that in silence, and each worker
    makes a Slurm and a real run of its own.
    """
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in ("queue", "programs", "slow")])
    if getattr(config.option, "loadgroup", False):
        lost = [item.nodeid for item in items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid]
        if lost:
            raise pytest.UsageError(f"this pytest and this pytest-xdist have lost the groups of tests, as of {lost[0]}")


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
