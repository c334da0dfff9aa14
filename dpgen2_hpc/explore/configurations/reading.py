"""Configurations from files in any format that dpdata reads."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from dpgen2_hpc.data.elements import element_of
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.masses import MASSES as USUAL
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.explore.configurations import poscar, xyz

NAMELESS = re.compile(r"type_(\d+)", re.IGNORECASE)
"""How dpdata calls the types of a file that gives no elements, such as LAMMPS's: ``Type_0`` is the first."""

MASSES = re.compile(r"^[ \t]*Masses\b.*\n\s*\n((?:[ \t]*\d+[ \t]+\S+.*(?:\n|\Z))+)", re.MULTILINE)
"""LAMMPS's section ``Masses``."""

MASS_LINE = re.compile(r"^\s*(\d+)\s+(\d+\.?\d*(?:[eE][+-]?\d+)?)\s*(?:#\s*([A-Z][a-z]?)\s*$)?", re.MULTILINE)
"""A line of it: type, mass and, where the writer says it, the element: ``1 63.546 # Cu``."""

SAME_MASS = 0.05
"""What a mass may differ from an element's and still be taken for it, as a part of it."""

ROUNDED = 0.5
"""What a mass may differ (u) from that of the element that it should be: 59 is nickel, too."""

LAMMPS_CELL = re.compile(r"^\s*\S+\s+\S+\s+xlo\s+xhi\b", re.MULTILINE)
"""The line of its header that every data file of LAMMPS has, and no other file."""

HEADER = 10_000
"""Bytes in which the header of a data file of LAMMPS stands."""

UNTOLD = (LookupError, TypeError, AttributeError, NameError, AssertionError)
"""What dpdata raises when it stumbles over a file of another format: their texts say nothing of the file."""

NUMBERS = {
    r"invalid literal for int\(\) with base 10: ('.*')": "a whole number",
    r"could not convert string to float: ('.*')": "a number",
}
"""What Python says of a word that is no number, and what was expected."""

LAMMPS_DUMP = "ITEM:"
"""How every dump of LAMMPS begins."""

FOREIGN = ("cif", "pdb", "xsf", "res", "mol2")
"""Ends of names of formats that dpdata has not."""

COLLECTIONS = ("deepmd/npy/mixed", "deepmd/hdf5/mixed")
"""Formats whose files may hold frames of several formulas."""


def read(path: str, fmt: str, type_map: Sequence[str] | None = None, *, remove_pbc: bool = False) -> list[Frame]:
    """Return the frames of a file.

    A file without elements (LAMMPS) numbers its types in the order of ``type_map``; without it they stay nameless.
    With ``remove_pbc`` the atoms are put into the middle of a cubic cell with 9 Å of vacuum around, and the frame is
    not periodic.

    Raises
    ------
    InputError
        dpdata cannot read the file, or its elements contradict the type map.
    """
    taken = fmt
    ending = Path(path).suffix[1:].lower()
    if fmt == "auto" and ending in FOREIGN:
        name = Path(path).with_suffix("")
        raise InputError(
            f"'{path}' is in a format that is not read: convert it, as with `ase convert {path} {name}.vasp`"
        )
    try:
        taken = _format(path, fmt)
        systems = _systems(path, taken, type_map or ())
    except NotImplementedError as problem:
        raise InputError(_no_format(fmt)) from problem
    except OSError as problem:
        raise InputError(f"'{path}' could not be read: {problem.strerror or problem}") from problem
    except Exception as problem:
        guess = "" if taken == fmt else ", which is a guess (a source of type file has fmt)"
        raise InputError(f"'{path}' could not be read in the format '{taken}'{guess}: {_reason(problem)}") from problem
    return [frame for system in systems for frame in _frames(system, path, type_map, remove_pbc=remove_pbc)]


def _reason(problem: Exception) -> str:
    """Return why a file could not be read, in words that are about the file."""
    text = "" if isinstance(problem, UNTOLD) else str(problem).partition("\n")[0][:200]
    for pattern, expected in NUMBERS.items():
        text = re.sub(pattern, rf"\1 stands where {expected} is expected", text)
    return text or "it is of another format, or damaged"


def _no_format(fmt: str) -> str:
    from dpdata.format import Format  # noqa: PLC0415  (as below)

    formats: Any = Format

    near = get_close_matches(fmt, list(formats.get_formats()), n=3, cutoff=0.5)
    return f"dpdata reads no format '{fmt}'" + (f"; is one of these meant: {', '.join(near)}?" if near else "")


