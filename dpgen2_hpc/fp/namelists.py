"""Fortran namelists, as Quantum ESPRESSO's input has them, and the cards behind."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Namelists = dict[str, dict[str, str]]
"""Values as they are written, by name of namelist and key, both in small letters."""

_ASSIGNMENT = re.compile(r"(\w+(?:\s*\([^)]*\))?)\s*=\s*('[^']*'|\"[^\"]*\"|[^,\s]+)")
_COMMENT = re.compile(r"^((?:[^'\"!]|'[^']*'|\"[^\"]*\")*)!.*$")


def parse(text: str) -> tuple[Namelists, dict[str, str]]:
    """Return the namelists of an input, and its cards by name, each with its text."""
    namelists: Namelists = {}
    cards: dict[str, str] = {}
    inside, card = "", ""
    for raw in text.splitlines():
        line = _COMMENT.sub(r"\1", raw).rstrip()
        if line.lstrip().startswith("&"):
            inside, _, line = line.strip()[1:].lower().partition(" ")
            namelists.setdefault(inside, {})
        elif line.strip() == "/":
            inside = ""
            continue
        if inside:
            for key, value in _ASSIGNMENT.findall(line):
                namelists[inside][key.replace(" ", "").lower()] = value
        elif line.strip():
            word = line.split()[0]
            card = word if re.fullmatch(r"[A-Z_]{5,}", word) else card
            cards[card] = cards.get(card, "") + line + "\n"
    return namelists, cards


def written(value: Any, species: Sequence[str] = ()) -> str | list[tuple[int, str]]:
    """Return a JSON value as Fortran has it; one by element as pairs of a species' number, from 1 on, and a value."""
    if isinstance(value, Mapping):
        return [(number, str(written(value[element]))) for number, element in enumerate(species, 1) if element in value]
    if isinstance(value, bool):
        return ".true." if value else ".false."
    return f"'{value}'" if isinstance(value, str) else repr(value)


def rendered(namelists: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of namelists, one key a line."""
    return "".join(
        f"&{name}\n" + "".join(f"  {key} = {value}\n" for key, value in entries.items()) + "/\n"
        for name, entries in namelists.items()
    )


def is_false(value: str) -> bool:
    """Return whether Fortran reads a value as false."""
    return value.strip("'\". ").lower().startswith("f")
