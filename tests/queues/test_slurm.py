"""The table of faults, on a real Slurm: accepted entries = wanted entries, each attempt run once, nothing lost.

The truth is the scheduler's own completion log. Beside each case stands what dpdispatcher 1.1.0 does alone in the same
fault (measured): entries accepted instead of those wanted.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import slurm_cluster
from programs import demanded
from project import FAKES, Project

pytestmark = [pytest.mark.slow, pytest.mark.queue]

FAULTS = FAKES / "faults"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    missing = slurm_cluster.missing()
    if missing or os.geteuid() != 0:
        why = f"a real Slurm needs root and {', '.join(missing) or 'nothing else'} (apt-get install slurm-wlm munge)"
        (pytest.fail if demanded() else pytest.skip)(why)
    running = slurm_cluster.Cluster(tmp_path_factory.mktemp("slurm"), slots=8).start()
    yield running
    running.stop()


class SlurmProject(Project):
    """A project whose jobs run on the cluster, through sbatch and squeue that can be made to fail."""

    def __init__(self, folder: Path, cluster: slurm_cluster.Cluster) -> None:
        super().__init__(folder)
        self.cluster, self.faults = cluster, folder / "faults"
        self.faults.mkdir()
        self.env.update(
            PATH=f"{FAULTS}:{self.env['PATH']}:{slurm_cluster.SBIN}",
            SLURM_CONF=str(cluster.conf),
            QUEUE_FAULTS=str(self.faults),
        )
        self.param["train"]["numb_models"] = 4
        self.param["explore"].update(max_numb_iter=1, fatal_at_max=False)
        default = self.machine["default"]
        default["machine"]["batch_type"] = "Slurm"
        default.update(grace=3, poll_interval=0.4)
        self.job_env()

    def job_env(self, **more: str) -> None:
        """What jobs find in their environment: a login shell forgets ours."""
        names = ("FAKE_LEDGER", "FAKE_DEVIATIONS", "SLURM_CONF")
        envs = {
            "PATH": f"{FAKES}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            **{name: self.env[name] for name in names},
            **more,
        }
        self.machine["default"]["resources"]["envs"] = envs

    def will(self, program: str, *faults: str) -> None:
        """Let the next calls of a program go wrong."""
        (self.faults / program).write_text("".join(f"{fault}\n" for fault in faults))

    def names(self) -> set[str]:
        """The names of all jobs that the ledgers of the run know."""
        import json

        lines = [line for path in self.work.rglob("batch.jsonl") for line in path.read_text().splitlines()]
        events = [json.loads(line) for line in lines]
        return {event["name"] for event in events if event["event"] == "intent"}

    def entries(self) -> Counter:
        """How many entries of each of our names the scheduler has ever accepted."""
        self.cluster.wait_until_idle()
        time.sleep(0.5)
        names = self.names()
        return Counter(job["Name"] for job in self.cluster.accepted() if job["Name"] in names)


@pytest.fixture
def project(tmp_path, cluster) -> SlurmProject:
    return SlurmProject(tmp_path, cluster)


def exactly_once(project: SlurmProject) -> None:
    entries = project.entries()
    assert set(entries) == project.names()
    assert set(entries.values()) == {1}, entries
    calls = project.calls()
    assert len(calls) == len(set(calls)), sorted(calls)


def complete(project: SlurmProject, done) -> None:
    assert done.returncode == 0, (done.stdout or "")[-3000:] + (done.stderr or "")[-3000:]
    row = project.status()["iterations"][0]
    assert (row["explored"], row["selected"], row["labelled"]) == (10, 3, 3)


@pytest.mark.parametrize(
    ("program", "faults"),
    [
        ("sbatch", []),  # no fault: 4 of 4
        ("sbatch", ["lostreply"]),  # dpdispatcher alone: 3 for 2, after 60 s
        ("sbatch", ["ok", "lostreply", "lostreply"]),
        ("sbatch", ["down", "down"]),  # alone: three tries, then RuntimeError
        ("sbatch", ["banner"] * 4),  # alone: the id is the banner
        ("sbatch", ["limit"]),
        ("squeue", ["empty"]),  # alone: 3 for 2
        ("squeue", ["empty", "ok", "empty"]),
        ("squeue", ["partial", "partial"]),
        ("squeue", ["cut"]),
        ("squeue", ["garbage"]),
        ("squeue", ["zero"]),  # alone: RuntimeError at once
        ("squeue", ["down", "down"]),  # alone: 60 s asleep each
        ("squeue", ["state=OO", "state=SO", "state=??"]),  # alone: RuntimeError
    ],
)
def test_a_fault_of_the_queue_costs_no_entry_and_no_task(project, program, faults):
    project.job_env(FAKE_DP_SLEEP="1.5")
    project.will(program, *faults)
    complete(project, project.run())
    exactly_once(project)


def test_a_driver_killed_at_many_points_submits_each_job_once(project):
    """dpdispatcher alone: 10 entries for 6."""
    project.job_env(FAKE_DP_SLEEP="1")
    for delay in (0.9, 1.0, 1.1, 1.2, 1.3, 1.6, 2.0, 3.0, 4.0, 5.0):
        driver = project.start()
        time.sleep(delay)
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
    complete(project, project.run())
    exactly_once(project)


def test_an_sbatch_that_outlives_its_killed_driver_touches_no_task_twice(project):
    """The next driver sees the submit command itself, and waits for what it brings."""
    project.will("sbatch", "slow", "slow")
    driver = project.start()
    _wait(lambda: (project.faults / "calls").exists() and "sbatch" in (project.faults / "calls").read_text())
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    complete(project, project.run())
    exactly_once(project)


def test_an_interrupt_in_the_submission_loop_loses_and_doubles_nothing(project):
    """dpdispatcher alone: 7 entries for 4, two tasks run twice."""
    project.will("sbatch", "ok", "slow")
    driver = project.start()
    _wait(lambda: (project.faults / "calls").exists() and (project.faults / "calls").read_text().count("sbatch") == 2)
    driver.send_signal(signal.SIGINT)
    driver.communicate()
    assert driver.returncode == 128 + signal.SIGINT
    complete(project, project.run())
    exactly_once(project)


def test_a_controller_that_is_down_for_a_while_is_waited_out(project, cluster):
    project.job_env(FAKE_DP_SLEEP="4")
    driver = project.start()
    _wait(lambda: len(project.calls()) >= 2)
    cluster.kill_controller()
    time.sleep(3)
    cluster.start_controller()
    _wait(lambda: cluster.resume() and driver.poll() is not None, 90)
    assert driver.returncode == 0, driver.communicate()[0]
    entries = project.entries()  # a controller that was killed may have forgotten what it had accepted
    assert set(entries) <= project.names()
    assert set(entries.values()) == {1}
    assert len(project.calls()) == len(set(project.calls()))


def test_the_ledger_is_cut_and_the_queue_tells_what_was_lost(project):
    project.job_env(FAKE_DP_SLEEP="6")
    assert project.run("--once").returncode == 3
    ledger = project.work / "iter-000000/00.train/batch.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    kept = [
        line
        for line in lines
        if '"task"' in line and "verdict" not in line and '"intent"' not in line or '"intent"' in line
    ]
    ledger.write_text("".join(kept) + '{"event": "id", "jo')
    complete(project, project.run())
    exactly_once(project)


def test_a_record_read_from_another_current_directory_is_the_same_run(project):
    """dpdispatcher alone: 4 for 2."""
    project.job_env(FAKE_DP_SLEEP="2")
    assert project.run("--once").returncode == 3
    project.write()
    words = project.command("run", "-C", "work", "param.json", "machine.json")
    complete(project, subprocess.run(words, cwd=project.folder, env=project.env, capture_output=True, text=True))
    exactly_once(project)


def test_a_job_cancelled_by_an_admin_is_a_new_attempt_and_nothing_else(project):
    project.job_env(FAKE_DP_SLEEP="5")
    assert project.run("--once").returncode == 3
    _wait(lambda: len(project.calls()) >= 4)
    victim = next(identifier for identifier, name, _ in project.cluster.queue() if name in project.names())
    subprocess.run(["scancel", victim], env=project.env, check=True)
    complete(project, project.run())
    assert set(project.entries().values()) == {1}
    trained = Counter(call.split()[2] for call in project.calls() if call.startswith("dp train"))
    assert sorted(trained.values()) == [1, 1, 1, 2]
    assert len(list(project.work.rglob("*.attempt-1"))) == 1


def test_a_requeue_by_an_admin_is_refused_by_the_scheduler(project):
    project.job_env(FAKE_DP_SLEEP="4")
    assert project.run("--once").returncode == 3
    _wait(lambda: len(project.calls()) >= 4)
    for identifier, name, _ in project.cluster.queue():
        if name in project.names():
            done = subprocess.run(
                ["scontrol", "requeue", identifier], env=project.env, capture_output=True, check=False
            )
            assert done.returncode != 0
    complete(project, project.run())
    exactly_once(project)


def test_a_job_that_the_queue_refuses_blocks_with_its_own_words_and_goes_on_when_mended(project):
    project.machine["default"]["resources"]["queue_name"] = "nowhere"
    done = project.run()
    assert done.returncode == 4
    assert "nvalid partition" in done.stdout
    assert "Mend the step's resources in machine.json" in done.stdout
    del project.machine["default"]["resources"]["queue_name"]
    complete(project, project.run())
    exactly_once(project)


def test_a_second_entry_of_one_name_leaves_without_touching_a_task(project):
    project.job_env(FAKE_DP_SLEEP="1.5")
    assert project.run("--once").returncode == 3
    folder = project.work / "iter-000000/00.train"
    script = next((folder / "jobs").glob("*.sub"))
    again = ["sbatch", "--parsable", f"--job-name={script.stem}", f"jobs/{script.name}"]
    subprocess.run(again, cwd=folder, env=project.env, check=True, capture_output=True)
    complete(project, project.run())
    assert project.entries()[script.stem] == 2
    assert len(project.calls()) == len(set(project.calls()))


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
    project.job_env(FAKE_DP_SLEEP="4")
    assert project.run("--once").returncode == 3
    _wait(lambda: len(project.calls()) >= 4)
    shutil.move(project.work, project.folder / "elsewhere")
    project.work = project.folder / "elsewhere"
    done = project.run()
    assert done.returncode == 4
    assert "while jobs run there" in done.stdout + done.stderr
    project.cluster.wait_until_idle()
    assert project.run().returncode == 0


def _wait(condition, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
