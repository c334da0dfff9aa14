"""Quantum ESPRESSO: real runs of pw.x where it is installed, and what it printed when it did not converge."""

import re
from dataclasses import replace

import numpy as np
import pytest
from labelers import FCC, SKEWED, UPF_1, Sample, context, made, prepared, rattled, run
from programs import PSEUDO, need

from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.gate import Gate
from dpgen2_hpc.fp.namelists import parse, written
from dpgen2_hpc.fp.qe import INPUT, OUTPUT, QeLabeler

METAL = rattled(("Al", "Al", "Al", "Al"), SKEWED, FCC)
SYSTEM = {"ecutwfc": 12, "occupations": "smearing", "smearing": "gaussian", "degauss": 0.03, "nosym": True}


def settings(folder, elements=("Al",), **more):
    for element in elements:
        (folder / f"{element}.UPF").write_text(UPF_1.format(element))
    files = {element: f"{element}.UPF" for element in elements}
    return {"inputs_config": {"pp_files": files, "system": SYSTEM, "kspacing": 0.8, **more}}


# What pw.x 6.7 printed for four atoms of aluminium, the lines between left out.
PRINTED = """
     Program PWSCF v.6.7MaX starts on 22Nov2026 at 15:16:22

     lattice parameter (alat)  =       7.6557  a.u.
     number of atoms/cell      =            4
     scf convergence threshold =      1.0E-06
     celldm(1)=   7.655723  celldm(2)=   0.000000  celldm(3)=   0.000000

     crystal axes: (cart. coord. in units of alat)
               a(1) = (   0.999695   0.024684   0.000000 )
               a(2) = (   0.000000   0.999695   0.000000 )
               a(3) = (   0.000000   0.049368   0.999695 )

   Cartesian axes

     site n.     atom                  positions (alat units)
         1           Al  tau(   1) = (   0.0246838   0.0000000   0.0000000  )
         2           Al  tau(   2) = (   0.0000000   0.4986135   0.4986135  )
         3           Al  tau(   3) = (   0.4986135   0.0000000   0.4986135  )
         4           Al  tau(   4) = (   0.4986135   0.4986135   0.0000000  )

     total energy              =     -16.57966940 Ry
     estimated scf accuracy    <       0.00000203 Ry

!    total energy              =     -16.57967039 Ry
     estimated scf accuracy    <       0.00000018 Ry

     convergence has been achieved in   5 iterations

     Forces acting on atoms (cartesian axes, Ry/au):

     atom    1 type  1   force =    -0.01431671   -0.00858511    0.00193061
     atom    2 type  1   force =    -0.00305013    0.00367493   -0.00155104
     atom    3 type  1   force =     0.00827507    0.00822808   -0.00182364
     atom    4 type  1   force =     0.00909177   -0.00331789    0.00144408

     Total force =     0.023300     Total SCF correction =     0.000283

     Computing stress (Cartesian axis) and pressure

          total   stress  (Ry/bohr**3)                   (kbar)     P=      -89.32
  -0.00055838   0.00008759  -0.00003163          -82.14       12.89       -4.65
   0.00008759  -0.00065205   0.00010647           12.89      -95.92       15.66
  -0.00003163   0.00010647  -0.00061116           -4.65       15.66      -89.90

   This run was terminated on:  15:16:22  22Nov2026
   JOB DONE.
"""
ASKED = replace(
    METAL,
    cell=np.array([[4.05, 0.1, 0], [0, 4.05, 0], [0, 0.2, 4.05]]),
    coords=np.array([[0.1, 0, 0], [0, 2.02, 2.02], [2.02, 0, 2.02], [2.02, 2.02, 0]]),
)

SAMPLE = Sample(
    settings=settings,
    frame=ASKED,
    good=lambda task: (task / OUTPUT).write_text(PRINTED),
    bad=lambda task: (task / OUTPUT).write_text(PRINTED.replace("0.00000018", "0.00003700")),
    output=OUTPUT,
    type_map=("Al",),
)


def read(text, folder, frame=ASKED):
    (folder / OUTPUT).write_text(text)
    return Gate().read(QeLabeler({}), folder, frame)


# ---- inputs


def by_dpdata(task):
    import dpdata

    return dpdata.LabeledSystem([str(task / INPUT), str(task / OUTPUT)], fmt="qe/pw/scf").data


