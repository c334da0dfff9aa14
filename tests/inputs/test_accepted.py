"""Inputs of CP2K, pw.x and VASP in the styles that people write: accepted, with every value where it belongs.

The files in ``accepted/`` were written for this test in the forms of published ones (regression tests, tutorials,
examples of manuals); what they mean stands here, found by hand. CP2K itself is the judge of its inputs where it is
installed, ASE's reader that of pw.x's.
"""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.io.espresso import read_fortran_namelist
from labelers import UPF_1, fake_potcar, made, prepared
from programs import need

from dpgen2_hpc.data.elements import element_of
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.fp.cp2k import INPUT, Cp2kLabeler
from dpgen2_hpc.fp.qe import QeLabeler
from dpgen2_hpc.fp.sections import parse
from dpgen2_hpc.fp.vasp import VaspLabeler
from dpgen2_hpc.inputs.incar import numbers, tags
from dpgen2_hpc.kinds import CheckContext, Occurring

HERE = Path(__file__).parent / "accepted"


def frame_of(symbols, periodic=True):
    coords = 0.5 + 2.0 * np.arange(len(symbols))[:, None] * np.array([1, 0.1, 0])
    return Frame(tuple(symbols.split()), coords[: len(symbols.split())], np.diag([9.0, 9.5, 10.0]), periodic)


def context_of(frame, type_map):
    return CheckContext(
        tuple(type_map.split()),
        tuple(1.0 for _ in type_map.split()),
        4,
        find_occurring=lambda: Occurring(
            tuple(one for one in type_map.split() if one in frame.symbols),
            frame.sorted(type_map.split()).symbols,
            frozenset({frame.periodic}),
        ),
    )


def accepted(labeler, context, notices=()):
    """The labeler has no fault, and says these things, each by a part of its words."""
    assert list(labeler.checks(context)) == []
    found = [text for _, text in labeler.notices(context)]
    assert len(found) == len(notices), found
    for said, part in zip(found, notices, strict=True):
        assert part in said


# ---- CP2K

