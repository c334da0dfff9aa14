"""What the commands of the batch systems say, and what is made of it. The words are those of their manuals and users."""

import re

import pytest

from dpgen2_hpc.dispatch.schedulers import SCHEDULERS, Entry, Reply, ending_of, scheduler
from dpgen2_hpc.errors import QueueDown, QueueFull, SubmissionRefused

SLURM, PBS, LSF = (scheduler(name) for name in ("Slurm", "PBS", "LSF"))
FAILED = "sbatch: error: Batch job submission failed: "


# ---- the id of a job


@pytest.mark.parametrize(
    ("system", "out", "identifier"),
    [
        (SLURM, "4242\n", "4242"),
        (SLURM, "4242;cluster1\n", "4242;cluster1"),
        (SLURM, "Submitted batch job 4242 on cluster c1\n", "4242"),
        (SLURM, "Submitted batch job 4242\n", "4242"),
        (SLURM, "*** 12 users are logged in ***\nYour quota: 80\n4242\n", "4242"),
        (PBS, "1234.login1.site.org\n", "1234.login1.site.org"),
        (PBS, "Welcome\n   project: abc\n77\n", "77"),
        (LSF, "Job <930> is submitted to default queue <normal>.\n", "930"),
        (LSF, "Project ABC: 120 of 400 hours left\nJob <930> is submitted to queue <gpu>.\n", "930"),
    ],
)
def test_the_id_is_found_wherever_a_site_prints_its_own_lines(system, out, identifier):
    assert system.submitted_id(Reply(0, out, "")) == identifier


@pytest.mark.parametrize(
    ("system", "words", "kind"),
    [
        (SLURM, FAILED + "Socket timed out on send/recv operation", QueueDown),
        (SLURM, FAILED + "Unable to contact slurm controller (connect failure)", QueueDown),
        (SLURM, FAILED + "Zero Bytes were transmitted or received", QueueDown),
        (SLURM, FAILED + "Resource temporarily unavailable", QueueDown),
        (SLURM, FAILED + "Invalid partition name specified", SubmissionRefused),
        (SLURM, FAILED + "Invalid account or account/partition combination specified", SubmissionRefused),
        (SLURM, FAILED + "Requested time limit is invalid (missing or exceeds some limit)", SubmissionRefused),
        (SLURM, FAILED + "Requested node configuration is not available", SubmissionRefused),
        (
            SLURM,
            FAILED + "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            QueueFull,
        ),
        (SLURM, "sbatch: error: QOSMaxSubmitJobPerUserLimit\n" + FAILED + "Job violates accounting", QueueFull),
        (SLURM, "sbatch: error: AssocMaxSubmitJobLimit\n" + FAILED + "Job violates accounting", QueueFull),
        (PBS, "qsub: cannot connect to server login1 (errno=111)", QueueDown),
        (PBS, "qsub: End of File", QueueDown),
        (PBS, "qsub: Unknown queue", SubmissionRefused),
        (PBS, "qsub: Job violates queue and/or server resource limits", SubmissionRefused),
        (
            PBS,
            "qsub: Job exceeds queue resource limits MSG=cannot satisfy queue max walltime requirement",
            SubmissionRefused,
        ),
        (PBS, "qsub: would exceed queue generic's per-user limit of jobs in 'Q' state", QueueFull),
        (
            PBS,
            "qsub: Maximum number of jobs already in queue MSG=total number of jobs exceeds the queue limit: user a",
            QueueFull,
        ),
        (LSF, "LSF is down. Please wait ...", QueueDown),
        (LSF, "Failed in an LSF library call: Communication time out. Job not submitted.", QueueDown),
        (LSF, "nowhere: No such queue. Job not submitted.", SubmissionRefused),
        (LSF, "User cannot use the queue. Job not submitted.", SubmissionRefused),
        (LSF, "Pending job threshold reached. Job not submitted.", QueueFull),
    ],
)
def test_a_job_that_was_not_taken_is_refused_for_good_or_for_now_or_nobody_knows(system, words, kind):
    with pytest.raises(kind) as caught:
        system.submitted_id(Reply(1, "", words))
    if words:
        assert str(caught.value) == words


# ---- what lives


def test_slurm_unknown_states_and_suspended_jobs_live_and_ended_ones_do_not():
    out = "".join(
        f"{number}|{state}|d{state.lower()}\n"
        for number, state in enumerate(["R", "PD", "CG", "S", "SO", "ZZ", "CD", "F", "TO", "OOM", "NF", "CA"])
    )
    names = [line.split("|")[2] for line in out.splitlines()]
    live = SLURM.live(Reply(0, out + "99|R|another job | with bars\n", ""), names)
    assert [entry.name for entry in live] == ["dr", "dpd", "dcg", "ds", "dso", "dzz"]
    assert [entry.running for entry in live[:2]] == [True, False]


def test_two_entries_of_one_name_are_two():
    live = SLURM.live(Reply(0, "7|R|dname\n8|PD|dname\n", ""), ["dname"])
    assert live == [Entry("dname", "7", True), Entry("dname", "8", False)]


def qstat(*jobs: tuple[str, str, str]) -> str:
    return "\n".join(
        f"Job Id: {identifier}\n    Job_Name = {name}\n    Job_Owner = a@login1\n    job_state = {state}\n"
        f"    Variable_List = PBS_O_HOME=/home/a,\n\tPBS_O_PATH=/bin\n"
        for identifier, name, state in jobs
    )


