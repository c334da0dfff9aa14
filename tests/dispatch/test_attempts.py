"""A new attempt at a task: whatever instant its making was killed at, the next driver completes it."""

import logging
from pathlib import Path

import pytest

from dpgen2_hpc.dispatch import attempts
from dpgen2_hpc.dispatch.attempts import ensure_attempt, read_attempt, write_attempt
from dpgen2_hpc.errors import StateError
from dpgen2_hpc.state.identity import digest_file, digest_folder
from dpgen2_hpc.state.ledger import Ledger, Task
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.workdir import StepFolder

WRITTEN = {"input.json": "{}", "sub/deep.txt": "deep"}


class Writer:
    """Writes the inputs of a task, as a step does; a test may change what it writes."""

    def __init__(self):
        self.written = dict(WRITTEN)
        self.carry = lambda task, old, new: None

    def write(self, task, directory):
        for name, text in self.written.items():
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text(text)
        (directory / "conf.lmp").symlink_to("../shared/conf")
        (directory / "folder").mkdir()
        (directory / "folder" / "a").write_text("a")
        (directory / "folder" / "link").symlink_to("a")
        names = {name: digest_file(directory / name) for name in (*self.written, "conf.lmp")}
        return {**names, "folder": digest_folder(directory / "folder")}

    def carry_over(self, task, old, new):
        self.carry(task, old, new)


class Bench:
    """A step with one task whose first attempt has left files, and the ledger that knows it."""

    def __init__(self, root):
        self.folder = StepFolder(root / "01.explore", "explore")
        self.writer = Writer()
        (self.folder.path / "shared").mkdir(parents=True)
        (self.folder.path / "shared" / "conf").write_text("atoms")
        task = self.folder.task(0)
        task.mkdir()
        digests = self.writer.write(None, task)
        Ledger.create(self.folder.ledger, [Task("sha", digests)])
        self.ledger = Ledger.read(self.folder.ledger, Lock.acquire(root / "lock"))
        write_attempt(task, 1)
        (task / "task.log").write_text("what went wrong")
        (task / "traj.dump").write_text("half")

    def ensure(self, attempt=2, **more):
        """Make the folder that of an attempt."""
        state = self.ledger.tasks[0]
        state.attempt, state.before = attempt, "failed"
        ensure_attempt(self.ledger, self.folder, state, self.writer, **more)

    def again(self):
        """Read the ledger as the next driver does."""
        self.ledger = Ledger.read(self.folder.ledger, self.ledger.lock)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.fixture
def folder(bench):
    return bench.folder


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
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "batch.jsonl",
        "shared",
        "task.000000",
        "task.000000.attempt-1",
    ]


def test_the_old_folder_is_kept_whole_and_the_new_one_has_the_inputs_alone(bench, folder):
    inode = folder.task(0).stat().st_ino
    bench.ensure()
    is_second_attempt(folder)
    assert folder.attempt(0, 1).stat().st_ino == inode  # a process that still lives there follows its folder


def test_a_folder_that_is_the_attempt_already_is_left_alone(bench, folder):
    bench.ensure()
    (folder.task(0) / "traj.dump").write_text("of the second")
    bench.ensure()
    assert (folder.task(0) / "traj.dump").read_text() == "of the second"


def test_a_first_attempt_needs_nothing(bench, folder):
    before = contents(folder.path)
    bench.ensure(1)
    assert contents(folder.path) == before


def test_a_third_attempt_keeps_the_evidence_of_both(bench, folder):
    bench.ensure()
    (folder.task(0) / "task.log").write_text("again")
    bench.ensure(3)
    assert (folder.attempt(0, 1) / "task.log").read_text() == "what went wrong"
    assert (folder.attempt(0, 2) / "task.log").read_text() == "again"
    assert read_attempt(folder.task(0)) == 3


