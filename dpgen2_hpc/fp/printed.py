"""Tables of numbers as codes print them: each row whole, or the output is damaged.

A full disk, a crashed node or a column that is too narrow leaves ``****``, a number that is cut, two that are fused, or
a row too few. All numbers of a table have one form (the same decimals), so that each of these shows.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.errors import LabelRefused, OutputError

FORM = re.compile(r"[-+]?\d*\.(\d*)(?:[eEdD][-+]?(\d+))?")
"""A number with a point: how many decimals it has, and how many digits its exponent has."""

BEYOND = re.compile(r"[-+]?(nan|inf|infinity)", re.IGNORECASE)
"""What programs print for a number that is not one; the gate rejects it."""


def number(what: str, word: str) -> float:
    """Return the number that a word spells.

    Raises
    ------
    LabelRefused
        It did not fit its column.
    OutputError
        It is not a number: the output is damaged.
    """
    if "*" in word:
        raise LabelRefused(f"{what} in the output did not fit the column (****)")
    try:
        return float(word)
    except ValueError as error:
        raise damaged(what, f"'{word[:40]}' is not a number") from error


def numbers(
    what: str, rows: Sequence[str], count: int, columns: int, *, significant: bool = False
) -> NDArray[np.float64]:
    """Return the numbers of ``count`` rows of ``columns`` numbers, shape (count, columns).

    ``significant``: they may have equally many significant digits instead of decimals, and a zero may be ``0``.

    Raises
    ------
    LabelRefused
        One did not fit its column.
    OutputError
        There are fewer rows, or numbers in a row, or they differ in their form.
    """
    words = [row.split() for row in rows]
    for number_of_row, row in enumerate(words, 1):
        if "*" in "".join(row):
            raise LabelRefused(f"{what} in the output did not fit their columns (****)")
        if len(row) != columns:
            raise damaged(what, f"row {number_of_row} has {len(row)} numbers, {columns} are expected")
    if len(words) != count:
        raise damaged(what, f"there are {len(words)} rows, {count} are expected")
    printed = [word for row in words for word in row if not (significant and word.strip("+-") == "0")]
    forms = {_form(what, word) for word in printed} - {None}
    if len(forms) > 1 and not (significant and len(set(map(_significant_digits, printed))) == 1):
        raise damaged(what, "the numbers differ in their decimals")
    return np.array([[number(what, word) for word in row] for row in words], dtype=np.float64).reshape(count, columns)


def volume(cell: NDArray[np.float64]) -> float:
    """Return the volume of a cell (Å³); NaN where a number of it is not one, which the gate rejects."""
    with np.errstate(all="ignore"):
        return abs(float(np.linalg.det(cell)))


def damaged(what: str, how: str) -> OutputError:
    """Return the error for an output in which ``what`` cannot be believed."""
    return OutputError(f"the output is damaged: {what}: {how}")


def torn(name: str, error: Exception) -> OutputError:
    """Return the error for an output that lacks a part; ``error`` is what was stumbled over."""
    says_something = type(error) is ValueError and str(error) != "substring not found"
    missing = "a part that the label is read from is missing; its last lines may show why"
    return OutputError(f"'{name}' is not whole: {error if says_something else missing}")


def _form(what: str, word: str) -> tuple[int, int] | None:
    if BEYOND.fullmatch(word):
        return None
    match = FORM.fullmatch(word)
    if match is None:
        raise damaged(what, f"'{word[:40]}' is not a number with decimals")
    return len(match[1]), len(match[2] or "")


def _significant_digits(word: str) -> int:
    """Return how many digits a number has from its first one that is not zero.

    Examples
    --------
    >>> _significant_digits("-0.0021020"), _significant_digits("1.25e-06")
    (5, 3)
    """
    return len(re.sub(r"[eEdD].*|[-+.]", "", word).lstrip("0"))
