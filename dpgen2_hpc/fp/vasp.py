"""Labels by VASP (type ``vasp``)."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
from typing_extensions import override

from dpgen2_hpc.data.elements import element_of
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.fp import foreign, incar, running, settings
from dpgen2_hpc.fp.outcar import Unknown, read_outcar
from dpgen2_hpc.fp.vasprun import read_vasprun
from dpgen2_hpc.fp.writing import link_shared, mesh, put, runs, table
from dpgen2_hpc.inputs.incar import WIDEST, number, tags, true
from dpgen2_hpc.kinds import Cause, CheckContext, Key, Labeler, Problem


@dataclass(frozen=True)
class VaspLabeler(Labeler):
    """VASP; see :class:`dpgen2_hpc.kinds.Labeler`.

    ``incar`` is its text. POTCAR is put together in the order of the elements of POSCAR, once for each such order, and
    tasks link to it.
    """

    incar: str
    pp_files: Mapping[str, str]
    kspacing: tuple[float, ...] | None = None
    kgamma: bool | None = None
    incar_lists: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    program: str = "vasp"
    has_virial: bool = True

    text_files: ClassVar[tuple[tuple[str, str], ...]] = (("inputs_config", "incar"),)
    """Keys that name a text file, which is read when the run begins."""

    causes: ClassVar[tuple[Cause, ...]] = (
        Cause(
            r"EDIFF was not reached|SCF took all NELM",
            "the SCF cycle did not converge",
            f"raise NELM or choose another ALGO or mixing in INCAR; {settings.FOLLOWED}",
        ),
        Cause(
            r"VERY BAD NEWS|internal error in subroutine",
            "VASP met a symmetry or k mesh that it cannot handle",
            "set ISYM = 0, or SYMPREC, in INCAR",
        ),
        Cause(
            r"ZBRENT|BRMIX: very serious problems",
            "the charge mixing broke down",
            "look at the frame's shortest distances, and at AMIX, BMIX and ISMEAR in INCAR",
        ),
        Cause(
            r"EDDDAV|Sub-Space-Matrix is not hermitian|ZHEEV",
            "the diagonalisation failed",
            "choose ALGO = Normal or All in INCAR, or another number of cores",
        ),
        Cause(
            r"SIGSEGV|forrtl: severe",
            "VASP crashed, mostly for want of stack or memory",
            "ulimit -s unlimited, more memory",
        ),
    )

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``fp``."""
        return [
            Key(
                "inputs_config",
                dict,
                "VASP's inputs.",
                sub_fields=[
                    Key("incar", str, "The INCAR of all labels: a file."),
                    settings.files("pp_files", "The POTCAR of each element."),
                    settings.kspacing(
                        "The largest distance between k points, 1/Å, with 2 pi in it: a number, or one for each "
                        "reciprocal vector. Default: KSPACING of INCAR."
                    ),
                    Key(
                        "kgamma",
                        [bool, settings.NOTHING],
                        "Whether the mesh holds the Gamma point. Default: KGAMMA of INCAR, or true.",
                        optional=True,
                        default=None,
                    ),
                    Key(
                        "incar_lists",
                        dict[str, dict[str, Any]],
                        'Tags of INCAR that are lists by species or atoms, as {"MAGMOM": {"Fe": 3, "O": 0}}. A spin '
                        "may be three numbers. The INCAR may have such lists where all frames have one composition.",
                        optional=True,
                        default={},
                    ),
                ],
            ),
            settings.run_config("vasp", "The command, as mpirun -n 16 vasp_std."),
        ]

    @classmethod
    @override
    def resolved(cls, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings with absolute paths."""
        return settings.absolute(given, folder, ("inputs_config", "pp_files"))

    @classmethod
    @override
    def physics(cls, given: Mapping[str, Any]) -> Any:
        """Return what of the settings a label depends on; see :mod:`dpgen2_hpc.fp.running`."""
        return running.vasp(given["inputs_config"])

    @classmethod
    @override
    def from_settings(cls, given: Mapping[str, Any]) -> Self:
        """Return the labeler for checked settings; ``incar`` is the text itself."""
        inputs = given["inputs_config"]
        return cls(
            inputs["incar"],
            inputs["pp_files"],
            settings.three(inputs["kspacing"]),
            inputs["kgamma"],
            inputs["incar_lists"],
            given["run_config"]["command"],
        )

    # ---- checks

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong with INCAR, POTCAR and the mesh."""
        yield from ((("inputs_config", "incar"), f"the INCAR {text}") for text in incar.problems(self.incar, context))
        yield from settings.kspacing_problems(self.kspacing)
        yield from ((("inputs_config", "kspacing"), text) for text in self._spacing_problems())
        yield from settings.file_problems("pp_files", self.pp_files, context)
        for element, path in self.pp_files.items():
            yield from (
                (("inputs_config", "pp_files", element), text) for text in _potcar_problems(element, path, context)
            )
        for place, text in incar.list_problems(self.incar_lists, self.incar, context):
            yield ("inputs_config", "incar_lists", *place), text

    @override
    def notices(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what of the INCAR labels do not follow, and how its lists are taken."""
        yield from ((("inputs_config", "incar"), text) for text in incar.notices(self.incar, context))

    def _spacing_problems(self) -> Iterator[str]:
        found = tags(self.incar)
        said = found.get("KSPACING")
        spacing = None if said is None else number(said)
        if said is None and self.kspacing is None:
            yield "no k-points are given: add KSPACING (1/Å) to the INCAR, or give inputs_config.kspacing"
        elif said is not None and not 0 < (spacing or 0) <= WIDEST:
            yield f"KSPACING in the INCAR is {said}; it is a distance in 1/Å, above 0 and at most {WIDEST}"
        elif said is not None and self.kspacing is not None and set(self.kspacing) != {spacing}:
            yield f"is {self._gaps()}, and KSPACING in the INCAR is {said}: give only one of them"
        if self.kgamma is not None and "KGAMMA" in found and true(found["KGAMMA"]) != self.kgamma:
            yield f"kgamma is {self.kgamma}, and KGAMMA in the INCAR is {found['KGAMMA']}: give only one of them"

    # ---- inputs

    @override
    def command_line(self, words: Sequence[str]) -> str:
        """Return the command: VASP finds its files by their names."""
        return self.program

    @override
    def shared(self) -> dict[str, Path]:
        """Return the POTCAR of each element."""
        return {f"POTCAR.{element}": Path(path) for element, path in self.pp_files.items()}

    @override
    def write_inputs(self, frame: Frame, directory: Path) -> dict[str, str]:
        """Write POSCAR and KPOINTS, and link INCAR and POTCAR; return what tells the contents apart, by name."""
        kinds = [symbol for symbol, _ in runs(frame.symbols)]
        lines, folder = incar.lists(self.incar_lists, frame.symbols), str(directory)
        texts = {"POSCAR": poscar(frame), "KPOINTS": self._kpoints(frame)}
        for name, text in texts.items():
            put(f"{folder}/{name}", text)
        texts["INCAR"] = incar.one_step(self.incar).rstrip() + "\n" + lines
        link_shared(folder, "INCAR", hashlib.sha256(texts["INCAR"].encode()).hexdigest()[:8], texts["INCAR"].encode)
        which = f"{'-'.join(kinds)}.{_potcar_digest(os.path.dirname(folder), tuple(kinds))}"  # noqa: PTH120
        link_shared(folder, "POTCAR", which, lambda: _potcar(os.path.dirname(folder), kinds), 0o600)  # noqa: PTH120
        told = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
        return {**told, "POTCAR": "+".join(kinds)}  # the step knows what each element's is

    def _kpoints(self, frame: Frame) -> str:
        """Return KPOINTS for the frame's cell."""
        gamma = self.kgamma if self.kgamma is not None else true(tags(self.incar).get("KGAMMA", ".TRUE."))
        points = " ".join(map(str, mesh(frame.cell, self._gaps())))
        return f"K-Points\n0\n{'Gamma' if gamma else 'Monkhorst-Pack'}\n{points}\n0 0 0\n"

    def _gaps(self) -> tuple[float, ...]:
        return self.kspacing or (number(tags(self.incar)["KSPACING"]) or 0.0,) * 3

    # ---- labels

    @override
    def read_labels(self, directory: Path) -> Labels:
        """Return the label in OUTCAR, or in vasprun.xml where OUTCAR is none that can be read."""
        try:
            return read_vasp(directory / "OUTCAR")
        except OutputError as error:
            try:
                return read_vasprun(directory / "vasprun.xml")
            except OutputError:
                raise error from None


def poscar(frame: Frame) -> str:
    """Return POSCAR with the frame's atoms in their order: an entry for each run of atoms of one element."""
    kinds, counts = zip(*runs(frame.symbols), strict=True)
    title = " ".join(f"{kind}{count}" for kind, count in runs(frame.symbols))
    species = f"{' '.join(map(element_of, kinds))}\n{' '.join(map(str, counts))}\n"
    return f"{title}\n1.0\n{table(frame.cell)}{species}Cartesian\n{table(frame.coords)}"


def _potcar(step: str, kinds: Sequence[str]) -> bytes:
    return b"".join(Path(f"{step}/shared/POTCAR.{element}").read_bytes() for element in kinds)


@lru_cache(maxsize=256)
def _potcar_digest(step: str, kinds: tuple[str, ...]) -> str:
    """Return what distinguishes a step's POTCAR for these elements; a step's pseudopotentials never change."""
    return hashlib.sha256(_potcar(step, kinds)).hexdigest()[:8]


def read_vasp(path: Path) -> Labels:
    """Return the label in an OUTCAR; dpdata reads what is of a form that is not known here.

    Raises
    ------
    LabelRefused, OutputError
        As :func:`dpgen2_hpc.fp.outcar.read_outcar`.
    """
    try:
        return read_outcar(path)
    except Unknown:
        return foreign.read(path, "vasp/outcar")


def _potcar_problems(element: str, path: str, context: CheckContext) -> Iterator[str]:
    """Yield what is wrong with an element's POTCAR: not one dataset, or another element's."""
    try:
        text = Path(path).read_text(errors="replace")
    except OSError:
        return  # said already
    titles = re.findall(r"TITEL\s*=\s*\S+\s+([^\s_]+)", text)
    if len(titles) != 1:
        yield f"'{path}' is no POTCAR of one element: it has {len(titles)} lines with TITEL"
    elif titles[0] != element_of(element):
        yield f"'{path}' is a POTCAR of {titles[0]}, not of {element}"
    elif not text.endswith("\n") and not context.has_kept(path):  # the copy that is joined has one
        yield f"'{path}' has no newline at its end: it was cut, or would spoil the POTCAR that it is joined into"
