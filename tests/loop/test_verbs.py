"""What a person does to a run: why, retry, stop, submit. By the real command line, with the fake programs."""

import json
import os
import signal

import pytest
from project import copy_work, wait_for

from dpgen2_hpc.cli.submit import ends_at_logout

pytestmark = pytest.mark.slow


def output(done) -> str:
    return done.stdout + done.stderr


def verb(project, *words):
    return project.verb(*words[:1], "-C", str(project.work), *words[1:])


def trained(project) -> list[str]:
    """The trainings of the first iteration: folder and attempt."""
    calls = [call for call in project.calls() if call.startswith("dp train") and "iter-000000" in call]
    return sorted(call.split("/")[-1] for call in calls)


# ---- why


@pytest.fixture
def broken(project):
    """A run that is blocked since one of two trainings fails, as long as the file `broken` is there."""
    (project.folder / "broken").touch()
    project.env["FAKE_DP_FAIL"] = f"task.0001@{project.folder / 'broken'}"
    assert project.run().returncode == 4
    return project


def test_why_of_a_broken_task_shows_cause_command_history_and_the_last_words(broken):
    done = verb(broken, "why", "iter-000000--run-train-0001")
    assert done.returncode == 0, output(done)
    first, *lines = done.stdout.splitlines()
    assert first == "iter-000000--run-train-0001: failed; attempt 2 was the last"
    assert "    fake dp: this is the cause of the failure" in lines
    assert any(line.startswith("command: ") and "dp train" in line for line in lines)
    assert f"folder: {broken.work}/iter-000000/00.train/task.0001" in lines
    history = [line.split("  ", 3)[-1] for line in lines if line.startswith("    20")]
    assert [words.split(":")[0] for words in history if words.startswith("attempt")] == [
        "attempt 1",
        "attempt 1 failed",
        "attempt 2",
        "attempt 2",
        "attempt 2 failed, the last one",
    ]
    assert lines[-1].startswith("fix: correct the cause (you may edit the inputs in this task's folder; a link")


def test_why_alone_says_why_the_run_stands_and_what_to_ask(broken):
    done = verb(broken, "why")
    assert "blocked: iter-000000/00.train: 1 of 2 tasks are usable, 2 are needed" in done.stdout
    assert done.stdout.splitlines()[-1] == "more about it: dpgen2-hpc why iter-000000--run-train-0001"


def test_why_names_the_programs_own_cause_and_its_remedy(project):
    project.env["FAKE_DP_FAIL"] = "task.0001"
    project.param["train"]["config"] = {**project.param["train"].get("config", {}), "train_args": ""}
    project.machine["train"] = {"command": "sh -c 'echo OOM when allocating tensor; exit 1' --"}
    assert project.run().returncode == 4
    said = verb(project, "why", "iter-000000--run-train-0000").stdout
    assert "       the training ran out of memory" in said
    assert "fix: give the train step more memory, or a smaller batch_size in template_script" in said


def test_why_of_a_task_that_is_done_has_no_remedy(broken):
    said = verb(broken, "why", "iter-000000--run-train-0000").stdout
    assert said.startswith("iter-000000--run-train-0000: done; attempt 1")
    assert "what helps" not in said


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("iter-000000--run-train-0007", "the step has 2 tasks, counted from 0"),
        ("iter-000000--run-fp-000000", "the run has not come to this step yet"),
        ("iter-000005--run-train-0000", "the run has not come to this step yet"),
        ("train", "is not a task key. Task keys look like iter-000000--run-train-0000"),
        ("iter-000000--run-dance-0000", "is not a task key"),
    ],
)
def test_a_key_that_names_nothing_is_refused_with_what_a_key_looks_like(broken, key, words):
    done = verb(broken, "why", key)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"'{key}'" in done.stderr
    assert words in done.stderr


# ---- retry


def test_retry_lets_a_broken_task_run_again_and_leaves_the_others_alone(broken):
    (broken.folder / "broken").unlink()
    done = verb(broken, "retry", "iter-000000--run-train-0001")
    assert done.returncode == 0, output(done)
    assert broken.status()["tasks"]["failed"] == 0
    assert broken.run().returncode == 0
    assert trained(broken) == ["task.0000 1", "task.0001 1", "task.0001 2", "task.0001 3"]
    assert "user requested a retry of iter-000000--run-train-0001" in (broken.work / "dpgen2_hpc.log").read_text()


