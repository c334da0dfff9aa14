"""Labels by ASE: the real program on a real calculator, against ASE itself and against differences of energies."""

import json
import subprocess
import sys

import numpy as np
import pytest
from labelers import Sample

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.ase import INPUT, OUTPUT, AseLabeler, label, main
from dpgen2_hpc.fp.gate import Gate
from dpgen2_hpc.kinds import CheckContext

EMT = "ase.calculators.emt.EMT"
RNG = np.random.default_rng(3)
CELL = np.array([[3.7, 0.1, 0.0], [0.0, 3.6, 0.2], [-0.1, 0.0, 3.8]])
FRACTIONS = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) + RNG.normal(0, 0.02, (4, 3))
FRAME = Frame(("Al", "Cu", "Cu", "Al"), FRACTIONS @ CELL, CELL)
CLUSTER = Frame(FRAME.symbols, FRAME.coords, FRAME.cell, periodic=False)


def answer(task, **more):
    content = label(json.loads((task / INPUT).read_text()))
    (task / OUTPUT).write_text(json.dumps({**content, **more}))


SAMPLE = Sample(
    settings=lambda folder: {"inputs_config": {"calculator": EMT}},
    frame=FRAME,
    good=answer,
    bad=lambda task: answer(task, converged=False, message="60 cycles"),
    output=OUTPUT,
    type_map=("Al", "Cu"),
)


def asked(frame, tmp_path, **more):
    """Write the question, answer it here, and read the answer."""
    labeler = AseLabeler(**{"calculator": EMT, **more})
    assert labeler.write_inputs(frame, tmp_path) == [INPUT]
    (tmp_path / OUTPUT).write_text(json.dumps(label(json.loads((tmp_path / INPUT).read_text()))))
    return Gate().read(labeler, tmp_path, frame)


def energy(cell):
    """The energy of the frame in another cell, by ASE alone."""
    from ase import Atoms
    from ase.calculators.emt import EMT as Calculator

    return Atoms(FRAME.symbols, FRACTIONS @ cell, cell=cell, pbc=True, calculator=Calculator()).get_potential_energy()


# ---- a good label


def test_two_types_of_an_element_are_that_element_for_ase(tmp_path):
    types = Frame(("Al1", "Cu", "Cu", "Al2"), FRAME.coords, CELL)
    labels = asked(types, tmp_path)
    assert labels.energy == pytest.approx(energy(CELL))
    assert labels.frame.symbols == types.symbols


def test_the_program_writes_what_ase_says(tmp_path):
    from ase import Atoms
    from ase.calculators.emt import EMT as Calculator

    labeler = AseLabeler(EMT)
    labeler.write_inputs(FRAME, tmp_path)
    done = subprocess.run(
        labeler.command_line(()), shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found = Gate().read(labeler, tmp_path, FRAME)
    atoms = Atoms(FRAME.symbols, FRAME.coords, cell=CELL, pbc=True, calculator=Calculator())
    assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
    np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=1e-12)
    np.testing.assert_allclose(found.virial, -atoms.get_stress(voigt=False) * atoms.get_volume(), atol=1e-12)
    assert np.abs(found.forces).max() > 0.1


def test_the_virial_is_minus_the_derivative_of_the_energy_with_the_strain(tmp_path):
    """So that a compressed cell has a positive one."""
    virial = asked(FRAME, tmp_path).virial
    step = 1e-5
    for row in range(3):
        for column in range(row, 3):
            strain = np.zeros((3, 3))
            strain[row, column] += step / 2
            strain[column, row] += step / 2
            slope = (energy(CELL @ (np.eye(3) + strain)) - energy(CELL @ (np.eye(3) - strain))) / (2 * step)
            assert virial[row, column] == pytest.approx(-slope, abs=1e-4)


def test_a_compressed_cell_has_a_positive_virial(tmp_path):
    small = Frame(FRAME.symbols, FRACTIONS @ CELL * 0.95, CELL * 0.95)
    assert np.trace(asked(small, tmp_path).virial) > 0


def test_the_forces_are_minus_the_gradient_of_the_energy(tmp_path):
    found = asked(FRAME, tmp_path)
    moved = FRAME.coords.copy()
    moved[1, 2] += 1e-4
    other = asked(Frame(FRAME.symbols, moved, CELL), tmp_path)
    assert (other.forces[1, 2] + found.forces[1, 2]) / 2 == pytest.approx(
        -(other.energy - found.energy) / 1e-4, abs=1e-4
    )


def test_a_cluster_has_no_virial_and_another_energy(tmp_path):
    found = asked(CLUSTER, tmp_path)
    assert (found.virial, found.frame.periodic) == (None, False)
    assert found.energy != pytest.approx(asked(FRAME, tmp_path).energy, abs=1e-3)


