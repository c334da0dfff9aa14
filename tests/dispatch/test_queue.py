"""The conversation with a scheduler: environment, portions, reports and history; on stand-ins of its commands."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dpgen2_hpc.dispatch.machine import StepMachine
from dpgen2_hpc.dispatch.queue import PORTION, REPORT, Queue, portions
from dpgen2_hpc.dispatch.schedulers import SCHEDULERS, Entry, scheduler
from dpgen2_hpc.errors import QueueDown, UserError
from dpgen2_hpc.state.ledger import JobState


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Write stand-ins of commands that come first in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(name, text):
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)

    return write


def queue(tmp_path, name="Slurm"):
    (tmp_path / "jobs").mkdir(exist_ok=True)
    return Queue(scheduler(name), tmp_path)


def job(index, identifier, name="dname"):
    return JobState(index, f"{name}{index}", ((index, 1),), id=identifier)


# ---- the user's variables


@pytest.mark.parametrize(
    ("system", "names"),
    [
        ("Slurm", "SQUEUE_STATES SQUEUE_PARTITION SQUEUE_NAMES SQUEUE_ACCOUNT SQUEUE_QOS SQUEUE_FORMAT SQUEUE_USERS"),
        ("Slurm", "SBATCH_WAIT SBATCH_ARRAY_INX SBATCH_REQUEUE SBATCH_OUTPUT SBATCH_ERROR SBATCH_JOB_NAME"),
        ("Slurm", "SCANCEL_INTERACTIVE SCANCEL_STATE SACCT_FORMAT"),
        ("PBS", "PBS_DPREFIX PBSDEBUG"),
        ("Torque", "PBS_DPREFIX"),
        ("LSF", "BSUB_QUIET BSUB_QUIET2 BSUB_BLOCK BSUB_CHK_RESREQ LSB_BJOBS_FORMAT LSB_JOB_CWD"),
    ],
)
def test_variables_that_change_what_commands_do_are_taken_away(tmp_path, monkeypatch, system, names):
    for name in names.split():
        monkeypatch.setenv(name, "1")
    seen = {line.partition("=")[0] for line in queue(tmp_path, system).call("env").out.splitlines()}
    assert not seen & set(names.split())


@pytest.mark.parametrize(
    ("system", "name"),
    [
        ("Slurm", "SBATCH_ACCOUNT"),
        ("Slurm", "SBATCH_WAIT_ALL_NODES"),
        ("Slurm", "SLURM_CONF"),
        ("Slurm", "SBATCH_EXPORT"),
        ("PBS", "PBS_DEFAULT"),
        ("LSF", "LSB_DEFAULTPROJECT"),
        ("LSF", "LSF_ENVDIR"),
    ],
)
def test_variables_by_which_users_choose_account_and_server_are_kept(tmp_path, monkeypatch, system, name):
    monkeypatch.setenv(name, "chosen")
    assert f"{name}=chosen\n" in queue(tmp_path, system).call("env").out


def test_bsub_is_told_not_to_wait_for_a_place_in_the_queue(tmp_path, monkeypatch):
    monkeypatch.setenv("LSB_NTRIES", "900")
    assert "LSB_NTRIES=1\n" in queue(tmp_path, "LSF").call("env").out


def test_a_command_that_is_not_installed_is_named(tmp_path):
    with pytest.raises(UserError, match="no-such-command"):
        queue(tmp_path).call("no-such-command")


# ---- several clusters

SQUEUE = """case $1 in
--clusters=c1) echo "7|R|dname0"; echo "8|PD|another";;
--clusters=c2) echo "CLUSTER: c2"; echo "7|PD|dname1";;
--clusters=c3) echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1;;
*) echo "9|R|dname0";;
esac"""


def of_clusters(tmp_path, clusters):
    return Queue(replace(scheduler("Slurm"), clusters=clusters), tmp_path)


def test_jobs_of_several_clusters_are_found_cancelled_and_asked_about_on_their_own(tmp_path, programs):
    programs("squeue", SQUEUE)
    programs("scancel", f'echo "$@" >> {tmp_path}/cancelled')
    programs("sacct", f'echo "$1 ${{@: -1}}" >> {tmp_path}/asked; echo "7|TIMEOUT|0:0|None|$1|1|1"')
    queue = of_clusters(tmp_path, "c1,c2")
    entries = queue.live(["dname0", "dname1"])
    assert entries == [Entry("dname0", "7;c1", running=True), Entry("dname1", "7;c2", running=False)]
    queue.cancel(entries)
    assert (tmp_path / "cancelled").read_text() == "--clusters=c1 7\n--clusters=c2 7\n"
    queue.history([job(0, "7;c1")])
    assert (tmp_path / "asked").read_text() == "--clusters=c1 7\n"


def test_a_cluster_that_does_not_answer_makes_the_whole_answer_none(tmp_path, programs):
    programs("squeue", SQUEUE)
    with pytest.raises(QueueDown, match="Unable to contact"):
        of_clusters(tmp_path, "c3,c1").live(["dname0"])
    with pytest.raises(QueueDown, match="Unable to contact"):
        of_clusters(tmp_path, "c1,c3").live(["dname0"])


@pytest.mark.parametrize("name", ["SLURM_CLUSTERS", "SBATCH_CLUSTERS"])
def test_clusters_of_the_environment_are_not_followed_since_the_next_driver_may_not_have_them(
    tmp_path, monkeypatch, name
):
    monkeypatch.setenv(name, "c9")
    assert f"\n{name}=" not in queue(tmp_path).call("env").out


# ---- many jobs


@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name != "Shell"])
def test_twenty_thousand_jobs_are_cancelled_in_portions(tmp_path, programs, name):
    for program in ("scancel", "qdel", "bkill"):
        programs(program, f'echo "$#" >> {tmp_path}/calls; printf "%s\\n" "$@" >> {tmp_path}/ids')
    entries = [Entry(f"d{number}", f"{number}.a-server-with-a-long.name.example.org", True) for number in range(20_000)]
    queue(tmp_path, name).cancel(entries)
    assert (tmp_path / "ids").read_text().split() == [entry.id for entry in entries]
    assert len((tmp_path / "calls").read_text().split()) == 20_000 // PORTION


def test_qstat_is_asked_about_a_thousand_jobs_at_a_time(tmp_path, programs):
    programs("qselect", "seq -f '%.0f.a-server-with-a-long.name.example.org' 1 100000")
    programs("qstat", f'echo "$(($# - 1))" >> {tmp_path}/calls')
    assert queue(tmp_path, "PBS").live(["dname"]) == []
    assert set((tmp_path / "calls").read_text().split()) == {"1000"}


@pytest.mark.parametrize(
    ("queue_name", "flags", "asked"),
    [("long", [], ""), ("gpu@s2", [], "@s2"), ("", ["#PBS -q @s2"], "@s2"), ("a@s1", ["#PBS -q b@s2"], "@s2")],
)
def test_the_server_of_the_queue_is_asked_for_the_jobs(tmp_path, programs, queue_name, flags, asked):
    programs("qselect", f'shift 2; echo "$*" > {tmp_path}/asked')
    resources = {"queue_name": queue_name, "custom_flags": flags}
    system = StepMachine({"batch_type": "PBS"}, resources).scheduler
    assert Queue(system, tmp_path).live(["dname"]) == []
    assert (tmp_path / "asked").read_text().strip() == f"-q {asked}" * bool(asked)


def test_portions_have_every_row_once():
    rows = list(range(2 * PORTION + 1))
    assert [row for some in portions(rows) for row in some] == rows


# ---- how a job has ended


def test_a_report_is_read_at_both_ends_of_an_output_of_any_size(tmp_path):
    lsf = queue(tmp_path, "LSF")
    path = tmp_path / "jobs" / "dname0.out"
    word = b"TERM_RUNLIMIT: job killed after reaching LSF run time limit.\n"
    for text in (word + b"x\n" * REPORT * 3, b"x\n" * REPORT * 3 + word):
        path.write_bytes(text)
        assert lsf.ending(job(0, "1")) == "the queue ended its job at the walltime"
    with path.open("r+b") as file:
        file.truncate(8 << 30)
    assert lsf.ending(job(0, "1")) is None


def test_what_is_no_output_is_no_report(tmp_path):
    slurm = queue(tmp_path)
    assert not slurm.is_over(job(0, "1"))
    os.mkfifo(tmp_path / "jobs" / "dname0.out")
    assert not slurm.is_over(job(0, "1"))
    assert slurm.ending(job(0, "1")) is None


@pytest.mark.parametrize(
    ("system", "history", "over"),
    [
        ("Slurm", "JobState=CANCELLED by 1000 ExitCode=0:15", True),
        ("Slurm", "JobState=RUNNING ExitCode=0:0", False),
        ("Slurm", "JobState=COMPLETED ExitCode=0:0", False),
        ("PBS", "Exit_status = 271", True),
        ("PBS", "Exit_status = 0", False),
        ("Torque", "Exit_status = 271", True),
        ("LSF", "TERM_OWNER: job killed by owner; Exited by signal 2", True),
        ("LSF", "Done successfully. The CPU time used is 1.0 seconds", False),
    ],
)
def test_a_job_that_the_queue_has_ended_is_over_and_one_that_ended_by_itself_may_still_speak(
    tmp_path, system, history, over
):
    known = job(0, "1")
    known.history = history
    assert queue(tmp_path, system).is_over(known) == over


def test_the_history_says_what_the_output_does_not(tmp_path):
    known = job(0, "1")
    known.history = "JobState=TIMEOUT ExitCode=0:15"
    assert queue(tmp_path).ending(known) == "the queue ended its job at the walltime"


SACCT = 'echo "11|TIMEOUT|0:0|None|n1|00:01:00|00:01:00"; echo "12|CANCELLED by 1000|0:0|None|None assigned|00:00:00|01:00:00"'


def test_slurm_with_accounting_is_asked_once_for_all(tmp_path, programs):
    programs("sacct", f"echo call >> {tmp_path}/calls; {SACCT}")
    told = queue(tmp_path).history([job(0, "11"), job(1, "12"), job(2, "13")])
    assert told[0].startswith("JobState=TIMEOUT ExitCode=0:0 Reason=None NodeList=n1")
    assert told[1].startswith("JobState=CANCELLED by 1000")
    assert set(told) == {0, 1}
    assert (tmp_path / "calls").read_text() == "call\n"


CONTROLLER = """case $4 in
11) echo "JobId=11 JobName=dname0 UserId=a(1) Priority=1 JobState=NODE_FAIL Reason=NodeDown ExitCode=0:0 RunTime=00:01:02";;
*) echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1;;
esac"""


@pytest.mark.parametrize(
    "accounting",
    ["echo 'Slurm accounting storage is disabled' >&2; exit 1", "exit 0", "echo sacct: not found >&2; exit 127"],
)
def test_slurm_without_accounting_asks_the_controller(tmp_path, programs, accounting):
    programs("sacct", accounting)
    programs("scontrol", CONTROLLER)
    told = queue(tmp_path).history([job(0, "11"), job(1, "12")])
    assert told == {0: "JobState=NODE_FAIL ExitCode=0:0 Reason=NodeDown RunTime=00:01:02"}


QSTAT = """Job Id: 11.server.example.org
    Job_Name = dname0
    job_state = F
    resources_used.walltime = 00:00:10
    Exit_status = -29
    Resource_List.walltime = 00:00:05
    comment = Job run at Thu Nov 26 at 10:00 on (n1:ncpus=1) and failed, the comment is lo
