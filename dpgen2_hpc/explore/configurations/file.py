"""Starting configurations from files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dargs
import numpy as np
from typing_extensions import override

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.patterns import matches
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.explore.configurations.reading import read
from dpgen2_hpc.kinds import CheckContext, Configurations, Key, Occurring, Problem


@dataclass(frozen=True)
class Files(Configurations):
    """Every frame of every file is one configuration: the type ``file``.

    ``files`` are absolute paths or patterns.
    """

    files: tuple[str, ...]
    fmt: str = "auto"
    remove_pbc: bool = False

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of the source."""
        return [
            Key(
                "files",
                [str, list[str]],
                "Paths of configuration files; wildcards (*, ?, [...], **) are allowed. The matches of a pattern are "
                "taken in the order of their names, a file that several patterns match only once.",
            ),
            Key("prefix", [str, None], "The folder in which the files are.", optional=True, default=None),
            Key(
                "fmt",
                str,
                "The format, by dpdata's name; auto: LAMMPS data and dumps are recognized, else the end of the name "
                'decides, and a file whose name ends in no format is a POSCAR. XYZ without Lattice="..." has no cell: '
                "its atoms have open boundaries. The types of a LAMMPS file are the elements of type_map, in this "
                "order; its masses must not say otherwise.",
                optional=True,
                default="auto",
            ),
            Key(
                "remove_pbc",
                bool,
                "Remove the periodicity: the atoms are put into the middle of a cell with 9 Å of vacuum around, and "
                "are explored and labelled with open boundaries.",
                optional=True,
                default=False,
            ),
        ]

    @classmethod
    @override
    def resolved(cls, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings with absolute paths, relative ones being relative to ``folder``."""
        prefix = folder / (settings.get("prefix") or "")
        files = settings["files"]
        absolute = [str(prefix / name) for name in ([files] if isinstance(files, str) else files)]
        return {**settings, "prefix": None, "files": absolute[0] if isinstance(files, str) else absolute}

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the source for settings whose paths are absolute."""
        files = settings["files"]
        files = [files] if isinstance(files, str) else files
        prefix = Path(settings["prefix"] or "")
        return cls(tuple(str(prefix / name) for name in files), settings["fmt"], settings["remove_pbc"])

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong with the files: all of them are read."""
        if not self.files:
            yield ("files",), "must not be empty"
        for index, pattern in enumerate(self.files):
            found = matches(pattern)
            if not found and not context.has_kept(pattern):
                yield ("files", index), f"'{pattern}' matches no file"
            for path in found:
                yield from ((("files", index), problem) for problem in self._problems(path, context.type_map))

    def _found(self) -> list[str]:
        """Return the files that the patterns match now, each once."""
        return list(dict.fromkeys(path for pattern in self.files for path in matches(pattern)))

    @override
    def files_read(self) -> list[str]:
        """Return the files that the configurations come from."""
        return self._found()

    @override
    def occurring(self, type_map: Sequence[str]) -> Occurring:
        """Return which atoms the frames of all files have; nothing of files that cannot be read."""
        try:
            frames = [frame for path in self._found() for frame in self._read(path, type_map)]
        except InputError:
            return Occurring(())  # a fault, or files that the run has taken up and does not need any more
        formulas = {frame.sorted(type_map).symbols for frame in frames}
        return Occurring(
            tuple(element for element in type_map if any(element in formula for formula in formulas)),
            formulas.pop() if len(formulas) == 1 else None,
            frozenset(frame.periodic for frame in frames),
        )

    @override
    def generate(self, type_map: Sequence[str], rng: np.random.Generator) -> list[Frame]:
        """Return the frames of all files.

        Raises
        ------
        InputError
            There is no file, one cannot be read, or it has an element that is not in ``type_map``.
        """
        paths = self._found()
        if not paths:
            raise InputError(f"no file matches {', '.join(repr(pattern) for pattern in self.files)}")
        return [frame for path in paths for frame in self._read(path, type_map)]

    def _read(self, path: str, type_map: Sequence[str]) -> list[Frame]:
        frames = read(path, self.fmt, type_map, remove_pbc=self.remove_pbc)
        unknown = sorted({symbol for frame in frames for symbol in frame.symbols} - set(type_map))
        if unknown:
            raise InputError(f"'{path}' has {', '.join(unknown)}, which type_map ({', '.join(type_map)}) lacks")
        if not frames:
            raise InputError(f"'{path}' holds no configuration")
        return frames

    def _problems(self, path: str, type_map: Sequence[str]) -> list[str]:
        try:
            self._read(path, type_map)
        except InputError as problem:
            return [str(problem)]
        return []
