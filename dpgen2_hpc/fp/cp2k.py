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
from dpgen2_hpc.fp import cp2k_input, foreign, preprocessor, running, settings
from dpgen2_hpc.fp.printed import damaged, number, numbers, volume
from dpgen2_hpc.fp.sections import Section, merge, parse
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
HARTREES = ("a.u.", "hartree", "hartree/bohr")
"""How CP2K calls its own units of energies and forces."""


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
                        "An input, a file; cell, coordinates, forces and stress are written in for each frame. @SET, "
                        "@IF and @INCLUDE are followed when it is read, with files beside it or among files.",
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

    @classmethod
    def whole_text(cls, text: str, path: Path, inputs: Mapping[str, Any]) -> str:
        """Return the text of an input at ``path`` with what it includes: from its folder, or from ``files``.

        Raises
        ------
        ValueError
            CP2K's preprocessor would not follow it.
        """
        named = [path.parent / name for name in inputs.get("files") or ()]

        def find(name: str) -> Path | None:
            places = [path.parent / name, *(one for one in named if one.name == Path(name).name)]
            return next((place.resolve() for place in places if place.is_file()), None)

        return preprocessor.expanded(text, find)

    # ---- checks

    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong with the input."""
        yield from settings.list_problems("files", self.files, context)
        try:
            root = self._template()
        except ValueError as error:
            yield ("inputs_config", "inp_file"), str(error)
            return
        problems = cp2k_input.input_problems(root, context)
        yield from ((("inputs_config", "inp_file"), text) for text in problems)

    def notices(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what the input says and labels do not follow."""
        yield from ((("inputs_config", "inp_file"), text) for text in cp2k_input.input_notices(self._template()))

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
        root = cp2k_input.without_own_atoms(self._template())
        cp2k_input.name_files(root, self.files)
        cp2k_input.ask_for_labels(root, stress=frame.periodic)
        cp2k_input.put_frame(root, frame)
        (directory / INPUT).write_text(root.text())
        return [INPUT]

    def _template(self) -> Section:
        """Return the template with ours over it."""
        root = parse(self.template)
        merge(root, self.sections)
        return root

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
