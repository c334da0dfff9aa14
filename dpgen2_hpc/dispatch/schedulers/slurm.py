"""Slurm: ``sbatch``, ``squeue``, ``scancel``."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dpgen2_hpc.dispatch.directives import clusters_of
from dpgen2_hpc.dispatch.schedulers import (
    BY_THE_GUARD,
    LONGER,
    MORE_MEMORY,
    NOTHING,
    Entry,
    Reply,
    quoted,
    rows_of,
)
from dpgen2_hpc.dispatch.schedulers.options import Options
from dpgen2_hpc.dispatch.schedulers.replies import Replies, submitted_id
from dpgen2_hpc.dispatch.schedulers.sbatch_options import SBATCH
from dpgen2_hpc.dispatch.schedulers.slurm_replies import SLURM_REPLIES
from dpgen2_hpc.errors import QueueDown

_ENDED = {"CA", "CD", "F", "TO", "NF", "OOM", "BF", "DL", "PR"}
"""States that ``squeue`` may show of jobs that are over; every other one is alive, unknown ones too."""

_PENDING = {"PD", "CF", "RQ", "RH", "SE"}

_ASKED = ("JobState", "ExitCode", "Reason", "NodeList", "RunTime", "TimeLimit")
"""What is shown of an ended job, in the controller's words; ``sacct`` has other names for it, in this order."""

_TOLD_ID = re.compile(r"JobId=(\d+)\b")
_TOLD = re.compile(r"(\w+)=(\S*)")


