"""The arguments as text: what ``doc`` prints, and the table in ``docs/arguments.md``."""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dargs

from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.changes import rules
from dpgen2_hpc.inputs.faults import expected, unknown
from dpgen2_hpc.inputs.options import NO_DEFAULT, options
from dpgen2_hpc.inputs.tree import LIMITS, NOT_YET
from dpgen2_hpc.kinds import CHANGES, Key, Rule

WIDTH = 110


@dataclass(frozen=True)
class Entry:
    """One argument: ``path`` as people write it, with the type that it belongs to in brackets: ``train[dp].config``."""

    path: str
    argument: Any
    change: Rule

    @property
    def plain(self) -> str:
        """The path without types."""
        return re.sub(r"\[[^]]*\]", "", self.path)

    @property
    def available(self) -> bool:
        """Whether this version acts on it."""
        return not isinstance(self.argument, Key) or self.argument.available

    @property
    def default(self) -> str | None:
        """The default as JSON, ``None`` where there is none to show."""
        argument = self.argument
        if not argument.optional or argument.default is NO_DEFAULT or argument.sub_fields:
            return None
        return json.dumps(argument.default, ensure_ascii=False)

    def what(self) -> str:
        """Return what the value may be."""
        words = expected(options(self.argument))
        limits = [
            f"{name} {bound if isinstance(bound, int) else format(bound, 'g')}"
            for name, bound in _bounds(self.argument)
        ]
        choices = getattr(self.argument, "choices", None)
        return "; ".join([words, *limits, *([f"one of {', '.join(choices)}"] if choices else [])])

    def doc(self) -> str:
        """Return what it means, on one line."""
        return " ".join(str(self.argument.doc).split())


def entries(tree: dargs.Argument) -> list[Entry]:
    """Return every argument below ``tree``, each before its members."""
    found = []
    for path, argument, change in rules(tree):
        text = "".join(step if step.startswith("[") else f".{step}" for step in map(str, path))
        found.append(Entry(text.removeprefix("."), argument, change))
    return found


def described(tree: dargs.Argument, path: str = "") -> str:
    """Return the argument at ``path``, and all below it, as text; without a path, every key in a line.

    Raises
    ------
    InputError
        There is no such argument.
    """
    found = entries(tree)
    if not path:
        return "\n".join(_line(entry) for entry in found)
    wanted = re.sub(r"\[[^]]*\]", "", path)
    chosen = [entry for entry in found if entry.plain == wanted or entry.plain.startswith(f"{wanted}.")]
    if not chosen:
        chosen = [entry for entry in found if wanted.rpartition(".")[2] in _names(entry) and _ends(entry, wanted)]
    if not chosen:
        plain = list(dict.fromkeys(entry.plain for entry in found))
        text = unknown("key", path, plain).partition(" Known here")[0]
        raise InputError(f"{text} `dpgen2-hpc doc` lists them all.")
    return "\n\n".join("\n".join(_paragraph(entry)) for entry in chosen)


def _names(entry: Entry) -> list[str]:
    return [entry.argument.name, *entry.argument.alias]


def _ends(entry: Entry, wanted: str) -> bool:
    """Whether the keys above the last one are those that were asked for, as far as they were given."""
    above = wanted.rpartition(".")[0]
    return not above or entry.plain.rpartition(".")[0].endswith(above)


def _line(entry: Entry) -> str:
    text = f"{entry.path}: {entry.doc()}" if entry.available else f"{entry.path}: (not available yet) {entry.doc()}"
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 4]} ..."


def _paragraph(entry: Entry) -> Iterator[str]:
    """Yield the lines that explain one argument."""
    argument = entry.argument
    need = "optional" if argument.optional else "required"
    default = f", default {entry.default}" if entry.default is not None else ""
    yield f"{entry.path}: {entry.what()} ({need}{default})"
    if argument.alias:
        yield f"    also written as {', '.join(argument.alias)}"
    for variant in argument.sub_variants.values():
        extra = f", default {variant.default_tag}" if variant.optional else ""
        yield f"    {variant.flag_name}: one of {', '.join(variant.choice_dict)}{extra}"
    yield from textwrap.wrap(entry.doc(), WIDTH - 4, initial_indent="    ", subsequent_indent="    ")
    if entry.available:
        yield f"    changed during a run: {CHANGES[entry.change]}"
    else:
        yield f"    {NOT_YET}"


def _bounds(argument: Any) -> Iterator[tuple[str, float]]:
    for name, words, _ in LIMITS:
        bound = getattr(argument, name, None)
        if bound is not None:
            yield words, bound


# ---- the table ------------------------------------------------------------------------------------------------------


def table(sections: Sequence[tuple[str, dargs.Argument]]) -> str:
    """Return ``docs/arguments.md``: a table for each tree, under its title."""
    intro = (
        "Made by `dpgen2-hpc doc --markdown`; do not edit. A word in brackets is the type to which a key belongs. "
        "*Changed* says what becomes of a key that is changed after a run has begun:"
    )
    parts = ["# Arguments", intro, "\n".join(f"- *{name}*: {text}." for name, text in CHANGES.items())]
    for title, tree in sections:
        rows = [_row(entry) for entry in entries(tree)]
        head = "| key | what | default | changed | meaning |\n|---|---|---|---|---|"
        parts += [f"## {title}", "\n".join([head, *rows])]
    return "\n\n".join(parts)


def _row(entry: Entry) -> str:
    default = "required" if not entry.argument.optional else f"`{entry.default}`" if entry.default is not None else ""
    alias = (
        f" Also written as {', '.join(f'`{name}`' for name in entry.argument.alias)}." if entry.argument.alias else ""
    )
    doc = entry.doc() if entry.available else f"Not available yet. {entry.doc()}"
    cells = [f"`{entry.path}`", entry.what(), default, entry.change if entry.available else "", doc + alias]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
