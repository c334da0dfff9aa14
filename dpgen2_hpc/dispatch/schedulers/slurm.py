"""Slurm: ``sbatch``, ``squeue``, ``scancel``."""

from collections.abc import Sequence
from dataclasses import dataclass

from dpgen2_hpc.dispatch.schedulers import LONGER, MORE_MEMORY, NOTHING, Entry, Reply, quoted, rows_of
from dpgen2_hpc.dispatch.schedulers.replies import submitted_id
from dpgen2_hpc.dispatch.schedulers.slurm_replies import SLURM_REPLIES
from dpgen2_hpc.errors import QueueDown

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
        """Return the command; what stands on the command line comes before the script's own lines."""
        return (
            f"env -u SBATCH_ARRAY_INX -u SBATCH_REQUEUE sbatch --parsable --no-requeue --job-name={name} "
            f"--output=jobs/{name}.out {quoted(script)}"
        )

    def submitted_id(self, reply: Reply) -> str:
        """Return the id from the answer of ``sbatch``; see :mod:`.slurm_replies`."""
        return submitted_id(reply, SLURM_REPLIES)

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
