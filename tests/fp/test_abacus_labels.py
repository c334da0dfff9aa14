"""ABACUS, which cannot be installed here: its inputs read back by dpdata, and a log in the form that versions 2 and 3 print."""

import re

import numpy as np
import pytest
from labelers import Sample, context, made, prepared

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.abacus import OUTPUT, AbacusLabeler
from dpgen2_hpc.fp.gate import Gate

CELL = np.array([[4.0, 0.1, 0.0], [0.0, 3.9, 0.2], [-0.1, 0.0, 4.1]])
ALLOY = Frame(
    ("Al", "Al", "Cu", "Cu"), np.array([[0.1, 0, 0], [0, 1.95, 2.05], [2.0, 0.1, 2.0], [2.0, 1.9, 0.1]]), CELL
)
ANGSTROM = 1.8897261246
INPUT = "INPUT_PARAMETERS\n# plane waves\necutwfc 50 // Ry\nntype 7\nbasis_type pw\nscf_thr 1e-7\ncalculation scf\n"

FORCES = np.array([[0.1, -0.2, 0.3], [-0.1, 0.2, -0.1], [0.05, 0.0, -0.1], [-0.05, 0.0, -0.1]])
STRESS = np.array([[17.9, 5.2, -4.3], [5.2, 13.2, 0.1], [-4.3, 0.1, -1.9]])


def log(frame=ALLOY, converged=True, direct=False):
    """running_scf.log, the lines between left out."""
    places = frame.coords @ np.linalg.inv(frame.cell) if direct else frame.coords
    names = [f"{symbol}{frame.symbols[:n].count(symbol) + 1}" for n, symbol in enumerate(frame.symbols)]

    def force(scale):
        return "".join(
            f" {name:>8s} {' '.join(f'{x * scale:+14.6f}' for x in row)}\n"
            for name, row in zip(names, FORCES, strict=True)
        )

    rule = "\n ><><><><><><><><><><><><><><><><><><><><><><\n"
    end = "charge density convergence is achieved\n final etot is -219.649914042766 eV\n"
    return (
        f" READING UNITCELL INFORMATION\n                  lattice constant (Bohr) = {ANGSTROM:.8f}\n"
        f" {'DIRECT' if direct else 'CARTESIAN'} COORDINATES\n         atom                   x                   y                   z\n"
        + "".join(
            f"      tau{'d' if direct else 'c'}_{name} {' '.join(f'{x:.12f}' for x in place)} 0\n"
            for name, place in zip(names, places, strict=True)
        )
        + "\n Lattice vectors: (Cartesian coordinate: in unit of a_0)\n"
        + "".join(f" {' '.join(f'{x:.8f}' for x in row)}\n" for row in frame.cell)
        + "\n PW ALGORITHM --------------- ION=   1  ELEC=  13---\n "
        + (end if converged else "convergence has NOT been achieved!\n")
        + f"{rule}\n    TOTAL-FORCE (Ry/Bohr)\n{rule}\n     atom              x              y              z\n{force(0.0388938)}\n"
        + f"{rule}\n    TOTAL-FORCE (eV/Angstrom)\n{rule}\n     atom              x              y              z\n{force(1)}\n"
        + f"{rule}\n TOTAL-STRESS (KBAR)\n{rule}\n"
        + "".join(f"   {' '.join(f'{x:+14.8f}' for x in row)}\n" for row in STRESS)
        + "\n --------------------------------------------\n !FINAL_ETOT_IS -219.6499140427659142 eV\n"
    )


def later(text, words):
    """The log in words of later versions, which print the energy whether the cycle has converged or not."""
    return text.replace("convergence has NOT been achieved!", f"{words}\n TOTAL ENERGY -219.649914042766 eV")


def settings(folder, **more):
    (folder / "INPUT").write_text(INPUT)
    for element in ("Al", "Cu"):
        (folder / f"{element}.upf").write_text(f"{element}\n")
        (folder / f"{element}.orb").write_text(f"{element}\n")
    files = {"Al": "Al.upf", "Cu": "Cu.upf"}
    return {"inputs_config": {"input_file": "INPUT", "pp_files": files, "kspacing": 0.5, **more}}


def write(task, text):
    (task / OUTPUT).parent.mkdir(exist_ok=True)
    (task / OUTPUT).write_text(text)


SAMPLE = Sample(
    settings=settings,
    frame=ALLOY,
    good=lambda task: write(task, log()),
    bad=lambda task: write(task, log(converged=False)),
    output=OUTPUT,
    type_map=("Al", "Cu"),
)


@pytest.fixture
def task(tmp_path):
    return prepared(made("abacus", settings(tmp_path), tmp_path), ALLOY, tmp_path / "s" / "t")


def read(text, task):
    write(task, text)
    return Gate().read(AbacusLabeler("", {}), task, ALLOY)


