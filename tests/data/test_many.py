"""Many systems read together are what each is alone, whatever is among them."""

import numpy as np
import pytest
from test_dataset import BREAKS, label

from dpgen2_hpc.data import many
from dpgen2_hpc.data.dataset import write_labels
from dpgen2_hpc.data.many import read_many
from dpgen2_hpc.data.reading import read_labels

TYPE_MAP = ("Al", "Cu", "Mg")


def system(folder, *labels, **more):
    write_labels(folder, labels, TYPE_MAP, **more)
    (found,) = folder.iterdir()
    return found


def of_many_kinds(folder):
    """Systems as labels are, and every kind of unusual ones."""
    plain = [system(folder / f"plain{seed}", label(["Al", "Cu"], seed)) for seed in range(5)]
    others = [system(folder / f"other{seed}", label(["Cu", "Cu"], seed)) for seed in range(2)]
    single = system(folder / "single", label(["Al", "Cu"], 7))
    for path in (single / "set.000").iterdir():
        np.save(path, np.load(path).astype(np.float32))
    return [
        *plain,
        system(folder / "without-virial", label(["Al", "Cu"], 1, virial=False)),
        *others,
        system(folder / "open", label(["Al", "Cu"], 2, periodic=False)),
        system(folder / "two-frames", label(["Al", "Cu"], 3), label(["Al", "Cu"], 4)),
        system(folder / "mixed", label(["Al", "Cu"], 5), mixed=True),
        single,
        folder / "not-there",
        system(folder / "again", label(["Al", "Cu"], 8)),
    ]


def alone(folder):
    try:
        return read_labels(folder)
    except ValueError as error:
        return error


def assert_same(found, wanted):
    if isinstance(wanted, ValueError):
        assert (type(found), str(found)) == (type(wanted), str(wanted))
        return
    for one, other in zip(found, wanted, strict=True):
        assert (one.frame.symbols, one.frame.periodic, one.energy) == (
            other.frame.symbols, other.frame.periodic, other.energy,
        )  # fmt: skip
        for name in ("coords", "cell"):
            np.testing.assert_array_equal(getattr(one.frame, name), getattr(other.frame, name))
        np.testing.assert_array_equal(one.forces, other.forces)
        assert one.forces.dtype == one.frame.coords.dtype == np.float64
        assert (one.virial is None) == (other.virial is None)
        if one.virial is not None:
            np.testing.assert_array_equal(one.virial, other.virial)


@pytest.mark.parametrize("portion", [1, 3, 1000])
def test_each_system_is_read_as_it_is_read_alone(tmp_path, monkeypatch, portion):
    monkeypatch.setattr(many, "PORTION", portion)
    folders = of_many_kinds(tmp_path)
    for found, folder in zip(read_many(list(map(str, folders))), folders, strict=True):
        assert_same(found, alone(folder))


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_system_is_told_in_the_same_words_and_spoils_no_other(tmp_path, what):
    folders = [system(tmp_path / str(seed), label(["Al", "Cu"], seed)) for seed in range(3)]
    BREAKS[what](folders[1])
    found = read_many(list(map(str, folders)))
    assert isinstance(found[1], ValueError)
    for one, folder in zip(found, folders, strict=True):
        assert_same(one, alone(folder))


def test_one_system_costs_its_files_and_two_listings(tmp_path, monkeypatch):
    folders = [system(tmp_path / str(seed), label(["Al", "Cu"], seed)) for seed in range(10)]
    opened, listed = [], []
    real = many.os.listdir
    monkeypatch.setattr(many, "read_bytes", lambda path, most: opened.append(path) or open(path, "rb").read())
    monkeypatch.setattr(many.os, "listdir", lambda path: listed.append(path) or real(path))
    assert all(isinstance(found, list) for found in read_many(list(map(str, folders))))
    assert (len(opened), len(listed)) == (7 * 10, 2 * 10)


def test_nothing_is_read_of_nothing():
    assert read_many([]) == []
