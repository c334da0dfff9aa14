"""Files of the user's own that go with each task, and what may be said of those that come back."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from dpgen2_hpc.inputs.faults import quoted
from dpgen2_hpc.inputs.read import KeyPath

OURS = ("attempt", "task.log")
"""Names in a task's folder that are the program's."""

Problem = tuple[KeyPath, str]


def forwarded(names: Sequence[str], folder: Path) -> tuple[list[str], list[Problem]]:
    """Return the absolute paths that paths and patterns relative to ``folder`` stand for, and what is wrong with them.

    A task finds each under its base name.
    """
    paths: list[Path] = []
    problems: list[Problem] = []
    for index, name in enumerate(names):
        place: KeyPath = ("user_forward_files", index)
        matches = _matches(name, folder)
        for path in (path for path in matches if path not in paths):
            problems += [(place, text) for text in _unusable(path, paths)]
            paths.append(path)
        if not matches:
            problems.append((place, f"{quoted(name)} is not there: looked for '{folder / name}'"))
    return [str(path) for path in paths], problems


def backward_problems(names: Sequence[str]) -> list[Problem]:
    """Return what is wrong with the names of files that a task is said to bring back."""
    return [
        (("user_backward_files", index), f"{quoted(name)} is no path inside of a task's folder")
        for index, name in enumerate(names)
        if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
    ]


def _matches(name: str, folder: Path) -> list[Path]:
    """Return what a path or a pattern stands for; what is there under the name itself is no pattern."""
    if not name:
        return []
    if (folder / name).exists():
        return [folder / name]
    return [Path(found) for found in sorted(glob.glob(str(Path(glob.escape(str(folder))) / name)))]  # noqa: PTH207


def _unusable(path: Path, earlier: Sequence[Path]) -> Iterator[str]:
    if not path.is_file() and not path.is_dir():
        yield f"'{path}' is neither a file nor a folder"
    if path.name in ("", "..") or path.name.startswith(".") or path.name in OURS:
        yield f"'{path}' cannot be in a task's folder under the name '{path.name}': that is the program's; rename it"
    same = next((other for other in earlier if other.name == path.name), None)
    if same is not None:
        yield f"'{path}' and '{same}' have the same name, and a task can have only one of them: rename one"
