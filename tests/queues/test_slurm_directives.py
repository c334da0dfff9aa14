"""Directive lines given to a real sbatch: what it makes of them, and what we say that it makes of them."""

import os
import re
import subprocess
import time

import pytest
import slurm_project
from project import wait_for

from dpgen2_hpc.dispatch.directives import fate, kept, read
from dpgen2_hpc.dispatch.header import header
from dpgen2_hpc.dispatch.schedulers.sbatch_options import SBATCH
from dpgen2_hpc.dispatch.schedulers.slurm import SLURM

pytestmark = [pytest.mark.slow, pytest.mark.queue, pytest.mark.xdist_group("slurm")]

WAITED = 1.5
"""Seconds after which sbatch is believed to wait for its job, which is held."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm_project.cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


class Queue:
    """A queue that takes scripts as jobs are submitted, and tells what it has made of them."""

    def __init__(self, folder, cluster):
        self.folder, self.env = folder, {**os.environ, **cluster.env}
        (folder / "jobs").mkdir()

    def call(self, command, timeout=20):
        return subprocess.run(
            command, shell=True, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=timeout
        )

    def made(self, lines):
        """What sbatch makes of a script with these lines, in a word; and the first of its jobs, field by field."""
        self.call("scancel --user=$(id -un)")
        while self.call("squeue --noheader").stdout.strip():
            time.sleep(0.05)
        (self.folder / "jobs/s.sub").write_text("\n".join(["#!/bin/bash", "#SBATCH --hold", *lines, "sleep 0", ""]))
        try:
            done = self.call(SLURM.submit("dname", "jobs/s.sub"), timeout=WAITED)
        except subprocess.TimeoutExpired:
            return "waits", {}
        entries = self.call('squeue --noheader --format="%i %j"').stdout.split("\n")[:-1]
        if done.returncode != 0 or not entries:
            return ("refused" if done.returncode else "nothing"), {}
        shown = self.call(f"scontrol --oneliner show job {entries[0].split('_')[0].split()[0]}").stdout.splitlines()[0]
        fields = dict(word.partition("=")[::2] for word in shown.split(" "))
        words = ["array"] * ("_[" in entries[0]) + ["several"] * (len(entries) > 1)
        return (words or ["one"])[0], fields


@pytest.fixture
def queue(tmp_path, cluster):
    return Queue(tmp_path, cluster)


MADE = {"array": "array", "wait": "waits", "test-only": "nothing", "hetjob": "several"}
"""What we say that an option makes of a submission, by its name."""


def ours(lines):
    """What we say that sbatch makes of a script with these lines."""
    given = read(SBATCH, ["#!/bin/bash", "#SBATCH --hold", *lines, "sleep 0"])
    if any(each.problem for each in given):
        return "refused"
    return next((MADE[each.name] for each in given if each.name in MADE), "one")


@pytest.mark.parametrize("flags", [["#SBATCH -n 2"], ["#SBATCH --ntasks=1 --cpus-per-task=2"]])
def test_tasks_of_the_users_own_are_not_contradicted_by_our_lines(queue, flags):
    """Slurm refuses a job, unless it is held, whose tasks by node contradict its tasks."""
    own = "#!/bin/bash\n#SBATCH --nodes 1\n#SBATCH --ntasks-per-node {}\n"
    for tasks in (1, 8):
        written = header(SBATCH, own.format(tasks), flags, is_template=False)
        (queue.folder / "jobs/s.sub").write_text(f"{written}true\n")
        assert queue.call(SLURM.submit("dname", "jobs/s.sub")).stderr == ""


LINES = [
    "#SBATCH --array=0-2",
    "#SBATCH --arr=0-2",
    "#SBATCH --ar 0-2",
    "#SBATCH -a0-2",
    "#SBATCH--array=0-2",
    "#SBATCH\t-t 5\t-a 0",
    "#SBATCH -Ha 0-2",
    "#SBATCH -a\n#SBATCH 0-2",
    "#SBATCH --comment\n#SBATCH text --array=0-1",
    "#SBATCH --nice --array 0",
    "#SBATCH --exclusive -a 0",
    "#SBATCH -k -a 0",
    "#SBATCH --comment='a b' -a 0",
    '#SBATCH --comment="it\'s #1" -a 0',
    "#SBATCH --comment=a\\ b -a 0",
    "#SBATCH --comment=a\\ -a 0",
    "#SBATCH --comment=a\\#b -a 0",
    "#SBATCH --comment=a\\'b -a 0",
    "#SBATCH -J a''b -a 0",
    "#SBATCH -t 5 \\",
    "#SBATCH -t 5 '' -a 0",
    "#SBATCH --comment='a\\' -a 0'",
    "#SBATCH --comment=a#b --array=0-1",
    "#SBATCH -t 5 # --array=0-1",
    "#SBATCH -t 5 #--array=0-1",
    " #SBATCH -a0-2",
    "##SBATCH -a0-2",
    "# SBATCH -a0-2",
    "#sbatch -a0-2",
    "#SBATCH -t 5\n\n  # why\nmodule load x\n#SBATCH -a0-2",
    "#SBATCH -t 5\n\n  # why\n#SBATCH -a0-2",
    "#SBATCH -J --array=0-2",
    "#SBATCH --job-name --wait",
    "#SBATCH --wait",
    "#SBATCH -W",
    "#SBATCH -Wn1",
    "#SBATCH -n1 -W",
    "#SBATCH --wait-all-nodes=1",
    "#SBATCH --wrap='true'",
    "#SBATCH --test-only",
    "#SBATCH --te",
    "#SBATCH hetjob\n#SBATCH --hold",
    "#SBATCH HetJob\n#SBATCH --hold",
    "#SBATCH --job-name=hetjob",
    "#PBS -J 0-2",
    "sleep 0\n#BSUB -J x[0-2]",
    "#PBS is for others",
    "#SBATCH -t 5 foo",
    "#SBATCH -t 5 -- -a 0",
    "#SBATCH --comment 'a b",
    "#SBATCH --time",
    "#SBATCH -J mine --requeue --chdir=/ -o a.txt -e b.txt",
]


@pytest.mark.parametrize("text", LINES)
def test_we_say_of_a_line_what_sbatch_makes_of_it(queue, text):
    lines = text.split("\n")
    assert ours(lines) == queue.made(lines)[0]


@pytest.mark.parametrize(
    "text",
    [
        "#SBATCH -J mine",
        '#SBATCH --job-n="my job" -t 5',
        "#SBATCH -HJ mine",
        "#SBATCH --requeue -t 5 --mem=10",
        "#SBATCH -o a.txt -e b.txt --comment='x  y'",
        "#SBATCH -t 5 -e\n#SBATCH b.txt --comment=z",
        "#SBATCH -D / # the root",
    ],
)
def test_what_we_keep_of_a_header_makes_one_job_of_ours(queue, text):
    """Its name, its files and its folder are ours, and nothing else of the user's line is lost."""
    lines = kept(text.split("\n"), SBATCH)
    made, fields = queue.made(lines)
    assert made == "one"
    assert (fields["JobName"], fields["Requeue"], fields["WorkDir"]) == ("dname", "0", str(queue.folder))
    assert fields["StdOut"] == fields["StdErr"] == f"{queue.folder}/jobs/dname.out"
    assert fields["TimeLimit"] == ("00:05:00" if "-t 5" in text else "UNLIMITED")
    for given in read(SBATCH, text.split("\n")):
        assert fate(SBATCH, given) or given.name != "comment" or fields["Comment"] == given.value.split(" ")[0]


