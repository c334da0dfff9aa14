"""Where a run stands: the manual's table and the contract of the JSON, from records written by hand."""

import json
import os
import socket

import pytest

from dpgen2_hpc.errors import StateError
from dpgen2_hpc.report.status import read_status
from dpgen2_hpc.state.ledger import Ledger, Task
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.record import Home, Record
from dpgen2_hpc.state.workdir import WorkDir

MANUAL = """\
#  stage  id_stg.  iter.      accu.      cand.      fail.
# Stage   0  -----
#         0       0       0       0.8333      0.1667      0.0000
#         0       1       1       0.7593      0.2407      0.0000
#         0       2       2       0.7778      0.2222      0.0000
#         0       3       3       1.0000      0.0000      0.0000
# Stage   0  converged YES  reached max numb iterations NO
# All stages converged
"""


def row(index, accurate, candidate, failed=0, invalid=0, *, stage=0, index_in_stage=None, converged=False):
    return {
        "index": index, "stage": stage, "index_in_stage": index if index_in_stage is None else index_in_stage,
        "converged": converged, "explored": accurate + candidate + failed + invalid,
        "accurate": accurate, "candidate": candidate, "failed": failed, "invalid": invalid,
        "selected": candidate, "filtered": 0, "duplicate": 0, "not_drawn": 0, "labelled": candidate, "dropped": 0,
        "level_f_lo": 0.05, "level_f_hi": 0.5,
    }  # fmt: skip


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


class Run:
    """A work directory written by hand."""

    def __init__(self, root):
        self.workdir = WorkDir(root)
        self.workdir.inputs.mkdir()
        self.limit(10)

    def limit(self, number):
        self.workdir.param.write_text(json.dumps({"explore": {"max_numb_iter": number}}))

    def stands(self, *rows, **more):
        iteration = len(rows) - (more.get("step") == "collect" and more.get("phase") == "harvested")
        known = {"identity": "a", "home": Home("h", "p", 1), "seed": 0, "sequence": 1, "iteration": iteration}
        record = Record(**{**known, "iterations": rows, **more})
        self.workdir.record.write_text(record.text())
        return self

    def complete(self, *rows):
        note = {"reason": "stage 0 has converged", "models": ["models/model.000.pb"], "note": "a note on the models"}
        return self.stands(*rows, step="collect", phase="harvested", stage=rows[-1]["stage"], complete=note)

    def ledger(self, step, tasks, *events, iteration=0):
        folder = self.workdir.step(iteration, step)
        folder.path.mkdir(parents=True)
        Ledger.create(folder.ledger, [Task("sha", {}) for _ in range(tasks)])
        lock = Lock.acquire(self.workdir.root / ".hand")
        Ledger.read(folder.ledger, lock).append(events)
        lock.release()
        return self

    @property
    def status(self):
        return read_status(self.workdir)

    def table(self):
        """The lines of the table, as words."""
        return [line.split() for line in self.status.as_text().splitlines() if line.startswith("#")]


def intent(job, *pairs):
    return {"event": "intent", "job": job, "name": f"d{job}", "tasks": [list(pair) for pair in pairs]}


def submitted(job):
    return {"event": "id", "job": job, "id": "1", "host": "h"}


def state(job, what):
    return {"event": "state", "job": job, "state": what}


def verdict(task, what, why=None):
    return {"event": "verdict", "task": task, "attempt": 1, "state": what, "why": why}


# ---- the manual's table


def test_the_table_is_the_manuals(run):
    rows = [row(0, 45, 9), row(1, 41, 13), row(2, 42, 12), row(3, 54, 0, converged=True)]
    assert run.complete(*rows).ledger("collect", 0, iteration=3).table() == [
        line.split() for line in MANUAL.splitlines()
    ]


def test_runs_that_ended_early_are_told_and_counted_in_the_json(run):
    rows = row(0, 5, 2), {**row(1, 5, 2), "runs": 6, "ended_early": 4}
    words = "iteration 1: 4 of 6 MD runs ended early; the frames that they did not write count as invalid"
    assert words in run.stands(*rows).status.as_text().splitlines()
    assert run.status.as_json()["iterations"][1]["ended_early"] == 4
    assert "MD runs" not in run.stands(*rows, {**row(2, 5, 2), "runs": 6, "ended_early": 0}).status.as_text()


def test_failed_in_the_table_is_failed_and_invalid_so_that_a_row_adds_up_to_one(run):
    words = run.stands(row(0, 5, 2, 2, 1)).table()[2]
    assert words[4:] == ["0.5000", "0.2000", "0.3000"]


