"""What a task wrote comes back as it is, also from another file system, and after a kill at any act."""

import errno
import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dpgen2_hpc.dispatch import transfer
from dpgen2_hpc.dispatch.transfer import bring_back, written


@pytest.fixture
def folders(tmp_path):
    source, target = tmp_path / "there", tmp_path / "here"
    (source / "deep" / "er").mkdir(parents=True)
    target.mkdir()
    (source / "model.ckpt-20.index").write_text("twenty")
    (source / "model.ckpt.index").symlink_to("model.ckpt-20.index")
    (source / "dangling").symlink_to("nowhere")
    (source / "deep" / "er" / "frame").write_text("1")
    (source / "deep" / "up").symlink_to("../model.ckpt-20.index")
    (source / ".hidden").write_text("h")
    (source / "sent").write_text("an input")
    (source / "attempt").write_text("1")
    return source, target


def tree(folder):
    return {
        str(path.relative_to(folder)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


WHOLE = {
    ".hidden": "h",
    "dangling": "-> nowhere",
    "deep/er/frame": "1",
    "deep/up": "-> ../model.ckpt-20.index",
    "model.ckpt-20.index": "twenty",
    "model.ckpt.index": "-> model.ckpt-20.index",
}


@pytest.fixture(params=[False, True], ids=["one file system", "two file systems"])
def apart(request, folders, monkeypatch):
    if request.param:
        real = Path.rename

        def rename(path, target):
            if path.parent != Path(target).parent:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(path))
            return real(path, target)

        monkeypatch.setattr(Path, "rename", rename)
    return request.param


def test_everything_that_was_not_sent_comes_back_links_as_links(folders, apart):
    source, target = folders
    bring_back(source, target, written(source, ["sent"]))
    assert tree(target) == WHOLE
    assert sorted(path.name for path in source.iterdir()) == ["attempt", "sent"]


def test_a_fifo_stops_nothing(folders, apart):
    source, target = folders
    os.mkfifo(source / "deep" / "fifo")
    bring_back(source, target, written(source, ["sent"]))
    assert tree(target) == WHOLE


def test_a_fifo_that_is_a_tasks_own_output_is_left_out_where_it_cannot_be_moved(folders, apart):
    source, target = folders
    os.mkfifo(source / "fifo")
    bring_back(source, target, written(source, ["sent"]))
    assert tree(target) == WHOLE
    assert (target / "fifo").exists() == (not apart)
    assert sorted(path.name for path in source.iterdir()) == ["attempt", "sent"]


def test_two_real_file_systems():
    """No call is replaced here: what the system itself does between two disks."""
    with TemporaryDirectory(dir="/dev/shm") as memory, TemporaryDirectory() as disk:
        source, target = Path(memory), Path(disk)
        if source.stat().st_dev == target.stat().st_dev:
            pytest.skip("/dev/shm and the folder for temporary files are one file system here")
        (source / "deep").mkdir()
        (source / "deep" / "frame").write_text("1")
        (source / "link").symlink_to("deep")
        os.mkfifo(source / "fifo")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(source / "socket"))
            bring_back(source, target, written(source, []))
        assert tree(target) == {"deep/frame": "1", "link": "-> deep"}
        assert list(source.iterdir()) == []


def test_an_input_that_the_program_has_changed_stays_and_files_of_a_transfer_are_no_outputs(folders):
    source, _ = folders
    (source / "sent").write_text("changed")
    (source / f"{transfer.TAKEN}old").touch()
    (source / f"{transfer.HALF}new").touch()
    assert not {"sent", "attempt", f"{transfer.TAKEN}old", f"{transfer.HALF}new"} & set(written(source, ["sent"]))


class Killed(BaseException):
    """What SIGKILL does."""


def test_killed_at_any_act_the_next_call_completes_it(folders, apart, monkeypatch):
    source, target = folders
    acts = [
        (Path, "rename"),
        (Path, "mkdir"),
        (Path, "symlink_to"),
        (Path, "unlink"),
        (transfer.shutil, "copy2"),
        (transfer.shutil, "rmtree"),
    ]
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
            for place, name in acts:
                patch.setattr(place, name, counting(getattr(place, name)))
            try:
                bring_back(source, target, written(source, ["sent"]))
                break
            except Killed:
                deaths += 1
    assert deaths >= 5
    assert tree(target) == WHOLE
