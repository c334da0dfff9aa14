"""The dataset with the origin of each label: the initial systems, then what each iteration has collected."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpgen2_hpc.data.dataset import labelled_system
from dpgen2_hpc.data.formats import EXTXYZ, keeps_labels, known_formats, write_by_dpdata, write_extxyz
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.reading import read_labels
from dpgen2_hpc.errors import InputError, StateError
from dpgen2_hpc.inputs.faults import unknown
from dpgen2_hpc.state.files import fresh_folder, read_json, read_lines, storing, write_lines
from dpgen2_hpc.state.workdir import WorkDir, located

INDEX = "manifest.jsonl"
"""Says, in a folder that was exported, where each label stands and where it comes from."""


@dataclass(frozen=True)
class Member:
    """A label of the dataset, and where it comes from: a row of a manifest, or an initial system."""

    labels: Labels
    origin: dict[str, Any]


def initial(workdir: WorkDir) -> Iterator[Member]:
    """Yield the labels of the initial systems.

    Raises
    ------
    StateError
        A system is not there any more, or broken.
    """
    base = workdir.base
    for row in read_lines(workdir.initial_data):
        for index, labels in enumerate(_read(located(base, row["path"]))):
            yield Member(labels, {"source": row["path"], "source_index": index})


def collected(workdir: WorkDir, iterations: range) -> Iterator[Member]:
    """Yield the labels that these iterations have collected, in the order of their manifests."""
    for iteration in iterations:
        folder = workdir.step(iteration, "collect").path
        rows = read_lines(folder / INDEX)
        systems = {system: _read(folder / "data" / system) for system in sorted({row["system"] for row in rows})}
        for row in rows:
            origin = {name: value for name, value in row.items() if name not in ("system", "index")}
            yield Member(systems[row["system"]][row["index"]], origin)


def export(members: Iterator[Member], fmt: str, out: Path, workdir: WorkDir) -> int:
    """Write labels in a format at ``out``, which must not be there; return how many.

    Extended XYZ is one file, in which each frame says where it comes from. dpdata's formats get a folder with a system
    for each formula, and a manifest with a line for each label.

    Raises
    ------
    InputError
        There is no such format, ``out`` is there, or its folder is not.
    """
    if out.exists():
        raise InputError(f"'{out}' is there already: name another, nothing is overwritten")
    if fmt != EXTXYZ and keeps_labels(fmt) is None:
        raise InputError(unknown("format", fmt, known_formats()))
    if not out.absolute().parent.is_dir():
        raise InputError(f"'{out}': there is no folder '{out.parent}'; make it first")
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        with storing(out):
            count = _as_extxyz(members, temporary) if fmt == EXTXYZ else _as_folder(members, fmt, temporary, workdir)
            temporary.rename(out)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)
    return count


def _as_extxyz(members: Iterator[Member], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for member in members:
            write_extxyz(file, member.labels, member.origin)
            count += 1
    return count


def _as_folder(members: Iterator[Member], fmt: str, folder: Path, workdir: WorkDir) -> int:
    type_map = read_json(workdir.param)["inputs"]["type_map"]
    systems: dict[str, list[Labels]] = {}
    rows = []
    for member in members:
        labels = member.labels.sorted(type_map)
        system = systems.setdefault(labelled_system(labels, type_map), [])
        rows.append({**member.origin, "system": labelled_system(labels, type_map), "index": len(system)})
        system.append(labels)
    fresh_folder(folder)
    try:
        for name, system in systems.items():
            write_by_dpdata(folder / name, system, fmt)
    except ValueError as error:
        raise InputError(f"{error}. It does write deepmd/npy and deepmd/hdf5; extxyz is written without it") from error
    write_lines(folder / INDEX, rows)
    return len(rows)


def _read(folder: Path) -> list[Labels]:
    try:
        return read_labels(folder)
    except ValueError as error:
        raise StateError(str(error)) from error
