"""State on the disk: a file is there whole or as it was, whatever happened to the one who wrote it."""

import errno
import json
import os
import subprocess
import sys

import pytest

from dpgen2_hpc.errors import StateError, StorageError
from dpgen2_hpc.state import files
from dpgen2_hpc.state.files import (
    append_durable,
    fresh_folder,
    publish_folder,
    read_json,
    read_lines,
    write_atomic,
    write_json,
    write_lines,
)


def fails_with(number):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return fail


class Died(Exception):
    """Whatever ends the writer."""


def dies(*args, **kwargs):
    raise Died


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("old")
    return path


# ---- a whole file


def test_what_was_written_is_there_and_nothing_else(tmp_path):
    write_atomic(tmp_path / "text", "größe\n")
    write_atomic(tmp_path / "bytes", b"\x00\xff")
    assert (tmp_path / "text").read_text(encoding="utf-8") == "größe\n"
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("act", ["write", "fsync", "close", "replace"])
def test_an_exception_before_the_rename_leaves_the_old_file(old, monkeypatch, act):
    monkeypatch.setattr(files.os, act, dies)
    with pytest.raises(Died):
        write_atomic(old, "new")
    assert old.read_text() == "old"


def test_the_content_is_on_the_disk_before_the_name_and_the_folder_after_it(old, monkeypatch):
    order = []
    for name in ("write", "fsync", "close", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(files.os, name, lambda *args, real=real, name=name: order.append(name) or real(*args))
    write_atomic(old, "new")
    assert order == ["write", "fsync", "close", "replace", "fsync", "close"]


@pytest.mark.parametrize("act", ["write", "replace"])
def test_a_writer_killed_in_the_middle_leaves_the_old_file_and_the_next_one_succeeds(old, act):
    words = f"""
import os, signal
from pathlib import Path
from dpgen2_hpc.state import files
real = os.{act}
def act(*args):
    if "{act}" == "write":
        real(args[0], args[1][:2])
    os.kill(os.getpid(), signal.SIGKILL)
files.os.{act} = act
files.write_atomic(Path({str(old)!r}), "new content")
"""
    assert subprocess.run([sys.executable, "-c", words], timeout=30).returncode == -9
    assert old.read_text() == "old"
    write_atomic(old, "n")
    assert (old.read_text(), len(list(old.parent.iterdir()))) == ("n", 1)


def test_a_short_write_is_completed(old, monkeypatch):
    real = os.write
    monkeypatch.setattr(files.os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:3]))
    write_atomic(old, "0123456789")
    assert old.read_text() == "0123456789"


def test_a_file_may_be_for_its_owner_alone_from_its_first_instant(tmp_path, monkeypatch):
    real, modes = os.replace, []
    monkeypatch.setattr(files.os, "replace", lambda a, b: modes.append(os.stat(a).st_mode & 0o777) or real(a, b))
    write_atomic(tmp_path / "secret", "x", mode=0o600)
    assert modes == [0o600]


# ---- what the disk says


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("act", ["open", "write", "fsync", "close", "replace"])
def test_a_disk_that_takes_no_write_is_a_storage_error_with_the_files_name(old, monkeypatch, act, number):
    monkeypatch.setattr(files.os, act, fails_with(number))
    with pytest.raises(StorageError, match=f"record.json': {os.strerror(number)}") as error:
        write_atomic(old, "new")
    assert error.value.exit_code == 4
    assert old.read_text() == "old"


def test_a_folder_that_is_missing_is_told_like_a_full_disk(tmp_path):
    with pytest.raises(StorageError, match="record.json': No such file or directory"):
        write_atomic(tmp_path / "nowhere" / "record.json", "x")


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EMFILE, errno.ETIMEDOUT])
def test_an_error_that_passes_is_left_to_whoever_can_wait(old, monkeypatch, number):
    monkeypatch.setattr(files.os, "fsync", fails_with(number))
    with pytest.raises(OSError, match=os.strerror(number)) as error:
        write_atomic(old, "new")
    assert error.value.errno == number
    assert number in files.TRANSIENT


