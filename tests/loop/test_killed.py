"""Promise 1 and 2: whatever instant the driver is killed at, the run comes out the same, and no task is run twice."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from compare import assert_equal
from project import Project, unmeasured, wait_for

pytestmark = pytest.mark.slow

CHAIN = Path(__file__).resolve().parent.parent / "chain.py"


def undisturbed(folder: Path, change=lambda project: None) -> Project:
    project = Project(folder)
    change(project)
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def each_call_once(project: Project) -> None:
    calls = project.calls()
    assert len(calls) == len(set(calls)), sorted(calls)
    assert not list(project.work.rglob("*.attempt-*"))


def chained(project: Project) -> int:
    """Run the chain and return how many starts it took."""
    project.write()
    words = ["run", "-C", str(project.work), "param.json", "machine.json"]
    done = subprocess.run(
        [sys.executable, str(CHAIN), str(project.folder / "seen"), *words],
        cwd=project.folder,
        env=unmeasured(project.env),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return int(done.stdout.split()[-1])


def test_a_chain_of_starts_each_killed_at_its_first_new_write_ends_as_an_undisturbed_run(tmp_path):
    expected = undisturbed(tmp_path / "undisturbed")
    project = Project(tmp_path / "killed")
    starts = chained(project)
    assert starts > 150
    assert_equal(expected, project)
    each_call_once(project)
    submissions = (project.folder / "submissions").read_text().splitlines()
    assert len(submissions) == len(set(submissions))
    assert sorted(call.split("work/")[1] for call in project.calls()) == sorted(
        call.split("work/")[1] for call in expected.calls()
    )


def holds_lock(project: Project, pid: int) -> bool:
    """Whether a driver is at work: what Python needs to start, and that it can be killed there, is of no interest."""
    try:
        return json.loads((project.work / "lock").read_text())["pid"] == pid
    except FileNotFoundError:
        return False


def test_a_run_killed_at_random_instants_ends_as_an_undisturbed_run(tmp_path):
    expected = undisturbed(tmp_path / "undisturbed")
    project = Project(tmp_path / "killed")
    draw = random.Random(3)
    kills = 0
    while True:
        driver = project.start()
        wait_for(lambda driver=driver: driver.poll() is not None or holds_lock(project, driver.pid))
        try:
            driver.communicate(timeout=draw.random())
            break
        except subprocess.TimeoutExpired:
            driver.send_signal(signal.SIGKILL)
            driver.communicate()
            kills += 1
    assert driver.returncode == 0
    assert kills >= 3
    assert_equal(expected, project)
    each_call_once(project)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_driver_with_its_own_code_and_leaves_the_jobs(project, number):
    project.env["FAKE_DP_SLEEP"] = "1.5"
    driver = project.start()
    wait_for(lambda: len(project.calls()) == 2)
    driver.send_signal(number)
    output, _ = driver.communicate(timeout=20)
    assert driver.returncode == 128 + number
    assert "the same command resumes" in output
    assert not (project.work / "lock").exists()
    assert project.status()["status"] == "waiting"  # the jobs live
    done = project.run()
    assert done.returncode == 0, done.stdout
    each_call_once(project)


def test_a_second_driver_is_refused_and_touches_nothing(project):
    project.env["FAKE_DP_SLEEP"] = "1.5"
    driver = project.start()
    wait_for(lambda: (project.work / "record.json").exists() and len(project.calls()) == 2)
    second = project.run()
    assert second.returncode == 5
    assert f"process {driver.pid} on" in second.stderr
    driver.communicate(timeout=60)
    assert driver.returncode == 0
    each_call_once(project)
