"""Training by dp: the inputs of a member, what a checkpoint is worth, and what a finished training says."""

import copy
import json
import subprocess

import numpy as np
import pytest

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.kinds import CheckContext, TrainingInput
from dpgen2_hpc.train.deepmd import DeepmdTrainer, newest_checkpoint, read_learning_curve

TEMPLATE = {
    "model": {
        "type_map": ["Al", "Cu"],
        "descriptor": {"type": "se_e2_a", "sel": [60, 60], "rcut": 5.0, "seed": 1},
        "fitting_net": {"neuron": [16, 16], "seed": 1},
    },
    "training": {"numb_steps": 20, "seed": 1, "training_data": {"systems": ["old"], "batch_size": 4}},
}
HYBRID = {
    "type": "hybrid",
    "list": [
        {"type": "se_e2_a", "seed": 1},
        {"type": "hybrid", "list": [{"type": "se_e2_r"}]},
        {"type": "se_e3", "seed": 1},
    ],
}
SYSTEMS = ("../shared/init.000000", "../shared/iter-000000/Al2Cu2")


def template(**model):
    made = copy.deepcopy(TEMPLATE)
    made["model"].update(model)
    return made


def trainer(*templates, models=4, **more):
    return DeepmdTrainer(models, templates or (TEMPLATE,), **more)


def written(kind, tmp_path, index=0, seed=0):
    """The input of one member."""
    rng = np.random.default_rng((seed, 0, 0, index))
    assert kind.write_inputs(TrainingInput(index, SYSTEMS, ("Al", "Cu"), rng), tmp_path) == ["input.json"]
    return json.loads((tmp_path / "input.json").read_text())


def seeds(value):
    """All seeds in an input, wherever they stand."""
    if isinstance(value, dict):
        own = [value["seed"]] if "seed" in value else []
        return own + [seed for entry in value.values() for seed in seeds(entry)]
    return [seed for entry in value for seed in seeds(entry)] if isinstance(value, list) else []


def without_seeds(value):
    if isinstance(value, dict):
        return {name: without_seeds(entry) for name, entry in value.items() if name != "seed"}
    return [without_seeds(entry) for entry in value] if isinstance(value, list) else value


# ---- the input of a member


def test_every_seed_is_replaced_by_one_of_its_own(tmp_path):
    content = written(trainer(template(type_embedding={"neuron": [4], "seed": 1})), tmp_path)
    assert len(seeds(content)) == 4
    assert len(set(seeds(content)) - {1}) == 4
    assert content["model"]["type_embedding"]["seed"] != 1


def test_a_part_without_a_seed_gets_one_and_a_part_that_is_not_there_is_not_made(tmp_path):
    bare = {"model": {"descriptor": {}, "fitting_net": {}}, "training": {}}
    content = written(trainer(bare), tmp_path)
    assert sorted(content["model"]) == ["descriptor", "fitting_net", "type_map"]
    assert len(set(seeds(content))) == 3


def test_each_descriptor_of_a_hybrid_one_gets_a_seed_and_the_hybrid_itself_none(tmp_path):
    descriptor = written(trainer(template(descriptor=HYBRID)), tmp_path)["model"]["descriptor"]
    assert "seed" not in descriptor
    assert "seed" not in descriptor["list"][1]
    found = [descriptor["list"][0]["seed"], descriptor["list"][1]["list"][0]["seed"], descriptor["list"][2]["seed"]]
    assert len(set(found) - {1}) == 3


def test_members_differ_in_their_seeds_alone(tmp_path):
    members = [written(trainer(template(descriptor=HYBRID)), tmp_path, index) for index in range(6)]
    drawn = [seed for member in members for seed in seeds(member)]
    assert len(set(drawn)) == len(drawn)
    assert [without_seeds(member) for member in members] == [without_seeds(members[0])] * 6


def test_seeds_are_numbers_that_a_program_in_c_can_hold(tmp_path):
    drawn = [seed for index in range(50) for seed in seeds(written(trainer(), tmp_path, index))]
    assert min(drawn) > 0
    assert max(drawn) < 2**31


def test_one_generator_gives_one_input(tmp_path):
    assert written(trainer(), tmp_path) == written(trainer(), tmp_path)
    assert written(trainer(), tmp_path, seed=1) != written(trainer(), tmp_path)


def test_the_template_is_left_as_it_was(tmp_path):
    given = template(descriptor=copy.deepcopy(HYBRID))
    before = copy.deepcopy(given)
    written(trainer(given), tmp_path)
    assert given == before


def test_the_systems_replace_those_of_the_template_and_the_rest_of_the_data_stays(tmp_path):
    training = written(trainer(), tmp_path)["training"]
    assert training["training_data"] == {"systems": list(SYSTEMS), "batch_size": 4}
    assert "systems" not in training


