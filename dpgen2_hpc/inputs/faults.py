"""The words of a fault: what was found, what was expected, which names are near."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

LONGEST = 60
"""Characters of the user's text that a message repeats."""

ALIKE: Mapping[Any, Any] = {None: NoneType, Any: object, tuple: list}
"""Types that mean another one in JSON."""

WORDS: Mapping[Any, tuple[str, str]] = {
    bool: ("true or false", "booleans"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
    list: ("a list", "lists"),
    dict: ("an object", "objects"),
    object: ("a value", "values"),
    NoneType: ("null", "nulls"),
}


UNIT = re.compile(r", (ps|K|bar|Å|u|s|eV/Å|eV/atom)(?=[.:]| \()")


def unit(doc: str) -> str:
    """Return the unit that the explanation of a key ends its first sentence with, after a space; or nothing."""
    found = UNIT.search(doc)
    return f" {found[1]}" if found else ""


def quoted(text: str) -> str:
    """Return the user's text in quotes, shortened and without control characters."""
    return repr(text if len(text) <= LONGEST else text[:LONGEST] + "...")


def finite(value: Any) -> bool:
    """Return whether a value, if it is a number, is one that a float can hold."""
    try:
        return not isinstance(value, int | float) or math.isfinite(value)
    except OverflowError:
        return False


def found(value: Any) -> str:
    """Return what a value is, in words: ``the string '0.5'``, ``the number 3``, ``a list``."""
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, int | float):
        return f"the number {value}" if finite(value) else "a number that is too large"
    return WORDS[type(value)][0]


def alternatives(types: Iterable[Any]) -> tuple[Any, ...]:
    """Return the types that JSON can have, unions taken apart, each once and in one order."""
    plain: set[Any] = set()
    for kind in types:
        if get_origin(kind) in (Union, UnionType):
            plain.update(alternatives(get_args(kind)))
        else:
            bare = kind if get_args(kind) else get_origin(kind) or kind
            plain.add(ALIKE.get(bare, bare))
    return tuple(sorted((kind for kind in plain if _base(kind) in WORDS), key=_rank))


def expected(types: Iterable[Any], *, plural: bool = False) -> str:
    """Return in words what any of ``types`` would be: ``a number or a list of numbers``."""
    options = alternatives(types)
    if plural:
        options = tuple(sorted(options, key=lambda kind: _base(kind) is list))  # "objects or lists of strings"
    return " or ".join(_word(kind, plural=plural) for kind in options if kind is not int or float not in options)


def _base(kind: Any) -> Any:
    return get_origin(kind) or kind


def _rank(kind: Any) -> tuple[int, str]:
    return list(WORDS).index(_base(kind)), str(kind)


def _word(kind: Any, *, plural: bool) -> str:
    word = WORDS[_base(kind)][plural]
    inner = alternatives(get_args(kind)[-1:])
    return word if inner in ((), (object,)) else f"{word} of {expected(inner, plural=True)}"


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that a word is most like, ``None`` if it is like none of them."""
    spellings = {name.lower(): name for name in names}
    near = get_close_matches(word[:LONGEST].lower(), spellings, n=1)
    return spellings[near[0]] if near else None


def unknown(what: str, word: str, known: Sequence[str], aliases: Iterable[str] = ()) -> str:
    """Return the sentence for a word that is none of ``known``, with the nearest of them or of ``aliases``."""
    near = nearest(word, [*aliases, *known])
    question = f"; did you mean '{near}'?" if near else "."
    return f"unknown {what} {quoted(word)}{question} Known here: {', '.join(known)}."
