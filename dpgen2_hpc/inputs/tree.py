"""The walk along a tree of arguments: every fault of a document at once, and what it means with defaults filled in.

dargs describes the tree; its own check stops at the first fault, and takes NaN and bools for numbers.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import ge, gt, le, lt
from typing import Any

import dargs

from dpgen2_hpc.errors import Fault
from dpgen2_hpc.inputs.faults import expected, finite, found, nearest, quoted, unit, unknown
from dpgen2_hpc.inputs.options import NO_DEFAULT, fits, members, options, says_nothing
from dpgen2_hpc.inputs.read import COMMENT, Document, KeyPath
from dpgen2_hpc.kinds import Key

TO_FILL = "FILL IN:"
"""What the places begin with that ``init`` leaves open."""

NOTHING_LATER: Mapping[str, Sequence[str]] = {}
NOT_YET = "is not available yet in this version"
LIMITS = (
    ("minimum", "at least", ge),
    ("maximum", "at most", le),
    ("above", "more than", gt),
    ("below", "less than", lt),
)


@dataclass(frozen=True)
class Walked:
    """What a document means, and what is wrong with it; ``origins`` lead from names to the aliases that it has."""

    value: dict[str, Any]
    faults: list[Fault]
    origins: Mapping[KeyPath, KeyPath]


def normalize(
    root: dargs.Argument, document: Document, later: Mapping[str, Sequence[str]] = NOTHING_LATER
) -> tuple[dict[str, Any], list[Fault]]:
    """Return value and faults of :func:`walk`."""
    walked = walk(root, document, later)
    return walked.value, walked.faults


def walk(root: dargs.Argument, document: Document, later: Mapping[str, Sequence[str]] = NOTHING_LATER) -> Walked:
    """Return what a document means along the tree under ``root``, and all that is wrong with it.

    In the new dictionary defaults are filled in, aliases have become the names they stand for, keys that begin with
    ``_`` are gone, an optional key that is ``null`` has its default, and integers are floats where the tree has floats.
    A value with a fault is left out, and so is a list or a plain object that has one; an object with arguments keeps
    its other members. The faults are in the order of the file.

    Parameters
    ----------
    root
        The argument for the whole document; its own name does not appear in paths.
    later
        Types that a ``Variant`` does not offer yet, by the name of the argument that has the variant.
    """
    way = _Walk(document, later)
    result = way.value(root, document.value, ())
    return Walked(result if isinstance(result, dict) else {}, in_order(way.faults), way.origins)


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Return faults, each once, in the order of the file."""
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.line or 0, fault.column or 0))


@dataclass
class _Shape:
    """What an object may hold once its variants are chosen: ``flags`` has the tags, ``None`` for one not understood.

    ``hint`` knows what to write instead of some unknown keys.
    """

    arguments: list[dargs.Argument] = field(default_factory=list)
    flags: dict[str, str | None] = field(default_factory=dict)
    hint: Callable[[str, Any], str | None] | None = None

    def owners(self) -> dict[str, dargs.Argument]:
        """Return the argument that each name or alias belongs to; a name is stronger than another one's alias."""
        aliases = {alias: argument for argument in self.arguments for alias in argument.alias}
        return aliases | {argument.name: argument for argument in self.arguments}


