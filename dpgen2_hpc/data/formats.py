"""Labels in the formats of other programs: extended XYZ with all that is known of a frame, and dpdata's formats."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.labels import Labels

EXTXYZ = "extxyz"


def write_extxyz(file: TextIO, labels: Labels, about: Mapping[str, Any]) -> None:
    """Write one frame: energy (eV), forces (eV/Å), virial (eV), and ASE's stress (eV/Å³, minus virial / volume).

    ``about`` goes into the comment line as ``key=value``; ``None`` and lists are left out.
    """
    frame = labels.frame
    words = {"Properties": "species:S:1:pos:R:3:forces:R:3", "energy": labels.energy, **about}
    if frame.periodic:
        words = {"Lattice": _row(frame.cell), "pbc": "T T T", **words}
        if labels.virial is not None:
            volume = abs(float(np.linalg.det(frame.cell)))
            words |= {"virial": _row(labels.virial), "stress": _row(-labels.virial / volume)}
    else:
        words = {"pbc": "F F F", **words}
    comment = " ".join(f"{key}={_word(word)}" for key, word in words.items() if isinstance(word, str | int | float))
    rows = np.hstack([frame.coords, labels.forces]).tolist()
    lines = [
        f"{symbol} " + " ".join(f"{number:.10f}" for number in row)
        for symbol, row in zip(frame.symbols, rows, strict=True)
    ]
    file.write("\n".join([str(len(lines)), comment, *lines]) + "\n")


def _row(matrix: NDArray[np.float64]) -> str:
    return " ".join(f"{number:.12g}" for number in matrix.ravel().tolist())


def _word(word: str | float) -> str:
    """Return a value as the format has it: texts with blanks or signs of its own in quotation marks."""
    text = str(word)
    if isinstance(word, str) and (not text or any(letter in text for letter in ' ="\\[]{},')):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def keeps_labels(fmt: str) -> bool | None:
    """Return whether dpdata's format ``fmt`` keeps labels, or frames alone; ``None`` if dpdata does not write it."""
    formats, base = _formats()
    found = formats.get(fmt.lower())
    if found is None or not any(_overrides(found, base, name) for name in ("to_system", "to_labeled_system")):
        return None
    return any(_overrides(found, base, name) for name in ("from_labeled_system", "from_labeled_system_mix"))


def known_formats() -> list[str]:
    """Return the names of the formats in which labels can be written."""
    return sorted({EXTXYZ, *(name for name in _formats()[0] if keeps_labels(name) is not None)})


def write_by_dpdata(path: Path, labels: Sequence[Labels], fmt: str) -> None:
    """Write labels of one formula, all with a virial or none and all periodic or none, at ``path``.

    A format that has no room for labels gets a folder with a file for each frame.

    Raises
    ------
    ValueError
        dpdata does not write files in this format, or not without more words.
    """
    system = _system(labels)
    try:
        if keeps_labels(fmt):
            system.to(fmt, str(path))
        else:
            path.mkdir()
            for index in range(len(labels)):
                system.sub_system([index]).to(fmt, str(path / f"{index:06d}"))
    except Exception as error:  # some formats want more words, or a package that is not here
        raise ValueError(f"dpdata cannot write the format '{fmt}': {error!r}") from error
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f"dpdata writes no file in the format '{fmt}'")


def _system(labels: Sequence[Labels]) -> Any:
    """Return labels as a ``dpdata.LabeledSystem``; the frames have their atoms in one order."""
    import dpdata  # noqa: PLC0415  (a second, and only those who export in its formats need it)

    first = labels[0].frame
    names = list(dict.fromkeys(first.symbols))
    data = {
        "atom_names": names,
        "atom_numbs": [first.symbols.count(name) for name in names],
        "atom_types": np.array([names.index(symbol) for symbol in first.symbols]),
        "orig": np.zeros(3),
        "cells": np.stack([one.frame.cell for one in labels]),
        "coords": np.stack([one.frame.coords for one in labels]),
        "energies": np.array([one.energy for one in labels]),
        "forces": np.stack([one.forces for one in labels]),
    }
    virials = [one.virial for one in labels if one.virial is not None]
    if virials:
        data["virials"] = np.stack(virials)
    if not first.periodic:
        data["nopbc"] = True
    return dpdata.LabeledSystem(data=data)


def _formats() -> tuple[Mapping[str, Any], Any]:
    import dpdata  # noqa: F401, PLC0415  (its plugins register the formats)
    from dpdata.format import Format  # noqa: PLC0415

    base: Any = Format
    return base.get_formats(), base


def _overrides(kind: Any, base: Any, method: str) -> bool:
    """Return whether a format has a method of its own; those of the mixed type stand in no base."""
    return getattr(kind, method, None) is not getattr(base, method, None)
