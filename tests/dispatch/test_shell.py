"""Jobs that are processes of this host: started, seen, and gone, with real processes."""

import os
import signal
import subprocess
import time

import pytest

from dpgen2_hpc.dispatch.schedulers import Entry, Reply, scheduler
from dpgen2_hpc.dispatch.schedulers.shell import SHELL, Shell
from dpgen2_hpc.errors import QueueDown


def call(command, folder):
    """Run a command as a context of dpdispatcher does."""
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, timeout=20)
    return Reply(done.returncode, done.stdout, done.stderr)


def live(*names):
    return SHELL.live(call(SHELL.list_live(names), "/"), names)


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path, request):
    """Start a script as a job; whatever still lives of it is ended with the test."""
    (tmp_path / "jobs").mkdir()
    names = []

    def run(script, name=f"dtest{os.getpid()}"):
        names.append(name)
        (tmp_path / "jobs" / f"{name}.sub").write_text(script)
        return SHELL.submitted_id(call(SHELL.submit(name, f"jobs/{name}.sub"), tmp_path)), name

    yield run
    for entry in live(*names):
        os.killpg(os.getsid(int(entry.id)), signal.SIGKILL)


# ---- the words


def test_the_scheduler_is_found_whatever_case_its_name_is_in():
    assert [scheduler(name) is SHELL for name in ("Shell", "shell", "SHELL")] == [True, True, True]
    assert scheduler("Slurp") is None


def test_the_pid_is_the_id():
    assert SHELL.submitted_id(Reply(0, "4711\n", "")) == "4711"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(0, "", ""),
        Reply(1, "4711\n", "no"),
        Reply(0, "nohup: failed\n", ""),
        Reply(127, "", "sh: setsid: not found"),
    ],
)
def test_anything_but_a_pid_leaves_it_open_whether_the_job_was_started(reply):
    with pytest.raises(QueueDown):
        SHELL.submitted_id(reply)


def test_a_name_is_live_once_however_many_processes_have_it():
    out = "/proc/10/environ:DPGEN2_HPC_JOB=dabc\n/proc/12/environ:DPGEN2_HPC_JOB=dabc\n/proc/9/environ:DPGEN2_HPC_JOB=dother\n"
    assert SHELL.live(Reply(0, out, ""), ["dabc", "dnone"]) == [Entry("dabc", "10", running=True)]


def test_a_name_that_only_begins_alike_is_another_job():
    out = "/proc/10/environ:DPGEN2_HPC_JOB=dabcd\n"
    assert SHELL.live(Reply(0, out, ""), ["dabc"]) == []


def test_a_failed_listing_says_nothing_about_any_job():
    with pytest.raises(QueueDown, match="could not be listed: sh: grep: not found"):
        SHELL.live(Reply(127, "", "sh: grep: not found"), ["dabc"])


def test_jobs_of_this_kind_are_seen_by_one_host_alone_and_believed_gone_without_a_grace():
    assert (Shell().own_host, Shell().grace, Shell().minimum_wait, Shell().own_id) == (True, 0.0, 0.2, "$$")


# ---- processes


def test_a_job_is_live_from_the_first_look_after_its_submission_and_gone_when_it_has_ended(start):
    pid, name = start("while [ ! -e stop ]; do sleep 0.05; done")
    assert live(name) == [Entry(name, pid, running=True)]
    cwd = os.readlink(f"/proc/{pid}/cwd")
    open(os.path.join(cwd, "stop"), "w").close()
    wait_for(lambda: live(name) == [])


def test_the_id_is_the_process_that_runs_the_script_in_a_session_of_its_own(start, tmp_path):
    pid, _ = start("echo $$ > pid; exec sleep 30")
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    assert (tmp_path / "pid").read_text().strip() == pid
    assert os.getsid(int(pid)) == int(pid) != os.getsid(0)


def test_a_child_that_outlives_its_killed_script_still_counts_as_the_job(start, tmp_path):
    pid, name = start("sleep 30 & echo $! > child; wait")
    wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    child = (tmp_path / "child").read_text().strip()
    os.kill(int(pid), signal.SIGKILL)
    wait_for(lambda: live(name) == [Entry(name, child, running=True)])
    os.kill(int(child), signal.SIGKILL)
    wait_for(lambda: live(name) == [])


def test_a_child_in_a_session_of_its_own_still_counts_as_the_job(start):
    pid, name = start("setsid sleep 30 & exit")
    wait_for(lambda: [entry.id for entry in live(name)] not in ([], [pid]))


def test_a_job_does_not_end_with_the_terminal_or_the_driver_that_started_it(start):
    pid, name = start("sleep 30")
    os.kill(int(pid), signal.SIGHUP)
    os.kill(int(pid), signal.SIGINT)
    time.sleep(0.1)
    assert [entry.name for entry in live(name)] == [name]


def test_what_a_job_says_is_in_its_own_file_and_it_waits_for_no_input(start, tmp_path):
    _, name = start("echo words; echo complaints >&2; read line || echo no input")
    out = tmp_path / "jobs" / f"{name}.out"
    wait_for(lambda: out.exists() and out.read_text().endswith("input\n"))
    assert out.read_text() == "words\ncomplaints\nno input\n"


def test_submission_returns_at_once_though_the_job_goes_on(start):
    started = time.monotonic()
    start("sleep 30")
    assert time.monotonic() - started < 5


def test_a_process_that_only_names_the_job_is_not_the_job(start):
    name = f"dword{os.getpid()}"
    with subprocess.Popen(
        ["sleep", "30"], env={"OTHER": f"x\nDPGEN2_HPC_JOB={name}", "PATH": os.environ["PATH"]}
    ) as process:
        try:
            assert live(name) == []
        finally:
            process.kill()
