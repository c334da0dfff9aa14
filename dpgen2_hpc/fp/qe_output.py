"""Read the label that ``pw.x`` of Quantum ESPRESSO prints, versions 5.1 to 7.

Their sources differ in this: up to 6.6 the threshold has not the word ``scf``; 5.x print no SCF accuracy for a hybrid
functional, and mark its energy with one ``!``, later versions with ``!!``.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp import foreign, namelists
from dpgen2_hpc.fp.printed import damaged, number, numbers, torn, volume

BOHR = 0.529177210903
"""Å."""
RYDBERG = 13.605693122994
"""eV."""
EXCHANGE, EXCHANGE_ENDS = "EXX: now go back to refine exchange calculation", "EXX self-consistency reached"
"""Printed after each cycle of a hybrid functional but the last, and after the last."""
TOTAL = re.compile(r"^!!? +total energy +=\s*(\S+)\s+Ry", re.MULTILINE)
FORCES = "Forces acting on atoms"
PRINTED = 1.1
"""Accuracy and threshold are printed with two digits: one may be this much more than the other and be the same."""


def read_pw(path: Path) -> Labels:
    """Return the label in an output of one self-consistent calculation.

    Raises
    ------
    LabelRefused
        Not converged, or not one calculation.
    OutputError
        It is missing, was cut, or is damaged.
    """
    text = foreign.text_of(path)
    try:
        _refuse_unconverged(text, path.name)
        return _labels(text)
    except (ValueError, LookupError, AttributeError, OverflowError) as error:
        raise torn(path.name, error) from error


def _refuse_unconverged(text: str, name: str) -> None:
    """Refuse what pw.x wrote when the cycle did not end well.

    "convergence has been achieved" proves nothing: it stands there under ``scf_must_converge = .false.`` too.
    """
    runs, energies = text.count("Program PWSCF"), _energies(text)
    if runs > 1 or len(energies) > 1:
        raise LabelRefused(f"'{name}' holds {max(runs, len(energies))} runs or steps, and one was asked for")
    if "convergence NOT achieved" in text:
        raise LabelRefused("pw.x says that convergence was not achieved")
    if "End of band structure calculation" in text:
        raise LabelRefused(f"'{name}' is a band-structure calculation without an energy: set calculation = 'scf'")
    passed_over = namelists.CARDS & set(re.findall(r"Warning: card (\w+)", text))
    if passed_over:
        raise LabelRefused(f"pw.x passed over the card {', '.join(sorted(passed_over))}, which it does not know")
    thresholds = re.findall(r"^ +(?:scf )?convergence threshold\s*= *(\S+)", text, re.MULTILINE)
    accuracies = _accuracies(text)
    if not thresholds or not accuracies or not energies:
        raise OutputError(f"'{name}' ends before its energy: the run was cut")
    wanted = number("the convergence threshold", thresholds[-1])  # adaptive_thr prints new ones
    if not number("the SCF accuracy", accuracies[-1]) <= PRINTED * wanted:
        text = f"the SCF accuracy is {accuracies[-1]} Ry, and the threshold {thresholds[-1]}: not converged"
        raise LabelRefused(text)
    if FORCES not in text and "JOB DONE" in text:
        raise LabelRefused(f"'{name}' has no forces: set tprnfor to .true.")
    if FORCES not in text:
        raise OutputError(f"'{name}' ends before its forces: the run was cut")


def _accuracies(text: str) -> list[str]:
    """Return the estimates of the SCF error (Ry); of a hybrid functional that prints none, those of the exchange."""
    found = re.findall(r"estimated scf accuracy\s*<\s*(\S+)\s+Ry", text)
    return found or re.findall(r"est\. exchange err \(dexx\)\s*=\s*(\S+)\s+Ry", text)


def _energies(text: str) -> list[str]:
    """Return the energies (Ry) that end a step; a hybrid functional's is the last one of cycles around cycles."""
    if EXCHANGE not in text:
        return TOTAL.findall(text)
    return [TOTAL.findall(cycles)[-1] for cycles in text.split(EXCHANGE_ENDS)[:-1]]


def _labels(text: str) -> Labels:
    frame = _frame(text)
    energy = number("the energy", _energies(text)[0])
    rows = _after(text, FORCES, r"atom +(\d+) +type +\d+ +force +=(.*)", len(frame.symbols))
    return Labels(frame, energy * RYDBERG, rows * RYDBERG / BOHR, _virial(text, frame))


def _virial(text: str, frame: Frame) -> NDArray[np.float64] | None:
    """Return the virial (eV); the stress stands in Ry/bohr**3, and beside it, with fewer decimals, in kbar."""
    place = text.find("total   stress")
    if place < 0:
        return None
    lines = [line.split() for line in text[place:].splitlines()[1:4]]
    if [len(words) for words in lines] != [6, 6, 6]:
        raise damaged("the stress", "there are no three rows of six numbers")
    stress = numbers("the stress", [" ".join(words[:3]) for words in lines], 3, 3)
    numbers("the stress in kbar", [" ".join(words[3:]) for words in lines], 3, 3)
    return stress * RYDBERG / BOHR**3 * volume(frame.cell)


def _frame(text: str) -> Frame:
    """Return the frame that pw.x says it computed."""
    alat = number("celldm(1)", _found(r"celldm\(1\)= *(\S+) +celldm\(2\)=", text)[1]) * BOHR
    count = int(_found(r"number of atoms/cell\s*=\s*(\d+)", text)[1])
    cell = _after(text, "crystal axes:", r"a\((\d)\) = \((.*)\)", 3)
    sites = text[text.index("site n.     atom") :]
    symbols = re.findall(r"^\s+\d+\s+(\S+)\s+tau\(", sites, re.MULTILINE)[:count]
    coords = _after(text, "site n.     atom", r"tau\( *(\d+)\) = \((.*)\)", count)
    return Frame(tuple(symbols), coords * alat, cell * alat)


def _found(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise ValueError(f"no {pattern}")
    return match


def _after(text: str, word: str, pattern: str, count: int) -> NDArray[np.float64]:
    """Return the numbers of the first ``count`` rows of a pattern after a word, shape (count, 3).

    The pattern gives the number of a row, which count from 1, and what stands in it.
    """
    rows = re.findall(pattern, text[text.index(word) :])[:count]
    if [int(index) for index, _ in rows] != list(range(1, count + 1)):
        raise damaged(word, f"there are no rows 1 to {count}")
    return numbers(word, [row for _, row in rows], count, 3)
