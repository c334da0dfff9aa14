"""A teacher model as first principles: with a stand-in for DeePMD-kit, and with a real model against dpdata."""

import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from labelers import FCC, SKEWED, Sample, context, made, prepared, rattled, run
from programs import need
from project import TEMPLATE, write_initial_data

from dpgen2_hpc.fp.answers import INPUT, OUTPUT
from dpgen2_hpc.fp.deepmd import label
from dpgen2_hpc.fp.gate import Gate

ALLOY = rattled(("Al", "Cu", "Al", "Cu"), SKEWED, FCC)


class Springs:
    """Speaks as ``deepmd.infer.DeepPot``: atoms on springs to the origin, stronger by type."""

    def get_type_map(self):
        return ["Cu", "O", "Al"]

    def eval(self, coords, cells, types):
        assert cells is None or cells.shape == (1, 9)
        strength = 0.1 * (1 + np.array(types))[:, None]
        places = coords.reshape(-1, 3)
        forces = -strength * places
        energy = (strength * places**2).sum() / 2
        return np.array([[energy]]), forces[None], (places.T @ forces).reshape(1, 9)


def settings(folder):
    (folder / "teacher.pb").write_text("a model\n")
    return {"run_config": {"teacher_model_path": "teacher.pb"}}


def answer(task, **more):
    content = label(json.loads((task / INPUT).read_text()), Springs())
    (task / OUTPUT).write_text(json.dumps({**content, **more}))


SAMPLE = Sample(
    settings=settings,
    frame=ALLOY,
    good=answer,
    bad=lambda task: answer(task, energy=float("nan")),
    output=OUTPUT,
    type_map=("Al", "Cu"),
)


def test_types_are_those_of_the_teacher(tmp_path):
    task = prepared(made("deepmd", settings(tmp_path), tmp_path), ALLOY, tmp_path / "s" / "t")
    answer(task)
    labels = Gate().read(made("deepmd", settings(tmp_path), tmp_path), task, ALLOY)
    strength = np.array([0.3, 0.1, 0.3, 0.1])[:, None]
    np.testing.assert_allclose(labels.forces, -strength * ALLOY.coords)


def test_a_molecule_has_no_cell_and_no_virial(tmp_path):
    labeler, molecule = made("deepmd", settings(tmp_path), tmp_path), replace(ALLOY, periodic=False)
    task = prepared(labeler, molecule, tmp_path / "s" / "t")
    answer(task)
    assert Gate().read(labeler, task, molecule).virial is None


def test_an_element_that_the_teacher_does_not_know_is_named(tmp_path):
    strange = replace(ALLOY, symbols=("Al", "Cu", "Mg", "Cu"))
    task = prepared(made("deepmd", settings(tmp_path), tmp_path), strange, tmp_path / "s" / "t")
    with pytest.raises(SystemExit, match="does not know Mg; it knows Cu, O, Al"):
        answer(task)


def test_the_teacher_must_be_there(tmp_path):
    labeler = made("deepmd", {"run_config": {"teacher_model_path": "none.pb"}}, tmp_path)
    [(path, text)] = labeler.checks(context("Al"))
    assert path == ("run_config", "teacher_model_path")
    assert "there is no file" in text


def test_the_teacher_is_a_file(tmp_path):
    labeler = made("deepmd", {"run_config": {"teacher_model_path": "."}}, tmp_path)
    assert [path for path, _ in labeler.checks(context("Al"))] == [("run_config", "teacher_model_path")]


def test_another_python_may_have_the_teachers_program(tmp_path):
    given = {"run_config": {"teacher_model_path": "t.pb", "command": "singularity run dp.sif python3"}}
    assert made("deepmd", given, tmp_path).command_line(()) == "singularity run dp.sif python3 -m dpgen2_hpc.fp.deepmd"


@pytest.mark.programs
@pytest.mark.slow
def test_a_real_teacher_gives_what_dpdatas_driver_gives(tmp_path):
    import dpdata

    path = need("dp")
    write_initial_data(tmp_path / "data")
    content = {
        **TEMPLATE,
        "model": {**TEMPLATE["model"], "type_map": ["Al", "Cu"]},
        "training": {"numb_steps": 2, "training_data": {"systems": ["data/Al2Cu2"], "batch_size": 1}},
    }
    (tmp_path / "input.json").write_text(json.dumps(content))
    for words in (["dp", "train", "input.json"], ["dp", "freeze", "-o", "teacher.pb"]):
        subprocess.run(words, cwd=tmp_path, check=True, env={"PATH": path, "OMP_NUM_THREADS": "1"}, timeout=100)
    labeler = made("deepmd", {"run_config": {"teacher_model_path": "teacher.pb"}}, tmp_path)
    task = prepared(labeler, ALLOY, tmp_path / "s" / "t")
    assert run(labeler, task) == 0, (task / "task.log").read_text()
    labels = Gate().read(labeler, task, ALLOY)
    names = ["Al", "Cu"]
    system = dpdata.System(
        data={
            "atom_names": names,
            "atom_numbs": [2, 2],
            "atom_types": np.array([0, 1, 0, 1]),
            "cells": ALLOY.cell[None],
            "coords": ALLOY.coords[None],
            "orig": np.zeros(3),
        }
    )
    data = system.predict(str(tmp_path / "teacher.pb"), driver="dp").data
    assert labels.energy == pytest.approx(data["energies"][0], abs=1e-6)
    np.testing.assert_allclose(labels.forces, data["forces"][0], atol=1e-6)
    np.testing.assert_allclose(labels.virial, data["virials"][0], atol=1e-6)
