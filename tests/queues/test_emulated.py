"""The table of faults on emulations of OpenPBS, Torque and LSF, and what a site of each of them does to a run.

What the emulations do, and after which documents, is in test_emulation_itself.py.
"""

import re

import pytest
from emulated_project import EmulatedProject
from fault_table import LOOK, ROWS, SUBMIT, Drivers, Mishaps, Waiting, survive, training
from project import wait_for
from queue_project import complete, exactly_once

pytestmark = pytest.mark.slow

FLAVOURS = ["openpbs-20", "torque-6", "lsf-10"]


@pytest.fixture(params=FLAVOURS)
def project(tmp_path, request) -> EmulatedProject:
    return EmulatedProject(tmp_path, request.param)


def chained(side: str, *names: str) -> list[str]:
    """Rows of the table one after the other: an emulation has no answers that depend on what went wrong before."""
    return [fault for name in names for fault in [*ROWS[name][1], "ok"] if ROWS[name][0] == side]


LOST = chained(SUBMIT, "lost reply", "lost replies later on")
NOT_NOW = chained(SUBMIT, "server not reached by the submit command", "job limit reached", "banner before the id")
ANSWERS = chained(LOOK, "empty answer", "half an answer", "answer cut in a line", "a page of HTML", "unknown states")


def test_the_chains_have_every_row_of_the_table():
    every = [fault for _, faults in ROWS.values() for fault in faults if fault != "ok"]
    assert set(every) == {*LOST, *NOT_NOW, *ANSWERS, "down"} - {"ok"}


def test_lost_replies_cost_no_entry_and_no_task(project):
    """The jobs wait at first, so that the queue alone can tell of them."""
    project.env["QUEUE_WAIT"] = "4"
    survive(project, submit=LOST)


def test_a_queue_that_takes_no_job_for_now_costs_no_entry_and_no_task(project):
    survive(project, submit=NOT_NOW)


def test_answers_that_are_none_cost_no_entry_and_no_task(project):
    """Many of them in a row keep a job out of sight longer than the grace of the other tests."""
    project.job_env(FAKE_DP_SLEEP="3")
    project.machine["default"]["grace"] = 20
    project.will("qselect", *["ok"] * 4, "empty", "ok", "partial", "down", "garbage", "cut")
    survive(project, look=[*ANSWERS, "busy", "down", "down", "empty", "ok", "empty"])


class TestMishaps(Mishaps):
    KILLS = (0.9, 1.2, 1.5, 2.0, 3.0)

    @pytest.fixture(params=["openpbs-20", "lsf-10"])
    def project(self, tmp_path, request):
        self.NOWHERE = "Unknown queue" if request.param == "openpbs-20" else "No such queue"
        return EmulatedProject(tmp_path, request.param)


class TestDriversOnTorque(Drivers):
    """Torque's commands have the names of OpenPBS's: what its answers decide is enough."""

    KILLS = TestMishaps.KILLS
    NOWHERE = "submit error (Unknown queue"

    @pytest.fixture
    def project(self, tmp_path):
        return EmulatedProject(tmp_path, "torque-6")


class TestWaiting(Waiting):
    HELD = "held"

    @pytest.mark.parametrize("project", ["torque-6"], indirect=True)
    def test_jobs_that_wait_while_the_directory_is_moved_are_submitted_again_from_there(self, project):
        """On one of them: what is asked of the queue is the same as in the test above."""
        super().test_jobs_that_wait_while_the_directory_is_moved_are_submitted_again_from_there(project)

    @pytest.fixture(autouse=True)
    def _directive(self, project):
        self.HOLD = "#BSUB -H" if project.lsf else "#PBS -h"


# ---- every release, each at a site with habits of its own


@pytest.mark.parametrize(
    ("flavour", "site"),
    [
        ("openpbs-18", "epilogue,banner,no-history"),
        ("openpbs-23", "direct-output,background-qsub"),
        ("torque-4", "epilogue,no-delivery"),
        ("lsf-9", "banner,direct-output"),
    ],
)
def test_a_run_reaches_its_end_at_a_site_of(tmp_path, flavour, site):
    project = EmulatedProject(tmp_path, flavour, site)
    complete(project, project.run())
    exactly_once(project)


