"""The record: where a run is, its one legal way on, and the file that says so."""

import errno
import itertools
import json
import os
from dataclasses import replace

import pytest

from dpgen2_hpc.errors import LockHeld, StateError
from dpgen2_hpc.state import files
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.record import PHASES, Home, Record, RecordFile, is_moved, read_record, refuse_contradictions
from dpgen2_hpc.state.workdir import STEPS

HOME = Home("login1", "/home/user/run", 17)

ROW = {
    "index": 0, "stage": 0, "index_in_stage": 0, "converged": False,
    "explored": 10, "accurate": 2, "candidate": 5, "failed": 2, "invalid": 1,
    "selected": 3, "filtered": 0, "duplicate": 0, "not_drawn": 2, "labelled": 3, "dropped": 0,
    "level_f_lo": 0.05, "level_f_hi": 0.5,
}  # fmt: skip


def a_record(**more):
    return Record(**{"identity": "abcd", "home": HOME, "seed": 3, "sequence": 7, **more})


SECOND = a_record(iteration=1, index_in_stage=1, step="fp", phase="submitted", iterations=(ROW,))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "record.json"


@pytest.fixture
def edited(path):
    """Write the second iteration's record with some fields changed by hand, and read it."""

    def edit(*gone, **changes):
        value = {**json.loads(SECOND.text()), **changes}
        path.write_text(json.dumps({name: entry for name, entry in value.items() if name not in gone}))
        return read_record(path)

    return edit


# ---- the way on


def test_a_new_run_is_before_the_first_training_and_has_an_identity_of_its_own(tmp_path):
    one, other = Record.begin(tmp_path, 5), Record.begin(tmp_path, 5)
    assert (one.sequence, one.stage, one.iteration, one.step, one.phase, one.seed) == (0, 0, 0, "train", "pending", 5)
    assert (one.home, one.identity != other.identity) == (Home.of(tmp_path), True)


def test_the_phases_and_steps_follow_each_other_to_the_end_of_the_iteration():
    record, seen = a_record(), []
    while (record.step, record.phase) != ("collect", "harvested"):
        seen.append((record.step, record.phase))
        record = record.advanced()
    seen.append((record.step, record.phase))
    assert seen == list(itertools.product(STEPS, PHASES))


def test_what_comes_after_the_last_step_is_not_the_records_to_say():
    with pytest.raises(StateError, match="iteration 0: 'collect' is already harvested"):
        a_record(step="collect", phase="harvested").advanced()


def test_advancing_forgets_why_user_action_was_needed():
    assert a_record(phase="finished", blocked={"reason": "r", "advice": "a"}).advanced().blocked is None


def test_a_finished_step_reopens_and_no_other():
    assert a_record(phase="finished", blocked={"reason": "r", "advice": "a"}).reopened() == a_record(phase="submitted")
    for phase in set(PHASES) - {"finished"}:
        with pytest.raises(StateError, match=f"'train' is {phase}.* reopens"):
            a_record(phase=phase).reopened()


def test_the_next_iteration_begins_with_training_in_the_stage_that_the_schedule_names():
    over = a_record(
        step="collect", phase="harvested", iterations=(ROW,), complete={"reason": "r"}, blocked={"reason": "r"}
    )
    record = over.next_iteration(2, 0)
    assert (record.iteration, record.stage, record.index_in_stage) == (1, 2, 0)
    assert (record.step, record.phase, record.blocked, record.complete) == ("train", "pending", None, None)
    assert record.iterations == (ROW,)


# ---- text


@pytest.mark.parametrize(
    "record",
    [
        a_record(),
        SECOND,
        a_record(blocked={"reason": 'a "word"\nand a line', "advice": "größe", "tasks": []}),
        a_record(
            step="collect", phase="harvested", iterations=(ROW,), complete={"reason": "r", "models": ["m"], "note": "n"}
        ),
        a_record(iteration=2, iterations=(ROW, {**ROW, "index": 1, "continued": [{"model": 0, "step": 10}]})),
    ],
)
def test_what_is_written_is_read_back_equal(path, record):
    path.write_text(record.text(), encoding="utf-8")
    assert read_record(path) == record


