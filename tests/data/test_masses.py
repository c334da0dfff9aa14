"""The table of masses, against ASE's."""

from ase.data import atomic_masses, atomic_numbers

from dpgen2_hpc.data.masses import MASSES


def test_the_masses_are_those_that_ase_has():
    assert len(MASSES) == 94
    for symbol, mass in MASSES.items():
        assert abs(mass - atomic_masses[atomic_numbers[symbol]]) < 0.005 * mass, symbol
