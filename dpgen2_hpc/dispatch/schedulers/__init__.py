"""What a batch system must be able to say, and the table of those that we know.

A scheduler builds command lines and parses their output; it runs nothing itself, so that it can be tested without a
queue. To add one: one file here and one line in :data:`SCHEDULERS`.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

SCHEDULERS: Mapping[str, str] = {"Shell": "dpgen2_hpc.dispatch.schedulers.shell:SHELL"}
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

    def submit(self, name: str, script: str) -> str:
        """Return the command that submits ``script`` under ``name``, never to be requeued."""

    def submitted_id(self, reply: Reply) -> str:
        """Return the id from the answer to ``submit``.

        Raises
        ------
        QueueDown
            It cannot be told whether the job was accepted.
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


def scheduler(batch_type: str) -> Scheduler | None:
    """Return the scheduler for a ``batch_type`` (any case), or ``None`` if we have none for it."""
    for name, target in SCHEDULERS.items():
        if name.lower() == batch_type.lower():
            module, _, attribute = target.partition(":")
            return cast(Scheduler, getattr(importlib.import_module(module), attribute))
    return None
