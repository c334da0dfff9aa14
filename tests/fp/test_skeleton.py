"""The labeler in `docs/` that contributors copy: it works as it stands there."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.gate import Gate
from dpgen2_hpc.kinds import CheckContext, registry

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
lines = [line.split() for line in open(sys.argv[1])]
cell = [list(map(float, line[1:])) for line in lines if line[0] == "cell"]
atoms = [(line[1], list(map(float, line[2:]))) for line in lines if line[0] == "atom"]
forces = [[-0.5 * x for x in place] for _, place in atoms]  # a spring of 0.5 eV/Å² to the origin
energy = sum(0.25 * x * x for _, place in atoms for x in place)
v = cell[0][0] * cell[1][1] * cell[2][2]
stress = [[sum(-f[i] * p[j] for f, (_, p) in zip(forces, atoms)) / v for j in range(3)] for i in range(3)]
with open(sys.argv[2], "w") as out:
    print(f"energy {energy:.10f}", file=out)
    for row in cell: print("cell", *(f"{x:.10f}" for x in row), file=out)
    for (name, place), force in zip(atoms, forces): print("atom", name, *(f"{x:.10f}" for x in place + force), file=out)
    for row in stress: print("stress", *(f"{x:.12f}" for x in row), file=out)
    print("end", file=out)
"""


@pytest.fixture(scope="module")
def skeleton():
    place = importlib.util.spec_from_file_location("skeleton_labeler", ROOT / "docs/skeleton_labeler.py")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module.MyLabeler


def frame(coords, cell=np.eye(3) * 4.0):
    return Frame(("Al", "Cu"), np.array(coords, float), np.array(cell, float))


@pytest.fixture
def labelled(skeleton, tmp_path):
    """Return a function that labels a frame with a program that computes springs."""
    (tmp_path / "mycode.py").write_text(PROGRAM)
    settings = {"inputs_config": {"cutoff": 300.0}, "run_config": {"command": f"{sys.executable} -S ../mycode.py"}}
    kind = skeleton.from_settings(settings)

    def label(wanted):
        folder = tmp_path / "task"
        folder.mkdir(exist_ok=True)
        assert kind.write_inputs(wanted, folder) == ["job.txt"]
        subprocess.run(kind.command_line(()), shell=True, cwd=folder, check=True, timeout=20)
        return Gate().read(kind, folder, wanted), folder

    return kind, label


def test_it_is_what_another_package_may_offer(skeleton):
    assert registry._misfit(skeleton, registry.FAMILIES["fp"]) is None
    assert list(skeleton(300.0).checks(CheckContext(("Al", "Cu", "Mg"), (27, 64, 24), 4))) != []


def test_its_labels_are_those_of_a_hand_calculation_and_of_finite_differences(labelled):
    _, label = labelled
    wanted = frame([[1.0, 0.5, 0.2], [2.0, 2.5, 1.0]])
    found, _ = label(wanted)
    assert found.energy == pytest.approx(0.25 * np.sum(wanted.coords**2))
    np.testing.assert_allclose(found.forces, -0.5 * wanted.coords, atol=1e-9)
    small = 1e-3
    moved = [label(frame(wanted.coords + sign * small * np.eye(2, 3)))[0].energy for sign in (1, -1)]
    assert -(moved[0] - moved[1]) / (2 * small) == pytest.approx(found.forces[0, 0] + found.forces[1, 1], abs=1e-6)
    strained = []
    for sign in (1, -1):
        strain = np.diag([1 + sign * small, 1, 1])
        strained.append(label(frame(wanted.coords @ strain, wanted.cell @ strain))[0].energy)
    assert -(strained[0] - strained[1]) / (2 * small) == pytest.approx(found.virial[0, 0], abs=1e-6)


def test_what_is_not_whole_or_not_converged_is_no_label(labelled):
    kind, label = labelled
    _, folder = label(frame([[1.0, 0.5, 0.2], [2.0, 2.5, 1.0]]))
    text = (folder / "job.out").read_text()
    for cut in (text[:-4], text[: len(text) // 2], ""):
        (folder / "job.out").write_text(cut)
        with pytest.raises(OutputError):
            kind.read_labels(folder)
    (folder / "job.out").write_text("no convergence\n" + text)
    with pytest.raises(LabelRefused, match="not converged"):
        kind.read_labels(folder)
