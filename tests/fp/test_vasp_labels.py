"""VASP: its inputs by hand calculation, its outputs against dpdata, and an honest stand-in that can fail as it does."""

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import dpdata
import numpy as np
import pytest
from fetched import archive
from labelers import FCC, SKEWED, Sample, context, fake_potcar, made, prepared, rattled, run
from programs import need

from dpgen2_hpc.data.elements import element_of
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.gate import Gate
from dpgen2_hpc.fp.outcar import Unknown, _table, read_outcar
from dpgen2_hpc.fp.vasp import VaspLabeler, poscar
from dpgen2_hpc.fp.vasprun import read_vasprun

pytestmark = pytest.mark.slow

ALLOY = rattled(("Al", "Al", "Cu", "Cu"), SKEWED, FCC)


def settings(folder, incar="ENCUT = 300\nEDIFF = 1E-6\n", elements=("Al", "Cu"), **more):
    (folder / "vasp").mkdir(exist_ok=True)
    (folder / "vasp" / "INCAR").write_text(incar)
    for element in elements:
        (folder / "vasp" / f"POTCAR.{element}").write_text(fake_potcar(element))
    files = {element: f"vasp/POTCAR.{element}" for element in elements}
    return {"inputs_config": {"incar": "vasp/INCAR", "pp_files": files, "kspacing": 0.5, **more}}


def ran(task, **environment):
    return run(VaspLabeler("", {}), task, **environment)


SAMPLE = Sample(
    settings=settings,
    frame=ALLOY,
    good=lambda task: ran(task),
    bad=lambda task: ((task / "INCAR").unlink(), (task / "INCAR").write_text("NELM = 4\n"), ran(task)),
    output="OUTCAR",
    type_map=("Al", "Cu"),
)


@pytest.fixture
def vasp(tmp_path):
    """A prepared task for a frame, and its labeler."""

    def make(frame=ALLOY, **more):
        labeler = made("vasp", settings(tmp_path, **more), tmp_path)
        number = len(list(tmp_path.glob("03.fp/task.*")))
        return labeler, prepared(labeler, frame, tmp_path / "03.fp" / f"task.{number:06d}")

    return make