def test_an_iteration_that_explored_nothing_is_a_row_of_zeros(run):
    assert run.stands(row(0, 0, 0)).table()[2][4:] == ["0.0000"] * 3


def test_what_became_of_the_last_selected_frames_is_said_with_the_place_of_the_reasons(run):
    error = {"frames": 8, "rmse_e": 0.0021, "rmse_f": 0.123, "rmse_v": None, "error_f": 0.45, "deviation_f": 0.2}
    rows = [row(0, 5, 9), {**row(1, 0, 10), "labelled": 8, "dropped": 2, "error": error}]
    lines = run.stands(*rows).status.as_text().splitlines()
    assert "iteration 1: 8 of 10 selected frames labelled; 2 dropped, why: iter-000001/03.fp/dropped.json" in lines
    assert (
        "iteration 1: true error of the models: forces 0.123 eV/Å, energy 0.0021 eV/atom; largest force of a frame 0.45, "
        "where the deviation said 0.2" in lines
    )
    assert not any("dropped" in line for line in run.stands(row(0, 5, 9)).status.as_text().splitlines())
    assert not any("frames labelled" in line for line in run.stands(row(0, 9, 0)).status.as_text().splitlines())


def test_each_stage_has_its_own_head_and_end(run):
    rows = [row(0, 5, 5), row(1, 10, 0, converged=True), row(2, 5, 5, stage=1, index_in_stage=0)]
    words = [" ".join(line) for line in run.stands(*rows, stage=1, index_in_stage=1).table()[1:]]
    assert words == [
        "# Stage 0 -----",
        "# 0 0 0 0.5000 0.5000 0.0000",
        "# 0 1 1 1.0000 0.0000 0.0000",
        "# Stage 0 converged YES reached max numb iterations NO",
        "# Stage 1 -----",
        "# 1 0 2 0.5000 0.5000 0.0000",
    ]


@pytest.mark.parametrize("limit", [2, 5])
def test_a_stage_that_ended_unconverged_had_reached_its_limit_whatever_the_limit_is_now(run, limit):
    run.limit(limit)
    rows = [row(0, 5, 5), row(1, 5, 5), row(2, 5, 5, stage=1, index_in_stage=0)]
    lines = [" ".join(line) for line in run.stands(*rows, stage=1, index_in_stage=1).table()]
    assert "# Stage 0 converged NO reached max numb iterations YES" in lines


def test_a_run_that_ended_unconverged_does_not_say_that_all_converged(run):
    run.limit(1)
    text = run.complete(row(0, 5, 5)).ledger("collect", 0).status.as_text()
    assert "# All stages ended, not all converged" in text
    assert "# All stages converged" not in text


def test_a_run_that_has_only_begun_has_a_head_and_no_rows(run):
    assert len(run.stands().table()) == 1


# ---- the contract of the JSON


def test_the_json_is_the_contract(run):
    first = row(0, 600, 100, 18, 2)
    run.stands(first, iteration=1, index_in_stage=1, step="fp", phase="submitted")
    run.ledger(
        "fp", 5, intent(0, (0, 1), (1, 1)), intent(1, (2, 1)), intent(2, (3, 1)), submitted(0), submitted(1),
        state(0, "running"), verdict(0, "done"), verdict(2, "broken", "no output"), state(1, "gone"), iteration=1,
    )  # fmt: skip
    value = json.loads(json.dumps(run.status.as_json()))
    assert value.pop("times").keys() == {"iteration_started", "now"}
    assert value == {
        "schema": 2, "name": run.workdir.root.name, "directory": str(run.workdir.root), "status": "waiting",
        "reason": None, "advice": ["To go on: dpgen2-hpc run PARAM MACHINE"], "driver": None,
        "stage": 0, "iteration": 1, "step": "fp", "phase": "submitted",
        "tasks": {"total": 5, "waiting": 2, "running": 1, "done": 1, "failed": 1},
        "failed_tasks": [{"key": "iter-000001--run-fp-000002", "reason": "no output"}],
        "jobs": [{"id": "1", "state": "running", "tasks": 2}], "models": [],
        "iterations": [{"chosen": 100, "audited": 0, "started": None, "ended": None, **first}],
    }  # fmt: skip


def test_of_ten_thousand_failed_tasks_ten_are_shown_and_the_others_counted(run):
    run.stands(phase="finished").ledger(
        "train", 200, intent(0, *((number, 1) for number in range(200))),
        *(verdict(number, "broken", "no model") for number in range(200)),
    )  # fmt: skip
    lines = run.status.as_text().splitlines()
    assert sum(line.startswith("failed: ") for line in lines) == 10
    assert "... and 190 more" in lines
    assert len(run.status.why().splitlines()) < 30
    assert len(run.status.as_json()["failed_tasks"]) == 100