\tng enough to be continued
    Submit_arguments = -f -N dname0

Job Id: 12.server.example.org
    Job_Name = dname1
    job_state = F
    comment = Not Running: queue rejected it
"""


def test_pbs_is_asked_for_exit_status_and_comment(tmp_path, programs):
    programs("qstat", f'[ "$1 $2" = "-x -f" ] || exit 2; cat <<"END"\n{QSTAT}END\nexit 35')
    told = queue(tmp_path, "PBS").history([job(0, "11.server"), job(1, "12.server")])
    assert "Exit_status = -29" in told[0].splitlines()
    assert told[0].endswith("the comment is long enough to be continued")
    assert told[1] == "Comment = Not Running: queue rejected it"


def test_torque_is_asked_without_the_option_that_means_xml_there(tmp_path, programs):
    programs("qstat", '[ "$1" = "-f" ] || exit 2; printf "Job Id: 11.s\\n    job_state = C\\n    exit_status = 271\\n"')
    assert queue(tmp_path, "Torque").history([job(0, "11.s")]) == {0: "Exit_status = 271"}


BHIST = """
Job <11>, Job Name <dname0>, User <a>, Project <default>, Command <#!/bin/bash -l
                     ;#BSUB -n 1>
Thu Nov 26 10:00:00: Submitted from host <login1>, to Queue <normal>, CWD <$HOME>;
Thu Nov 26 10:05:00: Exited with exit code 140. The CPU time used is 12.3 secon
                     ds;
