"""VASP's OUTCAR, by seeking: a label is a few kilobytes at the end of a file that is long.

dpdata reads the same numbers in many times the time: the tests compare, and what is not understood here goes to it.
"""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.outputs import read_output
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.printed import damaged, number, numbers, volume

ENERGY = b"free  energy   TOTEN  ="
"""Ends an ionic step; the SCF steps have a blank less."""

KBAR = 1 / 1602.176621
"""1 kbar in eV/Å³."""

HEAD = b"Iteration"
"""Stands in the head of each SCF step."""

STEP = b"TOTAL-FORCE (eV/Angst)"
"""Heads the one table of an ionic step."""

ROW = re.compile(rb"(\s*-?\d+\.\d{5}){3}(\s*-?\d+\.\d{6}){3}\s*\n")
SCALE = 10.0 ** np.array([5, 5, 5, 6, 6, 6])
"""A row of that table: places (Å) and forces (eV/Å), and what makes whole numbers of them."""

LEARNED = b"free  energy ML TOTEN"
"""Ends an ionic step that a force field of VASP's own computed or learned from."""

FIXED_CHARGE = 10
"""From this ICHARG on, VASP keeps the charge density as it is (VASP Wiki: ICHARG)."""

ENDS = b"General timing and accounting"
"""Heads what stands at the end of each OUTCAR that is whole."""

NEAR = 2000
"""Bytes in which the cell stands behind its heading."""

MOST_ATOMS = 1_000_000
"""Atoms of one species; a count that is damaged may be any number."""

ENDED = 5000
"""Bytes at the end of a whole OUTCAR in which the timing stands."""

AFTER_SCF = 10000
"""Bytes after the head of the last SCF step in which VASP says why the cycle ended."""


class Unknown(Exception):
    """The file is not of the form that is known here: let another reader look at it."""


def read_outcar(path: Path) -> Labels:
    """Return the label of an OUTCAR of one ionic step.

    Raises
    ------
    OutputError
        The file is missing or ends too early.
    LabelRefused
        Not converged, or not one ionic step.
    Unknown
        The file has another form than VASP 5 and 6 write.
    """
    data = read_output(path)
    _refuse_others(data, path.name)
    scf, table = data.find(HEAD), data.rfind(STEP)
    end = data.find(ENERGY, max(0, table))
    if end < 0 and ENDS in data[-ENDED:]:
        raise LabelRefused(
            f"'{path.name}' is complete but has no total energy: not a ground-state calculation, see ALGO in the INCAR"
        )
    if scf < 0 or end < 0:
        raise OutputError(f"'{path.name}' ends before its energy: the run was cut")
    last = data.rfind(HEAD, 0, table)
    if data.find(STEP, scf, last) >= 0:  # between the last SCF step and its table there is no other
        raise LabelRefused(f"'{path.name}' holds {data.count(STEP)} ionic steps, and one was asked for")
    if data.find(HEAD, end) >= 0:
        raise LabelRefused(f"'{path.name}' goes on after its first ionic step, and one was asked for")
    if table < 0:
        raise LabelRefused(f"'{path.name}' has an energy but no forces: VASP did not compute them")
    header = data[:scf]
    _refuse_unconverged(header, data[last : last + AFTER_SCF])
    return _label(data, header, last, table, end)


def _refuse_others(data: bytes, name: str) -> None:
    """Refuse what is not by VASP 5 or 6, or not from first principles."""
    if data[:100].lstrip().startswith(b"vasp.4"):
        raise LabelRefused(f"'{name}' was written by VASP 4, which is not supported: use VASP 5 or 6")
    if LEARNED in data:
        raise LabelRefused("a machine-learned force field was used: remove ML_LMLFF from the INCAR")


def _refuse_unconverged(header: bytes, after: bytes) -> None:
    """Refuse an SCF cycle that did not reach EDIFF.

    VASP 5 says "EDIFF is reached" even where NELM ended the cycle, so one that took all steps is refused whatever it
    says.
    """
    charge = re.search(rb"ICHARG\s*=\s*(\d+)\s+charge", header)
    if charge is not None and int(charge[1]) >= FIXED_CHARGE:
        raise LabelRefused(f"not self-consistent (ICHARG = {int(charge[1])}): remove ICHARG from the INCAR")
    nelm = re.search(rb"NELM\s*=\s*(\d+)", header[max(0, header.find(b"NELM")) :])
    step = re.match(rb"Iteration\s+\d+\(\s*(\d+)\)", after)
    if nelm is None or step is None:
        raise Unknown
    if int(step[1]) >= int(nelm[1]):
        raise LabelRefused(f"the SCF took all NELM = {int(nelm[1])} steps: not converged")
    if b"EDIFF was not reached" in after or b"hard stop" in after:
        raise LabelRefused("VASP says that the SCF was ended before EDIFF was reached")


