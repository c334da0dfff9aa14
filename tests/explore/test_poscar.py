"""POSCAR in all its forms, against ASE's reader."""

import itertools

import numpy as np
import pytest

from dpgen2_hpc.errors import InputError
from dpgen2_hpc.explore.configurations.reading import read

TYPE_MAP = ("Al", "Cu", "D", "Fe1", "Fe2", "Fe_up")
PARTS = {
    "comment": "an alloy",
    "scale": "1.0",
    "cell": "4 0.1 0\n0 5 0.2\n0.3 0 6",
    "species": "Al Cu\n1 2",
    "selective": "",
    "kind": "Direct",
    "rows": "0.1 0.2 0.3\n0.5 0.5 0.5\n0.9 0.1 0.7",
    "rest": "",
}
MOVES = "0.1 0.2 0.3 T T F\n0.5 0.5 0.5 F F F\n0.9 0.1 0.7 T T T"


def poscar(folder, **parts):
    said = {**PARTS, **parts}
    text = "\n".join(said[name] for name in PARTS if name not in ("selective", "rest") or said[name])
    (folder / "POSCAR").write_text(f"{text}\n", newline="")
    return str(folder / "POSCAR")


def distances(fractions, cell):
    """The eight smallest distances between two atoms and their images, shape (N, N, 8)."""
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    vectors = ((fractions[:, None] - fractions[None])[:, :, None] + images) @ cell
    return np.sort(np.linalg.norm(vectors, axis=-1), axis=-1)[..., :8]


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"comment": ""},
        {"comment": "1 2 3 # Direct"},
        {"scale": "2.0"},
        {"scale": "-120.5"},
        {"scale": "1.0 1.1 1.2"},
        {"cell": "0 5 0.2\n4 0.1 0\n0.3 0 6"},
        {"selective": "Selective dynamics", "rows": MOVES},
        {"selective": "s", "kind": "Cartesian", "rows": MOVES},
        {"scale": "2.0", "kind": "cartesian"},
        {"scale": "2.0", "kind": "K"},
        {"scale": "-120.5", "kind": "Cartesian"},
        {"scale": "1.0 1.1 1.2", "kind": "Cartesian"},
        {"species": "Al_pv Cu/abcdef12\n1 2"},
        {"species": "Al Cu\n1 2 ! atoms"},
        {"species": "Cu Al Cu\n1 1 1"},
        {"rows": "0.1 0.2 0.3 Al\n0.5 0.5 0.5 Cu\n0.9 0.1 0.7 Cu"},
        {"rest": "\n0 0 0\n1 1 1\n2 2 2"},
        {"rest": "Lattice velocities and vectors\n1\n0 0 0\n0 0 0\n0 0 0\n4 0 0\n0 4 0\n0 0 4"},
    ],
    ids=str,
)
def test_a_poscar_means_what_ase_reads(parts, tmp_path):
    from ase.io import read as read_by_ase

    path = poscar(tmp_path, **parts)
    asked = read_by_ase(path, format="vasp")
    [frame] = read(path, "vasp/poscar", TYPE_MAP)
    assert list(frame.symbols) == asked.get_chemical_symbols()
    assert np.linalg.det(frame.cell) == pytest.approx(asked.get_volume())  # right-handed, whatever it was
    expected = distances(asked.get_scaled_positions(wrap=False), asked.cell.array)
    np.testing.assert_allclose(distances(frame.coords @ np.linalg.inv(frame.cell), frame.cell), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("parts", "symbols"),
    [
        ({"cell": "4.0d0 0.1 0\n0 5 0.2\n0.3 0 6"}, ("Al", "Cu", "Cu")),
        ({"species": "Fe1 D\n1 2"}, ("Fe1", "D", "D")),
        ({"species": "Fe_up Al\n2 1"}, ("Fe_up", "Fe_up", "Al")),
        ({"kind": " "}, ("Al", "Cu", "Cu")),
        ({"species": "Al Fe1 Cu\n1 0 2"}, ("Al", "Cu", "Cu")),
    ],
)
def test_what_ase_does_not_read_is_read_as_vasp_does(parts, symbols, tmp_path):
    [frame] = read(poscar(tmp_path, **parts), "vasp/poscar", TYPE_MAP)
    assert frame.symbols == symbols
    assert np.linalg.det(frame.cell) == pytest.approx(120.006)  # 4 * 5 * 6 + 0.1 * 0.2 * 0.3


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"species": "1 2"}, "line 6 must have the names of the elements"),
        ({"species": "Al Cu\nAl Cu"}, "do not go together"),
        ({"species": "Al Cu\n1 2 3"}, "do not go together"),
        ({"rows": "0.1 0.2 0.3\n0.5 0.5 0.5"}, "line 11 must have 3 numbers, the file ends before"),
        ({"rows": "0.1 0.2 0.3\n0.5 0.5\n0 0 0"}, "line 10 must have 3 numbers, found '0.5 0.5'"),
        ({"scale": "0"}, "line 2: the scaling factor is 0"),
        ({"scale": "one"}, "line 2 must have 1 number, found 'one'"),
        ({"cell": "1 0 0\n2 0 0\n0 0 1"}, "no volume"),
        ({"cell": "nan 0 0\n2 0 0\n0 0 1"}, "line 3 must have 3 numbers"),
    ],
)
def test_what_is_no_poscar_is_told_with_its_line(parts, says, tmp_path):
    with pytest.raises(InputError, match=says):
        read(poscar(tmp_path, **parts), "vasp/poscar", TYPE_MAP)
