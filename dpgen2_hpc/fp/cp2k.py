"""Labels by CP2K (type ``cp2k``, DPGEN2's ``fpop_cp2k``)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.outputs import read_output_text
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp import foreign, running, settings
from dpgen2_hpc.fp.printed import damaged, number, numbers, volume
from dpgen2_hpc.fp.sections import Section, kinds, merge, parse
from dpgen2_hpc.fp.writing import table
from dpgen2_hpc.kinds import CheckContext, Key, Problem

INPUT, OUTPUT = "input.inp", "output"
BOHR, HARTREE = 0.529177210903, 27.211386245988
"""Å, eV."""
GPA = 1 / 160.21766208
"""1 GPa in eV/Å³."""
CELL_DIGITS = 1e-3
"""CP2K prints the cell with three decimals (Å)."""
DECIMALS = 9
"""CP2K prints the energy with 15 decimals: with fewer than these it was cut."""
OTHER_ATOMS = ("COORD_FILE_NAME", "COORD_FILE", "COORD_FILE_FORMAT", "COORDINATE", "MULTIPLE_UNIT_CELL")
"""Keywords of &TOPOLOGY by which a template brings atoms of its own."""
READ_FROM = (
    ("PRINT", "PROGRAM_RUN_INFO"),
    ("DFT", "SCF", "PRINT", "PROGRAM_RUN_INFO"),
    ("SUBSYS", "PRINT", "ATOMIC_COORDINATES"),
    ("SUBSYS", "PRINT", "CELL"),
)
"""Sections that may turn off, send elsewhere or print in other units what a label is read from; CP2K's defaults do."""
HARTREES = ("a.u.", "hartree", "hartree/bohr")
"""How CP2K calls its own units of energies and forces."""
NAMED = re.compile(r"BASIS_SET_FILE_NAME|POTENTIAL_FILE_NAME|PARAMETER_FILE_NAME")