class _Walk:
    """One walk: the document that it goes through, and the faults that it has met."""

    def __init__(self, document: Document, later: Mapping[str, Sequence[str]]) -> None:
        self.document, self.later = document, later
        self.faults: list[Fault] = []
        self.origins: dict[KeyPath, KeyPath] = {}

    def fault(self, path: KeyPath, message: str) -> None:
        """Note a fault at the place of ``path``, or of the nearest thing above it that the file has."""
        self.faults.append(self.document.fault(path, message))

    # ---- values

    def value(self, argument: dargs.Argument, value: Any, path: KeyPath) -> Any:
        """Return the value of ``argument``, completed; ``NO_DEFAULT`` where nothing of it can be kept."""
        before = len(self.faults)
        if argument.sub_fields or argument.sub_variants:
            branch = partial(self.object, argument)
            result = self.typed(value, options(argument), path, branch, named=argument.repeat)
        else:
            result = self.typed(value, options(argument), path)
            self.limits(argument, value, path)
            result = result if len(self.faults) == before else NO_DEFAULT
        if len(self.faults) == before and argument.extra_check and not argument.extra_check(result):
            self.fault(path, argument.extra_check_errmsg or f"{found(value)} is not allowed here")
            return NO_DEFAULT
        return result

    def typed(
        self,
        value: Any,
        options: Sequence[Any],
        path: KeyPath,
        branch: Callable[[dict[str, Any], KeyPath], Any] | None = None,
        *,
        named: bool = False,
    ) -> Any:
        """Return a value that is one of ``options``, down to the elements of its lists; ``NO_DEFAULT`` if it is none.

        ``branch`` walks an object that has arguments of its own; ``named``: such objects stand under names.
        """
        if isinstance(value, str) and value.startswith(TO_FILL):
            self.fault(path, f"is still to be filled in:{value.removeprefix(TO_FILL)}")
            return NO_DEFAULT
        if not any(fits(value, option) for option in options):
            hint = f": write {value:.0f}" if int in options and _is_whole(value) else ""
            self.fault(path, f"expected {expected(options)}, found {found(value)}{hint}")
            return NO_DEFAULT
        if isinstance(value, dict) and branch and not named:
            return branch(value, path)
        if isinstance(value, list | dict):
            return self.entries(value, members(options, type(value)), path, branch)
        return float(value) if type(value) is int and float in options and int not in options else value

    def entries(
        self,
        value: list[Any] | dict[str, Any],
        options: Sequence[Any],
        path: KeyPath,
        branch: Callable[[dict[str, Any], KeyPath], Any] | None,
    ) -> Any:
        """Return a list or a plain object with its entries completed; ``NO_DEFAULT`` if one of them cannot be kept."""
        pairs = enumerate(value) if isinstance(value, list) else _no_comments(value)
        entries = {key: self.typed(item, options, (*path, key), branch) for key, item in pairs}
        if any(entry is NO_DEFAULT for entry in entries.values()):
            return NO_DEFAULT
        return list(entries.values()) if isinstance(value, list) else entries

    def limits(self, argument: dargs.Argument, value: Any, path: KeyPath) -> None:
        """Note each number out of bounds and each word that is not among the choices."""
        if isinstance(argument, Key):
            for place, leaf in _leaves(value, path):
                for message in _breaches(argument, leaf):
                    self.fault(place, message)

    # ---- objects

    def object(self, argument: dargs.Argument, value: dict[str, Any], path: KeyPath) -> dict[str, Any]:
        """Return the object that ``argument`` describes, completed.

        Of an object whose type is not available yet, members with a default type are left out: theirs would be another.
        """
        shape = self.shape(argument, value, path)
        given, misspelt = self.given(shape, value, path)
        result: dict[str, Any] = {flag: tag for flag, tag in shape.flags.items() if tag is not None}
        is_later = any(value.get(flag) in self.later.get(argument.name, ()) for flag in shape.flags)
        for member in shape.arguments:
            if is_later and any(variant.optional for variant in member.sub_variants.values()):
                continue
            if member.optional and member.name in misspelt - set(given):
                continue  # its default is surely not what is meant
            held = self.member(member, given.get(member.name, []), value, path)
            if held is not NO_DEFAULT:
                result[member.name] = held
        return result

    def member(self, argument: dargs.Argument, keys: Sequence[str], value: dict[str, Any], path: KeyPath) -> Any:
        """Return the member that stands under ``keys``, or its default; ``NO_DEFAULT`` where there is none."""
        keys = [key for key in keys if not says_nothing(argument, value[key])]
        if len(keys) > 1:
            names = " and ".join(repr(key) for key in keys)
            self.fault((*path, keys[1]), f"{names} are the same key: give only one of them")
        elif keys and _is_later(argument, value[keys[0]]):
            default = json.dumps(argument.default, ensure_ascii=False)
            self.fault((*path, keys[0]), f"'{keys[0]}' {NOT_YET}: leave it out (its default is {default})")
        elif keys:
            if keys[0] != argument.name:
                self.origins[*path, argument.name] = (*path, keys[0])
            return self.value(argument, value[keys[0]], (*path, keys[0]))
        elif not argument.optional:
            self.fault((*path, argument.name), f"this key is missing: expected {expected(options(argument))}")
        elif argument.default is not NO_DEFAULT:
            return self.value(argument, argument.default, (*path, argument.name))
        return NO_DEFAULT

    def given(self, shape: _Shape, value: dict[str, Any], path: KeyPath) -> tuple[dict[str, list[str]], frozenset[str]]:
        """Return the keys that an object has for each argument; and note those that it has for none.

        With them come the arguments that the unknown ones look like.
        """
        owners = shape.owners()
        given: dict[str, list[str]] = {}
        meant: set[str] = set()
        known = [*shape.flags, *(argument.name for argument in shape.arguments if getattr(argument, "available", True))]
        for key, _ in _no_comments(value):
            if key in owners:
                given.setdefault(owners[key].name, []).append(key)
            elif key not in shape.flags and None not in shape.flags.values():
                better = _better_place(shape, path, key, value[key])
                self.fault((*path, key), better or unknown("key", key, known, owners))
                near = nearest(key, [*owners, *known])
                meant |= {owners[near].name} if near in owners else set()
        return given, frozenset(meant)

    def shape(self, argument: dargs.Argument, value: dict[str, Any], path: KeyPath) -> _Shape:
        """Return what an object may hold: the arguments, and those of the choice that each variant's flag makes."""
        shape = _Shape(list(argument.sub_fields.values()), hint=getattr(argument, "hint", None))
        for variant in argument.sub_variants.values():
            choice = self.choice(variant, argument.name, value, path)
            shape.flags[variant.flag_name] = choice.name if choice else None
            if choice:
                below = self.shape(choice, value, path)
                shape.arguments += below.arguments
                shape.flags |= below.flags
        return shape

    def choice(self, variant: dargs.Variant, owner: str, value: dict[str, Any], path: KeyPath) -> dargs.Argument | None:
        """Return the choice that the flag in ``value`` makes, or note why there is none."""
        flag = variant.flag_name
        tag = value.get(flag)
        if tag is None and variant.optional:
            return variant.choice_dict[variant.default_tag]
        name = variant.choice_alias.get(tag, tag) if isinstance(tag, str) else None
        if name in variant.choice_dict:
            return variant.choice_dict[name]
        self.fault((*path, flag), _no_choice(variant, value, self.later.get(owner, ())))
        return None