def test_the_text_is_json_with_a_line_for_each_field_and_each_iteration():
    lines = a_record(iteration=2, iterations=(ROW, ROW)).text().splitlines()
    assert json.loads("".join(lines))["schema"] == 2
    assert sum('"explored"' in line for line in lines) == 2
    assert len(lines) == 2 + len(json.loads("".join(lines))) + 2


# ---- edits by hand


def test_an_unknown_schema_is_refused_and_named(edited):
    for schema in (0, 3, "1", None, True):
        with pytest.raises(StateError, match=f"has schema {schema!r}; this version reads 1"):
            edited(schema=schema)


def test_a_record_of_schema_1_is_read_with_what_it_did_not_know_yet(edited):
    added = ("tasks", "lists", "rewinds", "began")
    assert edited(*added, schema=1) == replace(SECOND, tasks=None, lists=None, rewinds=0, began=None)
    with pytest.raises(StateError, match="has no field 'tasks'"):
        edited(*added, schema=2)
    with pytest.raises(StateError, match="has no field 'seed'"):
        edited(*added, "seed", schema=1)


def test_a_record_of_schema_1_is_written_as_one_of_today(edited, path):
    read = edited("tasks", "lists", "rewinds", "began", schema=1)
    path.write_text(read.text())
    assert json.loads(path.read_text())["schema"] == 2
    assert read_record(path) == read


def test_a_file_that_holds_no_object_is_refused(path):
    path.write_text("[]")
    with pytest.raises(StateError, match="does not hold an object"):
        read_record(path)


@pytest.mark.parametrize("name", sorted(set(json.loads(SECOND.text())) - {"schema"}))
def test_a_field_that_is_missing_is_named(edited, name):
    with pytest.raises(StateError, match=f"record.json' has no field '{name}'"):
        edited(name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (name, value)
            for name in ("seed", "stage", "index_in_stage", "iteration")
            for value in (-1, 1.0, "1", None, True)
        ),
        *(("sequence", value) for value in (0, -1, "7", None, True, 7.0)),
        *(("identity", value) for value in ("", None, 5, [])),
        *(
            ("home", value)
            for value in (None, {}, "here", {**HOME.__dict__, "inode": "17"}, {**HOME.__dict__, "more": 1})
        ),
        ("home", {**HOME.__dict__, "inode": True}),
        ("home", {"host": "a", "path": "b"}),
        *(("step", value) for value in ("Train", "label", None, 3, [])),
        *(("phase", value) for value in ("done", "", None, 0, {})),
        *(("blocked", value) for value in (True, "because", [], 0, {}, {"reason": 5})),
        *(("complete", value) for value in (True, "because", [], 0, {}, {"reason": 5})),
        *(("tasks", value) for value in (-1, True, "3", 2.0)),
        *(("lists", value) for value in ([], "a", {"init_data.jsonl": 5}, {"init_data.jsonl": None})),
        *(("rewinds", value) for value in (-1, None, True, "1")),
        *(("began", value) for value in (0, True, [])),
        *(("iterations", value) for value in (None, {}, "", [1], [None])),
    ],
)
def test_a_field_with_an_impossible_value_is_named_with_what_was_expected(edited, name, value):
    with pytest.raises(StateError, match=f"record.json': {name} must be .*, found"):
        edited(**{name: value})


def test_a_field_that_nobody_knows_is_named(edited):
    with pytest.raises(StateError, match="has an unknown field 'phse'"):
        edited(phse="submitted")


def test_a_report_of_an_iteration_without_one_of_its_fields_is_refused_by_its_name(edited):
    for name in set(ROW) - {"level_f_lo", "level_f_hi"}:
        with pytest.raises(StateError, match=f"iterations.*{name}"):
            edited(iterations=[{key: entry for key, entry in ROW.items() if key != name}])


