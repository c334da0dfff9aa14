"""Every state of the table in ``state/stops.py``: a run is put into it, and led out by what its message says."""

import json
import re
import shlex
import shutil

import pytest
from project import Project, wait_for

from dpgen2_hpc.state.stops import STOPS

pytestmark = pytest.mark.slow

WAYS = {}
"""By the table's key: the function that puts a run into the state, returns what was said, and leads it out."""


def state(function):
    WAYS[function.__name__.replace("_", "-")] = function
    return function


def output(done) -> str:
    return done.stdout + done.stderr


def said(project, *options, code=4) -> str:
    done = project.run(*options)
    assert done.returncode == code, output(done)
    return output(done)


def command(text: str, verb: str) -> list[str]:
    """The command of this verb that the message names, as a user would paste it."""
    found = re.search(rf"dpgen2-hpc ({verb}\b[^:;(]*?)(?=[.,;:)]|$| to | and | says)", text, re.MULTILINE)
    assert found, text
    return shlex.split(found[1])


def obey(project, text: str, verb: str) -> None:
    words = command(text, verb)
    done = project.verb(words[0], "-C", str(project.work), *words[1:])
    assert done.returncode == 0, output(done)


def goes_on(project, *options) -> None:
    done = project.run(*options)
    assert done.returncode == 0, output(done)
    assert project.status()["status"] == "complete"


# ---- blocked


@state
def tasks_failed(project):
    switch = project.folder / "broken"
    switch.touch()
    project.env["FAKE_DP_FAIL"] = f"task.0001@{switch}"
    text = said(project)
    assert project.status()["status"] == "blocked"
    assert "fake dp: this is the cause of the failure" in output(project.verb("status", "-C", str(project.work)))
    obey(project, text, "why")
    switch.unlink()
    goes_on(project)
    return text


@state
def labels_rejected(project):
    project.env["FAKE_LABEL_MODE"] = "unconverged"
    text = said(project)
    del project.env["FAKE_LABEL_MODE"]
    obey(project, text, "retry")
    goes_on(project)
    return text


def on_slurm(project, sbatch: str, squeue: str = "exit 0") -> None:
    """Let trainings go to a Slurm whose commands are these shell lines."""
    folder = project.folder / "bin"
    folder.mkdir(exist_ok=True)
    for name, lines in (("sbatch", sbatch), ("squeue", squeue), ("scancel", "exit 0")):
        (folder / name).write_text(f"#!/bin/sh\n{lines}\n")
        (folder / name).chmod(0o755)
    if not project.env["PATH"].startswith(str(folder)):
        project.env["PATH"] = f"{folder}:{project.env['PATH']}"
    project.machine["train"] = {
        "machine": {"batch_type": "Slurm", "context_type": "LazyLocalContext"},
        "resources": {"group_size": 1, "queue_name": ""},
    }


@state
def queue_refuses(project):
    on_slurm(project, "echo 'sbatch: error: Batch job submission failed: Invalid qos specification' >&2; exit 1")
    text = said(project)
    assert "Invalid qos specification" in text
    assert "Invalid qos specification" in output(project.verb("why", "-C", str(project.work)))
    del project.machine["train"]
    goes_on(project)
    return text


@state
def nothing_explored(project):
    deviations, project.env["FAKE_DEVIATIONS"] = project.env["FAKE_DEVIATIONS"], "nan"
    text = said(project)
    obey(project, text, "why")
    project.env["FAKE_DEVIATIONS"] = deviations
    obey(project, text, "rewind")
    goes_on(project)
    return text


@state
def nothing_selected(project):
    project.env["FAKE_DEVIATIONS"] = "0.9"
    text = said(project)
    project.param["explore"]["convergence"].update(level_f_lo=1.0, level_f_hi=2.0)
    goes_on(project)
    return text


@state
def max_iterations(project):
    project.param["explore"]["max_numb_iter"] = 1
    text = said(project)
    project.param["explore"]["max_numb_iter"] = 5
    goes_on(project)
    return text


# ---- stopped


@state
def storage(project):
    project.folder.joinpath("file").touch()
    work, project.work = project.work, project.folder / "file" / "work"
    text = said(project)
    project.work = work
    goes_on(project)
    return text


@state
def lock_here(project):
    project.hold()
    driver = project.start()
    wait_for(lambda: len(project.calls()) == 2)
    text = said(project, code=5)
    obey(project, text, "stop")
    driver.wait(timeout=20)
    project.release()
    goes_on(project)
    return text


@state
def lock_elsewhere(project):
    assert project.run("--once").returncode == 3
    lock = {"host": "login2", "pid": 1, "start": "1", "token": "0123456789abcdef", "since": "2026-01-01 00:00:00"}
    (project.work / "lock").write_text(json.dumps(lock))
    text = said(project, code=5)
    assert "login2" in text
    goes_on(project, "--take-over")
    return text