def test_an_input_of_the_first_version_keeps_its_systems_where_they_were(tmp_path):
    old = {"model": TEMPLATE["model"], "training": {"systems": [], "set_prefix": "set", "stop_batch": 20}}
    training = written(trainer(old), tmp_path)["training"]
    assert (training["systems"], training["batch_size"]) == (list(SYSTEMS), "auto")
    assert "training_data" not in training


def test_a_template_without_data_gets_it_with_an_automatic_batch_size(tmp_path):
    bare = {"model": TEMPLATE["model"], "training": {"numb_steps": 5}}
    assert written(trainer(bare), tmp_path)["training"]["training_data"] == {
        "systems": list(SYSTEMS),
        "batch_size": "auto",
    }


def test_the_names_that_are_read_later_are_ours_whatever_the_template_says(tmp_path):
    own = copy.deepcopy(TEMPLATE)
    own["training"].update(disp_file="other.out", save_ckpt="other.ckpt")
    training = written(trainer(own), tmp_path)["training"]
    assert (training["disp_file"], training["save_ckpt"]) == ("lcurve.out", "model.ckpt")


def test_the_elements_are_those_of_the_run(tmp_path):
    bare = template()
    del bare["model"]["type_map"]
    assert written(trainer(bare), tmp_path)["model"]["type_map"] == ["Al", "Cu"]


def test_each_member_may_have_a_template_of_its_own(tmp_path):
    kind = trainer(template(descriptor={"rcut": 5}), template(descriptor={"rcut": 6}), models=2)
    assert [written(kind, tmp_path, index)["model"]["descriptor"]["rcut"] for index in range(2)] == [5, 6]


def test_a_member_that_failed_gets_other_seeds_and_nothing_else(tmp_path):
    before = written(trainer(template(descriptor=HYBRID)), tmp_path)
    trainer().reseed(tmp_path, np.random.default_rng(9))
    after = json.loads((tmp_path / "input.json").read_text())
    assert without_seeds(after) == without_seeds(before)
    assert set(seeds(after)).isdisjoint(seeds(before))
    assert len(seeds(after)) == len(seeds(before))


# ---- the command


def run_command(kind, tmp_path):
    """Run the command with a program that only writes down how it was called."""
    (tmp_path / "dp").write_text('#!/bin/sh\necho "$@" >> calls\n[ ! -e fail_$1 ]\n')
    (tmp_path / "dp").chmod(0o755)
    command = kind.command.replace("dp ", "./dp ")
    code = subprocess.run(command, shell=True, cwd=tmp_path, timeout=20).returncode
    return code, (tmp_path / "calls").read_text().splitlines()


def test_the_command_trains_and_then_freezes(tmp_path):
    assert run_command(trainer(), tmp_path) == (0, ["train input.json", "freeze -o frozen_model.pb"])


def test_the_users_words_reach_dp_train_alone(tmp_path):
    _, calls = run_command(trainer(train_args="--skip-neighbor-stat"), tmp_path)
    assert calls == ["train input.json --skip-neighbor-stat", "freeze -o frozen_model.pb"]


def test_a_checkpoint_that_was_carried_over_is_where_the_training_goes_on(tmp_path):
    (tmp_path / "restart").mkdir()
    (tmp_path / "restart" / "model.ckpt.index").touch()
    _, calls = run_command(trainer(train_args="-v 1"), tmp_path)
    assert calls[0] == "train input.json -v 1 --restart restart/model.ckpt"


@pytest.mark.parametrize("restart", [True, False])
def test_a_training_that_fails_is_not_frozen_and_its_code_is_the_tasks(tmp_path, restart):
    (tmp_path / "fail_train").touch()
    if restart:
        (tmp_path / "restart").mkdir()
        (tmp_path / "restart" / "model.ckpt.index").touch()
    code, calls = run_command(trainer(), tmp_path)
    assert (code, len(calls)) == (1, 1)


def test_a_freeze_that_fails_is_a_failed_task(tmp_path):
    (tmp_path / "fail_freeze").touch()
    assert run_command(trainer(), tmp_path)[0] == 1


def test_the_program_may_be_called_otherwise():
    assert trainer(dp="/opt/dp/bin/dp").command.count("/opt/dp/bin/dp") == 3


# ---- checkpoints


