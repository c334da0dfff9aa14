"""Jobs that run in another folder than their batch (LocalContext): what goes there, and that everything comes back."""

import os
import shutil
import time
from pathlib import Path

import pytest
from compare import assert_equal
from project import Project

from dpgen2_hpc.dispatch.attempts import ensure_attempt, write_attempt
from dpgen2_hpc.dispatch.machine import StepMachine, library
from dpgen2_hpc.dispatch.policy import Policy
from dpgen2_hpc.dispatch.site import Site
from dpgen2_hpc.state.ledger import JobState, Ledger, Task, TaskState
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.workdir import WorkDir

pytestmark = pytest.mark.slow

RESOURCES = {"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "queue_name": "", "group_size": 1}


# ---- a whole run


def elsewhere(project, *, symlink=True):
    """Let every step of a project run in another folder."""
    project.machine["default"]["machine"] = {
        "batch_type": "Shell",
        "context_type": "LocalContext",
        "remote_root": str(project.folder / "remote"),
        "remote_profile": {"symlink": symlink},
    }
    return project


def short(folder):
    project = Project(folder)
    project.param["explore"].update(max_numb_iter=1, fatal_at_max=False)
    return project


def succeeds(project):
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return project


@pytest.fixture(scope="module")
def in_place(tmp_path_factory):
    """The same run where it lies."""
    return succeeds(short(tmp_path_factory.mktemp("in_place")))


@pytest.mark.parametrize("symlink", [True, False], ids=["links", "copies"])
def test_a_run_elsewhere_leaves_the_same_files_as_one_in_place(in_place, tmp_path, symlink):
    project = succeeds(elsewhere(short(tmp_path), symlink=symlink))
    shutil.copy(in_place.work / "inputs" / "machine.json", project.work / "inputs" / "machine.json")
    assert_equal(in_place, project)
    assert list(project.work.rglob("task.log"))


def test_a_task_that_fails_once_is_tried_again_elsewhere_and_the_run_is_completed(tmp_path):
    project = elsewhere(short(tmp_path), symlink=False)
    project.machine["default"]["machine"]["remote_root"] = "./remote"  # beside machine.json, wherever `run` is called
    project.env["FAKE_DP_NAN"] = str(tmp_path / "diverged-once")
    succeeds(project)
    assert list((project.folder / "remote").glob("*-00.train/task.*"))
    (old,) = project.work.glob("iter-000000/00.train/*.attempt-1")
    assert (old / "lcurve.out").exists()
    assert len([call for call in project.calls() if call.startswith("dp train")]) == 3


def test_a_changed_remote_root_does_not_make_a_finished_task_run_again(tmp_path):
    """It is refused while the step has jobs, or followed from the next step on: the user's choice to make."""
    project = elsewhere(short(tmp_path))
    project.machine["default"]["parallelism"] = 2  # however many cores there are
    assert project.run("--once").returncode == 3
    end = time.monotonic() + 20
    while sum(call.startswith("dp test") for call in project.calls()) < 2:
        assert time.monotonic() < end, "the trainings do not end"
        time.sleep(0.05)
    project.machine["default"]["machine"]["remote_root"] = str(project.folder / "other")
    project.run()
    trained = [call.rpartition("/")[2] for call in project.calls() if call.startswith("dp train")]
    assert sorted(trained) == ["task.0000 1", "task.0001 1"]


def test_a_place_that_never_had_a_job_may_be_corrected(tmp_path):
    project = elsewhere(short(tmp_path))
    (tmp_path / "a_file").touch()
    project.machine["default"]["machine"]["remote_root"] = str(tmp_path / "a_file" / "remote")
    assert project.run("--once").returncode not in {0, 3}
    project.machine["default"]["machine"]["remote_root"] = str(tmp_path / "remote")
    succeeds(project)


def test_a_copy_that_is_a_run_of_its_own_may_have_another_place_for_its_jobs(tmp_path):
    project = elsewhere(short(tmp_path))
    assert project.run("--once").returncode == 3
    shutil.copytree(project.work, tmp_path / "copy", symlinks=True)
    project.work = tmp_path / "copy"
    project.machine["default"]["machine"]["remote_root"] = str(tmp_path / "other")
    done = project.run("--new-identity")
    assert done.returncode == 0, done.stdout + done.stderr


# ---- one batch, without a driver


class Elsewhere:
    """A batch folder with two tasks and the folder where its jobs run."""

    def __init__(self, root, *, symlink):
        self.root, self.symlink = root, symlink
        self.folder = WorkDir(root / "work").step(0, "explore")
        (self.folder.path / "shared").mkdir(parents=True)
        (self.folder.path / "shared" / "model").write_text("a model")
        for number in range(2):
            task = self.folder.task(number)
            task.mkdir()
            (task / "in").write_text(f"input {number}")
            (task / "model").symlink_to("../shared/model")
            write_attempt(task, 1)
        Ledger.create(self.folder.ledger, [Task("sha", {}) for _ in range(2)])
        self.ledger = Ledger.read(self.folder.ledger, Lock.acquire(root / "lock"))
        self.command, self.carry = "true", lambda task, old, new: None

    def write(self, task, directory):
        """Write the inputs of a task, as a step does."""
        (directory / "in").write_text(f"input {task.index}")
        (directory / "model").symlink_to("../shared/model")
        return {}

    def carry_over(self, task, old, new):
        self.carry(task, old, new)

    def site(self):
        machine = {
            "batch_type": "Shell",
            "context_type": "LocalContext",
            "remote_root": str(self.root / "remote"),
            "remote_profile": {"symlink": self.symlink},
        }
        return Site(StepMachine(machine, RESOURCES), self.folder, self.root / "work", "here")

    def task(self, number, attempt=1):
        return TaskState(number, "sha", {1: {}}, attempt=attempt, before="lost" if attempt > 1 else None)

    def job(self, name, number, attempt=1):
        return JobState(0, name, ((number, attempt),), self.command)

    def ensure(self, number, attempt):
        ensure_attempt(self.ledger, self.folder, self.task(number, attempt), self)

    def submit(self, number, attempt=1, carry_over=lambda *_: None):
        """Submit one task as a job of its own, as a batch does; return its name."""
        self.carry = carry_over
        self.ensure(number, attempt)
        name = f"dtest{number}x{attempt}"
        self.site().submit(self.job(name, number, attempt), [self.task(number, attempt)], Policy())
        return name

    def run(self, number, attempt=1, **more):
        """Submit one task, wait for its end, and bring back what it wrote; return its exit code."""
        return self.end(self.submit(number, attempt, **more), number, attempt)

    def end(self, name, number, attempt=1):
        """Wait for the end of a task, and bring back what it wrote; return its exit code."""
        site, end = self.site(), time.monotonic() + 20
        while not ((claim := site.claim(name)) and claim.ended) or site.queue.live([name]):
            assert time.monotonic() < end, "the job does not end"
            time.sleep(0.02)
        site.fetch([self.task(number, attempt)])
        return claim.ended[number, attempt].exit_code

    @property
    def there(self):
        return self.root / "remote" / "here"


@pytest.fixture(params=[True, False], ids=["links", "copies"])
def elsewhere_batch(tmp_path, request):
    return Elsewhere(tmp_path, symlink=request.param)


def test_the_queue_can_be_asked_before_anything_was_sent(elsewhere_batch):
    assert elsewhere_batch.site().queue.live(["dtest0x1"]) == []


def test_a_task_finds_its_inputs_and_everything_that_it_wrote_comes_back(elsewhere_batch):
    elsewhere_batch.command = (
        "cat in model > out; mkdir -p traj/deep; echo 1 > traj/deep/frame; ln -s out alias; ln -s nowhere dangling; "
        "ln -s traj folder; ln -s ../out traj/up; echo said"
    )
    assert elsewhere_batch.run(0) == 0
    here = elsewhere_batch.folder.task(0)
    assert (here / "out").read_text() == "input 0a model"
    assert (here / "traj" / "deep" / "frame").read_text() == "1\n"
    links = {name: str((here / name).readlink()) for name in ("alias", "dangling", "folder", "traj/up")}
    assert links == {"alias": "out", "dangling": "nowhere", "folder": "traj", "traj/up": "../out"}
    assert (here / "task.log").read_text() == "said\n"


def test_hidden_files_come_back_too(elsewhere_batch):
    elsewhere_batch.command = "echo 1 > .converged"
    elsewhere_batch.run(0)
    assert (elsewhere_batch.folder.task(0) / ".converged").exists()


def test_the_inputs_here_are_what_they_were(elsewhere_batch):
    elsewhere_batch.run(0)
    here = elsewhere_batch.folder.task(0)
    assert (str((here / "model").readlink()), (here / "in").read_text()) == ("../shared/model", "input 0")
    assert (here / "attempt").read_text() == "1\n"


def test_fetching_twice_loses_nothing(elsewhere_batch):
    elsewhere_batch.command = "echo 1 > out"
    elsewhere_batch.run(0)
    elsewhere_batch.site().fetch([elsewhere_batch.task(0)])
    here = elsewhere_batch.folder.task(0)
    assert ((here / "out").read_text(), (here / "in").read_text()) == ("1\n", "input 0")


def test_what_another_task_of_the_batch_writes_is_not_touched_by_a_fetch(elsewhere_batch):
    elsewhere_batch.run(1)
    (elsewhere_batch.there / "task.000001" / "half").write_text("being written")
    elsewhere_batch.run(0)
    assert (elsewhere_batch.there / "task.000001" / "half").exists()


def test_shared_files_are_not_taken_away_from_jobs_that_run(elsewhere_batch):
    elsewhere_batch.run(0)
    before = (elsewhere_batch.there / "shared").lstat().st_ino, (elsewhere_batch.there / "shared/model").stat().st_ino
    elsewhere_batch.run(1)
    after = (elsewhere_batch.there / "shared").lstat().st_ino, (elsewhere_batch.there / "shared/model").stat().st_ino
    assert before == after


# ---- attempts


def test_a_second_attempt_runs_in_a_folder_of_its_own(elsewhere_batch):
    elsewhere_batch.command = "ls -A > seen; echo 1 > left_by_$(cat attempt)"
    elsewhere_batch.run(0)
    (elsewhere_batch.there / "task.000000" / "late").write_text("a process of the first attempt still writes")
    elsewhere_batch.run(0, attempt=2)
    assert sorted((elsewhere_batch.folder.task(0) / "seen").read_text().split()) == [
        "attempt",
        "in",
        "model",
        "seen",
        "task.log",
    ]
    assert not (elsewhere_batch.folder.task(0) / "late").exists()
    assert (elsewhere_batch.folder.attempt(0, 1) / "left_by_1").exists()
    assert (elsewhere_batch.folder.task(0) / "left_by_2").exists()


def test_a_second_attempt_gets_its_own_inputs_and_what_was_carried_over(elsewhere_batch):
    def carry(task, old, new):
        (new / "restart").mkdir()
        (new / "restart" / "step").write_text("10")
        (new / "in").write_text("other seeds")

    elsewhere_batch.run(0)
    elsewhere_batch.command = "cat in restart/step > out"
    assert elsewhere_batch.run(0, attempt=2, carry_over=carry) == 0
    assert (elsewhere_batch.folder.task(0) / "out").read_text() == "other seeds10"


def test_a_late_job_of_the_first_attempt_finds_another_number_and_leaves(elsewhere_batch):
    elsewhere_batch.run(0)
    elsewhere_batch.run(0, attempt=2)
    elsewhere_batch.command = "echo 1 > touched"
    site = elsewhere_batch.site()
    site.scheduler.submit("dlate", "jobs/dlate.sub")
    (elsewhere_batch.there / "jobs" / "dlate.sub").write_text(
        site.script(elsewhere_batch.job("dlate", 0), [elsewhere_batch.task(0)], Policy())
    )
    assert site.queue.call("bash jobs/dlate.sub").code == 0
    assert site.claim("dlate").ended == {}
    assert not (elsewhere_batch.there / "task.000000" / "touched").exists()


# ---- killed while files were sent


@pytest.fixture(autouse=True)
def _imported():
    """Have dpdispatcher imported before a test lets system calls fail: half an import would stay."""
    library()


class Killed(BaseException):
    """Stands in for SIGKILL."""


ACTS = [
    (os, "symlink"),
    (shutil, "copy2"),
    (shutil, "copytree"),
    (Path, "mkdir"),
    (Path, "write_text"),
    (Path, "touch"),
]


def test_killed_before_any_of_the_acts_of_sending_the_next_submission_sends_it_whole(elsewhere_batch, monkeypatch):
    """Die before the first act, then before the second one of the next try, and so on."""
    elsewhere_batch.command = "cat in model > out"
    deaths = 0
    while True:
        left = [deaths]

        def counting(real, left=left):
            def act(*args, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return real(*args, **kwargs)

            return act

        with monkeypatch.context() as patch:
            for place, name in ACTS:
                patch.setattr(place, name, counting(getattr(place, name)))
            try:
                name = elsewhere_batch.submit(0)
                break
            except Killed:
                deaths += 1
    assert deaths > 3
    assert elsewhere_batch.end(name, 0) == 0
    assert (elsewhere_batch.folder.task(0) / "out").read_text() == "input 0a model"


def test_killed_when_only_the_folder_was_there_it_is_sent_again(elsewhere_batch):
    (elsewhere_batch.there / "task.000000").mkdir(parents=True)
    elsewhere_batch.command = "cat in model > out"
    assert elsewhere_batch.run(0) == 0
    assert (elsewhere_batch.folder.task(0) / "out").read_text() == "input 0a model"


def test_killed_when_an_old_attempt_had_been_renamed_it_is_sent_again(elsewhere_batch):
    elsewhere_batch.run(0)
    elsewhere_batch.ensure(0, 2)
    (elsewhere_batch.there / "task.000000").rename(elsewhere_batch.there / "task.000000.attempt-1")
    elsewhere_batch.command = "cat in model > out"
    assert elsewhere_batch.run(0, attempt=2) == 0
    assert (elsewhere_batch.folder.task(0) / "out").read_text() == "input 0a model"


def test_a_job_that_is_submitted_again_in_doubt_does_not_send_its_inputs_over_what_runs(elsewhere_batch):
    elsewhere_batch.run(0)
    (elsewhere_batch.there / "task.000000" / "traj").write_text("half")
    elsewhere_batch.submit(0)
    assert (elsewhere_batch.there / "task.000000" / "traj").read_text() == "half"
