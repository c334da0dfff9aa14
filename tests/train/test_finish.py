"""What a finished training is worth, with what ``dp`` leaves: stale, diverged, cut and killed ones."""

import json
import subprocess

import numpy as np
import pytest
from trainers import environment, next_attempt, prepared, run

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.train.deepmd import DeepmdTrainer
from dpgen2_hpc.train.reference import force_spread

MODEL = {"descriptor": {"type": "se_e2_a"}, "fitting_net": {"neuron": [16]}}


def trainer(**training):
    return DeepmdTrainer(1, ({"model": MODEL, "training": training},))


def dp(directory, *words):
    return subprocess.run(["dp", *words], cwd=directory, env=environment(), capture_output=True, text=True).returncode


@pytest.fixture
def task(tmp_path):
    return tmp_path / "task.0000"


# ---- the step of the model


@pytest.mark.parametrize(("steps", "save", "display"), [(40, 10, 15), (10, 10, 100), (7, 3, 2), (20, 1000, 1000)])
def test_the_model_is_that_of_the_last_step_whatever_the_template_says(task, steps, save, display):
    kind = trainer(numb_steps=steps, save_freq=save, disp_freq=display)
    prepared(kind, task)
    assert run(kind, task) == 0
    facts = kind.finish(task)
    assert (facts["step"], facts["numb_steps"]) == (steps, steps)


def test_a_model_of_an_earlier_step_is_refused(task):
    """dp saves where both disp_freq and save_freq divide the step: with the template as it is, step 30 of 40."""
    kind = trainer(numb_steps=40, save_freq=10, disp_freq=15)
    prepared(kind, task)
    content = json.loads((task / "input.json").read_text())
    content["training"].update(disp_freq=15, save_freq=10)
    (task / "input.json").write_text(json.dumps(content))
    assert run(kind, task) == 0
    with pytest.raises(OutputError, match="the frozen model is that of step 30 of 40"):
        kind.finish(task)


@pytest.mark.parametrize("training", [{"disp_freq": 100, "save_freq": 10}, {"disp_training": False, "save_freq": 10}])
def test_a_training_that_saves_nothing_cannot_be_frozen(task, training):
    """With the template as it is; so its keys are changed."""
    kind = trainer(numb_steps=10)
    prepared(kind, task)
    content = json.loads((task / "input.json").read_text())
    content["training"].update(training)
    (task / "input.json").write_text(json.dumps(content))
    assert run(kind, task) == 1
    assert "'NoneType' object has no attribute 'model_checkpoint_path'" in (task / "task.log").read_text()


@pytest.fixture
def finished(task):
    kind = trainer(numb_steps=20, save_freq=10, disp_freq=10)
    prepared(kind, task)
    assert run(kind, task) == 0
    return task


def change(directory, **training):
    content = json.loads((directory / "input.json").read_text())
    content["training"].update(training)
    (directory / "input.json").write_text(json.dumps(content))


def test_a_length_in_epochs_is_not_compared(finished):
    change(finished, numb_epoch=5)
    content = json.loads((finished / "input.json").read_text())
    del content["training"]["numb_steps"]
    (finished / "input.json").write_text(json.dumps(content))
    facts = trainer().finish(finished)
    assert (facts["step"], facts["numb_steps"]) == (20, None)


def test_an_input_of_the_first_version_has_other_names(finished):
    content = json.loads((finished / "input.json").read_text())
    content["training"]["stop_batch"] = content["training"].pop("numb_steps") + 20
    (finished / "input.json").write_text(json.dumps(content))
    with pytest.raises(OutputError, match="step 20 of 40"):
        trainer().finish(finished)


def test_fewer_steps_than_were_done_are_enough(finished):
    """The user has shortened the training since."""
    change(finished, numb_steps=10)
    assert trainer().finish(finished)["step"] == 20