def test_jobs_that_the_user_has_cancelled_are_not_waited_for(run):
    cancel = {"event": "cancel", "job": 0, "why": "job cancelled by the user (stop --jobs)"}
    run.stands(phase="submitted").ledger("train", 1, intent(0, (0, 1)), submitted(0), cancel)
    assert run.status.status == "stopped"


def test_a_ledger_that_was_emptied_is_not_a_step_without_tasks(run):
    run.stands(phase="submitted", tasks=2).ledger("train", 0)
    with pytest.raises(StateError, match="has 0 tasks, and the step had 2"):
        run.status


def test_the_details_of_a_block_are_shown(run):
    blocked = {
        "code": "queue-refuses",
        "reason": "rejected",
        "advice": "fix it",
        "details": ["its reply: bad qos"],
        "tasks": [],
    }
    status = run.stands(phase="submitted", blocked=blocked).ledger("train", 1).status
    assert "its reply: bad qos" in status.as_text()
    assert "its reply: bad qos" in status.why()
    assert status.as_json()["advice"] == ["fix it"]


def test_a_step_that_is_not_prepared_has_no_tasks_though_a_folder_of_a_killed_try_is_there(run):
    run.stands(step="explore", phase="pending").ledger("explore", 3)
    assert run.status.tasks == {"total": 0, "waiting": 0, "running": 0, "done": 0, "failed": 0}


def test_a_ledger_that_should_be_there_is_missed_by_name(run):
    run.stands(phase="submitted")
    with pytest.raises(StateError, match="batch.jsonl' is missing"):
        run.status


# ---- running, stopped, blocked, complete


def test_a_run_is_running_while_a_driver_lives(run):
    lock = Lock.acquire(run.workdir.lock)
    status = run.stands().status
    assert (status.status, status.reason) == ("running", None)
    assert f"process {os.getpid()} on {socket.gethostname()}" in status.as_text()
    lock.release()
    assert run.status.status == "stopped"


def test_a_run_is_waiting_while_jobs_live_and_no_driver_does(run):
    run.stands(phase="submitted").ledger(
        "train", 2, intent(0, (0, 1)), intent(1, (1, 1)), submitted(0), state(0, "running")
    )
    assert run.status.status == "waiting"
    assert "no driver is running; 1 jobs were in the queue" in run.status.as_text()


def test_intents_alone_are_no_jobs(run):
    run.stands(phase="submitted").ledger("train", 1, intent(0, (0, 1)))
    assert run.status.status == "stopped"


def test_a_stopped_run_says_which_command_goes_on(run):
    assert "dpgen2-hpc run PARAM MACHINE" in run.stands().status.as_text()


def test_a_blocked_run_says_why_and_what_to_do(run):
    blocked = {"reason": "1 of 2 tasks are usable", "advice": "Mend the cause", "tasks": []}
    run.stands(phase="finished", blocked=blocked).ledger(
        "train", 2, intent(0, (0, 1)), submitted(0), verdict(0, "broken", "no model")
    )
    status = run.status
    assert (status.status, status.reason) == ("blocked", "1 of 2 tasks are usable")
    assert "blocked: 1 of 2 tasks are usable" in status.as_text()
    assert "Mend the cause" in status.as_text()
    assert "failed: iter-000000--run-train-0000: no model" in status.as_text()


def test_a_blocked_run_that_a_driver_has_taken_up_again_is_running(run):
    lock = Lock.acquire(run.workdir.lock)
    run.stands(phase="submitted", blocked={"reason": "the queue refuses", "advice": "Mend it", "tasks": []}).ledger(
        "train", 1
    )
    assert run.status.status == "running"
    lock.release()
    assert run.status.status == "blocked"


def test_a_complete_run_names_its_models_and_what_they_know(run):
    text = run.complete(row(0, 10, 0, converged=True)).ledger("collect", 0).status.as_text()
    assert "complete: stage 0 has converged" in text
    assert "models/model.000.pb" in text
    assert "a note on the models" in text


def test_what_a_step_is_doing_is_told_in_numbers(run):
    run.stands(step="explore", phase="submitted").ledger(
        "explore", 3, intent(0, (0, 1)), submitted(0), state(0, "running")
    )
    text = run.status.as_text()
    assert "iter-000000/01.explore is submitted" in text
    assert "1 running" in text
    assert "2 waiting" in text
