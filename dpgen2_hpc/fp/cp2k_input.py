"""CP2K's input: what of a user's template is kept, what is written in its place, and what no label can follow."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.fp.sections import Section, kinds, parse
from dpgen2_hpc.fp.writing import table
from dpgen2_hpc.kinds import CheckContext

OTHER_ATOMS = (
    "COORD_FILE_NAME",
    "COORD_FILE",
    "COORD_FILE_FORMAT",
    "COORDINATE",
    "NUMBER_OF_ATOMS",
    "NATOMS",
    "NATOM",
    "CONN_FILE_NAME",
    "CONN_FILE",
    "CONN_FILE_FORMAT",
    "CONNECTIVITY",
    "MULTIPLE_UNIT_CELL",
)
"""Keywords of &TOPOLOGY by which a template brings atoms of its own, or speaks of them."""
OF_OTHER_ATOMS = ("COORD", "VELOCITY", "CORE_COORD", "CORE_VELOCITY", "SHELL_COORD", "SHELL_VELOCITY", "COLVAR")
"""Sections of &SUBSYS with a line for each atom of the template, or with the numbers of some."""
READ_FROM = (
    ("PRINT", "PROGRAM_RUN_INFO"),
    ("DFT", "SCF", "PRINT", "PROGRAM_RUN_INFO"),
    ("SUBSYS", "PRINT", "ATOMIC_COORDINATES"),
    ("SUBSYS", "PRINT", "CELL"),
)
"""Sections that may turn off, send elsewhere or print in other units what a label is read from; CP2K's defaults do."""
GROUND_STATE = frozenset(
    [
        "ENERGY",
        "ENERGY_FORCE",
        "MD",
        "MOLECULAR_DYNAMICS",
        "GEO_OPT",
        "GEOMETRY_OPTIMIZATION",
        "CELL_OPT",
        "WFN_OPT",
        "WAVEFUNCTION_OPTIMIZATION",
        "MC",
        "MONTECARLO",
        "BAND",
        "VIBRATIONAL_ANALYSIS",
        "NORMAL_MODES",
        "DEBUG",
        "PINT",
    ]
)
"""Values of RUN_TYPE whose forces are those that ENERGY_FORCE gives for one geometry."""
WITHOUT_KINDS = frozenset(["MNDO", "MNDOD", "AM1", "PM3", "PM6", "PM6-FM", "PDG", "RM1", "PNNL", "DFTB", "XTB"])
"""Values of METHOD in &QS that have parameters of their own for each element, and need no &KIND."""
STRANGE = ("RESCALE_FORCES", "MIXED", "EMBED", "QMMM", "EIP", "NNP", "BSSE")
"""Sections of &FORCE_EVAL with which forces are not those of one DFT calculation."""
OF_THE_DATA_FOLDER = ("@XCTYPE", "@FFTYPE")
"""Directives that CP2K follows with files of its own data folder."""


def without_own_atoms(root: Section) -> Section:
    """Take out of a template what speaks of its own atoms and cell; of the cell its periodicity is left.

    &MOTION goes too: what is constrained in it has no force, in a single calculation either. In &SUBSYS an @INCLUDE of
    a file that is not there goes; it mostly brings coordinates.
    """
    root.without("MOTION")
    for subsystem in (below for top in _named(root, "FORCE_EVAL") for below in _named(top, "SUBSYS")):
        subsystem.drop("@INCLUDE")
        for name in OF_OTHER_ATOMS:
            subsystem.without(name)
        subsystem.without("TOPOLOGY", "CENTER_COORDINATES")
        for topology in _named(subsystem, "TOPOLOGY"):
            topology.drop("@INCLUDE", *OTHER_ATOMS)
        for cell in _named(subsystem, "CELL"):
            cell.lines = [line for line in cell.lines if line.split()[0].upper() == "PERIODIC"]
            cell.sections = []
    return root


def name_files(root: Section, brought: Sequence[str]) -> None:
    """Let the input name files of the user's own, by their base names, where tasks find them: in ``../shared/``."""
    names = {Path(path).name for path in brought}
    for section in _all(root):
        for place, line in enumerate(section.lines):
            keyword, *value = line.split(None, 1)
            name = Path(value[0].strip("\"'")).name if value else ""
            if name in names and "FILE" in keyword.upper():
                section.lines[place] = f"{keyword} ../shared/{name}"


def files_named(text: str) -> list[str]:
    """Return the relative paths of basis sets, potentials and tables that an input names; nothing of a torn one."""
    try:
        root = parse(text)
    except ValueError:
        return []  # said when it is checked
    words = [line.split(None, 1) for section in _all(root) for line in section.lines]
    names = [line[1].strip("\"'") for line in words if len(line) == 2 and _brings_data(line[0].upper())]
    return [name for name in dict.fromkeys(names) if not Path(name).is_absolute()]


def _brings_data(keyword: str) -> bool:
    """Return whether a keyword names a file that is the same for all frames."""
    return (
        "FILE" in keyword and keyword not in OTHER_ATOMS and not any(word in keyword for word in ("RESTART", "FORMAT"))
    )


def ask_for_labels(root: Section, *, stress: bool) -> None:
    """Ask for energy and forces (and the stress) of one geometry, in the output and in CP2K's own units."""
    top = root.at("GLOBAL")
    if _print_level(root) in ("LOW", "SILENT"):
        top.drop("PRINT_LEVEL", "IOLEVEL")
    top.drop("PROJECT_NAME")  # the same as PROJECT
    top.put("RUN_TYPE", "ENERGY_FORCE")
    top.put("PROJECT", "label")
    for path in READ_FROM:
        root.without("FORCE_EVAL", *path)
    evaluation = root.at("FORCE_EVAL")
    if stress:
        evaluation.put("STRESS_TENSOR", "ANALYTICAL")
        evaluation.at("PRINT").replaced("STRESS_TENSOR", parameter="ON")
    evaluation.at("PRINT").replaced("FORCES", parameter="ON")