@dataclass(frozen=True)
class Slurm:
    """Slurm; see :class:`dpgen2_hpc.dispatch.schedulers.Scheduler`."""

    replies: Replies = SLURM_REPLIES
    minimum_wait: float = 2.0
    grace: float = 90.0
    own_host: bool = False
    own_id: str = '"$SLURM_JOB_ID"'
    options: Options | None = SBATCH
    clusters: str = ""
    """The clusters that the user's ``--clusters`` names, with commas; empty: the one of this host."""

    hidden: str = (
        r"(SQUEUE|SCANCEL|SACCT)_\w+|"
        r"SBATCH_(ARRAY_INX|ERROR|INPUT|JOB_NAME|NO_REQUEUE|OUTPUT|REQUEUE|TEST_ONLY|WAIT)|SLURM_TIME_FORMAT|(SLURM|SBATCH)_CLUSTERS"
    )
    variables: Mapping[str, str] = field(default_factory=dict)
    over: str = r"^(slurmstepd|slurmd)\S*: error: \*\*\* JOB \d+ ON \S+ CANCELLED AT "
    endings: tuple[tuple[str, str, str], ...] = (
        (
            r"DUE TO TIME LIMIT|^JobState=(TIMEOUT|DEADLINE)\b",
            "the queue ended its job at the walltime",
            LONGER,
        ),
        (
            r"oom_kill event|oom-kill event|[Ee]xceeded (job|step) memory limit|^JobState=OUT_OF_MEMORY\b",
            "the queue ended it because it was out of memory",
            MORE_MEMORY,
        ),
        (
            r"DUE TO NODE FAILURE|^JobState=(NODE_FAIL|BOOT_FAIL|LAUNCH_FAILED|RECONFIG_FAIL)\b",
            "the node of its job failed",
            NOTHING,
        ),
        (r"DUE TO PREEMPTION|^JobState=PREEMPTED\b", "its job was preempted by another", NOTHING),
        (r"\*\*\* (JOB|STEP) \S+ ON \S+ CANCELLED AT|^JobState=CANCELLED\b", "its job was cancelled", NOTHING),
        *BY_THE_GUARD,
    )

    def configured(self, lines: Sequence[str], queue: str) -> "Slurm":
        """Return the scheduler that asks the clusters of the last ``--clusters`` in these lines."""
        return replace(self, clusters=clusters_of(lines) or "")

    def submit(self, name: str, script: str) -> str:
        """Return the command; its options beat those of the script, and ``#PBS`` and ``#BSUB`` lines do not count."""
        files = f'--chdir="$PWD" --output=jobs/{name}.out --error=jobs/{name}.out'
        return f"sbatch --parsable --ignore-pbs --no-requeue --job-name={name} {files} {quoted(script)}"

    def submitted_id(self, reply: Reply) -> str:
        """Return the id from the answer to ``submit``; raises what :func:`.replies.submitted_id` does."""
        return submitted_id(reply, self.replies)

    def list_live(self, names: Sequence[str]) -> str:
        """Return the command: all jobs of this user, since a list of names may be longer than a command line.

        Without ``--all`` the jobs of hidden partitions are left out.
        """
        ask = 'squeue {}--all --noheader --user="$(id -un)" --format="%i|%t|%j"'
        parts = (f"echo 'CLUSTER: {name}' && {ask.format(_at(name))}" for name in self.clusters.split(","))
        return " && ".join(parts) if self.clusters else ask.format("")

    def live(self, reply: Reply, names: Sequence[str]) -> list[Entry]:
        """Return the entries of these names that are not over."""
        if reply.code != 0:
            raise QueueDown(reply.err.strip() or f"squeue ended with exit code {reply.code}")
        wanted = set(names)
        return [
            Entry(name, _with_cluster(identifier, cluster), running=state not in _PENDING)
            for cluster, part in _by_cluster(reply.out)
            for identifier, state, name in rows_of(part, 3)
            if name in wanted and state not in _ENDED
        ]

    def cancel(self, entries: Sequence[Entry]) -> str:
        """Return the command that ends these jobs."""
        parts = self._parts([entry.id for entry in entries])
        return "; ".join(f"scancel {_at(cluster)}{' '.join(ids)}" for cluster, ids in parts.items())

    def history(self, ids: Sequence[str]) -> str:
        """Return the command: the accounting's answer, or without accounting what the controller still remembers."""
        return "; ".join(_history(cluster, numbers) for cluster, numbers in self._parts(ids).items())

    def ended(self, reply: Reply) -> dict[str, str]:
        """Return state, exit code, reason and node of each job, in the controller's words for both answers."""
        rows = [line.split("|") for line in reply.out.splitlines()]
        found = {row[0]: _as_the_controller(row) for row in rows if len(row) == len(_ASKED) + 1}
        for line in reply.out.splitlines():
            if identifier := _TOLD_ID.match(line):
                told = dict(_TOLD.findall(line))
                found[identifier[1]] = " ".join(f"{name}={told[name]}" for name in _ASKED if name in told)
        return found

    def _parts(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the numbers of jobs by their cluster: ``4242;c1`` is a job of c1."""
        found: dict[str, list[str]] = {}
        for identifier in ids:
            number, _, cluster = identifier.partition(";")
            found.setdefault(cluster or self.clusters, []).append(quoted(number))
        return found


def _at(clusters: str) -> str:
    return f"--clusters={quoted(clusters)} " if clusters else ""


def _with_cluster(number: str, cluster: str) -> str:
    return f"{number};{cluster}" if cluster else number


def _by_cluster(text: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of an answer about several clusters, each with the name of its cluster from the line above it."""
    first, *others = re.split(r"^CLUSTER: (\S+)$", text, flags=re.MULTILINE)
    yield "", first
    yield from zip(others[::2], others[1::2], strict=True)


def _history(cluster: str, numbers: Sequence[str]) -> str:
    fields = "JobID,State,ExitCode,Reason,NodeList,Elapsed,Timelimit"
    accounting = f"sacct {_at(cluster)}-X -n -P -o {fields} -j {','.join(numbers)}"
    controller = f'for id in {" ".join(numbers)}; do scontrol {_at(cluster)}-o show job "$id"; done'
    return f'told=$({accounting}) && [ -n "$told" ] && echo "$told" || {{ {controller}; }}'


def _as_the_controller(row: Sequence[str]) -> str:
    return " ".join(f"{name}={value}" for name, value in zip(_ASKED, row[1:], strict=True))


SLURM = Slurm()
