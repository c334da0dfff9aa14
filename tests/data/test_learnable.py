"""What the numbers of training data may not be: each kind of fault is found, with its file and frame."""

import numpy as np
import pytest

from dpgen2_hpc.data.dataset import write_labels
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.learnable import look_into

EDGE = 4.05
FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) * EDGE


def label(symbols=("Al",) * 4, coords=FCC, cell=np.eye(3) * EDGE, *, periodic=True):
    count = len(symbols)
    frame = Frame(tuple(symbols), np.array(coords[:count], float), np.array(cell, float), periodic)
    return Labels(frame, -3.7 * count, np.zeros((count, 3)), np.zeros((3, 3)) if periodic else None)


def system(tmp_path, labels=None, *, mixed=False):
    write_labels(tmp_path, labels or [label()] * 5, ("Al", "Cu"), mixed=mixed)
    (folder,) = tmp_path.iterdir()
    return folder


def spoil(folder, name, place, value):
    array = np.load(folder / "set.000" / name)
    array[place] = value
    np.save(folder / "set.000" / name, array)


def test_good_data_have_no_fault_and_their_volume_is_that_of_aluminium(tmp_path):
    found = look_into(system(tmp_path))
    assert found.fault is None
    assert found.volumes == pytest.approx((EDGE**3 / 4, EDGE**3 / 4))  # 16.6 Å³


@pytest.mark.parametrize("name", ["coord.npy", "box.npy", "energy.npy", "force.npy", "virial.npy"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_number_that_is_none_or_absurd_is_named_with_file_and_frame(tmp_path, name, value):
    folder = system(tmp_path)
    spoil(folder, name, (3, *([5] if name != "energy.npy" else [])), value)
    fault = look_into(folder).fault
    assert f"set.000/{name}' has {value:g}" in fault
    assert "in frame 3 (counted from 0)" in fault


@pytest.mark.parametrize("box", [np.zeros(9), np.diag([4.0, 4.0, 0.0]).ravel(), np.ones(9)])
def test_a_cell_without_volume_is_a_fault(tmp_path, box):
    folder = system(tmp_path)
    spoil(folder, "box.npy", 4, box)
    assert look_into(folder).fault.endswith("has a cell without volume in frame 4 (counted from 0)")


@pytest.mark.parametrize("place", [FCC[1], FCC[1] + [EDGE, 0, 0], FCC[1] - [0, 3 * EDGE, 5e-4]])
def test_two_atoms_on_one_place_are_a_fault_images_included(tmp_path, place):
    folder = system(tmp_path)
    spoil(folder, "coord.npy", (2, slice(6, 9)), place)
    assert look_into(folder).fault.endswith("has atoms closer than 0.001 Å in frame 2 (counted from 0)")


def test_a_molecule_needs_no_cell_but_its_atoms_apart(tmp_path):
    apart = [label(periodic=False), label(periodic=False)]
    folder = system(tmp_path, apart)
    (folder / "set.000/box.npy").unlink()
    assert look_into(folder).fault is None
    assert look_into(folder).volumes is None
    spoil(folder, "coord.npy", (1, slice(0, 3)), FCC[2])
    assert "frame 1" in look_into(folder).fault


def test_atoms_that_only_pad_are_on_one_place_and_do_not_count(tmp_path):
    folder = system(tmp_path, [label(), label(("Al", "Al", "Cu", "Cu"))], mixed=True)
    spoil(folder, "real_atom_types.npy", (1, slice(2, 4)), -1)
    spoil(folder, "coord.npy", (1, slice(6, 12)), 0.0)
    found = look_into(folder)
    assert found.fault is None
    assert found.volumes == pytest.approx((EDGE**3 / 4, EDGE**3 / 2))
    spoil(folder, "coord.npy", (1, slice(3, 6)), FCC[0])  # a real one
    assert "atoms closer" in look_into(folder).fault
    spoil(folder, "real_atom_types.npy", (1, 0), 7)
    assert "types beyond 0 to 1" in look_into(folder).fault


def test_large_numbers_of_frames_are_looked_at_in_portions(tmp_path, monkeypatch):
    monkeypatch.setattr("dpgen2_hpc.data.learnable.PORTION", 24)
    folder = system(tmp_path)
    assert look_into(folder).fault is None
    spoil(folder, "force.npy", (4, 2), np.nan)
    assert "frame 4" in look_into(folder).fault
    spoil(folder, "force.npy", (4, 2), 0)
    spoil(folder, "coord.npy", (4, slice(0, 3)), FCC[3])
    assert "frame 4" in look_into(folder).fault
