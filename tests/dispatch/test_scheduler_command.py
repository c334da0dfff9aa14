"""Commands of the scheduler: their answers, their time limit, and a driver that is told to leave meanwhile."""

import os
import time
from pathlib import Path

import pytest
from project import wait_for

from dpgen2_hpc.dispatch import command
from dpgen2_hpc.dispatch.command import run_command
from dpgen2_hpc.errors import Interrupted, QueueDown


def run(line, tmp_path, **more):
    return run_command(line, tmp_path, dict(os.environ), **more)


def still_runs(mark: str) -> bool:
    """Whether a process has the word in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if mark.encode() in words and path.parent.name != str(os.getpid()):
            return True
    return False


def test_an_answer_has_code_output_and_errors(tmp_path):
    reply = run("pwd; echo words >&2; exit 7", tmp_path)
    assert (reply.code, reply.out, reply.err) == (7, f"{tmp_path}\n", "words\n")


def test_what_is_no_utf8_does_not_end_the_driver(tmp_path):
    assert run("printf '\\377a'", tmp_path).out == "�a"


def test_a_long_answer_is_read_whole(tmp_path):
    assert len(run("head -c 3000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2", tmp_path).out) == 3_000_000


def test_nothing_is_read_from_the_terminal(tmp_path):
    assert run("cat; echo end", tmp_path).out == "end\n"


def test_a_command_that_hangs_is_ended_with_all_its_processes_and_named(tmp_path):
    with pytest.raises(QueueDown, match=r"^'sleep' did not answer within 0.3 s and was ended$"):
        run("A=b sleep 43.217 | sleep 43.217", tmp_path, limit=0.3)
    wait_for(lambda: not still_runs("43.217"))


def test_a_process_that_a_command_leaves_behind_does_not_hold_the_driver_up(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "LINGER", 0.3)
    begin = time.monotonic()
    reply = run("sleep 21 & echo 4242", tmp_path)
    assert (reply.code, reply.out) == (0, "4242\n")
    assert time.monotonic() - begin < 15


def leave():
    raise Interrupted(15)


def test_a_driver_that_must_leave_does_not_wait_for_a_command_that_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "PARTING", 0.3)
    with pytest.raises(Interrupted):
        run("sleep 43.219", tmp_path, check=leave)
    wait_for(lambda: not still_runs("43.219"))


def test_a_command_that_ends_soon_after_the_signal_has_answered(tmp_path):
    """A job that is accepted just then gets its id noted; the driver leaves at its next safe place."""
    assert run("sleep 0.5; echo 4242", tmp_path, check=leave).out == "4242\n"