def test_keyword_arguments_reach_the_calculator(tmp_path):
    short = asked(FRAME, tmp_path, calculator="ase.calculators.lj.LennardJones", kwargs={"sigma": 2.0, "rc": 3.0})
    long = asked(FRAME, tmp_path, calculator="ase.calculators.lj.LennardJones", kwargs={"sigma": 2.0, "rc": 5.0})
    assert short.energy != pytest.approx(long.energy, abs=1e-3)


def test_a_calculator_without_stress_gives_labels_without_virial(tmp_path, calculators):
    assert asked(FRAME, tmp_path, calculator="poor.Stressless").virial is None


def test_the_energy_is_the_one_whose_gradient_the_forces_are(tmp_path, calculators):
    assert asked(FRAME, tmp_path, calculator="poor.Smeared").energy == 0.9
    assert asked(FRAME, tmp_path, calculator="poor.Stressless").energy == 1.0


def test_a_bare_refusal_of_the_stress_is_one_too(tmp_path, calculators):
    assert asked(FRAME, tmp_path, calculator="poor.Smeared").virial is None


def test_coordinates_go_to_the_program_and_back_without_losing_a_digit(tmp_path):
    AseLabeler(EMT).write_inputs(FRAME, tmp_path)
    question = json.loads((tmp_path / INPUT).read_text())
    np.testing.assert_array_equal(question["coords"], FRAME.coords)
    np.testing.assert_array_equal(question["cell"], FRAME.cell)


# ---- no label


@pytest.fixture
def calculators(tmp_path, monkeypatch):
    """Calculators that do not do what they should, in a module ``poor``."""
    (tmp_path / "poor.py").write_text("""
import numpy as np
from ase.calculators.calculator import Calculator, CalculationFailed, PropertyNotImplementedError, SCFError, all_changes

class Stressless(Calculator):
    implemented_properties = ["energy", "forces"]
    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 1.0, "forces": np.zeros((len(atoms), 3))}

class Smeared(Stressless):
    # its energy is extrapolated to no smearing; the forces belong to the free energy
    implemented_properties = ["energy", "free_energy", "forces"]
    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["free_energy"] = 0.9
    def get_stress(self, atoms=None):
        raise NotImplementedError("no stress in this mode")

class Unconverged(Stressless):
    def calculate(self, *args, **kwargs):
        raise SCFError("60 cycles")

class Failed(Stressless):
    def calculate(self, *args, **kwargs):
        raise CalculationFailed("the code said no")

class Absurd(Stressless):
    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["energy"] = float("nan")
""")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("poor", None)


@pytest.mark.parametrize(("name", "says"), [("Unconverged", "60 cycles"), ("Failed", "the code said no")])
def test_what_did_not_converge_is_refused_with_the_calculators_own_words(tmp_path, calculators, name, says):
    with pytest.raises(LabelRefused, match=f"did not converge: {says}"):
        asked(FRAME, tmp_path, calculator=f"poor.{name}")


def test_a_label_that_is_not_a_number_is_refused(tmp_path, calculators):
    with pytest.raises(LabelRefused, match="not finite"):
        asked(FRAME, tmp_path, calculator="poor.Absurd")


def test_a_missing_output_is_no_label(tmp_path):
    AseLabeler(EMT).write_inputs(FRAME, tmp_path)
    with pytest.raises(OutputError, match="there is no 'output.json'"):
        AseLabeler(EMT).read_labels(tmp_path)


@pytest.mark.parametrize(
    "content", ["", '{"converged": tr', "{}", "[]", '{"converged": true, "symbols": ["Al"]}', "null"]
)
def test_an_output_that_is_not_whole_is_no_label(tmp_path, content):
    AseLabeler(EMT).write_inputs(FRAME, tmp_path)
    (tmp_path / OUTPUT).write_text(content)
    with pytest.raises(OutputError, match=OUTPUT):
        AseLabeler(EMT).read_labels(tmp_path)


def test_a_program_that_breaks_leaves_no_output(tmp_path, monkeypatch):
    AseLabeler("ase.calculators.emt.NoSuchThing").write_inputs(FRAME, tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AttributeError):
        main()
    assert not (tmp_path / OUTPUT).exists()


# ---- settings


def test_the_command_is_the_python_that_runs_the_driver_unless_another_is_named():
    assert AseLabeler(EMT).command_line(()) == f"{sys.executable} -m dpgen2_hpc.fp.ase"
    named = AseLabeler.from_settings(
        {"inputs_config": {"calculator": EMT, "kwargs": {}}, "run_config": {"command": "py3"}}
    )
    assert named.command_line(()) == "py3 -m dpgen2_hpc.fp.ase"


def test_nothing_is_shared():
    assert AseLabeler(EMT).shared() == {}


@pytest.mark.parametrize("name", ["EMT", "", ".EMT", "ase."])
def test_a_calculator_without_a_module_is_a_problem_before_anything_is_submitted(name):
    context = CheckContext(("Al", "Cu"), (27.0, 63.5), 4)
    assert [path for path, _ in AseLabeler(name).checks(context)] == [("inputs_config", "calculator")]
    assert list(AseLabeler(EMT).checks(context)) == []