def test_what_is_carried_over_is_in_the_new_folder_and_the_old_one_keeps_its_own(bench, folder):
    def carry(task, old, new):
        (new / "restart").write_text((old / "traj.dump").read_text())
        (new / "input.json").write_text("other seeds")

    bench.writer.carry = carry
    bench.ensure()
    assert contents(folder.task(0)) == {**FRESH, "restart": "half", "input.json": "other seeds"}
    assert (folder.attempt(0, 1) / "input.json").read_text() == "{}"


# ---- killed between any two acts


class Killed(BaseException):
    """What SIGKILL does."""


ACTS = {
    "append": (Ledger, "append"),
    "rmtree": (attempts.shutil, "rmtree"),
    "symlink_to": (Path, "symlink_to"),
    "copy2": (attempts.shutil, "copy2"),
    "copytree": (attempts.shutil, "copytree"),
    "write_attempt": (attempts, "write_attempt"),
    "rename": (Path, "rename"),
    "mkdir": (Path, "mkdir"),
}


def killed_everywhere(bench, monkeypatch, attempt=2, **more):
    """Die before the first act, then before the second one of the next try, and so on, each time as a new driver."""
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
                bench.again()
                bench.ensure(attempt, **more)
                break
            except Killed:
                deaths += 1
    assert deaths > 8


def test_killed_before_any_of_its_acts_it_is_completed_by_the_next_call(bench, folder, monkeypatch):
    killed_everywhere(bench, monkeypatch)
    is_second_attempt(folder)


@pytest.mark.parametrize("changes", [False, True], ids=["same settings", "changed settings"])
def test_an_edit_survives_every_kill_and_nothing_else_is_taken_for_one(bench, folder, monkeypatch, caplog, changes):
    (folder.task(0) / "sub" / "deep.txt").write_text("mine")
    if changes:
        bench.writer.written.update({"input.json": "new", "sub/deep.txt": "new"})
    with caplog.at_level(logging.INFO):
        killed_everywhere(bench, monkeypatch)
    assert contents(folder.task(0)) == {**FRESH, "sub/deep.txt": "mine", "input.json": "new" if changes else "{}"}
    assert "input.json was edited" not in caplog.text


def test_a_first_attempt_that_is_written_again_is_completed_after_any_kill(bench, folder, monkeypatch, caplog):
    (folder.task(0) / "task.log").unlink()
    (folder.task(0) / "traj.dump").unlink()
    (folder.task(0) / "sub" / "deep.txt").write_text("mine")
    bench.writer.written.update({"input.json": "new", "sub/deep.txt": "new"})
    with caplog.at_level(logging.INFO):
        killed_everywhere(bench, monkeypatch, attempt=1, refresh=True)
    assert contents(folder.task(0)) == {**FRESH, "attempt": "1\n", "input.json": "new", "sub/deep.txt": "mine"}
    assert "input.json was edited" not in caplog.text
    assert sorted(path.name for path in folder.path.iterdir()) == ["batch.jsonl", "shared", "task.000000"]
    bench.again()
    bench.writer.written["input.json"] = "newer"
    bench.ensure(2)
    assert (folder.task(0) / "input.json").read_text() == "newer"
    assert (folder.task(0) / "sub" / "deep.txt").read_text() == "mine"


def test_killed_while_the_new_folder_is_filled_it_is_filled_again(bench, folder):
    half = folder.path / "task.000000.new"
    half.mkdir()
    (half / "input.json").write_text("{")
    (half / "of another try").touch()
    bench.ensure()
    is_second_attempt(folder)


def test_killed_between_the_two_renames_only_the_second_one_is_done(bench, folder):
    bench.ensure()
    folder.task(0).rename(folder.path / "task.000000.new")
    bench.writer.carry = pytest.fail
    bench.ensure()
    is_second_attempt(folder)