@state
def jobs_elsewhere(project):
    project.hold()
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) == 2)
    obey(project, "dpgen2-hpc stop --jobs", "stop")
    ledger = project.work / "iter-000000/00.train/batch.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    lines = [line for line in lines if line["event"] not in ("cancel", "verdict", "state")]
    for line in lines:
        if line["event"] == "driver":
            line.update(name="login2", boot="another", hardware="other")
    ledger.write_text(
        "".join(json.dumps({**line, **({"host": "login2"} if line["event"] == "id" else {})}) + "\n" for line in lines)
    )
    project.release()
    done = project.run("--once")
    assert done.returncode == 3, output(done)
    assert "login2" in output(done)
    goes_on(project, "--take-over")
    return output(done)


@state
def state_missing(project):
    assert project.run("--once").returncode == 3
    wait_for(lambda: project.ended() == 2)
    shutil.rmtree(project.work / "iter-000000/00.train")
    text = said(project)
    obey(project, text, "rewind")
    goes_on(project)
    return text


@state
def state_of_the_past(project):
    project.param["explore"]["max_numb_iter"] = 2
    project.env["FAKE_DEVIATIONS"] = "0.2"
    assert project.run().returncode == 4
    path = project.work / "iter-000000/04.collect/result.json"
    kept = path.read_bytes()
    path.write_bytes(b"")
    project.param["explore"]["max_numb_iter"] = 3
    text = said(project)
    path.write_bytes(kept)
    project.env["FAKE_DEVIATIONS"] = "0.02"
    goes_on(project)
    return text


@state
def record_broken(project):
    assert project.run("--once").returncode == 3
    path = project.work / "record.json"
    kept = path.read_text()
    path.write_text(kept.replace('"stage": 0', '"stage": 7'))
    text = said(project)
    path.write_text(kept)
    goes_on(project)
    return text


@state
def record_missing(project):
    assert project.run("--once").returncode == 3
    (project.work / "record.json").rename(project.folder / "kept")
    text = said(project)
    (project.folder / "kept").rename(project.work / "record.json")
    goes_on(project)
    return text


@state
def inputs_missing(project):
    assert project.run("--once").returncode == 3
    path = project.work / "inputs/init_data.jsonl"
    kept = path.read_bytes()
    path.write_bytes(b"")
    text = said(project)
    assert "it was cut or edited" in text
    path.write_bytes(kept)
    goes_on(project)
    return text


@state
def copied(project):
    assert project.run("--once").returncode == 3
    wait_for(lambda: project.ended() == 2)
    shutil.copytree(project.work, project.folder / "copy", symlinks=True)
    project.work = project.folder / "copy"
    text = said(project)
    goes_on(project, "--new-identity")
    return text


@state
def moved_with_jobs(project):
    project.hold()
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) == 2)
    project.work.rename(project.folder / "elsewhere")
    project.work = project.folder / "elsewhere"
    text = said(project)
    obey(project, text, "stop")
    project.release()
    goes_on(project)
    return text


@state
def place_changed(project):
    project.hold()
    assert project.run("--once").returncode == 3
    wait_for(lambda: len(project.calls()) == 2)
    project.machine["default"]["machine"].update(
        context_type="LocalContext", remote_root=str(project.folder / "remote")
    )
    text = said(project, code=2)
    obey(project, text, "stop")
    project.release()
    goes_on(project)
    return text


@state
def input_changed(project):
    assert project.run("--once").returncode == 3
    project.param["inputs"]["mass_map"] = [27.0, 63.55]
    text = said(project, code=2)
    project.param["inputs"]["mass_map"] = [26.98, 63.55]
    goes_on(project)
    return text


@state
def no_scheduler(project):
    on_slurm(project, "exit 127", "echo 'squeue: command not found' >&2; exit 127")
    text = said(project)
    del project.machine["train"]
    goes_on(project)
    return text


# ---- the table


def fixed_words(code: str) -> list[str]:
    """The parts of an advice that no fact takes the place of."""
    return [part for part in re.split(r"\{\w+\}", STOPS[code].advice) if part.strip(" .,:")]


@pytest.mark.parametrize("code", STOPS)
def test_a_run_in_this_state_says_how_to_go_on_and_goes_on(code, tmp_path):
    assert code in WAYS, f"no test puts a run into the state '{code}'"
    text = WAYS[code](Project(tmp_path))
    for words in fixed_words(code):
        assert words.strip() in text, text


def test_every_way_is_in_the_table():
    assert set(WAYS) == set(STOPS)
