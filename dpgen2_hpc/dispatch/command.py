"""Run a command of the scheduler: for a limited time, and not beyond a signal to the driver."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from dpgen2_hpc.dispatch.schedulers import Reply
from dpgen2_hpc.errors import Interrupted, QueueDown

LIMIT = 120.0
"""How long a command may take, s: a scheduler that is only slow has answered by then."""

PARTING = 5.0
"""How long a command that was begun may go on after a signal, s: a job that is accepted meanwhile has its id noted."""

TICK = 0.2
LINGER = 2.0
"""How long the output is read after the command's end, s: a process that it left behind may hold it open for ever."""


def nothing() -> None:
    """Find no reason to leave."""


def run_command(
    command: str,
    directory: Path,
    environment: Mapping[str, str],
    *,
    limit: float = LIMIT,
    check: Callable[[], None] = nothing,
) -> Reply:
    """Run a command line in ``directory`` and return what it answered; ``check`` raises when the driver must leave.

    The command has a session of its own, so that Ctrl-C reaches the driver alone.

    Raises
    ------
    QueueDown
        It took longer than ``limit`` (s) and was killed: nothing is known of what it did.
    Interrupted
        ``check`` raised it, and the command did not end soon after.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        late = QueueDown(f"'{_program(command)}' did not answer within {limit:g} s and was ended")
        return _answer(process, late, time.monotonic() + limit, check)
    finally:
        _end(process)


def _answer(process: "subprocess.Popen[bytes]", late: Exception, end: float, check: Callable[[], None]) -> Reply:
    """Wait for a command's answer until ``end``, then raise ``late``; an interruption leaves it a little time."""
    ended = False
    while True:
        try:
            out, err = process.communicate(timeout=TICK)
            break
        except subprocess.TimeoutExpired as waiting:
            out, err = waiting.stdout or b"", waiting.stderr or b""
        now = time.monotonic()
        if process.poll() is not None and not ended:
            ended, end = True, now + LINGER
        if now >= end:
            if not ended:
                raise late
            break
        try:
            check()
        except Interrupted as error:
            late, end = error, min(end, now + PARTING)
            check = nothing
    return Reply(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of a command that has not ended by itself, and close its pipes."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _program(command: str) -> str:
    """Return the program of a command line, without the variables that are set before it."""
    return next((word for word in command.split() if "=" not in word), command)
