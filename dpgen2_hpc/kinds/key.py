"""A key of an input file."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import dargs


class Rule(StrEnum):
    """What a changed key of ``param.json`` does to a run that has begun."""

    NOW = "now"
    NEXT = "next"
    APPEND = "append"
    LABELS = "labels"
    REFUSED = "refused"


CHANGES: Mapping[Rule, str] = {
    Rule.NOW: "followed at once",
    Rule.NEXT: "followed from the next iteration on",
    Rule.APPEND: "new entries at the end are followed at once, other changes refused",
    Rule.LABELS: "followed until fp has been given its first frame, then refused",
    Rule.REFUSED: "refused: what has been computed would be falsified",
}
"""The rules in words."""


class Key(dargs.Argument):
    """A key of an input file: a dargs ``Argument`` that also knows its bounds and what a later change of it means.

    Parameters
    ----------
    minimum, maximum
        Inclusive bounds of a number, or of each number in a list.
    above, below
        Exclusive bounds.
    choices, later
        The words that are allowed, and those that DPGEN2 knows and this version does not act on yet.
    change
        What happens when the value differs on resume: ``"now"``, ``"next"`` (from the next iteration on), ``"append"``
        (entries may be added at the end), ``"labels"`` (free until the first frame was given to fp, then refused) or
        ``"refused"``. ``None``: what holds for the key above.
    available
        ``False``: DPGEN2 knows the key, this version does not act on it yet, and refuses it by name.
    hint
        Of a key with keys below: returns what to write instead of an unknown one (name, value), or ``None``.
    """

    def __init__(
        self,
        name: str,
        dtype: Any,
        doc: str,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        above: float | None = None,
        below: float | None = None,
        choices: Sequence[str] | None = None,
        later: Sequence[str] = (),
        change: str | None = None,
        available: bool = True,
        hint: Callable[[str, Any], str | None] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(name, dtype, doc=doc, **more)
        self.minimum, self.maximum, self.above, self.below = minimum, maximum, above, below
        self.choices, self.later = choices, later
        self.change = None if change is None else Rule(change)
        self.available, self.hint = available, hint
