"""The place of a batch: real jobs in folders with odd names, scripts for their owner alone, and odd claims."""

import os
import subprocess
import time

import pytest

from dpgen2_hpc.dispatch.attempts import write_attempt
from dpgen2_hpc.dispatch.machine import StepMachine
from dpgen2_hpc.dispatch.policy import Policy
from dpgen2_hpc.dispatch.site import CLAIM_LIMIT, Ended, Site
from dpgen2_hpc.state.ledger import JobState, TaskState
from dpgen2_hpc.state.workdir import WorkDir

RESOURCES = {"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "queue_name": "", "group_size": 1}

TASK = TaskState(0, "sha", {1: {}}, attempt=1)


def job(name, command="pwd -P > where; cat in > out"):
    return JobState(0, name, ((0, 1),), command)


class Place:
    """A batch with one task, in a work directory of any name; ``remote``: its jobs run in this folder."""

    def __init__(self, root, remote=None):
        self.folder = WorkDir(root).step(0, "fp")
        (self.folder.path / "shared").mkdir(parents=True)
        (self.folder.path / "shared" / "model").write_text("a model")
        self.task = self.folder.task(0)
        self.task.mkdir()
        (self.task / "in").symlink_to("../shared/model")
        write_attempt(self.task, 1)
        machine = {"batch_type": "Shell", "context_type": "LazyLocalContext"}
        if remote is not None:
            machine = {"batch_type": "Shell", "context_type": "LocalContext", "remote_root": str(remote)}
        self.site = Site(StepMachine(machine, RESOURCES), self.folder, root, "here")

    def run(self, name, command=None):
        """Submit the task as a job, wait for its end, bring back what it wrote; return its claim."""
        this = job(name) if command is None else job(name, command)
        self.site.submit(this, [TASK], Policy())
        end = time.monotonic() + 20
        while not ((claim := self.site.claim(name)) and claim.ended) or self.site.queue.live([name]):
            assert time.monotonic() < end, self.said(name)
            time.sleep(0.02)
        self.site.fetch([TASK])
        return claim

    def said(self, name):
        out = self.site.root / "jobs" / f"{name}.out"
        return f"the job did not end: {out.read_text() if out.exists() else 'it has not begun'}"

    def claims(self, name):
        """Return the path of a job's claim."""
        (self.site.root / "jobs").mkdir(exist_ok=True)
        return self.site.root / "jobs" / f"{name}.claim"


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


# ---- odd names of folders

ODD = [
    "@ID@ @NAME@ @ROOT@ @TIMEOUT@",
    "we[i]rd [x] {a,b}",
    "a  blank ",
    'it\'s "quoted"',
    "$HOME `id` $(id) ${x}",
    "back\\slash\\n",
    "semi;colon & | > < #x !y",
    "star* what? ~",
    "%s %d %%",
    "größe 鋁",
    "-C",
    "tab\there",
    "()",
]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in place", "elsewhere"])
@pytest.mark.parametrize("name", ODD)
def test_a_job_runs_in_a_folder_of_any_name(tmp_path, name, elsewhere):
    root = tmp_path / "work" / name
    root.mkdir(parents=True)
    place = Place(root, tmp_path / "remote" / name if elsewhere else None)
    claim = place.run(f"dodd{os.getpid()}{time.monotonic_ns()}")
    assert claim.ended[0, 1].exit_code == 0
    assert (place.task / "out").read_text() == "a model"
    assert (place.task / "where").read_text() == f"{place.site.root / place.task.name}\n"


def test_inputs_of_any_name_reach_a_job_elsewhere_and_outputs_of_any_name_come_back(tmp_path):
    (tmp_path / "work").mkdir()
    place = Place(tmp_path / "work", tmp_path / "remote")
    names = [f"{name} file" for name in ODD if "\\" not in name]  # dpdispatcher takes a backslash for a separator
    for name in names:
        (place.task / name).write_text(f"content of {name}")
    place.run(f"dnames{os.getpid()}", 'for name in *" file"; do cat -- "$name" > "$name.out" || exit 1; done')
    assert {name: (place.task / f"{name}.out").read_text() for name in names} == {
        name: f"content of {name}" for name in names
    }


# ---- scripts


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_a_jobs_script_is_for_its_owner_alone_whatever_was_there(place, mask):
    """Its variables may be secrets: neither an older script's mode nor a link to another's file counts."""
    name = f"dmode{os.getpid()}"
    jobs = place.site.root / "jobs"
    jobs.mkdir()
    victim = place.task / "victim"
    victim.write_text("precious")
    (jobs / f".{name}.sub.tmp").symlink_to(victim)
    (jobs / f"{name}.sub").write_text("old")
    (jobs / f"{name}.sub").chmod(0o666)
    before = os.umask(mask)
    try:
        place.run(name)
    finally:
        os.umask(before)
    assert (jobs / f"{name}.sub").stat().st_mode & 0o777 == 0o600
    assert victim.read_text() == "precious"
    assert sorted(path.suffix for path in jobs.iterdir()) == [".claim", ".out", ".sub"]


def test_a_script_that_runs_is_replaced_and_not_written_over(place):
    """A shell reads its script while it runs: a job in doubt that is submitted again must not change it."""
    name = f"dtwice{os.getpid()}"
    (place.site.root / "jobs").mkdir()
    script = place.site.root / "jobs" / f"{name}.sub"
    script.write_text("first")
    with script.open() as running:
        place.run(name)
        assert running.read() == "first"


def test_a_script_is_one_that_a_shell_accepts_whatever_its_command_is(place):
    for command in ("", "echo 'a' \"b\" # c", "true\n", "echo @ID@ @ROOT@ > out"):
        script = place.site.script(job("dsyntax", command), [TASK], Policy(envs={"A": "@ID@ $x 'y'"}, timeout=1.5))
        done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_marks_in_a_command_are_not_filled_in(place):
    place.run(f"dmark{os.getpid()}", "echo '@ID@ @NAME@ @ROOT@' > out")
    assert (place.task / "out").read_text() == "@ID@ @NAME@ @ROOT@\n"


# ---- claims


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path.name),
        lambda path: path.write_bytes(os.urandom(4096)),
        lambda path: path.write_bytes(b"\0" * 4096),
        lambda path: path.write_text("no newline"),
        lambda path: path.write_text("\n\n\n"),
    ],
    ids=["fifo", "folder", "dangling", "endless", "loop", "random", "zeros", "no newline", "empty lines"],
)
def test_a_claim_that_cannot_be_one_is_no_exception_and_no_end_of_a_task(place, make):
    make(place.claims("dodd"))
    claim = place.site.claim("dodd")
    assert claim is None or claim.ended == {}


def test_a_huge_claim_is_not_read_into_memory(place):
    with place.claims("dhuge").open("wb") as file:
        file.write(b"12 node\n0 1 0 5\n")
        file.truncate(CLAIM_LIMIT + 1)
    assert place.site.claim("dhuge") is None


def test_lines_between_damaged_ones_are_believed(place):
    lines = [b"12 node boot pid:[1]", b"0 1 0 5", b"\xff\xfe", b"1 1", b"-1 1 0 5", b"2 1 0 5 9", b"3 1 999999 1"]
    place.claims("dlines").write_bytes(b"\n".join([*lines, b"4 1 7 2", b""]))
    assert place.site.claim("dlines").ended == {(0, 1): Ended(0, 5), (4, 1): Ended(7, 2)}
