"""Every end that a run may come to, through the real command line with fake programs."""

import copy
import json

import pytest


def explore(project) -> dict:
    return project.param["explore"]


@pytest.mark.slow
def test_a_converged_stage_completes_the_run_and_names_the_models(project):
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    status = project.status()
    assert status["status"] == "complete"
    assert [row["converged"] for row in status["iterations"]] == [False, True]
    assert "models/model.000.pb, models/model.001.pb" in project.verb("status", "-C", str(project.work)).stdout
    assert (project.work / "models" / "model.001.pb").resolve().is_relative_to(project.work / "iter-000001")


@pytest.mark.slow
def test_two_stages_follow_each_other_and_each_iteration_knows_its_place(project):
    second = copy.deepcopy(explore(project)["stages"][0])
    second[0]["temps"] = [600, 900]
    explore(project)["stages"].append(second)
    project.env["FAKE_DEVIATIONS"] = "0.2 0.02 0.2 0.1 0.02"
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    rows = project.status()["iterations"]
    assert [(row["stage"], row["index_in_stage"], row["converged"]) for row in rows] == [
        (0, 0, False), (0, 1, True), (1, 0, False), (1, 1, False), (1, 2, True),
    ]  # fmt: skip
    assert [row["explored"] for row in rows] == [10, 10, 20, 20, 20]
    table = project.verb("status", "-C", str(project.work)).stdout
    assert "# Stage   0  converged YES  reached max numb iterations NO" in table
    assert "# All stages converged" in table


@pytest.mark.slow
def test_a_stage_that_does_not_converge_blocks_at_its_last_iteration_and_a_larger_limit_lets_it_go_on(project):
    explore(project)["max_numb_iter"] = 2
    project.env["FAKE_DEVIATIONS"] = "0.2 0.2 0.02"
    blocked = project.run()
    assert blocked.returncode == 4
    assert "max_numb_iter = 2" in blocked.stdout
    assert "Raise explore.max_numb_iter" in blocked.stdout
    assert project.status()["status"] == "blocked"
    explore(project)["max_numb_iter"] = 3
    assert project.run().returncode == 0
    assert [row["converged"] for row in project.status()["iterations"]] == [False, False, True]


@pytest.mark.slow
def test_a_soft_limit_ends_the_stage_unconverged(project):
    explore(project).update(max_numb_iter=1, fatal_at_max=False)
    done = project.run()
    assert done.returncode == 0
    table = project.verb("status", "-C", str(project.work)).stdout
    assert "# Stage   0  converged NO  reached max numb iterations YES" in table
    assert "not all converged" in table


@pytest.mark.slow
def test_an_appended_stage_lets_a_completed_run_go_on(project):
    assert project.run().returncode == 0
    explore(project)["stages"].append(copy.deepcopy(explore(project)["stages"][0]))
    project.env["FAKE_DEVIATIONS"] = "0.2 0.02 0.02"
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["stage"] for row in project.status()["iterations"]] == [0, 0, 1]


@pytest.mark.slow
def test_only_failed_frames_block_with_the_histogram_and_levels_that_would_help(project):
    project.env["FAKE_DEVIATIONS"] = "3.0"
    blocked = project.run()
    assert blocked.returncode == 4
    assert "no frame could be selected" in blocked.stdout
    assert "force deviations by quantile" in blocked.stdout
    assert "level_f_lo" in blocked.stdout
    assert project.status()["iterations"][0]["failed"] == 10


@pytest.mark.slow
def test_nothing_valid_is_never_converged(project):
    project.env["FAKE_DEVIATIONS"] = "nan"
    blocked = project.run()
    assert blocked.returncode == 4
    assert "no valid frame was explored" in blocked.stdout
    row = project.status()["iterations"][0]
    assert (row["explored"], row["invalid"], row["converged"]) == (10, 10, False)


@pytest.mark.slow
def test_the_same_line_after_the_end_does_nothing(project):
    assert project.run().returncode == 0
    before = project.record(), project.calls()
    assert project.run().returncode == 0
    assert (project.record(), project.calls()) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "explored", "invalid", "early"),
    [
        ("nan", 10, 6, 0),  # all was written, three of five deviations are NaN
        ("cut", 10, 4, 2),  # rows without frames: the dump was cut
        ("crash", 10, 4, 2),
        ("twice", 16, 6, 0),  # three rows of each run are there once more, without frames
        ("halt", 6, 0, 0),  # told to stop after three frames: nothing else was wanted
        ("halt-hard", 10, 6, 2),  # two frames, and a row without one
        ("one-row", 10, 8, 2),  # frames without rows
        ("start@0", 10, 4, 1),
        ("pipe", 10, 6, 2),  # nothing but the number of frames tells it
        ("fewer", 10, 2, 0),  # found when it is drawn: all others have been drawn, too
        ("fewer-after", 10, 8, 2),
    ],
)
def test_damaged_runs_end_in_the_classes_that_are_promised_and_the_sums_hold(project, mode, explored, invalid, early):
    explore(project).update(max_numb_iter=1, fatal_at_max=False)
    project.param["fp"]["task_max"] = 20
    project.env["FAKE_LMP_MODE"] = mode
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    row = project.status()["iterations"][0]
    assert (row["explored"], row["invalid"]) == (explored, invalid)
    assert (row["runs"], row["ended_early"]) == (2, early)
    assert row["explored"] == row["accurate"] + row["candidate"] + row["failed"] + row["invalid"]
    assert row["candidate"] == row["selected"] + row["filtered"] + row["duplicate"] + row["not_drawn"]
    assert row["selected"] == row["labelled"] + row["dropped"]
    runs = project.result(0, "01.explore")["runs"]
    assert sum(run["crashed_at"] is not None for run in runs) == early
    assert [run["asked"] for run in runs] == [5, 5]
    text = f"{early} of 2 MD runs ended early; the frames that they did not write count as invalid"
    for words in (done.stdout, project.verb("status", "-C", str(project.work)).stdout):
        assert (text in words) == (early > 0)


