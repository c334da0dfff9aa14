"""Labels by any ASE calculator (type ``ase``): the labeler, and the program that a task runs.

The calculator is named by its import path with JSON keyword arguments, as in ``{"calculator":
"ase.calculators.emt.EMT", "kwargs": {}}``, so that the queue runs it like any other code.
"""

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import dargs
from typing_extensions import override

from dpgen2_hpc.data.elements import element_of
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.fp import answers, running, settings
from dpgen2_hpc.fp.answers import INPUT, OUTPUT
from dpgen2_hpc.kinds import CheckContext, Key, Labeler, Problem


@dataclass(frozen=True)
class AseLabeler(Labeler):
    """Any ASE calculator; see :class:`dpgen2_hpc.kinds.Labeler`."""

    calculator: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    python: str | None = None
    has_virial: bool = False
    """Calculators without stress are welcome: their labels have no virial."""

    @classmethod
    @override
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
            settings.run_config(
                None, "A Python with ase, the calculator and dpgen2_hpc; default: the one that runs the driver."
            ),
        ]

    @classmethod
    @override
    def physics(cls, given: Mapping[str, Any]) -> Any:
        """Return what of the settings a label depends on; see :mod:`dpgen2_hpc.fp.running`."""
        return running.ase(given["inputs_config"])

    @classmethod
    @override
    def from_settings(cls, given: Mapping[str, Any]) -> Self:
        """Return the labeler for checked settings."""
        inputs = given["inputs_config"]
        return cls(inputs["calculator"], inputs["kwargs"], given["run_config"]["command"])

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield a calculator that cannot be one by its name."""
        if "." not in self.calculator.strip("."):
            path = ("inputs_config", "calculator")
            yield path, f"must be an import path, as ase.calculators.emt.EMT; found '{self.calculator}'"

    @override
    def command_line(self, words: Sequence[str]) -> str:
        """Return the command that runs this module as a program."""
        return answers.command("dpgen2_hpc.fp.ase", self.python)

    @override
    def shared(self) -> dict[str, Path]:
        """Return nothing: a task's input says it all."""
        return {}

    @override
    def write_inputs(self, frame: Frame, directory: Path) -> list[str]:
        """Write frame and calculator as JSON."""
        return answers.ask(frame, directory, {"calculator": self.calculator, "kwargs": self.kwargs})

    @override
    def read_labels(self, directory: Path) -> Labels:
        """Return the labels that the program wrote."""
        return answers.read(directory)


# ---- the program ----------------------------------------------------------------------------------------------------


def label(question: Mapping[str, Any]) -> dict[str, Any]:
    """Compute the label of one frame: energy (eV), forces (eV/Å), virial (eV, minus stress times volume)."""
    from ase import Atoms  # noqa: PLC0415  (half a second, and only the program needs it)
    from ase.calculators.calculator import CalculationFailed, SCFError  # noqa: PLC0415

    module, _, name = question["calculator"].rpartition(".")
    calculator = getattr(importlib.import_module(module), name)(**question["kwargs"])
    elements = [element_of(symbol) for symbol in question["symbols"]]
    atoms: Any = Atoms(
        elements, question["coords"], cell=question["cell"], pbc=question["periodic"], calculator=calculator
    )
    try:
        energy, forces = _energy(atoms), atoms.get_forces()
    except (SCFError, CalculationFailed) as error:
        return {"converged": False, "message": str(error)}
    try:
        virial = (-atoms.get_stress(voigt=False) * atoms.get_volume()).tolist() if question["periodic"] else None
    except NotImplementedError:  # ASE's own is one of these, and some calculators raise the bare one
        virial = None
    found = {**question, "symbols": atoms.get_chemical_symbols(), "coords": atoms.positions.tolist()}
    return answers.answer(found, energy, forces, virial)


def _energy(atoms: Any) -> float:
    """Return the energy whose gradient the forces are: with smeared occupations that is the free energy."""
    try:
        return float(atoms.get_potential_energy(force_consistent=True))
    except (NotImplementedError, TypeError):  # the calculator has only one, or does not know the word
        return float(atoms.get_potential_energy())


def main() -> None:
    """Label the frame of ``input.json`` in the current directory."""
    output = label(json.loads(Path(INPUT).read_text()))
    Path(OUTPUT).write_text(json.dumps(output) + "\n")


if __name__ == "__main__":
    main()
