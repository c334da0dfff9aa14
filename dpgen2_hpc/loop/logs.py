"""What a task's program said: in ``task.log``, and in the files that its kind names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dpgen2_hpc import kinds
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.workdir import WorkDir


def logs(workdir: WorkDir, step: str, directory: Path) -> list[Path]:
    """Return the files of a task's folder in which its program may have said something."""
    names: Sequence[str] = getattr(_kind(workdir, step), "outputs", ())
    return [directory / name for name in ("task.log", *names)]


def causes(workdir: WorkDir, step: str) -> Sequence[tuple[str, str, str]]:
    """Return the causes that the step's kind knows: pattern, sentence, remedy."""
    return getattr(_kind(workdir, step), "causes", ())


def _kind(workdir: WorkDir, step: str) -> type[kinds.Kind]:
    settings: Mapping[str, Any] = read_json(workdir.param)[step]
    return kinds.load(step, settings["type"])