def _label(data: bytes, header: bytes, start: int, table: int, end: int) -> Labels:
    symbols = _symbols(header)
    first = data.find(b"---\n", table) + 4
    rows = _table(data[first : data.find(b" ---", first)])
    if len(rows) != len(symbols):
        raise OutputError(f"OUTCAR has {len(rows)} rows of forces for {len(symbols)} atoms: the run was cut")
    cell = _cell(data, start, table)
    stress = data.rfind(b"FORCE on cell =-STRESS", start, table)
    virial = None if stress < 0 else _virial(data, stress, table) * volume(cell)
    printed, unit, _ = data[end + len(ENERGY) : end + len(ENERGY) + 40].partition(b"eV")
    words = printed.decode(errors="replace").split()
    if len(words) != 1 or not unit:
        raise OutputError("OUTCAR ends in its energy: the run was cut")
    return Labels(Frame(symbols, rows[:, :3], cell), number("the energy", words[0]), rows[:, 3:], virial)


def _block(data: bytes, word: bytes, start: int, end: int) -> int:
    place = data.rfind(word, start, end)
    if place < 0:
        raise Unknown
    return place


def _symbols(header: bytes) -> tuple[str, ...]:
    """Return the symbol of each atom: species by POTCAR, numbers by POSCAR, as VASP pairs them."""
    names = re.findall(rb"TITEL\s*=\s*\S+\s+([^\s_]+)", header)
    if not names:
        echoed = re.findall(rb"POTCAR:\s*\S+\s+([^\s_]+)", header)
        names = echoed[: len(echoed) // 2]
    place = header.find(b"ions per type =")
    counts = header[place : header.find(b"\n", place)].split()[4:] if place >= 0 else []
    if not counts or len(names) != len(counts):
        raise Unknown
    if not all(count.isdigit() for count in counts):
        raise damaged("ions per type", "they are not whole numbers")
    symbols: tuple[str, ...] = ()
    for name, count in zip(names, counts, strict=True):
        symbols += (name.decode(errors="replace"),) * min(int(count), MOST_ATOMS)
    return symbols


def _cell(data: bytes, start: int, end: int) -> NDArray[np.float64]:
    place = _block(data, b"VOLUME and BASIS", start, end)
    lines = data[place : min(end, place + NEAR)].split(b"\n", 8)[5:8]
    rows = [line.replace(b"-", b" -").decode(errors="replace") for line in lines]  # columns may touch
    return numbers("the cell", rows, 3, 6)[:, :3]


def _virial(data: bytes, start: int, end: int) -> NDArray[np.float64]:
    """Return the stress (eV/Å³), from the row in kB: XX YY ZZ XY YZ ZX."""
    place = data.find(b"in kB", start, end)
    if place < 0:
        raise Unknown
    row = data[place + 5 : data.find(b"\n", place)].decode(errors="replace")
    xx, yy, zz, xy, yz, zx = numbers("the stress", [row], 1, 6)[0]
    return np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]]) * KBAR


def _table(text: bytes) -> NDArray[np.float64]:
    """Return places and forces, shape (N, 6).

    Where all rows have the form of the first, the numbers are, without their points, whole ones below 2^53,
    so that the quotient is the float that any parser gives, in a quarter of the time.
    """
    rows = text.count(b"\n")
    if ROW.match(text) and _is_aligned(text, rows):
        with suppress(ValueError):
            whole = np.fromstring(text.replace(b".", b""), sep=" ", dtype=np.int64)
            if whole.size == 6 * rows:
                return whole.reshape(-1, 6) / SCALE
    lines = [line.split() for line in text.decode(errors="replace").splitlines()]
    if any(len(words) != 6 for words in lines):
        if b"*" in text:
            raise LabelRefused("forces in the output did not fit their columns (****)")
        raise damaged("forces", "a row has not six numbers")
    places, forces = ([" ".join(words[part]) for words in lines] for part in (slice(3), slice(3, 6)))
    return np.hstack([numbers("coordinates", places, len(lines), 3), numbers("forces", forces, len(lines), 3)])


def _is_aligned(text: bytes, rows: int) -> bool:
    """Return whether all rows are as long as the first, and have their points in the same columns."""
    width = text.index(b"\n") + 1
    if len(text) != rows * width:
        return False
    points = np.frombuffer(text, dtype=np.uint8).reshape(rows, width) == ord(".")
    return bool((points == points[0]).all())
