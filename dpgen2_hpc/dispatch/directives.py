"""The user's lines in the head of a job's script, read as the scheduler's command reads them.

What would break the run is refused by name: arrays, waiting, interactive jobs, options that submit nothing. What this
program decides is dropped with a notice: names, outputs, requeue. Everything else is passed on, unknown options too:
sites have plugins.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Given(NamedTuple):
    """An option as a line gives it: its full name, its value, and the words that it stands in."""

    option: str
    value: str | None
    words: tuple[str, ...]


class Rule(NamedTuple):
    """What becomes of an option whose value matches: the sentence says why; an empty one drops it without a word."""

    options: tuple[str, ...]
    sentence: str
    value: str = ""


@dataclass(frozen=True)
class Grammar:
    """The directives of one scheduler: their prefix, how their words are read, and the rules for them.

    ``replaces`` are the resources (of ``-l``) by which a user asks for nodes in the place of our own request. Where
    there are any, the first of two equal requests counts.
    """

    prefix: str
    read: Callable[[Sequence[str]], list[Given]]
    refused: tuple[Rule, ...]
    dropped: tuple[Rule, ...]
    replaces: frozenset[str] = frozenset()

    def given(self, line: str) -> list[Given]:
        """Return the options of a line; none of a line that is no directive.

        Raises
        ------
        ValueError
            A quote is not closed.
        """
        return self.read(self._words(line))

    def refusals(self, line: str) -> Iterator[str]:
        """Yield why a line cannot be followed."""
        for given in self.given(line):
            if rule := _applying(self.refused, given):
                yield f"'{line}': {_full_name(given)} {rule.sentence}"

    def notices(self, line: str) -> Iterator[str]:
        """Yield what of a line is not followed."""
        for given in self.given(line):
            rule = _applying(self.dropped, given)
            if rule is not None and rule.sentence:
                yield f"'{line}': {_full_name(given)} is not followed: {rule.sentence}"

    def asked(self, line: str) -> list[str]:
        """Return the resources by which a line asks for nodes: ``select``, ``nodes``, ``mem`` ..."""
        texts = [given.value or "" for given in self.given(line) if given.option == "-l"] if self.replaces else []
        names = [name for text in texts for name in re.findall(r"(?:^|,)(\w+)(?==)", text)]
        return [name for name in names if name in self.replaces]

    def kept(self, lines: Iterable[str]) -> list[str]:
        """Return lines without what is dropped; a line of which nothing is left disappears."""
        return [kept for line in lines if (kept := self._kept(line)) is not None]

    def _kept(self, line: str) -> str | None:
        given = self.given(line)
        left = [entry for entry in given if _applying(self.dropped, entry) is None]
        if len(left) == len(given):
            return line
        return f"{self.prefix} {shlex.join(word for entry in left for word in entry.words)}" if left else None

    def _words(self, line: str) -> list[str]:
        if not self.prefix or not re.match(rf"{self.prefix}\s", line):
            return []
        return shlex.split(line[len(self.prefix) :], comments=True)


def _applying(rules: Iterable[Rule], given: Given) -> Rule | None:
    matching = (rule for rule in rules if given.option in rule.options)
    return next((rule for rule in matching if re.search(rule.value, given.value or "", re.IGNORECASE)), None)


def _full_name(given: Given) -> str:
    """Return an option's name, where it was abbreviated or stands among others."""
    return given.option if given.value is None else f"{given.option} {given.value}"


# ---- how commands read words ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Getopt:
    """Options as ``getopt_long`` reads them: short ones in bundles, long ones by any unambiguous beginning.

    ``short`` maps a letter to the option's full name, ``valued`` has the letters that take a value. ``long`` has the
    full names of options that take a value, and ``flags`` of those that take none, or one after ``=``. A beginning that
    is ambiguous in some version is read as the first of ``dangerous`` that it may mean.
    """

    short: dict[str, str]
    valued: str
    long: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    dangerous: tuple[str, ...] = ()

    def __call__(self, words: Sequence[str]) -> list[Given]:
        """Return the options in these words; words that are none are passed over."""
        found: list[Given] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--":
                break
            if word.startswith("--"):
                found.append(self._long(word, rest))
            elif word.startswith("-") and len(word) > 1:
                found += self._short(word, rest)
        return found

    def _long(self, word: str, rest: list[str]) -> Given:
        begin, equals, value = word.partition("=")
        name = self._named(begin)
        if equals:
            return Given(name, value, (word,))
        if name in self.long and rest:
            value = rest.pop(0)
            return Given(name, value, (word, value))
        return Given(name, None, (word,))

    def _named(self, begin: str) -> str:
        known = self.long | self.flags
        if begin in known:
            return begin
        meant = sorted(name for name in known if name.startswith(begin))
        if len(meant) == 1:
            return meant[0]
        return next((name for name in self.dangerous if name in meant), begin)

    def _short(self, word: str, rest: list[str]) -> Iterator[Given]:
        """Yield the options of a bundle; the first one that takes a value takes the rest of the word, or the next."""
        for place, letter in enumerate(word[1:], 1):
            name = self.short.get(letter, f"-{letter}")
            if letter not in self.valued:
                yield Given(name, None, (f"-{letter}",))
                continue
            value = word[place + 1 :] or (rest.pop(0) if rest else "")
            yield Given(name, value, (f"-{letter}", value))
            return


@dataclass(frozen=True)
class Words:
    """Options that are whole words with one dash, as LSF's; ``valued`` are those that take the next word."""

    valued: frozenset[str]

    def __call__(self, words: Sequence[str]) -> list[Given]:
        """Return the options in these words; words that are none are passed over."""
        found: list[Given] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word in self.valued and rest:
                value = rest.pop(0)
                found.append(Given(word, value, (word, value)))
            elif word.startswith("-"):
                found.append(Given(word, None, (word,)))
        return found
