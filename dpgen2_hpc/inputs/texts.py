"""Text files that a labeler's keys name: their content is part of what a run follows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def with_texts(
    settings: Mapping[str, Any], keys: Sequence[tuple[str, str]], folder: Path
) -> tuple[dict[str, Any], list[tuple[tuple[str, str], str]]]:
    """Return the settings with texts in the place of their files' names, and what is wrong with which key.

    ``keys`` are a part of the settings and a key in it, each; relative names are relative to ``folder``.
    """
    result = {name: dict(entry) if isinstance(entry, dict) else entry for name, entry in settings.items()}
    problems = []
    for part, key in keys:
        name = result[part][key]
        if name is None:
            continue
        try:
            result[part][key] = (folder / name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            problems.append(((part, key), f"'{name}' cannot be read: {reason}"))
    return result, problems
