"""Slurm: ``sbatch``, ``squeue``, ``scancel``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dpgen2_hpc.dispatch.schedulers import LONGER, MORE_MEMORY, NOTHING, Entry, Reply, quoted, rows_of
from dpgen2_hpc.dispatch.schedulers.options import Options
from dpgen2_hpc.dispatch.schedulers.sbatch_options import SBATCH
from dpgen2_hpc.errors import QueueDown, QueueFull, SubmissionRefused

_ID = re.compile(r"^(\d+)(;\S+)?$", re.MULTILINE)
_REFUSED = re.compile(r"(?:Batch job submission failed|sbatch: error): (.*)")
_PASSING = re.compile(
    r"socket timed out|unable to contact|zero bytes|connection (refused|reset|timed out)|temporarily|"
    r"receive failure|send failure|authentication|communication|transport endpoint|i/o error|slurmctld",
    re.IGNORECASE,
)
"""Words of answers that say nothing about the job itself: it may have been accepted, or will be later."""

_FULL = re.compile(r"job submit limit|(QOS|Assoc)\w*(Submit|Jobs)\w*Limit|MaxJobCount", re.IGNORECASE)
"""Words of a queue that has enough jobs of this user for now."""

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
    options: Options | None = SBATCH
    endings: tuple[tuple[str, str, str], ...] = (
        (r"DUE TO TIME LIMIT", "the queue ended its job at the walltime", LONGER),
        (
            r"oom_kill event|oom-kill event|[Ee]xceeded (job|step) memory limit|OUT_OF_MEMORY",
            "the queue ended it for want of memory",
            MORE_MEMORY,
        ),
        (r"DUE TO NODE FAILURE|NODE_FAIL", "the node of its job failed", NOTHING),
        (r"DUE TO PREEMPTION", "its job was preempted by another", NOTHING),
        (r"CANCELLED AT", "its job was cancelled", NOTHING),
    )

    def submit(self, name: str, script: str) -> str:
        """Return the command; its options beat those of the script, and ``#PBS`` and ``#BSUB`` lines do not count."""
        return (
            f"env -u SBATCH_ARRAY_INX -u SBATCH_REQUEUE sbatch --parsable --ignore-pbs --no-requeue --job-name={name} "
            f"--output=jobs/{name}.out {quoted(script)}"
        )

    def submitted_id(self, reply: Reply) -> str:
        """Return the id: the last line that is one, since sites print banners."""
        found = _ID.findall(reply.out)
        if reply.code == 0 and found:
            return str(found[-1][0])
        words = reply.err.strip() or reply.out.strip() or f"sbatch ended with exit code {reply.code}"
        reason = _REFUSED.search(reply.err)
        if reply.code != 0 and _FULL.search(words):
            raise QueueFull(words)
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
        wanted = set(names)
        rows = [row for row in rows_of(reply.out, 3) if row[2] in wanted and row[1] not in _ENDED]
        return [Entry(name, identifier, running=state not in _PENDING) for identifier, state, name in rows]

    def cancel(self, entries: Sequence[Entry]) -> str:
        """Return the command that ends these jobs."""
        return f"scancel {' '.join(quoted(entry.id) for entry in entries)}"


SLURM = Slurm()
