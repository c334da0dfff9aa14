"""The options of ``qsub``: of OpenPBS and PBS Professional, and of Torque, which are two different commands."""

from dataclasses import replace

from dpgen2_hpc.dispatch.schedulers.options import (
    ARRAY,
    FOLDER,
    INTERACTIVE,
    NAME,
    NO_ID,
    NO_JOB,
    OUTPUT,
    REQUEUE,
    WAIT,
    Options,
    Style,
    Yielding,
    refused,
    unused,
)

_NOT_FALSE = r"""\s*=(?!\s*["']?false\b)"""

_CHUNK = """
select nodes nodect ncpus mem vmem arch host vnode mpiprocs ompthreads ngpus accelerator accelerator_model naccelerators
hbmem
"""
"""Resources that OpenPBS asks of a chunk or a node: beside a select they are refused, but for select itself."""

OPENPBS = Options(
    command="qsub",
    directive="#PBS",
    style=Style.LETTERS,
    begin=r"\s*#PBS",
    quoted=r"""'[^']*'|"[^"]*\"""",
    comment="",
    valued=frozenset("aAcCejJklmMNopPqrRStuvW"),
    plain=frozenset("fGhIVXz"),
    strict=True,
    inherits=False,
    environment=(("V", "", True), ("v", r"(^|,)\s*PATH\b", True)),
    sizes=frozenset(_CHUNK.split()),
    size_line=r"#PBS -l (select|nodes)=",
    yielding=(Yielding("#PBS -q ", {"q": ""}),),
    fates={
        **dict.fromkeys("Jt", refused(ARRAY)),
        "W": (
            *refused(WAIT, rf"(?i)(^|,)\s*block{_NOT_FALSE}"),
            *refused(INTERACTIVE, rf"(?i)(^|,)\s*interactive{_NOT_FALSE}"),
            *refused(ARRAY, r"(?i)(^|,)\s*(array_indices_submitted|job_array_request)\s*="),
        ),
        "z": refused(NO_ID),
        **dict.fromkeys("IXG", refused(INTERACTIVE)),
        "C": refused("changes what directive lines begin with, so that the others are not read: remove it"),
        "-": refused(NO_JOB),
        "S": refused("is not bash, for which the job's script is written: remove it", r"(csh|fish|python|perl)"),
        "N": unused(NAME),
        "r": (*unused("", "^n$"), *unused(REQUEUE)),
        **dict.fromkeys("oejR", unused(OUTPUT)),
        "k": unused(OUTPUT, "^(?=.*[oe])[^d]*$"),
    },
)

TORQUE = replace(
    OPENPBS,
    valued=frozenset("aAbcCdDeFjJklLmMNopPqrStTuvwW"),
    plain=frozenset("EfhInVXxz"),
    strict=False,
    sizes=frozenset({"nodes", "procs", "ncpus", "select"}),
    fates={
        **{name: fates for name, fates in OPENPBS.fates.items() if name not in "GR"},
        "x": refused(INTERACTIVE),
        **dict.fromkeys("dw", unused(FOLDER)),
    },
)
