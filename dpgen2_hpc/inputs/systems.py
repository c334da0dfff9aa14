"""The first training systems: which folders ``init_data_sys`` stands for, and whether they can be learned from."""

import os
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpgen2_hpc.data.learnable import Contents, look_into
from dpgen2_hpc.data.patterns import matches
from dpgen2_hpc.data.reading import SystemSummary, inspect
from dpgen2_hpc.inputs.read import KeyPath

MARK = "type.raw"
"""The file that makes a folder a system."""

ELSEWHERE = ("init_data_uri", "multi_init_data", "multi_init_data_uri")
"""Keys that name the first data too, and are not available yet."""

WILD = "*?["


@dataclass(frozen=True)
class System:
    """A folder, and what it holds or why that cannot be told; neither for a system that a run has taken up."""

    folder: Path
    summary: SystemSummary | None
    problem: str = ""
    contents: Contents | None = None


@dataclass(frozen=True)
class Pattern:
    """One entry of ``init_data_sys``: where it stands, its text alone and with prefix and folder, and its systems."""

    path: KeyPath
    text: str
    whole: Path
    systems: tuple[System, ...]


def find(inputs: Mapping[str, Any], folder: Path, kept: AbstractSet[str] = frozenset()) -> list[Pattern]:
    """Return the entries of ``init_data_sys``, all systems looked at; relative ones are relative to ``folder``.

    Those at the absolute paths ``kept`` are not: the run that has taken them up compares their contents.
    """
    given = inputs["init_data_sys"]
    if given is None:
        return []
    path: KeyPath = ("inputs", "init_data_sys")
    prefix = folder / (inputs["init_data_prefix"] or "")
    if isinstance(given, str):
        return [Pattern(path, given, prefix / given, _systems(prefix / given, kept))]
    return [Pattern((*path, i), name, prefix / name, _systems(prefix / name, kept)) for i, name in enumerate(given)]


def _systems(pattern: Path, kept: AbstractSet[str]) -> tuple[System, ...]:
    return tuple(_system(folder, kept) for folder in _folders(pattern, kept))


def _system(folder: Path, kept: AbstractSet[str]) -> System:
    if _is_kept(folder, kept):
        return System(folder, None)
    try:
        return System(folder, inspect(folder), contents=look_into(folder))
    except (ValueError, FileNotFoundError, NotADirectoryError) as error:
        return System(folder, None, _shape_problem(folder) or str(error))


def _shape_problem(folder: Path) -> str:
    """Return why a path cannot be a system at all; only asked where it could not be read, to spare path calls."""
    if not folder.is_dir():
        return f"'{folder}' is a file; a system of deepmd/npy is a folder with {MARK}"
    if not (folder / MARK).exists():
        return f"'{folder}' is not a system of deepmd/npy: it has no {MARK}, and no folder below it has one"
    return ""


def _is_kept(folder: Path, kept: AbstractSet[str]) -> bool:
    return bool(kept) and os.path.normpath(folder) in kept


def _folders(pattern: Path, kept: AbstractSet[str]) -> Iterator[Path]:
    """Yield the systems that a pattern matches; below a folder that is no system, all that are there.

    A plain file that a wildcard happens to match is no system, and is passed over.
    """
    for name in matches(pattern):
        found = Path(name)
        if _is_kept(found, kept) or (found / MARK).exists():
            yield found
        elif found.is_dir():
            yield from _below(found) or [found]
        elif not any(letter in str(pattern) for letter in WILD):
            yield found


def _below(folder: Path) -> list[Path]:
    """Return the systems below a folder; their sets are not looked into."""
    systems: list[Path] = []
    for top, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith("set.")]
        if MARK in files:
            systems.append(Path(top))
    return sorted(systems)


def absence(inputs: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield that there are no data, unless other keys name them, which have been refused and so are not here."""
    if inputs.get("init_data_sys", "") is None and all(name in inputs for name in ELSEWHERE):
        text = "this key is missing: expected a folder of labelled frames, a pattern, or a list of them"
        yield ("inputs", "init_data_sys"), text


def problems(patterns: Sequence[Pattern], type_map: Sequence[str]) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is wrong with the data: nothing found, a system twice, unreadable, other elements, no labels."""
    seen: set[Path] = set()
    for pattern in patterns:
        if not pattern.systems:
            yield pattern.path, f"'{pattern.whole}' matches no folder"
        for system in pattern.systems:
            if system.folder in seen:
                yield pattern.path, f"'{system.folder}' is already among the systems: it would count twice"
                continue
            seen.add(system.folder)
            yield from ((pattern.path, text) for text in _system_problems(system, type_map))


def _system_problems(system: System, type_map: Sequence[str]) -> Iterator[str]:
    folder, summary = system.folder, system.summary
    if summary is None:
        if system.problem:
            yield system.problem
        return
    unknown = [element for element in summary.type_map if element not in type_map]
    if unknown:
        yield f"'{folder}' has {', '.join(unknown)} in its type_map; inputs.type_map is {', '.join(type_map)}"
    if not summary.labelled:
        yield f"'{folder}' has no labels (energy.npy and force.npy): nothing can be learned from it"
    if not summary.frames:
        yield f"'{folder}' has no frames: nothing can be learned from it"
    if system.contents is not None and system.contents.fault is not None:
        yield system.contents.fault
