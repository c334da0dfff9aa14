"""What the stand-in programs share."""

import os
import sys
import time


def note(what):
    """Append a line to the test's own ledger: a task that is run twice is seen there."""
    ledger = os.environ.get("FAKE_LEDGER")
    if ledger:
        line = f"{what} {os.path.relpath(os.path.realpath(os.getcwd()), os.path.dirname(ledger))} {attempt()}\n"
        descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)


def attempt():
    try:
        return open("attempt").read().strip()
    except FileNotFoundError:
        return "-"


def nap(program):
    """Sleep, if FAKE_<PROGRAM>_SLEEP says so, and then as long as the file that FAKE_<PROGRAM>_HOLD names is there."""
    time.sleep(float(os.environ.get(f"FAKE_{program.upper()}_SLEEP", "0")))
    hold, end = os.environ.get(f"FAKE_{program.upper()}_HOLD", ""), time.monotonic() + 180
    while os.path.exists(hold) and time.monotonic() < end:
        time.sleep(0.02)


def maybe_fail(program):
    """Fail with a message if FAKE_<PROGRAM>_FAIL names a part of this task's folder: `task.0001` or `*`.

    With `@FILE` behind it, only as long as FILE exists.
    """
    rule = os.environ.get(f"FAKE_{program.upper()}_FAIL", "")
    pattern, _, switch = rule.partition("@")
    if pattern and (not switch or os.path.exists(switch)) and (pattern == "*" or pattern in os.getcwd()):
        print(f"fake {program}: this is the cause of the failure", file=sys.stderr)
        sys.exit(7)