def test_the_input_has_the_frame_and_the_values(tmp_path):
    labeler = made("qe", settings(tmp_path), tmp_path)
    task = prepared(labeler, METAL, tmp_path / "s" / "task")
    lists, cards = parse((task / INPUT).read_text())
    assert lists["control"]["tstress"] == lists["control"]["tprnfor"] == ".true."
    assert (lists["system"]["nat"], lists["system"]["ntyp"], lists["system"]["ibrav"]) == ("4", "1", "0")
    assert lists["system"]["nosym"] == ".true."
    coords = [line.split()[1:] for line in cards["ATOMIC_POSITIONS"].splitlines()[1:]]
    np.testing.assert_allclose(np.array(coords, float), METAL.coords, atol=1e-9)
    assert cards["K_POINTS"].split()[-6:] == ["2", "3", "2", "0", "0", "0"]  # 2 pi / (4.0, 3.9, 4.1) / 0.8


def test_a_template_keeps_its_values_and_loses_its_atoms(tmp_path):
    (tmp_path / "pw.in").write_text(
        "&CONTROL\n calculation='scf', max_seconds = 3.0D2 ! half an hour\n pseudo_dir = '/else/where'\n/\n"
        "&SYSTEM\n ibrav=2, celldm(1) = 7.6, nat=1\n ntyp=1, ecutwfc=12\n/\n&ELECTRONS\n mixing_beta = 0.3\n/\n"
        "ATOMIC_SPECIES\n Al 26.98 other.UPF\nATOMIC_POSITIONS alat\n Al 0 0 0\nK_POINTS gamma\n"
    )
    given = settings(tmp_path, template="pw.in", kspacing=None, system={}, electrons={"mixing_beta": 0.2})
    task = prepared(made("qe", given, tmp_path), METAL, tmp_path / "s" / "task")
    lists, cards = parse((task / INPUT).read_text())
    assert lists["control"]["max_seconds"] == "3.0D2"
    assert lists["control"]["pseudo_dir"] == "'../shared'"
    assert lists["electrons"] == {"mixing_beta": "0.2"}
    assert lists["system"] == {"ibrav": "0", "nat": "4", "ntyp": "1", "ecutwfc": "12"}
    assert cards["K_POINTS"] == "K_POINTS gamma\n"
    assert cards["ATOMIC_SPECIES"].split()[-1] == "Al.UPF"


ODD = """&CONTROL calculation='scf', title="A/B = 'C'" /
&SYSTEM ibrav=1 celldm(1)=7.6, nat=1 ntyp=1 ecutwfc=12.d0 occupations='smearing'
  fixed_magnetization = 0.0, 0.0,
     1.0  degauss=3.0d-2, nosym=.TRUE./
&electrons  ! how
mixing_beta=.5
&end
atomic_forces
Al 9 9 9
atomic_positions alat
Al 0 0 0
k_points{automatic}
2 2 2 0 0 0
"""


def test_a_template_is_read_as_fortran_reads_it(tmp_path):
    (tmp_path / "pw.in").write_text(ODD)
    labeler = made("qe", settings(tmp_path, template="pw.in", kspacing=None, system={}), tmp_path)
    assert list(labeler.checks(context("Al"))) == []
    lists, cards = parse((prepared(labeler, METAL, tmp_path / "s" / "task") / INPUT).read_text())
    assert lists["control"]["title"] == "\"A/B = 'C'\""
    assert lists["system"] == {
        "ibrav": "0",
        "nat": "4",
        "ntyp": "1",
        "ecutwfc": "12.d0",
        "occupations": "'smearing'",
        "fixed_magnetization": "0.0, 0.0, 1.0",
        "degauss": "3.0d-2",
        "nosym": ".TRUE.",
    }
    assert lists["electrons"] == {"mixing_beta": ".5"}
    assert set(cards) == {"ATOMIC_SPECIES", "CELL_PARAMETERS", "ATOMIC_POSITIONS", "K_POINTS"}
    assert len(cards["ATOMIC_POSITIONS"].splitlines()) == 5
    assert cards["K_POINTS"] == "K_POINTS {automatic}\n2 2 2 0 0 0\n"
    assert "K_POINTS {automatic}\n" in (tmp_path / "s" / "task" / INPUT).read_text()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.0d-6", "1.0d-6"),
        (".5", ".5"),
        (".TRUE.", ".TRUE."),
        ("'david'", "'david'"),
        ("david", "'david'"),
        (1e-6, "1e-06"),
        (False, ".false."),
        (2, "2"),
    ],
)
def test_a_value_is_written_as_fortran_means_it(value, text):
    assert written(value) == text


