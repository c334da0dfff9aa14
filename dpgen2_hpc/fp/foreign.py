"""Outputs of codes: their text, and what dpdata reads there, one converged frame or the reason why there is none."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.outputs import LIMIT, OF_THE_TASK, open_output, read_output_end, read_output_text
from dpgen2_hpc.errors import LabelRefused, OutputError


def read(path: Path, fmt: str, files: Sequence[str] = (), **more: Any) -> Labels:
    """Return the one frame of ``path`` that dpdata finds there; of a folder it reads ``files`` (none given: any).

    dpdata turns cells into lower triangular ones, and forces and virials with them; the gate turns them back.

    Raises
    ------
    LabelRefused
        There is no converged frame, or more than one.
    OutputError
        dpdata cannot read it.
    """
    import dpdata  # noqa: PLC0415  (a second, and only those who read foreign outputs need it)

    _refuse_odd(path, files)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            data = dpdata.LabeledSystem(str(path), fmt=fmt, **more).data
        frames = len(data["energies"])
        if frames == 1:
            return _labels(data)
    except Exception as error:  # parsers of text raise whatever a torn text makes of them
        if isinstance(error, OSError) and error.errno is not None and error.errno not in OF_THE_TASK:
            raise
        raise OutputError(f"'{path.name}' cannot be read as {fmt}: {error!r}") from error
    if frames == 0:
        raise LabelRefused(f"'{path.name}' holds no converged frame")
    raise LabelRefused(f"'{path.name}' holds {frames} frames, and one was asked for")


def _refuse_odd(path: Path, files: Sequence[str]) -> None:
    """Refuse what dpdata would hang on, or take for a whole output.

    Raises
    ------
    OutputError
        It is missing; it is, or holds, something else than regular files; it is too large; or a text ends in the middle
        of a line.
    """
    if not path.is_dir():
        _refuse_torn(path)
        return
    names = files or [f"{folder}/{name}" for folder, _, names in os.walk(path) for name in names]
    for name in names:
        _refuse_large(path / name)


def _refuse_large(path: Path) -> None:
    with open_output(path) as file:
        size = os.fstat(file.fileno()).st_size
    if size > LIMIT:
        raise OutputError(f"'{path.name}' has {size} bytes, more than the {LIMIT} that are read")


def _refuse_torn(path: Path) -> None:
    """Refuse a text that ends in the middle of a line, which dpdata would take for a whole one.

    What ends with a bracket is JSON or XML, whose parsers know by themselves.
    """
    _refuse_large(path)
    end = read_output_end(path, 1000)
    if b"\0" not in end and not end.endswith((b"\n", b">", b"}", b"]")):
        raise OutputError(f"'{path.name}' ends in the middle of a line: the run was cut")


def text_of(path: Path) -> str:
    """Return the text of an output, as far as its last line that is whole: a number may have been cut in its middle.

    Raises
    ------
    OutputError
        It is missing, is not a regular file, or is too large.
    """
    text = read_output_text(path)
    return text[: text.rfind("\n") + 1]


def _labels(data: Any) -> Labels:
    symbols = tuple(data["atom_names"][kind] for kind in data["atom_types"])
    frame = Frame(symbols, np.array(data["coords"][0]), np.array(data["cells"][0]), not data.get("nopbc", False))
    virial = np.array(data["virials"][0]) if "virials" in data and frame.periodic else None
    return Labels(frame, float(data["energies"][0]), np.array(data["forces"][0]), virial)


def write(frame: Frame, path: Path, fmt: str, **more: Any) -> None:
    """Write a frame in a format of dpdata's; its atoms keep their order."""
    _system(frame).to(fmt, str(path), **more)


def can_write(fmt: str) -> bool:
    """Return whether dpdata writes frames in a format."""
    return _has(fmt, "to_system")


def can_read(fmt: str) -> bool:
    """Return whether dpdata reads labels from a format."""
    return _has(fmt, "from_labeled_system")


def _system(frame: Frame) -> Any:
    import dpdata  # noqa: PLC0415

    names = list(dict.fromkeys(frame.symbols))
    data = {
        "atom_names": names,
        "atom_numbs": [frame.symbols.count(name) for name in names],
        "atom_types": np.array([names.index(symbol) for symbol in frame.symbols]),
        "cells": frame.cell[None].copy(),
        "coords": frame.coords[None].copy(),
        "orig": np.zeros(3),
        **({} if frame.periodic else {"nopbc": True}),
    }
    return dpdata.System(data=data)


def _has(fmt: str, method: str) -> bool:
    import dpdata  # noqa: F401, PLC0415  (its plugins register the formats)
    from dpdata import format as formats  # noqa: PLC0415

    base: Any = formats.Format
    found = base.get_formats().get(fmt.lower())
    return found is not None and getattr(found, method) is not getattr(base, method)
