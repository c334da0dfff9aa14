"""A changed ``param.json`` on resume: field by field, and what becomes of it."""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dargs
from typing_extensions import override

from dpgen2_hpc import kinds
from dpgen2_hpc.errors import spelled
from dpgen2_hpc.inputs.options import EMPTY
from dpgen2_hpc.inputs.read import KeyPath
from dpgen2_hpc.kinds import Rule

log = logging.getLogger(__name__)

"""The classes of a change, see :data:`dpgen2_hpc.kinds.CHANGES`."""


WIDER: Sequence[tuple[str, Any, Any]] = (("fmt", "lammps/lmp", "auto"),)
"""Keys with an earlier value and one that means the same for the files that there were: lists of files in the older
dialects were read as LAMMPS's data alone."""


class _Absent:
    """Stands for a value that is not there."""

    @override
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


@dataclass(frozen=True)
class Change:
    """One field that differs, and the class of its change; of a text ``details`` are the settings that differ in it."""

    path: KeyPath
    old: Any
    new: Any
    rule: Rule
    details: tuple[str, ...] = ()

    @override
    def __str__(self) -> str:
        return f"{spelled(self.path)}: {'; '.join(self.details) or _contrast(self.old, self.new)}"


def changes(tree: dargs.Argument, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return what differs between two understood inputs; the class of each field stands in the tree."""
    return list(_differences(tree, old, new, (), Rule.REFUSED))


def relaxed(found: Sequence[Change], old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return changes of which those that no label depends on may be followed at once: how a code converges, and runs.

    The labeler says what of its settings the labels depend on (``physics``). Each change is looked at by itself, so
    that of several the one to blame is named, and in a text the settings to blame. Those that may be followed must also
    be harmless all together: a setting that another one overrides is not physics until the other one is gone.
    """
    if old.get("fp", {}).get("type") != new.get("fp", {}).get("type") or "type" not in new.get("fp", {}):
        return list(found)
    physics = kinds.load("fp", new["fp"]["type"]).physics
    result = [_relaxed(change, old, physics) for change in found]
    harmless = [change for before, change in zip(found, result, strict=True) if before.rule != change.rule]
    if len(harmless) < 2:
        return result
    parts = _physics_of_both(harmless, old, physics)
    return result if parts is not None and parts[0] == parts[1] else list(found)


def _relaxed(change: Change, old: Mapping[str, Any], physics: Callable[[Mapping[str, Any]], Any]) -> Change:
    if change.rule != Rule.LABELS or change.path[:2] != ("fp", "inputs_config"):
        return change
    parts = _physics_of_both([change], old, physics)
    if parts is None:
        return change
    before, after = parts
    if before == after:
        return replace(change, rule=Rule.NOW)
    is_text = isinstance(change.old, str) and isinstance(change.new, str) and "\n" in change.old + change.new
    return replace(change, details=tuple(_leaves(before, after))) if is_text else change


def _physics_of_both(
    made: Sequence[Change], old: Mapping[str, Any], physics: Callable[[Mapping[str, Any]], Any]
) -> tuple[Any, Any] | None:
    """Return what labels depend on before and after changes, or ``None`` if the labeler cannot say."""
    try:
        return physics(old["fp"]), physics(_with(old, made)["fp"])
    except Exception:  # a labeler of another package; without an answer no change is relaxed
        names = ", ".join(spelled(change.path) for change in made)
        log.warning("%s: the labeler cannot say what labels depend on", names or "fp", exc_info=True)
        return None


def _with(value: Mapping[str, Any], made: Sequence[Change]) -> dict[str, Any]:
    """Return an understood input in which these changes alone have been made."""
    return held_back(value, [replace(change, old=change.new, new=change.old) for change in made])


def _leaves(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Yield where two values of one form differ, each leaf by itself: ``ENCUT = 300 → ENCUT = 400``."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _leaves(old.get(key, ABSENT), new.get(key, ABSENT), str(key))
    elif isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        for before, after in zip(old, new, strict=True):
            yield from _leaves(before, after, name)
    elif isinstance(old, list) and isinstance(new, list) and not _are_words(old + new):
        for before, after in _paired(old, new):
            yield from _leaves(before, after, name)
    else:
        yield f"{_leaf(old, name)} → {_leaf(new, name)}"


def _paired(old: list[Any], new: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the entries that only one of two lists has, with those of the other that begin with the same word."""
    come = [entry for entry in new if entry not in old]
    for entry in (entry for entry in old if entry not in new):
        other = next((index for index, one in enumerate(come) if one[:1] == entry[:1]), None)
        yield entry, ABSENT if other is None else come.pop(other)
    yield from ((ABSENT, entry) for entry in come)


def _are_words(entries: list[Any]) -> bool:
    return all(isinstance(entry, str | int | float) for entry in entries)


def _leaf(value: Any, name: str) -> str:
    if value is ABSENT:
        return repr(value)
    if isinstance(value, list) and _are_words(value):
        return " ".join(map(str, value))[:60]
    text = value if isinstance(value, str) and len(value) <= 60 else _short(value)
    return f"{name} = {text}" if name else text


def rules(tree: dargs.Argument) -> Iterator[tuple[KeyPath, Any, Rule]]:
    """Yield path, argument and class of every argument below ``tree``; a type's name stands in the path as ``[dp]``."""
    yield from _rules(tree, (), Rule.REFUSED)


def _rules(argument: Any, path: KeyPath, rule: Rule) -> Iterator[tuple[KeyPath, Any, Rule]]:
    for member in argument.sub_fields.values():
        own = rule_of(member, rule)
        yield (*path, member.name), member, own
        yield from _rules(member, (*path, member.name), Rule.REFUSED if own == Rule.APPEND else own)
    for variant in argument.sub_variants.values():
        for choice in variant.choice_dict.values():
            yield from _rules(choice, (*path, f"[{choice.name}]"), rule)


def rule_of(argument: Any, above: Rule) -> Rule:
    """Return the class of an argument: its own, or that of the key above it."""
    return getattr(argument, "change", None) or above


def held_back(value: Mapping[str, Any], held: Sequence[Change]) -> dict[str, Any]:
    """Return an understood input in which some changes have not been made."""
    result: dict[str, Any] = copy.deepcopy(dict(value))
    for change in held:
        part: Any = result
        for step in change.path[:-1]:
            part = part[step]
        if change.old is ABSENT:
            del part[change.path[-1]]
        else:
            part[change.path[-1]] = copy.deepcopy(change.old)
    return result


def _differences(argument: Any, old: Any, new: Any, path: KeyPath, above: Rule) -> Iterator[Change]:
    rule = rule_of(argument, above)
    if old == new or (_says_nothing(old) and _says_nothing(new)) or (path and (path[-1], old, new) in WIDER):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        members = _members(argument, old, new)
        for name in dict.fromkeys([*old, *new]):
            yield from _differences(
                members.get(name), old.get(name, ABSENT), new.get(name, ABSENT), (*path, name), rule
            )
    elif _is_structure(old) and _is_structure(new) and (rule == Rule.APPEND or len(old) == len(new)):
        yield from _list_differences(argument, old, new, path, rule)
    else:
        yield Change(path, old, new, Rule.REFUSED if rule == Rule.APPEND else rule)


def _says_nothing(value: Any) -> bool:
    """Whether a key is not given; older versions did not write each out, and kept the empty values of the file."""
    return value is ABSENT or value in EMPTY


def _list_differences(argument: Any, old: list[Any], new: list[Any], path: KeyPath, rule: Rule) -> Iterator[Change]:
    """Yield what differs between the entries of two lists, and whether there are more of them or fewer."""
    inside = Rule.REFUSED if rule == Rule.APPEND else rule
    for index, (before, after) in enumerate(zip(old, new, strict=False)):
        for change in _differences(argument, before, after, (*path, index), inside):
            yield Change(change.path, change.old, change.new, inside if rule == Rule.APPEND else change.rule)
    if len(old) != len(new):
        counts = f"{len(old)} entries", f"{len(new)} entries"
        yield Change(path, *counts, Rule.APPEND if len(new) > len(old) else Rule.REFUSED)


def _is_structure(value: Any) -> bool:
    """Whether a value is a list that has objects or lists in it, which are compared one by one."""
    return isinstance(value, list) and any(isinstance(entry, dict | list) for entry in value)


def _members(argument: Any, *values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an object by name, those of the types included that the values have."""
    members = dict(getattr(argument, "sub_fields", {}))
    for variant in getattr(argument, "sub_variants", {}).values():
        for value in values:
            choice = variant.choice_dict.get(value.get(variant.flag_name, variant.default_tag))
            members |= choice.sub_fields if choice else {}
    return members


def _contrast(old: Any, new: Any) -> str:
    """Return both values, of long texts the first line that differs."""
    if isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        lines = [[*text.splitlines(), ABSENT] for text in (old, new)]
        for number, (before, after) in enumerate(zip(*lines, strict=False), 1):
            if before != after:
                return f"line {number}: {_short(before)} → {_short(after)}"
    return f"{_short(old)} → {_short(new)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
