"""A labeler to copy: a code that reads `job.txt`, and writes energy, forces and stress to `job.out`.

Put it into `dpgen2_hpc/fp/`, or into a package of your own with the entry point

    [project.entry-points."dpgen2_hpc.fp"]
    mycode = "mypackage.labeler:MyLabeler"

and write `"fp": {"type": "mycode", ...}`. `tests/fp/test_skeleton.py` runs it as it stands here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
from typing_extensions import override

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.outputs import read_output_text
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.printed import number, numbers, volume
from dpgen2_hpc.kinds import Cause, CheckContext, Key, Labeler, Problem

INPUT, OUTPUT = "job.txt", "job.out"


@dataclass(frozen=True)
class MyLabeler(Labeler):
    """Its fields are its settings; other names of yours begin with `_`."""

    cutoff: float
    program: str = "mycode"

    outputs: ClassVar[tuple[str, ...]] = (OUTPUT,)
    causes: ClassVar[tuple[Cause, ...]] = (
        Cause(r"no convergence", "the SCF cycle did not converge", "raise fp.inputs_config.cutoff"),
    )

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of `fp`. Units stand in the sentence: `doc` and the messages show it."""
        cutoff = Key("cutoff", float, "Cutoff of the plane waves, eV.", above=0)
        command = Key("command", str, "The command.", optional=True, default="mycode", change="now")
        return [
            Key("inputs_config", dict, "The input of the code.", sub_fields=[cutoff]),
            Key("run_config", dict, "How it is run.", optional=True, default={}, sub_fields=[command]),
        ]

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the labeler for checked settings."""
        return cls(settings["inputs_config"]["cutoff"], settings["run_config"]["command"])

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what no key shows alone: where it stands, and what is wrong."""
        if len(context.type_map) > 2:
            yield ("inputs_config",), f"the code knows two elements, type_map has {len(context.type_map)}"

    @override
    def command_line(self, words: Sequence[str]) -> str:
        """Return the command; a shell runs it in the task's folder."""
        return f"{self.program} {INPUT} {OUTPUT}"

    @override
    def shared(self) -> dict[str, Path]:
        """Return files that all tasks read, such as pseudopotentials: this code has none."""
        return {}

    @override
    def write_inputs(self, frame: Frame, directory: Path) -> list[str]:
        """Write the input of one frame; lengths are in Å."""
        rows = [f"cutoff {self.cutoff:.6f}"]
        rows += [f"cell {a:.10f} {b:.10f} {c:.10f}" for a, b, c in frame.cell.tolist()]
        atoms = zip(frame.symbols, frame.coords.tolist(), strict=True)
        rows += [f"atom {symbol} {x:.10f} {y:.10f} {z:.10f}" for symbol, (x, y, z) in atoms]
        (directory / INPUT).write_text("\n".join(rows) + "\n")
        return [INPUT]

    @override
    def read_labels(self, directory: Path) -> Labels:
        """Return the labels: eV, eV/Å, and minus stress times volume in eV.

        The output is read in bounded pieces; what is not whole raises OutputError, what the code itself calls no
        result raises LabelRefused. The frame is the one that the code says it computed: the gate compares it.
        """
        lines = [line.split() for line in read_output_text(directory / OUTPUT).splitlines() if line.strip()]
        if ["no", "convergence"] in lines:
            raise LabelRefused("the code says that it has not converged")
        if not lines or lines[-1] != ["end"]:
            raise OutputError(f"'{OUTPUT}' does not end with 'end': the run was cut")
        found = {name: [line[1:] for line in lines if line[0] == name] for name in ("energy", "cell", "atom", "stress")}
        cell = numbers("the cell", [" ".join(row) for row in found["cell"]], 3, 3)
        atoms = found["atom"]
        coords = numbers("the coordinates", [" ".join(row[1:4]) for row in atoms], len(atoms), 3)
        forces = numbers("the forces", [" ".join(row[4:]) for row in atoms], len(atoms), 3)
        stress = numbers("the stress", [" ".join(row) for row in found["stress"]], 3, 3)
        frame = Frame(tuple(row[0] for row in atoms), coords, cell)
        return Labels(frame, number("the energy", found["energy"][0][0]), forces, -stress * volume(cell))