def test_every_option_of_the_installed_sbatch_is_known_with_its_kind(queue):
    """getopt_long itself lists them, for the first letter of their names."""
    found = set()
    for letter in "abcdefghijklmnopqrstuvwxyz":
        text = queue.call(f"sbatch --{letter} < /dev/null").stderr
        found |= {word.strip("'")[2:] for word in text.split() if word.startswith("'--")} - {letter}
    assert len(found) > 90
    known = SBATCH.valued | SBATCH.plain | SBATCH.optional | {*SBATCH.aliases}
    assert found - known == set()
    for name in found:
        full = SBATCH.aliases.get(name, name)
        refuses = "doesn't allow an argument" in queue.call(f"sbatch --{name}=0 < /dev/null").stderr
        needs = "requires an argument" in queue.call(f"sbatch --{name} < /dev/null").stderr
        kind = "plain" if refuses else "valued" if needs else "optional"
        assert full in getattr(SBATCH, kind), f"--{name} is {kind}"


def test_the_output_of_a_job_gets_both_streams_and_slurms_own_words(queue):
    """One file for output and error, as it is asked for on the command line; from a directive comes neither."""
    lines = ["#!/bin/bash", "#SBATCH --error=elsewhere", "#SBATCH -D /", "echo out", "echo err >&2", "sleep 60", ""]
    (queue.folder / "jobs/dname.sub").write_text("\n".join(lines))
    job = queue.call(SLURM.submit("dname", "jobs/dname.sub")).stdout.strip()
    output = queue.folder / "jobs/dname.out"
    wait_for(lambda: output.exists() and output.read_text().count("\n") == 2)
    queue.call(f"scancel {job}")
    wait_for(lambda: "CANCELLED" in output.read_text())
    assert output.read_text().startswith("out\nerr\n")
    assert re.search(SLURM.over, output.read_text(), re.MULTILINE)
    assert not (queue.folder / "elsewhere").exists()
