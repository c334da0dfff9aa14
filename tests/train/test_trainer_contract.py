"""What every trainer must do. Runs over the registry: one more trainer is one more column, with its own SAMPLE."""

import contextlib
import importlib
import json
import os
import random
import re
import shlex
import signal
import subprocess
import time

import numpy as np
import pytest
from project import wait_for
from trainers import context, environment, made, mutations, next_attempt, prepared, run

from dpgen2_hpc import kinds
from dpgen2_hpc.errors import OutputError

TYPES = list(kinds.OWN["train"])
MUTATIONS = 250


def sample_of(kind):
    stem = kinds.OWN["train"][kind].partition(":")[0].rpartition(".")[2]
    return importlib.import_module(f"test_{stem}").SAMPLE


@pytest.fixture(params=TYPES)
def kind(request):
    return request.param


@pytest.fixture
def sample(kind):
    return sample_of(kind)


@pytest.fixture
def trainer(kind, sample, tmp_path):
    return made(kind, sample.settings, tmp_path)


@pytest.fixture
def task(trainer, sample, tmp_path):
    return prepared(trainer, tmp_path / "task.0000", sample.type_map)


@pytest.fixture
def finished(trainer, task):
    assert run(trainer, task) == 0, (task / "task.log").read_text()
    return task


def killed(trainer, sample, directory):
    """Run a task until its first checkpoint, and kill it there."""
    hold = directory.parent / "hold"
    hold.touch()
    words = ["bash", "-c", trainer.command_line(())]
    env = environment(**{sample.hold: str(hold)})
    job = subprocess.Popen(words, cwd=directory, env=env, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for(lambda: len(list(directory.glob(sample.checkpoint))) > 0)
    time.sleep(0.1)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    hold.unlink()
    return directory


def test_good_settings_have_no_problems(trainer, sample):
    assert list(trainer.checks(context(trainer, *sample.type_map))) == []


def test_inputs_are_named_and_nothing_else_is_written(trainer, sample, task, tmp_path):
    again = prepared(trainer, tmp_path / "task.0001", sample.type_map)
    names = {path.name for path in again.iterdir()}
    assert names
    for name in names:
        assert (again / name).read_bytes() == (task / name).read_bytes()


def test_a_training_leaves_a_model_and_facts_that_are_json(trainer, finished):
    facts = trainer.finish(finished)
    assert facts["continued_from"] is None
    assert (finished / trainer.model_file).stat().st_size > 0
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_a_task_that_wrote_nothing_has_no_output(trainer, task):
    with pytest.raises(OutputError):
        trainer.finish(task)


def test_nothing_is_carried_over_from_a_task_that_wrote_nothing(trainer, task, tmp_path):
    (tmp_path / "new").mkdir()
    assert trainer.carry_over(task, tmp_path / "new") is None
    assert list((tmp_path / "new").iterdir()) == []


def test_a_killed_training_goes_on_from_its_checkpoint_and_leaves_it_where_it_was(trainer, sample, task, tmp_path):
    killed(trainer, sample, task)
    before = {path: path.read_bytes() for path in task.rglob("*") if path.is_file()}
    new = next_attempt(trainer, task, tmp_path / "task.0000.new")
    assert {path: path.read_bytes() for path in task.rglob("*") if path.is_file()} == before
    assert run(trainer, new) == 0, (new / "task.log").read_text()
    assert trainer.finish(new)["continued_from"] == 10


def test_a_training_that_was_killed_behind_its_last_step_is_only_frozen(trainer, finished, tmp_path):
    """Twice: a model that is half written is not carried over, and the checkpoint is handed on."""
    whole = trainer.finish(finished)["learning_curve"]
    old = finished
    for name in ("second", "third"):
        model = old / trainer.model_file
        model.write_bytes(model.read_bytes()[:100])
        new = next_attempt(trainer, old, tmp_path / name)
        assert not (new / trainer.model_file).exists()
        assert run(trainer, new) == 0, (new / "task.log").read_text()
        facts = trainer.finish(new)
        assert (facts["continued_from"], facts["learning_curve"]) == (20, whole)
        old = new


def test_a_failed_training_gets_other_seeds(trainer, task):
    names = sorted(path.name for path in task.iterdir())
    before = {name: (task / name).read_bytes() for name in names}
    trainer.reseed(task, np.random.default_rng(5))
    assert sorted(path.name for path in task.iterdir()) == names
    assert {name: (task / name).read_bytes() for name in names} != before


GARBAGE = {
    "nothing": b"",
    "zero": b"\0",
    "text": b"garbage",
    "a-node": b"\n\x05hello",
    "noise": random.Random(1).randbytes(5000),
    "json": b"{}\n" * 1000,
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_a_model_that_is_garbage_fails_the_attempt(trainer, finished, garbage):
    (finished / trainer.model_file).write_bytes(garbage)
    with pytest.raises(OutputError, match=re.escape(trainer.model_file)):
        trainer.finish(finished)


def test_a_model_that_is_cut_at_any_byte_fails_the_attempt(trainer, finished):
    model = finished / trainer.model_file
    data = model.read_bytes()
    for end in range(len(data)):
        model.write_bytes(data[:end])
        with pytest.raises(OutputError, match=re.escape(trainer.model_file)):
            trainer.finish(finished)


@pytest.mark.slow
@pytest.mark.parametrize("killing", [False, True])
def test_whatever_happens_to_a_file_only_an_output_error_is_raised(trainer, sample, task, tmp_path, killing):
    """Of a training that ended, and of one that was killed and went on; it is neither waited for nor read whole."""
    keep = {path.name for path in task.iterdir()}
    if killing:
        task = next_attempt(trainer, killed(trainer, sample, task), tmp_path / "task.0000.new")
    assert run(trainer, task) == 0
    whole = trainer.finish(task)
    refused, carried = 0, 0
    for number, (what, act) in enumerate(mutations(task, keep, sample.large, MUTATIONS, seed=int(killing))):
        saved = tmp_path / "saved"
        if number == 0:
            subprocess.run(["cp", "-a", task, saved], check=True)
        act()
        new = tmp_path / f"new.{number}"
        new.mkdir()
        start = time.process_time()
        try:
            facts = trainer.finish(task)
        except OutputError:
            refused += 1
        else:
            assert (facts["step"], facts["learning_curve"]["step"]) == (20, 20), what
            assert facts["continued_from"] == whole["continued_from"], what
        with contextlib.suppress(OutputError):
            carried += trainer.carry_over(task, new) is not None
        assert time.process_time() - start < 2, what
        subprocess.run(["rm", "-rf", task], check=True)
        subprocess.run(["cp", "-a", saved, task], check=True)
    assert MUTATIONS // 10 < refused < MUTATIONS
    assert MUTATIONS // 2 < carried


def test_causes_are_patterns_with_a_sentence_and_a_remedy(trainer):
    for pattern, sentence, remedy in getattr(trainer, "causes", ()):
        assert re.compile(pattern)
        assert sentence
        assert remedy


def test_the_command_is_one_for_a_shell(trainer):
    assert shlex.split(trainer.command_line(()))
    assert subprocess.run(["bash", "-n", "-c", trainer.command_line(())], timeout=20).returncode == 0
    assert subprocess.run(["sh", "-n", "-c", trainer.command_line(())], timeout=20).returncode == 0


def test_every_key_is_explained(kind):
    def walk(arguments):
        for argument in arguments:
            assert argument.doc, argument.name
            walk(argument.sub_fields.values())

    walk(kinds.load("train", kind).arguments())
