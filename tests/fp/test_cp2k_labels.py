"""CP2K: real runs where it is installed, and what it printed when it did not converge."""

from dataclasses import replace

import numpy as np
import pytest
from labelers import Sample, context, made, prepared, run
from programs import CP2K_DATA, need

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.cp2k import INPUT, OUTPUT, Cp2kLabeler
from dpgen2_hpc.fp.gate import Gate
from dpgen2_hpc.fp.sections import Section, merge, parse

CELL = np.array([[6.0, 0.3, 0.0], [0.0, 6.0, 0.0], [0.0, 0.0, 6.0]])
WATER = Frame(("O", "H", "H"), np.array([[3, 3, 3], [3.76, 3.59, 3], [2.24, 3.59, 3.0]]), CELL)

SECTIONS = {
    "FORCE_EVAL": {
        "METHOD": "QS",
        "DFT": {
            "BASIS_SET_FILE_NAME": "BASIS_MOLOPT",
            "POTENTIAL_FILE_NAME": "GTH_POTENTIALS",
            "MGRID": {"CUTOFF": 150},
            "SCF": {
                "EPS_SCF": 1e-5,
                "MAX_SCF": 100,
                "OT": {"MINIMIZER": "DIIS", "PRECONDITIONER": "FULL_SINGLE_INVERSE"},
            },
            "XC": {"XC_FUNCTIONAL PBE": {}},
        },
        "SUBSYS": {
            "KIND O": {"BASIS_SET": "SZV-MOLOPT-SR-GTH", "POTENTIAL": "GTH-PBE-q6"},
            "KIND H": {"BASIS_SET": "SZV-MOLOPT-SR-GTH", "POTENTIAL": "GTH-PBE-q1"},
        },
    }
}

# What CP2K 2023.1 printed for it, the lines between left out.
PRINTED = """
 CP2K| version string:                                       CP2K version 2023.1
 CELL_TOP| Vector a [angstrom     6.000     0.300     0.000   |a| =     6.007495
 CELL| Vector a [angstrom]:       6.000     0.300     0.000   |a| =     6.007495
 CELL| Vector b [angstrom]:       0.000     6.000     0.000   |b| =     6.000000
 CELL| Vector c [angstrom]:       0.000     0.000     6.000   |c| =     6.000000

 MODULE QUICKSTEP: ATOMIC COORDINATES IN ANGSTROM

   Atom Kind Element         X             Y             Z       Z(eff)     Mass
      1    1 O     8      3.000000      3.000000      3.000000   6.0000  15.9994
      2    2 H     1      3.760000      3.590000      3.000000   1.0000   1.0079
      3    2 H     1      2.240000      3.590000      3.000000   1.0000   1.0079

  *** SCF run converged in    17 steps ***

 ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:              -17.139410667267619

 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X              Y              Z
      1      1      O          -0.00042175    -0.04769299    -0.00990959
      2      2      H           0.08264380     0.04309458     0.00072434
      3      2      H          -0.08477593     0.05203537     0.01015046
 SUM OF ATOMIC FORCES          -0.00255388     0.04743697     0.00096521     0.04751547

 STRESS| Analytical stress tensor [GPa]
 STRESS|                        x                   y                   z
 STRESS|      x        4.24482975385E+00  -9.69969674257E-03  -1.31880434597E-01
 STRESS|      y       -9.69969674257E-03   2.30980012981E+00   1.23087590086E-01
 STRESS|      z       -1.31880434597E-01   1.23087590086E-01   1.37928610504E+00
 STRESS| 1/3 Trace                                             2.64463866290E+00
"""
UNCONVERGED = PRINTED.replace(
    "  *** SCF run converged in    17 steps ***", " *** WARNING in qs_scf.F:601 :: SCF run NOT converged ***"
)


ENDED = "  **** **** ******  **  PROGRAM ENDED AT                 2026-11-22 16:20:44.918\n"


def settings(folder, **more):
    return {"inputs_config": {"sections": SECTIONS, **more}}


SAMPLE = Sample(
    settings=settings,
    frame=WATER,
    good=lambda task: (task / OUTPUT).write_text(PRINTED),
    bad=lambda task: (task / OUTPUT).write_text(UNCONVERGED),
    output=OUTPUT,
    type_map=("O", "H"),
)


