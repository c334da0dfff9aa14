"""Paths as ``inputs/`` keeps them: a folder that holds a work directory and what it uses can be moved as a whole."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dpgen2_hpc.inputs.machine import HEADER
from dpgen2_hpc.inputs.policy import entry_at
from dpgen2_hpc.state.workdir import WorkDir, is_near

PATHS: tuple[tuple[str, ...], ...] = (("inputs",), ("explore", "configurations"), ("fp", "inputs_config"))
"""Parts of ``param.json`` that name files, and of which nothing is held back for the next iteration."""

TEACHER = ("fp", "run_config", "teacher_model_path")


def kept_param(workdir: WorkDir, value: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return ``param.json`` with paths inside of or beside the work directory relative to its own ``folder``.

    That is how users write them, so that both spellings of a path are one.
    """

    def kept(text: str) -> str:
        if not Path(text).is_absolute() or not is_near(Path(os.path.normpath(text)), workdir.root):
            return text
        return os.path.relpath(text, folder)

    result = dict(value)
    if is_near(folder, workdir.root):
        for path in (*PATHS, TEACHER):
            result = _changed(result, path, lambda part: _strings(part, kept))
    return result


def kept_machine(workdir: WorkDir, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of ``machine.json`` with file paths as the run keeps them."""
    return {name: _kept_section(workdir, section) for name, section in value.items()}


def _kept_section(workdir: WorkDir, section: Mapping[str, Any]) -> dict[str, Any]:
    result = {**section, "user_forward_files": [workdir.kept(path) for path in section["user_forward_files"]]}
    header = entry_at(section, HEADER)
    return result if header is None else _changed(result, HEADER, workdir.kept)


def _changed(value: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """Return a value in which the part at ``path`` has been changed, if there is one."""
    if not path:
        return change(value)
    if not isinstance(value, dict) or path[0] not in value:
        return value
    return {**value, path[0]: _changed(value[path[0]], path[1:], change)}


def _strings(value: Any, change: Callable[[str], str]) -> Any:
    """Return a value in which each string has been changed; the names of keys stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_strings(entry, change) for entry in value]
    if isinstance(value, dict):
        return {name: _strings(entry, change) for name, entry in value.items()}
    return value