DFT, SCF, KIND = "FORCE_EVAL/DFT", "FORCE_EVAL/DFT/SCF", "FORCE_EVAL/SUBSYS/KIND"
CP2K = {
    "regtest-water": ("O H H", {f"{DFT}/MGRID CUTOFF": "220", f"{SCF} EPS_SCF": "2.0e-6", f"{SCF}/OT MINIMIZER": "diis",
        f"{DFT}/XC/XC_FUNCTIONAL": "pade", f"{KIND}[O] POTENTIAL": "GTH-PADE-q6", "GLOBAL RUN_TYPE": "ENERGY_FORCE"}),
    "tutorial-silicon": ("Si Si", {f"{DFT}/MGRID REL_CUTOFF": "55", f"{SCF}/SMEAR ELECTRONIC_TEMPERATURE": "[K] 320",
        f"{SCF}/MIXING ALPHA": "0.35", f"{SCF}/DIAGONALIZATION": "ON", f"{KIND}[SI] ELEMENT": "Si",
        "GLOBAL PRINT_LEVEL": None, "GLOBAL PROJECT": "label"}, "PRINT_LEVEL LOW"),
    "set-and-include": ("Al Al", {f"{DFT}/MGRID CUTOFF": "410", f"{DFT}/MGRID REL_CUTOFF": "410",
        "FORCE_EVAL/SUBSYS/CELL A": "9.0000000000 0.0000000000 0.0000000000", "FORCE_EVAL/SUBSYS/CELL ABC": None}),
    "include-in-subsys": ("O H H", {f"{DFT}/MGRID CUTOFF": "800", f"{DFT} CHARGE": "0",
        f"{KIND}[H] POTENTIAL": "GTH-PBE-q1", "FORCE_EVAL/SUBSYS @INCLUDE": None}, "@include coord_and_cell.inc"),
    "defaults-of-variables": ("O", {f"{DFT} BASIS_SET_FILE_NAME": "BASIS_MOLOPT", f"{DFT}/MGRID CUTOFF": "650",
        f"{SCF} EPS_SCF": "3.0E-8", f"{DFT}/XC/XC_FUNCTIONAL": "PBE", f"{KIND}[O] BASIS_SET": "DZVP-MOLOPT-SR-GTH"}),
    "conditions": ("Al", {f"{SCF} MAX_SCF": None, f"{SCF} ADDED_MOS": "25", f"{SCF} EPS_SCF": "4.0E-6",
        f"{SCF}/SMEAR ELECTRONIC_TEMPERATURE": "[K] 900", f"{DFT}/XC/XC_FUNCTIONAL": "PBE"}),
    "kinds-elsewhere": ("O H H", {f"{DFT}/MGRID CUTOFF": "530", f"{DFT}/XC/XC_FUNCTIONAL": "BLYP",
        f"{KIND}[O] POTENTIAL": "GTH-BLYP-q6", f"{KIND}[H] BASIS_SET": "TZVP-MOLOPT-GTH"}),
    "xctype": ("C C", {f"{DFT} @XCTYPE": "PBE", f"{DFT}/MGRID CUTOFF": "[Ry] 280", f"{KIND}[C] BASIS_SET": "DZVP-GTH",
        "GLOBAL PROJECT_NAME": None, "FORCE_EVAL STRESS_TENSOR": "ANALYTICAL"}),
    "geometry-with-constraint": ("O H H", {"GLOBAL RUN_TYPE": "ENERGY_FORCE", "FORCE_EVAL STRESS_TENSOR": "ANALYTICAL",
        "MOTION/CONSTRAINT/FIXED_ATOMS LIST": None, f"{DFT}/MGRID CUTOFF": "360",
        "FORCE_EVAL/SUBSYS/CELL/CELL_REF ABC": None, "FORCE_EVAL/SUBSYS/COORD SCALED": None},
        "RUN_TYPE GEO_OPT", "STRESS_TENSOR NUMERICAL", "&CONSTRAINT", "&CELL_REF"),
    "dynamics": ("O H H", {"GLOBAL RUN_TYPE": "ENERGY_FORCE", "GLOBAL IOLEVEL": None, "GLOBAL WALLTIME": "23:50:00",
        f"{DFT}/QS EXTRAPOLATION_ORDER": "3", f"{KIND}[H] MASS": "2.0", f"{SCF}/OT PRECONDITIONER": "FULL_KINETIC"},
        "RUN_TYPE MD", "PRINT_LEVEL SILENT"),
    "topology": ("O H H", {"FORCE_EVAL/SUBSYS/TOPOLOGY COORD_FILE_NAME": None, "FORCE_EVAL/SUBSYS/CELL PERIODIC": "XYZ",
        "FORCE_EVAL/SUBSYS/CELL MULTIPLE_UNIT_CELL": None, f"{KIND}[O] POT": "GTH-PBE-q6"},
        "RUN_TYPE CELL_OPT", "STRESS_TENSOR DIAGONAL_ANALYTICAL"),
    "tight-binding": ("O H H", {f"{DFT}/QS METHOD": "xTB", f"{DFT}/QS/XTB DO_EWALD": "T", f"{SCF} EPS_SCF": "1.E-7"}),
    "hybrid": ("O", {f"{DFT} BASIS_SET_FILE_NAME": "BASIS_MOLOPT", f"{KIND}[O] BASIS_SET": "DZVP-MOLOPT-SR-GTH",
        f"{DFT}/XC/HF FRACTION": "0.25", f"{DFT}/XC/XC_FUNCTIONAL/XWPBE SCALE_X": "-0.25",
        f"{DFT}/XC/HF/INTERACTION_POTENTIAL OMEGA": "0.11"}),
    "plus-u": ("Fe1 Fe2 O O", {f"{DFT} LSD": "", f"{KIND}[FE1] MAGNETIZATION": "4", f"{KIND}[FE2] MAGNETIZATION": "-4",
        f"{KIND}[FE2]/DFT_PLUS_U U_MINUS_J": "[eV] 4.2", f"{KIND}[FE1] ELEMENT": "Fe"}),
    "units": ("Al", {f"{DFT}/MGRID CUTOFF": "[hartree] 160", f"{DFT}/MGRID REL_CUTOFF": "[eV] 700",
        f"{SCF}/SMEAR ELECTRONIC_TEMPERATURE": "[K] 928", "FORCE_EVAL/SUBSYS/COORD UNIT": None,
        "FORCE_EVAL/SUBSYS/CELL ALPHA_BETA_GAMMA": None}),
    "continued-lines": ("Al", {"FORCE_EVAL METHOD": "QS", f"{DFT} POTENTIAL_FILE_NAME": "GTH_POTENTIALS",
        f"{DFT}/KPOINTS SCHEME": "MONKHORST-PACK 3 3 2", f"{DFT} BASIS_SET_FILE_NAME": '"BASIS_MOLOPT"'}),
    "all-electron": ("O H H", {f"{DFT}/QS METHOD": "GAPW", f"{KIND}[DEFAULT] LEBEDEV_GRID": "80",
        f"{DFT}/XC/XC_FUNCTIONAL": "PBE0"}, "RUN_TYPE WFN_OPT"),
    "dispersion": ("C", {f"{DFT} BASIS_SET_FILE_NAME": "../shared/BASIS_MINE",
        f"{DFT}/XC/VDW_POTENTIAL/PAIR_POTENTIAL PARAMETER_FILE_NAME": "../shared/dftd3_mine.dat",
        f"{DFT}/XC/VDW_POTENTIAL/PAIR_POTENTIAL TYPE": "DFTD3(BJ)",
        f"{DFT}/XC/VDW_POTENTIAL/PAIR_POTENTIAL R_CUTOFF": "[angstrom] 14"}),
    "molecule": ("O H", {f"{DFT} CHARGE": "-1", "FORCE_EVAL/SUBSYS/CELL PERIODIC": "NONE",
        f"{DFT}/POISSON POISSON_SOLVER": "MT", "FORCE_EVAL STRESS_TENSOR": None}),
    "prints": ("O", {"FORCE_EVAL/PRINT/FORCES": "ON", "FORCE_EVAL/PRINT/FORCES FILENAME": None,
        "FORCE_EVAL/PRINT/STRESS_TENSOR": "ON", "GLOBAL PRINT_LEVEL": "HIGH", f"{DFT}/PRINT/MULLIKEN": "OFF"}),
    "many-kinds": ("C O O", {f"{KIND}[NA] POTENTIAL": "GTH-PBE-q9", f"{KIND}[C] POTENTIAL": "GTH-PBE-q4"}),
    "restart": ("O", {f"{SCF}/OUTER_SCF MAX_SCF": "12", f"{SCF} MAX_SCF": "18", f"{DFT} UKS": ".TRUE.",
        "GLOBAL EXTENDED_FFT_LENGTHS": ""}),
}  # fmt: skip
"""Atoms of the frame, values by section and keyword (None: it is gone; "" : there, and without a value), notices."""

