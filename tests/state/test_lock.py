"""One driver at a time: who may take the lock, who is refused, and what a driver notices that has lost it."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import pytest

from dpgen2_hpc.errors import LockHeld, StateError
from dpgen2_hpc.state import host
from dpgen2_hpc.state import lock as module
from dpgen2_hpc.state.lock import Holder, Lock, holder_of, process_start


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def other():
    """A process that lives until the test ends."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def held_by(path, **fields):
    """Write a lock as another driver would, by default one on this host that lives."""
    pid = fields.get("pid", os.getppid())
    if "host" in fields:
        fields = {"boot": "another boot", "hardware": "another machine", **fields}
    holder = replace(
        Holder.me(), pid=pid, start=process_start(pid) or "1", **{k: v for k, v in fields.items() if k != "pid"}
    )
    path.write_text(json.dumps(asdict(holder)) + "\n")
    return holder


def a_pid_that_is_free():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


# ---- taking it


def test_a_free_lock_is_taken_and_names_this_process(path):
    lock = Lock.acquire(path)
    assert Holder.read(path) == lock.holder
    assert (lock.holder.pid, lock.holder.start) == (os.getpid(), process_start(os.getpid()))
    lock.check()


def test_a_second_driver_is_refused_and_told_who_holds_it_and_since_when(path, other):
    holder = held_by(path, pid=other.pid)
    with pytest.raises(LockHeld, match=f"process {other.pid} on {holder.host} holds it since {holder.since}"):
        Lock.acquire(path)
    assert Holder.read(path) == holder


def test_take_over_is_no_way_past_a_driver_that_lives_on_this_host(path, other):
    held_by(path, pid=other.pid)
    with pytest.raises(LockHeld):
        Lock.acquire(path, take_over=True)


def test_the_lock_of_a_dead_process_is_taken(path):
    held_by(path, pid=a_pid_that_is_free())
    assert Lock.acquire(path).holder.pid == os.getpid()


def test_the_lock_of_a_zombie_is_taken(path):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        held_by(path, pid=child)
        assert Lock.acquire(path).holder.pid == os.getpid()
    finally:
        os.waitpid(child, 0)


def test_a_pid_that_was_used_again_by_another_process_holds_nothing(path, other):
    held_by(path, pid=other.pid)
    text = json.loads(path.read_text())
    path.write_text(json.dumps({**text, "start": str(int(text["start"]) - 1)}))
    assert holder_of(path) is None
    assert Lock.acquire(path).holder.pid == os.getpid()


def test_another_hosts_lock_is_refused_until_the_user_says_take_over(path):
    held_by(path, host="login2", pid=1)
    with pytest.raises(LockHeld, match="on login2 .* with --take-over"):
        Lock.acquire(path)
    assert Lock.acquire(path, take_over=True).holder.host != "login2"


@pytest.mark.parametrize("change", [{"namespace": "pid:[1]"}, {"boot": "another boot", "hardware": "another"}])
@pytest.mark.parametrize("pid", ["living", "dead"])
def test_a_holder_in_a_container_or_on_a_clone_of_this_name_is_another_machine(path, other, change, pid):
    """Whether a process of that number lives here says nothing about it."""
    holder = held_by(path, pid=other.pid if pid == "living" else a_pid_that_is_free(), **change)
    described = rf"on {holder.host} \(another machine or container of that name\) .*--take-over"
    with pytest.raises(LockHeld, match=described):
        Lock.acquire(path)
    assert Holder.read(path) == holder
    assert Lock.acquire(path, take_over=True).holder.pid == os.getpid()


def test_after_a_restart_of_this_machine_its_lock_is_taken(path, other, monkeypatch):
    """The process that has the holder's number now was started after it."""
    monkeypatch.setattr(host, "_identifiers", lambda: ("boot", "pid:[1]", "hardware"))
    held_by(path, pid=other.pid, boot="the boot before", namespace="pid:[9]")
    assert holder_of(path) is None
    assert Lock.acquire(path).holder.pid == os.getpid()


@pytest.mark.parametrize("name", ["this", "another"])
def test_a_lock_of_the_version_before_names_a_host_alone(path, other, name):
    held_by(path, pid=other.pid)
    fields = json.loads(path.read_text())
    for new in ("boot", "namespace", "hardware"):
        del fields[new]
    path.write_text(json.dumps({**fields, "host": fields["host"] if name == "this" else "login2"}))
    with pytest.raises(LockHeld, match="dpgen2-hpc stop" if name == "this" else "--take-over"):
        Lock.acquire(path)
    other.kill()
    other.wait()
    if name == "this":
        assert Lock.acquire(path).holder.pid == os.getpid()
    else:
        assert Lock.acquire(path, take_over=True).holder.pid == os.getpid()


def test_a_file_that_is_no_lock_is_not_removed(path):
    path.write_text("mine\n")
    with pytest.raises(StateError, match="is not a lock"):
        Lock.acquire(path)
    assert path.read_text() == "mine\n"


