"""Labels by CP2K (type ``cp2k``, DPGEN2's ``fpop_cp2k``)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.fp import running, settings
from dpgen2_hpc.fp.cp2k_output import read_cp2k
from dpgen2_hpc.fp.sections import Section, kinds, merge, parse
from dpgen2_hpc.fp.writing import table
from dpgen2_hpc.kinds import CheckContext, Key, Problem

INPUT, OUTPUT = "input.inp", "output"
OTHER_ATOMS = ("COORD_FILE_NAME", "COORD_FILE", "COORD_FILE_FORMAT", "COORDINATE", "MULTIPLE_UNIT_CELL")
"""Keywords of &TOPOLOGY by which a template brings atoms of its own."""
READ_FROM = (
    ("PRINT", "PROGRAM_RUN_INFO"),
    ("DFT", "SCF", "PRINT", "PROGRAM_RUN_INFO"),
    ("SUBSYS", "PRINT", "ATOMIC_COORDINATES"),
    ("SUBSYS", "PRINT", "CELL"),
)
"""Sections that may turn off, send elsewhere or print in other units what a label is read from; CP2K's defaults do."""
NAMED = re.compile(r"BASIS_SET_FILE_NAME|POTENTIAL_FILE_NAME|PARAMETER_FILE_NAME")


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
                        "An input, a file; cell, coordinates, forces and stress are written in for each frame.",
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

    # ---- checks

    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong with the input."""
        yield from settings.list_problems("files", self.files, context)
        try:
            root = self._root()
        except ValueError as error:
            yield ("inputs_config", "inp_file"), str(error)
            return
        yield from ((("inputs_config", "inp_file"), text) for text in _input_problems(root, context))

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
        root = self._root()
        root.at("GLOBAL").drop("PROJECT_NAME")  # the same as PROJECT
        root.at("GLOBAL").put("RUN_TYPE", "ENERGY_FORCE")
        root.at("GLOBAL").put("PROJECT", "label")
        for path in READ_FROM:
            root.without("FORCE_EVAL", *path)
        evaluation = root.at("FORCE_EVAL")
        if frame.periodic:
            evaluation.put("STRESS_TENSOR", "ANALYTICAL")
            evaluation.at("PRINT").replaced("STRESS_TENSOR", parameter="ON")
        evaluation.at("PRINT").replaced("FORCES", parameter="ON")  # into the output, in CP2K's own units
        self._put_frame(evaluation.at("SUBSYS"), frame)
        (directory / INPUT).write_text(root.text())
        return [INPUT]

    def _root(self) -> Section:
        """Return the template with ours over it; files that we bring are found in ``../shared/``."""
        root = parse(self.template)
        merge(root, self.sections)
        brought = {Path(path).name for path in self.files}
        dft = root.at("FORCE_EVAL", "DFT")
        for place, line in enumerate(dft.lines):
            keyword, _, value = line.partition(" ")
            if NAMED.fullmatch(keyword.upper()) and Path(value.strip()).name in brought:
                dft.lines[place] = f"{keyword} ../shared/{Path(value.strip()).name}"
        return root

    def _put_frame(self, subsystem: Section, frame: Frame) -> None:
        cell = subsystem.child("CELL")
        kept = [line for line in cell.lines if line.split()[0].upper() == "PERIODIC"]
        rows = zip("ABC", table(frame.cell).splitlines(), strict=True)
        subsystem.replaced("CELL", [*(f"{letter} {row}" for letter, row in rows), *kept])
        atoms = zip(frame.symbols, table(frame.coords).splitlines(), strict=True)
        subsystem.replaced("COORD", [f"{symbol} {row}" for symbol, row in atoms])
        subsystem.without("TOPOLOGY", "CENTER_COORDINATES")
        for topology in (section for section in subsystem.sections if section.name == "TOPOLOGY"):
            topology.drop(*OTHER_ATOMS)

    # ---- labels

    def read_labels(self, directory: Path) -> Labels:
        """Return the label in the output."""
        return read_cp2k(directory / OUTPUT, directory / INPUT)


def _input_problems(root: Section, context: CheckContext) -> Iterator[str]:
    there = {section.parameter.upper() for section in kinds(root)}
    missing = [element for element in context.type_map if not {element.upper(), "DEFAULT"} & there]
    if missing:
        yield f"has no &KIND for {', '.join(missing)}"
    run_type = (root.at("GLOBAL").value("RUN_TYPE") or "ENERGY_FORCE").upper()
    if run_type not in ("ENERGY", "ENERGY_FORCE"):
        yield f"has RUN_TYPE {run_type}; a label is ENERGY_FORCE"
    level = root.at("GLOBAL").value("PRINT_LEVEL") or root.at("GLOBAL").value("IOLEVEL") or "MEDIUM"
    if level.upper() in ("LOW", "SILENT"):
        yield "has a PRINT_LEVEL that leaves out what a label is read from; MEDIUM does"
    if root.at("FORCE_EVAL", "DFT", "SCF").value("IGNORE_CONVERGENCE_FAILURE") is not None:
        yield "has IGNORE_CONVERGENCE_FAILURE: what has not converged is no label"
    stress = root.at("FORCE_EVAL").value("STRESS_TENSOR") or "ANALYTICAL"
    if stress.upper() != "ANALYTICAL":
        yield f"has STRESS_TENSOR {stress}; only ANALYTICAL gives a virial in the one run that a label is"
    if any(section.name == "EXT_RESTART" for section in root.sections):
        yield "has &EXT_RESTART, which would bring atoms of another run"