def by_dpdata(path, fmt="vasp/outcar"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dpdata.LabeledSystem(str(path), fmt=fmt)


# ---- inputs


def lengths(coords):
    return np.linalg.norm(coords[:, None] - coords[None], axis=2)


def test_poscar_is_read_back_by_dpdata_as_the_frame(tmp_path):
    (tmp_path / "POSCAR").write_text(poscar(ALLOY))
    data = dpdata.System(str(tmp_path / "POSCAR"), fmt="vasp/poscar").data
    assert [data["atom_names"][kind] for kind in data["atom_types"]] == list(ALLOY.symbols)
    np.testing.assert_allclose(lengths(data["coords"][0]), lengths(ALLOY.coords), atol=1e-9)
    np.testing.assert_allclose(data["cells"][0] @ data["cells"][0].T, ALLOY.cell @ ALLOY.cell.T, atol=1e-9)


def test_potcar_has_the_datasets_in_the_order_of_poscar(vasp):
    mixed = replace(ALLOY, symbols=("Cu", "Al", "Al", "Cu"))
    _, task = vasp(mixed)
    names = (task / "POSCAR").read_text().splitlines()[5].split()
    titles = [line.split()[3] for line in (task / "POTCAR").read_text().splitlines() if "TITEL" in line]
    assert names == titles == ["Cu", "Al", "Cu"]


@pytest.mark.parametrize(
    ("name", "element"),
    [("Fe", "Fe"), ("Fe1", "Fe"), ("Fe_up", "Fe"), ("C12", "C"), ("D", "H"), ("T", "H"), ("Xx1", "Xx1"), ("O_h", "O")],
)
def test_a_name_stands_for_an_element(name, element):
    assert element_of(name) == element


def test_types_of_one_element_have_its_name_in_poscar_and_their_own_in_the_label(vasp, tmp_path):
    for name in ("Al1", "Al2"):
        (tmp_path / f"POTCAR.{name}").write_text(fake_potcar("Al"))
    frame = replace(ALLOY, symbols=("Al1", "Al1", "Al2", "Al2"))
    files = {name: f"POTCAR.{name}" for name in ("Al1", "Al2")}
    labeler, task = vasp(frame, pp_files=files, incar_lists={"MAGMOM": {"Al1": 1, "Al2": -1}})
    assert list(labeler.checks(context("Al1", "Al2"))) == []
    assert (task / "POSCAR").read_text().splitlines()[5:7] == ["Al Al", "2 2"]
    assert "MAGMOM = 2*1 2*-1" in (task / "INCAR").read_text()
    assert ran(task) == 0
    assert Gate().read(labeler, task, frame).frame.symbols == frame.symbols


def test_potcar_and_incar_are_there_once_and_closed_to_others(vasp, tmp_path):
    _, first = vasp()
    _, second = vasp(replace(ALLOY, coords=ALLOY.coords + 0.01))
    for name in ("POTCAR", "INCAR"):
        assert (first / name).is_symlink()
        assert (first / name).resolve() == (second / name).resolve()
    assert ((first / "POTCAR").resolve().stat().st_mode & 0o777) == 0o600


def test_an_attempt_after_a_change_has_shared_files_of_its_own(vasp, tmp_path):
    labeler, first = vasp()
    links, text = [(first / name).readlink() for name in ("INCAR", "POTCAR")], (first / "INCAR").read_text()
    again = first.with_name("after the change")
    again.mkdir()
    replace(labeler, incar=labeler.incar + "NELM = 200\n").write_inputs(ALLOY, again)
    assert (again / "INCAR").readlink() != links[0]
    assert (again / "POTCAR").readlink() == links[1]
    assert (first / "INCAR").read_text() == text
    for name in ("INCAR", "POTCAR"):
        content = (again / name).read_bytes()
        assert str((again / name).readlink()).endswith(f".{hashlib.sha256(content).hexdigest()[:8]}")


@pytest.mark.parametrize("when", ["write", "fsync", "replace"])
def test_a_shared_file_that_is_half_written_is_never_linked(vasp, tmp_path, monkeypatch, when):
    """The driver dies in the midst of it; the next one writes the file whole, over what is left."""
    labeler, first = vasp()
    whole, target = (first / "INCAR").read_bytes(), (first / "INCAR").resolve()
    target.unlink()
    original = getattr(os, when)

    def dies(*arguments):
        if when == "write" and bytes(arguments[1]) == whole:
            original(arguments[0], arguments[1][:5])
        elif when == "write":
            return original(*arguments)
        raise KeyboardInterrupt

    for number in range(2):
        task = first.with_name(f"again.{number}")
        task.mkdir()
        with contextlib.ExitStack() as stack:
            if number == 0:
                monkeypatch.setattr(os, when, dies)
                stack.enter_context(pytest.raises(KeyboardInterrupt))
            labeler.write_inputs(ALLOY, task)
        monkeypatch.undo()
        assert target.exists() == (number == 1)
    assert target.read_bytes() == whole
    assert sorted(path.name for path in target.parent.iterdir() if ".tmp" in path.name or ".half" in path.name) == []


@pytest.mark.parametrize(
    ("spacing", "cell", "points"),
    [
        (0.5, np.diag([4.0, 8.0, 30.0]), "4 2 1"),  # 2 pi / (4 * 0.5) = 3.14, 1.57, 0.42
        (0.25, np.eye(3) * 4.05, "7 7 7"),  # 6.21
        ([0.5, 0.1, 2.0], np.eye(3) * 4.0, "4 16 1"),
        (0.3, [[0, 2.025, 2.025], [2.025, 0, 2.025], [2.025, 2.025, 0]], "9 9 9"),  # fcc: b = sqrt(3) / 4.05, 8.96
    ],
)
def test_kpoints_are_as_close_as_kspacing_says(vasp, spacing, cell, points):
    frame = Frame(ALLOY.symbols, np.array(FCC) @ np.array(cell, float), np.array(cell, float))
    _, task = vasp(frame, kspacing=spacing)
    assert (task / "KPOINTS").read_text() == f"K-Points\n0\nGamma\n{points}\n0 0 0\n"


@pytest.mark.parametrize(
    ("tag", "word"), [("KGAMMA = .FALSE.", "Monkhorst-Pack"), ("KGAMMA=T", "Gamma"), ("", "Gamma")]
)
def test_spacing_and_centre_may_stand_in_the_incar(vasp, tag, word):
    _, task = vasp(replace(ALLOY, cell=np.eye(3) * 4.0), incar=f"kspacing = 0.25 ! 1/A\n{tag}\n", kspacing=None)
    assert (task / "KPOINTS").read_text().split("\n")[2:4] == [word, "7 7 7"]


def test_lists_by_species_are_written_for_each_composition(vasp):
    lists = {"MAGMOM": {"Al": 0, "Cu": 1.5}, "LDAUU": {"Al": 0, "Cu": 4}}
    _, task = vasp(incar_lists=lists)
    assert (task / "INCAR").read_text().splitlines()[2:] == ["MAGMOM = 2*0 2*1.5", "LDAUU = 0 4"]
    _, other = vasp(replace(ALLOY, symbols=("Cu", "Cu", "Cu", "Al")), incar_lists=lists)
    assert (other / "INCAR").read_text().splitlines()[2:] == ["MAGMOM = 3*1.5 1*0", "LDAUU = 4 0"]


def test_a_task_needs_at_most_eight_path_calls(tmp_path):
    """mkdir, and what write_inputs does, counted by the kernel."""
    need("strace")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, os\nfrom pathlib import Path\nimport test_vasp_labels as test_vasp\nfrom labelers import made, prepared\n"
        "folder = Path(sys.argv[1])\nlabeler = made('vasp', test_vasp.settings(folder), folder)\n"
        "prepared(labeler, test_vasp.ALLOY, folder / 's' / 'first')\n"
        "os.path.exists('MARK')\n"
        "for n in range(10):\n    d = folder / 's' / str(n)\n    d.mkdir()\n    labeler.write_inputs(test_vasp.ALLOY, d)\n"
        "os.path.exists('MARK')\n"
    )
    here = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": f"{here}:{here.parent}:{here.parent.parent}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        ["strace", "-f", "-e", "trace=file", sys.executable, str(script), str(tmp_path)],
        env=env, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    between = done.stderr.split('"MARK"')
    assert len(between) == 3, done.stderr[-2000:]
    calls = [line for line in between[1].splitlines()[1:] if "(" in line and '""' not in line]  # "": of an open file
    assert 4 * 10 < len(calls) <= 8 * 10


