"""The examples of param.json are understood; a labeler that is not there yet is the only thing that may be said."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from labelers import UPF_1, fake_potcar

from dpgen2_hpc import kinds
from dpgen2_hpc.data.dataset import write_labels
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.explore.configurations.geometry import density, nearest_distance
from dpgen2_hpc.inputs.param import load_param, root

ROOT = Path(__file__).resolve().parents[2] / "input_examples"
AL_MG = ["param.json", "manual-2022.json", "older.json"]

EXAMPLES = {
    "al-mg-vasp": AL_MG,
    "si-qe": ["param.json"],
    "water-cp2k": ["param.json"],
}
DATA = {
    "al-mg-vasp": ["path/to/init/data/system/0", "path/to/init/data/system/1"],
    "si-qe": ["data"],
    "water-cp2k": ["data"],
}
ELEMENTS = {"al-mg-vasp": ("Al", "Mg"), "si-qe": ("Si",), "water-cp2k": ("O", "H")}

PSEUDO = {
    "al-mg-vasp": {f"vasp/POTCAR.{name}": fake_potcar(name) for name in ("Al", "Mg")},
    "si-qe": {"pseudo/Si.upf": UPF_1.format("Si")},
    "water-cp2k": {},
}
"""The site's own pseudopotentials, which no example brings."""


def copied(name, folder):
    """A copy of an example with data of its own."""
    shutil.copytree(ROOT / name, folder / name)
    rng = np.random.default_rng(1)
    for path in DATA[name]:
        frame = Frame(ELEMENTS[name] * 2, rng.random((2 * len(ELEMENTS[name]), 3)) * 5, np.eye(3) * 5)
        label = Labels(frame, -1.0, rng.random(frame.coords.shape), np.eye(3))
        (folder / name / path).mkdir(parents=True)
        write_labels(folder / name / path, [label], ELEMENTS[name])
    for path, text in PSEUDO[name].items():
        (folder / name / path).parent.mkdir(exist_ok=True)
        (folder / name / path).write_text(text)
    return folder / name


def load(path):
    return load_param(path, {}, old_compatible=path.name == "older.json")


def test_every_example_is_among_those_that_are_loaded():
    there = {
        f"{path.parent.name}/{path.name}"
        for path in ROOT.glob("*/*.json")
        if "init_data_sys" in path.read_text() and path.parent.name != "al-cu-emt"
    }
    assert there == {f"{name}/{file}" for name, files in EXAMPLES.items() for file in files}
    readme = (ROOT / "README.md").read_text()
    assert [entry for entry in there if f"`{entry}`" not in readme] == []


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in EXAMPLES.items() for file in files])
def test_an_example_is_understood(name, file, tmp_path):
    assert load(copied(name, tmp_path) / file).settings.fp_type == name.rpartition("-")[2]


def test_aluminium_magnesium_means_the_same_in_each_dialect(tmp_path):
    folder = copied("al-mg-vasp", tmp_path)
    values = [load(folder / file).value for file in AL_MG]
    assert values[0] == values[1] == values[2]
    assert set(values[0]) <= set(root().sub_fields)


def test_the_water_of_the_example_is_water(tmp_path):
    from dpgen2_hpc.explore.configurations.reading import read

    (frame,) = read(str(ROOT / "water-cp2k/start/water.poscar"), "vasp/poscar")
    assert density(frame, {"O": 15.999, "H": 1.008}) == pytest.approx(1.0, abs=0.01)
    assert nearest_distance(frame) == pytest.approx(0.957, abs=0.001)


def test_the_silicon_of_the_example_is_silicon():
    value = json.loads((ROOT / "si-qe/param.json").read_text())["explore"]["configurations"][0]
    source = kinds.load("configurations", "alloy").from_settings(
        {**value, "concentration": None, "cell_pert_frac": 0.0, "atom_pert_dist": 0.0}
    )
    frame = source.generate(("Si",), np.random.default_rng(0))[0]
    assert len(frame.symbols) == 54
    assert density(frame, {"Si": 28.086}) == pytest.approx(2.33, abs=0.01)
    assert nearest_distance(frame) == pytest.approx(2.35, abs=0.01)
