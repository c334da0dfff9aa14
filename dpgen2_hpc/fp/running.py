"""How a code runs and converges is not physics: settings that may change at any time, since no label depends on them.

Each table names the keys that decide how the self-consistent cycle is walked, how the work is spread over cores and
what is printed. The precision of convergence (EDIFF, conv_thr, EPS_SCF, scf_thr) is not among them: it is in the label.
"""

import re
from collections.abc import Mapping
from typing import Any

from dpgen2_hpc.fp import namelists, sections
from dpgen2_hpc.inputs.incar import tags

VASP = frozenset(
    [
        "NELM",
        "NELMIN",
        "NELMDL",
        "AMIX",
        "BMIX",
        "AMIX_MAG",
        "BMIX_MAG",
        "AMIN",
        "IMIX",
        "MAXMIX",
        "WC",
        "INIMIX",
        "MIXPRE",
        "MREMOVE",
        "TIME",
        "LDIAG",
        "NCORE",
        "NPAR",
        "KPAR",
        "NSIM",
        "LPLANE",
        "LSCALU",
        "LSCALAPACK",
        "LSCAAWARE",
        "NCORE_IN_IMAGE1",
        "LASYNC",
        "LWAVE",
        "LCHARG",
        "LVTOT",
        "LVHAR",
        "LELF",
        "LORBIT",
        "NWRITE",
        "NEDOS",
        "EMIN",
        "EMAX",
        "SYSTEM",
        "LH5",
        "LWAVEH5",
        "LCHARGH5",
        "LAECHG",
        "LMAXMIX",
        "MIXFIRST",
        "WEIMIN",
        "DEPER",
        "NRMM",
        "NDAV",
        "INIWAV",
        "RANDOM_SEED",
        "NBLK",
        "NCSHMEM",
    ]
)
"""Tags of INCAR: VASP Wiki, categories Electronic minimization, Density mixing, Parallelization, Output files."""

VASP_ALGO = ("normal", "veryfast", "fast", "conjugate", "all", "damped")
"""Values of ALGO, or their beginnings, that are ways to one self-consistent solution (VASP Wiki: ALGO). None, Exact,
Eigenval, Subrot, CHI, GW0 ... compute something else."""

VASP_START = {
    "IALGO": frozenset({"5", "6", "7", "8", "38", *map(str, range(44, 49)), *map(str, range(53, 59))}),
    "ISTART": frozenset("01"),
    "ICHARG": frozenset("012"),
}
"""Values by which a cycle is walked or begun, and nothing else (VASP Wiki: IALGO, ISTART, ICHARG)."""

PWSCF = {
    "control": frozenset(
        [
            "title",
            "verbosity",
            "restart_mode",
            "wf_collect",
            "outdir",
            "wfcdir",
            "prefix",
            "max_seconds",
            "disk_io",
            "nstep",
            "iprint",
            "lkpoint_dir",
            *("calculation", "pseudo_dir", "tprnfor", "tstress"),  # replaced in every input
        ]
    ),
    "electrons": frozenset(
        [
            "electron_maxstep",
            "scf_must_converge",
            "mixing_mode",
            "mixing_beta",
            "mixing_ndim",
            "mixing_fixed_ns",
            "diagonalization",
            "diago_thr_init",
            "diago_cg_maxiter",
            "diago_david_ndim",
            "diago_rmm_ndim",
            "diago_rmm_conv",
            "diago_gs_nblock",
            "diago_full_acc",
            "startingpot",
            "startingwfc",
            "exx_maxstep",
        ]
    ),
}
"""Keys of pw.x by namelist: INPUT_PW, sections &CONTROL and &ELECTRONS."""

CP2K_KEYWORDS = {
    ("GLOBAL",): frozenset(
        [
            "PROJECT",
            "PROJECT_NAME",
            "PRINT_LEVEL",
            "IOLEVEL",
            "WALLTIME",
            "PREFERRED_DIAG_LIBRARY",
            "TRACE",
            "RUN_TYPE",
            "PREFERRED_FFT_LIBRARY",
            "FFTW_PLAN_TYPE",
            "BLACS_GRID",
            "SAVE_MEM",
        ]
    ),
    ("FORCE_EVAL", "DFT", "SCF"): frozenset(
        [
            "MAX_SCF",
            "MAX_SCF_HISTORY",
            "SCF_GUESS",
            "MAX_DIIS",
            "EPS_DIIS",
            "LEVEL_SHIFT",
            "CHOLESKY",
            "NCOL_BLOCK",
            "NROW_BLOCK",
        ]
    ),
    ("FORCE_EVAL", "DFT", "SCF", "OUTER_SCF"): frozenset(["MAX_SCF", "OPTIMIZER", "STEP_SIZE", "BISECT_TRUST_COUNT"]),
    ("FORCE_EVAL", "DFT"): frozenset(["WFN_RESTART_FILE_NAME", "RESTART_FILE_NAME"]),
    ("FORCE_EVAL",): frozenset(["STRESS_TENSOR"]),
}
"""Keywords of CP2K by section: CP2K manual, GLOBAL and FORCE_EVAL / DFT / SCF."""

CP2K_SECTIONS = {
    ("FORCE_EVAL", "DFT", "SCF"): frozenset(["MIXING", "OT", "DIAGONALIZATION", "PRINT"]),
    ("FORCE_EVAL", "DFT"): frozenset(["PRINT"]),
    ("GLOBAL",): frozenset(["PRINT", "TIMINGS", "DBCSR"]),
    ("FORCE_EVAL",): frozenset(["PRINT"]),
    ("FORCE_EVAL", "SUBSYS"): frozenset(["PRINT", "COORD"]),
}
"""Whole sections that say how, and not what."""

