"""Labels by any ASE calculator (type ``ase``): the labeler, and the program that a task runs.

The calculator is named by its import path with JSON keyword arguments, as in ``{"calculator":
"ase.calculators.emt.EMT", "kwargs": {}}``, so that the queue runs it like any other code.
"""

import importlib
import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import dargs
import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.kinds import CheckContext, Key, Problem

INPUT, OUTPUT = "input.json", "output.json"


@dataclass(frozen=True)
class AseLabeler:
    """Any ASE calculator; see :class:`dpgen2_hpc.kinds.Labeler`."""

    calculator: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    python: str | None = None
    has_virial: bool = False
    """Calculators without stress are welcome: their labels have no virial."""

    @classmethod
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``fp``."""
        return [
            Key(
                "inputs_config",
                dict,
                "The calculator.",
                sub_fields=[
                    Key("calculator", str, "Import path of an ASE calculator, as ase.calculators.emt.EMT."),
                    Key("kwargs", dict, "Its keyword arguments.", optional=True, default={}),
                ],
            ),
            Key(
                "run_config",
                dict,
                "How it is run.",
                optional=True,
                default={},
                sub_fields=[
                    Key(
                        "command",
                        [str, type(None)],
                        "A Python with ase, the calculator and dpgen2_hpc; default: the one that runs the driver.",
                        optional=True,
                        default=None,
                        change="now",
                    )
                ],
            ),
        ]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the labeler for checked settings."""
        inputs = settings["inputs_config"]
        return cls(inputs["calculator"], inputs["kwargs"], settings["run_config"]["command"])

    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield a calculator that cannot be one by its name."""
        if "." not in self.calculator.strip("."):
            path = ("inputs_config", "calculator")
            yield path, f"must be an import path, as ase.calculators.emt.EMT; found '{self.calculator}'"

    @property
    def command(self) -> str:
        """Return the command that runs this module as a program."""
        return f"{self.python or shlex.quote(sys.executable)} -m dpgen2_hpc.fp.ase"

    def shared(self) -> dict[str, Path]:
        """Return nothing: a task's input says it all."""
        return {}

    def write_inputs(self, frame: Frame, directory: Path) -> list[str]:
        """Write frame and calculator as JSON."""
        content = {
            "calculator": self.calculator,
            "kwargs": self.kwargs,
            "symbols": frame.symbols,
            "periodic": frame.periodic,
            "cell": frame.cell.tolist(),
            "coords": frame.coords.tolist(),
        }
        (directory / INPUT).write_text(json.dumps(content) + "\n")
        return [INPUT]

    def read_labels(self, directory: Path) -> Labels:
        """Return the labels that the program wrote."""
        output = _read_output(directory / OUTPUT)
        question = json.loads((directory / INPUT).read_text())
        try:
            if not output["converged"]:
                raise LabelRefused(f"the calculator did not converge: {output['message']}")
            return _labels(output, periodic=question["periodic"])
        except (KeyError, TypeError, ValueError) as error:
            raise OutputError(f"'{OUTPUT}' is not whole: {error!r}") from error


def _labels(output: Mapping[str, Any], *, periodic: bool) -> Labels:
    frame = Frame(tuple(output["symbols"]), np.array(output["coords"]), np.array(output["cell"]), periodic)
    virial = None if output["virial"] is None else np.array(output["virial"])
    return Labels(frame, float(output["energy"]), np.array(output["forces"]), virial)


def _read_output(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise OutputError(f"there is no '{path.name}'") from error
    except ValueError as error:
        raise OutputError(f"'{path.name}' is broken: {error}") from error


# ---- the program ----------------------------------------------------------------------------------------------------


def label(question: Mapping[str, Any]) -> dict[str, Any]:
    """Compute the label of one frame: energy (eV), forces (eV/Å), virial (eV, minus stress times volume)."""
    from ase import Atoms  # noqa: PLC0415  (half a second, and only the program needs it)
    from ase.calculators.calculator import CalculationFailed, PropertyNotImplementedError, SCFError  # noqa: PLC0415

    module, _, name = question["calculator"].rpartition(".")
    calculator = getattr(importlib.import_module(module), name)(**question["kwargs"])
    atoms: Any = Atoms(
        question["symbols"], question["coords"], cell=question["cell"], pbc=question["periodic"], calculator=calculator
    )
    try:
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    except (SCFError, CalculationFailed) as error:
        return {"converged": False, "message": str(error)}
    try:
        virial = (-atoms.get_stress(voigt=False) * atoms.get_volume()).tolist() if question["periodic"] else None
    except PropertyNotImplementedError:
        virial = None
    return {
        "converged": True,
        "symbols": atoms.get_chemical_symbols(),
        "cell": atoms.cell.array.tolist(),
        "coords": atoms.positions.tolist(),
        "energy": float(energy),
        "forces": forces.tolist(),
        "virial": virial,
    }


def main() -> None:
    """Label the frame of ``input.json`` in the current directory."""
    output = label(json.loads(Path(INPUT).read_text()))
    Path(OUTPUT).write_text(json.dumps(output) + "\n")


if __name__ == "__main__":
    main()