def test_dpdata_reads_the_structure_back(task):
    import dpdata

    data = dpdata.System(str(task / "STRU"), fmt="abacus/stru").data
    assert [data["atom_names"][kind] for kind in data["atom_types"]] == list(ALLOY.symbols)
    np.testing.assert_allclose(data["cells"][0], ALLOY.cell, atol=1e-8)
    np.testing.assert_allclose(data["coords"][0], ALLOY.coords, atol=1e-8)


def test_input_asks_for_forces_and_stress_and_keeps_the_rest(task):
    words = dict(line.split(None, 1) for line in (task / "INPUT").read_text().splitlines()[1:])
    assert (words["cal_force"], words["cal_stress"], words["ecutwfc"], words["scf_thr"]) == ("1", "1", "50", "1e-7")
    assert "ntype" not in words
    assert (task / "KPT").read_text().splitlines()[-1] == "4 4 4 0 0 0"  # 2 pi / 4 / 0.5 = 3.14, 3.22, 3.06


def test_orbitals_and_a_mesh_of_ones_own(tmp_path):
    (tmp_path / "KPT").write_text("K_POINTS\n0\nGamma\n1 1 1 0 0 0\n")
    orbitals = {"Al": "Al.orb", "Cu": "Cu.orb"}
    given = settings(tmp_path, kspacing=None, kpt_file="KPT", orb_files=orbitals)
    directory = prepared(made("fpop_abacus", given, tmp_path), ALLOY, tmp_path / "s" / "t")
    assert (directory / "KPT").read_text() == (tmp_path / "KPT").read_text()
    assert "NUMERICAL_ORBITAL\nAl.orb\nCu.orb\n" in (directory / "STRU").read_text()
    assert (directory / "../shared/Al.orb").exists()


def test_the_numbers_are_those_that_were_printed(task):
    labels = read(log(), task)
    assert labels.energy == -219.6499140427659142
    np.testing.assert_allclose(labels.forces, FORCES, atol=1e-9)
    np.testing.assert_allclose(labels.virial, STRESS / 1602.176621 * np.linalg.det(CELL), rtol=1e-5)


def test_fractional_coordinates_are_understood(task):
    assert read(log(direct=True), task).frame is ALLOY


@pytest.mark.parametrize("direct", [True, False])
def test_a_log_of_other_coordinates_is_refused_though_the_input_is_the_right_one(task, direct):
    """dpdata takes the frame from the input: it would accept any log."""
    coords = ALLOY.coords.copy()
    coords[2, 0] += 0.1
    with pytest.raises(LabelRefused, match="0.1 Å from where"):
        read(log(Frame(ALLOY.symbols, coords, CELL), direct=direct), task)


def as_3_11(text):
    """The log as 3.11 prints it: rows of atoms and headings have other words."""
    text = re.sub(r"tau[cd]_([A-Z][a-z]?)\d+ (\S+) (\S+) (\S+) 0", r"\1 \2 \3 \4  0.0000", text)
    text = text.replace("lattice constant (Bohr)", "Lattice constant (Bohr)").replace("(KBAR)", "(kbar)#")
    return text.replace("charge density convergence is achieved", "#SCF IS CONVERGED#")


def as_2(text):
    """The log as versions 2 print it: significant digits, six of coordinates and eight of forces, and a zero as 0."""

    def short(row):
        coordinates = row[1].startswith("tau")
        return " ".join(
            [
                row[1],
                *(f"{float(x):g}" if coordinates or not float(x) else f"{float(x):+#.8g}" for x in row.groups()[1:]),
            ]
        )

    return re.sub(r"((?:tau[cd]_)?[A-Z][a-z]\d) +(\S+) +(\S+) +(\S+)", short, text)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("form", [as_3_11, as_2])
def test_other_versions_forms_are_read_to_the_same_numbers(task, form, direct):
    text = form(log(direct=direct))
    assert text != log(direct=direct)
    found, known = read(text, task), read(log(direct=direct), task)
    assert found.energy == known.energy
    np.testing.assert_array_equal(found.forces, known.forces)
    np.testing.assert_array_equal(found.virial, known.virial)


@pytest.mark.parametrize("form", [as_3_11, as_2])
def test_coordinates_of_other_versions_are_looked_at(task, form):
    coords = ALLOY.coords.copy()
    coords[2, 0] += 0.1
    with pytest.raises(LabelRefused, match="0.1 Å from where"):
        read(form(log(Frame(ALLOY.symbols, coords, CELL))), task)


