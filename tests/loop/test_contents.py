"""Files that a run has taken up: their contents count, the run's copies are enough, and folders can be moved."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from project import write_initial_data

from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.systems import find, problems
from dpgen2_hpc.loop.contents import digest_system, kept_files, kept_systems, refuse_other_contents, trimmed_digest
from dpgen2_hpc.state.files import write_json, write_lines
from dpgen2_hpc.state.identity import digest_file
from dpgen2_hpc.state.workdir import WorkDir

pytestmark = pytest.mark.slow

FORCES = "set.000/force.npy"


# ---- one run's files, without a run


@pytest.fixture
def taken_up(tmp_path):
    """A work directory that has taken up a system and a pseudopotential beside it; both are settled."""
    write_initial_data(tmp_path / "data")
    potcar = tmp_path / "POTCAR.Al"
    potcar.write_text("PAW Al\n 3.0\nEnd\n")
    workdir = WorkDir(tmp_path / "work")
    workdir.fp_files.mkdir(parents=True)
    shutil.copy(potcar, workdir.fp_files / "POTCAR.Al")
    rows = [
        {"path": "../POTCAR.Al", "digest": digest_file(potcar), "trimmed": trimmed_digest(potcar), "name": "POTCAR.Al"}
    ]
    write_lines(workdir.files, rows)
    write_lines(
        workdir.initial_data,
        [{"path": f"../data/{name}", "digest": digest_system(tmp_path / "data" / name)} for name in systems(tmp_path)],
    )
    write_json(workdir.record, {})
    time.sleep(0.1)
    return workdir


def systems(folder):
    return sorted(path.name for path in (folder / "data").iterdir())


def refused(workdir):
    """The files that are named as changed."""
    try:
        refuse_other_contents(workdir)
    except InputError as error:
        lines = str(error).splitlines()
        assert "Change it back, or begin another run: dpgen2-hpc run -C DIR" in lines[-1]
        return [line.strip().strip("'") for line in lines if line.startswith("  ")]
    return []


def system(workdir):
    return workdir.root.parent / "data" / systems(workdir.root.parent)[0]


def negate(path):
    np.save(path, -np.load(path))


def _older_mtime(workdir):
    path = system(workdir) / FORCES
    negate(path)
    os.utime(path, (1e9, 1e9))


def _same_mtime(workdir):
    path = system(workdir) / FORCES
    before = path.stat()
    negate(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _copied_over(workdir):
    path = system(workdir) / FORCES
    other = workdir.root / "other.npy"
    np.save(other, -np.load(path))
    os.utime(other, (1e9, 1e9))
    subprocess.run(["cp", "-p", str(other), str(path)], check=True)


def _younger_notes(workdir):
    negate(system(workdir) / FORCES)
    workdir.initial_data.touch()
    if workdir.checked.exists():
        workdir.checked.touch()


def _in_the_future(workdir):
    path = system(workdir) / FORCES
    negate(path)
    os.utime(path, (4e9, 4e9))


def _added(workdir):
    shutil.copy(system(workdir) / "set.000/energy.npy", system(workdir) / "set.000/atom_ener.npy")


def _added_set(workdir):
    shutil.copytree(system(workdir) / "set.000", system(workdir) / "set.001")


def _removed(workdir):
    (system(workdir) / "set.000/virial.npy").unlink()


CHANGES = [_older_mtime, _same_mtime, _copied_over, _younger_notes, _in_the_future, _added, _added_set, _removed]


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "never checked"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_data_with_other_contents_are_refused(taken_up, change, noted):
    if noted:
        assert refused(taken_up) == []
        assert taken_up.checked.exists()
    change(taken_up)
    assert refused(taken_up) == [str(system(taken_up))]
    assert refused(taken_up) == [str(system(taken_up))]


def test_a_set_that_is_a_link_to_a_folder_counts_too(taken_up, tmp_path):
    folder = system(taken_up)
    (folder / "set.000").rename(tmp_path / "elsewhere")
    (folder / "set.000").symlink_to(tmp_path / "elsewhere")
    (folder / "set.000" / "loop").symlink_to(folder)
    write_lines(taken_up.initial_data, [{"path": f"../data/{folder.name}", "digest": digest_system(folder)}])
    time.sleep(0.1)
    assert refused(taken_up) == []
    negate(tmp_path / "elsewhere/force.npy")
    assert refused(taken_up) == [str(folder)]


def test_a_link_that_begins_to_lead_somewhere_is_a_new_file(taken_up, tmp_path):
    folder = system(taken_up)
    (folder / "set.000/virial2.npy").symlink_to(tmp_path / "nowhere")
    time.sleep(0.1)
    assert refused(taken_up) == []
    (tmp_path / "nowhere").write_text("now")
    assert refused(taken_up) == [str(folder)]


@pytest.mark.parametrize("change", [_older_mtime, _same_mtime], ids=lambda change: change.__name__)
def test_a_pseudopotential_is_checked_by_its_contents(taken_up, change):
    potcar = taken_up.root.parent / "POTCAR.Al"
    assert refused(taken_up) == []
    before = potcar.stat()
    potcar.write_text("PAW Al\n 4.0\nEnd\n")
    times = (before.st_mtime_ns, before.st_mtime_ns) if change is _same_mtime else (10**18, 10**18)
    os.utime(potcar, ns=times)
    assert refused(taken_up) == [str(potcar)]


@pytest.mark.parametrize("text", ["PAW Al\n 3.0\nEnd\n\n\n", "PAW Al  \n 3.0\t\nEnd", "PAW Al\r\n 3.0\r\nEnd\r\n"])
@pytest.mark.parametrize("older", [True, False], ids=["older run", "run of today"])
def test_a_file_with_other_white_space_at_line_ends_is_the_same(taken_up, text, older):
    if older:
        write_lines(
            taken_up.files,
            [{"path": str(taken_up.root.parent / "POTCAR.Al"), "digest": digest_file(taken_up.fp_files / "POTCAR.Al")}],
        )
    (taken_up.root.parent / "POTCAR.Al").write_bytes(text.encode())
    assert refused(taken_up) == []


@pytest.mark.parametrize("text", ["PAW Al\n3.0\nEnd\n", "PAW Al\n\n 3.0\nEnd\n", "PAW Al\n 3.0\n", ""])
def test_other_white_space_is_a_change(taken_up, text):
    (taken_up.root.parent / "POTCAR.Al").write_text(text)
    assert refused(taken_up) == [str(taken_up.root.parent / "POTCAR.Al")]


def test_in_a_binary_file_white_space_counts(taken_up):
    teacher = taken_up.root.parent / "teacher.pb"
    teacher.write_bytes(b"a\0b \n")
    write_lines(
        taken_up.files, [{"path": "../teacher.pb", "digest": digest_file(teacher), "trimmed": trimmed_digest(teacher)}]
    )
    teacher.write_bytes(b"a\0b\n")
    assert refused(taken_up) == [str(teacher)]


def test_a_file_that_is_gone_is_no_change_and_a_system_is(taken_up):
    (taken_up.root.parent / "POTCAR.Al").unlink()
    assert refused(taken_up) == []
    folder = system(taken_up)
    shutil.rmtree(folder)
    assert refused(taken_up) == [str(folder)]


def test_notes_of_another_form_are_not_believed(taken_up, monkeypatch):
    refuse_other_contents(taken_up)
    read = []
    monkeypatch.setattr("dpgen2_hpc.loop.contents.digest_file", lambda path: read.append(path) or digest_file(path))
    taken_up.checked.write_text(taken_up.checked.read_text().replace('"form":1', '"form":0'))
    assert refused(taken_up) == []
    assert read


# ---- the notes


NOTES = {
    "missing": None,
    "empty": "",
    "broken": '{"form": 1, "entries": {"../da',
    "binary": b"\xff\xfe\0",
    "a list": "[]",
    "of another form": '{"form": 0, "entries": {}}',
    "without entries": '{"form": 1}',
    "with strange entries": '{"form": 1, "entries": {"../data/Al2Cu2": 7, "../POTCAR.Al": {"digest": 1, "seen": []}}}',
    "deep": "[" * 100000,
}


@pytest.mark.parametrize("text", NOTES.values(), ids=NOTES)
def test_without_notes_that_can_be_read_contents_are_read_again(taken_up, text):
    refuse_other_contents(taken_up)
    whole = taken_up.checked.read_bytes()
    taken_up.checked.unlink()
    if text is not None:
        taken_up.checked.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert refused(taken_up) == []
    assert taken_up.checked.read_bytes() == whole
    taken_up.checked.unlink()
    if text is not None:
        taken_up.checked.write_bytes(text if isinstance(text, bytes) else text.encode())
    _older_mtime(taken_up)
    assert refused(taken_up) == [str(system(taken_up))]


def test_notes_that_cannot_be_written_stop_nothing(taken_up, caplog):
    taken_up.checked.mkdir()
    assert refused(taken_up) == []
    assert "cannot be written" in caplog.text


def test_a_copied_run_reads_contents_once(taken_up, tmp_path, monkeypatch):
    refuse_other_contents(taken_up)
    shutil.copytree(tmp_path, tmp_path.with_name("copy"), copy_function=shutil.copyfile)
    copy = WorkDir(tmp_path.with_name("copy") / "work")
    time.sleep(0.1)
    read = []
    monkeypatch.setattr("dpgen2_hpc.loop.contents.digest_file", lambda path: read.append(path) or digest_file(path))
    assert refused(copy) == []
    assert len(read) == 1 + sum(path.is_file() for path in (copy.root.parent / "data").rglob("*"))
    read.clear()
    assert refused(copy) == []
    assert read == []
    negate(system(copy) / FORCES)
    assert refused(copy) == [str(system(copy))]


def test_a_resume_takes_one_stat_for_each_file_and_folder_of_a_system(tmp_path, monkeypatch):
    """type.raw, type_map.raw, five arrays, and two folders: nine for a system of one set."""
    write_initial_data(tmp_path / "one")
    (one,) = (tmp_path / "one").iterdir()
    workdir = WorkDir(tmp_path / "work")
    workdir.inputs.mkdir(parents=True)
    rows = []
    for number in range(20):
        shutil.copytree(one, tmp_path / f"data/{number}")
        rows.append({"path": f"../data/{number}", "digest": digest_system(tmp_path / f"data/{number}")})
    write_lines(workdir.initial_data, rows)
    write_lines(workdir.files, [])
    time.sleep(0.1)
    refuse_other_contents(workdir)
    calls = []
    for name in ("stat", "lstat", "scandir", "listdir", "open", "readlink"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda path, *more, real=real, **named: calls.append(path) or real(path, *more, **named)
        )
    refuse_other_contents(workdir)
    about_data = [path for path in calls if f"{tmp_path}/data" in str(path)]
    entries = sum(1 for _ in (tmp_path / "data/0").rglob("*")) + 1
    assert entries == 9
    assert len(about_data) == 20 * entries + 0


def test_a_resume_asks_nothing_else_of_a_system_before_its_contents_are_compared(taken_up, monkeypatch):
    folder = system(taken_up)
    kept = kept_systems(taken_up)
    asked = []
    for name in ("stat", "lstat", "open", "listdir"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda path, *more, real=real, **named: asked.append(str(path)) or real(path, *more, **named)
        )
    monkeypatch.setattr("dpgen2_hpc.inputs.systems.inspect", lambda path: asked.append(str(path)))
    inputs = {"init_data_sys": ["data/*"], "init_data_prefix": None}
    (pattern,) = find(inputs, folder.parent.parent, kept)
    assert [one.folder for one in pattern.systems] == [folder]
    assert [path for path in asked if str(folder) in path] == []
    assert list(problems([pattern], ["Al", "Cu"])) == []
    (pattern,) = find(inputs, folder.parent.parent)
    assert str(folder) in asked


# ---- paths


def test_paths_in_and_beside_the_work_directory_are_kept_relative(tmp_path):
    workdir = WorkDir(tmp_path / "project/work")
    kept = {
        path: workdir.kept(tmp_path / path) for path in ("project/work/x", "project/x/y", "project", "x", "projects")
    }
    assert kept["project/work/x"] == "x"
    assert kept["project/x/y"] == "../x/y"
    assert kept["x"] == str(tmp_path / "x")
    assert kept["projects"] == str(tmp_path / "projects")
    assert WorkDir(Path("/work")).kept("/etc/x") == "/etc/x"
    assert workdir.kept("../x") == "../x"


def test_only_files_with_a_copy_count_as_kept(taken_up):
    assert kept_files(taken_up) == {str(taken_up.root.parent / "POTCAR.Al")}
    (taken_up.fp_files / "POTCAR.Al").unlink()
    assert kept_files(taken_up) == set()
    assert kept_files(WorkDir(taken_up.root / "nothing")) == set()