@dataclass(frozen=True)
class Cp2kLabeler:
    """CP2K; see :class:`dpgen2_hpc.kinds.Labeler`.

    ``template`` is the text of an input, or empty, ``sections`` a tree of values that is put over it; cell and
    coordinates are those of each frame, and forces and stress are always asked for.
    """

    template: str = ""
    sections: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    program: str = "cp2k"
    has_virial: bool = True

    text_files: ClassVar[tuple[tuple[str, str], ...]] = (("inputs_config", "inp_file"),)

    outputs: ClassVar[tuple[str, ...]] = (OUTPUT,)

    causes: ClassVar[tuple[tuple[str, str, str], ...]] = (
        (
            r"SCF run NOT converged|FAILED to converge|SCF run has not converged",
            "the SCF cycle did not converge",
            f"raise MAX_SCF, or choose another preconditioner or mixing, in fp.inputs_config; {settings.FOLLOWED}",
        ),
        (
            r"could not be found|basis set .* not found|[Ff]ile .* does not exist",
            "a basis set or potential is missing",
            "name its file in fp.inputs_config.files, or set CP2K_DATA_DIR",
        ),
        (
            r"unknown (keyword|subsection|section)",
            "CP2K does not know a keyword",
            "look at the line that the log names",
        ),
    )

    @classmethod
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``fp``."""
        return [
            Key(
                "inputs_config",
                dict,
                "CP2K's input.",
                sub_fields=[
                    settings.text_file(
                        "inp_file",
                        "An input, a file; cell, coordinates, forces and stress are written in for each frame.",
                    ),
                    Key(
                        "sections",
                        dict,
                        'Values put over the input, as {"FORCE_EVAL": {"DFT": {"MGRID": {"CUTOFF": 400}}}}; a '
                        'section\'s parameter stands behind its name, as in "KIND Al".',
                        optional=True,
                        default={},
                    ),
                    Key(
                        "files",
                        list[str],
                        "Basis sets and potentials that CP2K's data folder does not have; the input names them by "
                        "their file names.",
                        optional=True,
                        default=[],
                    ),
                ],
            ),
            settings.run_config("cp2k", "The program, as mpirun -n 16 cp2k.psmp; input and output are added."),
        ]

    @classmethod
    def resolved(cls, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings with absolute paths."""
        return settings.absolute(given, folder, ("inputs_config", "files"))

    @classmethod
    def physics(cls, given: Mapping[str, Any]) -> Any:
        """Return what of the settings a label depends on; see :mod:`dpgen2_hpc.fp.running`."""
        return running.cp2k(given["inputs_config"])

    @classmethod
    def from_settings(cls, given: Mapping[str, Any]) -> Self:
        """Return the labeler for checked settings; ``inp_file`` is the text itself."""
        inputs = given["inputs_config"]
        return cls(inputs["inp_file"] or "", inputs["sections"], tuple(inputs["files"]), given["run_config"]["command"])

    # ---- checks

    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong with the input."""
        yield from settings.list_problems("files", self.files, context)
        try:
            root = self._root()
        except ValueError as error:
            yield ("inputs_config", "inp_file"), str(error)
            return
        yield from ((("inputs_config", "inp_file"), text) for text in _input_problems(root, context))

    # ---- inputs

    @property
    def command(self) -> str:
        """Return the command; ``cp2k -o`` would append to an older output."""
        return f"{self.program} -i {INPUT} > {OUTPUT}"

    def shared(self) -> dict[str, Path]:
        """Return the files of basis sets and potentials."""
        return {Path(path).name: Path(path) for path in self.files}

    def write_inputs(self, frame: Frame, directory: Path) -> list[str]:
        """Write the input."""
        root = self._root()
        root.at("GLOBAL").drop("PROJECT_NAME")  # the same as PROJECT
        root.at("GLOBAL").put("RUN_TYPE", "ENERGY_FORCE")
        root.at("GLOBAL").put("PROJECT", "label")
        for path in READ_FROM:
            root.without("FORCE_EVAL", *path)
        evaluation = root.at("FORCE_EVAL")
        if frame.periodic:
            evaluation.put("STRESS_TENSOR", "ANALYTICAL")
            evaluation.at("PRINT").replaced("STRESS_TENSOR", parameter="ON")
        evaluation.at("PRINT").replaced("FORCES", parameter="ON")  # into the output, in CP2K's own units
        self._put_frame(evaluation.at("SUBSYS"), frame)
        (directory / INPUT).write_text(root.text())
        return [INPUT]

    def _root(self) -> Section:
        """Return the template with ours over it; files that we bring are found in ``../shared/``."""
        root = parse(self.template)
        merge(root, self.sections)
        brought = {Path(path).name for path in self.files}
        dft = root.at("FORCE_EVAL", "DFT")
        for place, line in enumerate(dft.lines):
            keyword, _, value = line.partition(" ")
            if NAMED.fullmatch(keyword.upper()) and Path(value.strip()).name in brought:
                dft.lines[place] = f"{keyword} ../shared/{Path(value.strip()).name}"
        return root

    def _put_frame(self, subsystem: Section, frame: Frame) -> None:
        cell = subsystem.child("CELL")
        kept = [line for line in cell.lines if line.split()[0].upper() == "PERIODIC"]
        rows = zip("ABC", table(frame.cell).splitlines(), strict=True)
        subsystem.replaced("CELL", [*(f"{letter} {row}" for letter, row in rows), *kept])
        atoms = zip(frame.symbols, table(frame.coords).splitlines(), strict=True)
        subsystem.replaced("COORD", [f"{symbol} {row}" for symbol, row in atoms])
        subsystem.without("TOPOLOGY", "CENTER_COORDINATES")
        for topology in (section for section in subsystem.sections if section.name == "TOPOLOGY"):
            topology.drop(*OTHER_ATOMS)

    # ---- labels

    def read_labels(self, directory: Path) -> Labels:
        """Return the label in the output."""
        text = foreign.text_of(directory / OUTPUT)
        try:
            _refuse_unconverged(text)
            _refuse_other_units(text)
            asked = parse(read_output_text(directory / INPUT)).at("FORCE_EVAL", "SUBSYS", "CELL")
            return _labels(text, asked)
        except (ValueError, LookupError, AttributeError, OverflowError) as error:
            raise OutputError(f"'{OUTPUT}' is not whole: {error!r}") from error


def _input_problems(root: Section, context: CheckContext) -> Iterator[str]:
    there = {section.parameter.upper() for section in kinds(root)}
    missing = [element for element in context.type_map if not {element.upper(), "DEFAULT"} & there]
    if missing:
        yield f"has no &KIND for {', '.join(missing)}"
    run_type = (root.at("GLOBAL").value("RUN_TYPE") or "ENERGY_FORCE").upper()
    if run_type not in ("ENERGY", "ENERGY_FORCE"):
        yield f"has RUN_TYPE {run_type}; a label is ENERGY_FORCE"
    level = root.at("GLOBAL").value("PRINT_LEVEL") or root.at("GLOBAL").value("IOLEVEL") or "MEDIUM"
    if level.upper() in ("LOW", "SILENT"):
        yield "has a PRINT_LEVEL that leaves out what a label is read from; MEDIUM does"
    if root.at("FORCE_EVAL", "DFT", "SCF").value("IGNORE_CONVERGENCE_FAILURE") is not None:
        yield "has IGNORE_CONVERGENCE_FAILURE: what has not converged is no label"
    stress = root.at("FORCE_EVAL").value("STRESS_TENSOR") or "ANALYTICAL"
    if stress.upper() != "ANALYTICAL":
        yield f"has STRESS_TENSOR {stress}; only ANALYTICAL gives a virial in the one run that a label is"
    if any(section.name == "EXT_RESTART" for section in root.sections):
        yield "has &EXT_RESTART, which would bring atoms of another run"


def _refuse_unconverged(text: str) -> None:
    """Refuse what CP2K wrote when the cycle did not end well: its exit code is 0 all the same."""
    runs = text.count("CP2K| version string")
    energies = re.findall(r"ENERGY\| Total FORCE_EVAL", text)
    if runs > 1 or len(energies) > 1:
        raise LabelRefused(f"'{OUTPUT}' holds {max(runs, len(energies))} runs or steps, and one was asked for")
    if any(words in text for words in ("SCF run NOT converged", "SCF not converged!", "FAILED to converge")):
        raise LabelRefused("CP2K says that the SCF run has not converged")
    if "SCF run converged" not in text or not energies:
        raise OutputError(f"'{OUTPUT}' ends before its energy: the run was cut")


def _refuse_other_units(text: str) -> None:
    heads = r"ENERGY\| Total FORCE_EVAL|ATOMIC FORCES in|FORCES\| Atomic forces"
    for unit in re.findall(rf"(?:{heads})[^\n]*\[(.*?)\]", text):
        if unit not in HARTREES:
            raise LabelRefused(f"'{OUTPUT}' has energies or forces in {unit}, not in atomic units")


def _labels(text: str, asked: Section) -> Labels:
    symbols, coords = _atoms(text)
    frame = Frame(symbols, coords, _cell(text, asked), (asked.value("PERIODIC") or "XYZ").upper() != "NONE")
    forces = _forces(text, len(symbols))
    return Labels(frame, _energy(text) * HARTREE, forces * HARTREE / BOHR, _virial(text, frame))


def _energy(text: str) -> float:
    """Return the energy (hartree); nothing stands behind it in its line, so its decimals say whether it is whole."""
    word = re.findall(r"ENERGY\| Total FORCE_EVAL[^\n]*?(\S+)[ ]*\n", text)[0]
    energy = number("the energy", word)
    if np.isfinite(energy) and len(word.partition(".")[2]) < DECIMALS:
        raise damaged("the energy", f"'{word}' has fewer than {DECIMALS} decimals")
    return energy


def _atoms(text: str) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    table_of_atoms = re.split(r"ATOMIC COORDINATES IN ANGSTROM", text, flags=re.IGNORECASE)[1]
    rows: list[tuple[str, str]] = []
    for line in table_of_atoms.splitlines()[1:]:
        words = line.split()
        if rows and not words:
            break
        if words and words[0].isdigit():
            rows.append((words[2], " ".join(words[4:7])))
    return tuple(symbol for symbol, _ in rows), numbers("coordinates", [row for _, row in rows], len(rows), 3)


def _cell(text: str, asked: Section) -> NDArray[np.float64]:
    """Return the cell of the input, which has all its digits, if it is the one that CP2K says it used.

    Raises
    ------
    LabelRefused
        It is another one.
    """
    vector = r"CELL\| Vector %s \[angstrom\]:?\s+(\S+)\s+(\S+)\s+(\S+)"
    printed = np.array([re.findall(vector % letter, text)[-1] for letter in "abc"], dtype=np.float64)
    cell = np.array([[float(word) for word in (asked.value(letter) or "").split()] for letter in "ABC"])
    if cell.shape != (3, 3) or not np.abs(cell - printed).max() <= CELL_DIGITS:
        raise LabelRefused("the cell in the output is not the one in the input")
    return cell


def _virial(text: str, frame: Frame) -> NDArray[np.float64] | None:
    """Return the virial (eV), from either of the forms that versions of CP2K print it in."""
    form = re.search(r"STRESS\|[^\n]*stress tensor \[(\w+)\]|STRESS TENSOR \[(\w+)\]", text, re.IGNORECASE)
    if form is None:
        return None
    unit = {"gpa": GPA, "bar": GPA * 1e-4}[(form[1] or form[2]).lower()]
    rows = re.findall(r"^ *(?:STRESS\|)? +([xXyYzZ]) +([-+*.\d].*)$", text[form.end() :], re.MULTILINE)[:3]
    if "".join(name for name, _ in rows).lower() != "xyz":
        raise damaged("the stress", "there are no three rows x, y, z")
    stress = numbers("the stress", [row for _, row in rows], 3, 3) * unit
    return stress * volume(frame.cell)


def _forces(text: str, count: int) -> NDArray[np.float64]:
    """Return the forces (hartree/bohr); from CP2K 2024 on the rows begin with ``FORCES|``."""
    below = re.split(r"ATOMIC FORCES in|FORCES\| Atomic forces", text)[1]
    rows = re.findall(r"^ *(?:FORCES\|)? *(\d+) +(?:\d+ +\S+)?(.*)$", below, re.MULTILINE)[:count]
    if [int(index) for index, _ in rows] != list(range(1, count + 1)):
        raise damaged("forces", f"there are no rows 1 to {count}")
    words = [row.split() for _, row in rows]
    if {len(row) for row in words} not in ({3}, {4}):  # from CP2K 2024 on |F| stands behind the three components
        raise damaged("forces", "the rows differ in how many numbers they have")
    return numbers("forces", [" ".join(row[:3]) for row in words], count, 3)
