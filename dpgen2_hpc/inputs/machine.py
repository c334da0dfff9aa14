"""``machine.json``: where each step runs, and how many failures it bears."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dargs

from dpgen2_hpc.errors import Fault, InputError
from dpgen2_hpc.inputs.read import Document, KeyPath, read_json
from dpgen2_hpc.inputs.tree import normalize
from dpgen2_hpc.kinds import Key

SECTIONS = ("train", "explore", "fp")

Check = Callable[[Mapping[str, Any], Mapping[str, Any]], list[tuple[tuple[str, ...], str]]]


@dataclass(frozen=True)
class MachineTrees:
    """What the queue's side knows of a section: the trees of its parts, and a check across them."""

    machine: Any
    resources: Any
    policy: Sequence[dargs.Argument]
    check: Check


def load_machine(path: Path, trees: MachineTrees) -> dict[str, dict[str, Any]]:
    """Read ``machine.json`` and return its three sections, ``default`` filled in.

    Raises
    ------
    InputError
        Everything that is wrong with it.
    """
    written = read_json(path)
    document = merged(written)
    value, faults = normalize(_root(trees), document)
    if not faults:
        faults = list(_across(document, value, trees.check))
    if faults:
        raise InputError(list(dict.fromkeys(_at_its_origin(written, fault) for fault in faults)))
    return value


def _at_its_origin(written: Document, fault: Fault) -> Fault:
    """Return the fault with the path that the file has: what three sections inherit is one fault of ``default``."""
    places = {place for path, place in written.places.items() if path[:1] == ("default",)}
    inherited = (fault.line, fault.column) in places
    return replace(fault, path=("default", *fault.path[1:])) if inherited else fault


def merged(document: Document) -> Document:
    """Return the document with ``default`` put into each section, and DP-GEN's name ``model_devi`` replaced.

    What comes from ``default`` keeps its place in the file, so that a fault in it points there.
    """
    value = {"explore" if key == "model_devi" else key: entry for key, entry in document.value.items()}
    if "explore" in document.value and "model_devi" in document.value:
        place = document.places.get(("model_devi",), (None, None))
        text = "'explore' and 'model_devi' are the same section: give only one of them"
        raise InputError([Fault(document.file, ("model_devi",), text, *place)])
    renamed = {_renamed(path): place for path, place in document.places.items()}
    default, places = value.get("default"), dict(renamed)
    if isinstance(default, dict):
        del value["default"]
        for section in SECTIONS:
            value[section] = _overlaid(default, value.get(section, {}))
        for path, place in renamed.items():
            for section in SECTIONS if path[:1] == ("default",) else ():
                places.setdefault((section, *path[1:]), place)
    return Document(document.file, value, places)


def _renamed(path: KeyPath) -> KeyPath:
    return ("explore", *path[1:]) if path[:1] == ("model_devi",) else path


def _overlaid(default: Mapping[str, Any], section: Any) -> Any:
    """Return ``default`` with the keys of ``section`` over it; objects one level down are overlaid in turn."""
    if not isinstance(section, dict):
        return section
    result = {**default, **section}
    for key in ("machine", "resources"):
        if isinstance(default.get(key), dict) and isinstance(section.get(key), dict):
            result[key] = {**default[key], **section[key]}
    return result


def _root(trees: MachineTrees) -> dargs.Argument:
    return dargs.Argument("machine", dict, sub_fields=[_section(name, trees) for name in SECTIONS])


def _section(name: str, trees: MachineTrees) -> Key:
    nothing = type(None)
    return Key(
        name,
        dict,
        f"Where {name} runs.",
        change="now",
        sub_fields=[
            Key("command", [str, nothing], "The program; comes before param.json's.", optional=True, default=None),
            trees.machine,
            trees.resources,
            *trees.policy,
            Key("user_forward_files", list, "", optional=True, default=[], available=False),
            Key("user_backward_files", list, "", optional=True, default=[], available=False),
        ],
    )


def _across(document: Document, value: Mapping[str, Any], check: Check) -> Iterator[Fault]:
    for section in SECTIONS:
        for place, text in check(value[section]["machine"], value[section]["resources"]):
            path = (section, *place)
            where = document.places.get(path) or document.places.get((section,)) or (None, None)
            yield Fault(document.file, path, text, *where)
