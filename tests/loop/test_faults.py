"""What goes wrong around the driver: failing tasks, cut files, a full disk, changed inputs, moved directories."""

import json
import os
import shutil
import signal
import subprocess

import pytest
from compare import assert_equal
from project import Project, wait_for

pytestmark = pytest.mark.slow


def output(done) -> str:
    return done.stdout + done.stderr


# ---- failing tasks


def test_a_failing_task_blocks_with_its_name_its_log_and_what_to_do_and_goes_on_when_mended(project):
    switch = project.folder / "broken"
    switch.touch()
    project.env["FAKE_DP_FAIL"] = f"task.0001@{switch}"
    blocked = project.run()
    assert blocked.returncode == 4
    assert "iter-000000--run-train-0001" in blocked.stdout
    assert "fake dp: this is the cause of the failure" in blocked.stdout
    assert "run the same command again" in blocked.stdout
    assert project.record()["blocked"]["tasks"] == ["iter-000000--run-train-0001"]
    assert project.status()["tasks"] == {"total": 2, "waiting": 0, "running": 0, "done": 1, "failed": 1}
    trained = [call for call in project.calls() if call.startswith("dp train")]
    assert sorted(trained) == [
        f"dp train work/iter-000000/00.train/task.{task}" for task in ("0000 1", "0001 1", "0001 2")
    ]
    switch.unlink()
    assert project.run().returncode == 0
    again = [call for call in project.calls() if call.startswith("dp train") and "iter-000000" in call]
    assert len(again) == 4
    assert again[-1].endswith("task.0001 3")
    assert (project.work / "iter-000000/00.train/task.0001.attempt-1").is_dir()
    assert "fake dp:" in (project.work / "iter-000000/00.train/task.0001.attempt-2/task.log").read_text()


def test_a_failed_training_is_tried_again_with_the_next_seeds(project):
    switch = project.folder / "diverged-once"
    project.env["FAKE_DP_NAN"] = str(switch)
    done = project.run()
    assert done.returncode == 0, output(done)
    old = next(project.work.glob("iter-000000/00.train/*.attempt-1"))
    new = old.with_name(old.name.removesuffix(".attempt-1"))
    seeds = [json.loads((folder / "input.json").read_text())["training"]["seed"] for folder in (old, new)]
    assert seeds[0] != seeds[1]
    assert "diverged" in (project.work / "iter-000000/00.train/batch.jsonl").read_text()


def test_a_few_failed_runs_are_tolerated_and_their_frames_count_as_invalid(project):
    project.param["explore"]["stages"][0][0]["n_sample"] = 3
    project.env["FAKE_LMP_FAIL"] = "task.000001"
    blocked = project.run()
    assert blocked.returncode == 4, output(blocked)
    row = project.status()["iterations"][1]
    assert (row["explored"], row["accurate"], row["invalid"]) == (15, 10, 5)
    assert '"continue_on_success_ratio": 1 in explore of machine.json' in output(blocked)
    project.param["explore"]["convergence"]["level_f_lo"] = 0.0205  # a way on
    project.param["explore"]["convergence"]["conv_accuracy"] = 0.6
    project.env["FAKE_DEVIATIONS"] = "0.2 0.02 0.01"
    done = project.run()
    assert done.returncode == 0, output(done)
    assert [row["converged"] for row in project.status()["iterations"]] == [False, False, True]
    result = project.result(0, "01.explore")
    assert [run["task"] for run in result["runs"]] == [0, 2]
    assert [(run["task"], run["asked"]) for run in result["failed"]] == [(1, 5)]
    assert result["total"] == 3
    listing = project.verb("showkey", "-C", str(project.work)).stdout
    assert "iter-000000--run-lmp-000001" not in listing


def test_a_refused_label_is_dropped_with_its_reason_and_not_tried_again(project):
    project.env["FAKE_LABEL_MODE"] = "unconverged"
    blocked = project.run()
    assert blocked.returncode == 4
    assert "3 labels rejected: the calculator did not converge" in blocked.stdout
    labels = [call for call in project.calls() if call.startswith("label")]
    assert len(labels) == 3
    dropped = json.loads((project.work / "iter-000000/03.fp/dropped.json").read_text())
    assert [row["key"] for row in dropped] == [f"iter-000000--run-fp-{task:06d}" for task in range(3)]
    project.machine["fp"]["continue_on_success_ratio"] = 0.0
    assert project.run().returncode == 4  # at least one is always needed


