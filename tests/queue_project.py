"""A project whose jobs run on a batch system, through commands that can be made to fail; what all of them share."""

import json
import os
import sys
from collections import Counter
from pathlib import Path

from project import FAKES, Project, unmeasured

FAULTS = FAKES / "faults"


class QueueProject(Project):
    """What the table of faults asks of a project; a batch system's own class says the rest."""

    submit: str
    """The program that submits, for `will`."""

    look: str
    """The program that lists jobs."""

    passed: tuple[str, ...] = ()
    """Further variables that jobs need."""

    def __init__(self, folder: Path, batch_type: str, models: int, **policy: float) -> None:
        super().__init__(folder)
        self.faults = folder / "faults"
        self.faults.mkdir()
        self.env = {**unmeasured(self.env), "QUEUE_FAULTS": str(self.faults)}
        self.models = models
        self.param["train"]["numb_models"] = models
        self.param["explore"].update(max_numb_iter=1, fatal_at_max=False)
        default = self.machine["default"]
        default["machine"]["batch_type"] = batch_type
        default.update(policy)

    def job_env(self, **more: str) -> None:
        """What jobs find in their environment: a login shell forgets ours."""
        names = ("FAKE_LEDGER", "FAKE_DEVIATIONS", "FAKE_DP_HOLD", *self.passed)
        envs = {
            "PATH": f"{FAKES}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            **{name: self.env[name] for name in names},
            **more,
        }
        self.machine["default"]["resources"]["envs"] = envs

    def directives(self, *lines: str) -> None:
        """Add lines to the head of each job's script."""
        self.machine["default"]["resources"]["custom_flags"] = list(lines)

    def will(self, program: str, *faults: str) -> None:
        """Let the next calls of a program go wrong."""
        (self.faults / program).write_text("".join(f"{fault}\n" for fault in faults))

    def asked(self, program: str) -> int:
        """How often a program of the queue was called."""
        calls = self.faults / "calls"
        return calls.read_text().split().count(program) if calls.exists() else 0

    def events(self) -> list[dict]:
        """All events of all ledgers of the run."""
        paths = sorted(self.work.rglob("batch.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    def names(self) -> set[str]:
        """The names of all jobs that the ledgers of the run know."""
        return {event["name"] for event in self.events() if event["event"] == "intent"}

    def step_of(self, name: str) -> str:
        return next(path.parents[1].name for path in self.work.rglob(f"{name}.sub"))

    # ---- the queue's side

    def queue(self) -> list[tuple[str, str, str]]:
        """The living entries: id, name, state."""
        raise NotImplementedError

    def mine(self) -> list[str]:
        """The ids of the living entries that are this run's."""
        names = self.names()
        return [identifier for identifier, name, _ in self.queue() if name in names]

    def cancel(self, identifier: str) -> None:
        """End a job as its user does by hand."""
        raise NotImplementedError

    def again(self, script: Path) -> None:
        """Submit a job's script once more, by hand, under its name."""
        raise NotImplementedError

    def wait_until_idle(self, seconds: float = 60) -> None:
        """Wait until no entry of the queue lives."""
        raise NotImplementedError

    def entries(self) -> Counter:
        """How many entries of each of our names the queue has ever accepted."""
        raise NotImplementedError


def exactly_once(project: QueueProject) -> None:
    """Each job is one entry of the queue, and each attempt at a task was run by one job."""
    entries = project.entries()
    assert set(entries) == project.names(), set(entries) ^ project.names()
    assert set(entries.values()) == {1}, entries
    calls = project.calls()
    assert len(calls) == len(set(calls)), sorted(calls)


def complete(project: QueueProject, done) -> None:
    """The run has reached its end, with nothing lost."""
    assert done.returncode == 0, (done.stdout or "")[-3000:] + (done.stderr or "")[-3000:]
    row = project.status()["iterations"][0]
    assert (row["explored"], row["selected"], row["labelled"]) == (10, 3, 3)