def test_a_list_is_written_as_one(tmp_path):
    given = settings(tmp_path, system={**SYSTEM, "fixed_magnetization": [0, 0, 0.5]})
    labeler = made("qe", given, tmp_path)
    lists, _ = parse((prepared(labeler, METAL, tmp_path / "s" / "task") / INPUT).read_text())
    assert lists["system"]["fixed_magnetization"] == "0, 0, 0.5"


def test_values_by_element_are_numbered_as_the_species_of_the_frame(tmp_path):
    system = {**SYSTEM, "starting_magnetization": {"Fe": 0.5, "O": 0.1}}
    labeler = made("qe", settings(tmp_path, elements=("O", "Fe"), system=system), tmp_path)
    task = prepared(labeler, replace(METAL, symbols=("Fe", "O", "Fe", "O")), tmp_path / "s" / "task")
    lists, _ = parse((task / INPUT).read_text())
    assert (lists["system"]["starting_magnetization(1)"], lists["system"]["starting_magnetization(2)"]) == (
        "0.5",
        "0.1",
    )


@pytest.mark.parametrize(
    ("more", "path", "says"),
    [
        ({"electrons": {"scf_must_converge": False}}, "electrons", "not converged a result"),
        ({"control": {"calculation": "bands"}}, "control", "'bands'"),
        ({"system": {}}, "system", "ecutwfc"),
        ({"kspacing": None}, "kspacing", "K_POINTS"),
        ({"kspacing": [1, 2]}, "kspacing", "2 numbers"),
        ({"pp_files": {"Al": "Cu.UPF"}}, "pp_files.Al", "of Cu, not of Al"),
        ({"pp_files": {"Al": "none.UPF"}}, "pp_files.Al", "there is no file"),
        ({"pp_files": {}}, "pp_files", "no file for Al"),
        ({"template": "numbered.in"}, "template", "{element: value}"),
        ({"template": "listed.in"}, "template", "{element: value}"),
        ({"system": {**SYSTEM, "starting_magnetization": 0.5}}, "system.starting_magnetization", "{element: value}"),
        ({"system": {**SYSTEM, "hubbard_u": {"Fee": 4}}}, "system.hubbard_u", "Fee"),
        ({"system": {**SYSTEM, "ibrav": 2}}, "system.ibrav", "frame's own"),
        ({"electrons": {"mixing_beta": None}}, "electrons.mixing_beta", "null"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_before_anything_is_submitted(tmp_path, more, path, says):
    (tmp_path / "Cu.UPF").write_text('<PP_HEADER element="Cu" z_valence="11"/>')
    (tmp_path / "numbered.in").write_text("&system\n starting_magnetization(1) = 0.5\n/\nK_POINTS gamma\n")
    (tmp_path / "listed.in").write_text("&system\n starting_magnetization =\n 0.5, 0.1\n/\nK_POINTS gamma\n")
    labeler = made("qe", settings(tmp_path, **more), tmp_path)
    [(place, text)] = labeler.checks(context("Al"))
    assert ".".join(map(str, place)) == f"inputs_config.{path}"
    assert says in text


# ---- outputs


def test_energy_forces_and_stress_are_converted_by_hand(tmp_path):
    labels = read(PRINTED, tmp_path)
    assert labels.energy == pytest.approx(-16.57967039 * 13.605693, abs=1e-5)
    assert labels.forces[0, 0] == pytest.approx(-0.01431671 * 13.605693 / 0.52917721, abs=1e-6)
    assert labels.virial[0, 1] == pytest.approx(12.89 / 1602.1766 * 4.05**3, abs=1e-3)  # the columns in kbar
    assert np.trace(labels.virial) < 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("0.00000018", "0.00003700", "not converged"),
        ("0.00000018", "3.7E-05", "not converged"),
        ("has been achieved in   5", "NOT achieved after   5", "not achieved"),
        ("total   stress", "", "no virial"),
        (
            "     Program PWSCF",
            "Warning: card HUBBARD (ATOMIC) ignored\n     Program PWSCF",
            "passed over the card HUBBARD",
        ),
        ("-0.00055838   0.00008759", " 9.00055838   0.00008759", "GPa"),
        ("-16.57967039", "NaN", "not finite"),
        ("  1           Al", "  1           Cu", "not those that were asked for"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path, old, new, says):
    with pytest.raises(LabelRefused, match=says):
        read(PRINTED.replace(old, new), tmp_path)


EXCHANGE = """     EXX: now go back to refine exchange calculation
     total energy              =     -16.60000000 Ry
!    total energy              =     -16.60000000 Ry
     estimated scf accuracy    <       0.00000018 Ry

     convergence has been achieved in   1 iterations

!!   total energy              =     -16.70000000 Ry
     est. exchange err (dexx)  =       0.00000010 Ry

     EXX self-consistency reached
"""


def with_exchange():
    place = PRINTED.index("     Forces acting")
    return PRINTED[:place] + EXCHANGE + PRINTED[place:]


def test_exact_exchange_is_one_run_of_several_cycles(tmp_path):
    assert read(with_exchange(), tmp_path).energy == pytest.approx(-16.7 * 13.605693, abs=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("EXX self-consistency reached", "EXX convergence NOT achieved after 100 iterations: stopping", "not achieved"),
        (EXCHANGE, EXCHANGE * 2, "holds 2 runs or steps"),
        (EXCHANGE, EXCHANGE.replace("0.00000018", "0.00001"), "not converged"),
    ],
)
def test_exact_exchange_that_is_no_label_is_refused(tmp_path, old, new, says):
    with pytest.raises(LabelRefused, match=says):
        read(with_exchange().replace(old, new), tmp_path)


def test_wherever_an_output_was_cut_that_is_said_without_words_of_python(tmp_path):
    lines = PRINTED.splitlines(keepends=True)
    forces = next(number for number, line in enumerate(lines) if "Forces acting" in line)
    for end in range(forces + 1):
        with pytest.raises((OutputError, LabelRefused), match="the run was cut|not converged"):
            read("".join(lines[:end]), tmp_path)


def test_exact_exchange_that_was_cut_is_none(tmp_path):
    text = with_exchange()
    with pytest.raises(OutputError):
        read(text[: text.index("!!")], tmp_path)


OLDER = PRINTED.replace("     scf convergence threshold =", "     convergence threshold     =").replace(
    "(cartesian axes, Ry/au)", "(Ry/au)"
)
"""In the words of pw.x up to 6.6; the corpus has whole outputs."""


def test_older_words_give_the_same_label(tmp_path):
    old, new = read(OLDER, tmp_path), read(PRINTED, tmp_path)
    assert (old.energy, old.forces.tolist(), old.virial.tolist()) == (
        new.energy,
        new.forces.tolist(),
        new.virial.tolist(),
    )
    with pytest.raises(LabelRefused, match="not converged"):
        read(OLDER.replace("0.00000018", "0.00003700"), tmp_path)


def older_exchange(end="!", error="0.00000010"):
    """A hybrid functional by pw.x 5: nothing is printed of the cycles within, and the energy has one mark."""
    head = OLDER[: OLDER.index("     total energy  ")] + EXCHANGE.splitlines(keepends=True)[0]
    energy = f"\n{end}    total energy              =     -16.70000000 Ry\n"
    last = f"     est. exchange err (dexx)  =       {error} Ry\n\n     EXX self-consistency reached\n"
    return head + energy + last + OLDER[OLDER.index("     Forces acting") :]


def test_exact_exchange_of_older_versions_is_read(tmp_path):
    assert read(older_exchange(), tmp_path).energy == pytest.approx(-16.7 * 13.605693, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (older_exchange(error="0.00001000"), LabelRefused, "not converged"),
        (older_exchange(end=" "), OutputError, "not whole"),
        (older_exchange().replace("EXX self-consistency reached", ""), OutputError, "the run was cut"),
    ],
    ids=["error too large", "unmarked energy", "cut"],
)
def test_exact_exchange_of_older_versions_that_did_not_end_well_is_refused(tmp_path, text, error, says):
    with pytest.raises(error, match=says):
        read(text, tmp_path)


def test_the_threshold_that_counts_is_the_last_that_was_set(tmp_path):
    """adaptive_thr begins with a large one, and prints each new one."""
    adapted = "\n     scf convergence threshold =          1.0E-07 Ry\n" + EXCHANGE
    with pytest.raises(LabelRefused, match="threshold 1.0E-07"):
        read(with_exchange().replace(EXCHANGE, adapted), tmp_path)
    looser = adapted.replace("1.0E-07", "1.0E-04").replace("0.00000018", "0.00001000")
    assert read(with_exchange().replace(EXCHANGE, looser), tmp_path).energy < 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            PRINTED.replace("!    total energy", "     End of band structure calculation\n"),
            "a band-structure calculation",
        ),
        (PRINTED.replace("Forces acting on atoms", ""), "set tprnfor"),
    ],
    ids=["bands", "no forces"],
)
def test_a_calculation_of_something_else_is_named(tmp_path, text, says):
    with pytest.raises(LabelRefused, match=says):
        read(text, tmp_path)


