"""The labels of many tasks, or why there are none."""

from collections.abc import Callable, Sequence
from pathlib import Path

from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.kinds import Labeler

NoLabel = LabelRefused | OutputError
"""Why there is no label."""


def read_all(labeler: Labeler, directories: Sequence[Path]) -> list[Labels | NoLabel]:
    """Return what the code wrote in each of these folders; a labeler may have a way of its own for many at once."""
    own = getattr(labeler, "read_all", None)
    return read_each(labeler.read_labels, directories) if own is None else own(directories)


def read_each(read: Callable[[Path], Labels], directories: Sequence[Path]) -> list[Labels | NoLabel]:
    """Return what ``read`` returns or raises for each of these folders."""
    return [_label(read, directory) for directory in directories]


def _label(read: Callable[[Path], Labels], directory: Path) -> Labels | NoLabel:
    try:
        return read(directory)
    except (LabelRefused, OutputError) as error:
        return error
