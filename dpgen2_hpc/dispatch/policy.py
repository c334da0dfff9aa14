"""How many failures a step bears, how many jobs it keeps in the queue, how often it looks."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from dpgen2_hpc.state.steps import WITH_TASKS


@dataclass(frozen=True)
class Policy:
    """The policy of one step.

    ``success_ratio`` is the part of the tasks that must be usable; ``retry_count`` the further attempts for a task
    that the queue lost; ``poll_interval`` (s) the longest time between two looks; ``grace`` (s) how long a job must be
    missing before it is believed to be gone (``None``: the scheduler's own). ``timeout`` (s) ends a task that takes
    longer; with ``timeout_is_transient`` that counts as lost to the queue, else as the program's own error. ``envs``
    are set for each task.
    """

    success_ratio: float = 1.0
    success_number: int = 1
    parallelism: int | None = None
    retry_count: int = 3
    poll_interval: float = 60.0
    grace: float | None = None
    timeout: float | None = None
    timeout_is_transient: bool = False
    envs: Mapping[str, str] = field(default_factory=dict)

    FAILURES = 1
    """Further attempts after a program's own error."""

    @classmethod
    def from_settings(cls, step: str, settings: Mapping[str, Any]) -> Self:
        """Return the policy that the user's words stand for; those that are ``None`` were not given."""
        given = {name: value for name, value in settings.items() if value is not None}
        policy = cls(success_ratio=WITH_TASKS[step].success_ratio)
        known = {entry.name for entry in fields(cls)}
        policy = replace(policy, **{name: value for name, value in given.items() if name in known})
        if given.get("continue_on_failed"):
            policy = replace(policy, success_ratio=0.0)
        if "continue_on_num_success" in given:
            policy = replace(policy, success_ratio=0.0, success_number=given["continue_on_num_success"])
        if "continue_on_success_ratio" in given:
            policy = replace(policy, success_ratio=given["continue_on_success_ratio"])
        return policy

    def wanted(self, total: int) -> int:
        """Return how many of ``total`` tasks must be usable: none of none, else at least one."""
        by_ratio = math.ceil(self.success_ratio * total - 1e-9)
        return min(total, max(1, self.success_number, by_ratio))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))