def six_runs(project) -> None:
    """Six runs that are asked for 11 frames each: the models of all iterations agree about everything."""
    explore(project)["stages"][0][0].update(n_sample=3, temps=[300, 600], nsteps=100, trj_freq=10)
    project.env["FAKE_DEVIATIONS"] = "0.01"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["start", "start-tee"])
def test_a_stage_does_not_converge_when_every_run_crashes_at_its_start(project, mode):
    six_runs(project)
    project.env["FAKE_LMP_MODE"] = mode
    blocked = project.run()
    assert blocked.returncode == 4, blocked.stdout + blocked.stderr
    row = project.status()["iterations"][0]
    assert (row["explored"], row["accurate"], row["invalid"], row["converged"]) == (66, 6, 60, False)
    assert (row["runs"], row["ended_early"]) == (6, 6)
    assert "6 of 6 MD runs ended early; the frames that they did not write count as invalid" in blocked.stdout
    assert "dpgen2-hpc why iter-000000--run-lmp-000000" in blocked.stdout
    status = project.verb("status", "-C", str(project.work)).stdout
    assert "6 of 6 MD runs ended early" in status
    assert "dpgen2-hpc why iter-000000--run-lmp-000000" in status
    card = project.verb("why", "-C", str(project.work), "iter-000000--run-lmp-000000").stdout
    assert "cause: the run ended early, at MD step 0: ERROR: Lost atoms: original 4 current 3" in card
    assert "a shorter dt" in card


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "invalid", "early"),
    [
        ("start@0,2,4", 30, 3),
        ("start-tee@0,2,4", 30, 3),
        ("one-row@0,1,2,3,4,5", 60, 6),
        ("missing@0", 11, 1),  # no frame at all, in both attempts
        ("missing@0,1,2", 33, 3),
    ],
)
def test_what_crashed_runs_did_not_write_weighs_against_convergence(project, mode, invalid, early):
    six_runs(project)
    project.env["FAKE_LMP_MODE"] = mode
    blocked = project.run()
    assert blocked.returncode == 4, blocked.stdout + blocked.stderr
    row = project.status()["iterations"][0]
    assert (row["explored"], row["accurate"], row["invalid"]) == (66, 66 - invalid, invalid)
    assert (row["ended_early"], row["converged"]) == (early, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "accurate", "explored"), [("start@1", 56, 66), ("halt", 18, 18), ("halt@1,2", 50, 50)]
)
def test_a_stage_converges_when_enough_frames_are_accurate_all_the_same(project, mode, accurate, explored):
    """A part of 56 of 66 is 0.848."""
    six_runs(project)
    explore(project)["convergence"]["conv_accuracy"] = 0.84
    project.env["FAKE_LMP_MODE"] = mode
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    row = project.status()["iterations"][0]
    assert (row["accurate"], row["explored"], row["converged"]) == (accurate, explored, True)


@pytest.mark.slow
def test_a_run_that_the_user_skips_is_not_explored(project):
    six_runs(project)
    project.machine["explore"] = {"continue_on_success_ratio": 1.0}
    project.env["FAKE_LMP_MODE"] = "missing@1"
    assert project.run().returncode == 4
    assert project.verb("skip", "-C", str(project.work), "iter-000000--run-lmp-000001").returncode == 0
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    row = project.status()["iterations"][0]
    assert (row["explored"], row["accurate"], row["runs"], row["ended_early"]) == (55, 55, 5, 0)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fewer", "exchanged", "coinciding", "negative", "foreign"])
def test_no_label_is_made_of_a_frame_that_its_run_cannot_have_had(project, mode):
    """Those of the second frame of each run, which all others surround."""
    explore(project).update(max_numb_iter=1, fatal_at_max=False)
    project.param["fp"]["task_max"] = 20
    project.env.update(FAKE_LMP_MODE=mode, FAKE_DEVIATIONS="0.2")
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    row = project.status()["iterations"][0]
    assert (row["explored"], row["invalid"], row["labelled"]) == (10, 2, 8)
    lines = (project.work / "iter-000000/02.select/selected.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["md_step"] for line in lines) == [0, 0, 20, 20, 30, 30, 40, 40]


@pytest.mark.slow
def test_runs_of_which_no_frame_is_theirs_are_failed_tasks(project):
    project.env["FAKE_LMP_MODE"] = "foreign-all"
    blocked = project.run()
    assert blocked.returncode == 4
    assert "0 of 2 tasks are usable" in blocked.stdout
    assert "is not a whole frame of these elements" in blocked.stdout


@pytest.mark.slow
def test_resuming_with_once_from_cron_reaches_the_same_end(project):
    codes = []
    for _ in range(60):
        codes.append(project.run("--once").returncode)
        if codes[-1] == 0:
            break
    assert codes[-1] == 0
    assert set(codes[:-1]) == {3}
    assert len(project.calls()) == len(set(project.calls()))
    assert project.status()["status"] == "complete"