@pytest.fixture
def task(tmp_path):
    return prepared(made("cp2k", settings(tmp_path), tmp_path), WATER, tmp_path / "s" / "task")


def read(text, task, frame=WATER):
    (task / OUTPUT).write_text(text)
    return Gate().read(Cp2kLabeler(), task, frame)


# ---- inputs


def test_an_input_is_read_and_written_without_loss():
    text = "&GLOBAL\n  PROJECT x\n&END GLOBAL\n&FORCE_EVAL\n  &DFT\n    &XC\n      &XC_FUNCTIONAL PBE\n      &END XC_FUNCTIONAL\n    &END XC\n  &END DFT\n&END FORCE_EVAL\n"
    assert parse(text).text() == text
    assert parse("! no\n&global # yes\n project x\n&end").at("GLOBAL").value("PROJECT") == "x"


@pytest.mark.parametrize("text", ["&A\n", "&END\n", "&A ! &END\n"])
def test_an_input_that_is_not_whole_is_refused(text):
    with pytest.raises(ValueError, match="line|closed"):
        parse(text)


def test_values_are_put_over_a_template():
    root = parse("&DFT\n CUTOFF 100\n CUTOFF 200\n &XC A\n &END\n &KIND Al\n  Q 3\n &END\n&END\n")
    merge(root, {"dft": {"CUTOFF": [300], "UKS": True, "KIND Al": {"Q": 4}, "KIND Cu": {"Q": 11}, "XC B": {}}})
    dft = root.at("DFT")
    assert dft.lines == ["CUTOFF 300", "UKS .TRUE."]
    assert [(kind.parameter, kind.value("Q")) for kind in dft.sections] == [("B", None), ("Al", "4"), ("Cu", "11")]


def test_the_input_asks_for_forces_and_stress_and_has_the_frame(task):
    root = parse((task / INPUT).read_text())
    assert root.at("GLOBAL").value("RUN_TYPE") == "ENERGY_FORCE"
    evaluation = root.at("FORCE_EVAL")
    assert evaluation.value("STRESS_TENSOR") == "ANALYTICAL"
    assert {section.name for section in evaluation.at("PRINT").sections} == {"FORCES", "STRESS_TENSOR"}
    rows = [line.split() for line in evaluation.at("SUBSYS", "COORD").lines]
    assert tuple(row[0] for row in rows) == WATER.symbols
    np.testing.assert_allclose(np.array([row[1:] for row in rows], float), WATER.coords, atol=1e-9)


def test_the_atoms_of_a_template_go_and_its_periodicity_stays(tmp_path):
    template = "&FORCE_EVAL\n&SUBSYS\n&CELL\nABC 9 9 9\nPERIODIC XY\n&END\n&COORD\nHe 0 0 0\n&END\n&END\n&END\n"
    (tmp_path / "cp2k.inp").write_text(template)
    labeler = made("fpop_cp2k", {"inputs_config": {"inp_file": "cp2k.inp"}}, tmp_path)
    subsystem = parse((prepared(labeler, WATER, tmp_path / "s" / "t") / INPUT).read_text()).at("FORCE_EVAL", "SUBSYS")
    assert [line.split()[0] for line in subsystem.at("CELL").lines] == ["A", "B", "C", "PERIODIC"]
    assert len(subsystem.at("COORD").lines) == 3


UNFIT = """&GLOBAL
  PROJECT_NAME mine
&END
&FORCE_EVAL
  &PRINT
    &FORCES ON
      FILENAME elsewhere
    &END
    &STRESS_TENSOR
      FILENAME elsewhere
    &END
    &PROGRAM_RUN_INFO OFF
    &END
  &END
  &DFT
    &SCF
      &PRINT
        &PROGRAM_RUN_INFO OFF
        &END
      &END
    &END
  &END
  &SUBSYS
    &PRINT
      &ATOMIC_COORDINATES
        UNIT bohr
      &END
      &CELL
        UNIT bohr
      &END
    &END
    &CELL
      ABC 9 9 9
      MULTIPLE_UNIT_CELL 2 1 1
    &END
    &TOPOLOGY
      COORD_FILE_FORMAT XYZ
      COORD_FILE_NAME other.xyz
      MULTIPLE_UNIT_CELL 2 1 1
      &CENTER_COORDINATES
      &END
    &END
  &END
&END
"""


