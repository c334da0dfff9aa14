"""Whatever a task leaves under the name of its output: it is read in bounded pieces, or it is an OutputError."""

import errno
import os

import pytest

from dpgen2_hpc.data.outputs import open_output, read_output, read_output_end, read_output_text
from dpgen2_hpc.errors import OutputError


def test_a_regular_file_is_read_whole_or_from_its_end(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"abc\xff\n")
    assert read_output(path) == b"abc\xff\n"
    assert read_output_text(path) == "abc\ufffd\n"
    assert read_output_end(path, 2) == b"\xff\n"
    assert read_output_end(path, 200) == b"abc\xff\n"


def test_a_link_to_a_file_is_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "out").symlink_to("real")
    assert read_output(tmp_path / "out") == b"x"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "there is no 'out'"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: path.symlink_to("nowhere"), "'out' cannot be read: No such file"),
        (lambda path: path.symlink_to(path.name), "'out' cannot be read: Too many levels"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    ],
)
def test_anything_else_is_an_output_error_at_once(tmp_path, make, says):
    path = tmp_path / "out"
    make(path)
    with pytest.raises(OutputError, match=says):
        open_output(path)


def test_a_file_without_an_end_is_not_read(tmp_path):
    path = tmp_path / "out"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(OutputError, match="more than the"):
        read_output(path)
    assert read_output_end(path, 10) == bytes(10)


def test_a_fault_of_the_disk_is_not_the_tasks(tmp_path, monkeypatch):
    def stale(*_, **__):
        raise OSError(errno.ESTALE, "Stale file handle")

    (tmp_path / "out").touch()
    monkeypatch.setattr(os, "open", stale)
    with pytest.raises(OSError, match="Stale"):
        read_output(tmp_path / "out")
