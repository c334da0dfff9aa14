"""``machine.json`` in one form, however it was written: three sections that are objects and inherit ``default``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dpgen2_hpc.errors import Fault
from dpgen2_hpc.inputs.read import Document, KeyPath
from dpgen2_hpc.state.steps import WITH_TASKS

SECTIONS = tuple(WITH_TASKS)
DEFAULT = "default"
IN_PARTS = ("machine", "resources", "template_config")
"""Objects of which a section may give a part and inherit the rest."""


@dataclass(frozen=True)
class Arranged:
    """The document in one form, and the way back to the file.

    ``own`` has what each section says itself; ``origin`` the path in the file of every path here; ``faults`` are those
    of the form, told with the paths of the file, and ``broken`` the sections that have them; ``notices`` are what is
    not followed of it.
    """

    document: Document
    own: Mapping[str, Any]
    origin: Mapping[KeyPath, KeyPath]
    faults: tuple[Fault, ...]
    broken: frozenset[str]
    notices: tuple[Fault, ...] = ()

    def fault(self, path: KeyPath, message: str) -> Fault:
        """Return a fault at the place of ``path``, or of the nearest thing above it that the file has."""
        return self.document.fault(path, message)

    def in_file(self, fault: Fault) -> Fault:
        """Return the fault with the path that the file has: ``train[0].machine``, or ``default.machine``."""
        end = next((end for end in range(len(fault.path), 0, -1) if fault.path[:end] in self.origin), 0)
        return replace(fault, path=(*self.origin.get(fault.path[:end], ()), *fault.path[end:]))

    def place(self, path: KeyPath) -> Fault:
        """Return where a path stands in the file, as a fault without a message."""
        return self.in_file(self.fault(path, ""))

    def below(self, name: str) -> Callable[[KeyPath], Fault]:
        """Return the function that tells where a path below a section stands in the file."""
        return lambda path: self.place((name, *path))


def arranged(written: Document) -> Arranged:
    """Return a file in one form: ``model_devi`` is ``explore``, a list is its first entry, ``default`` is inherited.

    What comes from ``default`` keeps its place in the file, so that a fault in it points there.
    """
    own, faults, broken, notices = {}, [], set(), []
    for top, entry in written.value.items():
        name = _name(top, written.value)
        is_section = name in (*SECTIONS, DEFAULT)
        if is_section and entry is None:
            continue
        own[name] = _first(entry) if is_section else entry
        if is_section and entry == []:
            faults.append(written.fault((top,), "is an empty list: write the machine of the step, as an object"))
            broken.add(name)
        elif is_section and isinstance(entry, list) and len(entry) > 1:
            notices.append(written.fault((top,), f"only the first of {len(entry)} machines is used, as DP-GEN does"))
    origin = {_here(path, written.value): path for path in written.places if not _is_beyond(path, written.value)}
    places = {here: written.places[path] for here, path in origin.items()}
    value = dict(own)
    default = own.get(DEFAULT)
    if isinstance(default, dict):
        for name in SECTIONS:
            value[name] = _inheriting(default, own.get(name, {}))
            for path in [path for path in origin if path[:1] == (DEFAULT,) and len(path) > 1]:
                if _at(own.get(name, {}), path[1:]) is None:
                    origin[name, *path[1:]], places[name, *path[1:]] = origin[path], places[path]
            places.setdefault((name,), places[DEFAULT,])
        value[DEFAULT] = _inheriting(value["train"] if isinstance(value["train"], dict) else {}, default)
    document = Document(written.file, value, places)
    return Arranged(document, own, origin, tuple(faults), frozenset(broken), tuple(notices))


def _name(top: str, value: Mapping[str, Any]) -> str:
    """Return our name of a key at the top; with both names given, ``model_devi`` stays for the walk to refuse."""
    return "explore" if top == "model_devi" and "explore" not in value else top


def _first(entry: Any) -> Any:
    """Return the first entry of DP-GEN's list, or anything else as it is."""
    return next(iter(entry), {}) if isinstance(entry, list) else entry


def _is_list_form(path: KeyPath, value: Mapping[str, Any]) -> bool:
    top = str(path[0]) if path else ""
    return _name(top, value) in (*SECTIONS, DEFAULT) and isinstance(value[top], list)


def _is_beyond(path: KeyPath, value: Mapping[str, Any]) -> bool:
    """Whether a path leads to another entry of a list than the first."""
    return len(path) > 1 and _is_list_form(path, value) and path[1] != 0


def _here(path: KeyPath, value: Mapping[str, Any]) -> KeyPath:
    if not path:
        return ()
    return (_name(str(path[0]), value), *path[2 if _is_list_form(path, value) else 1 :])


def _inheriting(default: Mapping[str, Any], section: Any) -> Any:
    """Return ``default`` with what ``section`` gives over it; ``null`` gives nothing."""
    if not isinstance(section, dict):
        return section
    result = _over(default, section)
    for key in IN_PARTS:
        if isinstance(default.get(key), dict) and isinstance(section.get(key), dict):
            result[key] = _over(default[key], section[key])
    return result


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    return {**below, **{key: value for key, value in above.items() if value is not None or key not in below}}


def _at(value: Any, path: KeyPath) -> Any:
    """Return what stands under a path of keys and indices, ``None`` where there is nothing."""
    for step in path:
        inside = isinstance(value, dict) and step in value
        if not inside and not (isinstance(value, list) and isinstance(step, int) and step < len(value)):
            return None
        value = value[step]
    return value
