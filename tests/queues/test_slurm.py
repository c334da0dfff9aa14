"""The table of faults, on a real Slurm: accepted entries = wanted entries, each attempt run once, nothing lost.

The truth is the scheduler's own completion log. Beside each case stands what dpdispatcher 1.1.0 does alone in the same
fault (measured): entries accepted instead of those wanted.
"""

import shutil
import signal
import subprocess
import time
from collections import Counter

import pytest
import slurm_project
from fault_table import LOOK, ROWS, Mishaps, Waiting, survive, training
from project import wait_for
from queue_project import complete, exactly_once
from slurm_project import SlurmProject

pytestmark = [pytest.mark.slow, pytest.mark.queue, pytest.mark.xdist_group("slurm")]

ALONE = {
    "no fault": "4 for 4",
    "lost reply": "5 for 4, after 60 s",
    "empty answer": "5 for 4",
    "half an answer": "5 for 4",
    "zero bytes": "RuntimeError at once",
    "server not reached by the list": "60 s asleep each",
    "unknown states": "RuntimeError",
}
"""What dpdispatcher alone does; the other rows were not measured."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm_project.cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def project(tmp_path, cluster) -> SlurmProject:
    return SlurmProject(tmp_path, cluster)


@pytest.mark.parametrize(
    ("side", "faults"),
    [
        pytest.param(side, faults, id=f"{name} (dpdispatcher alone: {ALONE.get(name, 'not measured')})")
        for name, (side, faults) in {**ROWS, "zero bytes": (LOOK, ["zero"])}.items()
    ],
)
def test_a_fault_of_the_queue_costs_no_entry_and_no_task(project, side, faults):
    project.job_env(FAKE_DP_SLEEP="1.5")
    survive(project, **{side: faults})


class TestMishaps(Mishaps):
    NOWHERE = "nvalid partition"


class TestWaiting(Waiting):
    HOLD = "#SBATCH --hold"
    HELD = "PD"


def test_a_controller_that_is_down_for_a_while_is_waited_out(project, cluster):
    project.job_env(FAKE_DP_SLEEP="12")
    driver = project.start()
    wait_for(lambda: len(project.calls()) >= 2)
    cluster.kill_controller()
    time.sleep(3)
    cluster.start_controller()
    wait_for(lambda: cluster.resume() and driver.poll() is not None, 90)
    assert driver.returncode == 0, driver.communicate()[0]
    entries = project.entries()  # a controller that was killed may have forgotten what it had accepted
    assert set(entries) <= project.names()
    assert set(entries.values()) == {1}
    assert len(project.calls()) == len(set(project.calls()))


def test_a_record_read_from_another_current_directory_is_the_same_run(project):
    """dpdispatcher alone: 4 for 2."""
    project.hold()
    assert project.run("--once").returncode == 3
    project.write()
    project.release()
    words = project.command("run", "-C", "work", "param.json", "machine.json")
    complete(project, subprocess.run(words, cwd=project.folder, env=project.env, capture_output=True, text=True))
    exactly_once(project)


def test_a_requeue_by_an_admin_is_refused_by_the_scheduler(project):
    training(project)
    for identifier, name, _ in project.cluster.queue():
        if name in project.names():
            done = subprocess.run(
                ["scontrol", "requeue", identifier], env=project.env, capture_output=True, check=False
            )
            assert done.returncode != 0
    project.release()
    complete(project, project.run())
    exactly_once(project)


@pytest.mark.parametrize("faults", [["refuse"], ["odd"], ["ok", "oddly"], ["refuse", "odd", "ok", "refuse"]])
def test_a_rejection_that_passes_costs_no_entry_and_no_task(project, faults):
    project.will("sbatch", *faults)
    complete(project, project.run())
    exactly_once(project)


@pytest.mark.parametrize(
    ("fault", "words"), [("refuse", "Invalid partition name"), ("odd", "The moon is in the wrong")]
)
def test_the_same_rejection_twice_blocks_with_the_schedulers_words_from_cron_too(project, fault, words):
    project.will("sbatch", fault, fault)
    done = project.run("--once")
    assert done.returncode == 4
    assert f"its reply: sbatch: error: Batch job submission failed: {words}" in done.stdout or words in done.stdout
    assert "jobs are running" not in done.stdout
    assert (project.faults / "calls").read_text().split().count("sbatch") == 2
    complete(project, project.run())
    exactly_once(project)


@pytest.mark.parametrize("program", ["squeue", "sbatch"])
def test_a_driver_leaves_at_the_first_signal_while_a_command_hangs(project, program):
    project.will(program, "hang")
    driver = project.start()
    wait_for(lambda: (project.faults / "calls").exists() and program in (project.faults / "calls").read_text())
    driver.send_signal(signal.SIGTERM)
    driver.communicate(timeout=30)
    assert driver.returncode == 128 + signal.SIGTERM
    complete(project, project.run())
    exactly_once(project)


def test_a_cancelled_job_is_noticed_without_waiting_for_its_grace(project):
    project.machine["default"]["grace"] = 600
    project.hold()
    driver = project.start()
    wait_for(lambda: len(project.calls()) >= 4)
    victim = next(identifier for identifier, name, _ in project.cluster.queue() if name in project.names())
    subprocess.run(["scancel", victim], env=project.env, check=True)
    wait_for(lambda: len(project.calls()) >= 5)  # the next attempt has begun
    project.release()
    driver.communicate(timeout=100)
    assert driver.returncode == 0
    whys = [project.verb("why", "-C", str(project.work), f"iter-000000--run-train-{n:04d}").stdout for n in range(4)]
    [why] = [text for text in whys if "was lost" in text]
    assert "attempt 1 was lost: its job was cancelled" in why
    assert "the queue says of its end: JobState=CANCELLED" in why


def test_a_job_at_its_walltime_differs_from_a_program_that_fails_and_goes_on(project):
    """The controller enforces a limit twice a minute."""
    project.machine["default"]["grace"] = 1
    training(project)
    for identifier, name, _ in project.cluster.queue():
        if name in project.names():
            end = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 2))
            words = ["scontrol", "update", f"JobId={identifier}", f"EndTime={end}"]
            subprocess.run(words, env=project.env, check=True)
    project.cluster.wait_until_idle(90)
    project.release()
    complete(project, project.run())
    card = project.verb("why", "-C", str(project.work), "iter-000000--run-train-0000").stdout
    assert "attempt 1 was lost: the queue ended its job at the walltime" in card
    restarted = (project.work / "iter-000000/00.train/task.0000/restart").is_dir()
    assert restarted, "a training that was killed goes on from its checkpoint"


def test_once_from_cron_reaches_the_same_end(project):
    codes = []
    for _ in range(80):
        codes.append(project.run("--once").returncode)
        if codes[-1] != 3:
            break
        time.sleep(0.3)
    assert codes[-1] == 0
    exactly_once(project)


def test_the_scheduler_is_called_a_few_times_however_many_tasks(project):
    project.param["train"]["numb_models"] = 12
    complete(project, project.run())
    calls = Counter((project.faults / "calls").read_text().split())
    assert calls["sbatch"] == len(project.names())
    assert calls["squeue"] < 40


def test_jobs_left_behind_by_a_moved_directory_are_named(project):
    training(project)
    shutil.move(project.work, project.folder / "elsewhere")
    project.work = project.folder / "elsewhere"
    done = project.run()
    assert done.returncode == 4
    assert "while jobs run there" in done.stdout + done.stderr
    project.release()
    project.cluster.wait_until_idle()
    assert project.run().returncode == 0
