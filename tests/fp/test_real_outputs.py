"""Outputs of real programs that packages ship (outputs.tsv): each is a label that another reader reads, or is refused.

The other reader is ASE, for CP2K and ABACUS dpdata. Nothing of them is kept here; archives.tsv says where they are from.
"""

import csv
import lzma
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fetched import TESTS, archive

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.abacus import AbacusLabeler
from dpgen2_hpc.fp.cp2k import Cp2kLabeler
from dpgen2_hpc.fp.gate import Gate
from dpgen2_hpc.fp.gaussian import GaussianLabeler
from dpgen2_hpc.fp.qe import QeLabeler
from dpgen2_hpc.fp.vasp import VaspLabeler
from dpgen2_hpc.fp.vasprun import read_vasprun

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real-outputs")]

OUTPUTS = list(csv.DictReader((TESTS / "fp" / "outputs.tsv").read_text().splitlines(), delimiter="\t"))
RYDBERG_2006, HARTREE_2014 = 13.60569193, 27.21138602
"""ASE's units for Quantum ESPRESSO and Gaussian, eV."""


class Vasprun:
    """VASP's XML alone: the labeler asks it where OUTCAR is lost, and else says what OUTCAR lacks."""

    def read_labels(self, folder: Path) -> Labels:
        return read_vasprun(folder / "vasprun.xml")


@dataclass
class Code:
    """How a task of a code looks, who else reads it, and what its unit of energy differs by (parts of it)."""

    output: str
    labeler: object
    other: str
    forces: float = 1e-6
    unit: float = 1.0


CODES = {
    "outcar": Code("OUTCAR", VaspLabeler("", {}), "vasp-out"),
    "vasprun": Code("vasprun.xml", Vasprun(), "vasp-xml"),
    "qe": Code("output", QeLabeler({}), "espresso-out", unit=13.605693122994 / RYDBERG_2006),
    "cp2k": Code("output", Cp2kLabeler(), "cp2k/output"),
    "abacus": Code("OUT.ABACUS/running_scf.log", AbacusLabeler("", {}), "abacus/scf"),
    # of a calculation of frequencies, ASE has the forces of the relaxation before it
    "gaussian": Code(
        "label.log", GaussianLabeler(("force",), 1, {}), "gaussian-out", 1e-4, 27.211386245988 / HARTREE_2014
    ),
}


def task(code: str, source: Path, folder: Path) -> Path:
    """A folder with an output, and what of the inputs its reader asks for."""
    (folder / CODES[code].output).parent.mkdir(exist_ok=True)
    data = source.read_bytes()
    (folder / CODES[code].output).write_bytes(lzma.decompress(data) if source.suffix == ".xz" else data)
    if code == "cp2k":
        vectors = re.findall(r"CELL\| Vector ([abc]) \[angstrom\]: +(\S+) +(\S+) +(\S+)", source.read_text())
        rows = "\n".join(" ".join(vector) for vector in vectors[:3])
        (folder / "input.inp").write_text(f"&FORCE_EVAL\n&SUBSYS\n&CELL\n{rows}\n&END\n&END\n&END\n")
    if code == "abacus":
        structures = [
            *source.parent.glob("STRU*"),
            *source.parent.parent.glob("STRU*"),
            *source.parent.glob("*abacus.stru"),
        ]
        (folder / "STRU").write_text(structures[0].read_text() if structures else "")
        (folder / "INPUT").write_text("INPUT_PARAMETERS\nsuffix ABACUS\n")
    return folder


def by_others(code: str, folder: Path) -> Labels:
    """What ASE or dpdata reads there, of the last step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (by_dpdata if "/" in CODES[code].other else by_ase)(code, folder)


def by_ase(code: str, folder: Path) -> Labels:
    import ase.io

    atoms = ase.io.read(folder / CODES[code].output, format=CODES[code].other)
    found, periodic = atoms.calc.results, bool(atoms.pbc.all())
    stress = found.get("stress")
    virial = None if stress is None else -stress[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]] * atoms.get_volume()
    cell = np.array(atoms.cell) if periodic else 100 * np.eye(3)
    frame = Frame(tuple(atoms.symbols), atoms.positions, cell, periodic)
    return Labels(frame, found.get("free_energy", found["energy"]) * CODES[code].unit, found["forces"], virial)


def by_dpdata(code: str, folder: Path) -> Labels:
    import dpdata

    path = folder if code == "abacus" else folder / CODES[code].output
    data = dpdata.LabeledSystem(str(path), fmt=CODES[code].other).data
    symbols = tuple(data["atom_names"][kind] for kind in data["atom_types"])
    virial = data["virials"][0] if "virials" in data else None
    return Labels(Frame(symbols, data["coords"][0], data["cells"][0]), data["energies"][0], data["forces"][0], virial)


def labeler(row):
    """The labeler; of several steps Gaussian's last is read where as many routes were asked for."""
    steps = re.fullmatch(r"label of step (\d+)", row["holds"])
    return GaussianLabeler(("force",) * int(steps[1]), 1, {}) if steps else CODES[row["code"]].labeler


@pytest.mark.parametrize("row", OUTPUTS, ids=[f"{row['code']}-{row['path']}-{row['holds']:.7}" for row in OUTPUTS])
def test_a_real_output_is_the_label_that_another_reader_reads_or_is_refused_for_its_reason(row, tmp_path):
    code = row["code"]
    folder = task(code, archive(row["package"]) / row["path"], tmp_path)
    kind, _, reason = row["holds"].partition(": ")
    if kind == "refused":
        with pytest.raises((LabelRefused, OutputError), match=re.escape(reason)):
            finite(labeler(row).read_labels(folder))
        return
    known = by_others(code, folder)
    found = Gate().judge([labeler(row).read_labels(folder)], [known.frame], has_virial=False)[0]
    assert isinstance(found, Labels), found
    assert found.energy == pytest.approx(known.energy, rel=1e-9, abs=1e-7)
    turn = np.linalg.solve(found.frame.cell, known.frame.cell)
    np.testing.assert_allclose(found.forces @ turn, known.forces, atol=CODES[code].forces)
    if known.virial is not None:
        np.testing.assert_allclose(turn.T @ found.virial @ turn, known.virial, atol=1e-4)
    elif code != "cp2k":  # dpdata does not know its stress
        assert found.virial is None


def finite(found: Labels) -> None:
    """Refuse what the gate refuses of a label by itself."""
    judged = Gate().judge([found], [found.frame], has_virial=False)[0]
    if isinstance(judged, LabelRefused):
        raise judged


def test_the_outputs_are_of_the_versions_that_are_in_use():
    versions = {code: {row["version"] for row in OUTPUTS if row["code"] == code} for code in CODES}
    for code, wanted in {
        "outcar": ("5.", "6."),
        "vasprun": ("5.", "6."),
        "qe": ("5.", "7."),
        "cp2k": ("6.", "8.", "9.", "2023", "2024"),
        "abacus": ("3.10", "3.11"),
        "gaussian": ("G09", "G16"),
    }.items():
        for start in wanted:
            assert any(version.startswith(start) for version in versions[code]), (code, start)
