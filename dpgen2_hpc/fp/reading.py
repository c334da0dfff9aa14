"""The labels of tasks, or why there are none: whatever a labeler does over one output, the others are read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.gate import Gate
from dpgen2_hpc.kinds import Labeler, NoLabel
from dpgen2_hpc.plugins import call_plugin, describe_plugin


def read_label(gate: Gate, labeler: Labeler, where: str, directory: Path, frame: Frame) -> Labels:
    """Return the label of ``frame`` that stands in ``directory``; ``where`` names the task, for the log.

    Raises
    ------
    LabelRefused
        The code or the gate rejects it.
    OutputError
        Nothing could be read, or the labeler failed on what the task wrote.
    """
    found = _as_labels(labeler, call_plugin(where, labeler.read_labels, directory))
    (judged,) = gate.judge([found], [frame], has_virial=labeler.has_virial)
    if isinstance(judged, LabelRefused):
        raise judged
    return judged


def read_all(labeler: Labeler, directories: Sequence[Path], where: str = "") -> list[Labels | NoLabel]:
    """Return what the code wrote in each of these folders; a labeler may have a way of its own for many at once.

    Where that fails, or does not answer for each folder, they are read one by one.
    """
    try:
        found = call_plugin(where, labeler.read_all, directories)
    except (OutputError, LabelRefused):
        found = None
    if isinstance(found, list) and len(found) == len(directories) and all(map(_is_answer, found)):
        return found
    return [_label(labeler, where, directory) for directory in directories]


def read_each(read: Callable[[Path], Labels], directories: Sequence[Path]) -> list[Labels | NoLabel]:
    """Return what ``read`` returns or raises for each of these folders."""
    answers: list[Labels | NoLabel] = []
    for directory in directories:
        try:
            answers.append(read(directory))
        except (LabelRefused, OutputError) as error:
            answers.append(error)
    return answers


def _label(labeler: Labeler, where: str, directory: Path) -> Labels | NoLabel:
    try:
        return _as_labels(labeler, call_plugin(f"{where}/{directory.name}", labeler.read_labels, directory))
    except (LabelRefused, OutputError) as error:
        return error


def _as_labels(labeler: Labeler, found: Any) -> Labels:
    if not isinstance(found, Labels):
        raise OutputError(f"{describe_plugin(labeler)} returned {found!r:.60} and not Labels")
    return found


def _is_answer(found: Any) -> bool:
    return isinstance(found, Labels | LabelRefused | OutputError)
