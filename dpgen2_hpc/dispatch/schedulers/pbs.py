"""PBS (OpenPBS, PBS Professional) and Torque: ``qsub``, ``qselect``, ``qstat``, ``qdel``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dpgen2_hpc.dispatch.schedulers import LONGER, MORE_MEMORY, NOTHING, Entry, Reply, quoted
from dpgen2_hpc.dispatch.schedulers.options import Options
from dpgen2_hpc.dispatch.schedulers.qsub_options import OPENPBS
from dpgen2_hpc.dispatch.schedulers.qsub_options import TORQUE as TORQUE_OPTIONS
from dpgen2_hpc.errors import QueueDown, QueueFull, SubmissionRefused

_ID = re.compile(r"^(\d+(?:\.\S+)?)$", re.MULTILINE)
_REFUSED = re.compile(
    r"unknown queue|invalid|illegal|unauthorized|not allowed|cannot exceed|exceeds|bad uid|unknown resource|"
    r"cannot be satisfied|no default queue|requested|violates queue",
    re.IGNORECASE,
)
_PASSING = re.compile(r"cannot connect|timed? ?out|busy|communication|pbs_iff|end of file", re.IGNORECASE)
_FULL = re.compile(
    r"(per-user|per-group|user's|generic|overall) limit|queue limit|maximum number of jobs|job limit|"
    r"limit on (number of )?(queued )?jobs",
    re.IGNORECASE,
)
"""Words of a queue that has enough jobs of this user for now."""

_JOB = re.compile(r"^Job Id: (\S+)$(.*?)(?=^Job Id: |\Z)", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s+(Job_Name|job_state) = (\S+)", re.MULTILINE)
_ENDED = {"C", "F", "X"}
"""Completed (Torque), finished (PBS), subjob ended. ``E`` is exiting: the job still lives."""

_PENDING = {"Q", "H", "W", "T"}

_GONE = {0, 35, 153, 170, 271}
"""Exit codes of a ``qstat`` that answered, of jobs that ended meanwhile included."""


@dataclass(frozen=True)
class Pbs:
    """PBS and Torque; see :class:`dpgen2_hpc.dispatch.schedulers.Scheduler`."""

    minimum_wait: float = 2.0
    grace: float = 90.0
    own_host: bool = False
    own_id: str = '"$PBS_JOBID"'
    options: Options | None = OPENPBS
    endings: tuple[tuple[str, str, str], ...] = (
        (r"job killed: (walltime|cput)", "the queue ended its job at the walltime", LONGER),
        (
            r"job killed: (v?mem|pv?mem|rss)|[Oo]ut [Oo]f [Mm]emory",
            "the queue ended it for want of memory",
            MORE_MEMORY,
        ),
        (r"job killed: node \d+|node failure", "the node of its job failed", NOTHING),
        (r"job killed|[Jj]ob deleted|aborted by PBS", "its job was cancelled", NOTHING),
    )

    def submit(self, name: str, script: str) -> str:
        """Return the command; what stands on the command line comes before the script's own lines."""
        return f"qsub -N {name} -r n -j oe -o jobs/{name}.out {quoted(script)}"

    def submitted_id(self, reply: Reply) -> str:
        """Return the id: the last line that is one, since sites print banners."""
        found = _ID.findall(reply.out)
        if reply.code == 0 and found:
            return str(found[-1])
        words = reply.err.strip() or reply.out.strip() or f"qsub ended with exit code {reply.code}"
        if reply.code != 0 and _FULL.search(words):
            raise QueueFull(words)
        if reply.code != 0 and _REFUSED.search(words) and not _PASSING.search(words):
            raise SubmissionRefused(words)
        raise QueueDown(words)

    def list_live(self, names: Sequence[str]) -> str:
        """Return the command: the user's jobs, then all that is known of them; two calls, however many jobs."""
        return 'ids=$(qselect -u "$(id -un)") || exit; [ -z "$ids" ] || qstat -f $ids'

    def live(self, reply: Reply, names: Sequence[str]) -> list[Entry]:
        """Return the entries of these names that are not over."""
        jobs = [(identifier, dict(_FIELD.findall(text))) for identifier, text in _JOB.findall(reply.out)]
        if reply.code not in _GONE or (reply.out.strip() and not jobs):
            raise QueueDown(reply.err.strip() or reply.out.strip() or f"qstat ended with exit code {reply.code}")
        if any(set(fields) != {"Job_Name", "job_state"} for _, fields in jobs):
            raise QueueDown("the answer of qstat was cut")
        wanted = set(names)
        rows = [(fields["Job_Name"], identifier, fields["job_state"]) for identifier, fields in jobs]
        return [
            Entry(name, identifier, running=state not in _PENDING)
            for name, identifier, state in rows
            if name in wanted and state not in _ENDED
        ]

    def cancel(self, entries: Sequence[Entry]) -> str:
        """Return the command that ends these jobs."""
        return f"qdel {' '.join(quoted(entry.id) for entry in entries)}"


PBS = Pbs()
TORQUE = Pbs(options=TORQUE_OPTIONS)