def put_frame(root: Section, frame: Frame) -> None:
    """Write a frame's cell and atoms into a template without any; the periodicity is the template's."""
    subsystem = root.at("FORCE_EVAL", "SUBSYS")
    rows = zip("ABC", table(frame.cell).splitlines(), strict=True)
    subsystem.replaced("CELL", [*(f"{letter} {row}" for letter, row in rows), *subsystem.child("CELL").lines])
    atoms = zip(frame.symbols, table(frame.coords).splitlines(), strict=True)
    subsystem.replaced("COORD", [f"{symbol} {row}" for symbol, row in atoms])


# ---- checks


def input_problems(root: Section, context: CheckContext) -> Iterator[str]:
    """Yield what no label can follow in a template."""
    gone = _missing_includes(root)
    without_own_atoms(root)
    evaluations = len(_named(root, "FORCE_EVAL"))
    if evaluations > 1:
        yield f"has {evaluations} sections &FORCE_EVAL; a label is of one"
    if _named(root, "EXT_RESTART"):
        yield "has &EXT_RESTART, which would bring atoms of another run"
    run_type = _word(root, "GLOBAL", "RUN_TYPE", "ENERGY_FORCE")
    if run_type not in GROUND_STATE:
        yield f"has RUN_TYPE {run_type}; a label is ENERGY_FORCE"
    method = _word(root, "FORCE_EVAL", "METHOD", "QS")
    if method not in ("QS", "QUICKSTEP"):
        yield f"has METHOD {method}; labels are read from QUICKSTEP alone"
    for name in STRANGE:
        if _named(root.at("FORCE_EVAL"), name):
            yield f"has &{name}: the forces would not be those of one calculation"
    why = f"; {gone[0]} in &SUBSYS finds no file beside the input" if gone else ""
    yield from (f"{text}{why}" for text in _kind_problems(root, context))
    yield from _directive_problems(root)


def _kind_problems(root: Section, context: CheckContext) -> Iterator[str]:
    there = {section.parameter.upper() for section in kinds(root)}
    named = [element for element in context.type_map if {element.upper(), "DEFAULT"} & there]
    if (root.at("FORCE_EVAL", "DFT", "QS").value("METHOD") or "").upper() not in WITHOUT_KINDS:
        missing = context.lacking(named)
        if missing:
            yield f"has no &KIND for {', '.join(missing)}"


def _directive_problems(root: Section) -> Iterator[str]:
    """Yield what is left for the preprocessor in sections that are kept."""
    for section in _all(root):
        for line in (section.parameter, *section.lines):
            word, *rest = line.split(None, 1) or [""]
            if word.upper() == "@INCLUDE":
                yield (
                    f"includes {rest[0] if rest else 'nothing'}, which is not there: put it beside the input, or name "
                    "it in inputs_config.files"
                )
            elif word.startswith("@") and word.upper() not in OF_THE_DATA_FOLDER:
                yield f"has {word}, which CP2K's preprocessor does not know"
            elif "$" in line:
                yield f"has a variable without a value in '{line}': add @SET before it"


def input_notices(root: Section) -> Iterator[str]:
    """Yield what a template says and labels do not follow, from the whole of it."""
    run_type = _word(root, "GLOBAL", "RUN_TYPE", "ENERGY_FORCE")
    if run_type not in ("ENERGY", "ENERGY_FORCE"):
        yield f"RUN_TYPE {run_type}: labels are computed with ENERGY_FORCE"
    if _print_level(root) in ("LOW", "SILENT"):
        yield f"PRINT_LEVEL {_print_level(root)}: labels are computed with MEDIUM, which prints what they are read from"
    stress = _word(root, "FORCE_EVAL", "STRESS_TENSOR", "ANALYTICAL")
    if stress != "ANALYTICAL":
        yield f"STRESS_TENSOR {stress}: labels of periodic frames are computed with ANALYTICAL"
    if any(_named(motion, "CONSTRAINT") for motion in _named(root, "MOTION")):
        yield "&MOTION / &CONSTRAINT is left out: it would take the forces of the constrained atoms away"
    for line in _missing_includes(root):
        yield f"{line} in &SUBSYS is left out: the file is not there; each frame has its own cell and coordinates"
    if _named(root.at("FORCE_EVAL", "SUBSYS", "CELL"), "CELL_REF"):
        yield "&CELL_REF is left out with the cell: plane waves go by each frame's own cell"


def _missing_includes(root: Section) -> list[str]:
    """Return the lines of &SUBSYS that include files which are not there."""
    return [line for line in root.at("FORCE_EVAL", "SUBSYS").lines if line.upper().startswith("@INCLUDE")]


def _print_level(root: Section) -> str:
    return _word(root, "GLOBAL", "PRINT_LEVEL", _word(root, "GLOBAL", "IOLEVEL", "MEDIUM"))


def _word(root: Section, section: str, keyword: str, default: str) -> str:
    """Return the value of a keyword in capitals."""
    return (root.at(section).value(keyword) or default).upper()


def _named(section: Section, name: str) -> list[Section]:
    return [one for one in section.sections if one.name == name]


def _all(section: Section) -> Iterator[Section]:
    yield section
    for one in section.sections:
        yield from _all(one)
