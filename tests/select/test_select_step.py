"""The step select, with an explorer that keeps its frames in memory and counts what it is asked for."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.reading import read_frames, read_labels
from dpgen2_hpc.kinds import Deviations
from dpgen2_hpc.select.fixed_levels import FixedLevels
from dpgen2_hpc.select.step import SelectStep
from dpgen2_hpc.state import results
from dpgen2_hpc.state.results import CollectResult, ExploreResult
from dpgen2_hpc.state.workdir import Place, WorkDir

TYPES = ("Al", "Cu")
DEVIATION = {"accurate": 0.01, "candidate": 0.2, "failed": 0.9, "invalid": float("nan")}


def frame(number, formula=("Al", "Cu")):
    """A frame that no other number has."""
    coords = np.arange(3 * len(formula), dtype=float).reshape(-1, 3) / 10 + number
    return Frame(tuple(formula), coords, np.eye(3) * 4)


class Memory:
    """Stands in for an explorer: runs are lists of (class, frame or None), their MD steps are tens."""

    def __init__(self, runs):
        self.runs = runs
        self.asked: list[tuple[int, list[int]]] = []

    def deviations(self, directory: Path) -> Deviations:
        rows = self.runs[int(directory.name[-6:])]
        force = np.array([DEVIATION[name] for name, _ in rows])
        return Deviations(np.arange(len(rows)) * 10, force, np.full(len(rows), np.nan))

    def frames(self, directory, md_steps, type_map):
        run = int(directory.name[-6:])
        self.asked.append((run, list(md_steps)))
        return [self.runs[run][step // 10][1] for step in md_steps]

    def predictions(self, directory, md_steps, type_map):
        """Say something of each frame but those of the last run; the energy tells which one it was."""
        run = int(directory.name[-6:])
        frames = [self.runs[run][step // 10][1] for step in md_steps]
        if run == len(self.runs) - 1 > 0:
            return [None] * len(frames)
        return [Labels(one, 100 * run + step, -one.coords) for one, step in zip(frames, md_steps, strict=True)]

    def read(self):
        return [(run, step) for run, steps in self.asked for step in steps]


class Bench:
    """A work directory that stands before select."""

    def __init__(self, root, runs, task_max=3, seed=0, iteration=0, known=(), extra=(), failed=()):
        self.place = Place(WorkDir(root), seed, iteration, 0, iteration)
        self.explorer = Memory(runs)
        self.step = SelectStep(self.explorer, FixedLevels(0.05, 0.5), TYPES, task_max)
        explore = self.place.folder("explore")
        for folder in (explore.path, self.folder, root / "inputs"):
            folder.mkdir(parents=True, exist_ok=True)
        rows = [{"task": number, "path": explore.task_name(number), **dict(extra)} for number in range(len(runs))]
        results.save(explore, ExploreResult(rows, len(runs), list(failed)))
        digests = [one.digest(TYPES) for one in known]
        self.place.workdir.initial_digests.write_text("".join(f"{digest}\n" for digest in digests))

    @property
    def folder(self):
        return self.place.folder("select").path

    def prepare(self):
        assert self.step.prepare(self.place) == []
        return np.load(self.folder / "order.npy")

    def select(self):
        self.prepare()
        return self.step.harvest(self.place, [])

    def rows(self):
        return [json.loads(line) for line in (self.folder / "selected.jsonl").read_text().splitlines()]


def run_of(*names, start=0):
    return [(name, frame(start + number)) for number, name in enumerate(names)]


# ---- the sums


@st.composite
def explorations(draw):
    """Runs whose frames are of any class, unreadable, or like others."""
    row = st.tuples(st.sampled_from(sorted(DEVIATION)), st.one_of(st.none(), st.integers(0, 6)))
    runs = draw(st.lists(st.lists(row, max_size=7), max_size=4))
    return [[(name, None if number is None else frame(number)) for name, number in run] for run in runs]


@settings(max_examples=30, deadline=None, database=None)
@given(explorations(), st.integers(1, 6), st.sets(st.integers(0, 6)))
def test_the_sums_hold_for_any_mix_of_classes_damage_and_duplicates(tmp_path_factory, runs, task_max, known):
    bench = Bench(tmp_path_factory.mktemp("any"), runs, task_max, known=[frame(number) for number in known])
    result = bench.select()
    rows = [row for run in runs for row in run]
    assert result.explored == len(rows) == result.accurate + result.candidate + result.failed + result.invalid
    assert result.candidate == result.selected + result.filtered + result.duplicate + result.not_drawn
    assert result.accurate == sum(name == "accurate" for name, _ in rows)
    assert result.failed == sum(name == "failed" for name, _ in rows)
    new = {one.coords[0, 0] for name, one in rows if name == "candidate" and one is not None} - known
    assert result.selected <= min(task_max, len(new))
    if result.not_drawn == 0:
        assert result.selected == min(task_max, len(new))
    else:
        assert result.selected == task_max
    assert len({row["digest"] for row in bench.rows()}) == len(bench.rows()) == result.selected


def test_a_candidate_without_a_whole_frame_is_invalid_and_the_next_one_is_taken(tmp_path):
    bench = Bench(tmp_path, [[("candidate", None), ("candidate", None), ("candidate", frame(1))]], task_max=1)
    result = bench.select()
    assert (result.selected, result.not_drawn + result.invalid) == (1, 2)
    again = Bench(tmp_path / "all", [[("candidate", None), ("candidate", frame(1))]], task_max=2).select()
    assert (again.candidate, again.invalid, again.selected, again.explored) == (1, 1, 1, 2)


def test_a_frame_that_is_selected_twice_is_a_duplicate(tmp_path):
    result = Bench(tmp_path, [[("candidate", frame(1))] * 3, [("candidate", frame(1))]], task_max=4).select()
    assert (result.selected, result.duplicate) == (1, 3)


def test_a_frame_of_the_initial_data_is_a_duplicate(tmp_path):
    result = Bench(tmp_path, [run_of("candidate", "candidate")], known=[frame(0)]).select()
    assert (result.selected, result.duplicate) == (1, 1)


def test_a_frame_that_an_earlier_iteration_collected_is_a_duplicate(tmp_path):
    bench = Bench(tmp_path, [run_of("candidate", "candidate")], iteration=1)
    collect = bench.place.workdir.step(0, "collect")
    collect.path.mkdir(parents=True)
    collect.digests.write_text(frame(1).digest(TYPES) + "\n")
    results.save(collect, CollectResult(1, ["Al1Cu1"], "digest"))
    result = bench.select()
    assert (result.selected, result.duplicate) == (1, 1)
    assert bench.rows()[0]["md_step"] == 0


def test_a_duplicate_does_not_cost_a_place(tmp_path):
    run = [("candidate", frame(number)) for number in (0, 1, 2, 3)]
    result = Bench(tmp_path, [run], task_max=2, known=[frame(0), frame(1)]).select()
    assert (result.selected, result.duplicate + result.not_drawn) == (2, 2)


# ---- what is drawn


def test_no_more_than_task_max_are_selected(tmp_path):
    result = Bench(tmp_path, [run_of(*["candidate"] * 20)], task_max=7).select()
    assert (result.selected, result.not_drawn, result.candidate) == (7, 13, 20)


def test_nothing_is_read_but_what_is_drawn_and_each_trajectory_once_a_portion(tmp_path):
    runs = [run_of("accurate", *["candidate"] * 10, "failed", "invalid", start=100 * number) for number in range(5)]
    bench = Bench(tmp_path, runs, task_max=6)
    bench.select()
    assert len(bench.explorer.read()) == 6
    assert len({run for run, _ in bench.explorer.asked}) == len(bench.explorer.asked)
    assert {runs[run][step // 10][0] for run, step in bench.explorer.read()} == {"candidate"}


def test_for_a_refused_one_just_one_more_is_read(tmp_path):
    run = [("candidate", frame(number % 10)) for number in range(40)]
    bench = Bench(tmp_path, [run], task_max=10)
    result = bench.select()
    assert len(bench.explorer.read()) == result.selected + result.duplicate
    assert len(set(bench.explorer.read())) == len(bench.explorer.read())


def test_preparation_reads_no_frame_at_all(tmp_path):
    bench = Bench(tmp_path, [run_of(*["candidate"] * 5)])
    bench.prepare()
    assert bench.explorer.asked == []


def test_harvest_takes_the_candidates_in_the_order_that_was_written_down(tmp_path):
    bench = Bench(tmp_path, [run_of(*["candidate"] * 9), run_of(*["candidate"] * 9, start=50)], task_max=8)
    order = bench.prepare()
    bench.step.harvest(bench.place, [])
    assert [(row["task"], row["md_step"]) for row in bench.rows()] == [
        (row["task"], row["md_step"]) for row in order[:8]
    ]


def test_no_candidates_select_nothing(tmp_path):
    bench = Bench(tmp_path, [run_of("accurate", "failed", "invalid"), []])
    result = bench.select()
    assert (result.explored, result.accurate, result.failed, result.invalid, result.selected) == (3, 1, 1, 1, 0)
    assert (bench.rows(), list((bench.folder / "selected").iterdir())) == ([], [])


def test_no_usable_run_explores_nothing_and_has_not_converged(tmp_path):
    result = Bench(tmp_path, []).select()
    assert (result.explored, result.selected, result.converged, result.deviation_f) == (0, 0, False, {})


# ---- draws are the seed's alone


def order_of(tmp_path, name, runs=None, **more):
    bench = Bench(tmp_path / name, runs or [run_of(*["candidate"] * 12)], **more)
    return [(int(row["task"]), int(row["md_step"])) for row in bench.prepare()]


def test_the_order_is_a_function_of_the_seed_and_the_iteration(tmp_path):
    assert order_of(tmp_path, "a", seed=3) == order_of(tmp_path, "b", seed=3)
    assert order_of(tmp_path, "a", seed=3) != order_of(tmp_path, "c", seed=4)
    assert order_of(tmp_path, "a", seed=3) != order_of(tmp_path, "d", seed=3, iteration=1)


def test_the_order_does_not_hang_on_how_many_are_wanted_nor_on_what_was_drawn_before(tmp_path):
    random.seed(1)
    first = order_of(tmp_path, "a", task_max=1)
    random.seed(2)
    assert first == order_of(tmp_path, "b", task_max=9)


def test_preparing_and_harvesting_again_writes_the_same_files(tmp_path):
    bench = Bench(tmp_path, [run_of(*["candidate"] * 12)], task_max=5)

    def contents():
        return {path: path.read_bytes() for path in sorted(bench.folder.rglob("*")) if path.is_file()}

    bench.select()
    before = contents()
    (bench.folder / "selected.new").mkdir()
    (bench.folder / "selected.new" / "half").touch()
    bench.select()
    assert contents() == before


# ---- what is handed on


def test_each_selected_frame_has_a_line_that_leads_to_it_and_says_where_it_comes_from(tmp_path):
    runs = [
        [("candidate", frame(1, ("Cu", "Al"))), ("candidate", frame(2, ("Al", "Al")))],
        run_of("candidate", start=5),
    ]
    bench = Bench(tmp_path, runs, task_max=3)
    bench.select()
    rows = bench.rows()
    assert sorted((row["task"], row["md_step"], row["system"]) for row in rows) == [
        (0, 0, "Al1Cu1"), (0, 10, "Al2"), (1, 0, "Al1Cu1"),
    ]  # fmt: skip
    for row in rows:
        found = read_frames(bench.folder / "selected" / row["system"])[row["index"]]
        assert found.digest(TYPES) == row["digest"] == runs[row["task"]][row["md_step"] // 10][1].digest(TYPES)
        assert (row["deviation_f"], row["deviation_v"]) == (0.2, None)


def test_what_the_models_said_of_each_selected_frame_is_handed_on_with_its_line(tmp_path):
    runs = [
        [("candidate", frame(n, ("Cu", "Al"))) for n in (1, 2)],
        run_of("candidate", start=5),
        run_of("candidate", start=8),
    ]
    bench = Bench(tmp_path, runs, task_max=4)
    bench.select()
    rows = {(row["task"], row["md_step"]): row for row in bench.rows()}
    assert "predicted" not in rows.pop((2, 0))
    assert len(rows) == 3
    for (task, step), row in rows.items():
        system, index = row["predicted"]
        found = read_labels(bench.folder / "predicted" / system)[index]
        assert found.energy == 100 * task + step
        assert found.frame.digest(TYPES) == row["digest"]
        np.testing.assert_array_equal(found.forces, -found.frame.coords)


def test_the_quantiles_are_those_of_the_finite_deviations(tmp_path):
    quantiles = Bench(tmp_path, [run_of("accurate", "candidate", "failed", "invalid")]).select().deviation_f
    assert (quantiles["q0"], quantiles["q50"], quantiles["q100"]) == (0.01, 0.2, 0.9)


def test_convergence_is_asked_with_what_is_left_when_unreadable_frames_are_taken_off(tmp_path):
    asked = []

    class Asked(FixedLevels):
        def converged(self, counts):
            asked.append(dict(counts))
            return True

    bench = Bench(tmp_path, [[("candidate", None), ("accurate", frame(1))]])
    bench.step = SelectStep(bench.explorer, Asked(0.05, 0.5), TYPES, 3)
    assert bench.select().converged is True
    frames = {"explored": 2, "accurate": 1, "candidate": 0, "failed": 0, "invalid": 1}
    assert asked == [{**frames, "runs": 1, "ended_early": 0, "of_unknown_length": 0}]


# ---- runs that cannot be read, runs that ended early


class Failing(Memory):
    """Raises an exception in one method over one run."""

    def __init__(self, runs, method, run=0, error=TypeError("odd")):
        super().__init__(runs)

        def fail(directory, *more, usual=getattr(self, method)):
            if int(directory.name[-6:]) == run:
                raise error
            return usual(directory, *more)

        setattr(self, method, fail)


def failing(tmp_path, method, **more):
    runs = [run_of("candidate", "candidate", "accurate", start=10 * number) for number in range(3)]
    bench = Bench(tmp_path, runs, task_max=10, extra={"asked": 5})
    bench.step = SelectStep(Failing(runs, method, **more), FixedLevels(0.05, 0.5), TYPES, 10)
    return bench


def test_a_run_whose_deviations_cannot_be_read_counts_all_that_it_was_asked_for_as_invalid(tmp_path, caplog):
    result = failing(tmp_path, "deviations").select()
    assert (result.explored, result.candidate, result.accurate, result.invalid) == (15, 4, 2, 5 + 2 + 2)
    assert (result.runs, result.ended_early) == (3, 3)
    assert "iter-000000--run-lmp-000000: cannot be read, all its frames count as invalid" in caplog.text


def test_frames_that_cannot_be_read_are_invalid_and_those_of_other_runs_are_taken(tmp_path, caplog):
    bench = failing(tmp_path, "frames", run=1)
    result = bench.select()
    assert (result.candidate, result.selected, result.invalid) == (4, 4, 6 + 2)
    assert {row["task"] for row in bench.rows()} == {0, 2}
    assert "iter-000000--run-lmp-000001: cannot be read" in caplog.text


def test_predictions_that_cannot_be_read_are_left_out(tmp_path):
    bench = failing(tmp_path, "predictions", run=0)
    assert bench.select().selected == 6
    assert {row["task"] for row in bench.rows() if "predicted" in row} == {1}  # Memory has none of the last run


def test_a_fault_of_the_disk_stops_the_step(tmp_path):
    with pytest.raises(OSError, match="stale"):
        failing(tmp_path, "deviations", error=OSError(116, "stale")).prepare()


def test_what_failed_runs_were_asked_for_is_explored_and_invalid(tmp_path):
    bench = Bench(tmp_path, [run_of("accurate", "accurate")], failed=[{"task": 1, "asked": 8, "why": "no frame"}])
    result = bench.select()
    assert (result.explored, result.accurate, result.invalid, result.converged) == (10, 2, 8, False)
    assert (result.runs, result.ended_early) == (2, 1)


def test_frames_of_other_atoms_than_the_start_are_invalid(tmp_path):
    runs = [[("candidate", frame(1)), ("candidate", frame(2, ("Cu", "Al"))), ("candidate", frame(3, ("Al",) * 3))]]
    bench = Bench(tmp_path / "fixed", runs, extra={"fixes_composition": True})
    bench.explorer.configuration_file = "start"
    bench.explorer.read_configuration = lambda path, type_map: frame(9)
    result = bench.select()
    assert (result.selected, result.invalid) == (1, 2)
    assert [row["md_step"] for row in bench.rows()] == [0]
    assert Bench(tmp_path / "free", runs).select().selected == 3


def test_a_step_that_an_older_version_prepared_is_harvested(tmp_path):
    """Its ``classes.json`` has no counts of runs, and its result is read without them."""
    bench = Bench(tmp_path, [run_of("candidate", "accurate")])
    bench.prepare()
    path = bench.folder / "classes.json"
    old = {name: value for name, value in json.loads(path.read_text()).items() if "runs" not in name}
    path.write_text(json.dumps({name: old[name] for name in old if name not in ("ended_early", "of_unknown_length")}))
    assert bench.step.harvest(bench.place, []).selected == 1
    result = bench.place.folder("select").result
    value = json.loads(result.read_text())
    for name in ("runs", "ended_early"):
        del value[name]
    result.write_text(json.dumps(value))
    assert results.load(results.SelectResult, bench.place.folder("select")).ended_early == 0
    explore = bench.place.folder("explore")
    value = json.loads(explore.result.read_text())
    del value["failed"]
    explore.result.write_text(json.dumps(value))
    assert results.load(ExploreResult, explore).failed == []


@pytest.mark.parametrize("task_max", [1, 3, 100])
def test_the_result_is_read_back_by_the_next_step(tmp_path, task_max):
    bench = Bench(tmp_path, [run_of(*["candidate"] * 4)], task_max=task_max)
    result = bench.select()
    assert results.load(results.SelectResult, bench.place.folder("select")) == result