BROUGHT = {"dispersion": ["BASIS_MINE", "dftd3_mine.dat"]}


def cp2k_task(name, tmp_path, symbols):
    settings = {"inp_file": f"{HERE}/cp2k/{name}.inp", "files": [f"{HERE}/cp2k/{one}" for one in BROUGHT.get(name, [])]}
    frame = frame_of(symbols, periodic=name != "molecule")
    labeler = made("cp2k", {"inputs_config": settings}, tmp_path)
    return labeler, frame, prepared(labeler, frame, tmp_path / "fp" / name)


def value_at(root, path):
    """The value of a keyword, or the parameter of a section; ``NAME[PARAMETER]`` is one of several sections."""
    sections, *keyword = path.split(" ", 1)
    for one in sections.split("/"):
        name, _, parameter = one.rstrip("]").partition("[")
        fitting = (s for s in root.sections if s.name == name and (not parameter or s.parameter.upper() == parameter))
        root = next(fitting, None)
        if root is None:
            return None
    return root.value(keyword[0]) if keyword else root.parameter


@pytest.mark.parametrize("name", CP2K)
def test_an_input_of_cp2k_is_accepted_with_its_values(name, tmp_path):
    symbols, values, *notices = CP2K[name]
    labeler, frame, task = cp2k_task(name, tmp_path, symbols)
    accepted(labeler, context_of(frame, f"{' '.join(dict.fromkeys(frame.symbols))} Xe"), notices)
    text = (task / INPUT).read_text()
    root = parse(text)
    assert {path: value_at(root, path) for path in values} == values
    assert [line.split()[0] for line in root.at("FORCE_EVAL", "SUBSYS", "COORD").lines] == list(frame.symbols)
    assert re.findall(r"[@$]\w+", text) == (["@XCTYPE"] if name == "xctype" else [])


