"""Gaussian: a real output of Gaussian 09, which the package goodvibes ships, cut to its first geometry."""

import numpy as np
import pytest
from fetched import archive
from labelers import Sample, context, made, prepared

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.gate import Gate
from dpgen2_hpc.fp.gaussian import INPUT, OUTPUT, GaussianLabeler

# The molecule of H2O.out, as its input orientation has it.
WATER = Frame(
    ("O", "H", "H"),
    np.array([[-1.191336, 1.570397, 0.0], [-0.231336, 1.570397, 0.0], [-1.511790, 2.475333, 0.0]]),
    np.eye(3) * 100,
    periodic=False,
)
END = " Normal termination of Gaussian 09 at Thu Mar 17 13:22:32 2016.\n"

# The lines of that output that a label is read from.
PRINTED = (
    """ Entering Gaussian System, Link 0=g09
 Entering Link 1 = /mnt/data/applications/G09/g09/l1.exe PID=     28825.
                          Input orientation:
 ---------------------------------------------------------------------
 Center     Atomic      Atomic             Coordinates (Angstroms)
 Number     Number       Type             X           Y           Z
 ---------------------------------------------------------------------
      1          8           0       -1.191336    1.570397    0.000000
      2          1           0       -0.231336    1.570397    0.000000
      3          1           0       -1.511790    2.475333    0.000000
 ---------------------------------------------------------------------
 SCF Done:  E(RB97D) =  -76.3669703679     A.U. after   11 cycles
 -------------------------------------------------------------------
 Center     Atomic                   Forces (Hartrees/Bohr)
 Number     Number              X              Y              Z
 -------------------------------------------------------------------
      1        8          -0.014465349   -0.020467995    0.000000000
      2        1           0.008417135    0.009396903    0.000000000
      3        1           0.006048213    0.011071092    0.000000000
 -------------------------------------------------------------------
 Cartesian Forces:  Max     0.020467995 RMS     0.010254999
"""
    + END
)  # fmt: skip


FORCES = PRINTED[PRINTED.index(" " + "-" * 67 + "\n Center     Atomic   ") : PRINTED.index(" Cartesian F")]


def settings(folder, **more):
    return {"inputs_config": {"keywords": "force b97d/6-31g*", "multiplicity": 1, **more}}


SAMPLE = Sample(
    settings=settings,
    frame=WATER,
    good=lambda task: (task / OUTPUT).write_text(PRINTED),
    bad=lambda task: (task / OUTPUT).write_text(PRINTED.replace(" SCF Done", " Convergence failure -- run terminated.\n SCF Done")),
    output=OUTPUT,
    type_map=("O", "H"),
)  # fmt: skip


@pytest.fixture
def labeler(tmp_path):
    return made("gaussian", settings(tmp_path), tmp_path)


def read(text, folder, labeler):
    (folder / OUTPUT).write_text(text)
    return Gate().read(labeler, folder, WATER)


def test_the_input_has_route_spin_and_molecule(labeler, tmp_path):
    lines = (prepared(labeler, WATER, tmp_path / "s" / "t") / INPUT).read_text().splitlines()
    assert "#force b97d/6-31g* geom=PrintInputOrient" in lines
    assert "0 1" in lines
    assert [line.split()[0] for line in lines if line.startswith(("O ", "H "))] == ["O", "H", "H"]
    assert not any(line.startswith("TV") for line in lines)


def test_energy_and_forces_are_converted_by_hand(labeler, tmp_path):
    labels = read(PRINTED, tmp_path, labeler)
    assert labels.energy == pytest.approx(-76.3669703679 * 27.2113862, abs=1e-5)
    assert labels.forces[0, 1] == pytest.approx(-0.020467995 * 27.2113862 / 0.52917721, abs=1e-6)
    assert labels.virial is None


