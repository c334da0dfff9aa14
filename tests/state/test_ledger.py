"""The ledger of a batch: the fold over its lines, and what a cut file still says."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpgen2_hpc.errors import LockHeld, StateError
from dpgen2_hpc.state.files import append_durable
from dpgen2_hpc.state.ledger import Ledger, Task
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.words import Verdict

# ---- words for events: one line of the file each


def task(number):
    return {"event": "task", "task": number, "identity": f"sha{number}", "inputs": {"POSCAR": "0123"}}


def intent(job, *pairs):
    return {"event": "intent", "job": job, "name": f"dname{job}", "tasks": [list(pair) for pair in pairs]}


def submitted(job):
    return {"event": "id", "job": job, "id": str(100 + job), "host": "login1"}


def state(job, what, **more):
    return {"event": "state", "job": job, "state": what, **more}


def verdict(number, attempt, what, why=None):
    return {"event": "verdict", "task": number, "attempt": attempt, "state": what, "why": why}


def new_round(number, *tasks):
    return {"event": "round", "round": number, "tasks": list(tasks)}


def text(*events):
    return "".join(json.dumps(event) + "\n" for event in events)


@pytest.fixture
def lock(tmp_path):
    return Lock.acquire(tmp_path / "lock")


@pytest.fixture
def ledger_of(tmp_path, lock):
    def write(*events, tail=""):
        path = tmp_path / "batch.jsonl"
        path.write_text(text(*events) + tail)
        return Ledger.read(path, lock)

    return write


def waiting(ledger):
    return [entry.index for entry in ledger.waiting()]


# ---- the fold


def test_the_lines_of_the_design_fold_into_a_task_that_is_done_on_its_first_attempt(ledger_of):
    ledger = ledger_of(
        {"event": "task", "task": 0, "identity": "..", "inputs": {"POSCAR": "01"}},
        {"event": "intent", "job": 0, "name": "d..", "tasks": [[0, 1]]},
        {"event": "id", "job": 0, "id": "12", "host": ".."},
        {"event": "verdict", "task": 0, "attempt": 1, "state": "done", "why": None},
    )
    (only,), (job,) = ledger.tasks, ledger.jobs
    assert (only.inputs_of(1), only.attempt, only.verdict, only.settled) == ({"POSCAR": "01"}, 1, "done", True)
    assert (job.name, job.tasks, job.id, job.state) == ("d..", ((0, 1),), "12", "submitted")


def test_a_new_ledger_has_its_tasks_and_they_all_wait(tmp_path):
    path = tmp_path / "batch.jsonl"
    Ledger.create(path, [Task("one", {"in": "0123456789abcdef0123"}), Task("two", {})], "settings")
    ledger = Ledger.read(path)
    assert [(entry.identity, entry.inputs_of(1)) for entry in ledger.tasks] == [
        ("one", {"in": "0123456789abcdef"}),
        ("two", {}),
    ]
    assert ledger.settings == {"settings"}
    assert waiting(ledger) == [0, 1]
    assert ledger.counts() == {"total": 2, "waiting": 2, "running": 0, "done": 0, "failed": 0}


def test_an_appended_event_counts_in_memory_and_after_reading_again(ledger_of):
    ledger = ledger_of(task(0))
    ledger.append([intent(0, (0, 1)), submitted(0), state(0, "running")])
    assert Ledger.read(ledger.path) == ledger
    assert ledger.counts()["running"] == 1


def test_nothing_to_append_touches_no_file(ledger_of):
    ledger = ledger_of(task(0))
    before = ledger.path.stat()
    ledger.append([])
    assert ledger.path.stat() == before


def test_events_of_one_append_reach_the_disk_in_one_write(ledger_of, monkeypatch):
    ledger = ledger_of(task(0), task(1))
    written = []

    def append(path, content):
        written.append(content)
        append_durable(path, content)

    monkeypatch.setattr("dpgen2_hpc.state.ledger.append_durable", append)
    ledger.append([intent(0, (0, 1)), intent(1, (1, 1))])
    assert [content.count("\n") for content in written] == [3]  # the first one begins with who writes


def test_a_job_that_was_missing_and_is_seen_again_is_missing_no_longer(ledger_of):
    ledger = ledger_of(task(0), intent(0, (0, 1)), submitted(0), state(0, "missing", at=12.5))
    assert (ledger.jobs[0].missing.at, ledger.jobs[0].state) == (12.5, "submitted")
    ledger.append([state(0, "running")])
    assert (ledger.jobs[0].missing, ledger.jobs[0].state) == (None, "running")


# ---- who waits, who runs


def test_a_task_of_an_open_job_does_not_wait_and_one_whose_attempt_failed_does(ledger_of):
    ledger = ledger_of(task(0), task(1), intent(0, (0, 1), (1, 1)), submitted(0), state(0, "running"))
    assert waiting(ledger) == []
    ledger.append([verdict(0, 1, Verdict.FAILED, "no output")])
    assert waiting(ledger) == [0]  # its job still runs the other one
    ledger.append([intent(1, (0, 2))])
    assert waiting(ledger) == []
    assert (ledger.tasks[0].before, ledger.tasks[0].attempt, ledger.tasks[0].failed) == (Verdict.FAILED, 2, 1)


def test_a_lost_attempt_waits_again_and_is_counted_as_lost(ledger_of):
    ledger = ledger_of(task(0), intent(0, (0, 1)), submitted(0), verdict(0, 1, Verdict.LOST, "gone"), state(0, "gone"))
    assert waiting(ledger) == [0]
    assert (ledger.tasks[0].lost, ledger.tasks[0].failed) == (1, 0)
    assert ledger.counts() == {"total": 1, "waiting": 1, "running": 0, "done": 0, "failed": 0}


def test_a_failed_task_waits_for_the_user_and_a_round_gives_it_its_attempts_again(ledger_of):
    ledger = ledger_of(
        task(0), task(1), intent(0, (0, 1), (1, 1)), submitted(0),
        verdict(0, 1, Verdict.LOST), verdict(1, 1, Verdict.DONE), state(0, "gone"), intent(1, (0, 2)), submitted(1),
        verdict(0, 2, Verdict.BROKEN, "no model"), state(1, "gone"),
    )  # fmt: skip
    assert waiting(ledger) == []
    assert ledger.counts() == {"total": 2, "waiting": 0, "running": 0, "done": 1, "failed": 1}
    ledger.append([new_round(2, 0)])
    assert waiting(ledger) == [0]
    assert (ledger.rounds, ledger.tasks[0].lost, ledger.tasks[0].failed, ledger.tasks[0].attempt) == (2, 0, 0, 2)


def test_a_job_that_is_gone_without_a_verdict_leaves_its_tasks_waiting(ledger_of):
    ledger = ledger_of(task(0), intent(0, (0, 1)), submitted(0), state(0, "gone"))
    assert (waiting(ledger), ledger.open_jobs()) == ([0], [])


def test_a_task_whose_next_attempt_has_no_job_yet_is_waiting_though_its_old_job_still_runs(ledger_of):
    ledger = ledger_of(
        task(0), task(1), intent(0, (0, 1), (1, 1)), submitted(0), state(0, "running"), verdict(0, 1, Verdict.FAILED)
    )
    assert ledger.counts() == {"total": 2, "waiting": 1, "running": 1, "done": 0, "failed": 0}
    ledger.append([intent(1, (0, 2))])
    assert ledger.counts() == {"total": 2, "waiting": 1, "running": 1, "done": 0, "failed": 0}


# ---- damage


def test_a_torn_last_line_does_not_count_and_the_next_append_cuts_it_off(ledger_of):
    torn = json.dumps(verdict(0, 1, Verdict.DONE))[:-3]
    ledger = ledger_of(task(0), intent(0, (0, 1)), submitted(0), tail=torn)
    assert ledger.tasks[0].verdict is None
    ledger.append([verdict(0, 1, Verdict.FAILED, "no output")])
    *kept, driver, last = ledger.path.read_text().splitlines()
    assert "".join(f"{line}\n" for line in kept) == text(task(0), intent(0, (0, 1)), submitted(0))
    assert json.loads(driver)["event"] == "driver"
    assert {name: entry for name, entry in json.loads(last).items() if name not in ("at", "by")} == verdict(
        0, 1, Verdict.FAILED, "no output"
    )


@pytest.mark.parametrize(
    "line",
    [
        "{not json}",
        "[]",
        "17",
        '{"event": "wish"}',
        '{"no": "event"}',
        json.dumps({"event": "task", "task": 7, "identity": "", "inputs": {}}),
        json.dumps(intent(3, (0, 1))),
        json.dumps(intent(0, (5, 1))),
        json.dumps(submitted(4)),
        json.dumps(verdict(0, 9, Verdict.DONE)),
        json.dumps({"event": "verdict", "task": 0}),
        "",
    ],
)
def test_a_broken_line_stops_the_program_with_file_and_line(ledger_of, line):
    with pytest.raises(StateError, match=r"batch\.jsonl', line 2"):
        ledger_of(task(0), tail=f"{line}\n" + text(intent(0, (0, 1))))


@pytest.mark.parametrize(
    "event", [verdict(-1, 1, Verdict.DONE), verdict(0, 1, "dome"), submitted(-1), state(0, "asleep")]
)
def test_a_line_that_says_what_cannot_be_is_refused(ledger_of, event):
    with pytest.raises(StateError, match="line 3"):
        ledger_of(task(0), intent(0, (0, 1)), event)


def test_a_ledger_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StateError, match="batch.jsonl' is missing"):
        Ledger.read(tmp_path / "batch.jsonl")


# ---- who may append


def test_a_ledger_that_was_read_without_the_lock_cannot_be_appended_to(ledger_of):
    ledger = Ledger.read(ledger_of(task(0)).path)
    with pytest.raises(ValueError, match="for reading only"):
        ledger.append([intent(0, (0, 1))])


def take_over(lock):
    """Let another driver have the lock, as --take-over does."""
    lock.path.unlink()
    return Lock.acquire(lock.path)


def test_a_driver_that_lost_the_lock_appends_nothing(ledger_of, lock):
    ledger = ledger_of(task(0))
    before = ledger.path.read_bytes()
    take_over(lock)
    with pytest.raises(LockHeld, match="was taken over"):
        ledger.append([intent(0, (0, 1))])
    assert ledger.path.read_bytes() == before


def test_what_a_stopped_driver_adds_behind_its_successors_lines_has_no_effect(ledger_of, lock):
    """It had passed the check when it was stopped; its lines come when it wakes: verdicts, and a job of its own."""
    old = ledger_of(task(0), task(1))
    old.append([intent(0, (0, 1)), submitted(0)])
    stopped = [old._row(event, lock.clock.now(), lock.holder.token[:8]) for event in (
        verdict(0, 1, Verdict.FAILED, "stale"), state(0, "gone"), intent(1, (0, 2)), verdict(0, 2, Verdict.DONE),
    )]  # fmt: skip
    new = Ledger.read(old.path, take_over(lock))
    new.append([verdict(0, 1, Verdict.LOST, "gone"), state(0, "gone"), intent(1, (0, 2), (1, 1)), submitted(1)])
    with old.path.open("a") as file:
        file.write(text(*stopped))
    new.append([verdict(0, 2, Verdict.DONE), verdict(1, 1, Verdict.DONE), state(1, "gone")])
    read = Ledger.read(old.path)
    assert read == new
    assert [job.tasks for job in read.jobs] == [((0, 1),), ((0, 2), (1, 1))]
    assert [(entry.verdict, entry.attempt, entry.lost, entry.failed) for entry in read.tasks] == [
        (Verdict.DONE, 2, 1, 0), (Verdict.DONE, 1, 0, 0),
    ]  # fmt: skip


def late_append(ledger, *events):
    """Stop a driver between the check of its lock and its write; return what lets it wake up and write."""
    written = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dpgen2_hpc.state.ledger.append_durable", lambda path, content: written.append(content))
        patch.setattr(Ledger, "_check_that_it_counts", lambda *_: None)
        ledger.append(events)
    return lambda: append_durable(ledger.path, *written)


def jobs_of(path):
    return [(job.name, job.tasks) for job in Ledger.read(path).jobs]


def test_lines_that_a_stopped_driver_adds_before_its_successors_first_line_ruin_nothing(ledger_of, lock):
    """The successor has read the ledger without them: what it decided does not count, and it stops."""
    old = ledger_of(task(0), task(1))
    old.append([intent(0, (0, 1))])
    wake = late_append(old, intent(1, (1, 1)))
    new = Ledger.read(old.path, successor := take_over(lock))
    wake()
    with pytest.raises(StateError, match="added lines to it in this instant.*Run the same command again"):
        new.append([{**intent(1, (1, 1)), "name": "another"}])
    assert jobs_of(old.path) == [("dname0", ((0, 1),)), ("dname1", ((1, 1),))]
    again = Ledger.read(old.path, take_over(successor))
    again.append([submitted(0), submitted(1), verdict(0, 1, Verdict.DONE)])
    assert Ledger.read(old.path) == again
    assert [entry.verdict for entry in again.tasks] == [Verdict.DONE, None]


def test_a_stopped_driver_whose_first_lines_come_late_does_not_depose_its_successor(ledger_of, lock):
    """It had written nothing before, so that its line *driver* is among them."""
    old = ledger_of(task(0), task(1))
    wake = late_append(old, intent(0, (1, 1)))
    new = Ledger.read(old.path, take_over(lock))
    new.append([intent(0, (0, 1), (1, 1)), submitted(0)])
    wake()
    new.append([verdict(0, 1, Verdict.DONE), verdict(1, 1, Verdict.DONE), state(0, "gone")])
    assert Ledger.read(old.path) == new
    assert jobs_of(old.path) == [("dname0", ((0, 1), (1, 1)))]
    assert new.counts()["done"] == 2


def test_a_driver_whose_first_lines_came_too_late_is_told_that_it_lost_the_lock(ledger_of, lock, monkeypatch):
    old = ledger_of(task(0))

    def after_the_successor(path, content):
        monkeypatch.undo()
        Ledger.read(path, take_over(lock)).append([intent(0, (0, 1))])
        append_durable(path, content)

    monkeypatch.setattr("dpgen2_hpc.state.ledger.append_durable", after_the_successor)
    with pytest.raises(LockHeld, match="was taken over"):
        old.append([intent(0, (0, 1)), submitted(0)])
    assert Ledger.read(old.path).jobs[0].id is None


def test_a_ledger_that_has_lost_lines_still_believes_the_drivers_behind_them(ledger_of, lock):
    first = ledger_of(task(0))
    first.append([intent(0, (0, 1)), submitted(0), state(0, "running")])
    Ledger.read(first.path, take_over(lock)).append([verdict(0, 1, Verdict.DONE)])
    lines = first.path.read_text().splitlines(keepends=True)
    first.path.write_text("".join(line for line in lines if '"running"' not in line))
    assert Ledger.read(first.path).tasks[0].verdict == Verdict.DONE


def test_drivers_of_the_version_that_counted_no_lines_are_believed(ledger_of, lock):
    ledger = ledger_of(task(0))
    ledger.append([intent(0, (0, 1))])
    rows = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    del rows[1]["lines"]
    old = ledger_of(*rows)
    assert (old.driver, len(old.jobs)) == (lock.holder.token[:8], 1)


def test_a_verdict_on_an_older_attempt_has_no_effect(ledger_of):
    ledger = ledger_of(
        task(0),
        intent(0, (0, 1)),
        verdict(0, 1, Verdict.LOST),
        intent(1, (0, 2)),
        verdict(0, 1, Verdict.BROKEN, "late"),
    )
    assert (ledger.tasks[0].verdict, ledger.tasks[0].attempt) == (None, 2)


def test_a_driver_says_who_it_is_once(ledger_of, lock):
    ledger = ledger_of(task(0))
    ledger.append([intent(0, (0, 1))])
    ledger.append([submitted(0)])
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["task", "driver", "intent", "id"]
    assert {line["by"] for line in lines[1:]} == {lock.holder.token[:8]}
    assert ledger.jobs[0].host == lock.holder.machine or ledger.jobs[0].host.name == "login1"


# ---- inputs and attempts


def test_the_inputs_of_an_attempt_are_the_last_that_were_written_before_it(ledger_of):
    written = {"event": "inputs", "task": 0, "attempt": 2, "inputs": {"POSCAR": "4567"}}
    ledger = ledger_of(task(0), intent(0, (0, 1)), verdict(0, 1, Verdict.FAILED), intent(1, (0, 2)), written)
    found = [ledger.tasks[0].inputs_of(attempt)["POSCAR"] for attempt in (0, 1, 2, 3)]
    assert found == ["0123", "0123", "4567", "4567"]


def test_what_inputs_replace_is_known_too(ledger_of):
    """After a kill the folder may still have them."""
    first = {"event": "inputs", "task": 0, "attempt": 1, "inputs": {"POSCAR": "45"}}
    entry = ledger_of(task(0), first, {**first, "attempt": 2, "inputs": {}}, {**first, "inputs": {"a": "6"}}).tasks[0]
    assert entry.written == {1: {"a": "6"}, 2: {}}
    assert entry.replaced == {1: [{"POSCAR": "0123"}, {"POSCAR": "45"}], 2: [{"POSCAR": "45"}]}


def test_a_task_starts_over_after_an_error_of_its_own_program_alone(ledger_of):
    ledger = ledger_of(
        task(0), intent(0, (0, 1)), verdict(0, 1, Verdict.LOST), intent(1, (0, 2)), verdict(0, 2, Verdict.FAILED),
        intent(2, (0, 3)), verdict(0, 3, Verdict.LOST), intent(3, (0, 4)),
    )  # fmt: skip
    assert ledger.tasks[0].first == 3


def test_lines_of_the_version_before_are_read(ledger_of):
    old = {"event": "task", "task": 0, "identity": "sha", "command": "dp train", "inputs": ["input.json"]}
    ledger = ledger_of(old, intent(0, (0, 1)), submitted(0), state(0, "missing", at=3.0), verdict(0, 1, Verdict.DONE))
    assert (ledger.tasks[0].command, ledger.tasks[0].inputs_of(1)) == ("dp train", {"input.json": None})
    assert (ledger.jobs[0].host.name, ledger.jobs[0].host.boot, ledger.jobs[0].missing.boot) == ("login1", "", "")


def test_tasks_of_one_large_job_are_looked_up_and_not_searched_for(ledger_of):
    ledger = ledger_of(*(task(number) for number in range(300)), intent(0, *((number, 1) for number in range(300))))

    class Counting(tuple):
        __slots__ = ()
        searches = 0

        def __contains__(self, entry):
            Counting.searches += 1
            return super().__contains__(entry)

    ledger.jobs[0].tasks = Counting(ledger.jobs[0].tasks)
    assert ledger.waiting() == []
    assert Counting.searches == 0


class Counted(int):
    """A number that counts how often it is compared."""

    comparisons = 0
    limit = 1_000_000
    __hash__ = int.__hash__

    def __eq__(self, other):
        Counted.comparisons += 1
        assert Counted.comparisons < self.limit, "each task is searched for among all the others"
        return int(self) == int(other)


def test_the_work_of_counting_grows_with_the_tasks_of_a_job_and_not_with_their_square(ledger_of):
    size = 20_000
    ledger = ledger_of()
    for number in range(size):
        ledger.apply(task(number))
    ledger.apply(intent(0, *((number, 1) for number in range(size))))
    ledger.apply(submitted(0))
    ledger.apply(state(0, "running"))
    ledger.apply(verdict(7, 1, Verdict.DONE))
    for entry in ledger.tasks:
        entry.index, entry.attempt = Counted(entry.index), Counted(entry.attempt)
    ledger.jobs[0].tasks = tuple((Counted(number), Counted(attempt)) for number, attempt in ledger.jobs[0].tasks)
    assert ledger.counts() == {"total": size, "waiting": 0, "running": size - 1, "done": 1, "failed": 0}
    assert ledger.waiting() == []


# ---- any history, cut anywhere


def history(size, choices):
    """A legal history of ``size`` tasks: each choice picks one of the events that may come next."""
    ledger, events = Ledger(None), []

    def say(event):
        ledger.apply(event)
        events.append(event)

    for number in range(size):
        say(task(number))
    for choice in choices:
        legal = []
        free = [entry.index for entry in ledger.waiting()]
        if free:
            legal.append(intent(len(ledger.jobs), *((number, ledger.tasks[number].attempt + 1) for number in free[:2])))
        for job in ledger.open_jobs():
            if job.id is None:
                legal.append(submitted(job.index))
                continue
            legal += [state(job.index, "running"), state(job.index, "missing", at=1.5)]
            open_tasks = [
                (number, attempt)
                for number, attempt in job.tasks
                if ledger.tasks[number].attempt == attempt and ledger.tasks[number].verdict is None
            ]
            legal += [
                verdict(*pair, what)
                for pair in open_tasks
                for what in (Verdict.DONE, Verdict.LOST, Verdict.FAILED, Verdict.BROKEN)
            ]
            if not open_tasks:
                legal.append(state(job.index, "gone"))
        broken = [entry.index for entry in ledger.tasks if entry.verdict == Verdict.BROKEN]
        if broken:
            legal.append(new_round(ledger.rounds + 1, *broken))
        if not legal:
            break
        say(legal[choice % len(legal)])
    return text(*events).encode()


@settings(max_examples=60, deadline=None, database=None)
@given(st.integers(0, 4), st.lists(st.integers(0, 97), max_size=25), st.floats(0, 1))
def test_any_history_cut_at_any_byte_is_read_and_counts_each_task_once(tmp_path_factory, size, choices, part):
    path = tmp_path_factory.getbasetemp() / "cut.jsonl"
    whole = history(size, choices)
    path.write_bytes(whole[: round(part * len(whole))])
    ledger = Ledger.read(path)
    counts = ledger.counts()
    assert counts["total"] == len(ledger.tasks) <= size
    assert counts["total"] == counts["waiting"] + counts["running"] + counts["done"] + counts["failed"]
    assert min(counts.values()) >= 0
    taken = [
        number
        for job in ledger.open_jobs()
        for number, attempt in job.tasks
        if ledger.tasks[number].attempt == attempt and ledger.tasks[number].verdict is None
    ]
    settled = [entry.index for entry in ledger.tasks if entry.settled]
    assert sorted([*taken, *settled, *waiting(ledger)]) == list(range(len(ledger.tasks)))