def test_what_a_template_says_of_atoms_and_files_of_its_own_goes(tmp_path):
    (tmp_path / "cp2k.inp").write_text(UNFIT)
    labeler = made("cp2k", {"inputs_config": {"inp_file": "cp2k.inp"}}, tmp_path)
    text = (prepared(labeler, WATER, tmp_path / "s" / "t") / INPUT).read_text()
    for word in ("PROJECT_NAME", "FILENAME", "COORD_FILE", "MULTIPLE_UNIT_CELL", "CENTER_COORDINATES", "OFF", "UNIT"):
        assert word not in text
    assert "&FORCES ON\n" in text
    assert "&STRESS_TENSOR ON\n" in text


def test_a_periodic_frame_that_was_computed_without_periodicity_is_refused(tmp_path):
    (tmp_path / "cp2k.inp").write_text("&FORCE_EVAL\n&SUBSYS\n&CELL\nPERIODIC NONE\n&END\n&END\n&END\n")
    labeler = made("cp2k", {"inputs_config": {"inp_file": "cp2k.inp"}}, tmp_path)
    directory = prepared(labeler, WATER, tmp_path / "s" / "t")
    with pytest.raises(LabelRefused, match="without periodicity"):
        read(PRINTED, directory)
    molecule = replace(WATER, periodic=False)
    assert read(PRINTED[: PRINTED.index(" STRESS|")], directory, molecule).virial is None


def test_files_of_ones_own_are_named_where_they_are_linked(tmp_path):
    (tmp_path / "BASIS_MOLOPT").write_text("mine\n")
    labeler = made("cp2k", settings(tmp_path, files=["BASIS_MOLOPT"]), tmp_path)
    directory = prepared(labeler, WATER, tmp_path / "s" / "task")
    dft = parse((directory / INPUT).read_text()).at("FORCE_EVAL", "DFT")
    assert dft.value("BASIS_SET_FILE_NAME") == "../shared/BASIS_MOLOPT"
    assert dft.value("POTENTIAL_FILE_NAME") == "GTH_POTENTIALS"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"GLOBAL": {"RUN_TYPE": "linear_response"}}, "RUN_TYPE LINEAR_RESPONSE"),
        ({"FORCE_EVAL": {"METHOD": "FIST"}}, "METHOD FIST"),
        ({"FORCE_EVAL": {"RESCALE_FORCES": {"MAX_FORCE": 1}}}, "&RESCALE_FORCES"),
        ({"FORCE_EVAL": {"DFT": {"@INCLUDE": "dft.inc"}}}, "includes dft.inc, which is not there"),
        ({"FORCE_EVAL": {"DFT": {"@FORCE": "x"}}}, "has @FORCE, which CP2K's preprocessor does not know"),
        ({"FORCE_EVAL": {"DFT": {"MGRID": {"CUTOFF": "${CUTOFF}"}}}}, "variable without a value in 'CUTOFF ${CUTOFF}'"),
        ({"EXT_RESTART": {"RESTART_FILE_NAME": "other.restart"}}, "EXT_RESTART"),
    ],
)
def test_what_is_no_label_is_refused_before_anything_is_submitted(tmp_path, change, says):
    root = Section("")
    merge(root, SECTIONS)
    merge(root, change)
    (tmp_path / "whole.inp").write_text(root.text())
    labeler = made("cp2k", {"inputs_config": {"inp_file": "whole.inp"}}, tmp_path)
    [(path, text)] = labeler.checks(context("O", "H"))
    assert path == ("inputs_config", "inp_file")
    assert says in text


def test_a_kind_may_be_written_in_any_case(tmp_path):
    (tmp_path / "kinds.inp").write_text("&FORCE_EVAL\n&SUBSYS\n&KIND AL\n Q 1\n&END\n&END\n&END\n")
    sections = {"FORCE_EVAL": {"SUBSYS": {"KIND Al": {"Q": 2}}}}
    labeler = made("cp2k", {"inputs_config": {"inp_file": "kinds.inp", "sections": sections}}, tmp_path)
    assert list(labeler.checks(context("Al"))) == []
    frame = replace(WATER, symbols=("Al",) * 3)
    text = (prepared(labeler, frame, tmp_path / "s" / "t") / INPUT).read_text()
    assert (text.count("&KIND "), text.count("Q 2")) == (1, 1)


