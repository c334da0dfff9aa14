"""One driver: the file ``lock``, made by link(2) with host, pid, start of the process and a token.

The token is also the driver's name in the ledgers: what a driver appends after it has lost the lock does not count.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from dpgen2_hpc.errors import LockHeld, StateError
from dpgen2_hpc.state import stops
from dpgen2_hpc.state.clock import Clock
from dpgen2_hpc.state.files import storing
from dpgen2_hpc.state.host import Host

LITTER_AGE = 60.0
"""Seconds after which a file that a driver made to take the lock is no longer in use."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock; ``boot``, ``namespace`` and ``hardware`` are those of :class:`Host`."""

    host: str
    pid: int
    start: str
    token: str
    since: str
    boot: str = ""
    namespace: str = ""
    hardware: str = ""

    @classmethod
    def read(cls, path: Path) -> "Holder | None":
        """Return the holder that the file names, or ``None`` without a file."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise StateError(f"'{path}' is not a lock of this program; if no driver runs, remove it.") from error

    @classmethod
    def me(cls) -> "Holder":
        """Return this process as a holder, with a new token."""
        now, me = time.strftime("%Y-%m-%d %H:%M:%S"), Host.me()
        who = os.getpid(), process_start(os.getpid()) or "", secrets.token_hex(8), now
        return cls(me.name, *who, me.boot, me.namespace, me.hardware)

    @property
    def machine(self) -> Host:
        """The machine that the process runs on."""
        return Host(self.host, self.boot, self.namespace, self.hardware)

    def alive(self) -> bool:
        """Return whether the process lives; one that cannot be looked up from here is assumed to."""
        if self.machine.is_here:
            return process_start(self.pid) == self.start
        return not self.machine.has_restarted


def process_start(pid: int) -> str | None:
    """Return when a process started (clock ticks since boot), or ``None`` if there is no such process.

    The command name in ``/proc/PID/stat`` may hold blanks and brackets, so fields are counted from its last bracket.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


class Lock:
    """The lock of a work directory, held by this process; its ``clock`` is the file server's."""

    def __init__(self, path: Path, holder: Holder, clock: Clock) -> None:
        self.path, self.holder, self.clock = path, holder, clock

    @classmethod
    def acquire(cls, path: Path, *, take_over: bool = False) -> "Lock":
        """Take the lock.

        Parameters
        ----------
        path
            The lock file.
        take_over
            Take it even from another host, whose processes cannot be looked up from here.

        Raises
        ------
        LockHeld
            Another driver holds it.
        """
        me = Holder.me()
        own = path.with_name(f".lock.{me.token}")
        with storing(path), _alone(path.parent):
            _remove_litter(path)
            _remove_stale(path, take_over=take_over)
            own.write_text(json.dumps(asdict(me)) + "\n")
            clock = Clock(own.stat().st_mtime)
            try:
                os.link(own, path)
            except (FileExistsError, FileNotFoundError) as error:
                raise LockHeld(f"'{path}' was just taken by another driver.") from error
            finally:
                own.unlink(missing_ok=True)
        return cls(path, me, clock)

    def check(self) -> None:
        """Make sure that the lock is still ours.

        Raises
        ------
        LockHeld
            The user gave it to another driver (``--take-over``), or removed it.
        """
        holder = Holder.read(self.path)
        if holder is None or holder.token != self.holder.token:
            raise LockHeld(
                f"'{self.path}' was taken over: {describe(holder)}. This driver stops without writing anything; its "
                "jobs go on."
            )

    def release(self) -> None:
        """Give the lock back, if it is still ours."""
        holder = Holder.read(self.path)
        if holder is not None and holder.token == self.holder.token:
            self.path.unlink()


def holder_of(path: Path) -> Holder | None:
    """Return the living holder of a lock, or ``None``."""
    holder = Holder.read(path)
    return holder if holder is not None and holder.alive() else None


def describe(holder: Holder | None) -> str:
    """Return who holds a lock, in words."""
    if holder is None:
        return "nobody holds it"
    return f"process {holder.pid} on {holder.machine} holds it since {holder.since}"


def _remove_stale(path: Path, *, take_over: bool) -> None:
    holder = Holder.read(path)
    if holder is None:
        return
    here = holder.machine.is_here
    if holder.alive() and (here or not take_over):
        advice = f" {stops.advice('lock-here' if here else 'lock-elsewhere')}"
        raise LockHeld(f"another driver works in '{path.parent}': {describe(holder)}.{advice}")
    path.unlink()


def _remove_litter(path: Path) -> None:
    """Remove what drivers of this host left that were killed while they took the lock."""
    for own in path.parent.glob(".lock.*"):
        try:
            holder = Holder.read(own)
        except StateError:  # killed in the middle of writing it
            holder = None
        old = time.time() - own.stat().st_mtime > LITTER_AGE
        if old and (holder is None or holder.machine.is_here):
            own.unlink(missing_ok=True)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let one process of this host at a time judge a stale lock: else two could each remove the other's new one."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):  # NFS cannot lock a folder: there the link alone decides between two fresh drivers
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
