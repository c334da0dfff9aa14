"""A project whose jobs run on a real Slurm of its own; the scheduler's completion log is the truth."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import slurm_cluster
from programs import demanded
from project import FAKES, Project

FAULTS = FAKES / "faults"


@contextmanager
def cluster(folder: Path) -> Iterator[slurm_cluster.Cluster]:
    """Start a cluster for the length of a block; skip the test (fail it where it is demanded) if there can be none."""
    missing = slurm_cluster.missing()
    if missing or os.geteuid() != 0:
        why = f"a real Slurm needs root and {', '.join(missing) or 'nothing else'} (apt-get install slurm-wlm munge)"
        (pytest.fail if demanded() else pytest.skip)(why)
    running = slurm_cluster.Cluster(folder, slots=8).start()
    try:
        yield running
    finally:
        running.stop()


class SlurmProject(Project):
    """A project whose jobs run on the cluster, through sbatch and squeue that can be made to fail."""

    def __init__(self, folder: Path, cluster: slurm_cluster.Cluster) -> None:
        super().__init__(folder)
        self.cluster, self.faults = cluster, folder / "faults"
        self.faults.mkdir()
        self.env.update(
            PATH=f"{FAULTS}:{self.env['PATH']}:{slurm_cluster.SBIN}",
            SLURM_CONF=str(cluster.conf),
            QUEUE_FAULTS=str(self.faults),
        )
        self.param["train"]["numb_models"] = 4
        self.param["explore"].update(max_numb_iter=1, fatal_at_max=False)
        default = self.machine["default"]
        default["machine"]["batch_type"] = "Slurm"
        default.update(grace=3, poll_interval=0.4)
        self.job_env()

    def job_env(self, **more: str) -> None:
        """What jobs find in their environment: a login shell forgets ours."""
        names = ("FAKE_LEDGER", "FAKE_DEVIATIONS", "FAKE_DP_HOLD", "SLURM_CONF")
        envs = {
            "PATH": f"{FAKES}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            **{name: self.env[name] for name in names},
            **more,
        }
        self.machine["default"]["resources"]["envs"] = envs

    def will(self, program: str, *faults: str) -> None:
        """Let the next calls of a program go wrong."""
        (self.faults / program).write_text("".join(f"{fault}\n" for fault in faults))

    def names(self) -> set[str]:
        """The names of all jobs that the ledgers of the run know."""
        lines = [line for path in self.work.rglob("batch.jsonl") for line in path.read_text().splitlines()]
        events = [json.loads(line) for line in lines]
        return {event["name"] for event in events if event["event"] == "intent"}

    def entries(self) -> Counter:
        """How many entries of each of our names the scheduler has ever accepted."""
        self.cluster.wait_until_idle()
        time.sleep(0.5)
        names = self.names()
        return Counter(job["Name"] for job in self.cluster.accepted() if job["Name"] in names)


def exactly_once(project: SlurmProject) -> None:
    entries = project.entries()
    assert set(entries) == project.names()
    assert set(entries.values()) == {1}, entries
    calls = project.calls()
    assert len(calls) == len(set(calls)), sorted(calls)