def test_a_namelist_that_a_label_does_not_need_is_passed_over_rightly(tmp_path):
    text = PRINTED.replace(
        "     Program PWSCF", "Warning: card &IONS ignored\nWarning: card / ignored\n     Program PWSCF"
    )
    assert read(text, tmp_path).energy < 0


def test_an_output_behind_an_older_one_is_refused(tmp_path):
    with pytest.raises(LabelRefused, match="2 runs"):
        read(PRINTED * 2, tmp_path)


def test_forces_that_are_cut_are_no_label(tmp_path):
    with pytest.raises(OutputError):
        read(PRINTED[: PRINTED.index("     atom    3 type")], tmp_path)


def test_details_of_forces_are_not_taken_for_forces(tmp_path):
    """verbosity = 'high' prints the parts of them in rows of the same form."""
    more = "     The local contrib.  to forces\n     atom    1 type  1   force =     9.0 9.0 9.0\n"
    text = PRINTED.replace("     Total force =", more + "     Total force =")
    assert np.abs(read(text, tmp_path).forces).max() < 1


# ---- the real program


@pytest.fixture
def real(tmp_path):
    aluminium = PSEUDO / "Al.pz-vbc.UPF"
    need("pw.x", files=[aluminium])

    def go(expected=0, **more):
        files = {"Al": str(aluminium)}
        given = settings(tmp_path, **{"electrons": {"conv_thr": 1e-6}, "pp_files": files, **more})
        labeler = made("qe", given, tmp_path)
        assert list(labeler.checks(context("Al"))) == [] or expected is None
        task = prepared(labeler, METAL, tmp_path / "s" / f"task.{len(list(tmp_path.glob('s/task*')))}")
        code = run(labeler, task)
        assert expected in (code, None), (task / OUTPUT).read_text()[-2000:]
        return labeler, task

    return go


