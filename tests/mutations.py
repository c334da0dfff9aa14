"""Damaged outputs: what full disks, killed runs, crashed nodes and too narrow columns make of a text."""

import re
from collections.abc import Callable, Iterator

import numpy as np

NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?")
PAIR = re.compile(rb"(?<=\d)[ \t,]+(?=[-+]?\.?\d)")
LINE = re.compile(rb"[^\n]+\n?")


def replaced(pattern: re.Pattern, new: Callable[[bytes], bytes]):
    """A mutation that gives one match of a pattern, drawn at random, another text."""

    def mutate(content: bytes, rng: np.random.Generator) -> bytes:
        matches = list(pattern.finditer(content))
        if not matches:
            return content
        match = matches[int(rng.integers(len(matches)))]
        return content[: match.start()] + new(match[0]) + content[match.end() :]

    return mutate


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    """One line loses its end; the line break stays."""
    lines = list(LINE.finditer(content))
    if not lines:
        return content
    line = lines[int(rng.integers(len(lines)))]
    place = line.start() + int(rng.integers(len(line[0])))
    return content[:place] + b"\n" + content[line.end() :]


def garbled(content: bytes, rng: np.random.Generator) -> bytes:
    """Three bytes become others that are not UTF-8: a bad block, or a wrong encoding."""
    place = int(rng.integers(max(1, len(content))))
    return content[:place] + b"\xff\xfe\x00" + content[place + 3 :]


MUTATIONS = {
    "too wide for its column": replaced(NUMBER, lambda word: b"*" * max(4, len(word))),
    "not a number": replaced(NUMBER, lambda word: b"NaN".rjust(len(word))),
    "a number removed": replaced(NUMBER, lambda word: b""),
    "a number blanked": replaced(NUMBER, lambda word: b" " * len(word)),
    "a line removed": replaced(LINE, lambda line: b""),
    "a line cut": cut,
    "two numbers fused": replaced(PAIR, lambda gap: b""),
    "not UTF-8": garbled,
}


def mutated(content: bytes, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """``count`` damaged forms of an output, each kind in its turn, the same ones for one seed."""
    rng = np.random.default_rng(seed)
    names = list(MUTATIONS)
    for number in range(count):
        name = names[number % len(names)]
        yield name, MUTATIONS[name](content, rng)
