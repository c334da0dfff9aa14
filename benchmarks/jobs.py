"""What the queue costs the driver: 1000 trivial tasks in groups of 100, beside dpdispatcher's own run_submission.

Both run the same commands as processes of this host (Shell), one after the other. CPU is that of the driver's process
alone, without the jobs. A poll of 1000 live jobs is counted with a stand-in of Slurm whose jobs never start.

    .venv/bin/python benchmarks/jobs.py [TASKS]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from dpgen2_hpc.dispatch.attempts import write_attempt
from dpgen2_hpc.dispatch.batch import Batch
from dpgen2_hpc.dispatch.machine import StepMachine
from dpgen2_hpc.dispatch.names import job_name
from dpgen2_hpc.dispatch.policy import Policy
from dpgen2_hpc.dispatch.poll import Pace
from dpgen2_hpc.dispatch.queue import Queue
from dpgen2_hpc.dispatch.site import Site
from dpgen2_hpc.state.ledger import Ledger, Task
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.workdir import WorkDir

GROUP = 100
RESOURCES = {"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "queue_name": "", "kwargs": {}}


class Judge:
    """Takes whatever a task left."""

    command, settings = "true", "settings"

    def write(self, task, directory):
        return {}

    def judge(self, task, directory, exit_code):
        return None

    def carry_over(self, task, old, new):
        pass


class Counts:
    """How often something was called."""

    def __init__(self):
        self.number = 0

    def of(self, function):
        def counted(*words, **more):
            self.number += 1
            return function(*words, **more)

        return counted


@dataclass(frozen=True)
class CountedQueue(Queue):
    """A queue that counts its commands."""

    counts: Counts = field(default_factory=Counts)

    def call(self, *words, **more):
        self.counts.number += 1
        return super().call(*words, **more)


def batch_of(root, tasks, batch_type, group_size):
    """A prepared batch of trivial tasks, and the counter of its scheduler calls."""
    folder = WorkDir(root).step(0, "fp")
    folder.path.mkdir(parents=True)
    for number in range(tasks):
        folder.task(number).mkdir()
        write_attempt(folder.task(number), 1)
    Ledger.create(folder.ledger, [Task(f"{number:064d}", {}) for number in range(tasks)])
    machine = StepMachine(
        {"batch_type": batch_type, "context_type": "LazyLocalContext"}, {**RESOURCES, "group_size": group_size}
    )
    site = Site(machine, folder, root, "here")
    site.queue = CountedQueue(site.queue.scheduler, site.queue.root)
    lock = Lock.acquire(root / "lock")
    batch = Batch(
        site, Judge(), Policy(parallelism=10**6), lambda job: job_name("run", 0, "fp", job), lambda: None, lock=lock
    )
    return batch, site.queue.counts


def ours(root, tasks):
    """Run all the tasks as the driver does."""
    batch, calls = batch_of(root, tasks, "Shell", GROUP)
    before, fsyncs, real = files(root), Counts(), os.fsync
    os.fsync = fsyncs.of(real)
    began, cpu, looks = time.perf_counter(), time.process_time(), 0
    batch.open()
    pace = Pace(batch.site.scheduler.minimum_wait, 60)
    while not batch.finished:
        if batch.advance():
            pace.changed()
        looks += 1
        time.sleep(pace.wait())
    os.fsync = real
    jobs = len(batch.ledger.jobs)
    logs = tasks  # task.log, which a task's own output goes to
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - began,
        "jobs": jobs,
        "fsyncs": fsyncs.number,
        "looks": looks,
        "scheduler_calls": calls.number,
        "files_per_job": (files(root) - before - logs) / jobs,
    }


PEER = """
import json, os, sys, time
import dpdispatcher
from dpdispatcher import Machine, Resources, Submission, Task
root, tasks, group = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
machine = Machine.load_from_dict({"batch_type": "Shell", "context_type": "LazyLocalContext", "local_root": root})
resources = Resources.load_from_dict({"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "queue_name": "",
                                      "group_size": group})
for number in range(tasks):
    os.makedirs(os.path.join(root, f"work/task.{number:06d}"))
began, cpu = time.perf_counter(), time.process_time()
submission = Submission(work_base="work", machine=machine, resources=resources, task_list=[
    Task(command="true", task_work_path=f"task.{number:06d}", outlog="task.log", errlog="task.log")
    for number in range(tasks)])
submission.run_submission(check_interval=1, clean=False)
print(json.dumps({"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - began}))
"""


def peers(root, tasks):
    """Run the same by dpdispatcher's own submission."""
    home = root / "home"
    home.mkdir()
    words = [sys.executable, "-c", PEER, str(root), str(tasks), str(GROUP)]
    env = {**os.environ, "HOME": str(home)}
    done = subprocess.run(words, cwd=root, env=env, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout.splitlines()[-1])
    measured["files_per_job"] = (files(root / "work") - tasks) / (tasks / GROUP)
    return measured


def files(root):
    """How many files there are."""
    return sum(len(names) for _, _, names in os.walk(root))


def poll_of_many(root, jobs):
    """Return the scheduler calls, files read and CPU of one look at so many live jobs of a stand-in of Slurm."""
    programs = root / "bin"
    programs.mkdir()
    accepted = root / "accepted"
    note = f'case $word in --job-name=*) echo "$$|R|${{word#*=}}" >> {accepted};; esac'
    (programs / "sbatch").write_text(f"#!/bin/sh\nfor word; do {note}; done\necho $$\n")
    (programs / "squeue").write_text(f"#!/bin/sh\ncat {accepted}\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
    batch, calls = batch_of(root / "run", jobs, "Slurm", 1)
    batch.open()
    for _ in range(2):
        batch.advance()
    before, cpu = calls.number, time.process_time()
    batch.advance()
    return {"calls": calls.number - before, "cpu_s": time.process_time() - cpu, "submissions": before}


def main():
    """Measure and print one JSON line."""
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("ours", "peer", "many"):
            (root / name).mkdir()
        mine, peer, many = ours(root / "ours", tasks), peers(root / "peer", tasks), poll_of_many(root / "many", tasks)
    line = {
        "benchmark": "jobs",
        "tasks": tasks,
        "group_size": GROUP,
        "cpu_s": round(mine["cpu_s"], 3),
        "dpdispatcher_cpu_s": round(peer["cpu_s"], 3),
        "cpu_ratio": round(peer["cpu_s"] / mine["cpu_s"], 1),
        "wall_s": round(mine["wall_s"], 1),
        "dpdispatcher_wall_s": round(peer["wall_s"], 1),
        "files_per_job": mine["files_per_job"],
        "dpdispatcher_files_per_job": peer["files_per_job"],
        "fsyncs": mine["fsyncs"],
        "jobs": mine["jobs"],
        "looks": mine["looks"],
        "scheduler_calls": mine["scheduler_calls"],
        f"calls_of_a_poll_at_{tasks}_jobs": many["calls"],
        f"cpu_s_of_a_poll_at_{tasks}_jobs": round(many["cpu_s"], 3),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