NAMED = "&FORCE_EVAL\n&DFT\n{} BASIS_MINE\n&END\n&END\n"


@pytest.mark.parametrize(
    ("text", "brought", "says"),
    [
        (NAMED.format("BASIS_SET_FILE_NAME"), [], f'add "{HERE}/cp2k/BASIS_MINE" to inputs_config.files'),
        (
            NAMED.format("PARAMETER_FILE_NAME").replace(" B", " './parts/../B").replace("E\n&E", "E'\n&E", 1),
            [],
            f'add "{HERE}/cp2k/BASIS_MINE" to',
        ),
        (NAMED.format("BASIS_SET_FILE_NAME"), ["BASIS_MINE"], ""),
        (NAMED.format("BASIS_SET_FILE_NAME").replace("_MINE", "_MOLOPT"), [], ""),
        (NAMED.format("WFN_RESTART_FILE_NAME"), [], ""),
    ],
)
def test_a_file_beside_an_input_that_tasks_would_not_find_is_told(text, brought, says):
    if says:
        with pytest.raises(ValueError, match=re.escape(says)):
            Cp2kLabeler.whole_text(text, HERE / "cp2k" / "x.inp", {"files": brought})
    else:
        Cp2kLabeler.whole_text(text, HERE / "cp2k" / "x.inp", {"files": brought})


def test_there_are_enough_of_each():
    assert (len(CP2K) >= 20, len(PW) >= 15, len(INCAR) >= 15) == (True, True, True)
    for folder, table in (("cp2k/*.inp", CP2K), ("pw/*.in", PW), ("incar/*", INCAR)):
        assert {path.stem for path in HERE.glob(folder)} == set(table)


OURS = re.compile(
    r"GLOBAL (RUN_TYPE|PROJECT_NAME|PRINT_LEVEL)|FORCE_EVAL STRESS_TENSOR|MOTION|FORCE_EVAL/(PRINT|SUBSYS/(CELL|COORD|"
    r"VELOCITY|TOPOLOGY|PRINT))|FORCE_EVAL/DFT/SCF/PRINT/PROGRAM_RUN_INFO"
)
"""What is written, or left out, for each label."""


def echoed(folder, name):
    """What CP2K has understood: its echo of an input with every default, a line for each keyword with its section."""
    words = ["cp2k", "-e", name]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert "ABORT" not in done.stdout, done.stdout[-2000:]
    path, lines = [], []
    for line in done.stdout.splitlines():
        words = line.replace("../shared/", "").replace("./", "").split()
        if words[:1] == ["&END"]:
            path.pop()
        elif words and words[0].startswith("&"):
            path.append(words[0][1:])
            lines.append(f"{'/'.join(path)} {' '.join(words[1:])}".strip())
        elif words and path:
            lines.append(f"{'/'.join(path)} {' '.join(words)}")
    return [line for line in lines if not OURS.match(line)]


JUDGED = ("set-and-include", "defaults-of-variables", "conditions", "kinds-elsewhere", "xctype", "dynamics", "hybrid",
          "units", "continued-lines", "dispersion")  # fmt: skip
"""Inputs that use what CP2K must be asked about; it has understood the same of all the others, too."""


@pytest.mark.programs
@pytest.mark.parametrize("name", JUDGED)
def test_cp2k_itself_understands_the_same_of_both(name, tmp_path):
    """Of the user's input and of the one that is written; where a file is missing the user's cannot be read."""
    need("cp2k")
    _, _, task = cp2k_task(name, tmp_path, CP2K[name][0])
    written = echoed(task, INPUT)
    if name in ("set-and-include", "include-in-subsys"):
        assert len(written) > 100
    else:
        assert written == echoed(HERE / "cp2k", f"{name}.inp")


# ---- pw.x