def test_pbs_a_job_that_exits_still_lives_and_finished_ones_do_not():
    out = qstat(("1.s", "done1", "R"), ("2.s", "done2", "E"), ("3.s", "done3", "Q"), ("4.s", "done4", "F"))
    live = PBS.live(Reply(0, out, ""), ["done1", "done2", "done3", "done4"])
    assert live == [Entry("done1", "1.s", True), Entry("done2", "2.s", True), Entry("done3", "3.s", False)]


def test_torque_a_completed_job_is_over():
    assert PBS.live(Reply(0, qstat(("1.s", "done1", "C")), ""), ["done1"]) == []


def test_pbs_no_job_at_all_is_an_empty_answer_and_a_cut_one_cannot_be_parsed():
    assert PBS.live(Reply(0, "", ""), ["done1"]) == []
    with pytest.raises(QueueDown):
        PBS.live(Reply(0, "Job Id: 1.s\n    Job_Name = done1\n    Job_Ow", ""), ["done1"])


def test_pbs_a_job_that_ended_between_the_two_questions_is_nobodys_fault():
    out = qstat(("1.s", "done1", "R"))
    live = PBS.live(Reply(153, out, "qstat: Unknown Job Id 2.s\n"), ["done1", "done2"])
    assert [entry.name for entry in live] == ["done1"]


def test_lsf_states():
    states = ["RUN", "PEND", "PSUSP", "USUSP", "SSUSP", "UNKWN", "ZOMBI", "PROV", "DONE", "EXIT"]
    out = "".join(f"{number}|{state}|j{state.lower()}\n" for number, state in enumerate(states))
    live = LSF.live(Reply(0, out, ""), [f"j{state.lower()}" for state in states])
    assert [entry.name for entry in live] == [f"j{state.lower()}" for state in states[:-2]]
    assert [entry.name for entry in live if not entry.running] == ["jpend", "jpsusp", "jprov"]


def test_lsf_no_job_is_an_empty_answer_although_bjobs_calls_it_an_error():
    assert LSF.live(Reply(255, "", "No unfinished job found\n"), ["j"]) == []
    with pytest.raises(QueueDown, match="LSF is down"):
        LSF.live(Reply(255, "", "LSF is down. Please wait ...\n"), ["j"])


@pytest.mark.parametrize("system", [SLURM, LSF])
@pytest.mark.parametrize("out", ["1|R", "1|R|a\n2|", "<html>502</html>", "Welcome to the cluster"])
def test_an_answer_that_makes_no_sense_cannot_be_parsed(system, out):
    with pytest.raises(QueueDown):
        system.live(Reply(0, out, ""), ["a"])


# ---- command lines


@pytest.mark.parametrize(
    ("system", "said"),
    [(SLURM, "--no-requeue --job-name=dname"), (PBS, "-N dname -r n"), (LSF, "-J dname -rn")],
)
def test_name_and_no_requeue_stand_on_the_command_line(system, said):
    assert said in system.submit("dname", "jobs/dname.sub")


@pytest.mark.parametrize(("system", "program"), [(SLURM, "scancel"), (PBS, "qdel"), (LSF, "bkill")])
def test_all_entries_are_cancelled_by_one_command(system, program):
    assert system.cancel([Entry("a", "7", True), Entry("a", "8 $x", False)]) == f"{program} 7 '8 $x'"


# ---- who ended a job


@pytest.mark.parametrize(
    ("system", "line", "sentence"),
    [
        (
            SLURM,
            "slurmstepd-n1: error: *** JOB 1 ON n1 CANCELLED AT 2026-01-22T15:48:05 DUE TO TIME LIMIT ***",
            "the queue ended its job at the walltime",
        ),
        (
            SLURM,
            "slurmstepd: error: Detected 1 oom_kill event in StepId=9.batch. Some of the step tasks have been OOM Killed.",
            "the queue ended it because it was out of memory",
        ),
        (
            SLURM,
            "slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 2026-01-22T15:48:05 DUE TO NODE FAILURE, SEE LOG ***",
            "the node of its job failed",
        ),
        (SLURM, "slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 2026-01-22T15:48:05 ***", "its job was cancelled"),
        (PBS, "=>> PBS: job killed: walltime 3620 exceeded limit 3600", "the queue ended its job at the walltime"),
        (
            PBS,
            "=>> PBS: job killed: mem 4194304kb exceeded limit 2097152kb",
            "the queue ended it because it was out of memory",
        ),
        (
            PBS,
            "=>> PBS: job killed: node 1 (n2) requested job terminate, 'EOF' (code 1099)",
            "the node of its job failed",
        ),
        (
            LSF,
            "TERM_RUNLIMIT: job killed after reaching LSF run time limit.",
            "the queue ended its job at the walltime",
        ),
        (
            LSF,
            "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit.",
            "the queue ended it because it was out of memory",
        ),
        (LSF, "TERM_OWNER: job killed by owner.", "its job was cancelled"),
    ],
)
def test_the_queues_last_words_say_who_ended_a_job(system, line, sentence):
    found = ending_of(system.endings, f"step 100\nsome output\n{line}\n")
    assert found is not None
    assert found[0] == sentence


@pytest.mark.parametrize("system", [SLURM, PBS, LSF])
def test_a_programs_own_words_are_not_taken_for_the_queues(system):
    assert ending_of(system.endings, "Segmentation fault\nstep limit reached\nout of range atoms\n") is None


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_pattern_of_every_batch_system_is_one(name):
    for pattern, sentence, remedy in scheduler(name).endings:
        re.compile(pattern)
        assert sentence
        assert remedy.endswith(".")