def test_a_command_name_with_blanks_and_brackets_does_not_shift_the_start_time(tmp_path):
    program = tmp_path / "a) Z 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "60"]) as process:
        try:
            ticks = process_start(process.pid)
            assert ticks is not None
            assert int(ticks) >= int(process_start(os.getpid()))
        finally:
            process.kill()


def test_a_process_that_is_not_there_has_no_start():
    assert process_start(a_pid_that_is_free()) is None


def test_the_living_holder_of_a_lock_can_be_asked_for(path, other):
    assert holder_of(path) is None
    assert held_by(path, pid=other.pid) == holder_of(path)


# ---- two at once


TAKE = """
import sys, time
from pathlib import Path
from dpgen2_hpc.errors import LockHeld
from dpgen2_hpc.state.lock import Lock
sys.stdin.readline()
try:
    lock = Lock.acquire(Path(sys.argv[1]))
except LockHeld:
    print("refused", flush=True)
else:
    print("taken", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("stale", [False, True])
def test_of_several_processes_that_start_at_once_one_gets_the_lock(path, stale):
    if stale:
        held_by(path, pid=a_pid_that_is_free())
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    drivers = [subprocess.Popen([sys.executable, "-c", TAKE, str(path)], **pipe) for _ in range(4)]
    for driver in drivers:
        driver.stdin.write("go\n")
        driver.stdin.flush()
    answers = sorted(driver.stdout.readline().strip() for driver in drivers)
    for driver in drivers:
        driver.communicate("leave\n")
    assert answers == ["refused", "refused", "refused", "taken"]


def test_threads_that_find_the_same_stale_lock_do_not_remove_each_others_new_one(path, monkeypatch):
    """The judging of a stale lock is slowed down, the second one's more, so that unless one waits for the other the
    second removes what the first has just taken."""
    held_by(path, pid=a_pid_that_is_free())
    barrier, taken, pauses = threading.Barrier(2), [], [0.2, 0.05]
    real = Holder.alive

    def slow(holder):
        answer = real(holder)
        threading.Event().wait(pauses.pop())
        return answer

    monkeypatch.setattr(Holder, "alive", slow)

    def take():
        barrier.wait()
        try:
            taken.append(Lock.acquire(path))
        except LockHeld:
            pass

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lock.holder.token for lock in taken] == [Holder.read(path).token]


# ---- losing it and giving it back


def test_a_driver_whose_lock_was_taken_over_notices_at_its_next_check(path):
    lock = Lock.acquire(path)
    held_by(path, host="login2", pid=1)
    with pytest.raises(LockHeld, match="was taken over: process 1 on login2"):
        lock.check()


def test_a_driver_whose_lock_was_removed_notices_at_its_next_check(path):
    lock = Lock.acquire(path)
    path.unlink()
    with pytest.raises(LockHeld, match="nobody holds it"):
        lock.check()


def test_the_token_alone_tells_two_drivers_of_one_process_apart(path):
    lock = Lock.acquire(path)
    path.unlink()
    other = Lock.acquire(path)
    other.check()
    with pytest.raises(LockHeld):
        lock.check()


def test_release_gives_back_only_what_is_ours(path):
    lock = Lock.acquire(path)
    theirs = held_by(path, host="login2", pid=1)
    lock.release()
    assert Holder.read(path) == theirs


def test_release_leaves_nothing_and_may_be_said_twice(path):
    lock = Lock.acquire(path)
    lock.release()
    lock.release()
    assert list(path.parent.iterdir()) == []


# ---- litter


def test_what_a_killed_driver_left_while_it_took_the_lock_is_removed(path):
    held_by(path.with_name(".lock.0011"), pid=a_pid_that_is_free())
    path.with_name(".lock.0022").write_text('{"host": ')
    for litter in path.parent.glob(".lock.*"):
        os.utime(litter, (0, 0))
    Lock.acquire(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["lock"]


def test_what_a_driver_is_just_about_to_link_is_left_alone(path):
    """Where folders cannot be locked, as on NFS, two may take the lock at once."""
    theirs = path.with_name(".lock.0044")
    theirs.write_text('{"host": ')
    Lock.acquire(path)
    assert theirs.exists()


def test_what_another_host_is_just_about_to_link_is_left_alone(path):
    theirs = path.with_name(".lock.0033")
    held_by(theirs, host="login2", pid=1)
    Lock.acquire(path)
    assert theirs.exists()


def test_a_refused_driver_leaves_no_litter(path, other):
    held_by(path, pid=other.pid)
    with pytest.raises(LockHeld):
        Lock.acquire(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["lock"]


def test_a_driver_that_was_overtaken_between_look_and_link_is_refused(path, monkeypatch):
    """Another host takes the lock in that instant: the link alone decides."""
    real = os.link
    monkeypatch.setattr(
        module.os, "link", lambda source, target: held_by(path, host="login2", pid=1) and real(source, target)
    )
    with pytest.raises(LockHeld, match="just taken"):
        Lock.acquire(path)
    assert (Holder.read(path).host, len(list(path.parent.iterdir()))) == ("login2", 1)