def test_a_task_that_is_done_can_be_retried_while_its_step_is_not_harvested(broken):
    (broken.folder / "broken").unlink()
    assert verb(broken, "retry", "iter-000000--run-train-0001", "iter-000000--run-train-0000").returncode == 0
    assert broken.run().returncode == 0
    assert trained(broken) == ["task.0000 1", "task.0000 2", "task.0001 1", "task.0001 2", "task.0001 3"]


def test_retry_by_once_from_cron_runs_what_a_person_has_asked_for(broken):
    """`--once` alone never starts a new round."""
    (broken.folder / "broken").unlink()
    assert broken.run("--once").returncode == 4
    verb(broken, "retry", "iter-000000--run-train-0001")
    assert broken.run("--once").returncode == 3


def test_retry_dry_run_changes_nothing(broken):
    before = {path: path.read_bytes() for path in broken.work.rglob("*") if path.is_file()}
    done = verb(broken, "retry", "--dry-run", "iter-000000--run-train-0001")
    assert done.stdout == "would let run again: iter-000000--run-train-0001\n"
    assert {path: path.read_bytes() for path in broken.work.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("iter-000000--run-train-0002", "the step has 2 tasks only"),
        ("iter-000000--run-fp-000000", "is not a task of the present step"),
    ],
)
def test_what_cannot_be_retried_is_refused_and_nothing_is_changed(broken, key, words):
    ledger = broken.work / "iter-000000/00.train/batch.jsonl"
    before = ledger.read_bytes()
    done = verb(broken, "retry", "iter-000000--run-train-0001", key)
    assert done.returncode == 2
    assert words in done.stderr
    assert ledger.read_bytes() == before


def test_a_refused_label_is_tried_again_only_by_retry(project):
    project.env["FAKE_LABEL_MODE"] = "unconverged"
    assert project.run().returncode == 4
    labels = [call for call in project.calls() if call.startswith("label")]
    assert project.run().returncode == 4
    assert [call for call in project.calls() if call.startswith("label")] == labels

    card = verb(project, "why", "iter-000000--run-fp-000001").stdout
    assert "done, but its label was rejected" in card
    assert "cause: the calculator did not converge: no self-consistency after 60 cycles" in card

    project.env["FAKE_LABEL_MODE"] = ""
    inputs = project.work / "iter-000000/03.fp/task.000001/input.json"
    inputs.write_text(json.dumps({**json.loads(inputs.read_text()), "mended": True}))
    keys = [f"iter-000000--run-fp-{number:06d}" for number in range(3)]
    assert verb(project, "retry", *keys).returncode == 0
    done = project.run()
    assert done.returncode == 0, output(done)
    assert project.status()["iterations"][0]["labelled"] == 3
    assert json.loads(inputs.read_text())["mended"]
    assert (inputs.parent / "attempt").read_text() == "2\n"


def test_nothing_is_retried_while_a_driver_works(project):
    project.hold()
    driver = project.start()
    wait_for(lambda: len(project.calls()) == 2)
    done = verb(project, "retry", "iter-000000--run-train-0000")
    assert done.returncode == 5
    assert f"process {driver.pid}" in done.stderr
    verb(project, "stop", "--jobs")


# ---- skip


def test_a_label_that_is_set_aside_is_counted_and_the_step_goes_on_without_it(project):
    project.env["FAKE_LABEL_FAIL"] = "task.000001"
    assert project.run().returncode == 4
    done = verb(project, "skip", "iter-000000--run-fp-000001")
    assert done.returncode == 0, output(done)
    before = [call for call in project.calls() if call.startswith("label")]
    project.param["explore"].update(max_numb_iter=1, fatal_at_max=False)
    done = project.run()
    assert done.returncode == 0, output(done)
    assert [call for call in project.calls() if call.startswith("label")] == before
    row = project.status()["iterations"][0]
    assert (row["selected"], row["labelled"], row["dropped"]) == (3, 2, 1)
    (dropped,) = json.loads((project.work / "iter-000000/03.fp/dropped.json").read_text())
    assert (dropped["key"], dropped["kind"]) == ("iter-000000--run-fp-000001", "skipped")
    assert "skipped by the user" in verb(project, "why", "iter-000000--run-fp-000001").stdout


