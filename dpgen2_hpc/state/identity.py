"""What makes two tasks the same: kind, version, command, settings and the contents of their inputs."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VERSION = 1
"""Grows when a kind begins to compute something else from the same inputs."""


_encode = json.JSONEncoder(sort_keys=True, allow_nan=False).encode  # `json.dumps` would make one for each call


def identity(**parts: Any) -> str:
    """Return the sha256 of named JSON values, whatever the order of their names, and of the version of all kinds."""
    return hashlib.sha256(_encode({"version": VERSION, **parts}).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_files(directory: Path, names: tuple[str, ...] | list[str]) -> Mapping[str, str]:
    """Return the digest of each of these files of a folder."""
    return {name: digest_file(directory / name) for name in names}


def digest_folder(folder: Path) -> str:
    """Return one digest of all files below a folder, names included."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return identity(**{str(path.relative_to(folder)): digest_file(path) for path in files})
