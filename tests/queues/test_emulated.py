"""PBS and LSF on small emulations of their commands, with the faults of the table; the truth is what was accepted."""

import json
import signal
import time
from collections import Counter

import pytest
from project import FAKES, Project, wait_for

pytestmark = pytest.mark.slow

SUBMIT = {"PBS": "qsub", "LSF": "bsub"}
LOOK = {"PBS": "qstat", "LSF": "bjobs"}


class EmulatedProject(Project):
    """A project whose jobs run on an emulated queue."""

    def __init__(self, folder, batch_type: str) -> None:
        super().__init__(folder)
        self.batch_type, self.faults, self.queue = batch_type, folder / "faults", folder / "queue"
        self.faults.mkdir()
        path = f"{FAKES / 'faults'}:{FAKES / 'emulated'}:{self.env['PATH']}"
        self.env.update(PATH=path, QUEUE_FAULTS=str(self.faults), QUEUE_DIR=str(self.queue))
        self.param["train"]["numb_models"] = 3
        self.param["explore"].update(max_numb_iter=1, fatal_at_max=False)
        default = self.machine["default"]
        default["machine"]["batch_type"] = batch_type
        default.update(grace=2, poll_interval=0.3)
        default["resources"].update(envs={"PATH": self.env["PATH"]}, kwargs={})

    def will(self, program: str, *faults: str) -> None:
        (self.faults / program).write_text("".join(f"{fault}\n" for fault in faults))


def exactly_once(project) -> None:
    lines = [line for path in project.work.rglob("batch.jsonl") for line in path.read_text().splitlines()]
    wanted = {json.loads(line)["name"] for line in lines if '"intent"' in line}
    accepted = Counter((project.queue / "submissions").read_text().split())
    assert set(accepted) == wanted
    assert set(accepted.values()) == {1}
    assert len(project.calls()) == len(set(project.calls()))


def complete(project, done) -> None:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert project.status()["iterations"][0]["labelled"] == 3


def test_torque_is_asked_in_the_same_words_as_pbs(tmp_path):
    project = EmulatedProject(tmp_path, "Torque")
    project.will("qsub", "ok", "lostreply", "banner")
    project.will("qselect", "empty", "down")
    complete(project, project.run())
    exactly_once(project)


@pytest.fixture(params=["PBS", "LSF"])
def project(tmp_path, request) -> EmulatedProject:
    return EmulatedProject(tmp_path, request.param)


@pytest.mark.parametrize(
    ("side", "faults"),
    [
        (SUBMIT, ["lostreply"]),
        (SUBMIT, ["down", "down"]),
        (SUBMIT, ["banner", "banner", "banner"]),
        (LOOK, ["empty", "ok", "empty"]),
        (LOOK, ["down", "garbage"]),
    ],
)
def test_a_fault_of_the_queue_costs_no_entry_and_no_task(project, side, faults):
    project.env["FAKE_DP_SLEEP"] = "1"
    project.will(side[project.batch_type], *faults)
    complete(project, project.run())
    exactly_once(project)


def test_a_driver_killed_at_many_points_submits_each_job_once(project):
    project.env["FAKE_DP_SLEEP"] = "0.5"
    for delay in (0.8, 0.9, 1.0, 1.2, 1.5, 2.5):
        driver = project.start()
        time.sleep(delay)
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
    complete(project, project.run())
    exactly_once(project)


def test_a_job_that_the_queue_ends_is_a_new_attempt(project):
    project.hold()
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) >= 3)
    job = json.loads((project.queue / "1.json").read_text())
    import subprocess

    ender = {"LSF": "bkill"}.get(project.batch_type, "qdel")
    subprocess.run([str(FAKES / "emulated" / ender), job["id"]], env=project.env, check=True)
    project.release()
    complete(project, project.run())
    trained = Counter(call.split()[2] for call in project.calls() if call.startswith("dp train"))
    assert sorted(trained.values()) == [1, 1, 2]