# ---- checks


def problems(folder, type_map=("Al", "Cu"), **more):
    labeler = made("vasp", settings(folder, **more), folder)
    return [(".".join(map(str, path)), text) for path, text in labeler.checks(context(*type_map))]


@pytest.mark.parametrize(
    ("incar", "says"),
    [
        ("ISIF=0", "ISIF = 0"),
        ("ISIF = 0 only forces", "ISIF = 0"),
        ("ISIF = 1", "ISIF = 1"),
        ("LHFCALC = .TRUE.; AEXX = 0.25", "add ISIF = 2"),
        ("IBRION = 6; NSW = 0", "IBRION = 6"),
        ("ICHARG = 11", "ICHARG = 11"),
        ("ML_LMLFF = .TRUE.", "force field"),
        ("ENCUT=300; MAGMOM = 4*1.0", '{"MAGMOM": {element: value}}'),
        ("LDAUU = 4 \\\n 0", "LDAUU"),
    ],
)
def test_what_a_label_cannot_follow_is_refused_before_anything_is_submitted(tmp_path, incar, says):
    [(path, text)] = problems(tmp_path, incar=incar)
    assert path == "inputs_config.incar"
    assert says in text


def test_comments_and_harmless_tags_are_no_problem(tmp_path):
    assert problems(tmp_path, incar="! NSW = 10\nNSW = 0 # MAGMOM = 1\nISIF = 2\nIBRION = -1\n") == []
    assert problems(tmp_path, incar="IBRION = 0 # no stress by default, but labels have IBRION = -1\n") == []
    assert problems(tmp_path, incar="LHFCALC = .TRUE.\nISIF = 3\nICHARG = 2\nIBRION = 2\nLREAL = Auto\n") == []


