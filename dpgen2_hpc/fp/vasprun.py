"""Read VASP's vasprun.xml, for a task whose OUTCAR is missing or was cut."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.outputs import read_output
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.outcar import FIXED_CHARGE, KBAR
from dpgen2_hpc.fp.printed import number, numbers, volume

RESPONSES = {"5", "6", "7", "8"}
"""Values of IBRION by which VASP computes vibrations: displaced atoms, or a response."""


def read_vasprun(path: Path) -> Labels:
    """Return the label of a vasprun.xml of one ionic step.

    Raises
    ------
    OutputError
        The file is missing, is not whole, or is damaged.
    LabelRefused
        Not converged, not one ionic step, or not a calculation of forces.
    """
    try:
        return _one_step(ET.fromstring(read_output(path)), path.name)  # noqa: S314  (expat limits entities)
    except (ET.ParseError, ValueError, LookupError, AttributeError, OverflowError) as error:
        raise OutputError(f"'{path.name}' is not whole: {error}") from error


def _one_step(root: ET.Element, name: str) -> Labels:
    steps = root.findall("calculation")
    if not steps or not root.findall("atominfo"):
        raise OutputError(f"'{name}' ends before its first ionic step: the run was cut")
    if len(steps) > 1:
        raise LabelRefused(f"'{name}' holds {len(steps)} ionic steps, and one was asked for")
    settings = _settings(root)
    _refuse_settings(settings)
    _refuse_unconverged(settings, steps[0])
    return _label(root, steps[0], float(settings.get("PSTRESS", 0)))


def _settings(root: ET.Element) -> dict[str, str]:
    """Return the values that VASP used; of a name that stands in several parts the first, as NELM's of the cycle."""
    values: dict[str, str] = {}
    for item in (*root.iterfind("parameters//i"), *root.iterfind("incar/i")):
        values.setdefault(item.get("name", ""), (item.text or "").strip())
    return values


def _refuse_settings(settings: Mapping[str, str]) -> None:
    """Refuse a calculation that is not a self-consistent one of this structure alone."""
    if int(settings.get("ICHARG", 0)) >= FIXED_CHARGE:
        raise LabelRefused(f"not self-consistent (ICHARG = {settings['ICHARG']}): remove ICHARG from the INCAR")
    if settings.get("ML_LMLFF") == "T":
        raise LabelRefused("a machine-learned force field was used: remove ML_LMLFF from the INCAR")
    if settings.get("IBRION") in RESPONSES or settings.get("LEPSILON") == "T" or settings.get("LCALCEPS") == "T":
        raise LabelRefused(
            "a calculation of phonons or of a response: remove IBRION, LEPSILON and LCALCEPS from the INCAR"
        )


def _refuse_unconverged(settings: Mapping[str, str], step: ET.Element) -> None:
    taken, allowed = len(step.findall("scstep")), int(settings["NELM"])
    if taken >= allowed:
        raise LabelRefused(f"the SCF took all NELM = {allowed} steps: not converged")


def _label(root: ET.Element, step: ET.Element, pressure: float) -> Labels:
    """Return the label; VASP's energy here is the enthalpy at ``pressure`` (PSTRESS, kbar), and in OUTCAR it is not."""
    names = root.iterfind("atominfo/array[@name='atoms']/set/rc")
    symbols = tuple((name.findtext("c") or "").strip() for name in names)
    energy = step.findtext("energy/i[@name='e_fr_energy']")
    forces = _rows(step, "varray[@name='forces']", len(symbols))
    if energy is None or forces is None:
        raise LabelRefused("no energy or no forces: not a ground-state calculation, see ALGO in the INCAR")
    cell = _rows(step, "structure/crystal/varray[@name='basis']", 3)
    places = _rows(step, "structure/varray[@name='positions']", len(symbols))
    if cell is None or places is None:
        raise OutputError("the output is damaged: it has no structure")
    stress = _rows(step, "varray[@name='stress']", 3)
    if stress is not None and not stress.any() and not forces.any():
        raise LabelRefused("forces and stress are all zero: VASP did not compute them")
    virial = None if stress is None else stress * KBAR * volume(cell)
    work = pressure * KBAR * volume(cell)
    return Labels(Frame(symbols, places @ cell, cell), number("the energy", energy.strip()) - work, forces, virial)


def _rows(step: ET.Element, where: str, count: int) -> NDArray[np.float64] | None:
    table = step.find(where)
    if table is None:
        return None
    return numbers(str(table.get("name")), [row.text or "" for row in table.findall("v")], count, 3)
