"""A project whose jobs run on an emulated OpenPBS, Torque or LSF (tests/fakes/emulated); the truth is what it accepted."""

import json
import subprocess
from collections import Counter
from pathlib import Path

from project import FAKES, wait_for
from queue_project import FAULTS, QueueProject

COMMANDS = FAKES / "emulated"
BATCH_TYPES = {"openpbs": "PBS", "torque": "Torque", "lsf": "LSF"}


class EmulatedProject(QueueProject):
    """A project on one flavour of a batch system, at a site with some habits."""

    def __init__(self, folder: Path, flavour: str, site: str = "") -> None:
        self.family = flavour.partition("-")[0]
        super().__init__(folder, BATCH_TYPES[self.family], 3, grace=1.5, poll_interval=0.2)
        self.submit, self.look = ("bsub", "bjobs") if self.lsf else ("qsub", "qstat")
        self.folder_of_queue, home = folder / "queue", folder / "home"
        home.mkdir()
        self.folder_of_queue.mkdir()
        self.env.update(
            PATH=f"{FAULTS}:{COMMANDS}:{self.env['PATH']}",
            QUEUE_DIR=str(self.folder_of_queue),
            QUEUE_FLAVOUR=flavour,
            QUEUE_SITE=site,
            QUEUE_HOME=str(home),
            QUEUE_MINUTE="1",
            QUEUE_RETRY="1",
            QUEUE_BACKGROUND="3",
        )
        self.machine["default"]["resources"]["kwargs"] = {}
        self.job_env()

    @property
    def lsf(self) -> bool:
        return self.family == "lsf"

    def jobs(self) -> list[dict]:
        """All entries that there ever were, as the emulation knows them."""
        texts = [path.read_text() for path in sorted(self.folder_of_queue.glob("[0-9]*.json"))]
        return sorted(map(json.loads, texts), key=lambda job: (job["number"], job["index"] or 0))

    def call(self, *words: str, **more) -> subprocess.CompletedProcess:
        """Call a command of the queue by hand, past the faults."""
        program = str(COMMANDS / words[0])
        return subprocess.run([program, *words[1:]], env=self.env, capture_output=True, text=True, **more)

    def queue(self) -> list[tuple[str, str, str]]:
        suffix = "" if self.lsf else ".server"
        jobs = [job for job in self.jobs() if job["state"] != "finished"]
        return [(f"{job['number']}{suffix}", job["name"], job["state"]) for job in jobs]

    def cancel(self, identifier: str) -> None:
        assert self.call("bkill" if self.lsf else "qdel", identifier).returncode == 0

    def end(self, job: dict, how: str) -> None:
        """Let the queue end a running job: walltime, memory, node, external, admin."""
        (self.folder_of_queue / f"{job['number']}.order").write_text(how)
        subprocess.run(["kill", "-USR1", str(job["keeper"])], check=True)

    def again(self, script: Path) -> None:
        words = (
            ["bsub", "-J", script.stem, "-rn", "-o", f"jobs/{script.stem}.out"]
            if self.lsf
            else ["qsub", "-N", script.stem, "-r", "n", f"jobs/{script.name}"]
        )
        with script.open() as text:
            assert self.call(*words, cwd=script.parents[1], stdin=text).returncode == 0

    def wait_until_idle(self, seconds: float = 60) -> None:
        wait_for(lambda: not self.queue(), seconds)

    def entries(self) -> Counter:
        return Counter((self.folder_of_queue / "submissions").read_text().split())

    def outputs(self) -> dict[str, str]:
        """The output of each job of the run that has any, by name."""
        return {path.stem: path.read_text() for path in self.work.rglob("jobs/*.out")}
