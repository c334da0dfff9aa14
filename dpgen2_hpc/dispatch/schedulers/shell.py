"""No batch system: jobs are processes of this host, in sessions of their own, that outlive the driver.

A job's processes are known by ``DPGEN2_HPC_JOB`` in their environment, which every descendant inherits: a program that
goes on after its script was killed still counts as alive, and a pid that was used again does not.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dpgen2_hpc.dispatch.schedulers import BY_THE_GUARD, Entry, Reply
from dpgen2_hpc.dispatch.schedulers.options import Options
from dpgen2_hpc.errors import QueueDown

_MARK = re.compile(r"/proc/(\d+)/environ:DPGEN2_HPC_JOB=(\w+)")


@dataclass(frozen=True)
class Shell:
    """Processes of this host; see :class:`dpgen2_hpc.dispatch.schedulers.Scheduler`."""

    minimum_wait: float = 0.2
    grace: float = 0.0
    own_host: bool = True
    own_id: str = "$$"
    options: Options | None = None
    hidden: str = r"(?!)"
    variables: Mapping[str, str] = field(default_factory=dict)
    over: str = ""
    endings: tuple[tuple[str, str, str], ...] = BY_THE_GUARD

    def configured(self, lines: Sequence[str], queue: str) -> "Shell":
        """Return itself: there is one server to ask."""
        return self

    def submit(self, name: str, script: str) -> str:
        """Return the command: the shell that prints its pid becomes the leader of the job's session."""
        start = f"echo $$; exec bash {shlex.quote(script)} > jobs/{name}.out 2>&1 < /dev/null"
        return f"DPGEN2_HPC_JOB={name} nohup setsid sh -c {shlex.quote(start)} 2> /dev/null &"

    def submitted_id(self, reply: Reply) -> str:
        """Return the pid."""
        word = reply.out.strip()
        if reply.code != 0 or not word.isdigit():
            raise QueueDown(f"no process could be started: {reply.err.strip() or reply.out.strip() or reply.code}")
        return word

    def list_live(self, names: Sequence[str]) -> str:
        """Return the command; a process that ends meanwhile, or is not ours to read, is nobody's loss."""
        return "grep -zsoHE '^DPGEN2_HPC_JOB=d[a-z0-9]+$' /proc/[0-9]*/environ | tr '\\000' '\\n'; true"

    def live(self, reply: Reply, names: Sequence[str]) -> list[Entry]:
        """Return an entry for each name that a process bears."""
        if reply.code != 0:
            raise QueueDown(f"the processes of this host could not be listed: {reply.err.strip()}")
        found: dict[str, str] = {}
        for pid, name in _MARK.findall(reply.out):
            found.setdefault(name, pid)
        return [Entry(name, found[name], running=True) for name in names if name in found]

    def cancel(self, entries: Sequence[Entry]) -> str:
        """Return the command that ends every process of these jobs."""
        names = "|".join(entry.name for entry in entries)
        find = f"grep -lzsE '^DPGEN2_HPC_JOB=({names})$' /proc/[0-9]*/environ | cut -d/ -f3"
        return f"kill -TERM $({find}) 2> /dev/null; true"

    def history(self, ids: Sequence[str]) -> str:
        """Return no command: nothing remembers processes that have ended."""
        return ""

    def ended(self, reply: Reply) -> dict[str, str]:
        """Return nothing: nobody was asked."""
        return {}


SHELL = Shell()