PW = {
    "one-line": ("Al Al", {"system.ecutwfc": 18.0, "system.smearing": "mv", "system.degauss": 0.04,
        "electrons.conv_thr": 1e-9, "electrons.mixing_beta": 0.6, "system.ibrav": 0, "system.celldm(1)": None},
        {"K_POINTS": "automatic 6 6 6 1 1 1"}),
    "example-silicon": ("Si Si", {"system.nbnd": 9, "system.ecutwfc": 22.0, "electrons.diagonalization": "cg",
        "control.pseudo_dir": "../shared", "control.outdir": "./out", "electrons.conv_thr": 2e-8},
        {"K_POINTS": "2 0.2500000 0.2500000 0.7500000 3.00 0.2500000 0.2500000 0.2500000 1.00"}, "2 pi / a"),
    "gamma": ("H H O", {"control.title": "water in a box", "system.a": None, "system.ecutrho": 340,
        "system.assume_isolated": "mt", "system.nat": 3}, {"K_POINTS": "gamma"}),
    "magnetic-iron": ("Fe Fe", {"system.starting_magnetization(1)": 0.55, "system.ecutrho": 250.0, "system.nspin": 2,
        "system.smearing": "m-p"}, {"K_POINTS": "{automatic} 8 8 8 0 0 0"}),
    "oxide-plus-u": ("Ni Ni O", {"control.calculation": "scf", "system.hubbard_u(1)": 4.1, "system.hubbard_u(2)": None,
        "system.starting_magnetization(1)": 0.6, "system.starting_magnetization(2)": 0.0, "electrons.mixing_beta": 0.25,
        "ions.ion_dynamics": None}, {}, "'relax'"),
    "antiferromagnet": ("Fe1 Fe2 O O", {"system.starting_magnetization(1)": 0.5, "system.degauss": 0.015,
        "system.starting_magnetization(2)": -0.5, "system.starting_magnetization(3)": 0.0},
        {"HUBBARD": "(ortho-atomic) U Fe1-3d 4.4 U Fe2-3d 4.4"}),
    "hubbard-card": ("O O", {"system.ecutwfc": 50, "cell.press": None},
        {"HUBBARD": "{atomic} U O-2p 1.2", "K_POINTS": "{gamma}"}, "'vc-relax'", "HUBBARD of Mn is not used"),
    "noncollinear": ("Pt", {"system.noncolin": True, "system.lspinorb": True, "system.angle1(1)": 90.0,
        "system.fixed_magnetization(3)": 0.7, "system.lambda": 0.5}, {"K_POINTS": "crystal 2 0 0 0 1 0.5 0.5 0.5 1"}),
    "lower-case-cards": ("Al", {"system.ecutwfc": 16}, {"K_POINTS": "(automatic) 5 5 5 0 0 0",
        "ATOMIC_SPECIES": "Al 1.0 Al.UPF"}),
    "end-words": ("Mg", {"system.a": None, "system.b": None, "system.input_dft": "pbe", "control.verbosity": "high",
        "electrons.electron_maxstep": 150}, {"K_POINTS": "{automatic} 2 3 2 0 0 1"}),
    "comments": ("Al", {"system.ecutwfc": 23, "control.calculation": "scf", "system.nat": 1}, {}, "'md'"),
    "van-der-waals": ("C C", {"system.vdw_corr": "dft-d", "system.london_c6(1)": 40.1, "system.london_rvdw(1)": 2.7,
        "system.london_s6": 0.8, "electrons.conv_thr": 1e-10, "system.celldm(3)": None},
        {"K_POINTS": "automatic 9 9 3 0 0 0"}),
    "moving-ions": ("Al Al", {"control.tstress": True, "control.tprnfor": True, "control.forc_conv_thr": 1e-4,
        "system.nosym": True}, {"CONSTRAINTS": None, "ATOMIC_VELOCITIES": None}, "'relax'"),
    "ensemble-of-keys": ("Al", {"system.tot_charge": -1.0, "system.nr2": 48, "system.space_group": None,
        "control.outdir": "./out", "control.wf_collect": True, "electrons.diago_david_ndim": 4}, {}),
    "heusler": ("Fe Cr Cr Si", {"system.starting_magnetization(1)": 0.3, "system.starting_magnetization(2)": 0.1,
        "system.starting_magnetization(3)": 0.0, "control.disk_io": "none", "electrons.mixing_mode": "plain",
        "system.celldm(1)": None}, {"K_POINTS": "{automatic} 5 5 5 0 0 0"}, "starting_magnetization of Y is not used"),
    "exchange-of-two": ("Mn Ni", {"system.starting_magnetization(1)": -0.3, "system.starting_magnetization(2)": 0.2,
        "system.hubbard_j(2,1)": 0.7, "system.hubbard_j(1,2)": 0.5, "system.starting_ns_eigenvalue(5,2,2)": 1.0,
        "system.hubbard_j(1,1)": None}, {"K_POINTS": "gamma"}),
}  # fmt: skip
"""Atoms of the frame, values by namelist and key (None: it is gone), words of cards, notices."""