def test_the_new_folder_gets_its_number_only_when_everything_else_is_in_it(bench, folder):
    """A folder that has the number counts."""

    def carry(task, old, new):
        assert read_attempt(new) is None
        assert sorted(contents(new)) == sorted(set(FRESH) - {"attempt"})

    bench.writer.carry = carry
    bench.ensure()


def test_the_folder_that_is_kept_has_the_number_of_its_own_attempt(bench, folder):
    """An attempt whose job was never submitted has no folder: the one before it keeps its name."""
    bench.ensure(3)
    assert (folder.attempt(0, 1) / "task.log").read_text() == "what went wrong"
    assert read_attempt(folder.task(0)) == 3


def test_a_folder_that_somebody_removed_is_named(bench, folder):
    folder.task(0).rename(folder.path / "away")
    with pytest.raises(StateError, match="task.000000' is missing"):
        bench.ensure()


# ---- today's settings, and what the user has edited


def test_a_changed_setting_reaches_the_next_attempt_and_the_old_one_keeps_its_own(bench, folder):
    bench.writer.written["input.json"] = '{"nelm": 200}'
    bench.ensure()
    assert (folder.task(0) / "input.json").read_text() == '{"nelm": 200}'
    assert (folder.attempt(0, 1) / "input.json").read_text() == "{}"


def test_a_file_that_the_user_edited_is_kept_by_this_attempt_and_the_next_ones(bench, folder, caplog):
    (folder.task(0) / "input.json").write_text('{"mine": 1}')
    bench.writer.written["input.json"] = '{"nelm": 200}'
    with caplog.at_level(logging.INFO):
        bench.ensure()
    assert "input.json was edited by hand; your version is used" in caplog.text
    assert (folder.task(0) / "input.json").read_text() == '{"mine": 1}'
    bench.again()
    bench.ensure(3)
    assert (folder.task(0) / "input.json").read_text() == '{"mine": 1}'


def test_what_was_written_for_an_earlier_attempt_is_not_taken_for_an_edit(bench, folder, caplog):
    bench.writer.written["input.json"] = "two"
    bench.ensure()
    bench.again()
    bench.writer.written["input.json"] = "three"
    with caplog.at_level(logging.INFO):
        bench.ensure(3)
    assert (folder.task(0) / "input.json").read_text() == "three"
    assert "edited" not in caplog.text


def test_a_link_that_the_user_replaced_by_a_file_is_an_edit(bench, folder):
    (folder.task(0) / "conf.lmp").unlink()
    (folder.task(0) / "conf.lmp").write_text("my atoms")
    bench.ensure()
    assert not (folder.task(0) / "conf.lmp").is_symlink()
    assert (folder.task(0) / "conf.lmp").read_text() == "my atoms"


@pytest.mark.parametrize("target", ["../my.lmp", "input.json", "nowhere", "folder"])
def test_a_link_that_the_user_led_elsewhere_is_an_edit(bench, folder, caplog, target):
    """As `ln -sf` does it, to a file or a folder of the user's own, even one that is not there yet."""
    (folder.path / "my.lmp").write_text("my atoms")
    (folder.task(0) / "conf.lmp").unlink()
    (folder.task(0) / "conf.lmp").symlink_to(target)
    with caplog.at_level(logging.INFO):
        bench.ensure()
    assert str((folder.task(0) / "conf.lmp").readlink()) == target
    assert "conf.lmp was edited by hand" in caplog.text
    bench.again()
    bench.ensure(3)
    assert str((folder.task(0) / "conf.lmp").readlink()) == target


def test_a_link_of_a_plugin_to_a_place_of_its_own_is_no_edit(bench, folder, tmp_path, caplog):
    (tmp_path / "basis").write_text("atoms")  # the content that the digest is of
    (folder.task(0) / "conf.lmp").unlink()
    (folder.task(0) / "conf.lmp").symlink_to(tmp_path / "basis")
    with caplog.at_level(logging.INFO):
        bench.ensure()
    assert str((folder.task(0) / "conf.lmp").readlink()) == "../shared/conf"
    assert "edited" not in caplog.text


