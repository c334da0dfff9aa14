"""What the settings of labelers have in common."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dpgen2_hpc.data.elements import element_of
from dpgen2_hpc.inputs.incar import WIDEST
from dpgen2_hpc.kinds import CheckContext, Key, Problem

NOTHING = type(None)

FOLLOWED = "the run follows this change at any time; then: dpgen2-hpc retry KEY"
"""Ends a remedy for labels that have not converged."""


def run_config(command: str | None, doc: str, *more: Key) -> Key:
    """Return the key ``run_config`` of a labeler; ``doc`` says what its command is."""
    dtype = str if isinstance(command, str) else [str, NOTHING]
    return Key(
        "run_config",
        dict,
        "How the code is run.",
        optional=True,
        default={},
        sub_fields=[
            Key("command", dtype, doc, optional=True, default=command, change="now"),
            _without_meaning("out", "The labels stand in labels/ of the step's folder."),
            _without_meaning("log", "What a task prints stands in its task.log."),
            *more,
        ],
    )


def text_file(name: str, doc: str) -> Key:
    """Return the optional key of a text file."""
    return Key(name, [str, NOTHING], doc, optional=True, default=None)


def _without_meaning(name: str, doc: str) -> Key:
    """Return a key of DPGEN2 that this program needs no word for."""
    return Key(name, [str, NOTHING], f"No meaning here. {doc}", optional=True, default=None, change="now")


def files(name: str, doc: str) -> Key:
    """Return the key of a file for each element."""
    return Key(name, dict[str, str], doc)


def kspacing(doc: str) -> Key:
    """Return the key of the distance between k points."""
    dtype = [float, list[float], NOTHING]
    return Key("kspacing", dtype, doc, optional=True, default=None, above=0, maximum=WIDEST)


def three(spacing: float | Sequence[float] | None) -> tuple[float, ...] | None:
    """Return a distance for each reciprocal vector, as many as were given where that is not one; ``None`` for none."""
    if spacing is None:
        return None
    return (float(spacing),) * 3 if isinstance(spacing, int | float) else tuple(float(one) for one in spacing)


def absolute(settings: Mapping[str, Any], folder: Path, *keys: tuple[str, str]) -> dict[str, Any]:
    """Return the settings with absolute paths under these keys of a part: a path, a list or an object of paths."""
    result = {name: dict(entry) if isinstance(entry, dict) else entry for name, entry in settings.items()}
    for part, key in keys:
        result[part][key] = _absolute(result[part][key], folder)
    return result


def _absolute(entry: Any, folder: Path) -> Any:
    if isinstance(entry, dict):
        return {name: str(folder / path) for name, path in entry.items()}
    if isinstance(entry, list):
        return [str(folder / path) for path in entry]
    return entry if entry is None else str(folder / entry)


def upf_element(path: str) -> str | None:
    """Return the element that a UPF is for, as either version of the format says it; ``None``: it does not say."""
    head = Path(path).read_text(errors="replace")[:20000]
    found = re.search(r'\belement\s*=\s*"\s*(\w+)\s*"', head) or re.search(
        r"^\s*(\w+)\s+Element\s*$", head, re.MULTILINE
    )
    return found[1] if found else None


def other_element_problems(pp_files: Mapping[str, str]) -> Iterator[Problem]:
    """Yield each pseudopotential that says itself that it is another element's."""
    for element, path in pp_files.items():
        said = upf_element(path) if Path(path).is_file() else None
        if said not in (None, element_of(element)):
            yield ("inputs_config", "pp_files", element), f"'{path}' is a pseudopotential of {said}, not of {element}"


def file_problems(name: str, given: Mapping[str, str], context: CheckContext) -> Iterator[Problem]:
    """Yield each element without a file under ``inputs_config.name``, and each file that cannot be read."""
    for element in context.lacking(given):
        yield ("inputs_config", name), f"has no file for {element}, which the configurations have"
    for element, path in given.items():
        if not context.has_file(path):
            yield ("inputs_config", name, element), f"there is no file '{path}'"


def list_problems(name: str, given: Sequence[str], context: CheckContext) -> Iterator[Problem]:
    """Yield each file of the list ``inputs_config.name`` that is not there."""
    for number, path in enumerate(given):
        if not context.has_file(path):
            yield ("inputs_config", name, number), f"there is no file '{path}'"


def kspacing_problems(spacing: Sequence[float] | None) -> Iterator[Problem]:
    """Yield a distance between k points that is given for another number of vectors than three."""
    if spacing is not None and len(spacing) != 3:
        yield ("inputs_config", "kspacing"), f"has {len(spacing)} numbers; expected is one, or three"


def clash_problems(name: str, given: Mapping[str, str]) -> Iterator[Problem]:
    """Yield files of different folders that have one name: ``shared/`` can hold one of them."""
    seen: dict[str, str] = {}
    for element, path in given.items():
        other = seen.setdefault(Path(path).name, path)
        if other != path:
            yield ("inputs_config", name, element), f"has the name of '{other}', and is another file: rename one"
