"""A run is read through its explorer: whatever that does, the run alone fails."""

import json

import numpy as np
import pytest

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.kinds import Deviations, Ending
from dpgen2_hpc.runs import RunReader

pytestmark = pytest.mark.slow

TYPES = ("Al", "Cu")
STEPS = [0, 10, 20, 30, 40]


def frame(step, symbols=("Al", "Cu")):
    coords = np.arange(3 * len(symbols), dtype=float).reshape(-1, 3) / 4 + step / 100
    return Frame(tuple(symbols), coords, np.eye(3) * 5)


class Foreign:
    """An explorer of another package. ``answers`` replaces what a method returns, or is raised by it."""

    configuration_file = "start"

    def __init__(self, lost_from=1000, **answers):
        self.lost_from, self.answers, self.read = lost_from, answers, []

    def _answer(self, name, usual):
        answer = self.answers.get(name, usual)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def finish(self, directory, exit_code):
        return self._answer("finish", Ending(False, False, 40, None, 5))

    def deviations(self, directory):
        return self._answer("deviations", Deviations(np.array(STEPS), np.full(5, 0.1), np.full(5, 0.1)))

    def read_configuration(self, path, type_map):
        return self._answer("read_configuration", frame(0))

    def frames(self, directory, md_steps, type_map):
        self.read += md_steps
        return self._answer("frames", [frame(s, ("Al", "Cu")[: 1 + (s < self.lost_from)]) for s in md_steps])

    def predictions(self, directory, md_steps, type_map):
        return self._answer("predictions", [Labels(frame(s), 1.0, np.zeros((2, 3))) for s in md_steps])


def reader(tmp_path, **more):
    return RunReader(Foreign(**more), "iter-000000--run-lmp-000000", tmp_path, TYPES)


def ask(run, name):
    return {
        "finish": lambda: run.ending(0),
        "deviations": run.deviations,
        "read_configuration": run.start,
        "frames": lambda: run.frames(STEPS, None),
        "predictions": lambda: run.predictions(STEPS, [frame(step) for step in STEPS]),
    }[name]()


METHODS = ["finish", "deviations", "read_configuration", "frames", "predictions"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "answer", [TypeError("odd"), RecursionError(), json.JSONDecodeError("x", "y", 0), None, 7, [], [1]]
)
def test_whatever_an_explorer_returns_or_raises_is_an_output_error_that_names_it(tmp_path, method, answer):
    with pytest.raises(OutputError, match="Foreign"):
        ask(reader(tmp_path, **{method: answer}), method)


def test_a_fault_of_the_disk_stays_one(tmp_path):
    with pytest.raises(OSError, match="stale"):
        reader(tmp_path, frames=OSError(116, "stale")).frames([0], None)


def test_all_is_well_with_an_explorer_that_works(tmp_path):
    run = reader(tmp_path)
    for name in METHODS:
        assert ask(run, name) is not None
    assert [one.energy for one in ask(run, "predictions")] == [1.0] * 5


@pytest.mark.parametrize("lost_from", [10, 20, 30, 40])
def test_the_last_valid_frame_is_found_by_halving(tmp_path, lost_from):
    run = reader(tmp_path, lost_from=lost_from)
    fault = run.fault(40, run.start())
    assert fault == "has 1 atoms, the starting configuration has 2"
    ending = run.cut(run.ending(0), fault, run.start())
    assert (ending.early, ending.last_step) == (True, lost_from - 10)
    assert ending.reason == f"the frame of MD step 40 {fault}"
    assert len(run.explorer.read) <= 5


def test_a_run_whose_first_frame_is_not_its_own_has_no_output(tmp_path):
    run = reader(tmp_path, lost_from=0)
    with pytest.raises(OutputError, match="the first frame is invalid, and the frame of MD step 40 has 1 atoms"):
        run.cut(run.ending(0), run.fault(40, run.start()), run.start())


def test_frames_that_are_not_the_runs_are_none(tmp_path):
    run = reader(tmp_path, lost_from=30)
    assert [one is None for one in run.frames(STEPS, run.start())] == [False, False, False, True, True]
    assert [one is None for one in run.frames(STEPS, None)] == [False] * 5


@pytest.mark.parametrize(
    "odd",
    [
        Frame(("Al",), [["a", "b", "c"]], np.eye(3)),
        Frame(("Al",), None, None),
        Frame((7,), np.zeros((1, 3)), np.eye(3)),
    ],
)
def test_a_frame_that_is_filled_with_anything_is_none(tmp_path, odd):
    assert reader(tmp_path, frames=[odd]).frames([0], None) == [None]


@pytest.mark.parametrize(
    "odd",
    [
        Labels(frame(0, ("Cu", "Al")), 1.0, np.zeros((2, 3))), Labels(frame(0), float("nan"), np.zeros((2, 3))),
        Labels(frame(0), 1.0, np.zeros((3, 3))), Labels(frame(0), 1.0, np.full((2, 3), np.inf)),
        Labels(frame(0), 1.0, np.zeros((2, 3)), np.zeros(9)), Labels(frame(0), 1.0, [[0, 0, 0], [0, 0, 0]]),
        Labels(frame(0), "one", np.zeros((2, 3))), Labels(frame(0), 1.0, np.zeros((2, 3)), np.full((3, 3), np.nan)),
    ],
)  # fmt: skip
def test_a_prediction_that_does_not_fit_its_frame_is_none(tmp_path, odd):
    assert reader(tmp_path, predictions=[odd]).predictions([0], [frame(0)]) == [None]


def test_arrays_that_do_not_belong_together_are_no_deviations():
    with pytest.raises(ValueError, match="three arrays"):
        Deviations(np.arange(2), np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="three arrays"):
        Deviations(np.array([10, 0]), np.zeros(2), np.zeros(2))
