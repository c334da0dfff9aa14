"""The words for the states of a run, its steps, jobs and attempts; their values are what files and ``status`` have."""

from enum import StrEnum


class Phase(StrEnum):
    """How far the present step is, in their order."""

    PENDING = "pending"
    PREPARED = "prepared"
    SUBMITTED = "submitted"
    FINISHED = "finished"
    HARVESTED = "harvested"


class RunStatus(StrEnum):
    """What a run does now."""

    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"
    BLOCKED = "blocked"
    COMPLETE = "complete"


class Verdict(StrEnum):
    """How an attempt ended: usable; ended by the queue; by its own program; the last of all attempts failed."""

    DONE = "done"
    LOST = "lost"
    FAILED = "failed"
    BROKEN = "broken"


class JobStatus(StrEnum):
    """What is known of a job. ``MISSING``: the queue does not list it; "gone" is believed when said twice."""

    INTENDED = "intended"
    SUBMITTED = "submitted"
    RUNNING = "running"
    MISSING = "missing"
    GONE = "gone"


class QueueStatus(StrEnum):
    """What a batch notices of its queue: it does not answer; takes no more jobs; rejects one; all is well again."""

    DOWN = "down"
    FULL = "full"
    REFUSED = "refused"
    ANSWERS = "answers"
