"""The real ``dp`` beside the fake one: what they leave in a folder, and what the trainer makes of it."""

import copy
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import need
from trainers import environment, made, next_attempt

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.kinds import TrainingInput

EXAMPLE = Path(__file__).resolve().parents[2] / "input_examples" / "al-cu-emt"
SYSTEM = "../data/Al16Cu16"
PROGRAMS = ("real", "fake")

pytestmark = [pytest.mark.programs, pytest.mark.slow]


@pytest.fixture
def data(tmp_path):
    subprocess.run([sys.executable, EXAMPLE / "make_data.py", tmp_path / "data"], check=True, timeout=100)
    return tmp_path


def path_of(program):
    """A PATH on which one of the two is found."""
    real = need("dp")
    return real if program == "real" else environment()["PATH"]


def trainer(data, **training):
    template = json.loads((EXAMPLE / "input.json").read_text())
    template["training"].update(training)
    settings = {"template_script": template, "config": {"train_args": "--skip-neighbor-stat"}}
    return made("dp", settings, data)


def written(kind, directory):
    directory.mkdir()
    kind.write_inputs(TrainingInput(0, (SYSTEM,), ("Al", "Cu"), np.random.default_rng(0)), directory)
    return directory


def execute(command, directory, program):
    env = environment(PATH=path_of(program))
    with (directory / "task.log").open("a") as log:
        words = ["bash", "-c", command]
        return subprocess.run(words, cwd=directory, env=env, stdout=log, stderr=log, timeout=200).returncode


def left(directory):
    """What of a folder both must agree in."""
    found = {}
    for path in sorted(directory.iterdir()):
        if path.is_symlink():
            found[path.name] = f"-> {path.readlink()}"
        elif path.name == "checkpoint":
            found[path.name] = path.read_text()
        elif path.name == "lcurve.out":
            rows = [line.split() for line in path.read_text().splitlines()]
            found[path.name] = [row if row[0] == "#" else (row[0], len(row)) for row in rows]
        elif path.name.startswith("test_system."):
            rows = [line.split() for line in path.read_text().splitlines()]
            found[path.name] = [row if row[0] == "#" else len(row) for row in rows]
        elif path.is_file():
            found[path.name] = "a file" if path.stat().st_size else "an empty file"
        else:
            found[path.name] = sorted(entry.name for entry in path.iterdir())
    return found


def test_an_attempt_and_the_next_one_that_has_only_to_freeze_leave_the_same_files(data):
    """The second: what a training that was killed in its freeze gets; dp does no step, and saves nothing."""
    kind = trainer(data, numb_steps=40, save_freq=10, disp_freq=5, max_ckpt_keep=2)
    folders, facts = {}, {}
    for program in PROGRAMS:
        first = written(kind, data / program)
        assert execute(kind.command_line(()), first, program) == 0, (first / "task.log").read_text()
        second = next_attempt(kind, first, data / f"{program}.new")
        assert execute(kind.command_line(()), second, program) == 0, (second / "task.log").read_text()
        folders[program] = [left(first), left(second)]
        facts[program] = [kind.finish(first), kind.finish(second)]
    assert folders["real"] == folders["fake"]
    first, second = folders["real"]
    assert first["model.ckpt.index"] == "-> model.ckpt-40.index"
    assert "model.ckpt-30.meta" in first
    assert "model.ckpt-20.meta" not in first
    assert not any(name.startswith(("checkpoint", "model.ckpt")) for name in second)
    for program in PROGRAMS:
        assert [one["continued_from"] for one in facts[program]] == [None, 40]
        assert [one["step"] for one in facts[program]] == [40, 40]
        assert facts[program][0]["learning_curve"] == facts[program][1]["learning_curve"]
    frozen = [(data / name / "test_system.f.out").read_text().splitlines()[1:] for name in ("real", "real.new")]
    np.testing.assert_allclose(np.loadtxt(frozen[0]), np.loadtxt(frozen[1]), rtol=0, atol=1e-12)


def raw(kind, directory, **training):
    """The folder of a task with some keys as the user's template has them."""
    written(kind, directory)
    content = json.loads((directory / "input.json").read_text())
    content["training"].update(training)
    (directory / "input.json").write_text(json.dumps(content))
    return directory


def test_templates_under_which_dp_does_not_save_its_last_step(data):
    """A stale checkpoint, and none; both are why disp_freq and save_freq are lowered."""
    folders = {}
    for program in PROGRAMS:
        kind = trainer(data, numb_steps=40)
        stale = raw(kind, data / f"{program}.stale", disp_freq=15, save_freq=10)
        nothing = raw(kind, data / f"{program}.nothing", numb_steps=10, disp_freq=100, save_freq=10)
        train = "dp train input.json --skip-neighbor-stat"
        assert execute(f"{train} && dp freeze -o frozen_model.pb", stale, program) == 0
        assert execute(train, nothing, program) == 0
        assert execute("dp freeze -o frozen_model.pb", nothing, program) == 1
        assert "has no attribute 'model_checkpoint_path'" in (nothing / "task.log").read_text()
        folders[program] = [left(stale), left(nothing)]
        with pytest.raises(OutputError, match="the frozen model is that of step 30 of 40"):
            kind.finish(stale)
    assert folders["real"] == folders["fake"]
    assert folders["real"][0]["checkpoint"].startswith('model_checkpoint_path: "model.ckpt-30"\n')


NOISE = random.Random(2).randbytes(3000)


def test_a_model_that_is_garbage_or_cut_is_not_loaded_and_what_diverged_is_not_accepted(data):
    """start_lr 1 saturates all neurons: the errors look harmless, and there are no forces."""
    lost = trainer(data, numb_steps=100, save_freq=100, disp_freq=10)
    template = copy.deepcopy(lost.templates[0])
    template["learning_rate"]["start_lr"] = 1.01
    lost = type(lost)(lost.numb_models, (template,), train_args=lost.train_args)
    directory = written(lost, data / "real")
    assert execute(lost.command_line(()), directory, "real") == 0, (directory / "task.log").read_text()
    with pytest.raises(OutputError, match="diverged: the model predicts no forces"):
        lost.finish(directory)
    model = directory / "frozen_model.pb"
    whole = model.read_bytes()
    for name, content in {"noise": NOISE, "cut": whole[: len(whole) * 2 // 3]}.items():
        model.write_bytes(content)
        _, _, test = lost.command_line(()).rpartition(" && ")
        assert execute(test, directory, "real") == 1, name
        assert "'dp test' could not load the frozen model (exit code 1)" in (directory / "task.log").read_text()
        with pytest.raises(OutputError, match=r"frozen_model\.pb"):
            lost.finish(directory)
