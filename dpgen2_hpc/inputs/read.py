"""Strict JSON, with the line and column of everything in it."""

import codecs
import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from dpgen2_hpc.errors import Fault, InputError
from dpgen2_hpc.inputs.faults import found, quoted

DEEPEST = 100
"""Levels of nesting: far beyond any input, far below the interpreter's own limit."""

COMMENT = "_"
"""What the name of a key begins with that is a comment."""

SPACE = re.compile(r"[ \t\r\n]*")
SLIPS = (
    (r"//|/\*|#", 'JSON has no comments, but a key that begins with "_" is one'),
    (r"['`\u2018\u2019\u201c\u201d]", "strings and keys stand in straight double quotes"),
    (r"True\b|False\b|None\b", "JSON writes true, false and null"),
    (r"[A-Za-z_]", "strings and keys stand in double quotes"),
    (r"[.+]\d", "a number begins with '-' or a digit"),
    (r"(?<=0)\d", "a number begins with 0 only before its point"),
)
MEMBER = re.compile(r'[ \t\r\n]+[\w"{\[-]|["{\[]')
STRINGS = {
    "Unterminated string starting at": "this string never ends",
    "Invalid control character at": "a string does not go over the end of a line: write \\n for a line break",
}

KeyPath = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


@dataclass(frozen=True)
class Document:
    """A JSON file that was read, or what one means in another dialect.

    ``file`` is its name as the user typed it; ``places`` has the line and column (both from 1) of each key, each
    element of a list, and, under ``()``, of the whole. ``origins`` lead, one after the other, from a path in ``value``
    to the one that the file has for it, ``words`` from our names in messages to the user's; both are empty while
    ``value`` is the file's own. ``files`` has the documents that were read for the name of a file at a path.
    """

    file: str
    value: Any
    places: Mapping[KeyPath, tuple[int, int]]
    origins: tuple[Mapping[KeyPath, KeyPath], ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[KeyPath, "Document"] = field(default_factory=dict)
    notices: tuple[Fault, ...] = ()

    def fault(self, path: KeyPath, message: str) -> Fault:
        """Return a fault at ``path`` as the user wrote it, or at the nearest thing above that some file has."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.files:
                return self.files[path[:end]].fault(path[end:], message)
        own = self.written(path)
        above = (own[:end] for end in range(len(own), -1, -1))
        place = next((self.places[step] for step in above if step in self.places), (None, None))
        return Fault(self.file, own, self.reworded(message), *place)

    def written(self, path: KeyPath) -> KeyPath:
        """Return the path that the file has for ``path`` of the value."""
        for origins in self.origins:
            end = next((end for end in range(len(path), 0, -1) if path[:end] in origins), None)
            path = path if end is None else (*origins[path[:end]], *path[end:])
        return path

    def reworded(self, message: str) -> str:
        """Return a message with the user's names of keys for ours."""
        if not self.words:
            return message
        longest_first = sorted(self.words, key=len, reverse=True)
        pattern = rf"(?<![\w.])({'|'.join(map(re.escape, longest_first))})(?![\w.]*\w)"
        return re.sub(pattern, lambda match: self.words[match[1]], message)


def read_json(path: Path) -> Document:
    """Return the object that stands in a JSON file.

    Raises
    ------
    InputError
        The file cannot be read, or is not strict JSON: all faults up to the first error of syntax.
    """
    reader = _Reader(str(path), _text(path))
    return Document(str(path), reader.whole(), reader.places)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise InputError([Fault(str(path), (), f"cannot be read: {error.strerror or error}")]) from error
    except ValueError as error:  # a NUL in the name
        raise InputError([Fault(str(path), (), f"cannot be read: {error}")]) from error
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        place = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"byte 0x{data[error.start]:02x} is not UTF-8: save the file in that encoding"
        raise InputError([Fault(str(path), (), message, *place)]) from error


def _harmless(path: KeyPath, first: Any, again: Any) -> bool:
    """Return whether a key may stand twice: it is a comment, or below one, or both times the same."""
    is_comment = any(str(step).startswith(COMMENT) for step in path)
    return is_comment or json.dumps(first, sort_keys=True) == json.dumps(again, sort_keys=True)


def _whole_number(digits: str) -> int | float:
    """Return the number, or infinity for one that no float could hold."""
    number = float(digits)
    return int(digits) if math.isfinite(number) else number


class _Reader:
    """A cursor on a JSON text, and what was noticed on the way."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.text, self.at = file, text, 0
        self.lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.places: dict[KeyPath, tuple[int, int]] = {}
        self.faults: list[Fault] = []
        self.scalars = json.JSONDecoder(parse_int=_whole_number)

    # ---- places and faults

    def place(self, at: int) -> tuple[int, int]:
        line = bisect_right(self.lines, at)
        return line, at - self.lines[line - 1] + 1

    def fault(self, at: int, path: KeyPath, message: str) -> None:
        self.faults.append(Fault(self.file, path, message, *self.place(at)))

    def stop(self, at: int, path: KeyPath, message: str) -> NoReturn:
        self.fault(at, path, message)
        raise InputError(self.faults)

    def wrong(self, path: KeyPath, expected: str) -> NoReturn:
        """Stop where something else than ``expected`` stands, with a word on the usual slips."""
        if self.at == len(self.text):
            self.stop(self.at, path, f"expected {expected}, but the file ends here")
        hint = next((f": {hint}" for slip, hint in SLIPS if re.compile(slip).match(self.text, self.at)), "")
        self.stop(self.at, path, f"expected {expected}, found {quoted(self.text[self.at])}{hint}")

    # ---- the grammar

    def whole(self) -> dict[str, Any]:
        if not self.peek():
            self.stop(self.at, (), "the file is empty")
        start = self.at
        self.places[()] = self.place(start)
        value = self.value(())
        if self.peek():
            self.wrong((), "the end of the file")
        if not isinstance(value, dict):
            self.fault(start, (), f"expected an object, {{...}}, found {found(value)}")
        if self.faults:
            raise InputError(self.faults)
        return dict(value)

    def peek(self) -> str:
        """Skip white space and return the next character, which is empty at the end."""
        if match := SPACE.match(self.text, self.at):
            self.at = match.end()
        return self.text[self.at : self.at + 1]

    def value(self, path: KeyPath) -> Any:
        first = self.peek()
        if first and first in "{[" and len(path) >= DEEPEST:
            self.stop(self.at, (), f"nested deeper than {DEEPEST} levels")
        if first == "{":
            return self.object(path)
        if first == "[":
            return [self.element((*path, index)) for index, _ in enumerate(self.members(path, "]"))]
        return self.scalar(path)

    def object(self, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for _ in self.members(path, "}"):
            start, key = self.key(path)
            value = self.value((*path, key))
            if key in result and not _harmless((*path, key), result[key], value):
                first, _ = self.places[(*path, key)]
                self.fault(start, (*path, key), f"the key {quoted(key)} stands here twice, first on line {first}")
            result[key] = value
        return result

    def element(self, path: KeyPath) -> Any:
        self.peek()
        self.places[path] = self.place(self.at)
        return self.value(path)

    def members(self, path: KeyPath, closing: str) -> Iterator[None]:
        """Yield whenever a member is due, up to ``closing``; take the commas between."""
        self.at += 1
        if self.peek() != closing:
            yield
            while self.comma(path, closing):
                yield
        self.at += 1

    def comma(self, path: KeyPath, closing: str) -> bool:
        """Take a comma; return ``False`` where the members end instead."""
        behind = self.at
        if self.peek() == closing:
            return False
        if MEMBER.match(self.text, behind):
            self.stop(behind, path, f"expected ',' or '{closing}': is a comma missing here?")
        if self.peek() != ",":
            self.wrong(path, f"',' or '{closing}'")
        comma = self.at
        self.at += 1
        if self.peek() == closing:
            self.stop(comma, path, f"a comma with nothing behind it: remove it before '{closing}'")
        return True

    def key(self, path: KeyPath) -> tuple[int, str]:
        """Take a key and the colon; return where the key begins, and the key."""
        if self.peek() != '"':
            self.wrong(path, "a key in double quotes")
        start = self.at
        key = str(self.scalar(path))
        self.places.setdefault((*path, key), self.place(start))
        if self.peek() != ":":
            self.wrong((*path, key), "':' behind the key")
        self.at += 1
        return start, key

    def scalar(self, path: KeyPath) -> Any:
        start = self.at
        try:
            value, self.at = self.scalars.raw_decode(self.text, start)
        except json.JSONDecodeError as error:
            if error.msg == "Expecting value":
                self.wrong(path, "a value")
            self.stop(error.pos, path, STRINGS.get(error.msg, f"not a JSON string: {error.msg.removesuffix(' at')}"))
        if isinstance(value, float) and not math.isfinite(value):
            self.fault(start, path, f"{quoted(self.text[start : self.at])[1:-1]} is not a finite number")
        return self.whole_characters(start, path, value) if isinstance(value, str) else value

    def whole_characters(self, start: int, path: KeyPath, text: str) -> str:
        """Return a string that can be written again, and stand in a path or a command.

        A lone surrogate, half a character, cannot be written; no path and no command has a NUL.
        """
        clean = text.encode(errors="backslashreplace").decode()
        if clean != text:
            self.fault(start, path, f"{quoted(clean)} has half a character in it (a lone surrogate)")
        if "\0" in text:
            self.fault(
                start, path, f"{quoted(clean)} has the character NUL in it, which no path and no command can have"
            )
        return clean
