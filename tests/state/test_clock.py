"""Time that a jump of the wall clock does not disturb."""

import os
import time

import pytest

from dpgen2_hpc.state import clock as module
from dpgen2_hpc.state.clock import Clock, Moment
from dpgen2_hpc.state.host import Host
from dpgen2_hpc.state.lock import Lock


@pytest.mark.parametrize(
    ("later", "earlier", "seconds"),
    [
        (Moment(100.0, "a", 57.0), Moment(90.0, "a", 50.0), 7.0),
        (Moment(1e6, "a", 57.0), Moment(90.0, "a", 50.0), 7.0),  # the clock of the file server jumped ahead
        (Moment(0.0, "a", 57.0), Moment(90.0, "a", 50.0), 7.0),  # and back
        (Moment(100.0, "b", 5.0), Moment(90.0, "a", 50.0), 10.0),  # the other was written on another host
        (Moment(100.0, "a", 57.0), Moment(90.0), 10.0),  # or by an older version
        (Moment(100.0), Moment(90.0), 10.0),
        (Moment(80.0, "b", 99.0), Moment(90.0, "a", 50.0), 0.0),  # never less than zero
        (Moment(100.0, "a", 40.0), Moment(90.0, "a", 50.0), 0.0),
    ],
)
def test_within_one_boot_its_time_counts_and_else_the_file_servers(later, earlier, seconds):
    assert later.since(earlier) == seconds


def test_a_clock_is_not_moved_by_the_wall_clock(monkeypatch):
    uptime = [50.0]
    monkeypatch.setattr(module.time, "clock_gettime", lambda which: uptime[0])
    clock = Clock(1000.0)
    monkeypatch.setattr(time, "time", lambda: 1e9)
    uptime[0] += 7
    assert (clock.now().at, clock.now().uptime, clock.now().boot) == (1007.0, 57.0, Host.me().boot)


def test_seconds_in_which_the_host_sleeps_count():
    """CLOCK_MONOTONIC stands still while a machine is suspended."""
    uptime = float(open("/proc/uptime").read().split()[0])
    assert abs(Clock(0.0).now().uptime - uptime) < 1.0


def test_the_clock_of_a_lock_begins_at_the_time_that_the_file_server_gave_its_file(tmp_path, monkeypatch):
    """The wall clock of this host is a day ahead."""
    real = os.link

    def link(source, target):
        real(source, target)
        written.append(os.stat(target).st_mtime)

    written = []
    monkeypatch.setattr("dpgen2_hpc.state.lock.os.link", link)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86400)
    lock = Lock.acquire(tmp_path / "lock")
    assert abs(lock.clock.now().at - written[0]) < 2.0


def test_a_clock_without_a_file_server_begins_now():
    assert abs(Clock.of_this_host().now().at - time.time()) < 2.0
