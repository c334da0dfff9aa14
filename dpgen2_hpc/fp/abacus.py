"""Labels by ABACUS (type ``abacus``, DPGEN2's ``fpop_abacus``)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
from typing_extensions import override

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.fp import running, settings
from dpgen2_hpc.fp.abacus_output import read_abacus
from dpgen2_hpc.fp.writing import mesh, runs, table
from dpgen2_hpc.kinds import Cause, CheckContext, Key, Labeler, Problem

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
"""Words of INPUT that a label needs."""
OF_THE_FRAME = ("ntype", "latname")
"""Words of INPUT that STRU has for each frame."""
GROUND_STATE = ("scf", "relax", "cell-relax", "md")
"""Values of calculation whose forces are those that scf gives for one geometry."""


@dataclass(frozen=True)
class AbacusLabeler(Labeler):
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

    causes: ClassVar[tuple[Cause, ...]] = (
        Cause(
            r"convergence has (not|NOT) been achieved",
            "the SCF cycle did not converge",
            f"raise scf_nmax or lower mixing_beta in INPUT; {settings.FOLLOWED}",
        ),
        Cause(
            r"[Cc]an'?t find|[Cc]an not find", "a file is missing", "look at pp_files and orb_files of fp.inputs_config"
        ),
    )

    @classmethod
    @override
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
    @override
    def resolved(cls, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings with absolute paths."""
        keys = (("inputs_config", "pp_files"), ("inputs_config", "orb_files"))
        return settings.absolute(given, folder, *keys)

    @classmethod
    @override
    def physics(cls, given: Mapping[str, Any]) -> Any:
        """Return what of the settings a label depends on; see :mod:`dpgen2_hpc.fp.running`."""
        return running.abacus(given["inputs_config"])

    @classmethod
    @override
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

    @override
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
        if words.get("calculation", "scf") not in GROUND_STATE:
            yield ("inputs_config", "input_file"), f"calculation is {words['calculation']}; a label is one scf"
        if self.kpt is None and self.kspacing is None and not {"kspacing", "gamma_only"} & set(words):
            text = "is missing, and so is kpt_file; INPUT has neither kspacing nor gamma_only"
            yield ("inputs_config", "kspacing"), text
        if self.kspacing is not None and (self.kpt is not None or "kspacing" in words):
            yield ("inputs_config", "kspacing"), "is given, and so is kpt_file, or kspacing of INPUT: give one of them"
        yield from settings.kspacing_problems(self.kspacing)

    @override
    def notices(self, _context: CheckContext) -> Iterator[Problem]:
        """Yield what INPUT says and labels do not follow, or follow in another way than it seems."""
        words, place = _words(self.template), ("inputs_config", "input_file")
        if words.get("calculation", "scf") != "scf":
            yield place, f"calculation {words['calculation']}: labels are computed with scf"
        if words.get("nspin", "1") != "1":
            yield (
                place,
                f"nspin is {words['nspin']}, and STRU has no magnetic moments: ABACUS chooses those it begins with",
            )

    # ---- inputs

    @override
    def command_line(self, words: Sequence[str]) -> str:
        """Return the command: it finds its files by their names."""
        return self.program

    @override
    def shared(self) -> dict[str, Path]:
        """Return pseudopotentials and orbitals."""
        return {Path(path).name: Path(path) for path in (*self.pp_files.values(), *self.orb_files.values())}

    @override
    def write_inputs(self, frame: Frame, directory: Path) -> list[str]:
        """Write INPUT, STRU and, where it is not left to INPUT, KPT."""
        words = {key: value for key, value in _words(self.template).items() if key not in OF_THE_FRAME}
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

    @override
    def read_labels(self, directory: Path) -> Labels:
        """Return the label in the log, on the frame that the log speaks of."""
        return read_abacus(directory / OUTPUT, directory / "STRU")


def _words(text: str) -> dict[str, str]:
    """Return the words of INPUT with their values."""
    lines = (re.split(r"#|//", line)[0].split(None, 1) for line in text.splitlines())
    return {words[0].lower(): words[1].strip() for words in lines if len(words) == 2}
