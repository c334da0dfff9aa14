"""Systems in deepmd/npy: what we write others read, and the reverse."""

import dpdata
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpgen2_hpc.data.dataset import write_frames, write_labels
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.reading import inspect, read_frames

TYPE_MAP = ("Al", "Cu", "Mg")


def frame(symbols, seed=0, periodic=True):
    rng = np.random.default_rng(seed)
    cell = np.eye(3) * 5 + rng.normal(0, 0.3, (3, 3))
    return Frame(tuple(symbols), rng.random((len(symbols), 3)) * 5, cell, periodic)


def label(symbols, seed=0, periodic=True, virial=True):
    rng = np.random.default_rng(seed + 100)
    stress = rng.normal(size=(3, 3)) if virial else None
    return Labels(frame(symbols, seed, periodic), float(rng.normal()), rng.normal(size=(len(symbols), 3)), stress)


def same(one, other, tolerance=0):
    assert one.symbols == other.symbols
    assert one.periodic == other.periodic
    np.testing.assert_allclose(one.coords, other.coords, atol=tolerance, rtol=0)
    np.testing.assert_allclose(one.cell, other.cell, atol=tolerance, rtol=0)


def as_frames(system):
    names = [system["atom_names"][kind] for kind in system["atom_types"]]
    return [Frame(tuple(names), c, b, not system.nopbc) for c, b in zip(system["coords"], system["cells"], strict=True)]


def test_frames_come_back_from_the_place_that_was_returned(tmp_path):
    frames = [
        frame(["Cu", "Al", "Cu"], 1),
        frame(["Mg"], 2),
        frame(["Al", "Cu", "Cu"], 3),
        frame(["Cu"], 4, periodic=False),
    ]
    places = write_frames(tmp_path, frames, TYPE_MAP)
    assert places == [("Al1Cu2", 0), ("Mg1", 0), ("Al1Cu2", 1), ("Cu1-nopbc", 0)]
    for written, (system, index) in zip(frames, places, strict=True):
        same(read_frames(tmp_path / system)[index], written.sorted(TYPE_MAP))


def test_dpdata_reads_the_frames_that_we_wrote(tmp_path):
    frames = [frame(["Cu", "Al", "Cu"], seed) for seed in range(3)]
    write_frames(tmp_path, frames, TYPE_MAP)
    system = dpdata.System(str(tmp_path / "Al1Cu2"), fmt="deepmd/npy")
    for theirs, ours in zip(as_frames(system), frames, strict=True):
        same(theirs, ours.sorted(TYPE_MAP))


def test_dpdata_reads_the_labels_that_we_wrote(tmp_path):
    labels = [label(["Cu", "Al", "Cu"], seed) for seed in range(3)]
    write_labels(tmp_path, labels, TYPE_MAP)
    system = dpdata.LabeledSystem(str(tmp_path / "Al1Cu2"), fmt="deepmd/npy")
    np.testing.assert_array_equal(system["energies"], [one.energy for one in labels])
    np.testing.assert_array_equal(system["forces"], [one.forces[[1, 0, 2]] for one in labels])
    np.testing.assert_array_equal(system["virials"], [one.virial for one in labels])


def test_dpdata_sees_no_periodicity_where_we_saw_none(tmp_path):
    write_frames(tmp_path, [frame(["Cu"], periodic=False)], TYPE_MAP)
    assert dpdata.System(str(tmp_path / "Cu1-nopbc"), fmt="deepmd/npy").nopbc


def test_labels_without_virial_have_a_system_of_their_own(tmp_path):
    labels = [label(["Al"], 1), label(["Al"], 2, virial=False), label(["Al"], 3)]
    assert write_labels(tmp_path, labels, TYPE_MAP) == [("Al1", 0), ("Al1-novirial", 0), ("Al1", 1)]
    assert inspect(tmp_path / "Al1").has_virial
    assert not inspect(tmp_path / "Al1-novirial").has_virial


def test_a_frame_without_periodicity_never_has_a_virial(tmp_path):
    labels = [label(["Al"], 1, periodic=False), label(["Al"], 2, periodic=False, virial=False)]
    assert write_labels(tmp_path, labels, TYPE_MAP) == [("Al1-nopbc", 0), ("Al1-nopbc", 1)]
    assert not (tmp_path / "Al1-nopbc" / "set.000" / "virial.npy").exists()


def test_arrays_have_the_shapes_of_the_format_and_double_precision(tmp_path):
    write_labels(tmp_path, [label(["Al", "Cu"], seed) for seed in range(4)], TYPE_MAP)
    arrays = {path.stem: np.load(path) for path in (tmp_path / "Al1Cu1" / "set.000").iterdir()}
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == {"coord": (4, 6), "box": (4, 9), "energy": (4,), "force": (4, 6), "virial": (4, 9)}
    assert {array.dtype for array in arrays.values()} == {np.dtype("float64")}


def test_nothing_is_written_of_no_frames(tmp_path):
    assert write_frames(tmp_path, [], TYPE_MAP) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("set_size", [2, 5000])
