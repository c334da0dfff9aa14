"""A changed input on resume: shown field by field, and followed now, later, at the end, or not at all."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dpgen2_hpc.inputs.changes import Change, changes, held_back, rules
from dpgen2_hpc.inputs.param import root
from dpgen2_hpc.kinds import CHANGES
from dpgen2_hpc.loop.follow import is_for_later

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
POSCAR = "x\n1\n3.8 0 0\n0 3.8 0\n0 0 3.8\nAl Cu\n2 2\nDirect\n0 0 0\n.5 .5 0\n.5 0 .5\n0 .5 .5\n"


def output(done):
    return done.stdout + done.stderr


def understood(project):
    """The param.json that the run follows."""
    return json.loads((project.work / "inputs/param.json").read_text())


def log(project):
    return (project.work / "dpgen2_hpc.log").read_text()


# ---- the classes


def test_every_argument_has_a_class():
    found = {".".join(path): rule for path, _, rule in rules(root())}
    assert len(found) > 100
    assert {path: rule for path, rule in found.items() if rule not in CHANGES} == {}


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("name", "now"),
        ("seed", "refused"),
        ("inputs.type_map", "refused"),
        ("inputs.mass_map", "refused"),
        ("inputs.init_data_sys", "refused"),
        ("train.[dp].numb_models", "next"),
        ("train.[dp].template_script", "next"),
        ("train.[dp].config.command", "now"),
        ("train.[dp].config.train_args", "now"),
        ("explore.max_numb_iter", "now"),
        ("explore.[lmp].config.command", "now"),
        ("explore.[lmp].config.shuffle_models", "next"),
        ("explore.convergence.[fixed-levels].level_f_lo", "next"),
        ("explore.configurations", "append"),
        ("explore.stages", "append"),
        ("fp.task_max", "now"),
        ("fp.[ase].inputs_config.kwargs", "labels"),
        ("fp.[ase].run_config.command", "now"),
    ],
)
def test_the_class_of_an_argument_is_the_one_that_its_physics_asks_for(path, rule):
    assert {".".join(steps): found for steps, _, found in rules(root())}[path] == rule


# ---- what differs


def lines(old, new):
    return [(str(change), change.rule) for change in changes(root(), old, new)]


def test_fields_of_types_and_lists_are_told_one_by_one():
    old = {
        "train": {"type": "dp", "template_script": {"training": {"numb_steps": 20}}},
        "explore": {
            "convergence": {"type": "fixed-levels", "level_f_lo": 0.1},
            "stages": [[{"type": "lmp-md", "temps": [300], "nsteps": 10}]],
        },
    }
    new = json.loads(json.dumps(old).replace("300", "600").replace("0.1", "0.2").replace('steps": 20', 'steps": 40'))
    assert lines(old, new) == [
        ("train.template_script.training.numb_steps: 20 → 40", "next"),
        ("explore.convergence.level_f_lo: 0.1 → 0.2", "next"),
        ("explore.stages[0][0].temps: [300] → [600]", "refused"),
    ]


def test_entries_may_join_at_the_end_and_none_may_leave():
    one, two = {"type": "alloy", "lattice": ["fcc", 4.0]}, {"type": "alloy", "lattice": ["fcc", 5.0]}
    old, new = ({"explore": {"configurations": entries}} for entries in ([one], [one, two]))
    assert lines(old, new) == [("explore.configurations: '1 entries' → '2 entries'", "append")]
    assert lines(new, old) == [("explore.configurations: '2 entries' → '1 entries'", "refused")]


def test_of_a_text_the_first_line_that_differs_is_told():
    old, new = (
        {"fp": {"type": "ase", "inputs_config": {"kwargs": {"text": text}}}} for text in ("a\nb\nc\n", "a\nB\n")
    )
    assert lines(old, new) == [("fp.inputs_config.kwargs.text: line 2: 'b' → 'B'", "labels")]


def test_what_is_held_back_is_as_it_was():
    old = {"train": {"numb_models": 2, "template_script": {"a": 1}}, "name": "x"}
    new = {"train": {"numb_models": 3, "template_script": {"b": 1}}, "name": "y"}
    held = [change for change in changes(root(), old, new) if change.rule == "next" or change.path[0] == "train"]
    assert held_back(new, held) == {**old, "name": "y"}


# ---- when a change of the next iteration may hold at once


@pytest.mark.parametrize(
    ("path", "step", "phase", "later"),
    [
        (("explore", "config", "shuffle_models"), "train", "pending", False),
        (("explore", "config", "shuffle_models"), "train", "prepared", True),
        (("explore", "config", "shuffle_models"), "explore", "pending", False),
        (("explore", "config", "shuffle_models"), "explore", "prepared", True),
        (("explore", "config", "shuffle_models"), "select", "pending", True),
        (("explore", "convergence", "level_f_lo"), "explore", "pending", False),
        (("explore", "convergence", "level_f_lo"), "explore", "submitted", True),
        (("explore", "convergence", "level_f_lo"), "select", "pending", False),
        (("explore", "convergence", "level_f_lo"), "select", "prepared", True),
        (("explore", "convergence", "level_f_lo"), "fp", "pending", True),
        (("train", "numb_models"), "train", "pending", False),
        (("train", "numb_models"), "explore", "pending", True),
        (("train", "template_script"), "select", "pending", True),
    ],
)
def test_a_change_waits_where_a_step_of_the_iteration_has_used_the_value(path, step, phase, later):
    stands = SimpleNamespace(step=step, phase=phase, iteration=0)
    assert is_for_later(Change(path, 1, 2, "next"), stands) is later
    assert not is_for_later(Change(path, 1, 2, "now"), stands)


# ---- whole runs


@pytest.mark.parametrize("step", ["explore", "select"])
def test_after_a_rewind_other_levels_hold_for_the_step_that_is_repeated(project, step):
    project.param["explore"]["max_numb_iter"] = 1
    assert project.run().returncode == 4
    done = project.verb("rewind", "-C", str(project.work), step)
    assert done.returncode == 0, output(done)
    project.param["explore"]["convergence"]["level_f_lo"] = 0.06
    project.param["train"]["template_script"]["training"]["numb_steps"] = 30
    project.param["explore"]["max_numb_iter"] = 2
    shown = project.run("--dry-run").stdout
    assert "would follow the change: explore.convergence.level_f_lo: 0.05 → 0.06" in shown
    assert "from the next iteration on: train.template_script.training.numb_steps: 20 → 30" in shown
    done = project.run()
    assert done.returncode in (0, 4), output(done)
    rows = project.status()["iterations"]
    assert [row["level_f_lo"] for row in rows] == [0.06] * len(rows)
    inputs = [
        json.loads(path.read_text()) for path in sorted(project.work.glob("iter-*/00.train/task.0000/input.json"))
    ]
    assert [one["training"]["numb_steps"] for one in inputs] == [20, 30][: len(inputs)]
    assert len(inputs) == 2


def test_levels_hold_from_the_next_iteration_on(project):
    assert project.run("--once").returncode == 3
    project.param["explore"]["convergence"]["level_f_lo"] = 0.06
    assert "from the next iteration on: explore.convergence.level_f_lo: 0.05 → 0.06" in project.run("--dry-run").stdout
    assert project.run("--once").returncode in (0, 3)
    assert understood(project)["explore"]["convergence"]["level_f_lo"] == 0.05
    done = project.run()
    assert done.returncode == 0, output(done)
    assert [row["level_f_lo"] for row in project.status()["iterations"]] == [0.05, 0.06]
    assert understood(project)["explore"]["convergence"]["level_f_lo"] == 0.06
    assert "level_f_lo: 0.05 → 0.06, from the next iteration on" in log(project)


def test_a_run_in_which_nothing_could_be_selected_goes_on_with_other_levels(project):
    project.env["FAKE_DEVIATIONS"] = "0.9 0.2 0.02"
    done = project.run()
    assert done.returncode == 4
    assert "Change them in param.json, then run the same command again" in output(done)
    assert project.run().returncode == 4
    project.param["explore"]["convergence"]["level_f_hi"] = 0.6
    done = project.run()
    assert done.returncode == 0, output(done)
    assert [(row["level_f_hi"], row["selected"] > 0) for row in project.status()["iterations"]] == [
        (0.5, False),
        (0.6, True),
        (0.6, False),
    ]


def test_a_change_before_the_first_step_holds_at_once(project):
    project.write()
    (project.work).mkdir()
    assert project.run("--once").returncode == 3
    record = project.record()
    record |= {"phase": "pending", "sequence": record["sequence"] + 1}
    (project.work / "record.json").write_text(json.dumps(record))
    project.param["explore"]["convergence"]["level_f_lo"] = 0.06
    assert project.run("--once").returncode in (0, 3)
    assert understood(project)["explore"]["convergence"]["level_f_lo"] == 0.06


def test_a_finished_run_goes_on_with_a_new_stage_and_its_new_configuration(project):
    done = project.run()
    assert done.returncode == 0, output(done)
    iterations = len(project.status()["iterations"])
    explore = project.param["explore"]
    explore["configurations"].append({**explore["configurations"][0], "numb_confs": 2, "lattice": ["fcc", 4.0]})
    explore["stages"].append([{**explore["stages"][0][0], "conf_idx": [1]}])
    done = project.run()
    assert done.returncode == 0, output(done)
    assert project.status()["iterations"][iterations]["stage"] == 1
    assert [len(pool) for pool in json.loads((project.work / "inputs/configurations.json").read_text())] == [3, 2]
    assert sorted(path.name for path in (project.work / "inputs/configurations").iterdir()) == ["000", "001"]


def test_the_physics_of_labels_is_free_until_there_are_some(project):
    assert project.run("--once").returncode == 3
    project.param["fp"]["inputs_config"]["kwargs"] = {"asap_cutoff": False}
    done = project.run("--once")
    assert done.returncode in (0, 3), output(done)
    record = project.record()
    (project.work / "record.json").write_text(json.dumps({**record, "step": "fp", "phase": "prepared"}))
    project.param["fp"]["inputs_config"]["kwargs"] = {"asap_cutoff": True}
    done = project.run()
    assert done.returncode == 2
    assert "fp.inputs_config.kwargs.asap_cutoff: False → True" in done.stderr


def test_other_contents_of_the_files_that_a_run_took_up_are_refused(project):
    (project.folder / "POSCAR").write_text(POSCAR)
    project.param["explore"]["configurations"].append({"type": "file", "files": "POSCAR", "fmt": "vasp/poscar"})
    assert project.run("--once").returncode == 3
    (project.folder / "POSCAR").write_text(POSCAR.replace("3.8 0 0", "3.9 0 0"))
    energies = project.folder / "data/Al2Cu2/set.000/energy.npy"
    np.save(energies, np.load(energies) + 1)
    done = project.run()
    assert done.returncode == 2
    assert f"'{project.folder}/POSCAR'" in done.stderr
    assert f"'{project.folder}/data/Al2Cu2'" in done.stderr


def test_data_that_were_only_touched_are_the_same_data(project):
    assert project.run("--once").returncode == 3
    (project.folder / "data/Al2Cu2/set.000/energy.npy").touch()
    done = project.run("--once")
    assert done.returncode in (0, 3), output(done)