def test_a_learning_curve_that_ends_before_the_model_is_refused(finished):
    lines = (finished / "lcurve.out").read_text().splitlines(keepends=True)
    (finished / "lcurve.out").write_text("".join(lines[:-1]))
    with pytest.raises(OutputError, match=r"'lcurve\.out' ends at step 10, not at step 20"):
        trainer().finish(finished)


def test_a_missing_learning_curve_is_named(finished):
    (finished / "lcurve.out").unlink()
    with pytest.raises(OutputError, match=r"there is no row in the learning curve 'lcurve\.out'"):
        trainer().finish(finished)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"training": 1, "model": {}}', "[" * 100000, "\0"])
def test_an_input_that_the_task_has_spoilt_is_named(finished, text):
    (finished / "input.json").write_text(text)
    with pytest.raises(OutputError, match=r"input\.json"):
        trainer().finish(finished)


# ---- divergence


def test_errors_that_are_finite_and_huge_are_divergence(finished):
    """start_lr 1e9 ends with exit code 0: 4.8e14 eV/atom, and forces that are no better than none."""
    text = (finished / "lcurve.out").read_text()
    (finished / "lcurve.out").write_text(text + "     20 4.8e+14 4.8e+14 6.0e-01 1.0e-05\n")
    with pytest.raises(OutputError, match=r"diverged: rmse_e_trn is 4\.8e\+14 eV/atom"):
        trainer().finish(finished)


def test_forces_are_judged_by_those_of_the_training_data(finished):
    """The data's forces are random numbers up to 1 eV/Å."""
    text = (finished / "lcurve.out").read_text().replace("5.00e-01", "5.00e-02")
    for force, good in (("1.70", True), ("1.90", False)):
        (finished / "lcurve.out").write_text(text + f"     20 1 1e-3 {force} 1.0e-05\n" * 2)
        if good:
            trainer().finish(finished)
        else:
            with pytest.raises(OutputError, match=r"rmse_f_trn is 1\.9 eV/Å near step 20, more than 1\.7"):
                trainer().finish(finished)


def test_a_continued_training_is_judged_by_the_first_row_of_its_first_attempt(finished):
    """The one that goes on begins with errors that are small, and may rise again with the learning rate."""
    header = "# step rmse_trn rmse_e_trn rmse_f_trn lr\n"
    (finished / "lcurve.out").write_text(header + "10 1 0.1 0.3 1e-3\n20 1 12 0.3 1e-5\n")
    with pytest.raises(OutputError, match="rmse_e_trn is 12 eV/atom near step 20, more than 10"):
        trainer().finish(finished)
    (finished / "restart").mkdir()
    (finished / "restart" / "step").write_text("10\n")
    (finished / "restart" / "lcurve.out").write_text(header + "0 9 1.5 0.6 1e-2\n10 1 0.1 0.3 1e-3\n")
    assert trainer().finish(finished)["continued_from"] == 10


def test_a_model_without_forces_or_without_its_test_is_refused(finished):
    test = finished / "test_system.f.out"
    test.write_text("# x: data_fx data_fy data_fz pred_fx pred_fy pred_fz\n0.5 0.4 0.3 0 0 0\n")
    with pytest.raises(OutputError, match="the model predicts no forces"):
        trainer().finish(finished)
    (finished / "test_system.e.out").unlink()
    with pytest.raises(OutputError, match=r"there is no 'test_system\.e\.out'"):
        trainer().finish(finished)


def test_a_training_that_ends_in_nan_is_refused(task, tmp_path):
    kind = trainer(numb_steps=20, disp_freq=10, save_freq=10)
    prepared(kind, task)
    assert run(kind, task, FAKE_DP_NAN=str(tmp_path / "once")) == 0
    with pytest.raises(OutputError, match="diverged: rmse_trn is nan at step 20"):
        kind.finish(task)


