"""Slurm: ``sbatch``, ``squeue``, ``scancel``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dpgen2_hpc.dispatch.schedulers import Entry, Reply, quoted, rows_of
from dpgen2_hpc.errors import QueueDown, SubmissionRefused

_ID = re.compile(r"^(\d+)(;\S+)?$", re.MULTILINE)
_REFUSED = re.compile(r"(?:Batch job submission failed|sbatch: error): (.*)")
_PASSING = re.compile(
    r"socket timed out|unable to contact|zero bytes|connection (refused|reset|timed out)|temporarily|limit|"
    r"receive failure|send failure|authentication|communication|transport endpoint|i/o error|slurmctld",
    re.IGNORECASE,
)
"""Words of answers that say nothing about the job itself: it may have been accepted, or will be later."""

_ENDED = {"CA", "CD", "F", "TO", "NF", "OOM", "BF", "DL", "PR"}
"""States that ``squeue`` may show of jobs that are over; every other one is alive, unknown ones too."""

_PENDING = {"PD", "CF", "RQ", "RH", "SE"}


@dataclass(frozen=True)
class Slurm:
    """Slurm; see :class:`dpgen2_hpc.dispatch.schedulers.Scheduler`."""

    minimum_wait: float = 2.0
    grace: float = 90.0
    own_host: bool = False
    own_id: str = '"$SLURM_JOB_ID"'
    forbidden: str = r"--(array|job-name|requeue|chdir)\b|-[aJD]"
    directive: str = "#SBATCH"

    def submit(self, name: str, script: str) -> str:
        """Return the command; what stands on the command line comes before the script's own lines."""
        return (
            f"env -u SBATCH_ARRAY_INX -u SBATCH_REQUEUE sbatch --parsable --no-requeue --job-name={name} "
            f"--output=jobs/{name}.out {quoted(script)}"
        )

    def submitted_id(self, reply: Reply) -> str:
        """Return the id: the last line that is one, since sites print banners."""
        found = _ID.findall(reply.out)
        if reply.code == 0 and found:
            return str(found[-1][0])
        words = reply.err.strip() or reply.out.strip() or f"sbatch ended with exit code {reply.code}"
        reason = _REFUSED.search(reply.err)
        if reply.code != 0 and reason and not _PASSING.search(words):
            raise SubmissionRefused(words)
        raise QueueDown(words)

    def list_live(self, names: Sequence[str]) -> str:
        """Return the command: all jobs of this user, since a list of names may be longer than a command line."""
        return 'squeue --noheader --user="$(id -un)" --format="%i|%t|%j"'

    def live(self, reply: Reply, names: Sequence[str]) -> list[Entry]:
        """Return the entries of these names that are not over."""
        if reply.code != 0:
            raise QueueDown(reply.err.strip() or f"squeue ended with exit code {reply.code}")
        rows = [row for row in rows_of(reply.out, 3) if row[2] in set(names) and row[1] not in _ENDED]
        return [Entry(name, identifier, running=state not in _PENDING) for identifier, state, name in rows]

    def cancel(self, ids: Sequence[str]) -> str:
        """Return the command that ends these jobs."""
        return f"scancel {' '.join(quoted(identifier) for identifier in ids)}"


SLURM = Slurm()