@pytest.mark.parametrize("name", ["input.json", "folder"])
def test_an_input_that_the_user_replaced_by_a_link_is_an_edit(bench, folder, caplog, name):
    (folder.path / "mine").mkdir()
    (folder.path / "mine" / "a").write_text("my a")
    target = "../mine" if name == "folder" else "../mine/a"
    (folder.task(0) / name).rename(folder.path / "away")
    (folder.task(0) / name).symlink_to(target)
    with caplog.at_level(logging.INFO):
        bench.ensure()
    assert str((folder.task(0) / name).readlink()) == target
    assert f"{name} was edited by hand" in caplog.text


def test_a_link_to_a_shared_file_of_other_settings_is_no_edit(bench, folder, caplog):
    """Shared files have a digest in their names: those of changed settings are others."""
    (folder.path / "shared" / "conf.old").write_text("old atoms")
    (folder.task(0) / "conf.lmp").unlink()
    (folder.task(0) / "conf.lmp").symlink_to("../shared/conf.old")
    with caplog.at_level(logging.INFO):
        bench.ensure()
    assert str((folder.task(0) / "conf.lmp").readlink()) == "../shared/conf"
    assert "edited" not in caplog.text


def test_an_edited_folder_is_an_edit_and_a_deleted_input_is_written_again(bench, folder):
    (folder.task(0) / "folder" / "b").write_text("mine")
    (folder.task(0) / "input.json").unlink()
    bench.ensure()
    assert (folder.task(0) / "folder" / "b").read_text() == "mine"
    assert (folder.task(0) / "input.json").read_text() == "{}"


def test_a_first_attempt_that_waits_is_written_again_when_settings_have_changed(bench, folder):
    (folder.task(0) / "task.log").unlink()
    (folder.task(0) / "traj.dump").unlink()
    (folder.task(0) / "sub" / "deep.txt").write_text("mine")
    bench.writer.written.update({"input.json": "new", "sub/deep.txt": "new"})
    bench.ensure(1, refresh=True)
    assert (folder.task(0) / "input.json").read_text() == "new"
    assert (folder.task(0) / "sub" / "deep.txt").read_text() == "mine"
    assert sorted(path.name for path in folder.path.iterdir()) == ["batch.jsonl", "shared", "task.000000"]


@pytest.mark.parametrize("attempt", [1, 2])
def test_an_empty_number_that_a_full_disk_left_is_no_end(bench, folder, attempt):
    (folder.task(0) / "attempt").write_text("")
    bench.ensure(attempt)
    assert read_attempt(folder.task(0)) == attempt
    assert folder.attempt(0, 1).exists() == (attempt == 2)


def test_a_ledger_that_knows_no_digests_keeps_the_files_as_they_are(bench, folder, caplog):
    """The version before linked to other places, and its links are made again."""
    bench.ledger.tasks[0].written = {1: {"input.json": None, "conf.lmp": None}}
    (folder.task(0) / "input.json").write_text("of the version before")
    (folder.task(0) / "conf.lmp").unlink()
    (folder.task(0) / "conf.lmp").symlink_to("/somewhere/conf")
    with caplog.at_level(logging.INFO):
        bench.ensure()
    assert (folder.task(0) / "input.json").read_text() == "of the version before"
    assert str((folder.task(0) / "conf.lmp").readlink()) == "../shared/conf"
    assert "edited" not in caplog.text


# ---- numbers


def test_the_number_of_a_folder_is_read_back(tmp_path):
    write_attempt(tmp_path, 12)
    assert (read_attempt(tmp_path), (tmp_path / "attempt").read_text()) == (12, "12\n")


def test_a_folder_without_a_number_is_no_attempt(tmp_path):
    assert read_attempt(tmp_path) is None
    assert read_attempt(tmp_path / "nowhere") is None