def test_each_element_needs_its_own_potcar(tmp_path):
    [(path, text)] = problems(tmp_path, type_map=("Al", "Cu", "Mg"))
    assert (path, "Mg" in text) == ("inputs_config.pp_files", True)
    (tmp_path / "vasp" / "POTCAR.Mg").write_text(fake_potcar("Al"))
    files = {"Al": "vasp/POTCAR.Al", "Cu": "vasp/POTCAR.Mg"}
    [(path, text)] = problems(tmp_path, pp_files=files)
    assert path == "inputs_config.pp_files.Cu"
    assert "POTCAR of Al, not of Cu" in text


def test_a_potcar_of_two_elements_or_one_that_is_missing_is_named(tmp_path):
    (tmp_path / "both").write_text(fake_potcar("Al") + fake_potcar("Cu"))
    assert "2 lines with TITEL" in problems(tmp_path, pp_files={"Al": "both", "Cu": "vasp/POTCAR.Cu"})[0][1]
    assert "there is no file" in problems(tmp_path, pp_files={"Al": "none", "Cu": "vasp/POTCAR.Cu"})[0][1]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"kspacing": None}, "add KSPACING (1/Å) to the INCAR, or give inputs_config.kspacing"),
        ({"kspacing": [0.3, 0.3]}, "has 2 numbers"),
        ({"incar": "KSPACING = 0.3"}, "give only one of them"),
        ({"incar": "KSPACING = auto"}, "KSPACING in the INCAR is auto; it is a distance"),
        ({"incar": "KSPACING = 0"}, "KSPACING in the INCAR is 0; it is a distance"),
        ({"incar": "KGAMMA = .FALSE.", "kgamma": True}, "give only one of them"),
    ],
)
def test_the_mesh_is_given_once(tmp_path, more, says):
    [(path, text)] = problems(tmp_path, **more)
    assert path == "inputs_config.kspacing"
    assert says in text


def test_lists_need_a_value_for_each_element(tmp_path):
    [(path, text)] = problems(tmp_path, incar_lists={"MAGMOM": {"Al": 1}})
    assert (path, text) == ("inputs_config.incar_lists.MAGMOM", "has no value for Cu")


# ---- outputs of the stand-in


def test_the_stand_in_gives_the_label_that_ase_gives(vasp):
    from ase import Atoms
    from ase.calculators.emt import EMT

    labeler, task = vasp()
    assert ran(task) == 0
    labels = Gate().read(labeler, task, ALLOY)
    atoms = Atoms(ALLOY.symbols, ALLOY.coords, cell=ALLOY.cell, pbc=True, calculator=EMT())
    assert labels.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-7)
    np.testing.assert_allclose(labels.forces, atoms.get_forces(), atol=1e-6)
    np.testing.assert_allclose(labels.virial, -atoms.get_stress(voigt=False) * atoms.get_volume(), atol=1e-5)


def test_dpdata_reads_the_stand_ins_outcar_and_vasprun_to_the_same_numbers(vasp):
    _, task = vasp()
    ran(task)
    outcar, xml = by_dpdata(task / "OUTCAR").data, by_dpdata(task / "vasprun.xml", "vasp/xml").data
    assert len(outcar["energies"]) == len(xml["energies"]) == 1
    assert outcar["energies"][0] == pytest.approx(xml["energies"][0], abs=1e-7)
    for name, tolerance in (("forces", 2e-6), ("virials", 1e-4), ("cells", 1e-7), ("coords", 2e-5)):
        np.testing.assert_allclose(outcar[name], xml[name], atol=tolerance)


