"""Every end that a run may come to, through the real command line with fake programs."""

import copy

import pytest


def explore(project) -> dict:
    return project.param["explore"]


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
    ("mode", "explored", "invalid", "crashed"),
    [("nan", 10, 6, False), ("cut", 10, 4, False), ("crash", 10, 4, True), ("twice", 10, 0, False)],
)
def test_damaged_runs_end_in_the_classes_that_are_promised_and_the_sums_hold(project, mode, explored, invalid, crashed):
    explore(project).update(max_numb_iter=1, fatal_at_max=False)
    project.env["FAKE_LMP_MODE"] = mode
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    row = project.status()["iterations"][0]
    assert (row["explored"], row["invalid"]) == (explored, invalid)
    assert row["explored"] == row["accurate"] + row["candidate"] + row["failed"] + row["invalid"]
    assert row["candidate"] == row["selected"] + row["filtered"] + row["duplicate"] + row["not_drawn"]
    assert row["selected"] == row["labelled"] + row["dropped"]
    assert [run["crashed_at"] is not None for run in project.result(0, "01.explore")["runs"]] == [crashed, crashed]


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