def test_we_read_what_dpdata_wrote(tmp_path, set_size):
    symbols = ["Cu", "Al", "Al"]
    data = {
        "atom_names": ["Cu", "Al"],
        "atom_numbs": [1, 2],
        "atom_types": np.array([0, 1, 1]),
        "orig": np.zeros(3),
        "cells": np.array([frame(symbols, seed).cell for seed in range(5)]),
        "coords": np.array([frame(symbols, seed).coords for seed in range(5)]),
    }
    dpdata.System(data=data).to("deepmd/npy", str(tmp_path / "s"), set_size=set_size)
    found = read_frames(tmp_path / "s")
    assert len(found) == 5
    for ours, seed in zip(found, range(5), strict=True):
        same(ours, frame(symbols, seed))
    assert inspect(tmp_path / "s").frames == 5


def test_we_read_single_precision_and_a_cell_that_is_missing(tmp_path):
    write_frames(tmp_path, [frame(["Al"], periodic=False)], TYPE_MAP)
    one = tmp_path / "Al1-nopbc" / "set.000"
    np.save(one / "coord.npy", np.load(one / "coord.npy").astype(np.float32))
    (one / "box.npy").unlink()
    (found,) = read_frames(tmp_path / "Al1-nopbc")
    assert found.coords.dtype == np.float64
    np.testing.assert_array_equal(found.cell, np.eye(3) * 100)


def test_inspect_tells_what_is_there(tmp_path):
    write_labels(tmp_path, [label(["Cu", "Al", "Cu"], seed) for seed in range(3)], TYPE_MAP)
    found = inspect(tmp_path / "Al1Cu2")
    assert (found.frames, found.natoms, found.type_map, found.formula) == (3, 3, TYPE_MAP, "Al1Cu2")
    assert found.has_virial
    assert found.periodic
    assert found.labelled


def test_frames_alone_are_not_labelled(tmp_path):
    write_frames(tmp_path, [frame(["Al"])], TYPE_MAP)
    assert not inspect(tmp_path / "Al1").labelled


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


BREAKS = {
    "type_map.raw": lambda folder: (folder / "type_map.raw").unlink(),
    "type.raw": lambda folder: (folder / "type.raw").write_text("0\n7\n"),
    "type.raw of nothing": lambda folder: (folder / "type.raw").write_text(""),
    "no folder set.000": lambda folder: (folder / "set.000").rename(folder / "elsewhere"),
    "coord.npy cut": lambda folder: cut(folder / "set.000" / "coord.npy"),
    "coord.npy": lambda folder: (folder / "set.000" / "coord.npy").unlink(),
    "box.npy": lambda folder: (folder / "set.000" / "box.npy").unlink(),
    "energy.npy": lambda folder: np.save(folder / "set.000" / "energy.npy", np.zeros(3)),
    "force.npy": lambda folder: np.save(folder / "set.000" / "force.npy", np.zeros((2, 3))),
    "virial.npy": lambda folder: np.save(folder / "set.000" / "virial.npy", np.array([{}, {}])),
    "coord.npy of whole numbers": lambda folder: np.save(folder / "set.000" / "coord.npy", np.zeros((2, 6), int)),
    "box.npy turned": lambda folder: np.save(folder / "set.000" / "box.npy", np.zeros((9, 2))),
    "coord.npy scalar": lambda folder: np.save(folder / "set.000" / "coord.npy", np.zeros(())),
    "real_atom_types": lambda folder: np.save(folder / "set.000" / "real_atom_types.npy", np.zeros((2, 2))),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_system_is_refused_by_the_name_of_its_file(tmp_path, what):
    write_labels(tmp_path, [label(["Al", "Cu"], seed) for seed in range(2)], TYPE_MAP)
    BREAKS[what](tmp_path / "Al1Cu1")
    with pytest.raises(ValueError, match=what.split()[0] if "folder" not in what else what):
        inspect(tmp_path / "Al1Cu1")


def test_a_virial_in_some_sets_only_is_refused(tmp_path):
    write_labels(tmp_path / "a", [label(["Al"], 1)], TYPE_MAP)
    write_labels(tmp_path / "b", [label(["Al"], 2, virial=False)], TYPE_MAP)
    (tmp_path / "b" / "Al1-novirial" / "set.000").rename(tmp_path / "a" / "Al1" / "set.001")
    with pytest.raises(ValueError, match=r"set\.001.virial\.npy"):
        inspect(tmp_path / "a" / "Al1")


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(["coord", "box", "force"]), length=st.integers(0, 200))
def test_a_torn_array_raises_nothing_but_value_error(tmp_path_factory, name, length):
    folder = tmp_path_factory.mktemp("torn")
    write_labels(folder, [label(["Al", "Cu"])], TYPE_MAP)
    path = folder / "Al1Cu1" / "set.000" / f"{name}.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[: min(length, len(whole) - 1)])
    with pytest.raises(ValueError, match=name):
        read_frames(folder / "Al1Cu1")
