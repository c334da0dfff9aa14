"""Labels by CP2K (type ``cp2k``, DPGEN2's ``fpop_cp2k``)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
from typing_extensions import override

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.fp import cp2k_input, preprocessor, running, settings
from dpgen2_hpc.fp.cp2k_output import read_cp2k
from dpgen2_hpc.fp.sections import Section, merge, parse
from dpgen2_hpc.kinds import Cause, CheckContext, Key, Labeler, Problem

INPUT, OUTPUT = "input.inp", "output"


@dataclass(frozen=True)
class Cp2kLabeler(Labeler):
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

    causes: ClassVar[tuple[Cause, ...]] = (
        Cause(
            r"SCF run NOT converged|FAILED to converge|SCF run has not converged",
            "the SCF cycle did not converge",
            f"raise MAX_SCF, or choose another preconditioner or mixing, in fp.inputs_config; {settings.FOLLOWED}",
        ),
        Cause(
            r"could not be found|basis set .* not found|[Ff]ile .* does not exist",
            "a basis set or potential is missing",
            "name its file in fp.inputs_config.files, or set CP2K_DATA_DIR",
        ),
        Cause(
            r"unknown (keyword|subsection|section)",
            "CP2K does not know a keyword",
            "look at the line that the log names",
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
                "CP2K's input.",
                sub_fields=[
                    settings.text_file(
                        "inp_file",
                        "An input, a file; cell, coordinates, forces and stress are written in for each frame. @SET, "
                        "@IF and @INCLUDE are followed when it is read, with files beside it or among files.",
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
    @override
    def resolved(cls, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings with absolute paths."""
        return settings.absolute(given, folder, ("inputs_config", "files"))

    @classmethod
    @override
    def physics(cls, given: Mapping[str, Any]) -> Any:
        """Return what of the settings a label depends on; see :mod:`dpgen2_hpc.fp.running`."""
        return running.cp2k(given["inputs_config"])

    @classmethod
    @override
    def from_settings(cls, given: Mapping[str, Any]) -> Self:
        """Return the labeler for checked settings; ``inp_file`` is the text itself."""
        inputs = given["inputs_config"]
        return cls(inputs["inp_file"] or "", inputs["sections"], tuple(inputs["files"]), given["run_config"]["command"])

    @classmethod
    @override
    def whole_text(cls, text: str, path: Path, inputs: Mapping[str, Any]) -> str:
        """Return the text of an input at ``path`` with what it includes: from its folder, or from ``files``.

        Raises
        ------
        ValueError
            CP2K's preprocessor would not follow it, or it names files beside it that tasks would not find.
        """
        named = [path.parent / name for name in inputs.get("files") or ()]

        def find(name: str) -> Path | None:
            places = [path.parent / name, *(one for one in named if one.name == Path(name).name)]
            return next((place.resolve() for place in places if place.is_file()), None)

        expanded = preprocessor.expanded(text, find)
        brought = {one.name for one in named}
        lost = [name for name in cp2k_input.files_named(expanded) if (path.parent / name).is_file()]
        if missing := [name for name in lost if Path(name).name not in brought]:
            words = ", ".join(f'"{(path.parent / name).resolve()}"' for name in missing)
            raise ValueError(f"it names files that tasks would not find: add {words} to inputs_config.files")
        return expanded

    # ---- checks

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong with the input."""
        yield from settings.list_problems("files", self.files, context)
        try:
            root = self._template()
        except ValueError as error:
            yield ("inputs_config", "inp_file"), str(error)
            return
        problems = cp2k_input.input_problems(root, context)
        yield from ((("inputs_config", "inp_file"), text) for text in problems)

    @override
    def notices(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what the input says and labels do not follow."""
        yield from ((("inputs_config", "inp_file"), text) for text in cp2k_input.input_notices(self._template()))

    # ---- inputs

    @override
    def command_line(self, words: Sequence[str]) -> str:
        """Return the command; ``cp2k -o`` would append to an older output."""
        return f"{self.program} -i {INPUT} > {OUTPUT}"

    @override
    def shared(self) -> dict[str, Path]:
        """Return the files of basis sets and potentials."""
        return {Path(path).name: Path(path) for path in self.files}

    @override
    def write_inputs(self, frame: Frame, directory: Path) -> list[str]:
        """Write the input."""
        root = cp2k_input.without_own_atoms(self._template())
        cp2k_input.name_files(root, self.files)
        cp2k_input.ask_for_labels(root, stress=frame.periodic)
        cp2k_input.put_frame(root, frame)
        (directory / INPUT).write_text(root.text())
        return [INPUT]

    def _template(self) -> Section:
        """Return the template with ours over it."""
        root = parse(self.template)
        merge(root, self.sections)
        return root

    # ---- labels

    @override
    def read_labels(self, directory: Path) -> Labels:
        """Return the label in the output."""
        return read_cp2k(directory / OUTPUT, directory / INPUT)