def test_an_element_that_emt_lacks_has_forces_that_are_the_gradient_and_a_virial_that_is_the_strain(vasp):
    """The stand-in's own potential is a potential: Al-Mg is the manual's example."""
    frame = replace(ALLOY, symbols=("Al", "Al", "Mg", "Mg"), cell=ALLOY.cell * 1.1, coords=ALLOY.coords * 1.1)

    def label(frame):
        labeler, task = vasp(frame, elements=("Al", "Mg"))
        assert ran(task) == 0
        return labeler.read_labels(task)

    found, step = label(frame), 1e-3
    shift = np.zeros((4, 3))
    shift[2, 0] = step
    up, down = (label(replace(frame, coords=frame.coords + sign * shift)).energy for sign in (1, -1))
    assert found.forces[2, 0] == pytest.approx(-(up - down) / (2 * step), abs=1e-3)
    strain = np.eye(3)
    strain[0, 0] += step
    other = np.eye(3)
    other[0, 0] -= step
    up, down = (
        label(replace(frame, coords=frame.coords @ one, cell=frame.cell @ one)).energy for one in (strain, other)
    )
    assert found.virial[0, 0] == pytest.approx(-(up - down) / (2 * step), abs=2e-2)
    assert abs(found.forces).max() > 0.01


def test_vasprun_is_read_where_outcar_is_cut(vasp):
    labeler, task = vasp()
    ran(task)
    whole = Gate().read(labeler, task, ALLOY)
    (task / "OUTCAR").write_text((task / "OUTCAR").read_text().partition("TOTAL-FORCE")[0])
    labels = Gate().read(labeler, task, ALLOY)
    assert labels.energy == pytest.approx(whole.energy, abs=1e-7)
    np.testing.assert_allclose(labels.forces, whole.forces, atol=2e-6)
    np.testing.assert_allclose(labels.virial, whole.virial, atol=1e-4)


@pytest.mark.parametrize("text", ["ions per type", "Iteration      1(   5)", "in kB", "TOTAL-FORCE", "  free  energy"])
def test_a_killed_run_left_nothing(vasp, text):
    labeler, task = vasp()
    assert ran(task, VASP_STANDIN_STOP_AT=text) != 0
    with pytest.raises(OutputError, match="OUTCAR"):
        Gate().read(labeler, task, ALLOY)


def test_a_cycle_that_took_all_its_steps_is_refused_though_vasp_says_that_ediff_is_reached(vasp):
    labeler, task = vasp(incar="NELM = 5\n")
    assert ran(task) == 0
    assert "EDIFF is reached" in (task / "OUTCAR").read_text()
    with pytest.raises(LabelRefused, match="took all NELM = 5 steps"):
        Gate().read(labeler, task, ALLOY)
    assert len(by_dpdata(task / "OUTCAR")) == 0


@pytest.mark.parametrize("words", ["EDIFF was not reached (unconverged)", "hard stop encountered"])
def test_what_vasp_6_or_a_person_has_ended_is_refused(vasp, words):
    labeler, task = vasp()
    ran(task)
    text = (task / "OUTCAR").read_text()
    (task / "OUTCAR").write_text(text.replace("EDIFF is reached", words))
    with pytest.raises(LabelRefused, match="ended before EDIFF"):
        labeler.read_labels(task)


@pytest.mark.parametrize("symbols", [("Al", "Al", "Cu", "Cu"), ("Al", "Cu", "Cu", "Cu")])
def test_a_potcar_in_the_wrong_order_is_refused_with_equal_numbers_too(vasp, symbols):
    frame = replace(ALLOY, symbols=symbols)
    labeler, task = vasp(frame)
    (task / "POTCAR").unlink()
    (task / "POTCAR").write_text(fake_potcar("Cu") + fake_potcar("Al"))
    assert ran(task) == 0
    with pytest.raises(LabelRefused, match="not those that were asked for"):
        Gate().read(labeler, task, frame)


def test_too_few_potcars_and_a_crash_leave_nothing(vasp):
    labeler, task = vasp()
    (task / "POTCAR").unlink()
    (task / "POTCAR").write_text(fake_potcar("Al"))
    assert ran(task) == 1
    labeler, task = vasp()
    assert ran(task, VASP_STANDIN_CRASH="VERY BAD NEWS! internal error in subroutine IBZKPT:") == 1
    with pytest.raises(OutputError, match="there is no 'OUTCAR'"):
        labeler.read_labels(task)