def test_a_report_of_an_iteration_with_an_impossible_value_is_refused_by_its_name(edited):
    for change in ({"explored": "10"}, {"stage": None}, {"converged": 1}, {"labelled": -3}):
        with pytest.raises(StateError, match=f"iterations.*{next(iter(change))}"):
            edited(iterations=[{**ROW, **change}])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"explored": 11}, r"explored is 11, but accurate \+ candidate \+ failed \+ invalid is 10"),
        ({"invalid": 0}, "explored is 10, but .* is 9"),
        ({"candidate": 6, "accurate": 1}, r"candidate is 6, but selected \+ filtered \+ duplicate \+ not_drawn is 5"),
        ({"selected": 4, "not_drawn": 1}, r"selected is 4, but labelled \+ dropped is 3"),
        ({"dropped": 1}, "selected is 3, but .* is 4"),
    ],
)
def test_a_report_whose_numbers_do_not_add_up_is_refused_with_the_sum(edited, changes, says):
    with pytest.raises(StateError, match=rf"iterations\[0\]: {says}") as error:
        edited(iterations=[{**ROW, **changes}])
    assert error.value.path.name == "record.json"


@pytest.mark.parametrize(("iteration", "rows"), [(0, 1), (1, 0), (1, 2), (5, 1)])
def test_a_record_that_disagrees_with_its_own_reports_is_refused(edited, iteration, rows):
    with pytest.raises(
        StateError, match=f"{rows} iterations are reported, but the run stands in iteration {iteration}"
    ):
        edited(iteration=iteration, iterations=[ROW] * rows)


def test_a_collected_iteration_has_its_report(edited):
    assert edited(step="collect", phase="harvested", iterations=[ROW, {**ROW, "index": 1}]).iteration == 1
    with pytest.raises(StateError, match="1 iterations are reported"):
        edited(step="collect", phase="harvested")


LATER = {**ROW, "index": 1, "index_in_stage": 1}


@pytest.mark.parametrize(
    ("rows", "iteration", "legal", "says"),
    [
        ((), 0, [(0, 0)], "0 and 0"),
        ((ROW,), 1, [(0, 1), (1, 0)], "0 and 1 or 1 and 0"),
        ((ROW,), 0, [(0, 0)], "0 and 0"),  # its last iteration is collected, and the next has not begun
        ((ROW, {**LATER, "stage": 1, "index_in_stage": 0}), 2, [(1, 1), (2, 0)], "1 and 1 or 2 and 0"),
    ],
)
def test_a_stage_that_does_not_follow_from_the_reports_is_refused_with_what_would(path, rows, iteration, legal, says):
    for stage in range(4):
        for index in range(4):
            record = a_record(iterations=rows, iteration=iteration, stage=stage, index_in_stage=index)
            if (stage, index) in legal:
                refuse_contradictions(record, path)
                continue
            with pytest.raises(StateError, match=f"stage and index_in_stage are {stage} and {index}; .* be {says}"):
                refuse_contradictions(record, path)


def test_reports_in_another_order_are_refused_by_their_index(path):
    for rows in ((LATER, ROW), (ROW, ROW), ({**ROW, "index": 5}, LATER)):
        record = a_record(iterations=rows, iteration=2, index_in_stage=2)
        with pytest.raises(StateError, match=r"iterations\[[01]\].index must be [01], found [015]\."):
            refuse_contradictions(record, path)


# ---- the file


@pytest.fixture
def file(path):
    return RecordFile(path, Lock.acquire(path.with_name("lock")))


def test_each_commit_has_a_larger_number_and_is_what_is_read(file):
    first = file.commit(a_record(sequence=0))
    second = file.commit(first.advanced())
    assert (first.sequence, second.sequence, read_record(file.path)) == (1, 2, second)


def test_a_commit_over_a_foreign_sequence_is_refused_and_overwrites_nothing(file):
    record = file.commit(a_record(sequence=0))
    text = replace(record, sequence=9).text()
    file.path.write_text(text)
    with pytest.raises(StateError, match="has sequence 9, this driver wrote 1"):
        file.commit(record.advanced())
    assert file.path.read_text() == text


def test_a_commit_after_the_record_was_removed_is_refused(file):
    record = file.commit(a_record(sequence=0))
    file.path.unlink()
    with pytest.raises(StateError, match="has sequence 0, this driver wrote 1"):
        file.commit(record.advanced())
    assert not file.path.exists()


def test_a_new_run_does_not_overwrite_a_record_that_is_there(file):
    file.path.write_text(SECOND.text())
    with pytest.raises(StateError, match="has sequence 7"):
        file.commit(a_record(sequence=0))


