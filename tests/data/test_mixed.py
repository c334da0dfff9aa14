"""The mixed type: what we write dpdata reads, and the reverse."""

import dpdata
import numpy as np
import pytest
from test_dataset import TYPE_MAP, label, same

from dpgen2_hpc.data.dataset import write_labels
from dpgen2_hpc.data.reading import inspect, read_frames, read_labels

LABELS = [label(["Cu", "Al"], 1), label(["Mg", "Mg"], 2), label(["Al", "Cu"], 3), label(["Al", "Al", "Cu"], 4)]


def equal(found, wanted):
    same(found.frame, wanted.frame.sorted(TYPE_MAP))
    assert found.energy == wanted.energy
    np.testing.assert_array_equal(found.forces, wanted.forces[np.argsort(wanted.frame.types(TYPE_MAP), kind="stable")])
    if wanted.virial is None:
        assert found.virial is None
    else:
        np.testing.assert_array_equal(found.virial, wanted.virial)


@pytest.mark.parametrize("mixed", [False, True])
def test_labels_come_back_from_the_place_that_was_returned(tmp_path, mixed):
    labels = [*LABELS, label(["Al", "Cu"], 5, virial=False), label(["Cu", "Al"], 6, periodic=False, virial=False)]
    places = write_labels(tmp_path, labels, TYPE_MAP, mixed=mixed)
    for (system, index), wanted in zip(places, labels, strict=True):
        equal(read_labels(tmp_path / system)[index], wanted)


def test_frames_of_one_size_share_a_system(tmp_path):
    places = write_labels(tmp_path, [*LABELS, label(["Al"], 7, periodic=False)], TYPE_MAP, mixed=True)
    assert places == [("mixed2", 0), ("mixed2", 1), ("mixed2", 2), ("mixed3", 0), ("mixed1-nopbc", 0)]
    found = inspect(tmp_path / "mixed2")
    assert (found.frames, found.natoms, found.formula, found.labelled) == (3, 2, "", True)


def test_dpdata_reads_what_we_wrote(tmp_path):
    write_labels(tmp_path, LABELS[:3], TYPE_MAP, mixed=True)
    systems = dpdata.MultiSystems(type_map=list(TYPE_MAP))
    systems.load_systems_from_file(str(tmp_path / "mixed2"), fmt="deepmd/npy/mixed")
    energies = sorted(energy for system in systems.systems.values() for energy in system["energies"])
    assert energies == sorted(one.energy for one in LABELS[:3])
    magnesium = next(
        system
        for system in systems.systems.values()
        if dict(zip(system["atom_names"], system["atom_numbs"], strict=True)).get("Mg") == 2
    )
    np.testing.assert_array_equal(magnesium["forces"][0], LABELS[1].forces)


def test_we_read_what_dpdata_wrote(tmp_path):
    systems = dpdata.MultiSystems(type_map=list(TYPE_MAP))
    write_labels(tmp_path / "plain", LABELS[:3], TYPE_MAP)
    for path in (tmp_path / "plain").iterdir():
        systems.append(dpdata.LabeledSystem(str(path), fmt="deepmd/npy"))
    systems.to("deepmd/npy/mixed", str(tmp_path / "mixed"))
    found = [one for path in (tmp_path / "mixed").iterdir() for one in read_labels(path)]
    assert {one.energy for one in found} == {one.energy for one in LABELS[:3]}
    for one in found:
        equal(one, next(label for label in LABELS if label.energy == one.energy))


def test_atoms_that_only_pad_are_left_out(tmp_path):
    write_labels(tmp_path, [label(["Al", "Al", "Cu"], 4)], TYPE_MAP, mixed=True)
    np.save(tmp_path / "mixed3/set.000/real_atom_types.npy", np.array([[0, -1, 1]]))
    (found,) = read_labels(tmp_path / "mixed3")
    assert found.frame.symbols == ("Al", "Cu")
    assert found.forces.shape == found.frame.coords.shape == (2, 3)
    assert read_frames(tmp_path / "mixed3")[0].symbols == ("Al", "Cu")


@pytest.mark.parametrize("types", [np.array([[0, 1]]), np.array([[0, 1, 3]]), np.array([[0, 1, -2]])])
def test_types_that_are_none_are_refused(tmp_path, types):
    write_labels(tmp_path, [label(["Al", "Al", "Cu"], 4)], TYPE_MAP, mixed=True)
    np.save(tmp_path / "mixed3/set.000/real_atom_types.npy", types)
    with pytest.raises(ValueError, match="real_atom_types"):
        read_frames(tmp_path / "mixed3")