def checkpoint(directory, step, *missing, named=None):
    """Write a checkpoint as TensorFlow does."""
    directory.mkdir(exist_ok=True)
    for suffix in {"index", "meta", "data-00000-of-00001"} - set(missing):
        (directory / f"model.ckpt-{step}.{suffix}").write_text(f"{suffix} {step}")
    name = named or f"model.ckpt-{step}"
    (directory / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n')
    return directory


def test_the_newest_checkpoint_is_the_one_that_is_named(tmp_path):
    checkpoint(tmp_path, 100)
    checkpoint(tmp_path, 2000)
    assert newest_checkpoint(tmp_path) == (tmp_path / "model.ckpt-2000", 2000)


@pytest.mark.parametrize("missing", ["index", "meta", "data-00000-of-00001"])
def test_a_checkpoint_that_lacks_a_file_is_none(tmp_path, missing):
    assert newest_checkpoint(checkpoint(tmp_path, 100, missing)) is None


@pytest.mark.parametrize("text", ["", "model_checkpoint_path: ", 'model_checkpoint_path: "model.ckpt"\n', "\n\n"])
def test_a_list_of_checkpoints_that_names_none_is_none(tmp_path, text):
    (tmp_path / "checkpoint").write_text(text)
    assert newest_checkpoint(tmp_path) is None


def test_a_folder_without_a_list_of_checkpoints_has_none(tmp_path):
    assert newest_checkpoint(tmp_path) is None


def carried(new):
    return {path.name: path.read_text() for path in (new / "restart").iterdir()} if (new / "restart").exists() else {}


@pytest.fixture
def new(tmp_path):
    (tmp_path / "new").mkdir()
    return tmp_path / "new"


def test_a_killed_training_goes_on_from_copies_of_its_newest_checkpoint(tmp_path, new):
    old = checkpoint(tmp_path / "old", 300)
    assert trainer().carry_over(old, new) == 300
    assert carried(new) == {
        "model.ckpt.index": "index 300",
        "model.ckpt.meta": "meta 300",
        "model.ckpt.data-00000-of-00001": "data-00000-of-00001 300",
        "step": "300\n",
    }
    assert (old / "model.ckpt-300.meta").exists()


def test_a_training_that_was_killed_before_its_next_checkpoint_goes_on_from_the_one_it_began_with(tmp_path, new):
    middle = tmp_path / "middle"
    middle.mkdir()
    trainer().carry_over(checkpoint(tmp_path / "old", 300), middle)
    assert trainer().carry_over(middle, new) == 300
    assert carried(new)["model.ckpt.meta"] == "meta 300"


def test_a_newer_checkpoint_of_a_continued_training_is_the_one_that_counts(tmp_path, new):
    middle = tmp_path / "middle"
    middle.mkdir()
    trainer().carry_over(checkpoint(tmp_path / "old", 300), middle)
    checkpoint(middle, 500)
    assert (trainer().carry_over(middle, new), carried(new)["step"]) == (500, "500\n")


def test_a_training_that_was_killed_before_any_checkpoint_starts_anew(tmp_path, new):
    (tmp_path / "old").mkdir()
    assert trainer().carry_over(tmp_path / "old", new) is None
    assert carried(new) == {}


def test_a_half_written_checkpoint_is_not_carried_over(tmp_path, new):
    assert trainer().carry_over(checkpoint(tmp_path / "old", 300, "meta"), new) is None
    assert carried(new) == {}


# ---- the learning curve

CURVE = """\
#  step      rmse_trn    rmse_e_trn    rmse_f_trn         lr
# If there is no available reference data, rmse_*_{val,trn} will print nan
      0      2.00e+01      1.00e+00      3.00e-01    1.0e-02
     20      1.50e+01      2.00e-03      1.00e-01    1.0e-05
"""


def finished(tmp_path, curve=CURVE, model="model"):
    if curve is not None:
        (tmp_path / "lcurve.out").write_text(curve)
    if model is not None:
        (tmp_path / "frozen_model.pb").write_text(model)
    return trainer().finish(tmp_path)


def test_the_last_row_is_read_by_the_names_of_its_columns(tmp_path):
    facts = finished(tmp_path)
    assert facts["continued_from"] is None
    assert facts["learning_curve"] == {"step": 20, "rmse_trn": 15, "rmse_e_trn": 2e-3, "rmse_f_trn": 0.1, "lr": 1e-5}


def test_columns_of_validation_and_of_the_virial_have_their_own_names(tmp_path):
    (tmp_path / "lcurve.out").write_text("# step rmse_val rmse_trn rmse_v_trn lr\n 5 1 2 3 4\n")
    assert read_learning_curve(tmp_path / "lcurve.out") == {
        "step": 5,
        "rmse_val": 1,
        "rmse_trn": 2,
        "rmse_v_trn": 3,
        "lr": 4,
    }


def test_a_second_header_of_a_continued_training_is_no_row(tmp_path):
    facts = finished(tmp_path, CURVE + CURVE.replace("     20 ", "     40 "))
    assert facts["learning_curve"]["step"] == 40


@pytest.mark.parametrize(("column", "bad"), [(1, "nan"), (2, "inf"), (3, "nan")])
def test_a_training_that_ends_in_what_is_not_finite_has_diverged(tmp_path, column, bad):
    words = "20 1.5 2e-3 0.1 1e-5".split()
    words[column] = bad
    with pytest.raises(OutputError, match=f"diverged: .* is {bad} at step 20"):
        finished(tmp_path, "\n".join(CURVE.splitlines()[:2]) + "\n" + " ".join(words) + "\n")


@pytest.mark.parametrize("column", ["rmse_v_trn", "rmse_v_val"])
def test_an_error_of_the_virial_that_dp_does_not_know_is_no_divergence(tmp_path, column):
    """dp writes nan where the last batch has no reference data: systems without virial are legal."""
    curve = f"# step rmse_trn rmse_e_trn rmse_f_trn {column} lr\n# If there is no available reference data, ... nan\n"
    assert finished(tmp_path, curve + "20 1.5 2e-3 0.1 nan 1e-5\n")["learning_curve"]["step"] == 20


@pytest.mark.parametrize(
    "curve", ["", "#  step rmse_trn lr\n", "20 1.5 2\n", "#  step rmse_trn lr\n 20 1.5\n", "# step rmse_trn\n 2 1.0e\n"]
)
def test_a_learning_curve_without_a_whole_row_is_no_output(tmp_path, curve):
    with pytest.raises(OutputError, match=r"lcurve\.out"):
        finished(tmp_path, curve)


def test_a_missing_learning_curve_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"no learning curve 'lcurve\.out'"):
        finished(tmp_path, None)


