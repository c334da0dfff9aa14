"""Labelers that are programs of this package: the question is a JSON file, and so is the answer."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.outputs import read_output_text
from dpgen2_hpc.errors import LabelRefused, OutputError

INPUT, OUTPUT = "input.json", "output.json"


def command(module: str, python: str | None) -> str:
    """Return the command that runs a module of this package; without ``python`` by the one that runs the driver."""
    return f"{python or shlex.quote(sys.executable)} -m {module}"


def ask(frame: Frame, directory: Path, how: Mapping[str, Any]) -> list[str]:
    """Write the question: a frame, and how it is to be labelled."""
    content = {
        **how,
        "symbols": frame.symbols,
        "periodic": frame.periodic,
        "cell": frame.cell.tolist(),
        "coords": frame.coords.tolist(),
    }
    (directory / INPUT).write_text(json.dumps(content) + "\n")
    return [INPUT]


def answer(question: Mapping[str, Any], energy: float, forces: Any, virial: Any) -> dict[str, Any]:
    """Return the answer to a question: energy (eV), forces (eV/Å), virial (eV) or ``None``."""
    return {
        "converged": True,
        "symbols": list(question["symbols"]),
        "cell": question["cell"],
        "coords": question["coords"],
        "energy": float(energy),
        "forces": np.asarray(forces).tolist(),
        "virial": None if virial is None else np.asarray(virial).tolist(),
    }


def read(directory: Path) -> Labels:
    """Return the label that the program wrote."""
    output = _read_output(directory / OUTPUT)
    question = _read_output(directory / INPUT)
    try:
        if not output["converged"]:
            raise LabelRefused(f"the calculator did not converge: {output['message']}")
        return _labels(output, periodic=question["periodic"])
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise OutputError(f"'{OUTPUT}' is not whole: {error!r}") from error


def _labels(output: Mapping[str, Any], *, periodic: bool) -> Labels:
    frame = Frame(tuple(output["symbols"]), np.array(output["coords"]), np.array(output["cell"]), periodic)
    virial = None if output["virial"] is None else np.array(output["virial"])
    return Labels(frame, float(output["energy"]), np.array(output["forces"]), virial)


def _read_output(path: Path) -> Any:
    try:
        return json.loads(read_output_text(path))
    except (ValueError, RecursionError) as error:
        raise OutputError(f"'{path.name}' is broken: {error}") from error