@pytest.mark.programs
def test_a_real_label_is_what_dpdata_reads(real):
    labeler, task = real()
    labels, data = Gate().read(labeler, task, METAL), by_dpdata(task)
    assert labels.energy == pytest.approx(data["energies"][0], abs=1e-5)
    turn = np.linalg.solve(METAL.cell, data["cells"][0])
    np.testing.assert_allclose(labels.forces @ turn, data["forces"][0], atol=1e-5)
    np.testing.assert_allclose(turn.T @ labels.virial @ turn, data["virials"][0], atol=1e-3)  # dpdata: two decimals
    assert not (task / "out").exists() or sum(f.stat().st_size for f in (task / "out").rglob("*") if f.is_file()) < 1e5


@pytest.mark.programs
def test_a_real_run_has_the_k_points_of_an_odd_template(real, tmp_path):
    template = ODD.replace("fixed_magnetization = 0.0, 0.0,\n     1.0 ", "")
    (tmp_path / "pw.in").write_text(template)
    labeler, task = real(template="pw.in", kspacing=None, system={})
    assert Gate().read(labeler, task, METAL).energy < 0
    assert re.search(r"number of k points=\s+8", (task / OUTPUT).read_text())


TYPES = """&system
  ecutwfc=12, occupations='smearing', degauss=0.03, nspin=2, starting_magnetization(1)=0.9, -0.9
/
ATOMIC_SPECIES
Al2 1 x
Al1 1 x
"""


