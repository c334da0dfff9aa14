"""INCAR: what a label must not say in it, and the lists that are written into it."""

from collections.abc import Iterator, Mapping
from typing import Any

from dpgen2_hpc.fp.writing import runs
from dpgen2_hpc.inputs.incar import number, tags, true

BY_ATOM = ("MAGMOM",)
"""Tags with a value for each atom."""

BY_SPECIES = ("LDAUL", "LDAUU", "LDAUJ", "ROPT", "RWIGS", "POMASS", "ZVAL", "VCA", "LANGEVIN_GAMMA", "LVDW_C6")
"""Tags with a value for each species of POSCAR."""


def problems(text: str) -> Iterator[str]:
    """Yield what an INCAR says that no label can follow."""
    found = tags(text)
    if (number(found.get("NSW", "0")) or 0) > 0:
        yield f"has NSW = {found['NSW']}: a label is one step; leave NSW out"
    if found.get("ISIF") == "0":
        yield "has ISIF = 0, which gives no stress: leave it out"
    if true(found.get("ML_LMLFF", "F")):
        yield "has ML_LMLFF: VASP's force field would label in its place"
    for tag in (*BY_ATOM, *BY_SPECIES):
        if tag in found:
            yield (
                f"has {tag}, a list that fits one composition alone; take it out and give "
                f'inputs_config.incar_lists: {{"{tag}": {{element: value}}}}'
            )


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
