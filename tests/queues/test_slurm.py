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
from project import wait_for
from slurm_project import SlurmProject, exactly_once

pytestmark = [pytest.mark.slow, pytest.mark.queue, pytest.mark.xdist_group("slurm")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm_project.cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def project(tmp_path, cluster) -> SlurmProject:
    return SlurmProject(tmp_path, cluster)


def complete(project: SlurmProject, done) -> None:
    assert done.returncode == 0, (done.stdout or "")[-3000:] + (done.stderr or "")[-3000:]
    row = project.status()["iterations"][0]
    assert (row["explored"], row["selected"], row["labelled"]) == (10, 3, 3)


@pytest.mark.parametrize(
    ("program", "faults"),
    [
        pytest.param(program, faults, id=f"{fault} (dpdispatcher alone: {alone})")
        for fault, program, faults, alone in (
            ("no fault", "sbatch", [], "4 for 4"),
            ("lost reply", "sbatch", ["lostreply"], "5 for 4, after 60 s"),
            ("lost replies later on", "sbatch", ["ok", "lostreply", "lostreply"], "not measured"),
            ("controller not reached by sbatch", "sbatch", ["down", "down"], "not measured"),
            ("banner before the id", "sbatch", ["banner"] * 4, "not measured"),
            ("job limit reached", "sbatch", ["limit"], "not measured"),
            ("empty answer", "squeue", ["empty"], "5 for 4"),
            ("empty answers", "squeue", ["empty", "ok", "empty"], "not measured"),
            ("half an answer", "squeue", ["partial", "partial"], "5 for 4"),
            ("answer cut in a line", "squeue", ["cut"], "not measured"),
            ("a page of HTML", "squeue", ["garbage"], "not measured"),
            ("zero bytes", "squeue", ["zero"], "RuntimeError at once"),
            ("controller not reached by squeue", "squeue", ["down", "down"], "60 s asleep each"),
            ("unknown states", "squeue", ["state=OO", "state=SO", "state=??"], "RuntimeError"),
        )
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
    wait_for(lambda: (project.faults / "calls").exists() and "sbatch" in (project.faults / "calls").read_text())
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    complete(project, project.run())
    exactly_once(project)


def test_an_interrupt_in_the_submission_loop_loses_and_doubles_nothing(project):
    """dpdispatcher alone: 7 entries for 4, two tasks run twice."""
    project.will("sbatch", "ok", "slow")
    driver = project.start()
    wait_for(
        lambda: (project.faults / "calls").exists() and (project.faults / "calls").read_text().count("sbatch") == 2
    )
    driver.send_signal(signal.SIGINT)
    driver.communicate()
    assert driver.returncode == 128 + signal.SIGINT
    complete(project, project.run())
    exactly_once(project)


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


def test_the_ledger_is_cut_and_the_queue_tells_what_was_lost(project):
    project.hold()
    assert project.run("--once").returncode == 3
    ledger = project.work / "iter-000000/00.train/batch.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    kept = [
        line
        for line in lines
        if '"task"' in line and "verdict" not in line and '"intent"' not in line or '"intent"' in line
    ]
    ledger.write_text("".join(kept) + '{"event": "id", "jo')
    project.release()
    complete(project, project.run())
    exactly_once(project)


def test_a_record_read_from_another_current_directory_is_the_same_run(project):
    """dpdispatcher alone: 4 for 2."""
    project.hold()
    assert project.run("--once").returncode == 3
    project.write()
    project.release()
    words = project.command("run", "-C", "work", "param.json", "machine.json")
    complete(project, subprocess.run(words, cwd=project.folder, env=project.env, capture_output=True, text=True))
    exactly_once(project)


def test_a_job_cancelled_by_an_admin_is_a_new_attempt_and_nothing_else(project):
    project.hold()
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) >= 4)
    victim = next(identifier for identifier, name, _ in project.cluster.queue() if name in project.names())
    subprocess.run(["scancel", victim], env=project.env, check=True)
    project.release()
    complete(project, project.run())
    assert set(project.entries().values()) == {1}
    trained = Counter(call.split()[2] for call in project.calls() if call.startswith("dp train"))
    assert sorted(trained.values()) == [1, 1, 1, 2]
    assert len(list(project.work.rglob("*.attempt-1"))) == 1


