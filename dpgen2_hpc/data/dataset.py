"""Systems in the format ``deepmd/npy``: one folder for all frames of one formula.

    Al16Cu16/  type.raw  type_map.raw  [nopbc]  set.000/  coord.npy  box.npy  [energy.npy  force.npy  [virial.npy]]

The atoms stand in the order of the type map. Frames with and without a virial are never in one folder, for the trainer
would take the missing ones as zero. Written plainly: a folder counts only when its result does.

In the mixed type frames of one size are a system, whatever their formulas: ``real_atom_types.npy`` in each set has the
types of each frame's atoms, and ``type.raw`` only says how many they are.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.npy import write_array

NOPBC = "nopbc"
NO_VIRIAL = "-novirial"
REAL_TYPES = "real_atom_types.npy"
DRAWING_BOX = 100.0
"""Edge (Å) of the cell that a system without periodicity gets where it has none."""

Array = NDArray[np.float64]
Place = tuple[str, int]
"""Where a frame went: the system's name, and the index in it."""


def write_frames(folder: Path, frames: Sequence[Frame], type_map: Sequence[str]) -> list[Place]:
    """Write frames as systems below an empty ``folder``; return where each went, in the order given."""
    names = [frame.system(type_map) for frame in frames]
    for name, members in _grouped(names).items():
        _write_system(folder / name, [frames[i] for i in members], type_map)
    return _places(names)


def write_labels(
    folder: Path, labels: Sequence[Labels], type_map: Sequence[str], *, mixed: bool = False
) -> list[Place]:
    """Write labelled frames as systems below an empty ``folder``; return where each went, in the order given.

    Periodic frames without virial get a system of their own, ``<formula>-novirial``; frames without periodicity have
    none, whatever the code wrote. With ``mixed`` frames of one size share a system: ``mixed32`` in the place of the
    formula.
    """
    names = [labelled_system(label, type_map, mixed=mixed) for label in labels]
    for name, members in _grouped(names).items():
        _write_labelled(folder / name, [labels[i] for i in members], type_map)
        if mixed:
            _mix(folder / name, [labels[i].frame for i in members], type_map)
    return _places(names)


def labelled_system(label: Labels, type_map: Sequence[str], *, mixed: bool = False) -> str:
    """Return the name of the system to which a label belongs."""
    name = label.frame.system(type_map)
    if mixed:
        name = f"mixed{len(label.frame.symbols)}" + ("" if label.frame.periodic else f"-{NOPBC}")
    return name + NO_VIRIAL if label.frame.periodic and label.virial is None else name


def _mix(folder: Path, frames: Sequence[Frame], type_map: Sequence[str]) -> None:
    """Say each frame's types in its set, and only their number in ``type.raw``."""
    types = [frame.sorted(type_map).types(type_map) for frame in frames]
    write_array(folder / "set.000" / REAL_TYPES, np.stack(types).astype(np.int32))
    _write_lines(folder / "type.raw", [0] * len(types[0]))


def _grouped(names: Sequence[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(name, []).append(index)
    return groups


def _places(names: Sequence[str]) -> list[Place]:
    seen: Counter[str] = Counter()
    places = []
    for name in names:
        places.append((name, seen[name]))
        seen[name] += 1
    return places


def _write_system(folder: Path, frames: Sequence[Frame], type_map: Sequence[str]) -> None:
    """Write frames that have one formula, and one answer to the question of periodicity."""
    ordered = [frame.sorted(type_map) for frame in frames]
    (folder / "set.000").mkdir(parents=True)
    _write_lines(folder / "type.raw", ordered[0].types(type_map).tolist())
    _write_lines(folder / "type_map.raw", type_map)
    if not ordered[0].periodic:
        (folder / NOPBC).touch()
    _save(folder, "coord", [frame.coords for frame in ordered])
    _save(folder, "box", [frame.cell for frame in ordered])


def _write_labelled(folder: Path, labels: Sequence[Labels], type_map: Sequence[str]) -> None:
    ordered = [label.sorted(type_map) for label in labels]
    _write_system(folder, [label.frame for label in ordered], type_map)
    write_array(folder / "set.000" / "energy.npy", np.array([label.energy for label in ordered], dtype=np.float64))
    _save(folder, "force", [label.forces for label in ordered])
    virials = [label.virial for label in labels if label.frame.periodic and label.virial is not None]
    if virials:
        _save(folder, "virial", virials)


def _write_lines(path: Path, lines: Sequence[object]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def _save(folder: Path, name: str, rows: Sequence[Array]) -> None:
    joined = np.concatenate(rows).reshape(len(rows), -1)  # in a third of the time of `np.stack`
    write_array(folder / "set.000" / f"{name}.npy", joined.astype(np.float64, copy=False))
