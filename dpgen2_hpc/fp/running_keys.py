"""Tables of settings that say how a code converges and runs, by code, each with the manual page that lists them.

The precision of convergence (EDIFF, conv_thr, EPS_SCF, scf_thr) is not among them: it is in the label.
"""

import re

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
        "LDAUPRINT",
    ]
)
"""Tags of INCAR: VASP Wiki, categories Electronic minimization, Density mixing, Parallelization, Output files."""

VASP_MOTION = frozenset(["NSW", "IBRION", "POTIM", "EDIFFG", "TEBEG", "TEEND", "SMASS", "MDALGO", "NBLOCK", "KBLOCK"])
"""Tags of INCAR for how atoms move, which they do not in a label (VASP Wiki: Ionic minimization, MD)."""

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

PWSCF_CARDS = ("ATOMIC_POSITIONS", "CELL_PARAMETERS", "ATOMIC_FORCES", "ATOMIC_VELOCITIES", "CONSTRAINTS")
"""Cards that speak of a template's own atoms, and are not in any task's input."""

PWSCF_UNREAD = ("ions", "cell", "fcp")
"""Namelists that one scf does not read."""

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
    ("FORCE_EVAL", "SUBSYS"): frozenset(["PRINT"]),
}
"""Whole sections that say how, and not what."""

CP2K_UNLESS = {"DIAGONALIZATION": "FILTER_MATRIX"}
"""Sections of these that change the result if this word is in them: the basis is filtered (CP2K: FILTER_MATRIX)."""

CP2K_EMPTY = frozenset(
    [
        ("GLOBAL",),
        ("FORCE_EVAL",),
        ("FORCE_EVAL", "DFT"),
        ("FORCE_EVAL", "DFT", "SCF"),
        ("FORCE_EVAL", "SUBSYS"),
        ("FORCE_EVAL", "SUBSYS", "CELL"),
        ("FORCE_EVAL", "SUBSYS", "TOPOLOGY"),
    ]
)
"""Sections that say nothing by being there; others, such as OUTER_SCF, are switches."""

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
        *("calculation", "stru_file", "kpoint_file", "pseudo_dir", "orbital_dir", "cal_force", "cal_stress", "ntype"),
        # the line above: replaced in every input
    ]
)
"""Words of INPUT: ABACUS's list of input keywords; those that begin with out_ are not physics either."""

ABACUS_SOLVERS = frozenset(
    [
        "cg",
        "bpcg",
        "dav",
        "dav_subspace",
        "lapack",
        "genelpa",
        "elpa",
        "scalapack_gvx",
        "cusolver",
        "cusolvermp",
        "cg_in_lcao",
        "default",
    ]
)
"""Values of ks_solver that are ways to one solution (ABACUS: ks_solver); pexsi has a temperature of its own."""

GAUSSIAN_SCF = r"maxcyc\w*=\d+|xqc(=\d+)?|yqc(=\d+)?|qc|noincfock|novaracc|vshift(=\d+)?|damp|fermi|direct|incore"
"""Options of scf=( ), in small letters and without blanks: Gaussian's page SCF."""

GAUSSIAN_OPTIONS = re.compile(r"scf(?:=?\((.*)\)|=([^(].*))")
"""The word SCF of a route, and its options in brackets or without."""

GAUSSIAN_PRINT = frozenset(["#", "#p", "#n", "#t"])
"""What begins a route: how much is printed."""

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
        "hamiltonian_maxscciterations",
        "num_threads",
        "device",
    ]
)
"""Keywords of ASE calculators (tblite: max_iterations, verbosity, mixer_damping) that say how."""
