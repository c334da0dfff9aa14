"""What runs explored: what a run was asked for and did not write is invalid."""

import numpy as np
import pytest

from dpgen2_hpc.kinds import Deviations
from dpgen2_hpc.select.fixed_levels import FixedLevels
from dpgen2_hpc.select.tally import Tally
from dpgen2_hpc.state.results import Run

NAN = float("nan")
LEVELS = FixedLevels(0.05, 0.5)


def written(*force):
    return Deviations(np.arange(len(force)) * 10, np.array(force, dtype=float), np.full(len(force), 0.01))


def tally(*runs, failed=()):
    found = Tally()
    for run, deviations in runs:
        found.add(run, deviations, LEVELS)
    for asked in failed:
        found.add_failed(asked)
    return found


def frames(found):
    counts = found.counts()
    assert counts["explored"] == sum(counts[name] for name in ("accurate", "candidate", "failed", "invalid"))
    return counts["explored"], counts["invalid"]


@pytest.mark.parametrize(
    ("run", "force", "expected"),
    [
        # asked, early, halted: written; explored, invalid, early
        (Run(0, "p", 5), (0.01, 0.2, 0.9, NAN, 0.01), (5, 1, 0)),
        (Run(0, "p", 5, ended_early=True), (0.01, 0.01), (5, 3, 1)),
        (Run(0, "p", 5, ended_early=True), (0.01,) * 5, (5, 0, 1)),
        (Run(0, "p", 5), (0.01, 0.01), (5, 3, 1)),  # rows went missing since the run was judged
        (Run(0, "p", 5), (0.01,) * 7, (7, 0, 0)),  # its user let it run for longer
        (Run(0, "p", 5, halted=True), (0.01, 0.01), (2, 0, 0)),
        (Run(0, "p", 5, halted=True, ended_early=True), (0.01, 0.01), (5, 3, 1)),
        (Run(0, "p", None), (0.01, 0.01), (2, 0, 0)),
        (Run(0, "p", None, ended_early=True), (0.01, 0.01), (3, 1, 1)),
        (Run(0, "p", None, ended_early=True), (0.01, NAN), (2, 1, 1)),
        (Run(0, "p", None, ended_early=True), (), (1, 1, 1)),
        (Run(0, "p", 5, last_step=20), (0.01,) * 5, (5, 2, 0)),  # the last two frames have lost an atom
        (Run(0, "p", 0), (), (0, 0, 0)),
    ],
)
def test_what_a_run_did_not_write_is_explored_and_invalid(run, force, expected):
    found = tally((run, written(*force)))
    assert (*frames(found), found.ended_early) == expected
    assert found.runs == 1


def test_runs_that_failed_count_what_they_were_asked_for_and_at_least_one_frame():
    found = tally((Run(0, "p", 5), written(*(0.01,) * 5)), failed=(5, None, 5))
    assert frames(found) == (16, 11)
    assert (found.runs, found.ended_early, found.of_unknown_length) == (4, 3, 1)


def test_nothing_after_the_last_valid_frame_is_a_candidate():
    found = tally((Run(3, "p", 4, last_step=10), written(0.2, 0.2, 0.2, 0.2)))
    assert np.concatenate(found.candidates)["md_step"].tolist() == [0, 10]
    assert np.concatenate(found.candidates)["task"].tolist() == [3, 3]
    assert np.concatenate(found.forces).tolist() == [0.2, 0.2]


@pytest.mark.parametrize(
    ("whole", "early", "converged"), [(9, 1, True), (8, 2, False), (17, 2, False), (18, 2, True), (10, 0, True)]
)
def test_runs_of_unknown_length_that_ended_early_keep_a_stage_from_converging(whole, early, converged):
    """Each has a hundred accurate frames, so that the invalid ones do not decide."""
    many = written(*(0.01,) * 100)
    found = tally(*[(Run(0, "p", None), many)] * whole, *[(Run(0, "p", None, ended_early=True), many)] * early)
    assert found.counts()["accurate"] / found.counts()["explored"] > 0.99
    assert LEVELS.converged(found.counts()) is converged


def test_of_runs_of_known_length_the_frames_decide():
    many = written(*(0.01,) * 99)
    found = tally(*[(Run(0, "p", 100, ended_early=True), many)] * 10)
    assert frames(found) == (1000, 10)
    assert LEVELS.converged(found.counts()) is True


def test_rows_of_the_first_version_are_read():
    row = {"task": 2, "path": "task.000002", "group": 0, "configuration": "000/1.lmp", "temperature": 300.0}
    assert Run.from_row({**row, "crashed_at": None}) == Run(2, "task.000002")
    assert Run.from_row({**row, "crashed_at": 0}) == Run(2, "task.000002", ended_early=True)
