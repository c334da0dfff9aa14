"""Settings that may change at any time: how a code converges and runs is not physics, since no label depends on it.

Each function returns what a label does depend on, in a form in which comments, blanks and the order of keys do not
count. The tables are in :mod:`dpgen2_hpc.fp.running_keys`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dpgen2_hpc.fp import cp2k_input, namelists, sections
from dpgen2_hpc.fp import running_keys as keys
from dpgen2_hpc.inputs.incar import tags


def vasp(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how VASP runs."""
    found = tags(inputs["incar"]).items()
    return {**inputs, "incar": {tag: " ".join(value.split()) for tag, value in found if not _says_how(tag, value)}}


def _says_how(tag: str, value: str) -> bool:
    """Return whether no label depends on a tag of INCAR that has this value."""
    word = value.split(maxsplit=1)[0].lower()
    if tag == "ALGO":
        return word != "no" and any(name.startswith(word) for name in keys.VASP_ALGO)
    return tag in keys.VASP or tag in keys.VASP_MOTION or word in keys.VASP_START.get(tag, ())


def pwscf(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how pw.x runs."""
    result = dict(inputs)
    if inputs.get("template"):
        lists, cards = namelists.parse(inputs["template"])
        words = {card: list(_words_of_card(text)) for card, text in cards.items() if card not in keys.PWSCF_CARDS}
        read = {part: entries for part, entries in lists.items() if part not in keys.PWSCF_UNREAD}
        kept = {part: _without(entries, keys.PWSCF.get(part, frozenset())) for part, entries in read.items()}
        result["template"] = {part: entries for part, entries in kept.items() if entries}, words
    for part, names in keys.PWSCF.items():
        result[part] = _without(result.get(part) or {}, names)
    return result


def cp2k(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how CP2K runs."""
    root = sections.parse(inputs["inp_file"] or "")
    sections.merge(root, inputs["sections"])
    return {**inputs, "inp_file": _section(cp2k_input.without_own_atoms(root), ()), "sections": None}


def abacus(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how ABACUS runs."""
    lines = (re.split(r"#|//", line)[0].split(None, 1) for line in inputs["input_file"].splitlines())
    words = {line[0].lower(): line[1].split() for line in lines if len(line) == 2}
    kept = {word: value for word, value in words.items() if not _is_how_abacus_runs(word, value)}
    kpt = inputs.get("kpt_file")
    return {**inputs, "input_file": kept, "kpt_file": kpt.split() if isinstance(kpt, str) else kpt}


def _is_how_abacus_runs(word: str, value: list[str]) -> bool:
    if word == "ks_solver":
        return value[0].lower() in keys.ABACUS_SOLVERS
    return word in keys.ABACUS or word.startswith("out_")


def gaussian(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how Gaussian runs."""
    routes = [inputs["keywords"]] if isinstance(inputs["keywords"], str) else list(inputs["keywords"])
    return {**_without(inputs, frozenset({"nproc", "mem", "%mem"})), "keywords": [_route(route) for route in routes]}


def ase(inputs: Mapping[str, Any]) -> Any:
    """Return the settings without what only says how the calculator runs."""
    return {**inputs, "kwargs": _without(inputs["kwargs"], keys.STEPS)}


def _words_of_card(text: str) -> Iterator[str]:
    """Yield the words of a card of pw.x, without lines that are comments."""
    for line in text.splitlines():
        if not line.startswith("#"):
            yield from line.split()


def _without(entries: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    kept = {name: value for name, value in entries.items() if name.lower() not in names}
    return {name: " ".join(value.split()) if isinstance(value, str) else value for name, value in kept.items()}


def _section(section: sections.Section, path: tuple[str, ...]) -> Any:
    """Return a section as a value, without the keywords and sections of the tables.

    Lines of one keyword keep their order: CP2K searches several basis set files in the order in which they are named.
    """
    dropped = keys.CP2K_KEYWORDS.get(path, frozenset())
    words = [[word.upper(), *rest] for word, *rest in map(str.split, section.lines)]
    lines = sorted((line for line in words if line[0] not in dropped), key=lambda line: line[0])
    inside = [(one.name.upper(), _section(one, (*path, one.name.upper()))) for one in section.sections]
    kept = [entry for entry in inside if not _is_how_cp2k_runs(path, *entry)]
    return section.parameter.upper(), lines, sorted(kept, key=_place_of_section)


def _is_how_cp2k_runs(path: tuple[str, ...], name: str, value: Any) -> bool:
    """Return whether no label depends on a section below ``path``; ``value`` is the one of :func:`_section`."""
    if name in keys.CP2K_SECTIONS.get(path, frozenset()):
        return name not in keys.CP2K_UNLESS or keys.CP2K_UNLESS[name] not in repr(value).upper()
    return (*path, name) in keys.CP2K_EMPTY and value == ("", [], [])


def _place_of_section(entry: tuple[str, Any]) -> tuple[str, str]:
    """Return what sections are sorted by; those of one name keep their order, but for those with names of their own."""
    name, (parameter, *_) = entry
    return name, parameter if name in sections.REPEATED else ""


def _route(route: str) -> str:
    """Return the words of a route in one order, without how much is printed and how the SCF cycle is walked."""
    text = re.sub(r"\s*([=,(])\s*", r"\1", route.lower())
    words = re.sub(r"\s+\)", ")", text).split()
    found = [(word, keys.GAUSSIAN_OPTIONS.fullmatch(word)) for word in words if word not in keys.GAUSSIAN_PRINT]
    rest = [word for word, options in found if options is None]
    chosen = [one for _, options in found if options for one in (options[1] or options[2]).split(",")]
    kept = sorted(one for one in chosen if not re.fullmatch(keys.GAUSSIAN_SCF, one))
    return " ".join([*sorted(rest), *([f"scf=({','.join(kept)})"] if kept else [])])