@pytest.mark.parametrize("names", [("E2", "EUMP2"), ("E2(B2PLYP)", "E(B2PLYP)")])
def test_forces_of_perturbation_theory_come_with_its_energy(labeler, tmp_path, names):
    line = f" {names[0]} =    -0.7289884541D+00 {names[1]} =    -0.77095958822D+02\n"
    labels = read(PRINTED.replace(FORCES, line + FORCES), tmp_path, labeler)
    assert labels.energy == pytest.approx(-77.095958822 * 27.2113862, abs=1e-5)


def test_a_dipole_orientation_is_none_of_the_atoms(labeler, tmp_path):
    text = PRINTED.replace(
        END, "\n Dipole orientation:\n     8         0.00000000          0.00000000          1.2\n" + END
    )
    assert read(text, tmp_path, labeler).energy == read(PRINTED, tmp_path, labeler).energy


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (PRINTED.replace(END, " Error termination via Lnk1e in l502.exe\n"), OutputError, "does not end normally"),
        (PRINTED + PRINTED, LabelRefused, "more runs than there are routes"),
        (PRINTED.replace("-76.3669703679", "NaN"), LabelRefused, "not a number"),
        (PRINTED[: PRINTED.index(" Center     Atomic                   Forces")] + END, LabelRefused, "has no forces"),
        (PRINTED.replace(END, FORCES + END), LabelRefused, "forces of 2 steps"),
        (
            PRINTED.replace(FORCES, " DE(Corr)= -0.70  E(CORR)=  -77.1  Delta= 1.9D-05\n" + FORCES),
            LabelRefused,
            "not read",
        ),
    ],
)
def test_what_is_no_label_is_none(labeler, tmp_path, text, error, says):
    with pytest.raises(error, match=says):
        read(text, tmp_path, labeler)


@pytest.mark.parametrize(
    ("more", "key", "says"),
    [
        ({"keywords": "opt b3lyp/6-31g*"}, "keywords", "force"),
        ({"keywords": []}, "keywords", "force"),
        ({"multiplicity": "two"}, "multiplicity", "number or auto"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_submitted(tmp_path, more, key, says):
    [(path, text)] = made("gaussian", settings(tmp_path, **more), tmp_path).checks(context("O", "H"))
    assert path == ("inputs_config", key)
    assert says in text


def test_a_spin_from_fragments_needs_openbabel(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    [(_, text)] = made("gaussian", settings(tmp_path, multiplicity="auto"), tmp_path).checks(context("O"))
    assert "openbabel" in text


def test_a_command_may_follow(tmp_path):
    given = {**settings(tmp_path), "run_config": {"command": "g09", "post_command": "formchk x.chk"}}
    assert made("gaussian", given, tmp_path).command_line(()) == f"g09 {INPUT} && formchk x.chk"


@pytest.fixture(scope="session")
def goodvibes():
    """Outputs of Gaussian 09 and 16 that the package goodvibes ships."""
    return archive("goodvibes") / "goodvibes/examples"


@pytest.mark.slow
def test_a_real_output_has_the_label_of_its_last_geometry_and_not_of_its_first(goodvibes, tmp_path):
    text = (goodvibes / "H2O.out").read_text()
    (tmp_path / OUTPUT).write_text(text)
    steps = ("opt",) * 3 + ("freq force",)
    labels = GaussianLabeler(steps, 1, {}).read_labels(tmp_path)
    assert labels.energy == pytest.approx(-76.3681281356 * 27.2113862, abs=1e-4)
    assert np.abs(labels.forces).max() < 0.01  # it has relaxed
    with pytest.raises(LabelRefused, match="from where it was asked"):
        Gate().read(GaussianLabeler(steps, 1, {}), tmp_path, WATER)


@pytest.mark.slow
def test_the_first_geometry_of_a_real_output_is_what_stands_above(goodvibes, tmp_path, labeler):
    text = (goodvibes / "H2O.out").read_text()
    first = text[: text.index(" Cartesian Forces:  Max")] + END
    real, short = read(first, tmp_path, labeler), read(PRINTED, tmp_path, labeler)
    assert real.energy == short.energy
    np.testing.assert_array_equal(real.forces, short.forces)
