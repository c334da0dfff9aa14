"""Queue entries that a real Slurm accepts for four tasks under a fault: this program beside dpdispatcher alone.

Each row is one fault, let happen to both: the same stand-in before sbatch and squeue, the same kill, the same line
typed again. The scheduler's own completion log counts. Needs root, slurm-wlm and munge; takes some minutes.

    .venv/bin/python benchmarks/faults.py
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import slurm_cluster
from slurm_project import SlurmProject

TASKS = 4

PEER = """
import sys
from dpdispatcher import Machine, Resources, Submission, Task
root, number = sys.argv[1], int(sys.argv[2])
machine = Machine.load_from_dict({"batch_type": "Slurm", "context_type": "LazyLocalContext", "local_root": root})
resources = Resources.load_from_dict({"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "queue_name": "",
                                      "group_size": 1})
tasks = [Task(command=f"sleep 3; echo {task} >> ../ran", task_work_path=f"task.{task}") for task in range(number)]
submission = Submission(work_base="work", machine=machine, resources=resources, task_list=tasks)
submission.run_submission(check_interval=1, clean=False)
"""

KILL, NOTHING = "kill -9 in the submission loop", "no fault"
ROWS = [
    (NOTHING, None, []),
    (KILL, "sbatch", ["ok", "ok", "slow"]),
    ("a lost reply of sbatch", "sbatch", ["lostreply"]),
    ("squeue answers nothing, once", "squeue", ["ok", "empty"]),
    ("squeue does not know the jobs, once", "squeue", ["ok", "partial"]),
]


def peer(cluster, folder, fault, program, faults):
    """Return how many entries dpdispatcher's run_submission makes."""
    project = SlurmProject(folder, cluster)
    for number in range(TASKS):
        (folder / f"work/task.{number}").mkdir(parents=True)
    if program:
        project.will(program, *faults)
    words = [sys.executable, "-c", PEER, str(folder), str(TASKS)]
    env = {**project.env, "HOME": str(folder)}
    _drive(words, folder, env, project, kill=fault == KILL)
    cluster.wait_until_idle(60)
    time.sleep(1)
    return sum(job["WorkDir"].startswith(str(folder)) for job in cluster.accepted())


def here(cluster, folder, fault, program, faults):
    """Return how many entries this program makes for the four trainings of a run."""
    project = SlurmProject(folder, cluster)
    project.job_env(FAKE_DP_SLEEP="3")
    if program:
        project.will(program, *faults)
    project.write()
    words = project.command("run", "-C", str(project.work), "param.json", "machine.json")
    _drive(words, folder, project.env, project, kill=fault == KILL)
    train = str(project.work / "iter-000000/00.train")
    project.entries()
    return sum(job["WorkDir"] == train for job in cluster.accepted())


def _drive(words, folder, env, project, *, kill):
    """Run a driver to its end; with ``kill`` end it at its third submission, then type the same line again."""
    if kill:
        driver = subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        calls = project.faults / "calls"
        while not calls.exists() or calls.read_text().count("sbatch") < 3:
            time.sleep(0.05)
        driver.kill()
        driver.wait()
    subprocess.run(words, cwd=folder, env=env, capture_output=True, check=True, timeout=300)


def main():
    """Measure and print one JSON line."""
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "slurm").mkdir()
        cluster = slurm_cluster.Cluster(root / "slurm", slots=8).start()
        os.environ.update(cluster.env)
        try:
            for index, (fault, program, faults) in enumerate(ROWS):
                counts = {}
                for name, act in (("here", here), ("dpdispatcher", peer)):
                    folder = root / f"{name}-{index}"
                    folder.mkdir()
                    counts[name] = act(cluster, folder, fault, program, faults)
                rows.append({"fault": fault, "wanted": TASKS, **counts})
        finally:
            cluster.stop()
    print(json.dumps({"benchmark": "faults", "rows": rows}))


if __name__ == "__main__":
    main()