def pw_labeler(template, tmp_path, frame):
    for symbol in set(frame.symbols):
        (tmp_path / f"{symbol}.UPF").write_text(UPF_1.format(element_of(symbol)))
    files = {symbol: f"{symbol}.UPF" for symbol in set(frame.symbols)}
    return made("qe", {"inputs_config": {"pp_files": files, "template": str(template)}}, tmp_path)


def cards_of(lines):
    """The words behind the name of each card."""
    cards, name = {}, ""
    for line in lines:
        words = line.split()
        if words and words[0].isupper() and "_" in words[0] or words[:1] == ["HUBBARD"] or words[:1] == ["CONSTRAINTS"]:
            name, *words = words
            cards[name] = []
        if words and words[0][0] not in "#!":
            cards[name] += words
    return {name: " ".join(words) for name, words in cards.items()}


@pytest.mark.parametrize("name", PW)
def test_an_input_of_pw_is_accepted_with_its_values(name, tmp_path):
    symbols, values, cards, *notices = PW[name]
    frame = frame_of(symbols)
    labeler = pw_labeler(HERE / "pw" / f"{name}.in", tmp_path, frame)
    type_map = " ".join(dict.fromkeys(frame.symbols))
    accepted(labeler, context_of(frame, f"{type_map} Xe"), notices)
    with (prepared(labeler, frame, tmp_path / "fp" / "task") / "input").open() as file:
        lists, lines = read_fortran_namelist(file)
    found = {path: lists.get(path.partition(".")[0], {}).get(path.partition(".")[2]) for path in values}
    assert found == values
    words = cards_of(lines)
    assert {name: words.get(name) for name in cards} == cards
    assert tuple(word for word in words["ATOMIC_POSITIONS"].split() if word[0].isalpha())[1:] == frame.symbols


PAIRS = "ATOMIC_SPECIES\nNi 1 a\nO 1 b\nHUBBARD {atomic}\nV Ni-3d O-2p 1 3 0.8\nK_POINTS gamma\n"


@pytest.mark.parametrize(
    ("text", "type_map", "says"),
    [
        ((HERE / "pw" / "antiferromagnet.in").read_text(), "Fe O", "list Fe1, Fe2 in type_map"),
        (
            (HERE / "pw" / "heusler.in").read_text().replace("Cr ", "X "),
            "Cr Fe Si",
            "starting_magnetization for X, which",
        ),
        (
            f"&system\necutwfc=9\n/\n{PAIRS.replace('V Ni-3d O-2p 1 3', 'U M-3d')}",
            "Ni O",
            "a line of HUBBARD for M, which",
        ),
        (f"&system\necutwfc=9\n/\n{PAIRS}", "Ni O", "Hubbard V"),
        (f"&system\necutwfc=9, Hubbard_V(1,1,1)=1\n/\n{PAIRS.replace('V Ni', 'U Ni')}", "Ni O", "Hubbard V"),
        (f"&system\necutwfc=9, angle1(3)=1\n/\n{PAIRS}", "Ni O", "2 lines in ATOMIC_SPECIES"),
    ],
)
def test_what_pw_cannot_be_told_of_a_frame_is_refused(text, type_map, says, tmp_path):
    (tmp_path / "pw.in").write_text(text)
    frame = frame_of(type_map)
    [(_, found)] = pw_labeler(tmp_path / "pw.in", tmp_path, frame).checks(context_of(frame, type_map))
    assert says in found


# ---- VASP

