"""A new attempt at a task: whatever instant its making was killed at, the next driver completes it."""

import os
from pathlib import Path

import pytest

from dpgen2_hpc.dispatch import attempts
from dpgen2_hpc.dispatch.attempts import ensure_attempt, read_attempt, write_attempt
from dpgen2_hpc.errors import StateError
from dpgen2_hpc.state.ledger import TaskState
from dpgen2_hpc.state.workdir import StepFolder

INPUTS = ("input.json", "conf.lmp", "sub/deep.txt", "folder")


@pytest.fixture
def folder(tmp_path):
    """A step with one task whose first attempt has left files."""
    folder = StepFolder(tmp_path / "01.explore", "explore")
    task = folder.task(0)
    (folder.path / "shared").mkdir(parents=True)
    (folder.path / "shared" / "conf").write_text("atoms")
    (task / "sub").mkdir(parents=True)
    (task / "folder").mkdir()
    (task / "input.json").write_text("{}")
    (task / "conf.lmp").symlink_to("../shared/conf")
    (task / "sub" / "deep.txt").write_text("deep")
    (task / "folder" / "a").write_text("a")
    (task / "folder" / "link").symlink_to("a")
    write_attempt(task, 1)
    (task / "task.log").write_text("what went wrong")
    (task / "traj.dump").write_text("half")
    return folder


def second(attempt=2):
    return TaskState(0, "sha", "cmd", INPUTS, attempt=attempt, before="failed")


def nothing(task, old, new):
    """Carry nothing over."""


def contents(directory):
    return {
        str(path.relative_to(directory)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in sorted(directory.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


FRESH = {
    "attempt": "2\n",
    "conf.lmp": "-> ../shared/conf",
    "folder/a": "a",
    "folder/link": "-> a",
    "input.json": "{}",
    "sub/deep.txt": "deep",
}


def is_second_attempt(folder):
    """The new folder has the inputs alone, the old one everything it had."""
    assert contents(folder.task(0)) == FRESH
    old = contents(folder.attempt(0, 1))
    assert (old["attempt"], old["task.log"], old["traj.dump"]) == ("1\n", "what went wrong", "half")
    assert sorted(path.name for path in folder.path.iterdir()) == ["shared", "task.000000", "task.000000.attempt-1"]


def test_the_old_folder_is_set_aside_whole_and_the_new_one_has_the_inputs_alone(folder):
    inode = folder.task(0).stat().st_ino
    ensure_attempt(folder, second(), nothing)
    is_second_attempt(folder)
    assert folder.attempt(0, 1).stat().st_ino == inode  # a process that still lives there follows its folder


def test_a_folder_that_is_the_attempt_already_is_left_alone(folder):
    ensure_attempt(folder, second(), nothing)
    (folder.task(0) / "traj.dump").write_text("of the second")
    ensure_attempt(folder, second(), nothing)
    assert (folder.task(0) / "traj.dump").read_text() == "of the second"


def test_a_first_attempt_needs_nothing(folder):
    before = contents(folder.path)
    ensure_attempt(folder, second(attempt=1), nothing)
    assert contents(folder.path) == before


def test_a_third_attempt_keeps_the_evidence_of_both(folder):
    ensure_attempt(folder, second(), nothing)
    (folder.task(0) / "task.log").write_text("again")
    ensure_attempt(folder, second(attempt=3), nothing)
    assert (folder.attempt(0, 1) / "task.log").read_text() == "what went wrong"
    assert (folder.attempt(0, 2) / "task.log").read_text() == "again"
    assert read_attempt(folder.task(0)) == 3


def test_what_is_carried_over_is_in_the_new_folder_and_the_old_one_keeps_its_own(folder):
    def carry(task, old, new):
        (new / "restart").write_text((old / "traj.dump").read_text())
        (new / "input.json").write_text("other seeds")

    ensure_attempt(folder, second(), carry)
    assert contents(folder.task(0)) == {**FRESH, "restart": "half", "input.json": "other seeds"}
    assert (folder.attempt(0, 1) / "input.json").read_text() == "{}"


# ---- killed between any two acts


class Killed(BaseException):
    """Stands in for SIGKILL."""


ACTS = {
    "os.symlink": (os, "symlink"),
    "copy2": (attempts.shutil, "copy2"),
    "copytree": (attempts.shutil, "copytree"),
    "write_attempt": (attempts, "write_attempt"),
    "rename": (Path, "rename"),
    "mkdir": (Path, "mkdir"),
}


def test_killed_before_any_of_its_acts_it_is_completed_by_the_next_call(folder, tmp_path, monkeypatch):
    """Die before the first act, then before the second one of the next try, and so on."""
    deaths = 0
    while True:
        left = [deaths]

        def counting(real, left=left):
            def act(*args, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return real(*args, **kwargs)

            return act

        with monkeypatch.context() as patch:
            for place, name in ACTS.values():
                patch.setattr(place, name, counting(getattr(place, name)))
            try:
                ensure_attempt(folder, second(), nothing)
                break
            except Killed:
                deaths += 1
    assert deaths > 8
    is_second_attempt(folder)


def test_killed_while_the_new_folder_is_filled_it_is_filled_anew(folder):
    half = folder.path / "task.000000.new"
    half.mkdir()
    (half / "input.json").write_text("{")
    (half / "of another try").touch()
    ensure_attempt(folder, second(), nothing)
    is_second_attempt(folder)


def test_killed_between_the_two_renames_only_the_second_one_is_done(folder):
    ensure_attempt(folder, second(), nothing)
    folder.task(0).rename(folder.path / "task.000000.new")
    ensure_attempt(folder, second(), pytest.fail)
    is_second_attempt(folder)


def test_the_new_folder_gets_its_number_only_when_everything_else_is_in_it(folder):
    """A folder that bears the number counts."""

    def carry(task, old, new):
        assert read_attempt(new) is None
        assert sorted(contents(new)) == sorted(set(FRESH) - {"attempt"})

    ensure_attempt(folder, second(), carry)


def test_the_evidence_of_an_attempt_bears_the_number_of_that_attempt(folder):
    """An attempt whose job was never submitted has no folder: the one before it keeps its name."""
    ensure_attempt(folder, second(attempt=3), nothing)
    assert (folder.attempt(0, 1) / "task.log").read_text() == "what went wrong"
    assert read_attempt(folder.task(0)) == 3


def test_a_folder_that_somebody_removed_is_named(folder):
    folder.task(0).rename(folder.path / "away")
    with pytest.raises(StateError, match="task.000000' is missing"):
        ensure_attempt(folder, second(), nothing)


# ---- numbers


def test_the_number_of_a_folder_is_read_back(tmp_path):
    write_attempt(tmp_path, 12)
    assert (read_attempt(tmp_path), (tmp_path / "attempt").read_text()) == (12, "12\n")


def test_a_folder_without_a_number_is_no_attempt(tmp_path):
    assert read_attempt(tmp_path) is None
    assert read_attempt(tmp_path / "nowhere") is None