def test_later_words_for_convergence_are_understood(task):
    text = later(log(converged=False), "#SCF IS CONVERGED#")
    assert read(text, task).energy == pytest.approx(-219.649914042766)


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (log(converged=False), LabelRefused, "has not been achieved"),
        (later(log(converged=False), " !!SCF IS NOT CONVERGED!!"), LabelRefused, "has not been achieved"),
        (later(log(converged=False), ""), OutputError, "does not say that the SCF has converged"),
        (log() + log(), LabelRefused, "2 runs or steps"),
        (log()[: log().index("TOTAL-FORCE (eV")], OutputError, "the run was cut"),
        (log()[: log().index("TOTAL-STRESS")], OutputError, "the run was cut"),
        (log().replace("TOTAL-STRESS", ""), LabelRefused, "no virial"),
        (log().replace("TOTAL-FORCE (eV", ""), LabelRefused, "cal_force"),
        (
            log().replace("\n TOTAL-STRESS", "\n    TOTAL-FORCE (eV/Angstrom)\n TOTAL-STRESS"),
            LabelRefused,
            "2 runs or steps",
        ),
        (log().replace(" 4.00000000 ", " 4.10000000 "), LabelRefused, "cell in the output"),
        (log()[: log().index("final etot")], OutputError, "the run was cut"),
        (log().replace("-219.6499140427659142 eV", "nan eV"), LabelRefused, "not finite"),
    ],
)
def test_what_is_no_label_is_none(task, text, error, says):
    with pytest.raises(error, match=says):
        read(text, task)


@pytest.mark.parametrize(
    ("more", "key", "says"),
    [
        ({"kspacing": None}, "kspacing", "is missing"),
        ({"kpt_file": "INPUT"}, "kspacing", "give one of them"),
        ({"kspacing": [1, 1]}, "kspacing", "2 numbers"),
        ({"pp_files": {"Al": "Al.upf"}}, "pp_files", "no file for Cu"),
        ({"orb_files": {"Al": "Al.orb"}}, "orb_files", "no file for Cu"),
        ({"input_file": "bands"}, "input_file", "calculation is nscf"),
        ({"input_file": "lcao"}, "orb_files", "lcao"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_submitted(tmp_path, more, key, says):
    (tmp_path / "bands").write_text("INPUT_PARAMETERS\ncalculation nscf\n")
    (tmp_path / "lcao").write_text("INPUT_PARAMETERS\nbasis_type lcao\n")
    [(path, text)] = made("abacus", settings(tmp_path, **more), tmp_path).checks(context("Al", "Cu"))
    assert path == ("inputs_config", key)
    assert says in text


STYLES = {
    "relaxation": (
        "calculation\tcell-relax\nntype 1\nsuffix Al2Cu # mine\nlatname fcc",
        ["calculation cell-relax: labels"],
    ),
    "dynamics": ("calculation md\nmd_nstep 10\nmd_tfirst 300\n", ["calculation md: labels are computed with scf"]),
    "magnetic": ("#Parameters (1.General)\n# ntype 1 # number of element\nnspin  2   #  1/2/4", ["nspin is 2"]),
    "plain": ("stru_file ./STRU-001\npseudo_type\tupf201\necutwfc  80 ###to be tested\n// nspin 2\n", []),
}


@pytest.mark.parametrize("name", STYLES)
def test_an_input_is_accepted_in_the_styles_that_people_write(tmp_path, name):
    text, notices = STYLES[name]
    (tmp_path / "mine").write_text(f"INPUT_PARAMETERS\n{text}\nscf_thr 1e-8\n")
    labeler = made("abacus", settings(tmp_path, input_file="mine"), tmp_path)
    assert list(labeler.checks(context("Al", "Cu"))) == []
    told = [text for _, text in labeler.notices(context("Al", "Cu"))]
    assert [one for one, part in zip(told, notices, strict=True) if part not in one] == []
    lines = (prepared(labeler, ALLOY, tmp_path / "s" / "t") / "INPUT").read_text().splitlines()[1:]
    words = dict(line.split(None, 1) for line in lines)
    assert {key: words.get(key) for key in ("calculation", "suffix", "stru_file", "scf_thr", "ntype", "latname")} == {
        "calculation": "scf", "suffix": "ABACUS", "stru_file": "STRU", "scf_thr": "1e-8", "ntype": None, "latname": None
    }  # fmt: skip
    assert words.get("ecutwfc", "80") == "80"


def test_a_pseudopotential_that_says_it_is_another_elements_is_refused(tmp_path):
    given = settings(tmp_path)
    (tmp_path / given["inputs_config"]["pp_files"]["Al"]).write_text('<PP_HEADER element="Cu"/>')
    [(path, text)] = made("abacus", given, tmp_path).checks(context("Al", "Cu"))
    assert path == ("inputs_config", "pp_files", "Al")
    assert "is a pseudopotential of Cu, not of Al" in text


def test_two_files_of_one_name_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "Al.upf").write_text("Cu\n")
    given = settings(tmp_path, pp_files={"Al": "Al.upf", "Cu": "other/Al.upf"})
    [(path, text)] = made("abacus", given, tmp_path).checks(context("Al", "Cu"))
    assert path == ("inputs_config", "pp_files", "Cu")
    assert "rename one" in text
