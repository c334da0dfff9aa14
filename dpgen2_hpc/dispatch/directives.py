"""Directive lines (``#SBATCH``, ``#PBS``, ``#BSUB``), read as the submit command reads them.

Users write such lines into ``custom_flags``, ``kwargs.custom_gpu_line`` and a script header of their own. What each
command accepts is data, in a table beside each scheduler; here is what the commands have in common: words with quotes
and comments, options with values, abbreviations, bundles.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dpgen2_hpc.dispatch.schedulers.options import Fate, Options, Style
from dpgen2_hpc.dispatch.schedulers.sbatch_options import SBATCH

UNCLOSED = "has a quote that is not closed, or ends with a backslash"
NO_VALUE = "has no value"


@dataclass(frozen=True)
class Given:
    """An option that a user gave: its full ``name`` and ``value``, as ``written`` on which lines (from 0).

    ``name`` is empty for a word that is not an option. An abbreviation of several options has them all in ``meanings``.
    ``problem`` says why the command will refuse the line.
    """

    name: str
    value: str | None
    written: str
    lines: tuple[int, ...]
    meanings: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class _Word:
    text: str
    written: str
    line: int
    closed: bool = True


# ---- what becomes of options ----------------------------------------------------------------------------------------


def read(options: Options, lines: Sequence[str]) -> list[Given]:
    """Return the options that the directives among ``lines`` of a script give, in order."""
    words = [list(_words(options, number, line)) for number, line in directives(options, lines)]
    lists = [[word for list_ in words for word in list_]] if options.one_list else words
    return [given for list_ in lists for given in _options(options, list_)]


def directives(options: Options, lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the directive lines that the command reads: those before the first command; and their numbers, from 0."""
    for number, line in enumerate(lines):
        if re.match(options.begin, line):
            yield number, line
        elif is_command(line) and not options.everywhere:
            return


def is_command(line: str) -> bool:
    """Whether a line of a script is neither empty nor a comment."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def fate(options: Options, given: Given) -> Fate | None:
    """Return what becomes of an option: ``None`` if it is passed on.

    An abbreviation that may mean several options, since versions differ, is refused if one of them is, and passed on
    unless all of them are removed.
    """
    fates = [_fate(options, name, given.value) for name in given.meanings or (given.name,)]
    refused = next((found for found in fates if found and found.refused), None)
    return refused or (fates[0] if all(fates) else None)


def _fate(options: Options, name: str, value: str | None) -> Fate | None:
    return next((each for each in options.fates.get(name, ()) if re.search(each.value, value or "")), None)


def kept(lines: Sequence[str], options: Options) -> list[str]:
    """Return the lines of a script without the options that are not used; a line of which nothing is left goes too."""
    everything = read(options, lines)
    dropped = [given for given in everything if fate(options, given)]
    touched = {line for given in dropped for line in given.lines}
    while more := {line for given in everything if touched & {*given.lines} for line in given.lines} - touched:
        touched |= more
    left = [given for given in everything if given not in dropped]
    result: list[str] = []
    for number, line in enumerate(lines):
        words = [given.written for given in left if given.lines[0] == number]
        if number not in touched:
            result.append(line)
        elif words:
            result.append(" ".join([options.directive, *words]))
    return result


def clusters_of(lines: Sequence[str]) -> str | None:
    """Return the clusters that the ``#SBATCH`` lines of a script name: those of the last ``--clusters``."""
    return next((given.value for given in reversed(read(SBATCH, lines)) if given.name == "clusters"), None)


def inherits(options: Options, lines: Sequence[str]) -> bool:
    """Whether a job with these directives gets the environment of the submit command, or a ``PATH`` that was named."""
    result = options.inherits
    for given in read(options, lines):
        for name, pattern, then in options.environment:
            if given.name == name and re.search(pattern, given.value or ""):
                result = then
    return result


# ---- words ----------------------------------------------------------------------------------------------------------


def _words(options: Options, number: int, line: str) -> Iterator[_Word]:
    """Yield the words of a directive line; one whose quote is not closed reaches to the end of the line."""
    plain = r"[^\s'\"\\#]|" + (r"\\\S?" if options.comment == "#" else r"\\.|#")
    whole = re.compile(rf"(?:{options.quoted}|{plain})+")
    begin = re.match(options.begin, line)
    place = begin.end() if begin else 0
    while (place := _skipped(line, place)) < len(line):
        if options.comment and re.compile(options.comment).match(line, place):
            return
        found = whole.match(line, place)
        end = found.end() if found else len(line)
        closed = found is not None and (end == len(line) or line[end] not in "'\"\\")
        written = line[place:end] if closed else line[place:]
        text = _unquoted(options, written) if closed else written
        if options.style is Style.LONG and not text:
            return  # sbatch takes an empty word for the end of the line
        yield _Word(text, written, number, closed)
        place = end if closed else len(line)


