"""Any command between formats of dpdata: here a small program of the test's own."""

import sys

import numpy as np
import pytest
from labelers import FCC, SKEWED, Sample, context, made, prepared, rattled, run

from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.gate import Gate

ALLOY = rattled(("Al", "Al", "Cu", "Cu"), SKEWED, FCC)

PROGRAM = """
import sys, dpdata
from ase.calculators.emt import EMT
system = dpdata.System("POSCAR", fmt="vasp/poscar").predict(calculator=EMT(), driver="ase")
for _ in range(int(open("times").read()) - 1):
    system.append(system.sub_system([0]))
system.to("deepmd/npy", "label")
"""


def settings(folder, times=1, **more):
    (folder / "program.py").write_text(PROGRAM)
    (folder / "times").write_text(f"{times}\n")
    config = {
        "input_fmt": "vasp/poscar",
        "input_fn": "POSCAR",
        "output_fmt": "deepmd/npy",
        "output_fn": "label",
        "files": ["program.py", "times"],
        "virial": True,
        **more,
    }
    return {"inputs_config": config, "run_config": {"command": f"{sys.executable} program.py"}}


OUT = "vasp/outcar"


def vasp_settings(folder):
    import test_vasp_labels as vasp

    (folder / "POTCAR").write_text(vasp.fake_potcar("Al") + vasp.fake_potcar("Cu"))
    (folder / "INCAR").write_text("EDIFF = 1E-6\n")
    more = {"files": ["POTCAR", "INCAR"], "output_fmt": OUT, "output_fn": "OUTCAR"}
    return {**settings(folder, **more), "run_config": {"command": "vasp"}}


def good(task):
    import test_vasp_labels as vasp

    vasp.ran(task)


def bad(task):
    (task / "INCAR").unlink()
    (task / "INCAR").write_text("NELM = 3\n")
    good(task)


SAMPLE = Sample(settings=vasp_settings, frame=ALLOY, good=good, bad=bad, output="OUTCAR", type_map=("Al", "Cu"))


@pytest.fixture
def asked(tmp_path):
    def go(**more):
        labeler = made("custom", settings(tmp_path, **more), tmp_path)
        assert list(labeler.checks(context("Al", "Cu"))) == []
        task = prepared(labeler, ALLOY, tmp_path / "s" / "t")
        assert run(labeler, task) == 0, (task / "task.log").read_text()
        return Gate().read(labeler, task, ALLOY)

    return go


def test_the_label_is_what_the_command_computed_on_the_frames_own_axes(asked):
    from ase import Atoms
    from ase.calculators.emt import EMT

    labels = asked()
    atoms = Atoms(ALLOY.symbols, ALLOY.coords, cell=ALLOY.cell, pbc=True, calculator=EMT())
    assert labels.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
    np.testing.assert_allclose(labels.forces, atoms.get_forces(), atol=1e-7)
    np.testing.assert_allclose(labels.virial, -atoms.get_stress(voigt=False) * atoms.get_volume(), atol=1e-6)


def test_two_frames_are_not_the_one_that_was_asked_for(asked):
    with pytest.raises(LabelRefused, match="holds 2 frames"):
        asked(times=2)


def test_no_output_is_said(tmp_path):
    labeler = made("custom", settings(tmp_path), tmp_path)
    with pytest.raises(OutputError, match="there is no label in 'label'"):
        labeler.read_labels(prepared(labeler, ALLOY, tmp_path / "s" / "t"))


@pytest.mark.parametrize(
    ("more", "key", "says"),
    [
        ({"input_fmt": "vasp/poscra"}, "input_fmt", "cannot write frames"),
        ({"input_fmt": "vasp/outcar"}, "input_fmt", "cannot write frames"),
        ({"output_fmt": "vasp/poscar"}, "output_fmt", "cannot read labels"),
        ({"input_fn": "../POSCAR"}, "input_fn", "name of a file"),
        ({"output_fn": ".."}, "output_fn", "name of a file"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_submitted(tmp_path, more, key, says):
    [(path, text)] = made("custom", settings(tmp_path, **more), tmp_path).checks(context("Al", "Cu"))
    assert path == ("inputs_config", key)
    assert says in text


def test_missing_files_and_an_empty_command_are_named(tmp_path):
    given = {**settings(tmp_path, files=["none"]), "run_config": {"command": " "}}
    found = [path for path, _ in made("custom", given, tmp_path).checks(context("Al"))]
    assert found == [("inputs_config", "files", 0), ("run_config", "command")]