def test_a_commit_without_the_lock_is_refused_and_writes_nothing(file):
    record = file.commit(a_record(sequence=0))
    text = file.path.read_text()
    file.lock.path.unlink()
    with pytest.raises(LockHeld):
        file.commit(record.advanced())
    assert file.path.read_text() == text


def fail_fsync(monkeypatch, fails):
    """Let the file server restart at the fsync that ``fails`` says, by its number."""
    calls, real = itertools.count(1), os.fsync

    def fsync(descriptor):
        if next(calls) == fails:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)


@pytest.mark.parametrize(("fails", "holds"), [(1, "old"), (2, "new")], ids=["of the file", "of the folder"])
def test_after_an_interrupted_commit_the_record_is_the_one_that_is_on_the_disk(file, monkeypatch, fails, holds):
    """The file's fsync comes before the rename, that of its folder after it: the new record is there already."""
    old = file.commit(a_record(sequence=0))
    with monkeypatch.context() as patch:
        fail_fsync(patch, fails)
        with pytest.raises(OSError, match="Stale"):
            file.commit(old.advanced())
    record = file.after_interruption(old)
    assert record == (old if holds == "old" else replace(old.advanced(), sequence=2))
    assert record == read_record(file.path)
    assert file.commit(record.advanced()).sequence == record.sequence + 1


def test_an_interrupted_first_commit_leaves_a_run_that_has_not_begun(file, monkeypatch):
    new = a_record(sequence=0)
    with monkeypatch.context() as patch:
        fail_fsync(patch, 1)
        with pytest.raises(OSError, match="Stale"):
            file.commit(new)
    assert file.after_interruption(new) == new
    assert file.commit(new).sequence == 1


def test_a_record_that_another_has_written_is_not_taken_up_after_an_interruption(file):
    """Else an edit by hand, or a successor's record, would pass for this driver's own."""
    old = file.commit(a_record(sequence=0))
    file.path.write_text(replace(old.advanced(), sequence=2).text())
    assert file.after_interruption(old) == old
    with pytest.raises(StateError, match="has sequence 2, this driver wrote 1"):
        file.commit(old.advanced())


# ---- moved, or copied


@pytest.fixture
def here(tmp_path):
    (tmp_path / "run").mkdir()
    return Home.of(tmp_path / "run")


def test_a_directory_that_is_where_it_was_has_not_moved(here):
    assert is_moved(here, here) is False


def test_a_directory_that_was_put_back_from_a_backup_has_not_moved(here):
    assert is_moved(replace(here, inode=here.inode + 1), here) is False


def test_a_renamed_directory_has_moved(here, tmp_path):
    os.rename(tmp_path / "run", tmp_path / "elsewhere")
    now = Home.of(tmp_path / "elsewhere")
    assert (now.inode, is_moved(here, now)) == (here.inode, True)


def test_a_directory_whose_old_place_is_empty_has_moved_to_another_disk(here, tmp_path):
    os.rename(tmp_path / "run", tmp_path / "elsewhere")
    assert is_moved(replace(here, inode=here.inode + 1), Home.of(tmp_path / "elsewhere")) is True


def test_a_directory_whose_original_still_exists_is_a_copy_and_told_how_to_live_on(here, tmp_path):
    (tmp_path / "copy").mkdir()
    with pytest.raises(StateError, match=f"copy of '{here.path}', which still exists.*--new-identity"):
        is_moved(here, Home.of(tmp_path / "copy"))


def test_a_dangling_link_in_the_old_place_still_counts_as_something_there(here, tmp_path):
    (tmp_path / "copy").mkdir()
    os.rmdir(here.path)
    os.symlink("/nowhere", here.path)
    with pytest.raises(StateError, match="copy of"):
        is_moved(here, Home.of(tmp_path / "copy"))


def test_the_same_directory_seen_from_another_login_node_has_not_moved(here):
    """A cluster has several; with jobs in the queue a move would be refused."""
    assert is_moved(replace(here, host="login2"), here) is False


def test_a_path_is_told_without_links(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    assert Home.of(tmp_path / "link") == Home.of(tmp_path / "run")
