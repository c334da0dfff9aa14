"""Paths with wildcards, below folders whose names may have brackets, stars and question marks in them."""

import glob
from pathlib import Path


def matches(pattern: str | Path) -> list[str]:
    """Return the paths that a pattern matches, sorted; a part that is there as it is written is no wildcard.

    Examples
    --------
    >>> matches("/nowhere/*")
    []
    """
    parts = Path(pattern).parts
    root = Path(*parts[:1])
    known = 1
    while known < len(parts) and (root / parts[known]).exists():
        root, known = root / parts[known], known + 1
    if known == len(parts):
        return [str(pattern)] if root.exists() else []
    rest = str(Path(*parts[known:]))
    return sorted(str(root / name) for name in glob.glob(rest, root_dir=root, recursive=True))  # noqa: PTH207