def test_an_output_appended_to_an_older_one_is_refused(vasp):
    labeler, task = vasp()
    ran(task)
    (task / "OUTCAR").write_text((task / "OUTCAR").read_text() * 2)
    with pytest.raises(LabelRefused, match="2 ionic steps"):
        labeler.read_labels(task)


@pytest.mark.parametrize(
    ("calculator", "says"), [("Nan", "not finite"), ("Squeezed", "GPa"), ("Torn", "largest force")]
)
def test_absurd_numbers_are_refused(vasp, tmp_path, calculator, says):
    (tmp_path / "absurd.py").write_text("""
import numpy as np
from ase.calculators.emt import EMT
class Nan(EMT):
    def calculate(self, *a, **k):
        super().calculate(*a, **k)
        self.results["energy"] = float("nan")
class Squeezed(EMT):
    def calculate(self, *a, **k):
        super().calculate(*a, **k)
        self.results["stress"] = -np.array([6, 6, 6, 0, 0, 0.0])
class Torn(EMT):
    def calculate(self, *a, **k):
        super().calculate(*a, **k)
        self.results["forces"][0] = 70
""")
    labeler, task = vasp()
    ran(task, VASP_STANDIN_CALC=f"absurd.{calculator}", PYTHONPATH=str(tmp_path))
    with pytest.raises(LabelRefused, match=says):
        Gate().read(labeler, task, ALLOY)


def test_numbers_that_did_not_fit_their_columns_are_refused(vasp):
    labeler, task = vasp()
    ran(task)
    lines = (task / "OUTCAR").read_text().splitlines(keepends=True)
    row = next(n for n, line in enumerate(lines) if "TOTAL-FORCE" in line) + 2
    lines[row] = lines[row][:40] + "**************" * 3 + "\n"
    (task / "OUTCAR").write_text("".join(lines))
    with pytest.raises(LabelRefused, match="did not fit their columns"):
        labeler.read_labels(task)


@pytest.mark.parametrize("seed", range(5))
def test_the_rows_of_the_table_are_the_floats_that_they_spell(seed):
    numbers = np.random.default_rng(seed).normal(0, 10.0**seed, (50, 6))
    lines = ["".join(f"{x:13.5f}" for x in row[:3]) + "   " + "".join(f"{x:14.6f}" for x in row[3:]) for row in numbers]
    text = ("\n".join(lines) + "\n").encode()
    assert _table(text).tolist() == [[float(word) for word in line.split()] for line in lines]


@pytest.mark.parametrize("word", ["NaN", "1.5E+00", "0.1234567"])
def test_numbers_of_another_form_are_read_as_they_stand(word):
    line = f"      0.12345      1.00000      2.00000          {word}      {word}      {word}\n"
    for text in (line, line + line):
        expected = [[float(number) for number in row.split()] for row in text.splitlines()]
        np.testing.assert_array_equal(_table(text.encode()), expected)


@pytest.mark.parametrize(
    "word", ["0.2000", "", "0.200000 0.1", "0.2.0000", "02.00000", ".2000000", "0.200000-0.100000"]
)
def test_a_row_that_differs_from_the_others_is_damaged(word):
    line = "      0.12345      1.00000      2.00000          0.100000      0.200000      0.300000\n"
    for text in (line.replace("0.300000", word), line + line.replace("0.200000", word)):
        with pytest.raises(OutputError, match="damaged"):
            _table(text.encode())


# ---- outputs of the real program, against dpdata


def agrees(mine, data):
    assert mine.energy == pytest.approx(data["energies"][0], abs=1e-9)
    assert list(mine.frame.symbols) == [data["atom_names"][kind] for kind in data["atom_types"]]
    turn = np.linalg.solve(mine.frame.cell, data["cells"][0])
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(mine.forces @ turn, data["forces"][0], atol=1e-6)
    np.testing.assert_allclose(mine.frame.coords @ turn, data["coords"][0], atol=1e-5)
    if "virials" in data:
        np.testing.assert_allclose(turn.T @ mine.virial @ turn, data["virials"][0], atol=1e-4)
    else:
        assert mine.virial is None


