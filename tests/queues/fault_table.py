"""The faults that every batch system must survive: a row for each call that goes wrong, a test for each mishap.

A test file of a batch system inherits from the classes here and offers the fixture `project`.
"""

import shutil
import signal
import subprocess
import time
from collections import Counter

from project import wait_for
from queue_project import QueueProject, complete, exactly_once

SUBMIT, LOOK = "submit", "look"

ROWS = {
    "no fault": (SUBMIT, []),
    "lost reply": (SUBMIT, ["lostreply"]),
    "lost replies later on": (SUBMIT, ["ok", "lostreply", "lostreply"]),
    "server not reached by the submit command": (SUBMIT, ["down", "down"]),
    "banner before the id": (SUBMIT, ["banner"] * 4),
    "job limit reached": (SUBMIT, ["limit"]),
    "empty answer": (LOOK, ["empty"]),
    "empty answers": (LOOK, ["empty", "ok", "empty"]),
    "half an answer": (LOOK, ["partial", "partial"]),
    "answer cut in a line": (LOOK, ["cut"]),
    "a page of HTML": (LOOK, ["garbage"]),
    "server not reached by the list": (LOOK, ["down", "down"]),
    "unknown states": (LOOK, ["state=OO", "state=SO", "state=??"]),
}
"""By name: which of the two programs, and what becomes of its next calls (tests/fakes/faults)."""


def survive(project: QueueProject, **faults: list[str]) -> None:
    """Run to the end through faults of the submit command and of the list."""
    for side, calls in faults.items():
        project.will(getattr(project, side), *calls)
    complete(project, project.run())
    exactly_once(project)
    assert list(project.work.rglob("*.attempt-*")) == [], "no attempt is given up"


def training(project: QueueProject) -> None:
    """Begin a run and wait until all of its trainings run; none of them ends before `release`."""
    project.hold()
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) >= project.models)


def kill(driver: subprocess.Popen) -> None:
    driver.send_signal(signal.SIGKILL)
    driver.communicate()


class Drivers:
    """Drivers that are killed, and the queue's answers to the next one."""

    KILLS = (0.9, 1.0, 1.1, 1.2, 1.3, 1.6, 2.0, 3.0, 4.0, 5.0)
    """Seconds after its start at which a driver is killed, one after the other."""

    NOWHERE = ""
    """What the queue answers when a job names a queue that there is not."""

    def test_a_driver_killed_at_many_points_submits_each_job_once(self, project):
        """dpdispatcher alone: 10 entries for 6."""
        project.job_env(FAKE_DP_SLEEP="1")
        for delay in self.KILLS:
            driver = project.start()
            time.sleep(delay)
            kill(driver)
        complete(project, project.run())
        exactly_once(project)

    def test_a_driver_killed_after_a_retry_finds_the_second_job_and_not_the_first(self, project):
        """dpdispatcher alone: 3 entries for 2, since its file still names the first."""
        training(project)
        first = project.names()
        project.cancel(project.mine()[0])
        driver = project.start()
        wait_for(lambda: project.names() > first)
        time.sleep(0.3)
        driver.kill()
        driver.wait()
        project.release()
        complete(project, project.run())
        exactly_once(project)
        trained = Counter(call.split()[2] for call in project.calls() if call.startswith("dp train"))
        assert sorted(trained.values()) == [*[1] * (project.models - 1), 2]
        assert len(list(project.work.rglob("*.attempt-1"))) == 1

    def test_a_job_that_the_queue_refuses_blocks_with_its_own_words_and_goes_on_when_fixed(self, project):
        project.machine["default"]["resources"]["queue_name"] = "nowhere"
        done = project.run()
        assert done.returncode == 4
        assert self.NOWHERE in done.stdout
        assert "resources in machine.json" in done.stdout
        del project.machine["default"]["resources"]["queue_name"]
        complete(project, project.run())
        exactly_once(project)


class Mishaps(Drivers):
    """What else happens to drivers, jobs and ledgers, and loses nothing."""

    def test_a_submit_command_that_outlives_its_killed_driver_touches_no_task_twice(self, project):
        """The next driver sees the submit command itself, and waits for what it brings."""
        project.will(project.submit, "slow", "slow")
        driver = project.start()
        wait_for(lambda: project.asked(project.submit))
        kill(driver)
        complete(project, project.run())
        exactly_once(project)

    def test_an_interrupt_in_the_submission_loop_loses_and_doubles_nothing(self, project):
        """dpdispatcher alone: 7 entries for 4, two tasks run twice."""
        project.will(project.submit, "ok", "slow")
        driver = project.start()
        wait_for(lambda: project.asked(project.submit) == 2)
        driver.send_signal(signal.SIGINT)
        driver.communicate()
        assert driver.returncode == 128 + signal.SIGINT
        complete(project, project.run())
        exactly_once(project)

    def test_the_ledger_is_cut_and_the_queue_tells_what_was_lost(self, project):
        project.hold()
        assert project.run("--once").returncode == 3
        ledger = project.work / "iter-000000/00.train/batch.jsonl"
        lines = ledger.read_text().splitlines(keepends=True)
        kept = [
            line
            for line in lines
            if '"task"' in line and "verdict" not in line and '"intent"' not in line or '"intent"' in line
        ]
        ledger.write_text("".join(kept) + '{"event": "id", "jo')
        project.release()
        complete(project, project.run())
        exactly_once(project)

    def test_a_second_entry_of_one_name_leaves_without_touching_a_task(self, project):
        project.hold()
        assert project.run("--once").returncode == 3
        script = next((project.work / "iter-000000/00.train/jobs").glob("*.sub"))
        project.again(script)
        project.release()
        complete(project, project.run())
        assert project.entries()[script.stem] == 2
        assert len(project.calls()) == len(set(project.calls()))

    def test_stop_jobs_cancels_what_runs_and_no_attempt_is_lost(self, project):
        training(project)
        done = project.verb("stop", "--jobs", "-C", str(project.work))
        assert f"the user has cancelled {project.models} jobs" in done.stdout, done.stdout + done.stderr
        project.wait_until_idle()
        project.release()
        complete(project, project.run())
        exactly_once(project)
        ledger = (project.work / "iter-000000/00.train/batch.jsonl").read_text()
        assert ledger.count('"began": false') == project.models


class Waiting:
    """Jobs that wait in the queue, and what a user does to them."""

    HOLD = ""
    """The directive with which a job waits for ever."""

    HELD = ""
    """The state of such a job in the queue's list."""

    def held(self, project) -> set[str]:
        """Begin a run whose first jobs wait for ever; return their names."""
        project.directives(self.HOLD)
        assert project.run("--once").returncode == 3
        names = project.names()
        assert {name for _, name, state in project.queue() if state == self.HELD} >= names
        project.directives()
        return names

    def test_waiting_jobs_keep_what_they_have_until_they_are_requeued_with_new_resources(self, project):
        names = self.held(project)
        assert project.run("--once").returncode == 3
        assert project.names() == names
        complete(project, project.run("--requeue-waiting"))
        exactly_once(project)
        again = [name for name in project.names() - names if project.step_of(name) == "00.train"]
        assert len(again) == project.models

    def test_jobs_that_wait_while_the_directory_is_moved_are_submitted_again_from_there(self, project):
        names = self.held(project)
        shutil.move(project.work, project.folder / "elsewhere")
        project.work = project.folder / "elsewhere"
        complete(project, project.run())
        exactly_once(project)
        assert names < project.names()
