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
from dpgen2_hpc.state.workdir import WorkDir

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
    for row in read_lines(workdir.initial_data):
        for index, labels in enumerate(_read(workdir.root / row["path"])):
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
        There is no such format, or ``out`` is there.
    """
    if out.exists():
        raise InputError(f"'{out}' is there already: name another, nothing is overwritten")
    if fmt != EXTXYZ and keeps_labels(fmt) is None:
        raise InputError(unknown("format", fmt, known_formats()))
    with storing(out):
        return _as_extxyz(members, out) if fmt == EXTXYZ else _as_folder(members, fmt, out, workdir)


def _as_extxyz(members: Iterator[Member], out: Path) -> int:
    count, temporary = 0, out.with_name(f".{out.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        for member in members:
            write_extxyz(file, member.labels, member.origin)
            count += 1
    temporary.rename(out)
    return count


def _as_folder(members: Iterator[Member], fmt: str, out: Path, workdir: WorkDir) -> int:
    type_map = read_json(workdir.param)["inputs"]["type_map"]
    systems: dict[str, list[Labels]] = {}
    rows = []
    for member in members:
        labels = member.labels.sorted(type_map)
        system = systems.setdefault(labelled_system(labels, type_map), [])
        rows.append({**member.origin, "system": labelled_system(labels, type_map), "index": len(system)})
        system.append(labels)
    temporary = fresh_folder(out.with_name(f".{out.name}.tmp"))
    try:
        for name, system in systems.items():
            write_by_dpdata(temporary / name, system, fmt)
    except ValueError as error:
        shutil.rmtree(temporary)
        raise InputError(f"{error}. It does write deepmd/npy and deepmd/hdf5; extxyz is written without it") from error
    write_lines(temporary / INDEX, rows)
    temporary.rename(out)
    return len(rows)


def _read(folder: Path) -> list[Labels]:
    try:
        return read_labels(folder)
    except ValueError as error:
        raise StateError(str(error)) from error
