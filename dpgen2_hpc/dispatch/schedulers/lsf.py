"""LSF: ``bsub``, ``bjobs``, ``bkill``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dpgen2_hpc.dispatch.schedulers import (
    BY_THE_GUARD,
    LONGER,
    MORE_CORES,
    MORE_MEMORY,
    NOTHING,
    Entry,
    Reply,
    quoted,
    rows_of,
)
from dpgen2_hpc.dispatch.schedulers.bsub_options import BSUB
from dpgen2_hpc.dispatch.schedulers.lsf_replies import LSF_REPLIES
from dpgen2_hpc.dispatch.schedulers.options import Options
from dpgen2_hpc.dispatch.schedulers.replies import Replies, submitted_id
from dpgen2_hpc.errors import QueueDown

_NOTHING = re.compile(r"no (unfinished )?job found|no matching job found", re.IGNORECASE)
_ENDED = {"DONE", "EXIT"}
_PENDING = {"PEND", "PSUSP", "WAIT", "PROV"}

_BREAK = re.compile(r"\n {8,}")
_HISTORY = re.compile(r"^Job <(\d+)>(.*?)(?=^Job <\d+>|\Z)", re.MULTILINE | re.DOTALL)
_END = re.compile(r"\b(TERM_\w+(?:: [^;\n]*)?|Exited [^;\n]*|Done successfully[^;\n]*|Signal <\w+>[^;\n]*)")


@dataclass(frozen=True)
class Lsf:
    """LSF; see :class:`dpgen2_hpc.dispatch.schedulers.Scheduler`."""

    replies: Replies = LSF_REPLIES
    minimum_wait: float = 2.0
    grace: float = 90.0
    own_host: bool = False
    own_id: str = '"$LSB_JOBID"'
    options: Options | None = BSUB
    hidden: str = r"BSUB_(QUIET2?|BLOCK|CHK_RESREQ|STDERR)|LSB_(BJOBS_\w+|JOB_CWD|BSUB_ERR_RETRY|BSUB_MODE)"
    variables: Mapping[str, str] = field(default_factory=lambda: {"LSB_NTRIES": "1"})
    over: str = r"^Subject: Job \d+: "
    endings: tuple[tuple[str, str, str], ...] = (
        (r"^TERM_(RUNLIMIT|DEADLINE)\b", "the queue ended its job at the walltime", LONGER),
        (r"^TERM_CPULIMIT\b", "the queue ended its job at the limit of CPU time", LONGER),
        (
            r"^TERM_(MEMLIMIT|SWAP|SWAPLIMIT)\b",
            "the queue ended it because it was out of memory",
            MORE_MEMORY,
        ),
        (
            r"^TERM_(PROCESSLIMIT|THREADLIMIT)\b",
            "the queue ended it because it had too many processes or threads",
            MORE_CORES,
        ),
        (
            r"^TERM_(PREEMPT|LOAD|WINDOW|ZOMBIE?|REMOVE_HUNG_JOB|RMS|SLURM|RC|REQUEUE_RC|MC_RECALL|KUBE|CSM_ALLOC)\b",
            "its host failed, or the queue took the host back",
            NOTHING,
        ),
        (
            r"^TERM_(CWD_NOTEXIST|PRE_EXEC_FAIL|DATA)\b",
            "the queue could not begin its job on the host",
            "See the job's output and the site's help: the folder or the queue's own preparation failed there.",
        ),
        (
            r"^TERM_((FORCE_|REQUEUE_)?(OWNER|ADMIN)|BUCKET_KILL|EXTERNAL_SIGNAL|ORPHAN_SYSTEM|CHKPNT|OTHER)\b",
            "its job was cancelled",
            NOTHING,
        ),
        *BY_THE_GUARD,
    )

    def configured(self, lines: Sequence[str], queue: str) -> "Lsf":
        """Return itself: there is one server to ask."""
        return self

    def submit(self, name: str, script: str) -> str:
        """Return the command; what stands on the command line comes before the script's own lines."""
        output = f'"$PWD"/jobs/{name}.out'  # a relative path counts from where the site lets jobs start
        return f"bsub -J {name} -rn -o {output} -e {output} < {quoted(script)}"

    def submitted_id(self, reply: Reply) -> str:
        """Return the id from the answer to ``submit``; raises what :func:`.replies.submitted_id` does."""
        return submitted_id(reply, self.replies)

    def list_live(self, names: Sequence[str]) -> str:
        """Return the command, in a format of our own: a site may have set another one as the default."""
        return 'bjobs -u "$(id -un)" -noheader -o "jobid stat job_name:20 delimiter=\'|\'"'

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

    def history(self, ids: Sequence[str]) -> str:
        """Return the command; its lines are broken anywhere."""
        return f"bhist -l {' '.join(map(quoted, ids))}"

    def ended(self, reply: Reply) -> dict[str, str]:
        """Return what is said of each job's end, the queue's word for the reason first."""
        jobs = _HISTORY.findall(_BREAK.sub("", reply.out))
        return {identifier: "; ".join(sorted(set(_END.findall(text)), key=_reason_first)) for identifier, text in jobs}


def _reason_first(words: str) -> bool:
    return not words.startswith("TERM_")


LSF = Lsf()
