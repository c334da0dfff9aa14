"""PBS (OpenPBS, PBS Professional) and Torque: ``qsub``, ``qselect``, ``qstat``, ``qdel``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dpgen2_hpc.dispatch.directives import read
from dpgen2_hpc.dispatch.schedulers import (
    BY_THE_GUARD,
    LONGER,
    MORE_CORES,
    MORE_MEMORY,
    NOTHING,
    Entry,
    Reply,
    quoted,
)
from dpgen2_hpc.dispatch.schedulers.options import Options
from dpgen2_hpc.dispatch.schedulers.pbs_replies import PBS_REPLIES, TORQUE_REPLIES
from dpgen2_hpc.dispatch.schedulers.qsub_options import OPENPBS
from dpgen2_hpc.dispatch.schedulers.qsub_options import TORQUE as TORQUE_OPTIONS
from dpgen2_hpc.dispatch.schedulers.replies import Replies, submitted_id
from dpgen2_hpc.errors import QueueDown

_JOB = re.compile(r"^Job Id: (\S+)$(.*?)(?=^Job Id: |\Z)", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s+(Job_Name|job_state) = (\S+)", re.MULTILINE)
_SAID = re.compile(
    r"^\s+([Ee]xit_status|comment|(?:resources_used|Resource_List)\.(?:walltime|mem)) = (.*)$",
    re.MULTILINE,
)
_ENDED = {"C", "F", "X"}
"""Completed (Torque), finished (PBS), subjob ended. ``E`` is exiting: the job still lives."""

_PENDING = {"Q", "H", "W", "T"}

_ENDED_MEANWHILE = re.compile(r"^qstat: (Unknown Job Id|.*Job has finished)", re.MULTILINE | re.IGNORECASE)
_OTHERWISE = re.compile(r"cannot connect|connection|end of file|busy|timed? ?out|pbs_iff|communication", re.IGNORECASE)


def _answers(reply: Reply) -> bool:
    """Whether ``qstat`` has answered: a job that ended between the two questions makes it fail, and nothing else."""
    return reply.code == 0 or bool(_ENDED_MEANWHILE.search(reply.err) and not _OTHERWISE.search(reply.err))


@dataclass(frozen=True)
class Pbs:
    """PBS and Torque; see :class:`dpgen2_hpc.dispatch.schedulers.Scheduler`."""

    replies: Replies = PBS_REPLIES
    minimum_wait: float = 2.0
    grace: float = 90.0
    own_host: bool = False
    own_id: str = '"$PBS_JOBID"'
    options: Options | None = OPENPBS
    hidden: str = r"PBS_DPREFIX|PBS_QSTAT_\w+|PBSDEBUG"
    variables: Mapping[str, str] = field(default_factory=dict)
    over: str = r"^=>> PBS: job killed: "
    endings: tuple[tuple[str, str, str], ...] = (
        (r"job killed: walltime|^Exit_status = -29\b", "the queue ended its job at the walltime", LONGER),
        (r"job killed: p?cput|^Exit_status = -28\b", "the queue ended its job at the limit of CPU time", LONGER),
        (
            r"job killed: (p?v?mem|rss)|Cgroup mem(sw)? limit exceeded|[Oo]ut [Oo]f [Mm]emory|^Exit_status = -2[67]\b",
            "the queue ended it because it was out of memory",
            MORE_MEMORY,
        ),
        (
            r"job killed: ncpus|^Exit_status = -2[45]\b",
            "the queue ended it because it used more cores than it had asked for",
            MORE_CORES,
        ),
        (r"job killed: node \d+|node failure", "the node of its job failed", NOTHING),
        (
            r"^Exit_status = -(1|2|3)\b",
            "the queue could not begin its job on the node",
            "See the job's output and the site's help: a file or the queue's own preparation failed there.",
        ),
        (r"job killed|[Jj]ob deleted|aborted by PBS|^Exit_status = 271\b", "its job was cancelled", NOTHING),
        *BY_THE_GUARD,
    )
    switches: str = "-f "
    """OpenPBS: no background process, which would live on with the first job's environment."""

    remembers: str = "-x "
    """OpenPBS: how ``qstat`` is asked for jobs that have ended."""

    server: str = ""
    """The server whose jobs are listed; empty: the default one."""

    def configured(self, lines: Sequence[str], queue: str) -> "Pbs":
        """Return the scheduler that asks the server of the last ``-q queue@server``, else the default one."""
        asked = [queue, *(given.value or "" for given in read(OPENPBS, lines) if given.name == "q")]
        return replace(self, server=asked[-1].replace("{queue_name}", queue).partition("@")[2])

    def submit(self, name: str, script: str) -> str:
        """Return the command; what stands on the command line comes before the script's own lines."""
        return f"qsub {self.switches}-N {name} -r n -j oe -o jobs/{name}.out {quoted(script)}"

    def submitted_id(self, reply: Reply) -> str:
        """Return the id from the answer to ``submit``; raises what :func:`.replies.submitted_id` does."""
        return submitted_id(reply, self.replies)

    def list_live(self, names: Sequence[str]) -> str:
        """Return the command: the user's jobs, then all that is known of them; a call for each thousand jobs."""
        server = f" -q {quoted(f'@{self.server}')}" if self.server else ""
        return f'ids=$(qselect -u "$(id -un)"{server}) || exit; [ -z "$ids" ] || echo "$ids" | xargs -n 1000 qstat -f'

    def live(self, reply: Reply, names: Sequence[str]) -> list[Entry]:
        """Return the entries of these names that are not over."""
        jobs = [(identifier, dict(_FIELD.findall(text))) for identifier, text in _JOB.findall(reply.out)]
        if not _answers(reply) or (reply.out.strip() and not jobs):
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

    def history(self, ids: Sequence[str]) -> str:
        """Return the command; Torque remembers ended jobs for a few minutes, OpenPBS as long as the site wants."""
        return f"qstat {self.remembers}-f {' '.join(map(quoted, ids))}"

    def ended(self, reply: Reply) -> dict[str, str]:
        """Return exit status, comment and what was used, of each job."""
        return {
            identifier: "\n".join(f"{name.capitalize()} = {value}" for name, value in _SAID.findall(_unfolded(text)))
            for identifier, text in _JOB.findall(reply.out)
        }


def _unfolded(text: str) -> str:
    """Return the fields of a job with their continued lines joined."""
    return re.sub(r"\n\t", "", text)


PBS = Pbs()
TORQUE = Pbs(replies=TORQUE_REPLIES, options=TORQUE_OPTIONS, switches="", remembers="")