Thu Nov 26 10:05:00: Completed <exit>; TERM_RUNLIMIT: job killed after reaching
                      LSF run time limit;

Summary of time in seconds spent in various states by Thu Nov 26 10:05:00
------------------------------------------------------------------------------

Job <12>, Job Name <dname1>, User <a>, Project <default>, Command <x>
Thu Nov 26 10:05:00: Exited by signal 2. The CPU time used is 0.1 seconds;
"""


def test_lsf_is_asked_and_its_broken_lines_are_joined(tmp_path, programs):
    programs("bhist", f'cat <<"END"\n{BHIST}END')
    told = queue(tmp_path, "LSF").history([job(0, "11"), job(1, "12")])
    assert told[0].startswith("TERM_RUNLIMIT: job killed")
    assert told[1].startswith("Exited by signal 2")


def test_a_history_that_fails_or_hangs_costs_nothing_but_its_limit(tmp_path, programs, monkeypatch):
    monkeypatch.setattr("dpgen2_hpc.dispatch.queue.PATIENCE", 0.3)
    programs("bhist", "sleep 30")
    assert queue(tmp_path, "LSF").history([job(0, "11")]) == {}
    programs("bhist", "echo 'LSF is down'; exit 255")
    assert queue(tmp_path, "LSF").history([job(0, "11")]) == {}


def test_there_is_no_history_of_processes(tmp_path):
    assert queue(tmp_path, "Shell").history([job(0, "11")]) == {}


def test_words_of_the_queue_do_not_reach_the_terminal_as_they_are(tmp_path, programs):
    programs("sacct", r"printf '11|FAILED|1:0|\033[2J|n1|1|1\n'")
    assert "\\x1b[2J" in queue(tmp_path).history([job(0, "11")])[0]


def test_a_driver_that_must_leave_leaves_while_a_command_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr("dpgen2_hpc.dispatch.command.PARTING", 0.1)
    told = SimpleNamespace(count=0)

    def check():
        told.count += 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Queue(scheduler("Slurm"), tmp_path, check).call("sleep 30")
    assert told.count == 1