def test_each_element_needs_a_kind_and_each_file_must_be_there(tmp_path):
    labeler = made("cp2k", settings(tmp_path, files=["none"]), tmp_path)
    [(path, _), (_, text)] = labeler.checks(context("O", "H", "Si"))
    assert path == ("inputs_config", "files", 0)
    assert "no &KIND for Si" in text
    sections = {"FORCE_EVAL": {"SUBSYS": {**SECTIONS["FORCE_EVAL"]["SUBSYS"], "@include": "kinds.inc"}}}
    [(_, text)] = made("cp2k", {"inputs_config": {"sections": sections}}, tmp_path).checks(context("O", "H", "Si"))
    assert text == "has no &KIND for Si; @INCLUDE kinds.inc in &SUBSYS finds no file beside the input"


# ---- outputs


def test_energy_forces_and_virial_are_converted_by_hand(task):
    labels = read(PRINTED, task)
    assert labels.energy == pytest.approx(-17.139410667 * 27.2113862, abs=1e-6)
    assert labels.forces[1, 0] == pytest.approx(0.08264380 * 27.2113862 / 0.52917721, abs=1e-6)
    assert labels.virial[0, 0] == pytest.approx(4.24482975 / 160.21766 * 216.0, abs=1e-5)


def test_the_form_up_to_7_1_is_read_to_the_same_numbers(task):
    """Of energy and stress, after CP2K's source; the stress of 8.1 to 2025 stands in PRINTED."""
    head, stress = PRINTED.split(" STRESS| Analytical")
    rows = [line.split()[1:] for line in stress.splitlines() if len(line.split()) == 5]
    older = " STRESS TENSOR [GPa]\n\n            X               Y               Z\n"
    older += "".join(f"  {row[0].upper()}  {' '.join(f'{float(word):15.8f}' for word in row[1:])}\n" for row in rows)
    old, new = read(head.replace("energy [a.u.]:", "energy (a.u.):") + older, task), read(PRINTED, task)
    assert old.energy == new.energy
    np.testing.assert_array_equal(old.forces, new.forces)
    np.testing.assert_allclose(old.virial, new.virial, atol=1e-7)


def test_newer_forms_of_the_output_are_read_to_the_same_numbers(task):
    lines = []
    for line in PRINTED.splitlines():
        words = line.split()
        if "energy [a.u.]:" in line:
            line = line.replace("[a.u.]:", "[hartree]")
        elif line.startswith(" ATOMIC FORCES in"):
            line = " FORCES| Atomic forces [hartree/bohr]"
        elif len(words) == 6 and words[0].isdigit():
            line = f" FORCES| {words[0]} {' '.join(words[3:])} 0.5"
        lines.append(line)
    old, new = read(PRINTED, task), read("\n".join(lines) + "\n", task)
    assert new.energy == old.energy
    np.testing.assert_array_equal(new.forces, old.forces)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (UNCONVERGED, "has not converged"),
        (PRINTED.replace("  *** SCF run converged in", " SCF not converged!"), "has not converged"),
        (PRINTED.replace("energy [a.u.]:", "energy [eV]"), "in eV, not in atomic units"),
        (PRINTED.replace("FORCES in [a.u.]", "FORCES in [eV/angstrom]"), "not in atomic units"),
        (PRINTED + UNCONVERGED, "2 runs"),
        (PRINTED[: PRINTED.index(" STRESS|")], "no virial"),
        (PRINTED.replace("-17.139410667267619", "NaN"), "not finite"),
        (PRINTED.replace("4.24482975385E+00", "4.24482975385E+03"), "GPa"),
        (PRINTED.replace("6.000     0.300     0.000   |a|", "6.000     0.200     0.000   |a|"), "cell in the output"),
        (PRINTED.replace("2    2 H     1", "2    2 O     8"), "not those that were asked for"),
        (PRINTED + "  *** outer SCF loop FAILED to converge\n", "has not converged"),
        (PRINTED.replace(" ATOMIC FORCES in [a.u.]", "") + ENDED, "RUN_TYPE must be ENERGY_FORCE"),
        (PRINTED.replace(" ENERGY| Total FORCE_EVAL", " BSSE") + ENDED, "RUN_TYPE must be ENERGY_FORCE"),
    ],
)
def test_what_is_no_label_is_refused(task, text, says):
    with pytest.raises(LabelRefused, match=says):
        read(text, task)


