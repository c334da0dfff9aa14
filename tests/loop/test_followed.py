"""What a user fixes is followed: commands, settings of labels, files of one task; by every attempt from then on."""

import json
import shlex
import sys

import pytest

pytestmark = pytest.mark.slow

STEPS = {"train": "00.train", "explore": "01.explore", "fp": "03.fp"}
GOOD = {"train": "dp", "explore": "lmp", "fp": "label"}


def output(done) -> str:
    return done.stdout + done.stderr


@pytest.mark.parametrize("step", STEPS)
def test_a_wrong_command_is_fixed_by_correcting_it(project, step):
    project.machine.setdefault(step, {})["command"] = "false"
    blocked = project.run()
    assert blocked.returncode == 4, output(blocked)
    project.machine[step]["command"] = GOOD[step]
    done = project.run()
    assert done.returncode == 0, output(done)


def test_a_job_that_was_not_submitted_yet_gets_the_command_of_its_submission(project):
    """Of six trainings, two at once: the command is corrected while four intents wait."""
    project.param["train"]["numb_models"] = 4
    project.machine["train"] = {"command": "false", "parallelism": 1}
    assert project.run().returncode == 4
    project.machine["train"]["command"] = "dp"
    assert project.run().returncode == 0
    ledger = project.work / "iter-000000/00.train/batch.jsonl"
    intents = [json.loads(line) for line in ledger.read_text().splitlines() if '"intent"' in line]
    assert {intent["command"].split()[0] for intent in intents if intent["tasks"][0][1] > 2} == {"if"}
    assert "dp train" in intents[-1]["command"]
    assert "false train" in intents[0]["command"]


def test_why_shows_the_command_that_ran(project):
    project.machine["fp"]["command"] = "false"
    assert project.run().returncode == 4
    card = project.verb("why", "-C", str(project.work), "iter-000000--run-fp-000000").stdout
    assert "command: false -m dpgen2_hpc.fp.ase" in card


def test_an_input_that_the_user_edits_in_a_tasks_folder_is_kept_and_the_log_says_so(project):
    switch = project.folder / "broken"
    switch.touch()
    project.env["FAKE_LABEL_FAIL"] = f"task.000001@{switch}"
    assert project.run().returncode == 4
    switch.unlink()
    edited = project.work / "iter-000000/03.fp/task.000001/input.json"
    question = json.loads(edited.read_text())
    edited.write_text(json.dumps({**question, "mine": True}))
    done = project.run()
    assert done.returncode == 0, output(done)
    assert json.loads(edited.read_text())["mine"] is True
    assert "03.fp/task.000001: input.json was edited by hand; your version is used" in output(done)
    others = [json.loads(path.read_text()) for path in project.work.glob("iter-000000/03.fp/task.00000[02]/input.json")]
    assert ["mine" in other for other in others] == [False, False]


@pytest.fixture
def program(project):
    """A labeler of the type custom whose program succeeds only if its settings are the corrected ones."""
    script = project.folder / "code.py"
    script.write_text(
        "import json, sys\n"
        "print('asked with', open('settings').read())\n"
        "sys.exit(0 if 'good' in open('settings').read() else 3)\n"
    )
    return f"{shlex.quote(sys.executable)} {script}"


def test_a_forwarded_file_that_is_corrected_reaches_the_next_attempt_and_not_the_old_one(project, program):
    (project.folder / "settings").write_text("bad")
    project.machine["explore"] = {
        "command": f"{program} && lmp",
        "user_forward_files": [str(project.folder / "settings")],
    }
    assert project.run().returncode == 4
    (project.folder / "settings").write_text("good")
    done = project.run()
    assert done.returncode == 0, output(done)
    folder = project.work / "iter-000000/01.explore"
    assert (folder / "task.000000/settings").read_text() == "good"
    assert (folder / "task.000000.attempt-2/settings").read_text() == "bad"


def test_first_attempts_that_wait_follow_a_correction_too(project, program):
    """One at a time: the first task fails with the old file, the second one has not been submitted by then."""
    (project.folder / "settings").write_text("bad")
    project.param["explore"]["stages"][0][0]["n_sample"] = 3
    project.machine["explore"] = {
        "command": f"sleep 1; {program} && lmp",
        "user_forward_files": [str(project.folder / "settings")],
        "parallelism": 1,
        "resources": {"group_size": 1},
    }
    for _ in range(40):
        assert project.run("--once").returncode == 3
        if project.record()["step"] == "explore" and project.record()["phase"] == "submitted":
            break
    (project.folder / "settings").write_text("good")
    done = project.run()
    assert done.returncode == 0, output(done)
    folder = project.work / "iter-000000/01.explore"
    assert (folder / "task.000002/settings").read_text() == "good"
    assert not list(folder.glob("task.000002.attempt-*"))


def test_train_args_are_those_of_today(project):
    project.machine["train"] = {"command": "false"}
    assert project.run().returncode == 4
    project.param["train"]["config"] = {"train_args": "--skip-neighbor-stat"}
    project.machine["train"] = {"command": "dp"}
    done = project.run()
    assert done.returncode == 0, output(done)
    card = project.verb("why", "-C", str(project.work), "iter-000000--run-train-0000").stdout
    assert "--skip-neighbor-stat" in card
