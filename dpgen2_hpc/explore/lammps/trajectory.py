"""Frames out of a LAMMPS dump, by seeking: what is read is the chosen frames and a little around them.

A dump is a sequence of frames, each with the marker ``ITEM: TIMESTEP`` in front. In the dump of one uninterrupted run
the MD steps are evenly spaced and the frames are nearly of one length, so that a frame's place can be calculated.
Whether it is such a dump its first two frames, its last one and its size tell; any other is searched for markers from
end to end.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.explore.lammps.dump import Record, parsed

Taken = TypeVar("Taken")

MARKER = b"ITEM: TIMESTEP\n"
WINDOW, BLOCK = 1 << 14, 1 << 20
"""Bytes read at once: where little is looked for, and when the whole file is searched."""

TRIES = 12
"""Looks at calculated places before the whole file is searched; in an even dump the first one hits."""


def last_complete_step(path: Path) -> int | None:
    """Return the MD step of the last complete frame, read from the end of the file; ``None`` if there is none."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        last = _Dump(file).last_whole()
    return None if last is None else last.step


def read_frames(path: Path, md_steps: Sequence[int], type_map: Sequence[str]) -> list[Frame | None]:
    """Return the frames of these MD steps, ``None`` where there is no whole one; of equal steps the last whole one.

    Coordinates (Å) are counted from the cell's origin, atoms sorted by number.

    Raises
    ------
    OutputError
        As :func:`read`.
    """
    return read(path, md_steps, lambda record: record.frame(type_map))


def read(path: Path, md_steps: Sequence[int], take: Callable[[Record], Taken | None]) -> list[Taken | None]:
    """Return what ``take`` makes of the frames of these MD steps, of equal steps the last of which it makes anything.

    Raises
    ------
    OutputError
        There is no dump, or it has other columns or types than it should.
    """
    try:
        with path.open("rb") as file:
            dump = _Dump(file)
            places = dump.find(md_steps)
            return [next(_taken(dump, places.get(step, []), take), None) for step in md_steps]
    except OSError as problem:
        raise OutputError(f"'{path}' cannot be read: {problem.strerror}") from problem
    except ValueError as problem:
        raise OutputError(f"'{path}': {problem}") from problem


def _taken(dump: "_Dump", offsets: Sequence[int], take: Callable[[Record], Taken | None]) -> Iterator[Taken]:
    """Yield what can be taken from the whole frames at these places, the last first."""
    for offset in reversed(offsets):
        record = parsed(dump.text(offset))
        taken = None if record is None else take(record)
        if taken is not None:
            yield taken


class _Place(NamedTuple):
    """Where a frame of a known MD step begins in the file, in bytes."""

    step: int
    offset: int


class _Dump:
    """A dump, of which windows are read."""

    def __init__(self, file: BinaryIO) -> None:
        self.descriptor = file.fileno()
        self.size = os.fstat(self.descriptor).st_size
        self.reach = WINDOW
        """Bytes in which a frame of an even dump ends."""

    def window(self, start: int, length: int) -> bytes:
        return os.pread(self.descriptor, length, start)

    def text(self, offset: int) -> bytes:
        """Return the text from the marker at ``offset`` to the next one, or to the end of the file."""
        length = self.reach
        while True:
            window = self.window(offset, length)
            end = window.find(MARKER, 1)
            if end > 0:
                return window[:end]
            if offset + len(window) >= self.size:
                return window
            length *= 4

    def places(self, start: int, block: int) -> Iterator[_Place]:
        """Yield the frames that begin at ``start`` or later, reading ``block`` bytes at a time."""
        for begin in range(start, self.size, block):
            window = self.window(begin, block + len(MARKER) - 1)
            at = window.find(MARKER)
            while at >= 0:
                yield from self._place_at(begin + at)
                at = window.find(MARKER, at + 1)

    def _place_at(self, offset: int) -> Iterator[_Place]:
        """Yield the frame at ``offset``, unless it is cut off before its MD step ends."""
        line, newline, _ = self.window(offset + len(MARKER), 32).partition(b"\n")
        if newline and line.strip().isdigit():
            yield _Place(int(line), offset)

    def last_whole(self) -> _Place | None:
        """Return the last whole frame, looking at ever larger ends of the file."""
        length = WINDOW
        while True:
            start = max(0, self.size - length)
            for offset, record in _whole_from_end(self.window(start, length)):
                return _Place(record.step, start + offset)
            if start == 0:
                return None
            length *= 4

    def find(self, md_steps: Iterable[int]) -> dict[int, list[int]]:
        """Return where the frames of these MD steps begin, of each step in the order of the file."""
        ends = self._ends()
        if ends is not None:
            inside = [step for step in md_steps if ends[0].step <= step <= ends[1].step]
            offsets = {step: self._between(step, *ends) for step in inside}
            if None not in offsets.values():
                return {step: [offset] for step, offset in offsets.items() if offset is not None}
        return self._searched()

    def _searched(self) -> dict[int, list[int]]:
        places: dict[int, list[int]] = {}
        for step, offset in self.places(0, BLOCK):
            places.setdefault(step, []).append(offset)
        return places

    def _ends(self) -> tuple[_Place, _Place] | None:
        """Return the first and the last whole frame of an even dump, ``None`` if it is not even."""
        begin = [place for place, _ in zip(self.places(0, WINDOW), range(2), strict=False)]
        last = self.last_whole()
        if last is None or len(begin) < 2 or not _even(begin[0], begin[1], last):
            return None
        self.reach = begin[1].offset + begin[1].offset // 8 + len(MARKER)
        return begin[0], last

    def _between(self, step: int, low: _Place, high: _Place) -> int | None:
        """Return where a frame between two known ones begins, by repeated interpolation."""
        for _ in range(TRIES):
            if step in (low.step, high.step):
                return low.offset if step == low.step else high.offset
            guess = low.offset + (high.offset - low.offset) * (step - low.step) // (high.step - low.step)
            seen = next(self.places(max(low.offset + 1, guess - self.reach // 2), self.reach), high)
            if not low.step < seen.step < high.step:
                return None
            low, high = (seen, high) if seen.step <= step else (low, seen)
        return None


def _even(first: _Place, second: _Place, last: _Place) -> bool:
    """Return whether a dump has one frame for each step of its interval, from its first two frames and its last.

    Had steps been written twice or left out, the last frame would not begin where their number puts it. Coordinates
    have fixed widths, so that the numbers of the steps and signs in the header are all that varies.
    """
    interval, length = second.step - first.step, second.offset
    if first.offset != 0 or interval <= 0 or (last.step - first.step) % interval or last.step < second.step:
        return False
    steps = range(first.step, last.step, interval)
    expected = (length - len(str(first.step))) * len(steps) + _digits(steps)
    return abs(last.offset - expected) < length / 2


def _digits(steps: range) -> int:
    """Return how many digits these numbers have together: one each, and one more for each power of ten passed."""
    powers = [10**power for power in range(1, len(str(steps.stop)))]
    return len(steps) + sum(len(steps) - len(range(steps.start, power, steps.step)) for power in powers)


def _whole_from_end(window: bytes) -> Iterator[tuple[int, Record]]:
    """Yield the whole frames in a piece of a dump and where they begin in it, the last first."""
    at, end = window.rfind(MARKER), len(window)
    while at >= 0:
        record = parsed(window[at:end])
        if record is not None:
            yield at, record
        at, end = window.rfind(MARKER, 0, at), at
