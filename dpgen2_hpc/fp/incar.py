"""INCAR: what a label must not say in it, and the lists that are written into it."""

from collections.abc import Iterator, Mapping
from typing import Any

from dpgen2_hpc.fp.writing import runs
from dpgen2_hpc.inputs.incar import number, numbers, tags, true
from dpgen2_hpc.kinds import CheckContext, Problem

BY_ATOM = ("MAGMOM", "M_CONSTR")
"""Tags with a value for each atom, or three with spins that are not collinear."""

WHOLE_STRESS = 2
"""From this ISIF on VASP calculates all of the stress."""

STILL = {"NSW": "0", "IBRION": "-1"}
"""Tags of INCAR for one step."""

_STILL = " and ".join(f"{tag} = {value}" for tag, value in STILL.items())

MANY_STEPS = (5, 6, 7, 8, 40, 44)
"""Values of IBRION for phonons, reaction paths and dimers."""

FIXED_CHARGE = 10
"""From this ICHARG on the cycle is not self-consistent."""

BY_SPECIES = (
    "LDAUL",
    "LDAUU",
    "LDAUJ",
    "ROPT",
    "RWIGS",
    "POMASS",
    "ZVAL",
    "VCA",
    "LANGEVIN_GAMMA",
    "LVDW_C6",
    "VDW_C6",
    "VDW_R0",
    "VDW_ALPHA",
    "QUAD_EFG",
    "NGYROMAG",
)
"""Tags with a value for each species of POSCAR."""


def problems(text: str, context: CheckContext) -> Iterator[str]:
    """Yield what an INCAR says that no label can follow."""
    found = tags(text)
    yield from _stress_problems(found)
    if (number(found.get("IBRION", "-1")) or 0) in MANY_STEPS:
        yield f"has IBRION = {found['IBRION']}, which takes more than one step whatever NSW says: leave it out"
    if (number(found.get("ICHARG", "2")) or 0) >= FIXED_CHARGE:
        yield f"has ICHARG = {found['ICHARG']}, which keeps the charge density as it is: leave it out"
    if true(found.get("ML_LMLFF", "F")):
        yield "has ML_LMLFF: VASP's force field would label in its place"
    for tag in (tag for tag in (*BY_ATOM, *BY_SPECIES) if tag in found and context.occurring.elements):
        symbols = context.occurring.symbols
        if symbols is None:
            yield (
                f"has {tag}, a list that fits one composition alone, and frames may have several: take it out and give "
                f'inputs_config.incar_lists: {{"{tag}": {{element: value}}}}'
            )
        elif len(numbers(found[tag])) != _expected(tag, symbols, found):
            yield (
                f"has {tag} with {len(numbers(found[tag]))} values; {_formula(symbols)} needs "
                f"{_expected(tag, symbols, found)}"
            )


def one_step(text: str) -> str:
    """Return an INCAR that leaves the atoms where they are: VASP takes the first of a tag."""
    lines = [f"{tag} = {value}\n" for tag, value in STILL.items()]
    return f"{''.join(lines)}{text}" if moves(text) else text


def moves(text: str) -> bool:
    """Return whether an INCAR asks for MD or a relaxation, whose first step is what a label is."""
    found = tags(text)
    return (number(found.get("NSW", "0")) or 0) > 0 or (number(found.get("IBRION", "-1")) or 0) >= 0


def notices(text: str, context: CheckContext) -> Iterator[str]:
    """Yield what of an INCAR labels do not follow, and that POSCAR has the elements in the order of ``type_map``."""
    motion = " and ".join(f"{tag} = {tags(text)[tag]}" for tag in STILL if tag in tags(text))
    if moves(text):
        verb = "is" if " and " not in motion else "are"
        yield f"{motion} {verb} for moving atoms: labels are computed with {_STILL}"
    for tag in (tag for tag in (*BY_ATOM, *BY_SPECIES) if tag in tags(text)):
        yield f"{tag} in the INCAR is taken in the order of type_map: {_formula(context.occurring.symbols or ())}"


def _formula(symbols: tuple[str, ...]) -> str:
    return " ".join(f"{symbol}{count}" for symbol, count in runs(symbols))


def _expected(tag: str, symbols: tuple[str, ...], found: Mapping[str, str]) -> int:
    """Return how many values a tag has for atoms in this order."""
    if tag in BY_SPECIES:
        return len(runs(symbols))
    vectors = tag == "M_CONSTR" or any(true(found.get(name, "F")) for name in ("LNONCOLLINEAR", "LSORBIT"))
    return len(symbols) * (3 if vectors else 1)


def list_problems(values: Mapping[str, Mapping[str, Any]], text: str, context: CheckContext) -> Iterator[Problem]:
    """Yield what is wrong with lists that are given by element; the paths are below ``incar_lists``."""
    for tag, by_element in values.items():
        missing = context.lacking(by_element)
        if tag.upper() != tag:
            yield (tag,), "must be in capitals, as VASP's tags are"
        elif missing:
            yield (tag,), f"has no value for {', '.join(missing)}"
        if tag.upper() in tags(text):
            yield (tag,), "is in the INCAR too, and VASP takes the first: take it out there"
        for element, value in by_element.items():
            entries = value if isinstance(value, list) and tag in BY_ATOM and len(value) == 3 else [value]
            if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in entries):
                yield (tag, element), "must be a number" + (", or three for a spin's vector" if tag in BY_ATOM else "")


def _stress_problems(found: Mapping[str, str]) -> Iterator[str]:
    """Yield why VASP would calculate no stress, or only its trace; for hybrids it does not by default."""
    isif = found.get("ISIF")
    if isif is not None and (number(isif) or 0) < WHOLE_STRESS:
        yield f"has ISIF = {isif}, which gives no whole stress: leave it out"
    if isif is None and true(found.get("LHFCALC", "F")):
        yield "has LHFCALC and no ISIF, which gives no stress: add ISIF = 2"


def lists(values: Mapping[str, Mapping[str, Any]], symbols: tuple[str, ...]) -> str:
    """Return INCAR lines with lists for atoms in this order.

    ``values`` has for each tag a value by element. An element stands as often in a list as POSCAR has runs of it; a tag
    that goes by atoms gets ``n*value`` for each run.
    """
    lines = []
    for tag, by_element in values.items():
        by_atom = tag in BY_ATOM
        entries = [
            _entry(by_element[name], count) if by_atom else f"{by_element[name]}" for name, count in runs(symbols)
        ]
        lines.append(f"{tag} = {' '.join(entries)}\n")
    return "".join(lines)


def _entry(value: Any, count: int) -> str:
    """Return a value, ``count`` times: VASP has ``n*value`` for numbers, but not for vectors."""
    if isinstance(value, list):
        return " ".join([" ".join(map(str, value))] * count)
    return f"{count}*{value}"