def test_an_absurd_label_is_refused_by_the_gate(project):
    project.env["FAKE_LABEL_MODE"] = "huge"
    assert "the largest force is" in project.run().stdout


@pytest.mark.parametrize(("key", "says"), [("max_force", "the largest force is"), ("max_pressure", "the pressure is")])
def test_what_a_label_may_bear_is_a_setting(project, key, says):
    project.param["fp"][key] = 1e-9
    done = project.run()
    assert done.returncode == 4
    assert f"{says}" in done.stdout
    assert "more than 1e-09" in done.stdout


def test_a_killed_training_goes_on_from_its_checkpoint_and_the_record_says_so(project):
    project.hold()
    assert project.run("--once").returncode == 3
    _wait_for_calls(project, 2)
    pid = (next(project.work.glob("iter-000000/00.train/jobs/*.claim"))).read_text().split()[0]
    os.killpg(int(pid), signal.SIGKILL)
    project.release()
    done = project.run()
    assert done.returncode == 0, output(done)
    assert project.record()["iterations"][0]["continued"] == [{"model": 0, "step": 10}] or project.record()[
        "iterations"
    ][0]["continued"] == [{"model": 1, "step": 10}]


def _wait_for_calls(project, number: int) -> None:
    wait_for(lambda: len(project.calls()) >= number)


# ---- files of state


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_a_record_cut_short_stops_the_program_with_its_name_and_is_not_overwritten(project, part):
    assert project.run().returncode == 0
    path = project.work / "record.json"
    text = path.read_text()
    path.write_text(text[: int(part * (len(text) - 2))])
    done = project.run()
    assert done.returncode == 4
    assert "record.json" in done.stderr
    assert path.read_text() == text[: int(part * (len(text) - 2))]


def test_a_ledger_cut_anywhere_submits_nothing_twice(tmp_path):
    stopped = Project(tmp_path / "stopped")
    stopped.param["train"]["numb_models"] = 3
    stopped.machine["explore"] = {"command": "false"}  # the trainings are what counts
    stopped.hold()
    assert stopped.run("--once").returncode == 3
    stopped.release()
    wait_for(lambda: stopped.ended() == 2)  # the third waits for a core
    ledger = stopped.work / "iter-000000/00.train/batch.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    assert len(lines) >= 8
    for kept in range(4, len(lines)):
        project = Project(tmp_path / f"cut-{kept}")
        project.param, project.machine = stopped.param, stopped.machine
        shutil.copytree(stopped.work, project.work, symlinks=True)
        shutil.copy(stopped.ledger, project.ledger)
        (project.work / "iter-000000/00.train/batch.jsonl").write_text("".join(lines[:kept]) + '{"event": "id", "jo')
        _as_if_it_were_here(project)
        done = project.run()
        assert "01.explore" in output(done), output(done)
        trained = [call for call in project.calls() if call.startswith("dp train") and "iter-000000" in call]
        assert len(trained) == 3, (kept, trained)


def _as_if_it_were_here(project) -> None:
    """Let a copy pass for the original, whose jobs have all ended."""
    path = project.work / "record.json"
    record = json.loads(path.read_text())
    record["home"].update(path=str(project.work), inode=project.work.stat().st_ino)
    path.write_text(json.dumps(record))


def test_a_ledger_that_lost_tasks_is_refused(project):
    assert project.run("--once").returncode == 3
    ledger = project.work / "iter-000000/00.train/batch.jsonl"
    ledger.write_text(ledger.read_text().splitlines(keepends=True)[0])
    done = project.run()
    assert done.returncode == 4
    assert "was cut" in output(done)


def test_a_lost_record_is_not_begun_anew(project):
    assert project.run("--once").returncode == 3
    (project.work / "record.json").unlink()
    done = project.run()
    assert done.returncode == 4
    assert "is the record lost?" in done.stderr


def test_an_edit_while_a_driver_runs_is_not_overwritten(project):
    project.env["FAKE_DP_SLEEP"] = "1"
    driver = project.start()
    _wait_for_calls(project, 2)
    path = project.work / "record.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "sequence": record["sequence"] + 5}))
    text, _ = driver.communicate(timeout=30)
    assert driver.returncode == 4
    assert "it was changed while a driver was running" in text
    assert project.run().returncode == 0


