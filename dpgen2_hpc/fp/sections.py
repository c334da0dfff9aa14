"""CP2K's input: sections in sections, with keyword lines."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

REPEATED = ("KIND",)
"""Sections that are there several times, told apart by their parameters."""

_WORD = re.compile(r'\s*("[^"]*"|\S+)')


@dataclass
class Section:
    """``&NAME PARAMETER``, its keyword lines and its sections."""

    name: str
    parameter: str = ""
    lines: list[str] = field(default_factory=list)
    sections: list["Section"] = field(default_factory=list)

    def child(self, name: str, parameter: str = "") -> "Section":
        """Return the section of this name, a new one if there is none."""
        for section in self.sections:
            if section.name == name and (not parameter or section.parameter.upper() == parameter.upper()):
                return section
        self.sections.append(Section(name, parameter))
        return self.sections[-1]

    def at(self, *names: str) -> "Section":
        """Return a section further down, made where it is missing."""
        return self.child(names[0]).at(*names[1:]) if names else self

    def value(self, keyword: str) -> str | None:
        """Return what stands behind a keyword, or ``None``."""
        for line in self.lines:
            if line.split()[0].upper() == keyword:
                return line.split(None, 1)[1] if len(line.split()) > 1 else ""
        return None

    def put(self, keyword: str, value: str) -> None:
        """Give a keyword one value, in the place of those that it had."""
        self.drop(keyword)
        self.lines.append(f"{keyword} {value}".rstrip())

    def drop(self, *keywords: str) -> None:
        """Remove the lines of these keywords."""
        self.lines = [line for line in self.lines if line.split()[0].upper() not in keywords]

    def replaced(self, name: str, lines: Sequence[str] = (), parameter: str = "") -> None:
        """Give the section of this name these lines, and nothing else."""
        self.sections = [section for section in self.sections if section.name != name]
        self.sections.append(Section(name, parameter, list(lines)))

    def without(self, *path: str) -> None:
        """Remove the sections at this path, where there are any."""
        name, *below = path
        if not below:
            self.sections = [section for section in self.sections if section.name != name]
        for section in self.sections:
            if below and section.name == name:
                section.without(*below)

    def text(self, indent: str = "") -> str:
        """Return the section as CP2K reads it; the root, which has no name, as its members."""
        inner = indent + "  " if self.name else indent
        body = "".join(f"{inner}{line}\n" for line in self.lines)
        body += "".join(section.text(inner) for section in self.sections)
        if not self.name:
            return body
        return f"{indent}&{self.name} {self.parameter}".rstrip() + f"\n{body}{indent}&END {self.name}\n"


def parse(text: str) -> Section:
    """Return an input as sections below a root without a name.

    Lines of CP2K's preprocessor that :func:`dpgen2_hpc.fp.preprocessor.expanded` has left are among the keyword lines.

    Raises
    ------
    ValueError
        Sections are not closed.
    """
    root = Section("")
    stack = [root]
    for number, line in _lines(text):
        word, *rest = line.split(None, 1)
        if word.upper() == "&END":
            if len(stack) == 1:
                raise ValueError(f"line {number} ends a section that was not begun")
            stack.pop()
        elif word.startswith("&"):
            section = Section(word[1:].upper(), rest[0] if rest else "")
            stack[-1].sections.append(section)
            stack.append(section)
        else:
            stack[-1].lines.append(line)
    if len(stack) > 1:
        raise ValueError(f"the section &{stack[-1].name} is not closed")
    return root


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines without comments and blank ones, with their numbers; continued lines are joined."""
    begun = ""
    for number, raw in enumerate(text.splitlines(), 1):
        bare = _without_comment(raw)
        line = f"{begun} {bare}".strip()
        begun = line.removesuffix("\\").rstrip() if not bare or bare.endswith("\\") else ""
        if line and not begun:
            yield number, line


def _without_comment(line: str) -> str:
    """Return a line up to the word that begins with ! or #; there are none in double quotes, as in CP2K."""
    comment = next((word for word in _WORD.finditer(line) if word[1][0] in "!#"), None)
    return line[: comment.start()].strip() if comment else line.strip()


def merge(section: Section, tree: Mapping[str, Any]) -> None:
    """Put a tree of values over a section.

    A key with an object is a section, its parameter behind the name: ``"KIND Al"``. Any other value is a keyword's, a
    list of them has one line each.
    """
    for key, value in tree.items():
        name, _, parameter = key.partition(" ")
        name = name.upper()
        if isinstance(value, Mapping):
            below = section.child(name, parameter if name in REPEATED else "")
            below.parameter = parameter or below.parameter
            merge(below, value)
            continue
        section.lines = [line for line in section.lines if line.split()[0].upper() != name]
        section.lines += [f"{name} {_word(entry)}" for entry in (value if isinstance(value, list) else [value])]


def kinds(root: Section) -> Iterator[Section]:
    """Yield the sections &KIND."""
    yield from (section for section in root.at("FORCE_EVAL", "SUBSYS").sections if section.name == "KIND")


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return ".TRUE." if value else ".FALSE."
    return str(value)