def test_a_stress_in_a_unit_that_is_not_known_is_no_label(task):
    with pytest.raises(OutputError, match="furlong"):
        read(PRINTED.replace("stress tensor [GPa]", "stress tensor [furlong]"), task)


@pytest.mark.parametrize("word", ["ENERGY|", "      2      2      H", "  *** SCF run"])
def test_a_cut_output_is_none(task, word):
    with pytest.raises(OutputError):
        read(PRINTED[: PRINTED.index(word)], task)


# ---- the real program


@pytest.fixture
def real(tmp_path):
    need("cp2k", files=[CP2K_DATA / "BASIS_MOLOPT", CP2K_DATA / "GTH_POTENTIALS"])

    def go(change=None):
        labeler = made("cp2k", settings(tmp_path, **(change or {})), tmp_path)
        directory = prepared(labeler, WATER, tmp_path / "s" / f"task.{len(list(tmp_path.glob('s/task*')))}")
        assert run(labeler, directory) == 0, (directory / OUTPUT).read_text()[-2000:]
        return labeler, directory

    return go


@pytest.mark.programs
def test_a_real_label_is_what_dpdata_reads_and_has_the_virial_that_it_does_not(real):
    import dpdata

    labeler, directory = real()
    labels = Gate().read(labeler, directory, WATER)
    data = dpdata.LabeledSystem(str(directory / OUTPUT), fmt="cp2k/output").data
    assert labels.energy == pytest.approx(data["energies"][0], abs=1e-5)
    turn = np.linalg.solve(WATER.cell, data["cells"][0])
    np.testing.assert_allclose(labels.forces @ turn, data["forces"][0], atol=2e-3)  # dpdata's cell has three decimals
    assert np.isfinite(labels.virial).all()
    assert np.abs(labels.virial).max() > 0.1


@pytest.mark.programs
def test_a_real_label_is_the_same_whatever_the_template_says_of_its_own_atoms(real, tmp_path):
    plain = Gate().read(*real(), WATER)
    (tmp_path / "unfit.inp").write_text(UNFIT.replace("PROJECT_NAME mine", "PROJECT_NAME mine\n  PRINT_LEVEL HIGH"))
    found = Gate().read(*real({"inp_file": "unfit.inp"}), WATER)
    assert found.energy == pytest.approx(plain.energy, abs=1e-6)
    np.testing.assert_allclose(found.forces, plain.forces, atol=1e-5)
    np.testing.assert_allclose(found.virial, plain.virial, atol=1e-5)


FIXED = "&MOTION\n&CONSTRAINT\n&FIXED_ATOMS\nLIST 1..2\n&END\n&END\n&END\n"


@pytest.mark.programs
def test_atoms_that_a_template_fixes_have_their_forces_all_the_same(real, tmp_path):
    """CP2K sets the forces of fixed atoms to zero, in a single calculation too."""
    (tmp_path / "fixed.inp").write_text("@SET WHERE fixed.inc\n@INCLUDE ${WHERE}\n&FORCE_EVAL\n&END\n")
    (tmp_path / "fixed.inc").write_text(FIXED)
    labels = Gate().read(*real({"inp_file": "fixed.inp"}), WATER)
    assert labels.forces[0, 1] == pytest.approx(-0.04769299 * 27.2113862 / 0.52917721, abs=0.02)


@pytest.mark.programs
def test_a_real_run_that_did_not_converge_leaves_with_0_and_is_refused(real, tmp_path):
    root = Section("")
    merge(root, SECTIONS)
    merge(root, {"FORCE_EVAL": {"DFT": {"SCF": {"MAX_SCF": 3}}}})
    (tmp_path / "short.inp").write_text(root.text())
    labeler, directory = real({"sections": {}, "inp_file": "short.inp"})
    with pytest.raises(LabelRefused, match="has not converged"):
        Gate().read(labeler, directory, WATER)


def test_a_molecule_has_no_stress_to_ask_for(tmp_path):
    labeler = made("cp2k", settings(tmp_path), tmp_path)
    directory = prepared(labeler, replace(WATER, periodic=False), tmp_path / "s" / "task")
    assert "STRESS" not in (directory / INPUT).read_text()
