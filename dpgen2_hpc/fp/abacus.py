"""Labels by ABACUS (type ``abacus``, DPGEN2's ``fpop_abacus``)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp import foreign, running, settings
from dpgen2_hpc.fp.printed import number, numbers
from dpgen2_hpc.fp.writing import mesh, runs, table
from dpgen2_hpc.kinds import CheckContext, Key, Problem

OUTPUT = "OUT.ABACUS/running_scf.log"
ANGSTROM = 1.8897261246257702
"""1 Å in Bohr."""
OURS = {
    "suffix": "ABACUS",
    "calculation": "scf",
    "stru_file": "STRU",
    "kpoint_file": "KPT",
    "pseudo_dir": "../shared",
    "orbital_dir": "../shared",
    "cal_force": "1",
    "cal_stress": "1",
}
"""Words of INPUT that a label needs; ``ntype``, too, is left to STRU."""


@dataclass(frozen=True)
class AbacusLabeler:
    """ABACUS; see :class:`dpgen2_hpc.kinds.Labeler`.

    ``template`` and ``kpt`` are texts. STRU groups atoms by element, so they must stand together, as they do in the
    dataset.
    """

    template: str
    pp_files: Mapping[str, str]
    orb_files: Mapping[str, str] = field(default_factory=dict)
    masses: Mapping[str, float] = field(default_factory=dict)
    kpt: str | None = None
    kspacing: tuple[float, ...] | None = None
    program: str = "abacus"
    has_virial: bool = True

    text_files: ClassVar[tuple[tuple[str, str], ...]] = (("inputs_config", "input_file"), ("inputs_config", "kpt_file"))

    outputs: ClassVar[tuple[str, ...]] = (OUTPUT,)

    causes: ClassVar[tuple[tuple[str, str, str], ...]] = (
        (
            r"convergence has (not|NOT) been achieved",
            "the SCF cycle did not converge",
            f"raise scf_nmax or lower mixing_beta in INPUT; {settings.FOLLOWED}",
        ),
        (r"[Cc]an'?t find|[Cc]an not find", "a file is missing", "look at pp_files and orb_files of fp.inputs_config"),
    )

    @classmethod
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``fp``."""
        by_element = [dict[str, str], settings.NOTHING]
        return [
            Key(
                "inputs_config",
                dict,
                "ABACUS' inputs.",
                sub_fields=[
                    Key("input_file", str, "The INPUT of all labels: a file."),
                    settings.files("pp_files", "The pseudopotential of each element."),
                    Key("orb_files", by_element, "The orbitals of each element.", optional=True, default=None),
                    Key(
                        "element_mass",
                        [dict[str, float], settings.NOTHING],
                        "Masses, u; a label does not depend on them.",
                        optional=True,
                        default=None,
                    ),
                    settings.text_file("kpt_file", "The KPT: a file."),
                    settings.kspacing(
                        "The largest distance between k points, 1/Å, with 2 pi in it, in the place of kpt_file."
                    ),
                    *(
                        Key(name, [str, settings.NOTHING], "DeePKS.", optional=True, default=None, available=False)
                        for name in ("deepks_descriptor", "deepks_model")
                    ),
                ],
            ),
            settings.run_config("abacus", "The command, as mpirun -n 16 abacus."),
        ]

    @classmethod
    def resolved(cls, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings with absolute paths."""
        keys = (("inputs_config", "pp_files"), ("inputs_config", "orb_files"))
        return settings.absolute(given, folder, *keys)

    @classmethod
    def physics(cls, given: Mapping[str, Any]) -> Any:
        """Return what of the settings a label depends on; see :mod:`dpgen2_hpc.fp.running`."""
        return running.abacus(given["inputs_config"])

    @classmethod
    def from_settings(cls, given: Mapping[str, Any]) -> Self:
        """Return the labeler for checked settings; the texts are there in the place of their files."""
        inputs = given["inputs_config"]
        return cls(
            inputs["input_file"],
            inputs["pp_files"],
            inputs["orb_files"] or {},
            inputs["element_mass"] or {},
            inputs["kpt_file"],
            settings.three(inputs["kspacing"]),
            given["run_config"]["command"],
        )

    # ---- checks

    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong with INPUT and the files."""
        yield from settings.file_problems("pp_files", self.pp_files, context)
        yield from settings.other_element_problems(self.pp_files)
        if self.orb_files:
            yield from settings.file_problems("orb_files", self.orb_files, context)
        yield from settings.clash_problems("pp_files", {**self.pp_files, **self.orb_files})
        words = _words(self.template)
        if words.get("basis_type", "pw") != "pw" and not self.orb_files:
            yield ("inputs_config", "orb_files"), f"are missing; basis_type is {words['basis_type']}"
        if words.get("calculation", "scf") != "scf":
            yield ("inputs_config", "input_file"), f"calculation is {words['calculation']}; a label is one scf"
        if self.kpt is None and self.kspacing is None and not {"kspacing", "gamma_only"} & set(words):
            text = "is missing, and so is kpt_file; INPUT has neither kspacing nor gamma_only"
            yield ("inputs_config", "kspacing"), text
        if self.kspacing is not None and (self.kpt is not None or "kspacing" in words):
            yield ("inputs_config", "kspacing"), "is given, and so is kpt_file, or kspacing of INPUT: give one of them"
        yield from settings.kspacing_problems(self.kspacing)

    # ---- inputs

    @property
    def command(self) -> str:
        """Return the command: it finds its files by their names."""
        return self.program

    def shared(self) -> dict[str, Path]:
        """Return pseudopotentials and orbitals."""
        return {Path(path).name: Path(path) for path in (*self.pp_files.values(), *self.orb_files.values())}

    def write_inputs(self, frame: Frame, directory: Path) -> list[str]:
        """Write INPUT, STRU and, where it is not left to INPUT, KPT."""
        words = {key: value for key, value in _words(self.template).items() if key != "ntype"}
        text = "".join(f"{key} {value}\n" for key, value in {**words, **OURS}.items())
        files = {"INPUT": f"INPUT_PARAMETERS\n{text}", "STRU": self._structure(frame)}
        if self.kspacing is not None:
            points = " ".join(map(str, mesh(frame.cell, self.kspacing)))
            files["KPT"] = f"K_POINTS\n0\nGamma\n{points} 0 0 0\n"
        elif self.kpt is not None:
            files["KPT"] = self.kpt
        for name, content in files.items():
            (directory / name).write_text(content)
        return list(files)

    def _structure(self, frame: Frame) -> str:
        kinds = runs(frame.symbols)
        species = "".join(
            f"{kind} {self.masses.get(kind, 1.0)} {Path(self.pp_files[kind]).name}\n" for kind, _ in kinds
        )
        orbitals = "".join(f"{Path(self.orb_files[kind]).name}\n" for kind, _ in kinds if self.orb_files)
        rows = iter(table(frame.coords).splitlines())
        atoms = "".join(
            f"{kind}\n0.0\n{count}\n" + "".join(f"{next(rows)} 1 1 1\n" for _ in range(count)) for kind, count in kinds
        )
        return (
            f"ATOMIC_SPECIES\n{species}\n"
            + (f"NUMERICAL_ORBITAL\n{orbitals}\n" if orbitals else "")
            + f"LATTICE_CONSTANT\n{ANGSTROM}\n\nLATTICE_VECTORS\n{table(frame.cell)}\n"
            f"ATOMIC_POSITIONS\nCartesian\n\n{atoms}"
        )

    # ---- labels

    def read_labels(self, directory: Path) -> Labels:
        """Return the label in the log, on the frame that the log speaks of."""
        text = foreign.text_of(directory / OUTPUT)
        try:
            _refuse_unconverged(text)
            labels = foreign.read(directory, "abacus/scf", files=("INPUT", "STRU", OUTPUT))
            _refuse_damaged(text, len(labels.frame.symbols))
            return replace(labels, frame=_frame(text, labels.frame))
        except (ValueError, LookupError, AttributeError, OverflowError) as error:
            raise OutputError(f"'{OUTPUT}' is not whole: {error!r}") from error


def _words(text: str) -> dict[str, str]:
    """Return the words of INPUT with their values."""
    lines = (re.split(r"#|//", line)[0].split(None, 1) for line in text.splitlines())
    return {words[0].lower(): words[1].strip() for words in lines if len(words) == 2}


def _refuse_unconverged(text: str) -> None:
    """Refuse a log of a cycle that did not end well, of two runs, or of one that was cut."""
    if re.search("convergence has not been achieved|SCF is not converged", text, re.IGNORECASE):
        raise LabelRefused("ABACUS says that convergence has not been achieved")
    if not re.search("convergence is achieved|SCF is converged|final etot is", text, re.IGNORECASE):
        raise OutputError(f"'{OUTPUT}' does not say that the SCF has converged: the run was cut")
    if text.count("READING UNITCELL INFORMATION") > 1 or text.count("TOTAL-STRESS") > 1:
        raise LabelRefused(f"'{OUTPUT}' holds more than one run or step, and one was asked for")
    units = re.findall(r"TOTAL-FORCE \(([^)]*)\)", text)
    if units and not units[-1].lower().startswith("ev"):
        raise OutputError(f"'{OUTPUT}' ends before the forces in eV/Angstrom: the run was cut")


def _frame(text: str, asked: Frame) -> Frame:
    """Return the frame with the coordinates of the log; dpdata takes them from the input, which proves nothing."""
    rows = re.findall(r"^\s*tau([cd])_[A-Za-z]+\d+\s+(\S+)\s+(\S+)\s+(\S+)", text, re.MULTILINE)
    constant = re.search(r"lattice constant \(Bohr\) = (\S+)", text)
    if not rows or constant is None:
        return asked
    if len(rows) != len(asked.symbols):
        raise LabelRefused(f"the log has {len(rows)} atoms, and {len(asked.symbols)} were asked for")
    places = numbers("coordinates", [" ".join(row[1:]) for row in rows], len(rows), 3)
    unit = asked.cell if rows[0][0] == "d" else np.eye(3) * number("the lattice constant", constant[1]) / ANGSTROM
    return replace(asked, coords=places @ unit)


def _refuse_damaged(text: str, atoms: int) -> None:
    """Refuse a log in which a row of forces or stress is not whole; dpdata makes of such a row what it can."""
    for heading, count, columns in (("TOTAL-FORCE (eV", atoms, 3), ("TOTAL-STRESS", 3, 3)):
        place = text.rfind(heading)
        if place >= 0:
            numbers(heading, _rows(text[place:].splitlines()[1:], count), count, columns)


def _rows(lines: Sequence[str], count: int) -> list[str]:
    """Return the numbers of the rows of a table, without the names of atoms in front: rules and headings have none."""
    bare = (re.sub(r"^\s*[A-Za-z]\S*\s", "", line) for line in lines)
    return [line for line in bare if re.match(r"\s*[-+*\d.]", line) and not re.match(r"\s*-{4}", line)][:count]
