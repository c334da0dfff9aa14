"""Fortran namelists, as Quantum ESPRESSO's input has them, and the cards behind."""

import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Namelists = dict[str, dict[str, str]]
"""Values as they are written, by name of namelist and key, both in small letters."""

CARDS = {
    "ATOMIC_SPECIES",
    "ATOMIC_POSITIONS",
    "ATOMIC_VELOCITIES",
    "ATOMIC_FORCES",
    "CELL_PARAMETERS",
    "K_POINTS",
    "ADDITIONAL_K_POINTS",
    "CONSTRAINTS",
    "OCCUPATIONS",
    "SOLVENTS",
    "HUBBARD",
}

LETTERS = string.ascii_letters + "_"

_QUOTED = r"'[^']*'|\"[^\"]*\""
_KEY = re.compile(rf"(?:{_QUOTED})|(\w+(?:\s*\([^)]*\))?)\s*=")
_COMMENT = re.compile(rf"^((?:[^'\"!]|{_QUOTED})*)!.*$")
_BARE = re.compile(rf"[-+]?(\d+\.?\d*|\.\d+)([ed][-+]?\d+)?|\.(true|false)\.|{_QUOTED}", re.IGNORECASE)
"""Texts that mean a number, a logical value or a text to Fortran as they stand."""
_UP_TO_SLASH = re.compile(rf"((?:[^'\"/]|{_QUOTED})*)(/?)")


def parse(text: str) -> tuple[Namelists, dict[str, str]]:
    """Return the namelists of an input, and its cards by name, each with its text.

    As in Fortran, several assignments may stand in a line, a value may be a list over several lines, and a namelist
    ends with a slash anywhere or with ``&end``.
    """
    bodies: dict[str, str] = {}
    cards: dict[str, str] = {}
    inside, card = "", ""
    for raw in text.splitlines():
        line = _COMMENT.sub(r"\1", raw).strip()
        if begins := re.match(r"&(\w+)", line):
            inside, line = begins[1].lower(), line[begins.end() :]
            inside = "" if inside == "end" else inside
        if inside:
            body, slash = _up_to_slash(line)
            bodies[inside] = f"{bodies.get(inside, '')} {body}"
            inside = "" if slash else inside
        elif line and line != "/":
            word = line[: len(line) - len(line.lstrip(LETTERS))]
            if word.upper() in CARDS:  # pw.x passes over those in small letters, and where no blank is behind
                card = word.upper()
                line = f"{card} {line[len(word) :].strip()}".rstrip()
            cards[card] = cards.get(card, "") + line + "\n"
    return {name: dict(_assignments(body)) for name, body in bodies.items()}, cards


def _up_to_slash(line: str) -> tuple[str, str]:
    """Return what stands before the slash that ends a namelist, and the slash, where there is one."""
    found = _UP_TO_SLASH.match(line)
    return (found[1], found[2]) if found and found[2] else (line, "")


def _assignments(body: str) -> Iterator[tuple[str, str]]:
    keys = [match for match in _KEY.finditer(body) if match[1]]
    ends = [match.start() for match in keys] + [len(body)]
    for match, end in zip(keys, ends[1:], strict=True):
        yield re.sub(r"\s", "", match[1]).lower(), body[match.end() : end].strip(" \t,")


def written(value: Any, species: Sequence[str] = ()) -> str | list[tuple[int, str]]:
    """Return a JSON value as Fortran has it; one by element as pairs of a species' number, from 1 on, and a value."""
    if isinstance(value, Mapping):
        return [(number, str(written(value[element]))) for number, element in enumerate(species, 1) if element in value]
    if isinstance(value, list):
        return ", ".join(str(written(one)) for one in value)
    if isinstance(value, bool):
        return ".true." if value else ".false."
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else f"'{value}'"
    return repr(value)


def rendered(namelists: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of namelists, one key a line."""
    return "".join(
        f"&{name}\n" + "".join(f"  {key} = {value}\n" for key, value in entries.items()) + "/\n"
        for name, entries in namelists.items()
    )


def is_false(value: str) -> bool:
    """Return whether Fortran reads a value as false."""
    return value.strip("'\". ").lower().startswith("f")