@pytest.mark.programs
def test_a_real_run_has_the_spins_of_two_types_of_one_element(real, tmp_path):
    (tmp_path / "pw.in").write_text(TYPES)
    files = dict.fromkeys(("Al1", "Al2"), f"{PSEUDO}/Al.pz-vbc.UPF")
    given = settings(tmp_path, template="pw.in", pp_files=files, system={}, electrons={"conv_thr": 1e-5})
    labeler, frame = made("qe", given, tmp_path), replace(METAL, symbols=("Al1", "Al1", "Al2", "Al2"))
    assert list(labeler.checks(context("Al1", "Al2"))) == []
    task = prepared(labeler, frame, tmp_path / "s" / "spins")
    assert run(labeler, task) == 0
    assert Gate().read(labeler, task, frame).frame.symbols == frame.symbols
    found = re.findall(r"^ +(Al\d) +(-?0\.900)", (task / OUTPUT).read_text(), re.MULTILINE)
    assert found == [("Al1", "-0.900"), ("Al2", "0.900")]


@pytest.mark.programs
def test_a_real_run_without_a_card_of_a_later_version_is_refused(real, tmp_path):
    """pw.x 6.7 does not know HUBBARD, warns of it, and goes on without U."""
    (tmp_path / "pw.in").write_text("&ions\n/\nHUBBARD {atomic}\nU Al-3p 4.0\n")
    labeler, task = real(template="pw.in")
    if "Warning: card HUBBARD" not in (task / OUTPUT).read_text():
        pytest.skip("this pw.x knows HUBBARD")
    with pytest.raises(LabelRefused, match="passed over the card HUBBARD"):
        Gate().read(labeler, task, METAL)


@pytest.mark.programs
def test_a_real_label_with_exact_exchange_has_the_energy_whose_gradient_its_forces_are(tmp_path):
    potential = PSEUDO / "Si.pz-vbc.UPF"
    need("pw.x", files=[potential])
    silicon = rattled(("Si", "Si"), [[0, 2.7, 2.7], [2.7, 0, 2.7], [2.7, 2.7, 0]], [[0, 0, 0], [0.25, 0.25, 0.25]])
    (tmp_path / "pw.in").write_text("&system\n ecutwfc=12, input_dft='pbe0', nqx1=1\n/\nK_POINTS gamma\n")
    given = {
        "inputs_config": {"pp_files": {"Si": str(potential)}, "template": "pw.in", "electrons": {"conv_thr": "1.0d-9"}}
    }
    labeler, step = made("qe", given, tmp_path), 0.01

    def label(move):
        frame = replace(silicon, coords=silicon.coords + np.array([[move, 0, 0], [0, 0, 0]]))
        task = prepared(labeler, frame, tmp_path / "s" / f"task.{move}")
        assert run(labeler, task) == 0, (task / OUTPUT).read_text()[-2000:]
        return Gate().read(labeler, task, frame)

    slope = (label(step).energy - label(-step).energy) / (2 * step)
    found = label(0.0)
    assert found.forces[0, 0] == pytest.approx(-slope, abs=0.01)
    assert abs(slope) > 0.1
    assert found.virial is not None


@pytest.mark.programs
def test_a_real_run_that_must_not_converge_is_refused_though_it_says_it_has(real):
    labeler, task = real(expected=None, electrons={"conv_thr": 1e-9, "electron_maxstep": 3, "scf_must_converge": False})
    assert "convergence has been achieved" in (task / OUTPUT).read_text()
    with pytest.raises(LabelRefused, match="not converged"):
        Gate().read(labeler, task, METAL)


@pytest.mark.programs
def test_a_real_run_that_did_not_converge_is_refused(real):
    labeler, task = real(expected=2, electrons={"conv_thr": 1e-9, "electron_maxstep": 2})
    with pytest.raises(LabelRefused, match="not achieved"):
        Gate().read(labeler, task, METAL)


@pytest.mark.programs
def test_a_real_run_cut_after_its_forces_is_refused(real):
    labeler, task = real()
    text = (task / OUTPUT).read_text()
    (task / OUTPUT).write_text(text[: re.search("Total force", text).end()])
    with pytest.raises(LabelRefused, match="no virial"):
        Gate().read(labeler, task, METAL)
