"""Training by dp: the inputs of a member, and what is wrong with settings."""

import copy
import json
import logging

import numpy as np
import pytest
from trainers import Sample

from dpgen2_hpc.kinds import CheckContext, TrainingInput
from dpgen2_hpc.train.deepmd import DeepmdTrainer

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
    return DeepmdTrainer(models, templates or (TEMPLATE,), one_each=len(templates) > 1, **more)


def written(kind, tmp_path, index=0, seed=0):
    """The input of one member."""
    rng = np.random.default_rng((seed, 0, 0, index))
    names = kind.write_inputs(TrainingInput(index, SYSTEMS, ("Al", "Cu"), rng), tmp_path)
    assert names == ["input.json", "test_systems.txt"]
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


# ---- a checkpoint and a row at the last step


def frequencies(tmp_path, **training):
    content = written(trainer({"model": TEMPLATE["model"], "training": training}), tmp_path)["training"]
    return content.get("disp_freq", 1000), content.get("save_freq", 1000)


def saved_steps(steps, display, save):
    """The rule of dp (deepmd-kit 2.2.11 and 3.2.0, `Trainer.train`), in words of the trainer's loop."""
    inside = [step for step in range(1, steps + 1) if step % display == 0 and step % save == 0]
    return inside + ([steps] if steps % save else [])


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"numb_steps": 40, "save_freq": 10, "disp_freq": 15}, (10, 10)),
        ({"numb_steps": 10, "save_freq": 10, "disp_freq": 100}, (10, 10)),
        ({"numb_steps": 20}, (20, 1000)),
        ({"numb_steps": 1200, "save_freq": 400, "disp_freq": 100}, (100, 400)),
        ({"numb_steps": 1000, "save_freq": 1000, "disp_freq": 300}, (300, 900)),
        ({"numb_steps": 400000, "save_freq": 1000, "disp_freq": 1000}, (1000, 1000)),
        ({"stop_batch": 50, "save_freq": 20, "disp_freq": 30}, (20, 20)),
        ({"numb_epoch": 3, "save_freq": 20, "disp_freq": 30}, (20, 20)),
    ],
)
def test_the_frequencies_are_lowered_until_the_last_step_is_saved_and_not_further(tmp_path, training, expected):
    assert frequencies(tmp_path, **training) == expected


def test_the_last_step_is_saved_whatever_the_template_says(tmp_path):
    rng = np.random.default_rng(4)
    for _ in range(300):
        steps, save, display = (int(n) for n in rng.integers(1, 60, 3))
        shown, saved = frequencies(tmp_path, numb_steps=steps, save_freq=save, disp_freq=display)
        assert shown <= min(display, steps)
        assert saved <= save
        assert steps in saved_steps(steps, shown, saved), (steps, save, display)
        assert any(step <= save for step in saved_steps(steps, shown, saved)) or save > steps


@pytest.mark.parametrize("value", [False, 0, None])
def test_rows_are_always_written_since_dp_saves_nothing_without_them(tmp_path, value):
    own = copy.deepcopy(TEMPLATE)
    own["training"]["disp_training"] = value
    assert written(trainer(own), tmp_path)["training"]["disp_training"] is True


def test_what_was_changed_in_a_template_is_said_once(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    own = copy.deepcopy(TEMPLATE)
    own["training"].update(numb_steps=40, disp_freq=15, save_freq=10, disp_training=False)
    for index in range(4):
        written(trainer(own), tmp_path, index)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == (
        "train.template_script: training.disp_freq 15 becomes 10, training.disp_training false becomes true, "
        "so that dp train saves its last step"
    )


def test_a_length_in_epochs_is_not_compared_and_this_is_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    written(trainer({"model": TEMPLATE["model"], "training": {"numb_epoch": 5, "disp_freq": 10}}), tmp_path)
    assert "in epochs: whether a model is that of the last step is not checked" in caplog.text


def test_a_template_that_needs_no_change_is_not_spoken_of(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    own = copy.deepcopy(TEMPLATE)
    own["training"].update(numb_steps=40, disp_freq=10, save_freq=20)
    content = written(trainer(own), tmp_path)["training"]
    assert "disp_training" not in content
    assert caplog.records == []


def test_the_model_is_tested_on_the_newest_system(tmp_path):
    written(trainer(), tmp_path)
    assert (tmp_path / "test_systems.txt").read_text() == f"{SYSTEMS[-1]}\n"


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
    assert "is a list of 3; there are 2 models" in problems(template(), template(), template())["template_script"]
    settings = {"numb_models": 2, "config": {"command": "dp", "train_args": ""}}
    alone = DeepmdTrainer.from_settings({**settings, "template_script": template()})
    listed = DeepmdTrainer.from_settings({**settings, "template_script": [template()]})
    context = CheckContext(("Al", "Cu"), (27.0, 63.5), 2)
    assert list(alone.checks(context)) == []
    ((path, text),) = listed.checks(context)
    assert path == ("template_script",)
    assert "is a list of 1; there are 2 models" in text


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


@pytest.mark.parametrize("given", [{"systems": ["v"], "batch_size": 1, "numb_btch": 3}, {"systems": "v"}])
def test_validation_data_are_accepted_told_and_left_out(tmp_path, given):
    rich = template()
    rich["training"] = {"numb_steps": 1, "validation_data": given}
    assert problems(rich) == {}
    ((path, text),) = trainer(rich).notices(CheckContext(("Al", "Cu"), (27.0, 63.5), 2))
    assert path == ("template_script", "training", "validation_data")
    assert "is not used in this version" in text
    assert "validation_data" not in written(trainer(rich), tmp_path)["training"]


@pytest.mark.parametrize("nothing", [{}, None])
def test_validation_data_that_are_not_given_are_not_spoken_of(nothing):
    plain = template()
    plain["training"] = {"numb_steps": 1, "validation_data": nothing}
    assert list(trainer(plain).notices(CheckContext(("Al", "Cu"), (27.0, 63.5), 2))) == []


@pytest.mark.parametrize(
    "lengths", [("numb_steps", "stop_batch"), ("numb_steps", "numb_epoch"), ("num_step", "numb_step")]
)
def test_two_keys_for_the_length_are_a_problem(lengths):
    """dp stops with 'mutually exclusive', or with 'undefined key' for the second name of one."""
    poor = {"model": TEMPLATE["model"], "training": dict.fromkeys(lengths, 10)}
    (text,) = problems(poor).values()
    assert text.endswith("remove one")


SAMPLE = Sample(
    settings={
        "numb_models": 2,
        "template_script": {**TEMPLATE, "training": {"numb_steps": 20, "disp_freq": 10, "save_freq": 10}},
    },
    hold="FAKE_DP_HOLD",
    checkpoint="model.ckpt-10.meta",
    large="model.ckpt*.data-*",
    type_map=("Al", "Cu"),
)