# ---- jobs that the queue ends

CAUSES = {
    "walltime": "the queue ended its job at the walltime",
    "memory": "out of memory|want of memory",
    "node": "node .*failed|host failed",
}


def ended(project: EmulatedProject) -> dict[str, str]:
    """End each of the trainings another way, let the run go to its end; return what `why` says of each."""
    training(project)
    jobs = [job for job in project.jobs() if job["state"] == "running"]
    for job, how in zip(jobs, CAUSES, strict=True):
        project.end(job, how)
    project.wait_until_idle()
    project.release()
    complete(project, project.run())
    exactly_once(project)
    keys = [f"iter-000000--run-train-{number:04d}" for number in range(3)]
    cards = [project.verb("why", "-C", str(project.work), key).stdout for key in keys]
    return dict(zip(CAUSES, cards, strict=True))


@pytest.mark.parametrize(
    ("flavour", "site"),
    [
        ("openpbs-18", "epilogue"),
        ("openpbs-23", "epilogue"),
        ("torque-6", "epilogue"),
        ("lsf-9", "direct-output"),
    ],
)
def test_a_job_that_the_queue_ends_is_tried_again_and_why_says_how_it_ended(tmp_path, flavour, site):
    cards = ended(EmulatedProject(tmp_path, flavour, site))
    for how, card in cards.items():
        assert re.search(f"attempt 1 was lost: .*({CAUSES[how]})", card), (how, card)


@pytest.mark.parametrize("project", ["openpbs-20", "torque-6", "lsf-10"], indirect=True)
def test_a_walltime_in_the_directives_ends_jobs_and_more_walltime_lets_them_end(project):
    project.hold()
    project.machine["default"]["grace"] = 1
    project.directives("#BSUB -W 3" if project.lsf else "#PBS -l walltime=00:00:03")
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) >= project.models)
    project.wait_until_idle()
    project.directives()
    project.release()
    complete(project, project.run())
    card = project.verb("why", "-C", str(project.work), "iter-000000--run-train-0000").stdout
    assert "attempt 1 was lost: the queue ended its job at the walltime" in card
    assert (project.work / "iter-000000/00.train/task.0000/restart").is_dir()


@pytest.mark.parametrize(
    "project",
    ["openpbs-20", "torque-6", "lsf-10"],
    indirect=True,
)
def test_a_job_that_its_user_cancels_is_believed_to_be_gone_at_once(project):
    """LSF says so in the report, OpenPBS in its history; Torque shows a completed job."""
    training(project)
    project.machine["default"]["grace"] = 60
    driver = project.start()
    wait_for(lambda: (project.work / "lock").exists())
    names = project.names()
    project.cancel(project.mine()[0])
    wait_for(lambda: project.names() > names, 10)
    project.release()
    driver.communicate(timeout=120)
    assert driver.returncode == 0
    exactly_once(project)


@pytest.mark.parametrize("project", ["openpbs-20", "lsf-10"], indirect=True)
def test_a_driver_that_looks_when_the_queue_ends_a_job_reads_the_output_that_comes_later(project):
    project.env["QUEUE_EXIT"] = "1"
    training(project)
    driver = project.start()
    wait_for(lambda: (project.work / "lock").exists())
    project.end(project.jobs()[0], "walltime")
    wait_for(lambda: len(project.jobs()) > project.models)
    project.release()
    driver.communicate(timeout=120)
    assert driver.returncode == 0
    lost = [event["why"] for event in project.events() if event["event"] == "verdict" and event["state"] == "lost"]
    assert lost == ["the queue ended its job at the walltime"]


# ---- queues that are full, closed, or away


@pytest.mark.parametrize("project", ["openpbs-20", "torque-6", "lsf-10"], indirect=True)
def test_a_full_queue_is_asked_again_and_gets_all_jobs_in_the_end(project):
    """LSF's own bsub stays and retries for ever unless it is told otherwise."""
    project.env.update(QUEUE_SITE="full=2", QUEUE_WAIT="1", QUEUE_RETRY="5")
    complete(project, project.run())
    exactly_once(project)
    assert any(event["event"] == "queue" and event["state"] == "full" for event in project.events())


