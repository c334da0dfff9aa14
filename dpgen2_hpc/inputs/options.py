"""Which types the value of an argument may have, and when it means that the key is not given."""

from collections.abc import Sequence
from typing import Any, get_args, get_origin

import dargs

from dpgen2_hpc.inputs.faults import alternatives, finite

NO_DEFAULT = dargs.Argument("", str).default
"""What dargs has as the default of a key that has none."""

EMPTY: Sequence[Any] = (None, [], {}, "")
"""Values that say that a key is not given: ``null`` of every optional key, the others where its default is empty."""


def fits(value: Any, kind: Any) -> bool:
    """Return whether a JSON value is of a type, without a look at the members of a list or an object."""
    if not finite(value):
        return False
    return kind is object or type(value) is (get_origin(kind) or kind) or (kind is float and type(value) is int)


def says_nothing(argument: dargs.Argument, value: Any) -> bool:
    """Return whether a value of an optional key means that the key is not given."""
    if not argument.optional or value not in EMPTY:
        return False
    empty_by_default = argument.default is NO_DEFAULT or argument.default in EMPTY
    return value is None or (empty_by_default and any(fits(value, kind) for kind in options(argument)))


def options(argument: dargs.Argument) -> tuple[Any, ...]:
    """Return the types that a value may have; a repeated ``list`` is a ``list[dict]``, which dargs does not say."""
    options = alternatives(argument.dtype)
    if not argument.repeat:
        nested = any(_holds_objects(option) for option in options if _base(option) is list)
        return tuple(option for option in options if not (nested and option is dict))
    spelled_out = {get_origin(option) for option in options}
    meaning = {list: list[dict[str, Any]], dict: dict[str, dict[str, Any]]}
    return tuple(meaning.get(option, option) for option in options if option not in spelled_out)


def _holds_objects(kind: Any) -> bool:
    """Whether a type is an object, or a list of them, or of lists of them."""
    return _base(kind) is dict or (_base(kind) is list and any(map(_holds_objects, members([kind], list))))


def _base(kind: Any) -> Any:
    return get_origin(kind) or kind


def members(options: Sequence[Any], container: type) -> tuple[Any, ...]:
    """Return what the members of a ``container`` may be; a bare one holds anything."""
    inner = [get_args(option)[-1] for option in options if get_origin(option) is container]
    return alternatives(inner) or (object,)
