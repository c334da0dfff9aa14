"""Which frames no exploration can have had."""

import numpy as np
import pytest
from ase.build import bulk
from ase.geometry import get_distances
from hypothesis import given, settings
from hypothesis import strategies as st

from dpgen2_hpc.data import physical
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.physical import coincide, fault_of

TYPES = ("Al", "Cu")
SKEWED = np.array([[4.0, 0.0, 0.0], [2.5, 5.0, 0.0], [-3.0, 2.0, 6.0]])


def frame(coords, symbols=None, cell=SKEWED, periodic=True):
    coords = np.array(coords, dtype=float)
    return Frame(symbols or ("Al",) * len(coords), coords, np.array(cell, dtype=float), periodic)


START = frame([[0, 0, 0], [1, 1, 1], [2, 2, 2]], ("Al", "Al", "Cu"))


def test_a_frame_of_the_starts_atoms_is_valid():
    assert fault_of(frame([[0, 0, 9], [1, 1, 1], [2, 2, 2]], ("Al", "Al", "Cu")), TYPES, START) is None


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (frame([[0, 0, 0], [1, 1, 1]], ("Al", "Al")), "has 2 atoms, the starting configuration has 3"),
        (
            frame([[0, 0, 0], [1, 1, 1], [2, 2, 2]], ("Al", "Cu", "Al")),
            "has Cu as atom 2, the starting configuration Al",
        ),
        (frame([[0, 0, 0], [1, 1, 1], [2, 2, 2]], ("Al", "Al", "Cu"), periodic=False), "periodicity"),
        (frame([[0, 0, 0], [1, 1, 1], [2, 2, 2]], ("Al", "Al", "O")), "has atoms of O, which type_map does not list"),
        (frame(np.zeros((0, 3))), "has 0 atoms"),
        (Frame(("Al",), np.zeros((2, 3)), SKEWED), "has 1 atoms, coordinates of shape (2, 3)"),
        (frame([[0, 0, 0], [1, 1, np.nan], [2, 2, 2]], ("Al", "Al", "Cu")), "not finite"),
        (frame([[0, 0, 0], [1, 1, 1e9], [2, 2, 2]], ("Al", "Al", "Cu")), "beyond"),
        (frame([[0, 0, 0], [1, 1, 1], [1, 1, 1]], ("Al", "Al", "Cu")), "closer than 0.001"),
    ],
)
def test_other_atoms_or_numbers_are_a_fault(other, fault):
    assert fault in fault_of(other, TYPES, START)


def test_without_a_start_only_what_no_frame_may_be_is_a_fault():
    assert fault_of(frame([[0, 0, 0]], ("Cu",)), TYPES) is None
    assert "O" in fault_of(frame([[0, 0, 0]], ("O",)), TYPES)


@pytest.mark.parametrize(
    "cell",
    [np.zeros((3, 3)), np.diag([4.0, 4.0, 0.0]), np.ones((3, 3)), np.diag([4.0, 4.0, 1e-4]), np.diag([1e-200, 1, 1])],
)
def test_a_cell_without_volume_is_a_fault_only_where_it_repeats(cell):
    assert "volume" in fault_of(frame([[0, 0, 0]], cell=cell), TYPES)
    assert fault_of(frame([[0, 0, 0]], cell=cell, periodic=False), TYPES) is None


def test_a_left_handed_cell_has_a_volume():
    assert fault_of(frame([[0, 0, 0], [1, 1, 1]], cell=SKEWED[[1, 0, 2]]), TYPES) is None


@pytest.mark.parametrize("image", [(0, 0, 0), (1, 0, 0), (0, -1, 0), (1, -2, 3), (0, 0, 7)])
@pytest.mark.parametrize("distance", [0.0, 5e-4, 9.9e-4, 1.01e-3, 3e-3])
def test_atoms_on_one_place_coincide_images_included(image, distance):
    direction = np.array([1, -2, 2]) / 3
    for place in ([0, 0, 0], [1.7, 2.2, 5.999999], [0.001, 0.002, 0.003]):
        other = place + direction * distance + np.array(image) @ SKEWED
        assert coincide(frame([place, other])) is (distance < 1e-3)
        assert coincide(frame([place, other], periodic=False)) is (distance < 1e-3 and not any(image))


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), natoms=st.integers(1, 30), scale=st.sampled_from([2e-3, 5e-3, 1e-2, 1.0]))
def test_ase_finds_the_same_atoms_on_one_place(seed, natoms, scale):
    """Within a small cube of a large cell, so that some are close, and at its faces."""
    rng = np.random.default_rng(seed)
    coords = (rng.random((natoms, 3)) - 0.5) * scale + rng.integers(0, 2, 3) @ SKEWED
    _, distances = get_distances(coords, cell=SKEWED, pbc=True)
    nearest = distances[~np.eye(natoms, dtype=bool)].min(initial=np.inf)
    if abs(nearest - 1e-3) > 1e-9:
        assert coincide(frame(coords)) is bool(nearest < 1e-3)


def test_a_large_frame_costs_little(monkeypatch):
    atoms = bulk("Al", "fcc", 4.05, cubic=True).repeat(15)
    looked_at = []
    close = physical._is_close
    monkeypatch.setattr(physical, "_is_close", lambda *a, **k: looked_at.append(1) or close(*a, **k))
    large = frame(atoms.positions, cell=atoms.cell.array)
    assert len(large.symbols) == 13500
    assert not coincide(large)
    assert len(looked_at) < 100
    coords = atoms.positions.copy()
    coords[7] = coords[13000] + atoms.cell.array[0]
    assert coincide(frame(coords, cell=atoms.cell.array))
