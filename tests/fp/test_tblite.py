"""tblite's GFN1-xTB through the labeler of ASE: quantum mechanics whose every digit a test can differentiate."""

from dataclasses import replace

import numpy as np
import pytest
from labelers import made, prepared, run
from programs import need_package

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import LabelRefused
from dpgen2_hpc.fp.gate import GPA, Gate

pytestmark = pytest.mark.programs

TBLITE = {"method": "GFN1-xTB", "verbosity": 0}
CELL = np.array([[5.0, 0.3, 0.0], [0.0, 4.8, 0.0], [0.0, -0.4, 5.2]])
CRYSTAL = Frame(("O", "H", "H"), np.array([[0.1, 0, 0], [0.86, 0.59, 0], [-0.6, 0.62, 0.1]]), CELL)
MOLECULE = replace(CRYSTAL, periodic=False)


@pytest.fixture
def labelled(tmp_path):
    """Label a frame as a task does, and read it through the gate."""
    need_package("tblite")

    def go(frame, **more):
        given = {"inputs_config": {"calculator": "tblite.ase.TBLite", "kwargs": {**TBLITE, **more}}}
        labeler = made("ase", given, tmp_path)
        task = prepared(labeler, frame, tmp_path / "s" / f"task.{frame.periodic}")
        assert run(labeler, task) == 0
        return Gate().read(labeler, task, frame)

    return go


def energy(frame):
    """The energy by tblite's own interface, without ASE: numbers of atoms, Bohr, Hartree."""
    from tblite.interface import Calculator

    bohr, hartree = 0.529177210903, 27.211386245988
    numbers = np.array([{"O": 8, "H": 1}[symbol] for symbol in frame.symbols])
    box = {"lattice": frame.cell / bohr, "periodic": np.ones(3, bool)} if frame.periodic else {}
    calculator = Calculator("GFN1-xTB", numbers, frame.coords / bohr, **box)
    calculator.set("verbosity", 0)
    return calculator.singlepoint().get("energy") * hartree


def strained(frame, strain):
    return replace(frame, coords=frame.coords @ (np.eye(3) + strain), cell=frame.cell @ (np.eye(3) + strain))


@pytest.mark.parametrize("frame", [MOLECULE, CRYSTAL], ids=["molecule", "crystal"])
def test_energy_and_forces_are_those_of_tblite_itself(labelled, frame):
    found, step = labelled(frame), 1e-3
    assert found.energy == pytest.approx(energy(frame), abs=1e-5)  # the units differ in the ninth digit
    assert np.abs(found.forces).max() > 0.1
    for atom, axis in ((0, 1), (2, 0)):
        shift = np.zeros((3, 3))
        shift[atom, axis] = step
        rise = energy(replace(frame, coords=frame.coords + shift)) - energy(replace(frame, coords=frame.coords - shift))
        assert found.forces[atom, axis] == pytest.approx(-rise / (2 * step), abs=1e-3)


def test_a_molecule_has_no_virial_and_a_crystal_that_of_the_strain(labelled):
    assert labelled(MOLECULE).virial is None
    virial, step = labelled(CRYSTAL).virial, 1e-3
    for row, column in ((0, 0), (1, 1), (1, 2)):
        strain = np.zeros((3, 3))
        strain[row, column] += step / 2
        strain[column, row] += step / 2
        slope = (energy(strained(CRYSTAL, strain)) - energy(strained(CRYSTAL, -strain))) / (2 * step)
        assert virial[row, column] == pytest.approx(-slope, abs=2e-3)
    assert np.abs(virial).max() / np.linalg.det(CELL) * GPA > 0.1


@pytest.mark.parametrize("frame", [MOLECULE, CRYSTAL], ids=["molecule", "crystal"])
def test_a_cycle_that_ends_too_early_is_refused_in_tblites_words(labelled, frame):
    with pytest.raises(LabelRefused, match="did not converge: SCF not converged in 3 cycles"):
        labelled(frame, max_iterations=3)