INCAR = {
    "minimal": ({"ENCUT": "420", "KSPACING": "0.22"},),
    "wiki-static": ({"SYSTEM": "fcc Si: a = 3.9", "ISTART": "0", "ICHARG": "2", "ENCUT": "240", "SIGMA": "0.1"},),
    "lower-case": ({"ENCUT": "380 eV", "EDIFF": "1e-6", "KGAMMA": ".false.", "LWAVE": ".f."},),
    "comments": ({"ENCUT": "450", "ISMEAR": "1", "KSPACING": "0.25", "NSW": None, "MAGMOM": None},),
    "continued": ({"EDIFF": "1E-5", "KSPACING": "0.2", "MAGMOM": [1, 1, -1, -1], "ISPIN": "2"}, "Al2 Cu2"),
    "magnetic": ({"MAGMOM": [2.5, 2.5, 0, 0], "LORBIT": "11"}, "Al2 Cu2"),
    "noncollinear": ({"MAGMOM": [0, 0, 3, 0, 0, -3, *[0] * 6], "SAXIS": "0 0 1"}, "Al2 Cu2"),
    "plus-u": ({"LDAUL": [2, -1], "LDAUU": [5.3, 0], "LDAUJ": [0, 0], "LDAUTYPE": "2"}, *["Al2 Cu2"] * 3),
    "quoted": ({"SYSTEM": "Al; NSW = 9 ! not a tag", "NSW": None, "KSPACING": "0.4"},),
    "groups": ({"KERNEL_TRUNCATION/IDIMENSIONALITY": "2", "PLUGINS/OCCUPANCIES": "F", "KSPACING": "0.35"},),
    "fortran-numbers": ({"ENCUT": [400], "KSPACING": [0.2], "SIGMA": [0.05]},),
    "hybrid": ({"ALGO": "Damped", "TIME": "0.4", "AEXX": "0.25"},),
    "dispersion": ({"IVDW": "12", "VDW_S8": "0.79", "LCHARG": ".FALSE."},),
    "parallel": ({"NCORE": "8", "NELMIN": "5", "NSW": "0", "ALGO": "Fast"},),
    "twice": ({"ENCUT": "410", "KSPACING": "0.24"},),
    "windows": ({"ENCUT": "330", "SIGMA": "0.2", "KSPACING": "0.28"},),
    "relaxation": ({"NSW": "0", "IBRION": "-1", "ISIF": "3", "PSTRESS": "0", "ENCUT": "610", "KSPACING": "0.19"},
        "NSW = 60 and IBRION = 2 are for moving atoms: labels are computed with NSW = 0 and IBRION = -1"),
    "dynamics": ({"NSW": "0", "IBRION": "-1", "ISIF": None, "MDALGO": "2", "SIGMA": "0.12", "KGAMMA": ".FALSE."},
        "NSW = 4000 is for moving"),
    "metagga": ({"METAGGA": "R2SCAN", "POMASS": [26.98, 63.55], "RWIGS": [1.4, 1.3]}, *["Al2 Cu2"] * 2),
}  # fmt: skip
"""Values of tags as texts or lists of numbers (None: it is not there), notices."""

ALLOY = frame_of("Al Al Cu Cu")


def vasp_labeler(incar, tmp_path, **more):
    for element in ("Al", "Cu"):
        (tmp_path / f"POTCAR.{element}").write_text(fake_potcar(element))
    files = {element: f"POTCAR.{element}" for element in ("Al", "Cu")}
    return made("vasp", {"inputs_config": {"incar": incar, "pp_files": files, **more}}, tmp_path)


@pytest.mark.parametrize("name", INCAR)
def test_an_incar_is_accepted_with_its_values(name, tmp_path):
    values, *notices = INCAR[name]
    labeler = vasp_labeler(f"{HERE}/incar/{name}", tmp_path)
    accepted(labeler, context_of(ALLOY, "Al Cu Xe"), notices)
    task = prepared(labeler, ALLOY, tmp_path / "fp" / "task")
    found = tags((task / "INCAR").read_text())
    read = {tag: numbers(found[tag]) if isinstance(value, list) else found.get(tag) for tag, value in values.items()}
    assert read == values
    spacing = numbers(found["KSPACING"])[0]
    mesh = [max(1, int(np.ceil(2 * np.pi / length / spacing))) for length in (9.0, 9.5, 10.0)]
    assert list(map(int, (task / "KPOINTS").read_text().splitlines()[3].split())) == mesh


