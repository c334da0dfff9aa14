"""Masses: what no element weighs, and what another element of the list weighs."""

import ase.data
import pytest

from dpgen2_hpc.data.masses import MASSES
from dpgen2_hpc.inputs.elements import problems, strange_masses


def faults(elements, masses):
    return [path[-1] for path, _ in problems({"type_map": elements, "mass_map": masses})]


@pytest.mark.parametrize("element", MASSES)
def test_a_thousandth_of_a_mass_is_a_fault_and_the_mass_and_its_isotopes_are_none(element):
    mass = MASSES[element]
    assert faults([element], [mass / 1000]) == [0]
    assert faults([element], [mass]) == faults([element], [round(mass)]) == faults([element], [mass * 0.5]) == []
    assert list(strange_masses([element], [mass])) == list(strange_masses([element], [round(mass)])) == []


def test_all_elements_in_one_list_are_in_order_rounded_or_not():
    elements = list(MASSES)
    assert list(strange_masses(elements, list(MASSES.values()))) == []
    assert list(strange_masses(elements, [float(round(mass)) for mass in MASSES.values()])) == []


@pytest.mark.parametrize(
    ("elements", "masses", "wrong"),
    [
        (["Al", "Mg"], [24.31, 26.98], {0: "Mg", 1: "Al"}),
        (["Mg", "Al", "Si"], [24.31, 28.09, 26.98], {1: "Si", 2: "Al"}),
        (["Ni", "Co"], [58.93, 58.69], {0: "Co", 1: "Ni"}),
        (["Al", "Mg"], [27, 24], {}),
        (["Ni", "Co"], [59, 59], {}),
        (["H", "O"], [2.014, 15.999], {0: "are the masses in order"}),
        (["H", "C"], [4, 12], {0: "are the masses in order"}),
        (["H", "He"], [4.0026, 1.008], {0: "He", 1: "H"}),
        (["X", "Al"], [26.98, 26.98], {}),
    ],
)
def test_a_mass_that_is_rather_another_elements_is_strange(elements, masses, wrong):
    found = {path[-1]: text for path, text in strange_masses(elements, masses)}
    assert set(found) == set(wrong)
    assert all(wrong[index] in text for index, text in found.items())


def test_a_list_that_is_shifted_is_told_once():
    elements = list(MASSES)
    (told,) = strange_masses(elements, [4.0, *list(MASSES.values())[:-1]])
    assert told[0] == ("inputs", "mass_map", 0)
    assert told[1].startswith("4 u for H (1.0079 u) is nearer to He (4.0026 u), and ")
    assert told[1].endswith("more of 94 masses are not their elements': are the masses in order?")


def test_the_weights_that_iupac_recommends_are_in_order():
    symbols = [symbol for symbol in MASSES if symbol in ase.data.atomic_numbers]
    weights = {"Tc": 97, "Po": 209, "At": 210, "Rn": 222, "Fr": 223, "Ra": 226, "Ac": 227, "Np": 237, "Pu": 244}
    usual = ase.data.atomic_masses_iupac2016
    masses = [weights.get(symbol) or float(usual[ase.data.atomic_numbers[symbol]]) for symbol in symbols]
    assert list(strange_masses(symbols, masses)) == []
