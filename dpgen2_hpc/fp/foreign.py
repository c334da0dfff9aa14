"""Outputs that dpdata reads: one converged frame, or the reason why there is none."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused, OutputError


def read(path: Path, fmt: str, **more: Any) -> Labels:
    """Return the one frame of ``path`` that dpdata finds there.

    dpdata turns cells into lower triangular ones, and forces and virials with them; the gate turns them back.

    Raises
    ------
    LabelRefused
        There is no converged frame, or more than one.
    OutputError
        dpdata cannot read it.
    """
    import dpdata  # noqa: PLC0415  (a second, and only those who read foreign outputs need it)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = dpdata.LabeledSystem(str(path), fmt=fmt, **more).data
        frames = len(data["energies"])
        if frames == 1:
            return _labels(data)
    except Exception as error:  # parsers of text raise whatever a torn text makes of them
        raise OutputError(f"'{path.name}' cannot be read as {fmt}: {error!r}") from error
    if frames == 0:
        raise LabelRefused(f"'{path.name}' holds no converged frame")
    raise LabelRefused(f"'{path.name}' holds {frames} frames, and one was asked for")


def _labels(data: Any) -> Labels:
    symbols = tuple(data["atom_names"][kind] for kind in data["atom_types"])
    frame = Frame(symbols, np.array(data["coords"][0]), np.array(data["cells"][0]), not data.get("nopbc", False))
    virial = np.array(data["virials"][0]) if "virials" in data and frame.periodic else None
    return Labels(frame, float(data["energies"][0]), np.array(data["forces"][0]), virial)