def _systems(path: str, fmt: str, known: Sequence[str]) -> list[Any]:
    import dpdata  # noqa: PLC0415  a second, and needed only by those whose configurations are files

    if fmt in COLLECTIONS:
        return list(dpdata.MultiSystems.from_file(path, fmt=fmt).systems.values())
    if fmt in xyz.FORMATS:
        return [_turned(dpdata.System(data=data)) for data in xyz.read_xyz(path)]
    if fmt in poscar.FORMATS:
        return [_turned(dpdata.System(data=poscar.read_poscar(path, known)))]
    return [dpdata.System(path, fmt=fmt)]


def _turned(system: Any) -> Any:
    """Return a system with its cells turned as dpdata turns those that it reads itself."""
    if not system.nopbc:
        system.rot_lower_triangular()
    return system


def _format(path: str, fmt: str) -> str:
    """Return the format; ``auto``: by what stands in the file, else by the end of its name, else VASP's POSCAR."""
    from dpdata.format import Format  # noqa: PLC0415  (as above)

    formats: Any = Format
    if not Path(path).exists():
        raise FileNotFoundError("there is no such file")
    if fmt != "auto":
        return fmt
    beginning = _beginning(path) if Path(path).is_file() else ""
    if beginning.startswith(LAMMPS_DUMP):
        return "lammps/dump"
    if LAMMPS_CELL.search(beginning):
        return "lammps/lmp"
    ending = Path(path).name.rpartition(".")[2].lower()
    return ending if ending in formats.get_formats() or Path(path).is_dir() else "vasp/poscar"


def _beginning(path: str) -> str:
    with Path(path).open(errors="replace") as file:
        return file.read(HEADER)


def _frames(system: Any, path: str, type_map: Sequence[str] | None, *, remove_pbc: bool) -> Iterator[Frame]:
    symbols = _symbols(system, path, type_map)
    periodic = not (system.nopbc or remove_pbc)
    if remove_pbc:
        system.remove_pbc()
    for coords, cell in zip(system["coords"], system["cells"], strict=True):
        yield Frame(symbols, np.array(coords, dtype=np.float64), np.array(cell, dtype=np.float64), periodic)


def _symbols(system: Any, path: str, type_map: Sequence[str] | None) -> tuple[str, ...]:
    """Return the symbol of each atom."""
    names = [str(name) for name in system["atom_names"]]
    if type_map is not None and all(NAMELESS.fullmatch(name) for name in names):
        names = _named(len(names), path, type_map)
    return tuple(names[kind] for kind in system["atom_types"])


def _named(kinds: int, path: str, type_map: Sequence[str]) -> list[str]:
    """Return the elements of a file that does not give them, unless it contradicts in what dpdata does not read."""
    if kinds > len(type_map):
        raise InputError(f"'{path}' has {kinds} types of atoms, and type_map only {len(type_map)}")
    for number, symbol, why in _told(Path(path).read_text() if Path(path).is_file() else "", type_map):
        expected = type_map[number - 1] if 0 < number <= len(type_map) else "none"
        if element_of(symbol) != element_of(expected):
            raise InputError(
                f"'{path}' says that its type {number} is {symbol}{why}, while number {number} in type_map is "
                f"{expected}: bring the types of the file into the order of type_map"
            )
    return list(type_map[:kinds])


def _told(text: str, type_map: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield types with the element that a comment names or that has their mass, and how that is known."""
    section = MASSES.search(text)
    rows = [(int(number), float(mass), name) for number, mass, name in MASS_LINE.findall(section[1] if section else "")]
    usual = {name: USUAL[element_of(name)] for name in type_map if element_of(name) in USUAL}
    alike = len({mass for _, mass, _ in rows}) == 1 < len(rows)  # then they say nothing
    for number, mass, name in rows:
        near = min(usual, key=lambda one: abs(usual[one] - mass), default="")
        if name:
            yield number, name, ""
        elif near and not alike and abs(usual[near] - mass) < SAME_MASS * mass and not _may_be(number, mass, type_map):
            yield number, near, f" (its mass is {mass:g})"


def _may_be(number: int, mass: float, type_map: Sequence[str]) -> bool:
    """Return whether a type has about the mass of the element that it should be."""
    element = element_of(type_map[number - 1]) if 0 < number <= len(type_map) else ""
    return element in USUAL and abs(USUAL[element] - mass) <= ROUNDED
