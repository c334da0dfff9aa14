"""The learning curve ``lcurve.out``: read from both ends, and judged.

A row is the error of one batch: rows jump by a factor of two or three in a good training. What counts as diverged was
measured on trainings of 2 to 1200 steps (32 atoms of Al-Cu, batches of one frame, deepmd-kit 2.2.11 and 3.2.0), in
eV/atom and eV/Å; the root mean square of the reference forces is 0.72 eV/Å:

| trainings | rmse_e, last rows | rmse_f, last rows |
|---|---|---|
| start_lr 1e-3 to 0.1, 50 of them; every row, too | 1e-4 to 1.6 | 0.04 to 1.05 |
| from an old model, start_lr 1e-4 to 1e-2, 18 of them | 4e-4 to 0.36 (first row 1e-3) | 0.04 to 0.22 (first row 0.05) |
| start_lr 0.3 and 1: all neurons saturated, no forces | 1e-3 to 0.04 | 0.49 to 1.16, those of the data |
| start_lr 10 | 73 to 480 | 68 to 560 |
| start_lr 1e3, 1e6, 1e9 | 3e5, 2e11, 1e18 | 0.6 to 0.85 |

So the first row alone is not a measure where a training began with a good model, and finite is not enough. A curve
cannot show what start_lr 0.3 does: that a model has no forces at all is seen where it is tested (``frozen.py``).
Virials are not judged: they rise thirtyfold in good trainings before they fall.

The rule: the median of the newest rows is at most 10 eV/atom or 10 times the first row, whichever is more, and at most
1 eV/Å or 3 times the first row or 3 times the reference forces; the last row by itself at most 100 times that.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import BinaryIO

from dpgen2_hpc.data.outputs import open_output
from dpgen2_hpc.errors import OutputError

CURVE = "lcurve.out"

END = 1 << 16
"""Bytes that are read at either end: some 700 rows."""

NEWEST = 5
"""Rows that are judged together, if the second half has that many."""

ENERGY, FORCE = 10.0, 1.0
"""eV/atom and eV/Å: smaller errors are never called divergence."""

ABOVE_ENERGY, ABOVE_FORCE = 10.0, 3.0
"""How many times the error of the first row is allowed at the end; of forces also how many times the data's own."""

FRESH = 100.0
"""eV/atom and eV/Å: no untrained model is worse, so a larger first row raises no limit."""

UNKNOWN_SPREAD = 1.0
"""eV/Å: taken where the reference forces cannot be read."""

ALONE = 100.0
"""How many times the limit is allowed in the last row by itself: a batch with a hot frame is not a divergence."""

REMEDY = "Lower learning_rate.start_lr in template_script, or look for wrong labels in the training data."

Row = Mapping[str, float]


@dataclass(frozen=True)
class LearningCurve:
    """The first row of a training and its newest ones, oldest first, by the names of the columns."""

    first: Row
    newest: tuple[Row, ...]

    @property
    def last(self) -> Row:
        """Return the last row."""
        return self.newest[-1]


def read_curve(path: Path) -> LearningCurve | None:
    """Return a learning curve, or ``None`` if it has no row: dp had no step to do.

    Raises
    ------
    OutputError
        It is not a file that dp has written to its end.
    """
    if not path.is_symlink() and not path.exists():
        return None
    with open_output(path) as file:
        text = _read_ends(file).decode(errors="replace")
    if text and not text.endswith("\n"):
        raise OutputError(f"the learning curve '{path.name}' ends in the middle of a row")
    rows = list(_rows(text))
    if not rows:
        return None
    count = max(1, min(NEWEST, (len(rows) - 1) // 2))
    return LearningCurve(_parse(rows[0], path), tuple(_parse(row, path) for row in rows[-count:]))


def read_history(path: Path) -> bytes:
    """Return the rows that a killed attempt has left, for the one that goes on; of a long file both ends."""
    try:
        with open_output(path) as file:
            content = _read_ends(file)
        content = content[: content.rfind(b"\n") + 1]
        for row in _rows(content.decode(errors="replace")):
            _parse(row, path)
    except OutputError:  # the checkpoint is what counts: a training goes on from it without these rows, too
        return b""
    return content


def check_convergence(curve: LearningCurve, force_spread: Callable[[], float | None]) -> None:
    """Reject a training that diverged, by the rule in the description of this module.

    ``force_spread`` returns the root mean square of the reference forces in eV/Å, or ``None`` where it is not known; it
    is asked only if the errors of the forces are large.

    Raises
    ------
    OutputError
        The training diverged.
    """
    _check_finite(curve.last)
    for name in curve.last:
        if name.startswith("rmse_e"):
            _check_limit(curve, name, "eV/atom", _limit(curve, name, ENERGY, ABOVE_ENERGY))
        elif name.startswith("rmse_f"):
            limit = _limit(curve, name, FORCE, ABOVE_FORCE)
            if _exceeding(curve, name, limit) is not None:
                _check_limit(curve, name, "eV/Å", max(limit, ABOVE_FORCE * (force_spread() or UNKNOWN_SPREAD)))


def _check_finite(row: Row) -> None:
    """Raise if a number is not finite; dp writes NaN for virials where the last batch has no reference."""
    for name, value in row.items():
        if not math.isfinite(value) and not (name.startswith("rmse_v") and math.isnan(value)):
            raise OutputError(f"the training diverged: {name} is {value} at step {row['step']:.0f}. {REMEDY}")


def _limit(curve: LearningCurve, name: str, floor: float, above: float) -> float:
    """Return the largest error that is allowed at the end, as far as the curve knows."""
    first = curve.first.get(name, math.nan)
    return max(floor, above * min(first, FRESH)) if math.isfinite(first) else floor


def _exceeding(curve: LearningCurve, name: str, limit: float) -> float | None:
    """Return the error at the end of a training that is above its limit, or ``None`` if none is."""
    newest = median_low([row[name] for row in curve.newest if math.isfinite(row.get(name, math.nan))])
    if newest > limit:
        return newest
    return curve.last[name] if curve.last[name] > ALONE * limit else None


def _check_limit(curve: LearningCurve, name: str, unit: str, limit: float) -> None:
    value = _exceeding(curve, name, limit)
    if value is not None:
        text = f"{name} is {value:.3g} {unit} near step {curve.last['step']:.0f}, more than {limit:.3g}"
        raise OutputError(f"the training diverged: {text}. {REMEDY}")


def _read_ends(file: BinaryIO) -> bytes:
    """Return a file, or of a long one whole lines of its beginning and of its end."""
    size = os.fstat(file.fileno()).st_size
    if size <= 2 * END:
        return file.read(2 * END)
    head = file.read(END)
    file.seek(size - END)
    tail = file.read(END)
    return head[: head.rfind(b"\n") + 1] + tail[tail.find(b"\n") + 1 :]


def _rows(text: str) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield the words of each row behind the names of its columns; a continued training has its header twice."""
    names: Sequence[str] = ()
    for line in text.splitlines():
        words = line.lstrip("# ").split()
        if line.startswith("#"):
            names = words if words[:1] == ["step"] else names
        elif words:
            yield names, words


def _parse(row: tuple[Sequence[str], Sequence[str]], path: Path) -> Row:
    names, words = row
    if not names or len(names) != len(words):
        raise OutputError(f"the learning curve '{path.name}' has a row that does not fit its header")
    try:
        return dict(zip(names, map(float, words), strict=True))
    except ValueError as error:
        raise OutputError(f"the learning curve '{path.name}' has a broken row: {error}") from error