@pytest.mark.parametrize("model", [None, ""])
def test_a_missing_or_empty_model_is_no_output(tmp_path, model):
    with pytest.raises(OutputError, match=r"there is no model 'frozen_model\.pb'"):
        finished(tmp_path, model=model)


def test_a_continued_training_says_from_which_step(tmp_path):
    (tmp_path / "restart").mkdir()
    (tmp_path / "restart" / "step").write_text("300\n")
    assert finished(tmp_path)["continued_from"] == 300


def test_a_training_that_was_killed_after_its_last_step_and_had_only_to_be_frozen_is_done(tmp_path, new):
    """dp then has no step to train, and writes neither header nor row."""
    old = checkpoint(tmp_path / "old", 20)
    (old / "lcurve.out").write_text(CURVE)
    trainer().write_inputs(TrainingInput(0, SYSTEMS, ("Al", "Cu"), np.random.default_rng(1)), new)
    trainer().carry_over(old, new)
    if not (new / "lcurve.out").exists():
        (new / "lcurve.out").touch()
    (new / "frozen_model.pb").write_text("model")
    assert trainer().finish(new)["continued_from"] == 20


# ---- settings


def problems(*templates, models=2):
    context = CheckContext(("Al", "Cu"), (27.0, 63.5), models)
    return {".".join(map(str, path)): text for path, text in trainer(*templates, models=models).checks(context)}


def test_a_template_that_fits_has_no_problem():
    bare = template()
    del bare["model"]["type_map"]
    assert problems(template()) == problems(bare) == problems(template(), template()) == {}


@pytest.mark.parametrize("elements", [["Cu", "Al"], ["Al"], ["Al", "Cu", "Mg"], []])
def test_elements_in_another_order_would_be_mixed_up_and_are_a_problem(elements):
    found = problems(template(type_map=elements))
    assert "would be mixed up" in found["template_script.model.type_map"]


def test_a_problem_of_one_template_of_several_says_which():
    assert list(problems(template(), template(type_map=["Cu", "Al"]))) == ["template_script.1.model.type_map"]


def test_as_many_templates_as_models_or_one():
    assert "has 3 entries; there are 2 models" in problems(template(), template(), template())["template_script"]


@pytest.mark.parametrize("gone", ["descriptor", "fitting_net"])
def test_a_missing_part_of_the_model_is_named(gone):
    poor = template()
    del poor["model"][gone]
    assert list(problems(poor)) == [f"template_script.model.{gone}"]


def test_a_template_that_is_no_object_and_one_without_anything_are_told_from_each_other():
    assert list(problems("text")) == ["template_script"]
    assert set(problems({})) == {"template_script.model", "template_script.training"}
    parts = {f"template_script.{part}" for part in ("model.descriptor", "model.fitting_net")}
    assert set(problems({"model": {"type": "standard"}, "training": {"numb_steps": 1}})) == parts


def test_validation_data_are_refused_by_name():
    poor = template()
    poor["training"] = {"numb_steps": 1, "validation_data": {"systems": ["v"]}}
    assert list(problems(poor)) == ["template_script.training.validation_data"]