@pytest.mark.parametrize("project", ["openpbs-20", "torque-6", "lsf-10"], indirect=True)
def test_a_server_that_is_away_for_a_while_is_waited_out(project):
    training(project)
    away = project.folder_of_queue / "down"
    away.touch()
    project.release()
    driver = project.start()
    wait_for(lambda: any(event["event"] == "queue" and event["state"] == "down" for event in project.events()), 15)
    away.unlink()
    driver.communicate(timeout=120)
    assert driver.returncode == 0
    exactly_once(project)


@pytest.mark.parametrize("flavour", ["openpbs-20", "torque-6"])
def test_jobs_that_a_routing_queue_throws_out_are_submitted_again(tmp_path, flavour):
    project = EmulatedProject(tmp_path, flavour, "routing-drops=2")
    complete(project, project.run())
    exactly_once(project)
    assert len(project.names()) == 3 + 2 + 2 + 2  # trainings, runs, labels in two jobs; two of them twice


@pytest.mark.parametrize("project", ["openpbs-20", "torque-6", "lsf-10"], indirect=True)
def test_the_same_refusal_twice_blocks_with_the_queues_words(project):
    project.will(project.submit, *["refuse"] * 6)
    done = project.run(timeout=20)
    assert done.returncode == 4
    assert re.search("queue is denied|ACL is not satisfied|aborted by esub", done.stdout)
    project.will(project.submit)
    complete(project, project.run())
    exactly_once(project)


# ---- what the user's environment does


def test_the_background_process_of_qsub_is_not_a_submission_that_goes_on(tmp_path):
    """It has the environment of the first qsub, our mark included, and lives on for a minute."""
    project = EmulatedProject(tmp_path, "openpbs-20", "background-qsub,routing-drops=1")
    project.env["QUEUE_BACKGROUND"] = "60"
    project.will("qsub", "lostreply")
    try:
        complete(project, project.run(timeout=25))
        assert len(project.calls()) == len(set(project.calls()))
    finally:
        (project.folder_of_queue / "last").unlink(missing_ok=True)  # that ends it


@pytest.mark.parametrize(
    "variables",
    [
        {"BSUB_QUIET": "1"},
        {"BSUB_CHK_RESREQ": "1", "LSB_BSUB_ERR_RETRY": "RETRY_CNT[3]"},
        {"LSB_JOB_CWD": "/tmp", "LSB_BJOBS_FORMAT": "user:3", "LSB_STDOUT_DIRECT": "Y"},
    ],
    ids=" ".join,
)
def test_variables_that_change_what_lsf_does_change_nothing_here(tmp_path, variables):
    project = EmulatedProject(tmp_path, "lsf-10", "flaky-reply")
    project.env.update(variables)
    done = project.run(timeout=20)
    complete(project, done)
    exactly_once(project)
    assert "degraded" not in done.stdout
    assert set(project.outputs()) == project.names()


def test_a_directive_prefix_of_the_users_own_loses_no_directive(tmp_path):
    project = EmulatedProject(tmp_path, "openpbs-20")
    project.env["PBS_DPREFIX"] = "#XXX"
    project.directives("#PBS -l walltime=01:00:00")
    complete(project, project.run(timeout=60))
    assert {job["limit"] for job in project.jobs()} == {3600.0}


# ---- directives that break us

BREAKING = {
    "openpbs-20": ["-J 1-3", "-W block=true", "-z", "-I", "-W interactive=true", "-C #XX"],
    "torque-6": ["-t 1-3", "-W block=true", "-z", "-I"],
    "lsf-10": ["-K", "-I", "-Is", "-Ip", '-J "x[1-3]"'],
}


@pytest.mark.parametrize(
    ("flavour", "option"),
    [(flavour, option) for flavour, options in BREAKING.items() for option in options],
)
def test_directives_that_break_a_run_are_refused_by_name(tmp_path, flavour, option):
    project = EmulatedProject(tmp_path, flavour)
    directive = f"{'#BSUB' if project.lsf else '#PBS'} {option}"
    project.directives(directive)
    project.write()
    done = project.verb("check", "param.json", "machine.json")
    assert done.returncode == 2, done.stdout + done.stderr
    assert option.split()[0] in done.stdout + done.stderr
    assert not (project.folder_of_queue / "submissions").exists()
