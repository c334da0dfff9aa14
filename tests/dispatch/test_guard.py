"""The script of a job: what runs, what leaves, and what it says of itself. Real scripts, run by a real shell."""

import os
import shlex
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dpgen2_hpc.dispatch.attempts import write_attempt
from dpgen2_hpc.dispatch.machine import StepMachine
from dpgen2_hpc.dispatch.policy import Policy
from dpgen2_hpc.dispatch.site import Claim, Ended, Site
from dpgen2_hpc.state.host import Host
from dpgen2_hpc.state.ledger import JobState, TaskState
from dpgen2_hpc.state.workdir import WorkDir

RESOURCES = {"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "queue_name": "", "group_size": 1}
NAME = "dtest"


COMMAND = "one_command_of_all_tasks"


class Job:
    """A job with one task for each command; its script is generated as for the queue and run by hand."""

    def __init__(self, root, policy=None, **resources):
        self.policy = policy or Policy()
        self.folder = WorkDir(root).step(0, "train")
        self.folder.jobs.mkdir(parents=True)
        machine = {"batch_type": "Shell", "context_type": "LazyLocalContext"}
        self.site = Site(StepMachine(machine, {**RESOURCES, **resources}), self.folder, root, "here")

    def write(self, *commands, attempt=1, name=NAME):
        tasks = [TaskState(number, "sha", {1: {}}, attempt=attempt) for number in range(len(commands))]
        for task in tasks:
            if not self.folder.task(task.index).exists():
                self.folder.task(task.index).mkdir()
                write_attempt(self.folder.task(task.index), attempt)
        job = JobState(0, name, tuple((task.index, attempt) for task in tasks), COMMAND)
        script = self.folder.jobs / f"{name}.sub"
        text = self.site.script(job, tasks, self.policy)
        for command in commands:  # the tasks of a job have one command; here each has its own
            text = text.replace(COMMAND, shlex.quote(command), 1)
        script.write_text(text)
        return script

    def start(self, script: Path) -> subprocess.Popen:
        return subprocess.Popen(
            ["bash", str(script)], cwd=self.folder.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, *commands, **more):
        """Run the script to its end; return its claim."""
        process = self.start(self.write(*commands, **more))
        self.said, _ = process.communicate(timeout=30)
        self.code = process.returncode
        return self.site.claim(more.get("name", NAME))

    def file(self, task, name):
        return (self.folder.task(task) / name).read_text()


def codes(claim):
    """The exit codes that a claim tells, by task and attempt."""
    return {attempt: ended.exit_code for attempt, ended in claim.ended.items()}


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path)


# ---- one job, one claim


def test_of_two_entries_of_one_name_the_second_leaves_without_touching_a_task(job):
    script = job.write("echo $$ >> ran; sleep 0.5")
    first, second = job.start(script), job.start(script)
    assert (first.wait(20), second.wait(20)) == (0, 0)
    assert len(job.file(0, "ran").splitlines()) == 1
    assert list(job.site.claim(NAME).ended) == [(0, 1)]


def test_an_entry_that_comes_when_all_is_over_leaves_at_once_and_changes_nothing(job):
    job.run("echo 1 >> ran")
    before = (job.folder.jobs / f"{NAME}.claim").read_text()
    started = time.monotonic()
    job.run("echo 2 >> ran; sleep 20")
    assert time.monotonic() - started < 10
    assert (job.code, job.file(0, "ran")) == (0, "1\n")
    assert (job.folder.jobs / f"{NAME}.claim").read_text() == before


def test_an_entry_that_leaves_says_why_in_its_output(job):
    job.run("true")
    first = job.site.claim(NAME).id
    job.run("true")
    assert f"dpgen2-hpc: claimed by another queue entry ({first} ".encode() in job.said
    (job.folder.jobs / f"{NAME}.sub").rename(job.folder.path / "elsewhere.sub")
    process = job.start(job.folder.path / "elsewhere.sub")
    assert b"the step was rewound" in process.communicate(timeout=20)[0]