ABACUS = frozenset(
    [
        "suffix",
        "scf_nmax",
        "mixing_type",
        "mixing_beta",
        "mixing_beta_mag",
        "mixing_ndim",
        "mixing_gg0",
        "mixing_gg0_mag",
        "mixing_restart",
        "mixing_dmr",
        "mixing_tau",
        "mixing_dftu",
        "ks_solver",
        "pw_diag_nmax",
        "mixing_gg0_min",
        "mixing_angle",
        "exx_mixing_beta",
        "pw_diag_ndim",
        "kpar",
        "bndpar",
        "diago_proc",
        "nb2d",
        "diag_subspace",
        "init_wfc",
        "init_chg",
        "device",
        "pw_seed",
        "printe",
        "memory_saver",
    ]
)
"""Words of INPUT: ABACUS's list of input keywords; those that begin with out_ are not physics either."""

GAUSSIAN_SCF = r"maxcycles?\s*=\s*\d+|xqc|yqc|qc|noincfock|novaracc|vshift(\s*=\s*\d+)?|damp|fermi|direct|incore"
"""Options of scf=( ): Gaussian's page SCF."""

STEPS = frozenset(
    [
        "max_iterations",
        "maxiter",
        "max_iter",
        "iterations",
        "nproc",
        "command",
        "label",
        "txt",
        "verbosity",
        "mixer_damping",
        "max_steps",
        "initial_guess",
        "mixer",
        "eigensolver",
        "cache_api",
        "verbose",
        "logfile",
        "directory",
        "parallel",
        "num_threads",
        "device",
    ]
)
"""Keywords of ASE calculators (tblite: max_iterations, verbosity, mixer_damping) that say how."""


def vasp(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how VASP runs."""
    found = tags(inputs["incar"]).items()
    return {**inputs, "incar": {tag: " ".join(value.split()) for tag, value in found if not _says_how(tag, value)}}


def _says_how(tag: str, value: str) -> bool:
    """Return whether no label depends on a tag of INCAR that has this value."""
    word = value.split(maxsplit=1)[0].lower()
    if tag == "ALGO":
        return word != "no" and any(name.startswith(word) for name in VASP_ALGO)
    return tag in VASP or word in VASP_START.get(tag, ())


def pwscf(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how pw.x runs."""
    result = dict(inputs)
    if inputs.get("template"):
        lists, cards = namelists.parse(inputs["template"])
        words = {card: text.split() for card, text in cards.items()}
        result["template"] = (
            {part: _without(entries, PWSCF.get(part, frozenset())) for part, entries in lists.items()},
            words,
        )
    for part, keys in PWSCF.items():
        if isinstance(result.get(part), Mapping):
            result[part] = _without(result[part], keys)
    return result


def cp2k(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how CP2K runs."""
    root = sections.parse(inputs["inp_file"] or "")
    sections.merge(root, inputs["sections"])
    return {**inputs, "inp_file": _section(root, ()), "sections": None}


def abacus(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how ABACUS runs."""
    lines = (re.split(r"#|//", line)[0].split(None, 1) for line in inputs["input_file"].splitlines())
    words = {line[0].lower(): line[1].split() for line in lines if len(line) == 2}
    kept = {word: value for word, value in words.items() if word not in ABACUS and not word.startswith("out_")}
    kpt = inputs.get("kpt_file")
    return {**inputs, "input_file": kept, "kpt_file": kpt.split() if isinstance(kpt, str) else kpt}


def gaussian(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how Gaussian runs."""
    routes = [inputs["keywords"]] if isinstance(inputs["keywords"], str) else list(inputs["keywords"])
    return {**_without(inputs, frozenset({"nproc", "mem", "%mem"})), "keywords": [_route(route) for route in routes]}


def ase(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how the calculator runs."""
    return {**inputs, "kwargs": _without(inputs["kwargs"], STEPS)}


def _without(entries: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    kept = {name: value for name, value in entries.items() if name.lower() not in keys}
    return {name: " ".join(value.split()) if isinstance(value, str) else value for name, value in kept.items()}


def _section(section: sections.Section, path: tuple[str, ...]) -> Any:
    """Return a section as a value, without the keywords and sections of the tables."""
    keywords, dropped = CP2K_KEYWORDS.get(path, frozenset()), CP2K_SECTIONS.get(path, frozenset())
    words = [line.split() for line in section.lines]
    lines = sorted([word.upper(), *rest] for word, *rest in words if word.upper() not in keywords)
    inside = [(one.name.upper(), _section(one, (*path, one.name.upper()))) for one in section.sections]
    return section.parameter.upper(), lines, [entry for entry in inside if entry[0] not in dropped]


def _route(route: str) -> str:
    """Return a route without the options of the SCF cycle that say how."""
    options = re.compile(rf"(?<![\w-])({GAUSSIAN_SCF})(?![\w-])", re.IGNORECASE)

    def kept(found: re.Match[str]) -> str:
        rest = [word.strip() for word in found[1].split(",") if not options.fullmatch(word.strip())]
        return f"scf=({','.join(rest)})" if rest else ""

    text = re.sub(r"\bscf\s*=?\s*\(([^)]*)\)", kept, route, flags=re.IGNORECASE)
    text = re.sub(rf"\bscf\s*=\s*({GAUSSIAN_SCF})(?![\w-])", "", text, flags=re.IGNORECASE)
    return " ".join(text.lower().split())
