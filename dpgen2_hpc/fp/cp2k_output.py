"""What CP2K prints: the label, or why there is none."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.outputs import read_output_text
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp import foreign
from dpgen2_hpc.fp.printed import damaged, number, numbers, torn, volume
from dpgen2_hpc.fp.sections import Section, parse

BOHR, HARTREE = 0.529177210903, 27.211386245988
"""Å, eV."""
GPA = 1 / 160.21766208
"""1 GPa in eV/Å³."""
CELL_DIGITS = 1e-3
"""CP2K prints the cell with three decimals (Å)."""
DECIMALS = 9
"""CP2K prints the energy with 15 decimals: with fewer than these it was cut."""
FORCES = re.compile(r"ATOMIC FORCES in|FORCES\| Atomic forces")
HARTREES = ("a.u.", "hartree", "hartree/bohr")
"""How CP2K calls its own units of energies and forces."""


def read_cp2k(path: Path, asked: Path) -> Labels:
    """Return the label in an output; ``asked`` is its input, which has the cell with all its digits.

    Raises
    ------
    LabelRefused
        Not converged, not one calculation, or in other units than CP2K's own.
    OutputError
        It is missing, was cut, or is damaged.
    """
    text = foreign.text_of(path)
    try:
        _refuse_unconverged(text, path.name)
        _refuse_other_units(text, path.name)
        return _labels(text, parse(read_output_text(asked)).at("FORCE_EVAL", "SUBSYS", "CELL"))
    except (ValueError, LookupError, AttributeError, OverflowError) as error:
        raise torn(path.name, error) from error


def _refuse_unconverged(text: str, name: str) -> None:
    """Refuse what CP2K wrote when the cycle did not end well: its exit code is 0 all the same."""
    runs = text.count("CP2K| version string")
    energies = re.findall(r"ENERGY\| Total FORCE_EVAL", text)
    if runs > 1 or len(energies) > 1:
        raise LabelRefused(f"'{name}' holds {max(runs, len(energies))} runs or steps, and one was asked for")
    if any(words in text for words in ("SCF run NOT converged", "SCF not converged!", "FAILED to converge")):
        raise LabelRefused("CP2K says that the SCF run has not converged")
    if "PROGRAM ENDED AT" in text and not (energies and FORCES.search(text)):
        needs = "RUN_TYPE must be ENERGY_FORCE, and FORCE_EVAL/PRINT/FORCES on, without a FILENAME"
        raise LabelRefused(f"'{name}' is complete but has no energy or no forces: {needs}")
    if "SCF run converged" not in text or not energies:
        raise OutputError(f"'{name}' ends before its energy: the run was cut")


def _refuse_other_units(text: str, name: str) -> None:
    heads = rf"ENERGY\| Total FORCE_EVAL|{FORCES.pattern}"
    for unit in re.findall(rf"(?:{heads})[^\n]*\[(.*?)\]", text):
        if unit not in HARTREES:
            raise LabelRefused(f"'{name}' has energies or forces in {unit}, not in atomic units")


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
    name = (form[1] or form[2]).lower()
    unit = {"gpa": GPA, "bar": GPA * 1e-4}.get(name)
    if unit is None:
        raise damaged("the stress", f"its unit is '{name}', neither GPa nor bar")
    rows = re.findall(r"^ *(?:STRESS\|)? +([xXyYzZ]) +([-+*.\d].*)$", text[form.end() :], re.MULTILINE)[:3]
    if "".join(name for name, _ in rows).lower() != "xyz":
        raise damaged("the stress", "there are no three rows x, y, z")
    stress = numbers("the stress", [row for _, row in rows], 3, 3) * unit
    return stress * volume(frame.cell)


def _forces(text: str, count: int) -> NDArray[np.float64]:
    """Return the forces (hartree/bohr); from CP2K 2024 on the rows begin with ``FORCES|``."""
    below = FORCES.split(text)[1]
    rows = re.findall(r"^ *(?:FORCES\|)? *(\d+) +(?:\d+ +\S+)?(.*)$", below, re.MULTILINE)[:count]
    if [int(index) for index, _ in rows] != list(range(1, count + 1)):
        raise damaged("forces", f"there are no rows 1 to {count}")
    words = [row.split() for _, row in rows]
    if {len(row) for row in words} not in ({3}, {4}):  # from CP2K 2024 on |F| stands behind the three components
        raise damaged("forces", "the rows differ in how many numbers they have")
    return numbers("forces", [" ".join(row[:3]) for row in words], count, 3)