# ---- the disk


@pytest.fixture
def small_disk(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], check=False).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here (root is needed)")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def _fill(disk, leave: int) -> None:
    free = shutil.disk_usage(disk).free
    (disk / "ballast").write_bytes(b"x" * max(0, free - leave))


def test_a_full_disk_stops_the_run_and_room_lets_it_go_on(tmp_path, small_disk):
    expected = Project(tmp_path / "expected")
    expected.work = tmp_path / "elsewhere" / "work"  # not beside the data, as on the small disk: paths are absolute
    expected.work.parent.mkdir()
    assert expected.run().returncode == 0
    project = Project(tmp_path / "project")
    project.work = small_disk / "work"
    project.env["FAKE_LEDGER"] = str(tmp_path / "project" / "ledger")
    for leave in (0, 8192, 40960, None):  # full at once, in the inputs, in the first step, and once its tasks are done
        if leave is None:
            assert project.run("--once").returncode == 3
            wait_for(lambda: project.ended() == 2)
        _fill(small_disk, leave or 0)
        full = project.run("--once")
        assert full.returncode == 4, output(full)
        assert "No space left on device" in output(full)
        assert "free some space" in output(full)
        (small_disk / "ballast").unlink()
    done = project.run()
    assert done.returncode == 0, output(done)
    assert_equal(expected, project)


# ---- inputs and directories


def test_a_changed_physics_is_refused_field_by_field(project):
    assert project.run("--once").returncode == 3
    project.param["inputs"]["mass_map"] = [27.0, 63.55]
    project.param["explore"]["stages"][0][0]["temps"] = [400]
    done = project.run()
    assert done.returncode == 2
    assert "inputs.mass_map: [26.98, 63.55] → [27.0, 63.55]" in done.stderr
    assert "explore.stages[0][0].temps: [300.0] → [400.0]" in done.stderr


def test_allowed_changes_are_followed_and_logged(project):
    assert project.run("--once").returncode == 3
    project.param["fp"]["task_max"] = 2
    project.machine["default"]["poll_interval"] = 5
    done = project.run()
    assert done.returncode == 0, output(done)
    assert "fp.task_max: 3 → 2" in (project.work / "dpgen2_hpc.log").read_text()
    assert project.status()["iterations"][0]["selected"] == 2


def test_a_moved_directory_goes_on(project):
    project.param["explore"]["max_numb_iter"] = 1
    assert project.run().returncode == 4
    project.work.rename(project.folder / "elsewhere")
    project.work = project.folder / "elsewhere"
    project.param["explore"]["max_numb_iter"] = 5
    done = project.run()
    assert done.returncode == 0, output(done)
    assert "was moved from" in done.stdout


def test_a_directory_that_was_moved_while_its_jobs_run_is_refused_until_they_have_ended(project):
    project.hold()
    assert project.run("--once").returncode == 3
    _wait_for_calls(project, 2)
    project.work.rename(project.folder / "elsewhere")
    project.work = project.folder / "elsewhere"
    done = project.run()
    assert done.returncode == 4
    assert "while jobs run there" in output(done)
    project.release()


def test_a_copy_is_refused_until_it_is_made_a_run_of_its_own(project):
    project.hold()
    assert project.run("--once").returncode == 3
    shutil.copytree(project.work, project.folder / "copy", symlinks=True)
    original = project.work
    project.work = project.folder / "copy"
    done = project.run()
    assert done.returncode == 4
    assert "is a copy of" in output(done)
    project.release()
    done = project.run("--new-identity")
    assert done.returncode == 0, output(done)
    assert project.record()["identity"] != json.loads((original / "record.json").read_text())["identity"]
    project.work = original
    assert project.run().returncode == 0


def test_dry_run_and_check_write_nothing(project):
    done = project.run("--dry-run")
    assert done.returncode == 0, output(done)
    assert "would prepare 2 tasks in iter-000000/00.train and submit 2 jobs" in done.stdout
    assert "dp train input.json" in done.stdout
    assert not project.work.exists()
    assert project.run("--once").returncode == 3
    before = sorted(path for path in project.work.rglob("*"))
    assert "train is submitted" in project.run("--dry-run").stdout
    checked = project.verb("check", "param.json", "machine.json")
    assert checked.returncode == 0
    assert "no fault was found" in checked.stdout
    assert [path for path in before if not path.exists()] == []
