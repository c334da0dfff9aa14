"""Which element a name stands for: models may have several types of one element, or isotopes."""

import re
from functools import cache

from dpgen2_hpc.data.masses import MASSES

ISOTOPES = {"D": "H", "T": "H"}

_LABEL = re.compile(r"([A-Z][a-z]?)(\d+|[_-]\w*)?")


@cache
def element_of(name: str) -> str:
    """Return the element of a name such as Fe, Fe1, Fe_up or D (H); another name is returned as it is."""
    found = _LABEL.fullmatch(name)
    if found is None:
        return name
    element = ISOTOPES.get(found[1], found[1])
    return element if element in MASSES else name
