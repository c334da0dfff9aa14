"""VASP's INCAR: the tags that it has. Older dialects of ``param.json`` leave the k-points to it."""

from collections.abc import Mapping
from functools import cache


@cache
def tags(text: str) -> Mapping[str, str]:
    """Return the tags of an INCAR with their values as text, the first of each, as VASP takes it."""
    found: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        for part in line.partition("#")[0].partition("!")[0].split(";"):
            key, equals, value = part.partition("=")
            if equals and value.strip():
                found.setdefault(key.strip().upper(), value.strip())
    return found


def true(value: str) -> bool:
    """Return whether VASP reads a value as true."""
    return value.lstrip(".").upper().startswith("T")


def number(value: str) -> float | None:
    """Return the first word of a value as a number, as Fortran reads it (``1.6d-1``), or ``None`` if it is none."""
    try:
        return float(value.split(maxsplit=1)[0].lower().replace("d", "e"))
    except (IndexError, ValueError):
        return None