def test_the_outcar_that_ase_ships_is_read_to_dpdatas_numbers():
    ase = pytest.importorskip("ase")
    path = Path(ase.__file__).parent / "test/testdata/vasp/OUTCAR_example_1"
    agrees(read_outcar(path), by_dpdata(path).data)


def test_the_stand_ins_outcar_is_read_to_dpdatas_numbers(vasp):
    _, task = vasp()
    ran(task)
    agrees(read_outcar(task / "OUTCAR"), by_dpdata(task / "OUTCAR").data)


@pytest.fixture(scope="session")
def parsevasp():
    """Outputs of VASP 5.4.4 that the package parsevasp ships."""
    return archive("parsevasp") / "tests"


def steps(path):
    """An OUTCAR of several ionic steps as one for each step: the header before each part."""
    data = path.read_bytes()
    first = data.find(b"--------------------------------------- Iteration")
    header, rest = data[:first], data[first:]
    parts, mark = [], b"free  energy   TOTEN  ="
    while mark in rest:
        end = rest.find(b"\n", rest.find(mark)) + 1
        parts.append(header + rest[:end])
        rest = rest[end:]
    return parts


@pytest.mark.parametrize(
    ("name", "frames", "refused"),
    [
        ("OUTCAR", 15, 0),
        ("OUTCAR.converged", 8, 0),
        ("OUTCAR.nelm-breach-consistent", 0, None),
        ("OUTCAR.nelm-breach-partial", 3, 2),
        ("OUTCAR.not-converged", 2, 0),
        ("OUTCAR.unfinished", 12, None),
        ("OUTCAR_MAG_SINGLE", None, 0),
    ],
)
def test_each_step_of_real_outputs_is_read_to_dpdatas_numbers(parsevasp, tmp_path, name, frames, refused):
    parts = steps(parsevasp / name)
    accepted = 0
    for number, part in enumerate(parts):
        path = tmp_path / f"OUTCAR.{number}"
        path.write_bytes(part)
        reference = by_dpdata(path)
        if len(reference) == 1:
            agrees(read_outcar(path), reference.data)
            accepted += 1
        else:
            with pytest.raises(LabelRefused, match="NELM"):
                read_outcar(path)
    assert frames is None or accepted == frames
    assert refused is None or len(parts) - accepted == refused


def test_several_steps_in_one_file_are_not_a_label(parsevasp):
    with pytest.raises(LabelRefused, match="15 ionic steps"):
        read_outcar(parsevasp / "OUTCAR")


def test_a_crashed_run_is_no_label(parsevasp, tmp_path):
    (tmp_path / "OUTCAR").write_bytes((parsevasp / "OUTCAR.crashed").read_bytes())
    with pytest.raises(OutputError):
        VaspLabeler("", {}).read_labels(tmp_path)


def test_a_single_point_of_vasprun_is_a_label_and_a_relaxation_is_none(parsevasp):
    agrees(read_vasprun(parsevasp / "basic.xml"), by_dpdata(parsevasp / "basic.xml", "vasp/xml").data)
    with pytest.raises(LabelRefused, match="holds 19 ionic steps"):
        read_vasprun(parsevasp / "basicrelax.xml")
    with pytest.raises(LabelRefused, match="not a ground-state calculation"):
        read_vasprun(parsevasp / "gw.xml")


# ---- outputs of another calculation than a label


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "   NELM",
            "   ICHARG =     11    charge: 1-file 2-atom 10-const\n   NELM",
            "not self-consistent (ICHARG = 11)",
        ),
        ("  free  energy   TOTEN", "  free  energy ML TOTEN  = -1.0 eV\n  free  energy   TOTEN", "ML_LMLFF"),
        ("TOTAL-FORCE (eV/Angst)", "", "has an energy but no forces"),
        (" vasp.5.4.4", " vasp.4.6.35", "written by VASP 4"),
        ("  free  energy   TOTEN  =", "", "complete but has no total energy"),
    ],
)
def test_an_outcar_of_something_else_is_refused_for_what_it_is_and_vasprun_is_not_asked(vasp, old, new, says):
    labeler, task = vasp()
    ran(task)
    text = (task / "OUTCAR").read_text()
    assert old in text
    ending = (
        "" if "General timing and accounting" in text else " General timing and accounting informations for this job:\n"
    )
    (task / "OUTCAR").write_text(text.replace(old, new) + ending)
    with pytest.raises(LabelRefused, match=re.escape(says)):
        labeler.read_labels(task)


