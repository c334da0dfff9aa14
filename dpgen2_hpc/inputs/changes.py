"""A changed ``param.json`` on resume: field by field, and whether it may."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dargs

from dpgen2_hpc.errors import spelled
from dpgen2_hpc.inputs.read import KeyPath

NOW, APPEND, REFUSED = "now", "append", "refused"


@dataclass(frozen=True)
class Change:
    """One field that differs; ``allowed`` by its class."""

    path: KeyPath
    old: Any
    new: Any
    allowed: bool

    def __str__(self) -> str:
        return f"{spelled(self.path)}: {_short(self.old)} → {_short(self.new)}"


def changes(tree: dargs.Argument, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return what differs between two understood inputs; the class of each field stands in the tree."""
    return list(_differences(tree, old, new, (), REFUSED))


def _differences(argument: Any, old: Any, new: Any, path: KeyPath, rule: str) -> Iterator[Change]:
    rule = getattr(argument, "change", rule)
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        members = getattr(argument, "sub_fields", {})
        for name in dict.fromkeys([*old, *new]):
            inner = members.get(name)
            yield from _differences(inner, old.get(name), new.get(name), (*path, name), REFUSED if inner else rule)
    elif rule == APPEND and isinstance(old, list) and isinstance(new, list) and new[: len(old)] == old:
        yield Change(path, f"{len(old)} entries", f"{len(new)} entries", allowed=True)
    else:
        yield Change(path, old, new, allowed=rule == NOW)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