def test_a_planted_link_is_not_followed_and_an_old_temporary_does_not_pass_on_its_mode(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".machine.json.tmp").symlink_to(victim)
    write_atomic(tmp_path / "machine.json", "secret", mode=0o600)
    assert victim.read_text() == "precious"
    (tmp_path / ".machine.json.tmp").write_text("old")
    (tmp_path / ".machine.json.tmp").chmod(0o644)
    write_atomic(tmp_path / "machine.json", "secret", mode=0o600)
    assert (tmp_path / "machine.json").stat().st_mode & 0o777 == 0o600


def test_an_append_overwrites_nothing_that_was_appended_meanwhile(tmp_path, monkeypatch):
    path = tmp_path / "batch.jsonl"
    path.write_text("one\n")
    real = os.write

    def other_first(descriptor, data):
        monkeypatch.setattr(files.os, "write", real)
        with path.open("a") as file:
            file.write("another driver's\n")
        return real(descriptor, data)

    monkeypatch.setattr(files.os, "write", other_first)
    append_durable(path, "two\n")
    assert path.read_text() == "one\nanother driver's\ntwo\n"


@pytest.mark.parametrize("act", ["lseek", "pread"])
def test_an_append_cuts_off_nothing_that_was_appended_while_it_looked_for_a_torn_line(tmp_path, monkeypatch, act):
    """A driver that a hung file server has stopped in this call, and that has lost the lock meanwhile."""
    path = tmp_path / "batch.jsonl"
    path.write_text("one\n")
    real = getattr(os, act)

    def other_after(*args):
        answer = real(*args)
        monkeypatch.undo()
        with path.open("a") as file:
            file.write("another driver's\n")
        return answer

    monkeypatch.setattr(files.os, act, other_after)
    append_durable(path, "two\n")
    assert path.read_text() == "one\nanother driver's\ntwo\n"


