"""The dialects of ``param.json``: which one a file is written in, and what it means in today's.

A dialect is known by keys that no other one has. It has an argument tree of its own, along which the user's file is
walked first, so that faults speak the user's words and its own defaults are written out; then its value is translated.
What the rest of the program sees is today's dialect with nothing left to be filled in, and for each path the one that
the user's file has.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dargs

from dpgen2_hpc import kinds
from dpgen2_hpc.errors import Fault, InputError, spelled
from dpgen2_hpc.inputs.dialects import dpgen, manual, old, today
from dpgen2_hpc.inputs.dialects.translation import Translation
from dpgen2_hpc.inputs.policy import entry_at
from dpgen2_hpc.inputs.read import Document, KeyPath
from dpgen2_hpc.inputs.tree import Walked, in_order, normalize, walk


@dataclass(frozen=True)
class Dialect:
    """One way of writing ``param.json``.

    ``marks`` are the paths that only this dialect has. ``translate`` turns a walked value into today's; ``None``:
    it is today's.
    """

    name: str
    marks: Sequence[KeyPath]
    tree: Callable[[], dargs.Argument]
    translate: Callable[[Mapping[str, Any], Path], Translation] | None = None


TODAY = Dialect("today's dialect", today.MARKS, today.tree)
MANUAL = Dialect("the manual's dialect of 2022", manual.MARKS, manual.tree, manual.translate)
OLD = Dialect("the older dialect of -o/--old-compatible", old.MARKS, old.tree, old.translate)

DIALECTS = (TODAY, MANUAL, OLD)


def understood(document: Document, *, old_compatible: bool = False) -> tuple[dict[str, Any], Document, list[Fault]]:
    """Return what a document means in today's dialect, the document with that meaning, and what is wrong with it.

    ``old_compatible``: the user has said that the file may be written in the older dialect.
    """
    if dpgen.is_dpgens(document.value):
        return {}, document, [document.fault((), dpgen.ADVICE)]
    dialect, faults = recognized(document)
    if dialect is OLD and not old_compatible:
        mark = next(_marks(document, OLD))
        text = f"'{mark[-1]}' at the top level is of {OLD.name}: type that option, or write the file in today's dialect"
        faults.append(document.fault(mark, text))
    if faults:
        return {}, document, faults
    walked = walk(dialect.tree(), document, kinds.LATER)
    if dialect.translate is None:
        return _sources_spelled_out(walked.value), _with_origins(document, walked), walked.faults
    translation = dialect.translate(walked.value, Path(document.file).parent)
    document = replace(
        document,
        value=translation.value,
        origins=(*translation.origins, walked.origins),
        words=translation.words,
        notices=tuple(document.fault(*notice) for notice in translation.notices),
    )
    faults = [*walked.faults, *(document.fault(path, text) for path, text in translation.problems)]
    value, more = normalize(today.tree(), document, kinds.LATER)
    told = {fault.path for fault in faults}
    if not walked.faults:  # else more are missing, since what has a fault was left out
        faults += [fault for fault in more if fault.path not in told]
    return _sources_spelled_out(value), document, in_order(faults)


def _with_origins(document: Document, walked: Walked) -> Document:
    """Return the document with the way back from names to the user's aliases, and from files to plain lists."""
    entries = walked.value.get("explore", {}).get("configurations", [])
    path: KeyPath = ("explore", "configurations")
    lists: dict[KeyPath, KeyPath] = {
        (*path, i, "files"): (*path, i) for i, entry in enumerate(entries) if isinstance(entry, list)
    }
    return replace(document, origins=(lists, walked.origins))


def recognized(document: Document) -> tuple[Dialect, list[Fault]]:
    """Return the dialect that a document is written in; keys of two dialects are a fault that names both."""
    found = [(mark, dialect) for dialect in DIALECTS for mark in _marks(document, dialect)]
    found.sort(key=lambda entry: document.places.get(entry[0], (0, 0)))
    if not found:
        return TODAY, []
    first, dialect = found[0]
    line, _ = document.places[first]
    faults = [
        document.fault(
            mark,
            f"is a key of {other.name}, '{spelled(first)}' on line {line} one of {dialect.name}: they do not go "
            "together, write the whole file in one of them",
        )
        for mark, other in found
        if other is not dialect
    ]
    return dialect, faults


def _marks(document: Document, dialect: Dialect) -> Iterator[KeyPath]:
    """Yield the marks of a dialect that a document has, in its order; a key that is ``null`` is not given."""
    marks = set(dialect.marks)
    return (path for path in document.places if path in marks and entry_at(document.value, path) is not None)


def _sources_spelled_out(value: dict[str, Any]) -> dict[str, Any]:
    """Return the value with each source of configurations as an object that has its own prefix."""
    if "explore" not in value:
        return value
    explore = dict(value["explore"])
    prefix = explore.pop("configuration_prefix", None)
    if "configurations" in explore:
        explore["configurations"] = [_spelled_out(entry, prefix) for entry in explore["configurations"]]
    return {**value, "explore": explore}


def _spelled_out(entry: Any, prefix: str | None) -> dict[str, Any]:
    """Return a source, or what a list of names stands for; files without a prefix of their own get the common one."""
    source: dict[str, Any] = today.file_configuration(entry) if isinstance(entry, list) else entry
    lacks_prefix = source.get("type") == "file" and source.get("prefix", "") is None
    return {**source, "prefix": prefix} if lacks_prefix else source


def tree(name: str) -> dargs.Argument:
    """Return the argument tree of a dialect: ``today``, ``manual`` or ``old``.

    Raises
    ------
    InputError
        There is no such dialect.
    """
    trees = {"today": TODAY, "manual": MANUAL, "old": OLD}
    if name not in trees:
        raise InputError(f"there is no dialect '{name}'; there are: {', '.join(trees)}")
    return trees[name].tree()