def test_a_member_of_the_ensemble_cannot_be_set_aside(broken):
    done = verb(broken, "skip", "iter-000000--run-train-0001")
    assert done.returncode == 2
    assert "every member of the ensemble is needed" in done.stderr


# ---- stop


def test_stop_ends_the_driver_leaves_the_jobs_and_the_run_goes_on(project):
    project.hold()
    driver = project.start()
    wait_for(lambda: len(project.calls()) == 2)
    done = verb(project, "stop")
    assert done.returncode == 0, output(done)
    project.release()
    assert driver.wait(10) == 128 + signal.SIGTERM
    assert not (project.work / "lock").exists()
    assert project.run().returncode == 0
    assert trained(project) == ["task.0000 1", "task.0001 1"]


def test_stop_jobs_cancels_them_and_the_run_goes_on_without_a_lost_attempt(project):
    project.hold()
    driver = project.start()
    wait_for(lambda: len(project.calls()) == 2)
    done = verb(project, "stop", "--jobs")
    assert done.returncode == 0, output(done)
    assert driver.wait(10) == 128 + signal.SIGTERM
    assert "the user has cancelled 2 jobs" in done.stdout
    wait_for(lambda: "sleep" not in _alive(project))
    project.release()
    assert project.run().returncode == 0
    assert trained(project) == ["task.0000 1", "task.0000 2", "task.0001 1", "task.0001 2"]
    card = verb(project, "why", "iter-000000--run-train-0000").stdout
    assert "attempt 1 was lost: job cancelled by the user (stop --jobs)" in card


def test_stop_dry_run_says_what_it_would_do_and_does_nothing(project):
    project.hold()
    driver = project.start()
    wait_for(lambda: len(project.calls()) == 2)
    done = verb(project, "stop", "--jobs", "--dry-run")
    assert f"would end the driver: process {driver.pid}" in done.stdout
    assert "would cancel 2 jobs" in done.stdout
    project.release()
    driver.communicate(timeout=60)
    assert driver.returncode == 0
    assert trained(project) == ["task.0000 1", "task.0001 1"]


def test_stop_jobs_in_a_copy_leaves_the_originals_jobs_alone(project):
    project.hold()
    assert project.run("--once").returncode == 3
    copy_work(project.work, project.folder / "copy")
    done = project.verb("stop", "--jobs", "-C", str(project.folder / "copy"))
    assert done.returncode == 4
    assert "copy" in done.stderr
    project.release()
    assert project.run().returncode == 0
    assert trained(project) == ["task.0000 1", "task.0001 1"]


def test_stop_with_nothing_to_stop_says_so(broken):
    done = verb(broken, "stop", "--jobs")
    assert (done.returncode, done.stdout) == (0, "no driver is running\nthe queue knows no job of this run\n")


def _alive(project) -> str:
    """Who still bears the mark of one of the run's jobs."""
    names = [path.stem for path in project.work.rglob("jobs/*.sub")]
    alive = []
    for entry in os.listdir("/proc"):
        try:
            environment = open(f"/proc/{entry}/environ", "rb").read().decode(errors="replace")
        except OSError:
            continue
        alive += ["sleep" for name in names if f"DPGEN2_HPC_JOB={name}" in environment]
    return " ".join(alive)


# ---- submit


def test_submit_returns_at_once_and_the_run_goes_on_without_a_terminal(project):
    project.hold()
    project.write()
    done = project.verb("submit", "-C", str(project.work), "param.json", "machine.json")
    assert done.returncode == 0, output(done)
    pid = int(done.stdout.split("process ")[1].split()[0])
    assert os.getsid(pid) == pid
    assert project.status()["status"] == "running"
    project.release()
    wait_for(lambda: project.status()["status"] == "complete")
    wait_for(lambda: not (project.work / "lock").exists())
    assert "complete: " in (project.work / "dpgen2_hpc.log").read_text()
    assert trained(project) == ["task.0000 1", "task.0001 1"]