@pytest.mark.parametrize("act", ["write", "fsync", "close", "ftruncate"])
def test_a_full_disk_is_a_storage_error_for_an_append_too(old, monkeypatch, act):
    old.write_text("torn")  # so that there is something to cut off
    monkeypatch.setattr(files.os, act, fails_with(errno.ENOSPC))
    with pytest.raises(StorageError, match="record.json': No space left"):
        append_durable(old, "line\n")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_file_system_that_cannot_sync_a_folder_is_no_error(old, monkeypatch, number):
    real = os.fsync

    def fsync(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    write_atomic(old, "new")
    assert old.read_text() == "new"


def test_a_folder_that_the_disk_cannot_sync_is_a_storage_error(old, monkeypatch):
    real = os.fsync

    def fsync(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    with pytest.raises(StorageError):
        write_atomic(old, "new")


# ---- lines


@pytest.mark.parametrize("tail", [0, 1, 100, 65535, 65536, 65537, 131072, 200_000])
def test_an_append_cuts_off_a_torn_line_of_any_length(tmp_path, tail):
    path = tmp_path / "batch.jsonl"
    path.write_bytes(b"one\ntwo\n" + b"x" * tail)
    append_durable(path, "three\n")
    assert path.read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("tail", [1, 65536, 200_000])
def test_a_file_that_is_one_torn_line_is_emptied_first(tmp_path, tail):
    path = tmp_path / "batch.jsonl"
    path.write_bytes(b"x" * tail)
    append_durable(path, "one\n")
    assert path.read_bytes() == b"one\n"


def test_an_append_to_nothing_makes_the_file(tmp_path):
    append_durable(tmp_path / "new", "one\n")
    assert (tmp_path / "new").read_text() == "one\n"


def test_an_append_that_failed_half_way_is_cut_off_by_the_next(old, monkeypatch):
    old.write_text("one\n")
    real = os.write

    def half(descriptor, data):
        if len(data) > 3:
            return real(descriptor, data[:3])
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "write", half)
        with pytest.raises(StorageError):
            append_durable(old, "two tw")
    assert old.read_text() == "one\ntwo"
    append_durable(old, "three\n")
    assert old.read_text() == "one\nthree\n"


def test_lines_are_read_back_whatever_is_in_their_words(tmp_path):
    rows = [{"a": "x\ny"}, ["\u2028 \x85 \x0c \r é"], None, 1.5, {}]
    write_lines(tmp_path / "rows", rows)
    assert read_lines(tmp_path / "rows") == rows
    assert (tmp_path / "rows").read_bytes().count(b"\n") == len(rows)


def test_a_broken_line_is_named_by_file_and_number(tmp_path):
    (tmp_path / "rows").write_text("1\n{\n3\n")
    with pytest.raises(StateError, match="rows', line 2"):
        read_lines(tmp_path / "rows")


# ---- JSON


def test_a_value_is_written_as_indented_json(tmp_path):
    write_json(tmp_path / "value", {"a": [1, 2.5, None]})
    text = (tmp_path / "value").read_text()
    assert (json.loads(text), text.endswith("}\n"), text.count("\n") > 3) == ({"a": [1, 2.5, None]}, True, True)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_json_is_refused_before_the_old_file_is_touched(old, number):
    for write in (lambda: write_json(old, {"x": number}), lambda: write_lines(old, [{"x": number}])):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write()
    assert old.read_text() == "old"


@pytest.mark.parametrize(
    ("content", "says"),
    [(b'{"a": 1,\n}', "line 2"), (b"", "line 1"), (b"\xff\xfe", "byte 0 is not UTF-8"), (b'{"a": 1}{', "line 1")],
)
def test_a_broken_file_is_named_with_the_place(tmp_path, content, says):
    (tmp_path / "broken").write_bytes(content)
    with pytest.raises(StateError, match=f"broken.*{says}"):
        read_json(tmp_path / "broken")


@pytest.mark.parametrize("read", [read_json, read_lines])
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(StateError, match="gone' is missing"):
        read(tmp_path / "gone")


def test_lines_that_are_not_text_are_named(tmp_path):
    (tmp_path / "rows").write_bytes(b"1\n\xff\n")
    with pytest.raises(StateError, match="byte 2 is not UTF-8"):
        read_lines(tmp_path / "rows")


# ---- folders


@pytest.fixture
def filled(tmp_path):
    temporary = tmp_path / "data.new"
    (temporary / "deep").mkdir(parents=True)
    (temporary / "deep" / "file").write_text("new")
    (temporary / "link").symlink_to("/nowhere")
    return temporary


def test_a_folder_that_was_filled_under_another_name_gets_its_own(filled):
    publish_folder(filled, filled.with_name("data"))
    assert (filled.with_name("data") / "deep" / "file").read_text() == "new"
    assert str((filled.with_name("data") / "link").readlink()) == "/nowhere"
    assert not filled.exists()


def test_a_folder_that_never_counted_is_replaced_with_nothing_of_it_left(filled):
    final = filled.with_name("data")
    (final / "old").mkdir(parents=True)
    publish_folder(filled, final)
    assert sorted(path.name for path in final.iterdir()) == ["deep", "link"]


def test_everything_in_a_folder_is_on_the_disk_before_it_gets_its_name(filled, monkeypatch):
    order, real_sync, real_rename = [], os.fsync, os.rename

    def fsync(descriptor):
        order.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        real_sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    monkeypatch.setattr(files.os, "rename", lambda a, b: order.append("rename") or real_rename(a, b))
    publish_folder(filled, filled.with_name("data"))
    assert order == ["deep", "file", "data.new", "rename", filled.parent.name]


def test_a_full_disk_is_a_storage_error_for_a_folder_too(filled, monkeypatch):
    monkeypatch.setattr(files.os, "rename", fails_with(errno.ENOSPC))
    with pytest.raises(StorageError, match="data': No space left"):
        publish_folder(filled, filled.with_name("data"))


def test_a_fresh_folder_is_empty_whatever_was_there(filled):
    assert list(fresh_folder(filled).iterdir()) == []
    assert fresh_folder(filled / "a" / "b").is_dir()
