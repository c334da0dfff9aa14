"""The manual's listing of keys, from records and ledgers written by hand."""

import pytest

from dpgen2_hpc.report.keys import finished_keys, listing
from dpgen2_hpc.state.ledger import Ledger, Task
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.record import Home, Record
from dpgen2_hpc.state.workdir import WorkDir

MANUAL = """\
0 : init--scheduler
1 : init--id
2 : iter-000000--prep-train
3 -> 6 : iter-000000--run-train-0000 -> iter-000000--run-train-0003
7 : iter-000000--prep-run-train
8 : iter-000000--prep-lmp
9 -> 17 : iter-000000--run-lmp-000000 -> iter-000000--run-lmp-000008
18 : iter-000000--prep-run-lmp
19 : iter-000000--select-confs
20 : iter-000000--prep-fp
21 -> 24 : iter-000000--run-fp-000000 -> iter-000000--run-fp-000003
25 : iter-000000--prep-run-fp
26 : iter-000000--collect-data
27 : iter-000000--block
28 : iter-000000--scheduler
29 : iter-000000--id
30 : iter-000001--prep-train
31 -> 34 : iter-000001--run-train-0000 -> iter-000001--run-train-0003
35 : iter-000001--prep-run-train
36 : iter-000001--prep-lmp
37 -> 45 : iter-000001--run-lmp-000000 -> iter-000001--run-lmp-000008
46 : iter-000001--prep-run-lmp
47 : iter-000001--select-confs
48 : iter-000001--prep-fp
49 -> 52 : iter-000001--run-fp-000000 -> iter-000001--run-fp-000003
53 : iter-000001--prep-run-fp
54 : iter-000001--collect-data
55 : iter-000001--block
56 : iter-000001--scheduler
57 : iter-000001--id
""".splitlines()


def record(iterations, **more):
    return Record("a", Home("h", "p", 1), 0, sequence=1, iterations=tuple({} for _ in range(iterations)), **more)


@pytest.fixture
def workdir(tmp_path):
    return WorkDir(tmp_path)


def batch(workdir, iteration, step, tasks, broken=()):
    """A step whose tasks are done, some of them broken, some (``None``) without a verdict."""
    folder = workdir.step(iteration, step)
    folder.path.mkdir(parents=True)
    Ledger.create(folder.ledger, [Task("sha", {}) for _ in range(tasks)])
    events = [{"event": "intent", "job": 0, "name": "d", "tasks": [[task, 1] for task in range(tasks)]}]
    events += [
        {"event": "verdict", "task": task, "attempt": 1, "state": "broken" if task in broken else "done", "why": None}
        for task in range(tasks)
    ]
    lock = Lock.acquire(workdir.root / ".hand")
    Ledger.read(folder.ledger, lock).append(events if tasks else [])
    lock.release()


def whole(workdir, iteration):
    for step, tasks in (("train", 4), ("explore", 9), ("select", 0), ("fp", 4), ("collect", 0)):
        batch(workdir, iteration, step, tasks)


def lines(workdir, standing):
    return listing(finished_keys(workdir, standing)).splitlines()


def test_two_finished_iterations_give_the_manuals_listing(workdir):
    whole(workdir, 0)
    whole(workdir, 1)
    over = record(2, iteration=1, step="collect", phase="harvested", complete={"reason": "r"})
    assert lines(workdir, over) == MANUAL


def test_an_iteration_that_the_schedule_has_left_has_its_scheduler_and_id(workdir):
    whole(workdir, 0)
    assert lines(workdir, record(1, iteration=1)) == MANUAL[:16]


def test_a_blocked_iteration_has_its_block_and_no_scheduler(workdir):
    whole(workdir, 0)
    assert lines(workdir, record(1, step="collect", phase="harvested")) == MANUAL[:14]


def test_a_run_that_has_only_begun_has_the_first_two(workdir):
    assert lines(workdir, record(0)) == MANUAL[:2]


@pytest.mark.parametrize("phase", ["prepared", "submitted", "finished"])
def test_a_step_that_runs_has_its_preparation_and_what_is_done_of_its_tasks(workdir, phase):
    batch(workdir, 0, "train", 4)
    assert lines(workdir, record(0, phase=phase)) == MANUAL[:4]


def test_a_harvested_step_has_its_last_key_and_the_next_one_nothing_yet(workdir):
    batch(workdir, 0, "train", 4)
    assert lines(workdir, record(0, phase="harvested")) == MANUAL[:5]
    assert lines(workdir, record(0, step="explore", phase="pending")) == MANUAL[:5]


def test_failed_tasks_split_a_range_and_are_not_listed(workdir):
    batch(workdir, 0, "train", 8, broken=(0, 3, 5))
    assert lines(workdir, record(0, phase="finished"))[3:] == [
        "3 -> 4 : iter-000000--run-train-0001 -> iter-000000--run-train-0002",
        "5 : iter-000000--run-train-0004",
        "6 -> 7 : iter-000000--run-train-0006 -> iter-000000--run-train-0007",
    ]


def test_a_step_whose_tasks_have_all_failed_has_no_keys(workdir):
    batch(workdir, 0, "train", 2, broken=(0, 1))
    assert lines(workdir, record(0, phase="finished")) == MANUAL[:3]


def test_an_iteration_without_a_label_has_no_keys_of_fp_tasks(workdir):
    for step, tasks in (("train", 1), ("explore", 1), ("select", 0), ("fp", 0)):
        batch(workdir, 0, step, tasks)
    assert [line.partition(" : ")[2] for line in lines(workdir, record(0, step="collect"))[-2:]] == [
        "iter-000000--prep-fp",
        "iter-000000--prep-run-fp",
    ]


def test_numbers_count_keys_and_not_lines():
    assert listing([["a"], ["b", "c", "d"], ["e"], ["f", "g"]]).splitlines() == [
        "0 : a",
        "1 -> 3 : b -> d",
        "4 : e",
        "5 -> 6 : f -> g",
    ]
