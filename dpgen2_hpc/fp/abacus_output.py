"""Read the label that ABACUS prints into running_scf.log, versions 2 to 3.11.

Up to 3.10 a row of an atom begins with ``tauc_Fe1`` or ``taud_Fe1``, from 3.11 on with the element. Older
versions print significant digits, and a zero as ``0``.
"""

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

BOHR = 0.529177210903
"""Å."""
KBAR = 1 / 1602.176634
"""1 kbar in eV/Å³."""
CELL_DIGITS = 1e-4
"""ABACUS prints the cell with six digits, and its unit, too: by how much (parts of the longest) they may differ."""
FAILED = "convergence has not been achieved|SCF is not converged"
CONVERGED = "convergence is achieved|SCF is converged"
ATOM = re.compile(r"^ *(?:tau[cd]_)?([A-Z][a-z]?)\d* +(\S+) +(\S+) +(\S+)(?: .*)?$")
"""A row of the table of coordinates: the element, and where it is."""
FORCES, STRESS = r"TOTAL-FORCE \(eV/Angstrom\)", r"TOTAL-STRESS \(kbar\)"


def read_abacus(path: Path, asked: Path) -> Labels:
    """Return the label in a log; ``asked`` is the STRU of the task, which has the cell with all its digits.

    Raises
    ------
    LabelRefused
        Not converged, not one calculation of forces, or of another cell.
    OutputError
        It is missing, was cut, or is damaged.
    """
    text = foreign.text_of(path)
    try:
        _refuse_others(text, path.name)
        return _labels(text, _cell(text, read_output_text(asked)))
    except (ValueError, LookupError, AttributeError, OverflowError) as error:
        raise torn(path.name, error) from error


def _refuse_others(text: str, name: str) -> None:
    """Refuse a log of a cycle that did not end well, of several runs or steps, or of one that was cut."""
    ended = "!FINAL_ETOT_IS" in text or "Total  Time" in text
    if re.search(FAILED, text, re.IGNORECASE):
        raise LabelRefused("ABACUS says that convergence has not been achieved")
    runs, tables = text.count("READING UNITCELL INFORMATION"), len(re.findall(FORCES, text))
    if max(runs, tables) > 1:
        raise LabelRefused(f"'{name}' holds {max(runs, tables)} runs or steps, and one was asked for")
    if ended and not tables:
        raise LabelRefused(f"'{name}' is complete but has no forces: set calculation scf and cal_force 1")
    if not ended or not re.search(CONVERGED, text, re.IGNORECASE):
        raise OutputError(f"'{name}' does not say that the SCF has converged: the run was cut")


def _labels(text: str, cell: NDArray[np.float64]) -> Labels:
    symbols, coords = _atoms(text, cell)
    energy = re.findall(r"!FINAL_ETOT_IS +(\S+) +eV", text)[-1]
    forces = _table(text, FORCES, len(symbols))
    if forces is None:
        raise damaged("forces", "there is no table of them")
    stress = _table(text, STRESS, 3)
    virial = None if stress is None else stress * KBAR * volume(cell)
    return Labels(Frame(symbols, coords, cell), number("the energy", energy), forces, virial)


def _constant(text: str) -> float:
    """Return the unit of lengths (bohr), with the most digits that are there."""
    unit = re.search(r"CARTESIAN COORDINATES \( UNIT = +(\S+) Bohr", text)
    found = unit or re.search(r"lattice constant \(Bohr\) = (\S+)", text, re.IGNORECASE)
    if found is None:
        raise damaged("lattice constant", "there is none")
    return number("the lattice constant", found[1])


def _cell(text: str, structure: str) -> NDArray[np.float64]:
    """Return the cell (Å) of the STRU if it is the one that ABACUS says it used.

    Raises
    ------
    LabelRefused
        It is another one.
    """
    words = structure.split()
    place = words.index("LATTICE_VECTORS") + 1
    vectors = np.array([float(word) for word in words[place : place + 9]]).reshape(3, 3)
    cell = vectors * float(words[words.index("LATTICE_CONSTANT") + 1]) * BOHR
    lines = text[text.index("Lattice vectors:") :].splitlines()[1:4]
    printed = np.array([[float(word) for word in line.split()] for line in lines]) * _constant(text) * BOHR
    if printed.shape != (3, 3) or not np.abs(printed - cell).max() <= CELL_DIGITS * np.abs(cell).max():
        raise LabelRefused("the cell in the output is not the one in STRU")
    return cell


def _atoms(text: str, cell: NDArray[np.float64]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return elements and coordinates (Å), shape (N, 3)."""
    _, kind, table = re.split(r"(CARTESIAN|DIRECT) COORDINATES", text, maxsplit=1)
    rows: list[re.Match[str]] = []
    for line in table.splitlines()[1:]:
        row = ATOM.match(line)
        if row is None and rows:
            break
        if row is not None:
            rows.append(row)
    found = [[number("coordinates", word) for word in row.groups()[1:]] for row in rows]
    places = np.array(found, dtype=np.float64).reshape(-1, 3)
    return tuple(row[1] for row in rows), places @ cell if kind == "DIRECT" else places * _constant(text) * BOHR


def _table(text: str, heading: str, count: int) -> NDArray[np.float64] | None:
    """Return the numbers of a table, without the names of atoms before them; rules and headings have none."""
    found = re.search(heading, text, re.IGNORECASE)
    if found is None:
        return None
    bare = (re.sub(r"^\s*[A-Za-z]\S*\s", "", line) for line in text[found.end() :].splitlines())
    rows = [line for line in bare if re.match(r"\s*[-+*\d.]", line) and not re.match(r"\s*-{4}", line)][:count]
    return numbers(found[0], rows, count, 3, significant=True)
