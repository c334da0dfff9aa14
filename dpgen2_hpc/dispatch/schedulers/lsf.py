"""LSF: ``bsub``, ``bjobs``, ``bkill``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dpgen2_hpc.dispatch.schedulers import Entry, Reply, quoted, rows_of
from dpgen2_hpc.errors import QueueDown, SubmissionRefused

_ID = re.compile(r"^Job <(\d+)> is submitted", re.MULTILINE)
_REFUSED = re.compile(
    r"job not submitted|bad (queue|host|resource|user)|no such queue|illegal|cannot use", re.IGNORECASE
)
_PASSING = re.compile(
    r"lsf is down|try later|timed? ?out|please wait|limit|slave lim|communication|retry", re.IGNORECASE
)
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
    forbidden: str = r"-J|-r$"
    directive: str = "#BSUB"

    def submit(self, name: str, script: str) -> str:
        """Return the command; what stands on the command line comes before the script's own lines."""
        return f"bsub -J {name} -rn -o jobs/{name}.out -e jobs/{name}.out < {quoted(script)}"

    def submitted_id(self, reply: Reply) -> str:
        """Return the id, wherever a site's own lines stand."""
        found = _ID.findall(reply.out)
        if reply.code == 0 and found:
            return str(found[-1])
        words = reply.err.strip() or reply.out.strip() or f"bsub ended with exit code {reply.code}"
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
        rows = [row for row in rows_of(reply.out, 3) if row[2] in set(names) and row[1] not in _ENDED]
        return [Entry(name, identifier, running=state not in _PENDING) for identifier, state, name in rows]

    def cancel(self, ids: Sequence[str]) -> str:
        """Return the command that ends these jobs."""
        return f"bkill {' '.join(quoted(identifier) for identifier in ids)}"


LSF = Lsf()
