"""Frames out of a LAMMPS dump, by seeking: what is read is the chosen frames and a little around them.

A dump is a sequence of frames, each with the marker ``ITEM: TIMESTEP`` in front. In the dump of one uninterrupted run
the MD steps are evenly spaced and the frames are nearly of one length, so that a frame's place can be calculated.
Whether it is such a dump its first two frames, its last one and its size tell; any other is searched for markers from
end to end.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.outputs import open_output
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.explore.lammps.dump import Record, parsed, whole_number

Taken = TypeVar("Taken")

MARKER = b"ITEM: TIMESTEP\n"
WINDOW, BLOCK = 1 << 14, 1 << 20
"""Bytes read at once: where little is looked for, and when the whole file is searched."""

LARGEST = 1 << 28
"""Most bytes of one frame (256 MiB, three million atoms), and of a file's end that is searched for a whole frame."""

MOST_FRAMES = 1 << 20
"""Most frames of a dump that is not even: the place of each is kept in memory."""

TRIES = 12
"""Looks at calculated places before the whole file is searched; in an even dump the first one hits."""


def last_complete_step(path: Path) -> int | None:
    """Return the MD step of the last complete frame, read from the end of the file; ``None`` if there is none.

    Raises
    ------
    OutputError
        There is no dump that could be read.
    """
    with open_output(path) as file:
        last = _Dump(file).last_whole()
    return None if last is None else last.step


def read_steps(path: Path) -> NDArray[np.int64]:
    """Return the MD steps of the frames in the order of the file, up to the last complete one.

    Of an even dump only its ends are read, and frames between them are taken to be there.

    Raises
    ------
    OutputError
        There is no dump that could be read.
    """
    with open_output(path) as file:
        return _Dump(file).steps()


def read_frames(
    path: Path,
    md_steps: Sequence[int],
    type_map: Sequence[str],
    rows: Callable[[], Mapping[int, int]] | None = None,
) -> list[Frame | None]:
    """Return the frames of these MD steps, ``None`` where there is no whole one with valid numbers.

    Coordinates (Å) are counted from the cell's origin, atoms sorted by id. For ``rows`` see :func:`read`.

    Raises
    ------
    OutputError
        There is no dump that could be read.
    """
    return read(path, md_steps, lambda record: record.frame(type_map), rows)


def read(
    path: Path,
    md_steps: Sequence[int],
    take: Callable[[Record], Taken | None],
    rows: Callable[[], Mapping[int, int]] | None = None,
) -> list[Taken | None]:
    """Return what ``take`` returns for the frames of these MD steps.

    Of several frames of one step it is the last one for which ``take`` returns something. With ``rows``, which returns
    how often each step is in the file of deviations, it is the last one that has a row; it is called only if needed.

    Raises
    ------
    OutputError
        There is no dump that could be read.
    """
    with open_output(path) as file:
        dump = _Dump(file)
        wanted = set(md_steps)
        places = {step: found for step, found in dump.find(md_steps).items() if step in wanted}
        if rows is not None and any(len(found) > 1 for found in places.values()):
            counts = rows()
            places = {step: found[: counts.get(step, 0)][-1:] for step, found in places.items()}
        return [next(_taken(dump, places.get(step, []), take), None) for step in md_steps]


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
        """Return the text from the marker at ``offset`` to the next one, or as much of it as a frame may have."""
        length = self.reach
        while True:
            window = self.window(offset, length)
            end = window.find(MARKER, 1)
            if end > 0:
                return window[:end]
            if offset + len(window) >= self.size or length == LARGEST:
                return window
            length = min(4 * length, LARGEST)

    def places(self, start: int, block: int) -> Iterator[_Place]:
        """Yield the frames that begin at ``start`` or later, reading ``block`` bytes at a time."""
        for begin in range(start, self.size, block):
            window = self.window(begin, block + len(MARKER) - 1)
            at = window.find(MARKER)
            while at >= 0:
                yield from self._place_at(begin + at)
                at = window.find(MARKER, at + 1)

    def _place_at(self, offset: int) -> Iterator[_Place]:
        """Yield the frame at ``offset``, unless its MD step is not a number or is cut off."""
        line, newline, _ = self.window(offset + len(MARKER), 32).partition(b"\n")
        step = whole_number(line)
        if newline and step is not None:
            yield _Place(step, offset)

    def last_whole(self) -> _Place | None:
        """Return the last whole frame, looking at ever larger ends of the file."""
        length = WINDOW
        while True:
            start = max(0, self.size - length)
            for offset, record in _whole_from_end(self.window(start, length)):
                return _Place(record.step, start + offset)
            if start == 0 or length == LARGEST:
                return None
            length = min(4 * length, LARGEST)

    def steps(self) -> NDArray[np.int64]:
        """Return the MD steps of the frames up to the last whole one, in the order of the file."""
        last = self.last_whole()
        if last is None:
            return np.empty(0, dtype=np.int64)
        begin = self._even(last)
        if begin is not None:
            return np.arange(begin[0].step, last.step + 1, begin[1].step - begin[0].step, dtype=np.int64)
        return np.array([place.step for place in self._searched(last)], dtype=np.int64)

    def find(self, md_steps: Iterable[int]) -> dict[int, list[int]]:
        """Return where the frames of these MD steps begin, of each step in the order of the file."""
        last = self.last_whole()
        if last is None:
            return {}
        begin = self._even(last)
        if begin is not None:
            inside = [step for step in md_steps if begin[0].step <= step <= last.step]
            offsets = {step: self._between(step, begin[0], last) for step in inside}
            if None not in offsets.values():
                return {step: [offset] for step, offset in offsets.items() if offset is not None}
        places: dict[int, list[int]] = {}
        for step, offset in self._searched(last):
            places.setdefault(step, []).append(offset)
        return places

    def _searched(self, last: _Place) -> list[_Place]:
        """Return all frames up to the last whole one, searching the file from end to end.

        Raises
        ------
        OutputError
            There are more than can be kept.
        """
        found = []
        for place in self.places(0, BLOCK):
            if place.offset > last.offset:
                break
            found.append(place)
            if len(found) > MOST_FRAMES:
                raise OutputError(f"the trajectory has more than {MOST_FRAMES} frames, and they are not evenly spaced")
        return found

    def _even(self, last: _Place) -> tuple[_Place, _Place] | None:
        """Return the first two frames of an even dump, ``None`` if it is not even."""
        begin = [place for place, _ in zip(self.places(0, WINDOW), range(2), strict=False)]
        if len(begin) < 2 or not _is_even(begin[0], begin[1], last):
            return None
        self.reach = begin[1].offset + begin[1].offset // 8 + len(MARKER)
        return begin[0], begin[1]

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


def _is_even(first: _Place, second: _Place, last: _Place) -> bool:
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
