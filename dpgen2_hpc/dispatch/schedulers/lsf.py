"""LSF: ``bsub``, ``bjobs``, ``bkill``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dpgen2_hpc.dispatch.schedulers import LONGER, MORE_MEMORY, NOTHING, Entry, Reply, quoted, rows_of
from dpgen2_hpc.dispatch.schedulers.bsub_options import BSUB
from dpgen2_hpc.dispatch.schedulers.options import Options
from dpgen2_hpc.errors import QueueDown, QueueFull, SubmissionRefused

_ID = re.compile(r"^Job <(\d+)> is submitted", re.MULTILINE)
_REFUSED = re.compile(
    r"job not submitted|bad (queue|host|resource|user)|no such queue|illegal|cannot use", re.IGNORECASE
)
_PASSING = re.compile(r"lsf is down|try later|timed? ?out|please wait|slave lim|communication|retry", re.IGNORECASE)
_FULL = re.compile(r"pending job threshold|pending job slot|(job|jobs) (slot )?limit|PEND_JOBS|MAX_JOBS", re.IGNORECASE)
"""Words of a queue that has enough jobs of this user for now."""

_NOTHING = re.compile(r"no (unfinished )?job found|no matching job found", re.IGNORECASE)
_ENDED = {"DONE", "EXIT"}
_PENDING = {"PEND", "PSUSP", "WAIT", "PROV"}


@dataclass(frozen=True)
class Lsf:
    """LSF; see :class:`dpgen2_hpc.dispatch.schedulers.Scheduler`."""

    minimum_wait: float = 2.0
    grace: float = 90.0
    own_host: bool = False
    own_id: str = '"$LSB_JOBID"'
    options: Options | None = BSUB
    endings: tuple[tuple[str, str, str], ...] = (
        (r"TERM_(RUN|CPU)LIMIT", "the queue ended its job at the walltime", LONGER),
        (r"TERM_(MEM|SWAP)LIMIT", "the queue ended it for want of memory", MORE_MEMORY),
        (
            r"TERM_(ZOMBI|PREEMPT|LOAD|WINDOW)|[Hh]ost .* (is )?unavail",
            "its host failed, or took the job back",
            NOTHING,
        ),
        (r"TERM_(OWNER|ADMIN|FORCE_OWNER|FORCE_ADMIN)", "its job was cancelled", NOTHING),
    )

    def submit(self, name: str, script: str) -> str:
        """Return the command; what stands on the command line comes before the script's own lines."""
        return f"bsub -J {name} -rn -o jobs/{name}.out -e jobs/{name}.out < {quoted(script)}"

    def submitted_id(self, reply: Reply) -> str:
        """Return the id, wherever a site's own lines stand."""
        found = _ID.findall(reply.out)
        if reply.code == 0 and found:
            return str(found[-1])
        words = reply.err.strip() or reply.out.strip() or f"bsub ended with exit code {reply.code}"
        if reply.code != 0 and _FULL.search(words):
            raise QueueFull(words)
        if reply.code != 0 and _REFUSED.search(words) and not _PASSING.search(words):
            raise SubmissionRefused(words)
        raise QueueDown(words)

    def list_live(self, names: Sequence[str]) -> str:
        """Return the command, in a format of our own: a site may have set another one as the default."""
        return 'env -u LSB_BJOBS_FORMAT bjobs -u "$(id -un)" -noheader -o "jobid stat job_name:20 delimiter=\'|\'"'

    def live(self, reply: Reply, names: Sequence[str]) -> list[Entry]:
        """Return the entries of these names that are not over."""
        if _NOTHING.search(reply.err + reply.out):
            return []
        if reply.code != 0:
            raise QueueDown(reply.err.strip() or f"bjobs ended with exit code {reply.code}")
        wanted = set(names)
        rows = [row for row in rows_of(reply.out, 3) if row[2] in wanted and row[1] not in _ENDED]
        return [Entry(name, identifier, running=state not in _PENDING) for identifier, state, name in rows]

    def cancel(self, entries: Sequence[Entry]) -> str:
        """Return the command that ends these jobs."""
        return f"bkill {' '.join(quoted(entry.id) for entry in entries)}"


LSF = Lsf()
