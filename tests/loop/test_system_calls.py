"""A system call of the driver fails, once: the same command then gives the undisturbed run's files, and no bug is told."""

import subprocess
from collections import Counter

import pytest
from compare import assert_equal
from programs import need
from project import Project, unmeasured

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("system calls")]


def traced(project: Project, *options: str) -> subprocess.CompletedProcess:
    """Run the driver under strace, its jobs not."""
    project.write()
    words = project.command("run", "-C", str(project.work), "param.json", "machine.json")
    return subprocess.run(
        ["strace", "-qq", "-o", str(project.folder / "trace"), *options, *words],
        cwd=project.folder,
        env=unmeasured(project.env),
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run, how often each system call was made before it read its inputs, and how often in all."""
    need("strace")
    project = Project(tmp_path_factory.mktemp("undisturbed"))
    done = traced(project)
    assert done.returncode == 0, done.stderr
    lines = (project.folder / "trace").read_text().splitlines()
    begun = next(number for number, line in enumerate(lines) if line.startswith("openat") and "param.json" in line)
    count = [Counter(line.partition("(")[0] for line in part) for part in (lines[:begun], lines)]
    return project, *count


@pytest.mark.parametrize(
    ("call", "error", "part"),
    [
        ("write", "ENOSPC", 0.5),
        ("fsync", "EIO", 0.3),
        ("fsync", "ESTALE", 0.7),
        ("openat", "EMFILE", 0.6),
        ("rename", "EIO", 0.5),
        ("unlink", "EACCES", 0.6),
        ("read", "EIO", 0.9),
        ("link", "EPERM", 0.5),
    ],
)
def test_after_a_failed_system_call_the_same_command_gives_the_undisturbed_runs_files(
    tmp_path, undisturbed, call, error, part
):
    expected, before, total = undisturbed
    when = before[call] + 1 + int(part * (total[call] - before[call] - 1))
    project = Project(tmp_path / "project")
    done = traced(project, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}")
    assert done.returncode in (0, 2, 4, 5), done.stdout + done.stderr
    if done.returncode in (2, 4):
        assert "same command again" in done.stdout + done.stderr or done.returncode == 2, done.stderr
    again = project.run()
    assert again.returncode == 0, again.stdout + again.stderr
    assert_equal(expected, project)