@pytest.mark.parametrize(
    ("name", "symbols", "says"),
    [
        ("magnetic", "Al Cu Cu", "MAGMOM with 4 values; Al1 Cu2 needs 3"),
        ("noncollinear", "Al Cu Cu", "MAGMOM with 12 values; Al1 Cu2 needs 9"),
        ("metagga", "Al Al", "RWIGS with 2 values; Al2 needs 1"),
    ],
)
def test_a_list_for_other_atoms_than_the_frames_have_is_refused(name, symbols, says, tmp_path):
    labeler = vasp_labeler(f"{HERE}/incar/{name}", tmp_path)
    text = next(text for _, text in labeler.checks(context_of(frame_of(symbols), "Al Cu")))
    assert says in text


def test_spins_by_element_may_be_vectors(tmp_path):
    lists = {"MAGMOM": {"Al": [0, 0, 1.5], "Cu": 0}, "LDAUU": {"Al": 0, "Cu": 4}}
    labeler = vasp_labeler(f"{HERE}/incar/minimal", tmp_path, incar_lists=lists)
    assert list(labeler.checks(context_of(ALLOY, "Al Cu Xe"))) == []
    found = tags((prepared(labeler, ALLOY, tmp_path / "fp" / "task") / "INCAR").read_text())
    assert (numbers(found["MAGMOM"]), found["LDAUU"]) == ([0, 0, 1.5, 0, 0, 1.5, 0, 0], "0 4")


@pytest.mark.parametrize(
    ("lists", "says"),
    [
        ({"MAGMOM": {"Al": "1", "Cu": 0}}, "three for a spin"),
        ({"LDAUU": {"Al": [1, 2, 3], "Cu": 0}}, "must be a number"),
        ({"ENCUT": {"Al": 300, "Cu": 400}}, "takes the first"),
        ({"MAGMOM": {"Al": 1}}, "no value for Cu"),
    ],
)
def test_lists_by_element_that_cannot_be_written_are_refused(lists, says, tmp_path):
    labeler = vasp_labeler(f"{HERE}/incar/minimal", tmp_path, incar_lists=lists)
    [(_, text)] = labeler.checks(context_of(ALLOY, "Al Cu"))
    assert says in text


# ---- damaged inputs

SLIPS = (
    "@SET A",
    "@IF",
    "@ENDIF",
    "${A}",
    "&END",
    "&",
    "\\",
    '"',
    "{",
    "}",
    "=",
    "!",
    "(0)",
    "2*",
    "HUBBARD",
    "/",
    "nan",
    "",
)


def damaged(text, rng):
    """The text with a line lost, doubled or cut, or one of the slips in it."""
    lines = text.split("\n")
    at, column = rng.integers(len(lines)), rng.integers(30)
    lines[at] = [
        "",
        f"{lines[at]}\n{lines[rng.integers(len(lines))]}",
        lines[at][:column],
        f"{lines[at][:column]}{rng.choice(SLIPS)}{lines[at][column:]}",
    ][rng.integers(4)]
    return "\n".join(lines)


@pytest.mark.parametrize("kind", ["cp2k", "pw", "incar"])
def test_a_damaged_input_is_refused_or_written_and_nothing_else_happens(kind, tmp_path):
    rng = np.random.default_rng(5)
    for path in sorted((HERE / kind).glob("*.in*" if kind != "incar" else "*")) * 4:
        frame = frame_of({"cp2k": CP2K, "pw": PW}[kind][path.stem][0]) if kind != "incar" else ALLOY
        text = damaged(path.read_text(), rng)
        labeler = {
            "cp2k": lambda text=text: Cp2kLabeler(Cp2kLabeler.whole_text(text, HERE / "cp2k" / "x", {})),
            "pw": lambda text=text, frame=frame: QeLabeler(dict.fromkeys(frame.symbols, "x"), text),
            "incar": lambda text=text: VaspLabeler(text, {"Al": "x", "Cu": "x"}),
        }[kind]
        try:
            found = labeler()
        except ValueError:
            continue
        context = context_of(frame, " ".join(dict.fromkeys(frame.symbols)))
        if all("there is no file" in problem for _, problem in found.checks(context)):
            assert all(notice for _, notice in found.notices(context))
            assert found._kpoints(frame) if kind == "incar" else found.write_inputs(frame, tmp_path)
