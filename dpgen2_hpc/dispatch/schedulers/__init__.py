"""What a batch system must be able to say, and the table of those that we know.

A scheduler builds command lines and parses their output; it runs nothing itself, so that it can be tested without a
queue. To add one: one file here and one line in :data:`SCHEDULERS`.
"""

import importlib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from dpgen2_hpc.dispatch.schedulers.options import Options
from dpgen2_hpc.errors import QueueDown

SCHEDULERS: Mapping[str, str] = {
    "Shell": "dpgen2_hpc.dispatch.schedulers.shell:SHELL",
    "Slurm": "dpgen2_hpc.dispatch.schedulers.slurm:SLURM",
    "PBS": "dpgen2_hpc.dispatch.schedulers.pbs:PBS",
    "Torque": "dpgen2_hpc.dispatch.schedulers.pbs:TORQUE",
    "LSF": "dpgen2_hpc.dispatch.schedulers.lsf:LSF",
}
"""By dpdispatcher's ``batch_type``."""


@dataclass(frozen=True)
class Reply:
    """What a command answered."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Entry:
    """A live queue entry; two of one name are two entries."""

    name: str
    id: str
    running: bool


class Scheduler(Protocol):
    """A batch system."""

    minimum_wait: float
    """Shortest time between two looks, s."""

    grace: float
    """How long a job must be missing before it is believed to be gone, s."""

    own_host: bool
    """Whether only the host that started a job can see it."""

    own_id: str
    """The shell expression that is a job's id inside of the job."""

    options: Options | None
    """How its submit command reads directive lines; ``None``: it has none."""

    endings: Sequence[tuple[str, str, str]]
    """How a queue that ends a job says so, in the job's output or in its history: (pattern, sentence, remedy)."""

    over: str
    """What the queue writes into a job's output only when the job has ended: pattern. It is believed at once."""

    hidden: str
    """Pattern of the user's variables that the commands must not see: they hide jobs, wait, or print nothing."""

    variables: Mapping[str, str]
    """Variables that the commands get: limits of their own patience."""

    def configured(self, lines: Sequence[str], queue: str) -> "Scheduler":
        """Return the scheduler for jobs in ``queue`` with these lines in their head: they may say whom to ask."""

    def submit(self, name: str, script: str) -> str:
        """Return the command that submits ``script`` under ``name``, never to be requeued."""

    def submitted_id(self, reply: Reply) -> str:
        """Return the id from the answer to ``submit``.

        Raises
        ------
        QueueDown
            It cannot be told whether the job was accepted.
        QueueFull
            It was not, and will be later.
        SubmissionRefused
            It was not as far as the answer tells; ``certain`` says whether the scheduler documents the answer.
            If it does not, look for the job by its name before submitting it again.
        """

    def list_live(self, names: Sequence[str]) -> str:
        """Return the one command that lists all live entries of these names."""

    def live(self, reply: Reply, names: Sequence[str]) -> list[Entry]:
        """Return the live entries of these names.

        Raises
        ------
        QueueDown
            The answer is none.
        """

    def cancel(self, entries: Sequence[Entry]) -> str:
        """Return the command that ends these jobs; those that have ended meanwhile do not matter."""

    def history(self, ids: Sequence[str]) -> str:
        """Return the command that asks how these jobs have ended, or an empty text where nothing can be asked."""

    def ended(self, reply: Reply) -> dict[str, str]:
        """Return what the answer to ``history`` says, in a line for each job id; an answer without sense is empty."""


LONGER = "Give the step's jobs more walltime in machine.json (custom_flags), or fewer tasks (group_size)."
MORE_MEMORY = "Give the step's jobs more memory in machine.json (custom_flags), or run fewer tasks at once (para_deg)."
NOTHING = "Nothing is wrong with the task: it is tried again by itself."
MORE_CORES = "Ask for as many cores as the programs use (cpu_per_node), or set OMP_NUM_THREADS in envs."
"""Remedies that all batch systems share."""

BY_THE_GUARD = (
    (
        r"^dpgen2-hpc: cannot write the claim",
        "its job could not write into the jobs folder of the work directory",
        "Make the work directory writable on the compute nodes (quota, mounts); the job's output has the error.",
    ),
    (
        r"^dpgen2-hpc: cannot enter the folder",
        "its job did not find the work directory on the node where it ran",
        "Keep the work directory where all compute nodes see it, or use LocalContext with such a remote_root.",
    ),
)
"""What a job's own first lines say in its output when it cannot begin (``guard.sh``)."""


def ending_of(known: Sequence[tuple[str, str, str]], text: str) -> tuple[str, str] | None:
    """Return sentence and remedy of the first pattern that ``text`` shows, or ``None``."""
    found = (row for row in known if re.search(row[0], text, re.MULTILINE))
    return next(((sentence, remedy) for _, sentence, remedy in found), None)


def quoted(word: str) -> str:
    """Return a word as a shell takes it for one."""
    return shlex.quote(word)


def rows_of(text: str, fields: int) -> list[list[str]]:
    """Return the rows of an answer whose fields stand between ``|``; lines without any are a site's own words.

    The last field is a job's name, which may be another's and hold anything.

    Raises
    ------
    QueueDown
        A row was cut, or there is nothing but words.
    """
    rows = [line.strip().split("|", fields - 1) for line in text.splitlines() if "|" in line]
    if any(len(row) != fields for row in rows) or (text.strip() and not rows):
        raise QueueDown(f"the queue's answer makes no sense: {text.strip()[:200]}")
    return rows


def canonical(batch_type: str) -> str | None:
    """Return dpdispatcher's spelling of a ``batch_type`` given in any case, or ``None`` if we have none for it."""
    return next((name for name in SCHEDULERS if name.lower() == batch_type.lower()), None)


def scheduler(batch_type: str) -> Scheduler | None:
    """Return the scheduler for a ``batch_type``, or ``None`` if we have none for it."""
    name = canonical(batch_type)
    if name is None:
        return None
    module, _, attribute = SCHEDULERS[name].partition(":")
    return cast(Scheduler, getattr(importlib.import_module(module), attribute))
