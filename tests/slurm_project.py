"""A project whose jobs run on a real Slurm of its own; the scheduler's completion log is the truth."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import slurm_cluster
from programs import demanded
from queue_project import FAULTS, QueueProject


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


class SlurmProject(QueueProject):
    """A project whose jobs run on the cluster, through sbatch and squeue that can be made to fail."""

    submit, look = "sbatch", "squeue"
    passed = ("SLURM_CONF",)

    def __init__(self, folder: Path, cluster: slurm_cluster.Cluster) -> None:
        super().__init__(folder, "Slurm", 4, grace=3, poll_interval=0.4)
        self.cluster = cluster
        path = f"{FAULTS}:{self.env['PATH']}:{slurm_cluster.SBIN}"
        self.env.update(PATH=path, SLURM_CONF=str(cluster.conf), QUEUE_FLAVOUR="slurm")
        self.job_env()

    def queue(self) -> list[tuple[str, str, str]]:
        return self.cluster.queue()

    def cancel(self, identifier: str) -> None:
        subprocess.run(["scancel", identifier], env=self.env, check=True)

    def again(self, script: Path) -> None:
        words = ["sbatch", "--parsable", f"--job-name={script.stem}", f"jobs/{script.name}"]
        subprocess.run(words, cwd=script.parents[1], env=self.env, check=True, capture_output=True)

    def wait_until_idle(self, seconds: float = 60) -> None:
        self.cluster.wait_until_idle(seconds)

    def entries(self) -> Counter:
        self.wait_until_idle()
        time.sleep(0.5)
        names = self.names()
        return Counter(job["Name"] for job in self.cluster.accepted() if job["Name"] in names)
