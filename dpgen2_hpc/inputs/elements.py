"""The elements and their masses: what is wrong with them, and what is only strange."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dpgen2_hpc.data.masses import MASSES
from dpgen2_hpc.kinds import Problem

SCATTER = 0.8, 1.25
"""How far a mass may be from the element's own, as a factor: isotopes, and rounded numbers."""

MOST = 4
"""How many strange masses are told one by one."""

LIGHTEST = 0.01
"""Part of the element's own mass that nothing weighs: kg/mol are a thousandth of u."""


def problems(inputs: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with ``type_map`` and ``mass_map``, as far as they are there."""
    elements, masses = inputs.get("type_map"), inputs.get("mass_map")
    if elements is None:
        return
    if not elements:
        yield ("inputs", "type_map"), "must not be empty"
    for element in sorted({element for element in elements if elements.count(element) > 1}):
        yield ("inputs", "type_map"), f"has '{element}' more than once"
    for index, element in enumerate(elements):
        if not element or not element.isascii() or not element.replace("_", "").isalnum():
            text = f"{element!r} is no name of an element: letters, digits and '_' alone go through all the programs"
            yield ("inputs", "type_map", index), text
    if masses is None or not elements:
        return
    if len(masses) != len(elements):
        yield ("inputs", "mass_map"), f"needs one mass for each of {', '.join(elements)}; there are {len(masses)}"
    for index, (element, mass) in enumerate(zip(elements, masses, strict=False)):
        usual = MASSES.get(element)
        if usual is not None and mass < LIGHTEST * usual:
            text = f"{mass:g} u for {element}, whose atoms weigh {usual:g} u: give masses in u (g/mol), not in kg/mol"
            yield ("inputs", "mass_map", index), text


def strange_masses(elements: Sequence[str], masses: Sequence[float]) -> Iterator[Problem]:
    """Yield each mass that is that of no isotope, or rather another element's; of many, the first and how many."""
    found = list(_strange(elements, masses))
    if len(found) > MOST:
        more = f"and {len(found) - 1} more of {len(masses)} masses are not their elements'"
        found = [(found[0][0], f"{found[0][1]}, {more}")]
    yield from ((("inputs", "mass_map", index), f"{text}: are the masses in order?") for index, text in found)


def _strange(elements: Sequence[str], masses: Sequence[float]) -> Iterator[tuple[int, str]]:
    for index, (element, mass) in enumerate(zip(elements, masses, strict=True)):
        usual = MASSES.get(element)
        if usual is None:
            continue
        nearest = min((name for name in elements if name in MASSES), key=lambda name: abs(MASSES[name] - mass))
        if nearest != element and mass != round(usual):  # rounded, nickel and cobalt are alike
            yield index, f"{mass:g} u for {element} ({usual:g} u) is nearer to {nearest} ({MASSES[nearest]:g} u)"
        elif not SCATTER[0] <= mass / usual <= SCATTER[1]:
            yield index, f"{mass:g} u for {element}, whose atoms weigh {usual:g} u"
