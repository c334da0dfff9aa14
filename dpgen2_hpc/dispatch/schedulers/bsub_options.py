"""The options of ``bsub``, LSF 9.1 and 10.1, and what becomes of those that users give."""

from dpgen2_hpc.dispatch.schedulers.options import (
    ARRAY,
    FOLDER,
    INTERACTIVE,
    NAME,
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

_VALUED = """
a alloc_flags app b C c clusters cn_cu cn_mem core_isolation csm cwd D data datagrp E Ep e env eo eptl ext F f freq G g
gpu hostfile i is J Jd jobaff jsdl jsdl_strict jsm json k L Lp ln_mem ln_slots M m mig n nnodes notify network o oo
outdir P p pack ptl Q q R rnc S s sla smt sp stage step_cgroup T t U u v W We w wa wt yaml
"""

_PLAIN = "ar B datachk H hl h I IS ISp ISs IX Ip Is K N Ne r rcacct rn ti tty ul V x XF Zs"

_SLOTS = {"n": "", "nnodes": ""}
"""``-nnodes`` counts whole nodes, beside which no slots and no span are asked for."""

_REPORT = "the report of a job goes to jobs/NAME.out in the folder of its step, where its end is recognized"

BSUB = Options(
    command="bsub",
    directive="#BSUB",
    style=Style.WORDS,
    begin=r"\s*#\s*BSUB\s*(?=-)",
    quoted=r"""'[^']*'|"[^"]*\"""",
    comment=r"(?<!\S)#",
    valued=frozenset(_VALUED.split()),
    plain=frozenset(_PLAIN.split()),
    everywhere=True,
    one_list=True,
    environment=(("env", r"^(?!\s*all\b)", False), ("env", r"^\s*all\b", True)),
    yielding=(
        Yielding(r"#BSUB -n ", _SLOTS, "number_node and cpu_per_node are"),
        Yielding(r"#BSUB -R 'span\[", {**_SLOTS, "R": r"\bspan\s*\[|\d\s*\*\s*\{"}),
        Yielding(r"#BSUB (-gpu |-R \"select\[ngpus )", {"gpu": ""}),
    ),
    fates={
        "J": (*refused(ARRAY, r"\["), *unused(NAME)),
        "pack": refused("makes bsub submit other jobs, those of a file: remove it"),
        "K": refused(WAIT),
        **dict.fromkeys(("I", "Ip", "Is", "IS", "ISp", "ISs", "IX", "tty", "XF"), refused(INTERACTIVE)),
        **dict.fromkeys(("h", "V"), refused(NO_JOB)),
        **dict.fromkeys(("r", "Q"), unused(REQUEUE)),
        "rn": unused(""),
        **dict.fromkeys(("o", "oo", "e", "eo", "outdir"), unused(OUTPUT)),
        **dict.fromkeys(("N", "Ne"), unused(_REPORT)),
        "cwd": unused(FOLDER),
    },
)
