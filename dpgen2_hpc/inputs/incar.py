"""VASP's INCAR: the tags that it has. Older dialects of ``param.json`` leave the k-points to it."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

WIDEST = 10
"""The largest distance between k-points, 1/Å."""

_PIECE = re.compile(r""""[^"]*"|[#!][^\n]*|\\[ \t\r]*\n|[;\n{}]|[^"#!\\;\n{}]+|.""")
"""A text in quotes, a comment, the end of a line that goes on, what ends a statement or is a brace, anything else."""


@cache
def tags(incar: str) -> Mapping[str, str]:
    r"""Return the tags of an INCAR with their values as text, the first of each, as VASP takes it.

    As in the VASP Wiki (INCAR): statements end with the line or with ``;``, a line goes on after ``\``, comments begin
    with ``#`` or ``!``, a text in quotes may hold all of these, and ``GROUP { TAG = value }`` is ``GROUP/TAG = value``.
    """
    found: dict[str, str] = {}
    for statement in _statements(incar):
        key, _, text = statement.partition("=")
        value = text.strip().strip('"').strip()
        if value:
            found.setdefault(key.strip().upper(), value)
    return found


def _statements(text: str) -> Iterator[str]:
    statement, groups = "", [""]
    for piece in (*_PIECE.findall(text), "\n"):
        if piece == "{":
            groups.append(f"{groups[-1]}{statement.strip()}/")
        elif piece in (";", "\n", "}"):
            yield groups[-1] + statement.strip()
            groups = (groups[:-1] if piece == "}" else groups) or [""]
        else:
            statement += " " if piece[0] in "#!\\" else piece
            continue
        statement = ""


def numbers(value: str) -> list[float]:
    """Return the numbers that a list begins with; ``3*1.5`` is three of them."""
    found: list[float] = []
    for word in value.split():
        count, star, one = word.rpartition("*")
        times, entry = number(count) if star else 1.0, number(one)
        if times is None or entry is None:
            break
        found += [entry] * int(times)
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