# ---- what needs no walk


def _better_place(shape: _Shape, path: KeyPath, key: str, value: Any) -> str | None:
    """Return where an unknown key belongs: where the hint says, or in one of the objects below; else ``None``."""
    hint = shape.hint(key, value) if shape.hint else None
    if hint:
        return f"unknown key {quoted(key)}: {hint}"
    inside = ((argument.name, {*argument.sub_fields, *argument.sub_variants}) for argument in shape.arguments)
    home = next((name for name, keys in inside if key in keys), None)
    if home is None:
        return None
    place = ".".join([*map(str, path[-1:]), home])
    return f"unknown key {quoted(key)} here: it belongs in {place}"


def _is_whole(value: Any) -> bool:
    """Whether a value is a whole number that was written with a point or an exponent."""
    return isinstance(value, float) and finite(value) and abs(value) < 1e15 and value.is_integer()


def _no_choice(variant: dargs.Variant, value: dict[str, Any], later: Sequence[str]) -> str:
    flag, known = variant.flag_name, list(variant.choice_dict)
    if flag not in value:
        return f"this key is missing: choose from {', '.join(known)}"
    tag = value[flag]
    if not isinstance(tag, str):
        return f"expected a string, found {found(tag)}"
    if tag in later:
        return f"{quoted(tag)} {NOT_YET}: choose from {', '.join(known)}"
    return unknown(flag, tag, known, [*variant.choice_alias, *later])


def _is_later(argument: dargs.Argument, value: Any) -> bool:
    """Whether the value asks for what is not there yet; files that spell out the default ask for nothing."""
    return isinstance(argument, Key) and not argument.available and value != argument.default


def _no_comments(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, item) for key, item in value.items() if not key.startswith(COMMENT))


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield every value that is neither a list nor an object, with its path."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in _no_comments(value):
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def _breaches(key: Key, leaf: Any) -> Iterator[str]:
    """Yield the limits of ``key`` that a word or a number does not keep."""
    if isinstance(leaf, str) and key.choices is not None and leaf not in key.choices:
        later = f"{quoted(leaf)} {NOT_YET}: choose from {', '.join(key.choices)}"
        yield later if leaf in key.later else unknown("value", leaf, key.choices)
    if type(leaf) in (int, float) and finite(leaf):
        for name, words, holds in LIMITS:
            bound = getattr(key, name)
            if bound is not None and not holds(leaf, bound):
                yield f"must be {words} {bound}{unit(key.doc)}, found {leaf}"