def _skipped(line: str, place: int) -> int:
    return len(line) - len(line[place:].lstrip())


def _unquoted(options: Options, written: str) -> str:
    """Return a word without its quotes and backslashes."""
    pieces = re.finditer(rf"({options.quoted})|\\(.?)|(.)", written)
    return "".join(piece[1][1:-1] if piece[1] else piece[2] or piece[3] or "" for piece in pieces)


# ---- options --------------------------------------------------------------------------------------------------------


def _options(options: Options, words: Sequence[_Word]) -> Iterator[Given]:
    queue = deque(words)
    while queue:
        word = queue.popleft()
        if not word.closed:
            yield Given("", None, word.written, (word.line,), problem=UNCLOSED)
        elif word.text.lower() in options.separators:
            yield Given(word.text.lower(), None, word.written, (word.line,))
        elif not word.text.startswith("-") or word.text in ("-", "--"):
            problem = (
                f"is not an option, and {options.command} refuses the whole script for it" if options.strict else ""
            )
            yield Given("", word.text, word.written, (word.line,), problem=problem)
        elif options.style is Style.WORDS:
            yield _whole_word(options, word, queue)
        elif options.style is Style.LONG and word.text.startswith("--"):
            yield _long(options, word, queue)
        else:
            yield from _bundle(options, word, queue)


def _whole_word(options: Options, word: _Word, queue: deque[_Word]) -> Given:
    """Return the option that is one word; ``-J"name[1-9]"`` may be read as ``-J`` too."""
    name = word.text[1:]
    if name not in options.valued | options.plain and name[:1] in options.valued and "[" in name:
        return Given(name[0], name[1:], word.written, (word.line,))
    return _with_value(options, name, word, None, queue)


def _long(options: Options, word: _Word, queue: deque[_Word]) -> Given:
    """Return the option that is meant by ``--name`` or any abbreviation, as getopt_long does."""
    text, equals, attached = word.text[2:].partition("=")
    known = {**{name: name for name in options.valued | options.plain | options.optional}, **options.aliases}
    meant = [text] if text in known else sorted(name for name in known if name.startswith(text))
    names = tuple(dict.fromkeys(known[name] for name in meant))
    given = _with_value(options, _worst(options, names) or text, word, attached if equals else None, queue)
    return replace(given, meanings=names)


def _worst(options: Options, names: Sequence[str]) -> str:
    """Return that of several meanings which is refused, else the first; empty for none."""
    refused = (name for name in names if any(each.refused for each in options.fates.get(name, ())))
    return next(refused, next(iter(names), ""))


def _bundle(options: Options, word: _Word, queue: deque[_Word]) -> Iterator[Given]:
    """Yield the options of ``-abc``: the first that has a value takes the rest of the word for it, or the next word."""
    letters = word.text[1:]
    for place, letter in enumerate(letters):
        name = options.letters.get(letter, letter)
        rest = letters[place + 1 :]
        if name in options.plain and rest:
            yield Given(name, None, f"-{letter}", (word.line,))
        elif name in options.plain:
            yield Given(name, None, word.written if place == 0 else f"-{letter}", (word.line,))
        else:
            given = _with_value(options, name, word, rest or None, queue)
            yield given if place == 0 else _alone(given, place)
            return


def _alone(given: Given, place: int) -> Given:
    """Return an option of a bundle without those before it."""
    return replace(given, written=f"-{given.written[place + 1 :]}")


def _with_value(options: Options, name: str, word: _Word, attached: str | None, queue: deque[_Word]) -> Given:
    """Return an option with its value, which may be the next word; an unknown option takes one that has no dash."""
    known = options.valued | options.plain | options.optional
    unknown = name not in known and bool(queue) and not queue[0].text.startswith("-")
    if attached is None and (name in options.valued or unknown) and queue:
        value = queue.popleft()
        lines = tuple(dict.fromkeys((word.line, value.line)))
        problem = "" if value.closed else UNCLOSED
        return Given(name, value.text, f"{word.written} {value.written}", lines, problem=problem)
    problem = NO_VALUE if attached is None and name in options.valued else ""
    return Given(name, attached, word.written, (word.line,), problem=problem)
