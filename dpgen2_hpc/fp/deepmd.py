"""Labels by a Deep Potential (type ``deepmd``): a teacher in the place of first principles."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
import numpy as np
from typing_extensions import override

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.fp import answers, settings
from dpgen2_hpc.fp.answers import INPUT, OUTPUT
from dpgen2_hpc.kinds import Cause, CheckContext, Key, Labeler, Problem


@dataclass(frozen=True)
class DeepmdLabeler(Labeler):
    """A teacher model; see :class:`dpgen2_hpc.kinds.Labeler`."""

    teacher: str
    python: str | None = None
    has_virial: bool = True

    causes: ClassVar[tuple[Cause, ...]] = (
        Cause(
            r"the teacher does not know", "the teacher lacks an element", "choose another teacher, or another type_map"
        ),
        Cause(
            r"No module named '?deepmd",
            "this Python has no DeePMD-kit",
            "name one that has it in fp.run_config.command",
        ),
    )

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``fp``."""
        teacher = Key("teacher_model_path", str, "The teacher: a frozen model of DeePMD-kit.")
        python = "A Python with DeePMD-kit and dpgen2_hpc; default: the one that runs the driver."
        known = "No meaning here: the teacher says itself which elements it knows."
        type_map = Key("type_map", [list[str], settings.NOTHING], known, optional=True, default=None, change="now")
        run = settings.run_config(None, python, teacher, type_map)
        run.optional = False
        return [Key("inputs_config", dict, "Nothing stands in it.", optional=True, default={}, sub_fields=[]), run]

    @classmethod
    @override
    def resolved(cls, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings with absolute paths."""
        return settings.absolute(given, folder, ("run_config", "teacher_model_path"))

    @classmethod
    @override
    def from_settings(cls, given: Mapping[str, Any]) -> Self:
        """Return the labeler for checked settings."""
        return cls(given["run_config"]["teacher_model_path"], given["run_config"]["command"])

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield a teacher that is not there."""
        if not context.has_file(self.teacher):
            yield ("run_config", "teacher_model_path"), f"there is no file '{self.teacher}'"

    @override
    def command_line(self, words: Sequence[str]) -> str:
        """Return the command that runs this module as a program."""
        return answers.command("dpgen2_hpc.fp.deepmd", self.python)

    @override
    def shared(self) -> dict[str, Path]:
        """Return the teacher; its suffix says which backend it is for."""
        return {f"teacher{Path(self.teacher).suffix}": Path(self.teacher)}

    @override
    def write_inputs(self, frame: Frame, directory: Path) -> list[str]:
        """Write the frame, and where the teacher is."""
        return answers.ask(frame, directory, {"model": f"../shared/{next(iter(self.shared()))}"})

    @override
    def read_labels(self, directory: Path) -> Labels:
        """Return the labels that the program wrote."""
        return answers.read(directory)


# ---- the program ----------------------------------------------------------------------------------------------------


def label(question: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Compute the label of one frame with a ``deepmd.infer.DeepPot``.

    Raises
    ------
    SystemExit
        The frame has an element that the teacher does not know.
    """
    known = list(model.get_type_map())
    strange = sorted(set(question["symbols"]) - set(known))
    if strange:
        raise SystemExit(f"the teacher does not know {', '.join(strange)}; it knows {', '.join(known)}")
    types = [known.index(symbol) for symbol in question["symbols"]]
    coords = np.array(question["coords"]).reshape(1, -1)
    cell = np.array(question["cell"]).reshape(1, 9) if question["periodic"] else None
    energy, forces, virial = model.eval(coords, cell, types)[:3]
    tensor = np.reshape(virial, (3, 3)) if question["periodic"] else None
    return answers.answer(question, np.ravel(energy)[0], np.reshape(forces, (-1, 3)), tensor)


def main() -> None:
    """Label the frame of ``input.json`` in the current directory."""
    from deepmd.infer import DeepPot  # noqa: PLC0415  (seconds, and only the program needs it)

    question = json.loads(Path(INPUT).read_text())
    Path(OUTPUT).write_text(json.dumps(label(question, DeepPot(question["model"]))) + "\n")


if __name__ == "__main__":
    main()