def test_virials_that_dp_has_no_reference_of_are_left_out_of_the_facts(finished):
    """JSON has no NaN."""
    header = "# step rmse_trn rmse_e_trn rmse_f_trn rmse_v_trn lr\n"
    (finished / "lcurve.out").write_text(header + "20 1.5 2e-3 0.1 nan 1e-5\n")
    curve = trainer().finish(finished)["learning_curve"]
    assert curve == {"step": 20, "rmse_trn": 1.5, "rmse_e_trn": 2e-3, "rmse_f_trn": 0.1, "lr": 1e-5}


# ---- killed after the last step


@pytest.mark.parametrize(("save", "own"), [(10, False), (15, True)])
def test_a_training_that_was_killed_in_its_freeze_is_frozen_by_the_next_attempt(task, tmp_path, save, own):
    """dp saves a last checkpoint again if save_freq does not divide the number of steps; else the folder has none."""
    kind = trainer(numb_steps=20, disp_freq=5, save_freq=save)
    prepared(kind, task)
    assert dp(task, "train", "input.json") == 0
    (task / "frozen_model.pb").write_bytes(b"\x0a\x10half a model")
    new = next_attempt(kind, task, tmp_path / "new")
    assert run(kind, new) == 0
    assert (new / "checkpoint").exists() == own
    assert (new / "lcurve.out").read_text() == ""
    facts = kind.finish(new)
    assert (facts["continued_from"], facts["step"], facts["learning_curve"]["step"]) == (20, 20, 20)


def test_the_curve_of_an_earlier_attempt_does_not_stand_for_steps_that_were_done_in_this_one(task, tmp_path):
    kind = trainer(numb_steps=20, disp_freq=10, save_freq=10)
    prepared(kind, task)
    change(task, numb_steps=10)
    assert dp(task, "train", "input.json") == 0
    change(task, numb_steps=20)
    new = next_attempt(kind, task, tmp_path / "new")
    assert run(kind, new) == 0
    assert kind.finish(new)["continued_from"] == 10
    (new / "lcurve.out").write_text("")
    with pytest.raises(OutputError, match="there is no row"):
        kind.finish(new)


# ---- the reference forces


def system(folder, forces, sets=1):
    for number in range(sets):
        (folder / f"set.{number:03d}").mkdir(parents=True)
        np.save(folder / f"set.{number:03d}" / "force.npy", np.asarray(forces))
    return str(folder)


def test_the_spread_is_the_root_mean_square_of_all_components(tmp_path):
    rng = np.random.default_rng(1)
    forces = [rng.normal(0, scale, (5, 12)) for scale in (0.1, 2.0, 0.7)]
    names = [system(tmp_path / str(number), one) for number, one in enumerate(forces)]
    assert force_spread(tmp_path, names) == pytest.approx(np.sqrt((np.concatenate(forces) ** 2).mean()))


def test_a_sample_of_many_systems_has_the_first_and_the_last(tmp_path):
    names = [
        system(tmp_path / str(number), np.full((1, 3), 3.0 if number in {0, 99} else 0.0)) for number in range(100)
    ]
    assert force_spread(tmp_path, names) == pytest.approx(np.sqrt(2 * 9 / 32))


def test_a_sample_of_a_large_system_is_its_beginning(tmp_path):
    large = system(tmp_path / "large", np.ones((64, 3)), sets=2)
    np.save(tmp_path / "large" / "set.000" / "force.npy", np.concatenate([np.ones((64, 3)), np.full((64, 3), 9.0)]))
    np.save(tmp_path / "large" / "set.001" / "force.npy", np.full((64, 3), 9.0))
    assert force_spread(tmp_path, [large]) == 1.0


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_data_that_cannot_be_read_have_no_known_spread(tmp_path, content):
    path = tmp_path / "a" / "set.000" / "force.npy"
    path.parent.mkdir(parents=True)
    if content is not None:
        path.write_bytes(content)
    assert force_spread(tmp_path, ["a", "nowhere"]) is None
    assert force_spread(tmp_path, []) is None
