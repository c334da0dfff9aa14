"""What a task's program said: in ``task.log``, and in the files that its kind names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dpgen2_hpc import kinds
from dpgen2_hpc.kinds import Cause
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.workdir import WorkDir


def logs(workdir: WorkDir, step: str, directory: Path) -> list[Path]:
    """Return the files of a task's folder in which its program may have said something."""
    return [directory / name for name in ("task.log", *_kind(workdir, step).outputs)]


def causes(workdir: WorkDir, step: str) -> Sequence[Cause]:
    """Return the causes that the step's kind knows."""
    return _kind(workdir, step).causes


def _kind(workdir: WorkDir, step: str) -> type[kinds.Kind]:
    settings: Mapping[str, Any] = read_json(workdir.param)[step]
    return kinds.load(step, settings["type"])
