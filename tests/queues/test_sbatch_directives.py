"""Our reading of directives beside the real sbatch's: the same lines, held jobs, and what the controller made of them."""

import os
import re
import subprocess

import pytest
import slurm_project

from dpgen2_hpc.dispatch.schedulers.options import SLURM

pytestmark = [pytest.mark.slow, pytest.mark.queue, pytest.mark.xdist_group("slurm")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm_project.cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


LINES = [
    "#SBATCH --array=0-1",
    "#SBATCH --arr=0-1",
    "#SBATCH --ar 0-1",
    "#SBATCH -a0-1",
    "#SBATCH -a 0-1",
    "#SBATCH -Oa 0-1",
    "#SBATCH -O -a 0-1 # remark",
    "#SBATCH --comment='--array=0-1'",
    "#SBATCH --comment --array=0-1",
    "#SBATCH -J a0-1",
    "#SBATCH -Ja",
    "#SBATCH --job-name=x -n 1",
    "#SBATCH --job x",
    "#SBATCH --job-n=x",
    "#SBATCH # -a 0-1",
    "#SBATCH --job-name='a b'",
    '#SBATCH --job-name="a b" --requeue',
    "#SBATCH --requ",
    "#SBATCH --no-requeue",
    "# SBATCH -a 0-1",
    "##SBATCH -a 0-1",
    " #SBATCH -a 0-1",
    "#SBATCH\t-a 0-1",
    "#SBATCH -n1 -J y -a 0-1",
    "#SBATCH -s -J z",
    "#SBATCH -k -J z",
    "#SBATCH --wait-all-nodes=1 -J w",
]


def ours(line):
    """What the line makes of a job, as we read it: is it an array, its name, may it be queued again."""
    given = {entry.option: entry.value for entry in SLURM.given(line)}
    return "--array" in given, given.get("--job-name", "plain"), "--requeue" in given


@pytest.mark.parametrize("line", LINES)
def test_a_line_means_what_sbatch_makes_of_it(cluster, tmp_path, line):
    script = tmp_path / "plain"
    script.write_text(f"#!/bin/bash\n#SBATCH --no-requeue\n{line}\ntrue\n")
    env = {**os.environ, "SLURM_CONF": str(cluster.conf)}
    said = subprocess.run(
        ["sbatch", "--parsable", "--hold", str(script)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr
    job = said.stdout.strip()
    shown = subprocess.run(["scontrol", "-o", "show", "job", job], env=env, capture_output=True, text=True, check=True)
    subprocess.run(["scancel", job], env=env, check=True)
    name = re.search(r"JobName=(.*?) UserId=", shown.stdout)[1]
    made = "ArrayJobId=" in shown.stdout, name, "Requeue=1" in shown.stdout
    assert ours(line) == made, shown.stdout


@pytest.mark.parametrize(("line", "waits"), [("--wait", True), ("-W", True), ("--wait-all-nodes=1", False)])
def test_a_line_that_lets_sbatch_wait_is_refused_and_no_other(cluster, tmp_path, line, waits):
    script = tmp_path / "plain"
    script.write_text(f"#!/bin/bash\n#SBATCH {line}\ntrue\n")
    env = {**os.environ, "SLURM_CONF": str(cluster.conf)}
    process = subprocess.Popen(
        ["sbatch", "--parsable", "--hold", str(script)], cwd=tmp_path, env=env, stdout=subprocess.PIPE
    )
    job = process.stdout.readline().decode().strip()
    try:
        process.wait(2)
        waited = False
    except subprocess.TimeoutExpired:
        waited = True
    subprocess.run(["scancel", job], env=env, check=True)
    process.wait(30)
    assert waited == waits
    assert bool(list(SLURM.refusals(f"#SBATCH {line}"))) == waits


def test_the_output_of_a_job_gets_both_streams_and_slurms_own_words(cluster, tmp_path):
    """One file for output and error, as it is asked for on the command line."""
    (tmp_path / "jobs").mkdir()
    script = tmp_path / "jobs" / "dname.sub"
    script.write_text("#!/bin/bash\n#SBATCH --error=elsewhere\n#SBATCH -D /\necho out\necho err >&2\nsleep 60\n")
    env = {**os.environ, "SLURM_CONF": str(cluster.conf)}
    from dpgen2_hpc.dispatch.schedulers import scheduler

    command = scheduler("Slurm").submit("dname", "jobs/dname.sub")
    job = subprocess.run(command, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout
    output = tmp_path / "jobs" / "dname.out"
    from project import wait_for

    wait_for(lambda: output.exists() and output.read_text().count("\n") == 2)
    subprocess.run(["scancel", job.strip()], env=env, check=True)
    wait_for(lambda: "CANCELLED" in output.read_text())
    text = output.read_text()
    assert text.startswith("out\nerr\n")
    assert re.search(scheduler("Slurm").over, text, re.MULTILINE)
    assert not (tmp_path / "elsewhere").exists()
