"""JSON Schema of the input files, made from the argument trees: for completion and checks in an editor.

It knows types, bounds, names and types of plugins; what stands across keys only ``check`` knows.
"""

from collections.abc import Sequence
from types import NoneType
from typing import Any, get_args, get_origin

import dargs

from dpgen2_hpc.inputs.faults import alternatives
from dpgen2_hpc.inputs.options import EMPTY, NO_DEFAULT, options, says_nothing
from dpgen2_hpc.inputs.tree import NOT_YET
from dpgen2_hpc.kinds import Key

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", NoneType: "null"}
BOUNDS = {"minimum": "minimum", "maximum": "maximum", "above": "exclusiveMinimum", "below": "exclusiveMaximum"}
COMMENTS: dict[str, Any] = {"^_": {}}

Schema = dict[str, Any]


def schema(tree: dargs.Argument, title: str) -> Schema:
    """Return the schema of a whole file."""
    return {"$schema": DIALECT, "title": title, **_object(tree)}


def machine_schema(tree: dargs.Argument, title: str) -> Schema:
    """Return the schema of ``machine.json``, whose sections may be DP-GEN's lists, of which the first entry counts."""
    result = schema(tree, title)
    sections = [member for member in tree.sub_fields.values() if "machine" in member.sub_fields]
    names = list(dict.fromkeys(name for section in sections for name in (section.name, *section.alias)))
    result["$defs"] = {name: result["properties"][name] for name in names}
    for name in names:
        one = {"$ref": f"#/$defs/{name}"}
        listed = {"type": "array", "prefixItems": [one], "minItems": 1}
        result["properties"][name] = {"anyOf": [one, listed]}
    return result


def _argument(argument: Any) -> Schema:
    """Return the schema of a value."""
    result: Schema = {"description": " ".join(str(argument.doc).split())}
    if argument.default is not NO_DEFAULT:
        result["default"] = argument.default
    if isinstance(argument, Key) and not argument.available:
        text = f"This key {NOT_YET}. {result['description']}"
        return {**result, "description": text, "enum": [argument.default, *_unlike(argument.default, argument)]}
    choices = [_value(kind, argument) for kind in options(argument)]
    return result | _any([*choices, *_nothing(argument, choices)])


def _nothing(argument: Any, choices: Sequence[Schema]) -> list[Schema]:
    """Return the schema of ``null``, which means that an optional key is not given, unless it is there already."""
    null = {"type": NAMES[NoneType]}
    return [null] if argument.optional and null not in choices else []


def _unlike(value: Any, argument: Any) -> list[Any]:
    """Return the values, other than this one, that say that a key is not given."""
    return [empty for empty in EMPTY if empty != value and says_nothing(argument, empty)]


def _any(choices: Sequence[Schema]) -> Schema:
    return choices[0] if len(choices) == 1 else {"anyOf": list(choices)}


def _value(kind: Any, argument: Any) -> Schema:
    """Return the schema of a value of one type."""
    base = get_origin(kind) or kind
    if base is list:
        return {"type": "array", **({"items": _any(_members(kind, argument))} if get_args(kind) else {})}
    if base is dict:
        return _free_object(kind, argument)
    if base is object:
        return {}
    return {"type": NAMES[base], **_limits(base, argument)}


def _members(kind: Any, argument: Any) -> list[Schema]:
    return [_value(inner, argument) for inner in alternatives(get_args(kind)[-1:])]


def _free_object(kind: Any, argument: Any) -> Schema:
    """Return the schema of an object: with arguments of its own, or with values of one type under any names."""
    if (argument.sub_fields or argument.sub_variants) and not argument.repeat:
        return _object(argument)
    inner = alternatives(get_args(kind)[-1:])
    if not inner or inner == (object,):
        return {"type": "object"}
    return {
        "type": "object",
        "patternProperties": COMMENTS,
        "additionalProperties": _any([_value(one, argument) for one in inner]),
    }


def _limits(base: type, argument: Any) -> Schema:
    if base in (int, float):
        bounds = {word: getattr(argument, name, None) for name, word in BOUNDS.items()}
        return {word: bound for word, bound in bounds.items() if bound is not None}
    choices = getattr(argument, "choices", None)
    return {"enum": list(choices)} if base is str and choices else {}


# ---- objects --------------------------------------------------------------------------------------------------------


def _object(argument: Any) -> Schema:
    """Return the schema of an object with arguments; with types, an object for each of them."""
    members = list(argument.sub_fields.values())
    variants = list(argument.sub_variants.values())
    if not variants:
        return _plain(members)
    (variant,) = variants
    return _any([_typed(variant, choice, members) for choice in variant.choice_dict.values()])


def _typed(variant: Any, choice: Any, members: Sequence[Any]) -> Schema:
    names = [choice.name, *(alias for alias, name in variant.choice_alias.items() if name == choice.name)]
    result = _plain([*members, *choice.sub_fields.values()])
    flag: Schema = {"enum": names} if len(names) > 1 else {"const": choice.name}
    result["properties"] = {variant.flag_name: flag, **result["properties"]}
    if not (variant.optional and variant.default_tag == choice.name):
        result["required"] = [variant.flag_name, *result.get("required", [])]
    return result


def _plain(members: Sequence[Any]) -> Schema:
    """Return the schema of an object that has these keys and no other; an alias may stand for a name."""
    properties: Schema = {}
    required: list[str] = []
    either: list[Schema] = []
    for member in members:
        one = _argument(member)
        aliases = [alias for alias in member.alias if alias != member.name]
        properties |= {alias: {**one, "description": f"The same as {member.name}."} for alias in aliases}
        properties[member.name] = one
        if not member.optional and aliases:
            either.append({"anyOf": [{"required": [name]} for name in (member.name, *aliases)]})
        elif not member.optional:
            required.append(member.name)
    result: Schema = {
        "type": "object",
        "properties": properties,
        "patternProperties": COMMENTS,
        "additionalProperties": False,
    }
    return result | ({"required": required} if required else {}) | ({"allOf": either} if either else {})