def test_submit_of_a_wrong_input_says_so_on_the_terminal_and_leaves_nothing(project):
    project.param["explore"]["max_num_iter"] = 3
    project.write()
    done = project.verb("submit", "-C", str(project.work), "param.json", "machine.json")
    assert done.returncode == 2
    assert "max_numb_iter" in done.stderr
    assert not project.work.exists()


def test_submit_of_a_directory_that_a_driver_holds_is_refused_on_the_terminal(project):
    project.hold()
    driver = project.start()
    wait_for(lambda: (project.work / "lock").exists())
    done = project.verb("submit", "-C", str(project.work), "param.json", "machine.json")
    assert done.returncode == 5
    assert f"process {driver.pid}" in done.stderr


@pytest.mark.parametrize(
    ("main", "extra", "ends"),
    [
        ("#KillUserProcesses=no\n", None, False),
        ("KillUserProcesses=yes\n", None, True),
        ("KillUserProcesses=yes\n", "[Login]\nKillUserProcesses = no\n", False),
        ("", "[Login]\nKillUserProcesses=Yes\n", True),
    ],
)
def test_a_host_that_ends_processes_at_logout_is_recognised(tmp_path, main, extra, ends):
    path = tmp_path / "logind.conf"
    path.write_text(main)
    if extra:
        (tmp_path / "logind.conf.d").mkdir()
        (tmp_path / "logind.conf.d" / "site.conf").write_text(extra)
    assert ends_at_logout((str(path),), "nobody-of-that-name") is ends


# ---- notify


def test_notify_gets_the_status_after_each_iteration_and_when_all_is_over_and_once_only(project):
    told = project.folder / "told"
    project.machine["notify"] = f"cat >> {told}; echo >> {told}"
    assert project.run().returncode == 0
    statuses = [json.loads(line) for line in told.read_text().splitlines()]
    assert [(entry["status"], len(entry["iterations"])) for entry in statuses] == [
        ("running", 1),
        ("running", 2),
        ("complete", 2),
    ]
    assert project.run().returncode == 0
    assert len(told.read_text().splitlines()) == 3


def test_notify_tells_a_blocked_run_once_however_often_cron_asks(broken):
    told = broken.folder / "told"
    broken.machine["notify"] = f"cat >> {told}; echo >> {told}"
    for _ in range(3):
        assert broken.run("--once").returncode == 4
    assert not told.exists()
    assert broken.run().returncode == 4
    assert [json.loads(line)["status"] for line in told.read_text().splitlines()] == ["blocked"]


def test_a_notify_that_fails_is_a_line_in_the_log_and_stops_nothing(project):
    project.machine["notify"] = "echo no mail here >&2; exit 3"
    assert project.run().returncode == 0
    assert "the command ended with exit code 3: no mail here" in (project.work / "dpgen2_hpc.log").read_text()


# ---- the user's own files


def test_files_of_the_users_own_are_in_each_task_of_the_step_and_in_a_second_attempt(project):
    (project.folder / "table.txt").write_text("42\n")
    switch = project.folder / "broken"
    project.machine["train"] = {
        "user_forward_files": ["table.txt"],
        "command": f"sh -c 'cat table.txt > seen; [ -e {switch} ] || {{ touch {switch}; exit 1; }}; exec dp \"$@\"' --",
    }
    done = project.run()
    assert done.returncode == 0, output(done)
    folder = project.work / "iter-000000/00.train"
    assert [(folder / f"task.000{number}" / "seen").read_text() for number in (0, 1)] == ["42\n", "42\n"]
    assert list(folder.glob("*.attempt-1/seen"))
    (project.folder / "table.txt").write_text("changed\n")
    assert (folder / "task.0000" / "table.txt").read_text() == "42\n"
    assert not (project.work / "iter-000000/03.fp/task.000000/table.txt").exists()


def test_a_file_of_the_users_own_that_bears_the_name_of_an_input_is_refused(project):
    (project.folder / "input.json").write_text("{}")
    project.machine["train"] = {"user_forward_files": ["input.json"]}
    done = project.run()
    assert done.returncode == 2
    assert "train.user_forward_files" in done.stderr
    assert "has the name of a file that each task has already; rename it" in done.stderr