def link_fails(tmp_path, monkeypatch, text):
    """Put another ``ln`` first in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ln").write_text(f"#!/bin/bash\n{text}\n")
    (folder / "ln").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


NO_LINKS = 'echo "ln: failed to create hard link: Operation not permitted" >&2; exit 1'


def test_where_there_are_no_hard_links_one_of_two_entries_runs_all_the_same(job, tmp_path, monkeypatch):
    link_fails(tmp_path, monkeypatch, NO_LINKS)
    script = job.write("echo $$ >> ran; sleep 0.5")
    entries = [job.start(script) for _ in range(4)]
    said = [entry.communicate(timeout=20)[0] for entry in entries]
    assert len(job.file(0, "ran").splitlines()) == 1
    assert list(job.site.claim(NAME).ended) == [(0, 1)]
    assert sum(b"claimed by another" in text for text in said) == 3


def test_a_link_that_nfs_made_and_calls_failed_is_the_entrys_own(job, tmp_path, monkeypatch):
    link_fails(tmp_path, monkeypatch, '/bin/ln "$@"; echo "ln: failed: File exists" >&2; exit 1')
    assert codes(job.run("true")) == {(0, 1): 0}


def test_a_job_that_cannot_write_its_claim_says_so_and_the_cause_is_known(job):
    (job.folder.jobs / f"{NAME}.claim").symlink_to("/nowhere/claim")
    script = job.write("touch ran")
    process = job.start(script)
    said = process.communicate(timeout=20)[0]
    assert process.returncode == 1
    assert said.startswith(b"dpgen2-hpc: cannot write the claim '")
    assert not (job.folder.task(0) / "ran").exists()
    (job.folder.jobs / f"{NAME}.out").write_bytes(said)
    assert "could not write into the jobs folder" in job.site.queue.ending(JobState(0, NAME, ((0, 1),), id="1"))


def test_a_job_that_does_not_find_the_work_directory_says_where(job):
    script = job.write("true")
    moved = job.folder.path.parent / "moved"
    job.folder.path.rename(moved)
    done = subprocess.run(["bash", str(moved / "jobs" / script.name)], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (
        1,
        f"dpgen2-hpc: cannot enter the folder '{job.folder.path}' on {os.uname().nodename}\n",
    )


def test_the_claim_names_the_process_and_the_host_and_leaves_no_litter(job):
    process = job.start(job.write("true"))
    process.wait(20)
    assert job.site.claim(NAME) == Claim(str(process.pid), replace(Host.me(), hardware=""), {(0, 1): Ended(0, 0)})
    assert sorted(path.name for path in job.folder.jobs.iterdir()) == [f"{NAME}.claim", f"{NAME}.sub"]


def test_the_second_entry_leaves_before_the_sites_own_words_are_run(tmp_path):
    job = Job(tmp_path, prepend_script=["echo 1 >> $DPGEN2_HPC_ROOT/prepended"])
    job.run("true")
    job.run("true")
    assert (job.folder.path / "prepended").read_text() == "1\n"


def test_a_job_that_has_not_started_has_no_claim_and_half_a_line_is_not_one(job):
    assert job.site.claim(NAME) is None
    (job.folder.jobs / f"{NAME}.claim").write_text("12 nod")
    assert job.site.claim(NAME) is None


def test_a_torn_last_line_of_a_claim_does_not_count(job):
    (job.folder.jobs / f"{NAME}.claim").write_text("12 node\n0 1 0 5\n1 1 0")
    assert job.site.claim(NAME) == Claim("12", Host("node"), {(0, 1): Ended(0, 5)})


def test_a_line_that_a_full_disk_tore_in_the_middle_hides_only_what_it_spoilt(job):
    (job.folder.jobs / f"{NAME}.claim").write_text("12 node\n0 1 0 5\n1 12 1 0 7\n3 1 2 9\n")
    assert job.site.claim(NAME) == Claim("12", Host("node"), {(0, 1): Ended(0, 5), (3, 1): Ended(2, 9)})


# ---- attempts


def test_a_task_whose_folder_belongs_to_a_newer_attempt_is_left_alone(job):
    job.folder.task(0).mkdir()
    write_attempt(job.folder.task(0), 2)
    claim = job.run("echo 1 > ran", "echo 1 > ran", attempt=1)
    assert codes(claim) == {(1, 1): 0}
    assert sorted(path.name for path in job.folder.task(0).iterdir()) == ["attempt"]
    assert job.file(1, "ran") == "1\n"


def test_a_task_whose_folder_is_missing_is_passed_over(job):
    script = job.write("true", "echo 1 > ran")
    (job.folder.task(0) / "attempt").rename(job.folder.path / "attempt")  # the command must not run up here
    job.folder.task(0).rmdir()
    job.start(script).communicate(timeout=20)
    assert codes(job.site.claim(NAME)) == {(1, 1): 0}


# ---- commands


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_of_a_command_is_in_the_claim(job, code):
    assert codes(job.run(f"exit {code}")) == {(0, 1): code}


def test_a_command_that_a_signal_ends_has_the_code_of_shells(job):
    assert codes(job.run("kill -9 $BASHPID")) == {(0, 1): 137}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("""echo "it's" 'a "word"' > out""", 'it\'s a "word"\n'),
        ("echo one > out\necho two >> out", "one\ntwo\n"),
        ('A="a  b"; echo "$A" \'$A\' > out', "a  b $A\n"),
        ("echo 'größe 鋁 ✓' > out", "größe 鋁 ✓\n"),
        ("echo a\\ b `echo c` $(echo d) > out # a comment", "a b c d\n"),
        ("printf '%s' '!@#%^&*()[]{}|<>?~' > out", "!@#%^&*()[]{}|<>?~"),
        ("cat << END > out\nhere $((1 + 1))\nEND", "here 2\n"),
        ("false || echo next > out && true", "next\n"),
    ],
)
def test_a_command_is_run_as_it_was_written(job, command, expected):
    assert codes(job.run(command)) == {(0, 1): 0}
    assert job.file(0, "out") == expected


@pytest.mark.parametrize("prepended", [[], ["set -e"]])
def test_a_command_that_wants_to_stop_at_its_first_error_does(tmp_path, prepended):
    job = Job(tmp_path, prepend_script=prepended)
    assert codes(job.run("set -e; false; echo 1 > out", "true")) == {(0, 1): 1, (1, 1): 0}
    assert not (job.folder.task(0) / "out").exists()


def test_a_command_runs_in_its_tasks_folder_and_both_its_outputs_are_in_the_log(job):
    job.run("pwd; echo words; echo complaints >&2; read line || echo no input")
    assert job.file(0, "task.log").splitlines() == [str(job.folder.task(0)), "words", "complaints", "no input"]


def test_what_one_command_changes_in_its_shell_is_not_seen_by_the_next(job):
    job.run("cd /; export LEFT=1; umask 077; exit 3", "pwd > out; echo ${LEFT:-nothing} >> out")
    assert job.file(1, "out").splitlines() == [str(job.folder.task(1)), "nothing"]


def test_a_group_goes_on_after_a_task_that_fails(job):
    assert codes(job.run("exit 3", "true", "exit 4", "true")) == {(0, 1): 3, (1, 1): 0, (2, 1): 4, (3, 1): 0}


def test_the_tasks_of_a_group_run_one_after_another(job):
    job.run("sleep 0.2; echo 0 >> ../order", "echo 1 >> ../order")
    assert (job.folder.path / "order").read_text() == "0\n1\n"


def test_a_parallel_degree_of_two_runs_two_tasks_at_once_and_the_third_after_them(tmp_path):
    """The first two wait for each other, which they could not one after another."""
    job = Job(tmp_path, para_deg=2)
    meet = "touch ../here{0}; until [ -e ../here{1} ]; do sleep 0.05; done; sleep 0.2; touch ../over{0}"
    claim = job.run(meet.format(0, 1), meet.format(1, 0), "ls .. > seen")
    assert codes(claim) == {(0, 1): 0, (1, 1): 0, (2, 1): 0}
    assert {"over0", "over1"} <= set(job.file(2, "seen").split())


def test_a_job_goes_on_to_its_end_only_when_its_last_parallel_task_has_ended(tmp_path):
    count = "wc -l < $DPGEN2_HPC_ROOT/jobs/$DPGEN2_HPC_JOB.claim > $DPGEN2_HPC_ROOT/lines"
    job = Job(tmp_path, para_deg=4, append_script=[count])
    assert codes(job.run("sleep 0.3; exit 5", "true")) == {(0, 1): 5, (1, 1): 0}
    assert int((job.folder.path / "lines").read_text()) == 3


def test_the_devices_are_dealt_out_to_the_tasks(tmp_path):
    job = Job(tmp_path, gpu_per_node=2, para_deg=2, strategy={"if_cuda_multi_devices": True})
    job.run(*["echo $CUDA_VISIBLE_DEVICES > out"] * 4)
    assert [job.file(task, "out") for task in range(4)] == ["0\n", "0\n", "1\n", "1\n"]


# ---- the site's own words


def test_modules_sources_variables_and_prepended_lines_come_before_the_tasks_and_appended_ones_after(tmp_path):
    (tmp_path / "env.sh").write_text("SOURCED=yes\n")
    job = Job(
        tmp_path,
        source_list=[str(tmp_path / "env.sh")],
        envs={"GIVEN": "a b"},
        prepend_script=["PREPENDED=$SOURCED", "export PREPENDED"],
        append_script=["echo appended > $DPGEN2_HPC_ROOT/appended"],
    )
    job.run('echo "$GIVEN $PREPENDED" > out; ls .. > seen')
    assert job.file(0, "out") == "a b yes\n"
    assert "appended" not in job.file(0, "seen")
    assert (job.folder.path / "appended").read_text() == "appended\n"


@pytest.mark.parametrize("option", ["set -e", "set -u", "set -eo pipefail", "set -f", "cd /"])
def test_options_that_the_sites_lines_set_do_not_keep_a_task_from_telling_its_end(tmp_path, option):
    job = Job(tmp_path, prepend_script=[option])
    assert codes(job.run("exit 3", "true")) == {(0, 1): 3, (1, 1): 0}


def test_a_folder_with_blanks_and_quotes_in_its_name_is_found(tmp_path):
    root = tmp_path / "a 'quoted' \"name\" $HOME"
    root.mkdir()
    assert codes(Job(root).run("echo 1 > out")) == {(0, 1): 0}


# ---- the policy's part of a script


def test_a_task_that_takes_longer_than_its_timeout_is_ended_and_the_next_one_runs(tmp_path):
    job = Job(tmp_path, Policy(timeout=1))
    claim = job.run("sleep 30; echo late > late", "echo 1 > ran")
    assert codes(claim) == {(0, 1): 124, (1, 1): 0}
    assert 1 <= claim.ended[0, 1].seconds < 30
    assert not (job.folder.task(0) / "late").exists()


def test_variables_of_the_policy_reach_a_task_as_they_are(tmp_path):
    value = "a b'c\"d $HOME `id` #\\"
    job = Job(tmp_path, Policy(envs={"ASKED": value}))
    job.run('printf %s "$ASKED" > said')
    assert job.file(0, "said") == value


def test_a_job_does_not_pass_for_the_command_that_submitted_it(job):
    """On a host that both submits and computes, a task would else keep a job in doubt for ever."""
    job.run("env > environment")
    script = job.folder.jobs / f"{NAME}2.sub"
    script.write_text((job.folder.jobs / f"{NAME}.sub").read_text().replace(NAME, f"{NAME}2"))
    subprocess.run(["bash", str(script)], cwd=job.folder.path, env={**os.environ, "DPGEN2_HPC_SUBMIT": "x"}, check=True)
    assert "DPGEN2_HPC_SUBMIT" not in job.file(0, "environment")


def test_a_job_whose_script_is_not_in_its_folder_leaves(job):
    """The step was rewound: the folder that is there now is another batch's."""
    script = job.write("touch touched")
    script.rename(script.with_name("elsewhere.sub"))
    process = job.start(script.with_name("elsewhere.sub"))
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert job.site.claim(NAME) is None
    assert not (job.folder.task(0) / "touched").exists()


@pytest.mark.parametrize("odd", [b"\xff\xfe\x00\n", b"", b"12\n", b"12 node boot pid\n" + b"\xc3\x28\n", b"1 " * 10000])
def test_a_claim_with_anything_in_it_is_no_exception(job, odd):
    (job.folder.jobs / f"{NAME}.claim").write_bytes(odd)
    claim = job.site.claim(NAME)
    assert claim is None or claim.ended == {}


def test_a_claim_that_is_no_file_is_no_claim(job):
    (job.folder.jobs / f"{NAME}.claim").mkdir()
    assert job.site.claim(NAME) is None
