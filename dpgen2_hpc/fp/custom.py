"""Labels by any command whose input and output dpdata knows (type ``custom``)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dargs
from typing_extensions import override

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.many import read_many
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp import foreign, settings
from dpgen2_hpc.fp.reading import read_each
from dpgen2_hpc.fp.vasp import read_vasp
from dpgen2_hpc.kinds import CheckContext, Key, Labeler, NoLabel, Problem

NPY = "deepmd/npy"
"""dpdata's name of the format that is read by the reader of our own data."""

OUTCAR = ("vasp/outcar", "outcar")
"""dpdata's names of the format that the labeler of VASP reads itself: it notices rows that are damaged."""


@dataclass(frozen=True)
class CustomLabeler(Labeler):
    """A command that reads one file and writes another; see :class:`dpgen2_hpc.kinds.Labeler`."""

    input_fmt: str
    input_fn: str
    output_fmt: str
    output_fn: str
    program: str
    files: tuple[str, ...] = ()
    has_virial: bool = False

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``fp``."""
        run = settings.run_config("", "The command; it runs in the task's folder.")
        run.optional = False
        run.sub_fields["command"].optional = False
        return [
            Key(
                "inputs_config",
                dict,
                "The files, in formats by dpdata's names.",
                sub_fields=[
                    Key("input_fmt", str, "The format of the input, as vasp/poscar."),
                    Key("input_fn", str, "The name of the input file."),
                    Key("output_fmt", str, "The format of the output, as deepmd/npy."),
                    Key("output_fn", str, "The name of the output."),
                    Key("files", list[str], "Other files, linked into each task.", optional=True, default=[]),
                    Key(
                        "virial",
                        bool,
                        "Whether an output without stress is no label.",
                        optional=True,
                        default=False,
                    ),
                ],
            ),
            run,
        ]

    @classmethod
    @override
    def resolved(cls, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings with absolute paths."""
        return settings.absolute(given, folder, ("inputs_config", "files"))

    @classmethod
    @override
    def from_settings(cls, given: Mapping[str, Any]) -> Self:
        """Return the labeler for checked settings."""
        inputs = given["inputs_config"]
        return cls(
            inputs["input_fmt"],
            inputs["input_fn"],
            inputs["output_fmt"],
            inputs["output_fn"],
            given["run_config"]["command"],
            tuple(inputs["files"]),
            inputs["virial"],
        )

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield formats that dpdata does not have, names that lead elsewhere, files that are not there."""
        for key, name in (("input_fn", self.input_fn), ("output_fn", self.output_fn)):
            if not re.fullmatch(r"[^/\s]+", name) or name in (".", ".."):
                yield ("inputs_config", key), f"must be the name of a file in the task's folder; found '{name}'"
        for key, fmt, known in (
            ("input_fmt", self.input_fmt, foreign.can_write),
            ("output_fmt", self.output_fmt, foreign.can_read),
        ):
            if not known(fmt):
                verb = "write frames" if key == "input_fmt" else "read labels"
                yield ("inputs_config", key), f"dpdata cannot {verb} in a format '{fmt}'"
        yield from settings.list_problems("files", self.files, context)
        if not self.program.strip():
            yield ("run_config", "command"), "must not be empty"

    @override
    def command_line(self, words: Sequence[str]) -> str:
        """Return the command of the user."""
        return self.program

    @override
    def shared(self) -> dict[str, Path]:
        """Return the other files."""
        return {Path(path).name: Path(path) for path in self.files}

    @override
    def write_inputs(self, frame: Frame, directory: Path) -> list[str]:
        """Write the input by dpdata, and link the other files."""
        foreign.write(frame, directory / self.input_fn, self.input_fmt)
        for name in self.shared():
            (directory / name).symlink_to(f"../shared/{name}")
        return [self.input_fn, *self.shared()]

    @override
    def read_labels(self, directory: Path) -> Labels:
        """Return the label in the output."""
        if self.output_fmt == NPY:
            (found,) = self._read_npy([directory])
            if isinstance(found, Exception):
                raise found
            return found
        path = directory / self.output_fn
        return read_vasp(path) if self.output_fmt.lower() in OUTCAR else foreign.read(path, self.output_fmt)

    @override
    def read_all(self, directories: Sequence[Path]) -> list[Labels | NoLabel]:
        """Return the labels of many tasks; those in deepmd/npy are read together."""
        return self._read_npy(directories) if self.output_fmt == NPY else read_each(self.read_labels, directories)

    def _read_npy(self, directories: Sequence[Path]) -> list[Labels | NoLabel]:
        return [self._single(found) for found in read_many([f"{folder}/{self.output_fn}" for folder in directories])]

    def _single(self, found: list[Labels] | ValueError) -> Labels | NoLabel:
        if isinstance(found, ValueError):
            return OutputError(f"there is no label in '{self.output_fn}': {found}")
        if len(found) != 1:
            return LabelRefused(f"'{self.output_fn}' holds {len(found)} frames, and one was asked for")
        return found[0]