def test_a_driver_killed_after_a_retry_finds_the_second_job_and_not_the_first(project):
    """dpdispatcher alone: 3 entries for 2, since its file still names the first."""
    project.hold()
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) >= 4)
    first = project.names()
    victim = next(identifier for identifier, name, _ in project.cluster.queue() if name in first)
    subprocess.run(["scancel", victim], env=project.env, check=True)
    driver = project.start()
    wait_for(lambda: project.names() > first)
    time.sleep(0.3)
    driver.kill()
    driver.wait()
    project.release()
    complete(project, project.run())
    exactly_once(project)


def test_a_requeue_by_an_admin_is_refused_by_the_scheduler(project):
    project.hold()
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) >= 4)
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


def test_a_job_that_the_queue_refuses_blocks_with_its_own_words_and_goes_on_when_mended(project):
    project.machine["default"]["resources"]["queue_name"] = "nowhere"
    done = project.run()
    assert done.returncode == 4
    assert "nvalid partition" in done.stdout
    assert "Fix the step's resources in machine.json" in done.stdout
    del project.machine["default"]["resources"]["queue_name"]
    complete(project, project.run())
    exactly_once(project)


def test_a_second_entry_of_one_name_leaves_without_touching_a_task(project):
    project.hold()
    assert project.run("--once").returncode == 3
    folder = project.work / "iter-000000/00.train"
    script = next((folder / "jobs").glob("*.sub"))
    again = ["sbatch", "--parsable", f"--job-name={script.stem}", f"jobs/{script.name}"]
    subprocess.run(again, cwd=folder, env=project.env, check=True, capture_output=True)
    project.release()
    complete(project, project.run())
    assert project.entries()[script.stem] == 2
    assert len(project.calls()) == len(set(project.calls()))


# ---- jobs that wait, and what a person does to them


HOLD = "#SBATCH --hold"


def held(project) -> set[str]:
    """Begin a run whose first jobs wait for ever; return their names."""
    project.machine["default"]["resources"]["custom_flags"] = [HOLD]
    assert project.run("--once").returncode == 3
    names = project.names()
    assert {name for _, name, state in project.cluster.queue() if state == "PD"} >= names
    project.machine["default"]["resources"]["custom_flags"] = []
    return names


def test_waiting_jobs_keep_what_they_have_until_they_are_requeued_with_new_resources(project):
    names = held(project)
    assert project.run("--once").returncode == 3
    assert project.names() == names
    complete(project, project.run("--requeue-waiting"))
    exactly_once(project)
    assert len([name for name in project.names() - names if _step(project, name) == "00.train"]) == 4


def test_jobs_that_wait_while_the_directory_is_moved_are_submitted_again_from_there(project):
    names = held(project)
    shutil.move(project.work, project.folder / "elsewhere")
    project.work = project.folder / "elsewhere"
    complete(project, project.run())
    exactly_once(project)
    assert names < project.names()


def test_stop_jobs_cancels_what_waits_and_what_runs_and_no_attempt_is_lost(project):
    project.hold()
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) >= 4)
    done = project.verb("stop", "--jobs", "-C", str(project.work))
    assert "the user has cancelled 4 jobs" in done.stdout, done.stdout + done.stderr
    project.cluster.wait_until_idle()
    project.release()
    complete(project, project.run())
    exactly_once(project)
    ledger = (project.work / "iter-000000/00.train/batch.jsonl").read_text()
    assert ledger.count('"began": false') == 4


def test_a_job_at_its_walltime_is_told_from_a_program_that_fails_and_goes_on(project):
    """The controller enforces a limit twice a minute."""
    project.hold()
    project.machine["default"]["grace"] = 1
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) >= 4)
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


def _step(project, name: str) -> str:
    return next(path.parents[1].name for path in project.work.rglob(f"{name}.sub"))


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
    project.hold()
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) >= 4)
    shutil.move(project.work, project.folder / "elsewhere")
    project.work = project.folder / "elsewhere"
    done = project.run()
    assert done.returncode == 4
    assert "while jobs run there" in done.stdout + done.stderr
    project.release()
    project.cluster.wait_until_idle()
    assert project.run().returncode == 0
