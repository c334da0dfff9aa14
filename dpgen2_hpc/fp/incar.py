"""INCAR: what a label must not say in it, and the lists that are written into it."""

from collections.abc import Iterator, Mapping
from typing import Any

from dpgen2_hpc.fp.writing import runs
from dpgen2_hpc.inputs.incar import number, tags, true

BY_ATOM = ("MAGMOM",)
"""Tags with a value for each atom."""

WHOLE_STRESS = 2
"""From this ISIF on VASP calculates all of the stress."""

MANY_STEPS = (5, 6, 7, 8, 40, 44)
"""Values of IBRION for phonons, reaction paths and dimers."""

FIXED_CHARGE = 10
"""From this ICHARG on the cycle is not self-consistent."""

BY_SPECIES = ("LDAUL", "LDAUU", "LDAUJ", "ROPT", "RWIGS", "POMASS", "ZVAL", "VCA", "LANGEVIN_GAMMA", "LVDW_C6")
"""Tags with a value for each species of POSCAR."""


def problems(text: str) -> Iterator[str]:
    """Yield what an INCAR says that no label can follow."""
    found = tags(text)
    if (number(found.get("NSW", "0")) or 0) > 0:
        yield f"has NSW = {found['NSW']}: a label is one step; leave NSW out"
    yield from _stress_problems(found)
    if (number(found.get("IBRION", "-1")) or 0) in MANY_STEPS:
        yield f"has IBRION = {found['IBRION']}, which takes more than one step whatever NSW says: leave it out"
    if (number(found.get("ICHARG", "2")) or 0) >= FIXED_CHARGE:
        yield f"has ICHARG = {found['ICHARG']}, which keeps the charge density as it is: leave it out"
    if true(found.get("ML_LMLFF", "F")):
        yield "has ML_LMLFF: VASP's force field would label in its place"
    for tag in (*BY_ATOM, *BY_SPECIES):
        if tag in found:
            yield (
                f"has {tag}, a list that fits one composition alone; take it out and give "
                f'inputs_config.incar_lists: {{"{tag}": {{element: value}}}}'
            )


def _stress_problems(found: Mapping[str, str]) -> Iterator[str]:
    """Yield why VASP would calculate no stress, or only its trace; for hybrids and MD it does not by default."""
    isif = found.get("ISIF")
    if isif is not None and (number(isif) or 0) < WHOLE_STRESS:
        yield f"has ISIF = {isif}, which gives no whole stress: leave it out"
    if isif is None and true(found.get("LHFCALC", "F")):
        yield "has LHFCALC and no ISIF, which gives no stress: add ISIF = 2"
    if isif is None and number(found.get("IBRION", "-1")) == 0:
        yield "has IBRION = 0 and no ISIF, which gives no stress: leave IBRION out"


def lists(values: Mapping[str, Mapping[str, Any]], symbols: tuple[str, ...]) -> str:
    """Return INCAR lines with lists for atoms in this order.

    ``values`` has for each tag a value by element. An element stands as often in a list as POSCAR has runs of it; a tag
    that goes by atoms gets ``n*value`` for each run.
    """
    lines = []
    for tag, by_element in values.items():
        entries = [
            f"{count}*{by_element[symbol]}" if tag in BY_ATOM else f"{by_element[symbol]}"
            for symbol, count in runs(symbols)
        ]
        lines.append(f"{tag} = {' '.join(entries)}\n")
    return "".join(lines)