FORCES = re.compile(r'<varray name="forces" >.*?</varray>', re.DOTALL)
BOTH = re.compile(r'(?<=name="forces" >).*(?=</varray>\n  <energy>)', re.DOTALL)


@pytest.fixture(scope="module")
def xml(tmp_path_factory):
    """A vasprun.xml of the stand-in, as text."""
    folder = tmp_path_factory.mktemp("xml")
    task = prepared(made("vasp", settings(folder), folder), ALLOY, folder / "03.fp" / "task")
    ran(task)
    return (task / "vasprun.xml").read_text()


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ("ICHARG>    11", "ICHARG = 11"),
        ("IBRION>     8", "of phonons or of a response"),
        ("LEPSILON> T  ", "of phonons or of a response"),
        ("ML_LMLFF> T  ", "ML_LMLFF"),
    ],
)
def test_a_vasprun_of_another_calculation_is_refused(xml, tmp_path, tag, says):
    name, _, value = tag.partition(">")
    (tmp_path / "vasprun.xml").write_text(xml.replace(" <parameters>", f' <parameters><i name="{name}">{value}</i>'))
    with pytest.raises(LabelRefused, match=says):
        read_vasprun(tmp_path / "vasprun.xml")


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda text: FORCES.sub("", text), LabelRefused, "no forces"),
        (
            lambda text: BOTH.sub(lambda found: re.sub(r"-?\d+\.\d+", "0.00000000", found[0]), text),
            LabelRefused,
            "all zero",
        ),
        (lambda text: text.replace("</calculation>", "</calculation><calculation/>"), LabelRefused, "2 ionic steps"),
        (lambda text: text.replace('name="NELM">    60', 'name="NELM">     2'), LabelRefused, "NELM = 2"),
        (lambda text: text[: len(text) // 2], OutputError, "not whole"),
        (lambda text: FORCES.sub(lambda found: found[0].replace("<v>", "<v> 1.0 ", 1), text), OutputError, "damaged"),
        (lambda text: FORCES.sub(lambda found: re.sub(r"\d+\.\d+", "*****", found[0]), text), LabelRefused, "columns"),
    ],
    ids=["no forces", "zeros", "two steps", "unconverged", "cut", "row too long", "stars"],
)
def test_a_vasprun_that_is_no_label_is_refused(xml, tmp_path, change, error, says):
    assert change(xml) != xml
    (tmp_path / "vasprun.xml").write_text(change(xml))
    with pytest.raises(error, match=says):
        read_vasprun(tmp_path / "vasprun.xml")


def test_the_energy_of_vasprun_is_without_the_work_against_pstress(xml, tmp_path):
    path = tmp_path / "vasprun.xml"
    path.write_text(xml)
    plain = read_vasprun(path)
    path.write_text(xml.replace(" <parameters>", ' <parameters><i name="PSTRESS">   100.0</i>'))
    work = 100 * 1e8 * np.linalg.det(plain.frame.cell) * 1e-30 / 1.602176634e-19  # 100 kbar = 10 GPa
    assert plain.energy - read_vasprun(path).energy == pytest.approx(work, rel=1e-6)


def test_another_form_goes_to_dpdata(vasp, monkeypatch):
    labeler, task = vasp()
    ran(task)
    whole = Gate().read(labeler, task, ALLOY)

    def unknown(path):
        raise Unknown

    monkeypatch.setattr("dpgen2_hpc.fp.vasp.read_outcar", unknown)
    labels = Gate().read(labeler, task, ALLOY)
    np.testing.assert_allclose(labels.forces, whole.forces, atol=1e-6)
    np.testing.assert_allclose(labels.virial, whole.virial, atol=1e-4)
