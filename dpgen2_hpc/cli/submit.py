"""``submit``: ``run``, detached from the terminal once it has begun well."""

import argparse
import os
import pwd
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from dpgen2_hpc.cli.main import guarded, work_directory
from dpgen2_hpc.cli.run import drive
from dpgen2_hpc.errors import DONE
from dpgen2_hpc.state.workdir import WorkDir

BEGUN = b"begun"

LOGIND = ("/etc/systemd/logind.conf", "/run/systemd/logind.conf", "/usr/lib/systemd/logind.conf")
"""Where a host says whether it ends what a user leaves behind at logout; each may have a folder ``.d`` beside it."""


def run(arguments: argparse.Namespace) -> int:
    """Run the verb and return its exit code: that of the driver, if it could not begin."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        sys.exit(_drive(arguments, writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        begun = pipe.read() == BEGUN
    if not begun:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    workdir = WorkDir(work_directory(arguments))
    print(f"process {child} goes on in the background; it writes to {workdir.log}")
    print("To see where it stands: dpgen2-hpc status. To end it: dpgen2-hpc stop.")
    if ends_at_logout():
        print("This host ends a user's processes at logout (KillUserProcesses=yes): before you leave, type")
        print("`loginctl enable-linger`, or let cron call `dpgen2-hpc run ... --once` instead.")
    return DONE


def _drive(arguments: argparse.Namespace, writer: int) -> int:
    """Be the driver, in a session of its own; what goes wrong before the run has begun is said on the terminal."""
    os.setsid()

    def begun() -> None:
        sys.stdout.flush()
        log = os.open(WorkDir(work_directory(arguments)).log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor, target in ((nothing, 0), (nothing, 1), (log, 2)):
            os.dup2(descriptor, target)
        os.write(writer, BEGUN)
        os.close(writer)

    return guarded(lambda: drive(arguments, begun), arguments)


def ends_at_logout(files: tuple[str, ...] = LOGIND, user: str | None = None) -> bool:
    """Whether this host ends the processes that a user leaves behind (systemd's ``KillUserProcesses``)."""
    name = user or pwd.getpwuid(os.getuid()).pw_name
    if Path("/var/lib/systemd/linger", name).exists():
        return False
    words = [word for file in files for path in _with_folder(Path(file)) for word in _settings(path)]
    return bool(words) and words[-1] in {"yes", "true", "1", "on"}


def _with_folder(path: Path) -> Iterator[Path]:
    yield path
    yield from sorted(path.with_name(f"{path.name}.d").glob("*.conf"))


def _settings(path: Path) -> list[str]:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    return [word.lower() for word in re.findall(r"^\s*KillUserProcesses\s*=\s*(\w+)", text, re.MULTILINE)]
