"""Starting configurations: alloys and files."""

import ase.io
import dpdata
import numpy as np
import pytest
from ase.build import bulk

from dpgen2_hpc.errors import InputError
from dpgen2_hpc.explore.configurations.alloy import Alloy
from dpgen2_hpc.explore.configurations.file import Files
from dpgen2_hpc.kinds import CheckContext

TYPE_MAP = ("Al", "Cu", "Mg")
CONTEXT = CheckContext(TYPE_MAP, (26.98, 63.55, 24.305), 4)


def rng(seed=0):
    return np.random.default_rng(seed)


def problems(source):
    return {".".join(map(str, path)): text for path, text in source.checks(CONTEXT)}


def spelled_out(kind, settings):
    import dargs

    return dargs.Argument("source", dict, kind.arguments()).normalize_value(settings)


def nearest(frame):
    """Return the shortest distance between two atoms, images included, Å."""
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3) @ frame.cell
    vectors = frame.coords[:, None, None] - frame.coords[None, :, None] + shifts
    distances = np.linalg.norm(vectors, axis=-1)
    return distances[distances > 1e-9].min()


# ---- alloy: the lattice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "edge", "arguments"),
    [
        ("bcc", 3.2, {"a": 3.2}),
        ("fcc", 4.05, {"a": 4.05}),
        ("sc", 3.0, {"a": 3.0}),
        ("hcp", 3.2, {"a": 3.2, "c": 3.2 * np.sqrt(8 / 3)}),
        ("diamond", 2.715, {"a": 5.43}),  # DPGEN2's constant is half the conventional edge
    ],
)
def test_a_lattice_has_the_density_and_the_neighbours_that_ase_gives_it(name, edge, arguments):
    theirs = bulk("X", name, **arguments)
    (ours,) = Alloy((name, edge), replicate=(3, 3, 3)).generate(TYPE_MAP, rng())
    volume = np.linalg.det(ours.cell) / len(ours.symbols)
    assert volume == pytest.approx(theirs.get_volume() / len(theirs))
    distances = theirs.repeat(4).get_all_distances(mic=True)
    assert nearest(ours) == pytest.approx(distances[distances > 1e-6].min())


@pytest.mark.parametrize(("name", "atoms"), [("bcc", 2), ("fcc", 4), ("hcp", 2), ("sc", 1), ("diamond", 2)])
def test_unit_cells_have_the_number_of_atoms_of_dpgen2(name, atoms):
    (frame,) = Alloy((name, 4.0), replicate=(2, 3, 4)).generate(TYPE_MAP, rng())
    assert len(frame.symbols) == 24 * atoms


def test_replication_is_that_of_dpdata(tmp_path):
    (unit,) = Alloy(("hcp", 3.2)).generate(("Al",), rng())
    (ours,) = Alloy(("hcp", 3.2), replicate=(2, 1, 3)).generate(("Al",), rng())
    data = {
        "atom_names": ["Al"], "atom_numbs": [2], "atom_types": np.zeros(2, int), "orig": np.zeros(3),
        "cells": unit.cell[None], "coords": unit.coords[None],
    }  # fmt: skip
    theirs = dpdata.System(data=data).replicate((2, 1, 3))
    np.testing.assert_allclose(ours.cell, theirs["cells"][0])
    places = {tuple(place) for place in np.round(theirs["coords"][0], 6)}
    assert {tuple(place) for place in np.round(ours.coords, 6)} == places


def test_a_lattice_from_a_file_keeps_cell_and_positions(tmp_path):
    path = tmp_path / "POSCAR"
    path.write_text("x\n1.0\n4.0 0 0\n1.0 4.0 0\n0 0 5.0\nFe\n2\nCartesian\n0 0 0\n2.5 2.0 2.5\n")
    source = Alloy((str(path), "vasp/poscar"), numb_confs=2, replicate=(1, 1, 2))
    assert problems(source) == {}
    frame, _ = source.generate(TYPE_MAP, rng())
    np.testing.assert_allclose(frame.cell, [[4, 0, 0], [1, 4, 0], [0, 0, 10]])
    np.testing.assert_allclose(
        sorted(frame.coords.tolist()), [[0, 0, 0], [0, 0, 5], [2.5, 2, 2.5], [2.5, 2, 7.5]], atol=1e-9
    )
    assert set(frame.symbols) <= set(TYPE_MAP)


# ---- alloy: what is drawn -------------------------------------------------------------------------------------------


def composition(frames):
    symbols = np.array([frame.symbols for frame in frames])
    return [(symbols == symbol).mean() for symbol in TYPE_MAP]


def test_types_are_drawn_with_the_probabilities_of_the_concentration():
    frames = Alloy(("fcc", 4.0), 50, (4, 4, 4), ((0.2, 0.5, 0.3),)).generate(TYPE_MAP, rng())
    assert composition(frames) == pytest.approx([0.2, 0.5, 0.3], abs=0.015)  # 12800 throws: 3 sigma is 0.013
    counts = [frame.symbols.count("Al") for frame in frames]
    assert np.std(counts) == pytest.approx(np.sqrt(256 * 0.2 * 0.8), rel=0.3)  # each atom on its own


def test_without_a_concentration_all_types_are_alike():
    frames = Alloy(("fcc", 4.0), 50, (4, 4, 4)).generate(TYPE_MAP, rng())
    assert composition(frames) == pytest.approx([1 / 3] * 3, abs=0.015)


def test_a_type_of_concentration_zero_never_appears():
    frames = Alloy(("fcc", 4.0), 50, (4, 4, 4), ((0.0, 1.0, 0.0),)).generate(TYPE_MAP, rng())
    assert composition(frames) == [0, 1, 0]


def test_each_configuration_draws_one_concentration_and_the_first_comes_first():
    frames = Alloy(("sc", 3.0), 40, (3, 3, 3), ((1, 0, 0), (0, 1, 0))).generate(TYPE_MAP, rng())
    firsts = [frame.symbols[0] for frame in frames]
    assert all(len(set(frame.symbols)) == 1 for frame in frames)
    assert firsts == sorted(firsts)
    assert 8 < firsts.count("Al") < 32


def test_the_strain_is_symmetric_and_of_dpdatas_size():
    frames = Alloy(("sc", 1.0), 3000, cell_pert_frac=0.1).generate(TYPE_MAP, rng())
    strains = np.array([frame.cell for frame in frames]) - np.eye(3)
    np.testing.assert_allclose(strains, strains.transpose(0, 2, 1), atol=1e-15)
    diagonal, beside = strains[:, range(3), range(3)], strains[:, [0, 0, 1], [1, 2, 2]]
    for values, bound in ((diagonal, 0.1), (beside, 0.05)):
        assert np.abs(values).max() <= bound
        assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)


def test_displacements_have_the_length_that_dpdata_gives_them():
    ours = Alloy(("sc", 3.0), 200, (3, 3, 3), atom_pert_dist=0.05)
    (still,) = Alloy(("sc", 3.0), 1, (3, 3, 3)).generate(TYPE_MAP, rng())
    lengths = np.linalg.norm([frame.coords - still.coords for frame in ours.generate(TYPE_MAP, rng())], axis=-1).ravel()
    data = {
        "atom_names": ["Al"], "atom_numbs": [27], "atom_types": np.zeros(27, int), "orig": np.zeros(3),
        "cells": still.cell[None] * 3, "coords": still.coords[None] + 3,
    }  # fmt: skip
    np.random.seed(0)  # noqa: NPY002  the generator that dpdata uses
    perturbed = dpdata.System(data=data).perturb(200, 0.0, 0.05)["coords"]
    theirs = np.linalg.norm(perturbed - data["coords"], axis=-1).ravel()
    assert np.quantile(lengths, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(theirs, [0.1, 0.5, 0.9]), rel=0.05)
    assert np.sqrt(np.mean(lengths**2)) == pytest.approx(0.05, rel=0.03)


def test_atoms_follow_the_strain_of_their_cell():
    (frame,) = Alloy(("bcc", 3.0), 1, (1, 1, 1), cell_pert_frac=0.2).generate(TYPE_MAP, rng())
    np.testing.assert_allclose(frame.coords @ np.linalg.inv(frame.cell), [[0, 0, 0], [0.5, 0.5, 0.5]], atol=1e-12)


def test_equal_generators_give_equal_configurations():
    source = Alloy(("fcc", 4.0), 3, (2, 2, 2), cell_pert_frac=0.05, atom_pert_dist=0.1)
    once, again = (source.generate(TYPE_MAP, rng(7)) for _ in range(2))
    other = source.generate(TYPE_MAP, rng(8))
    assert [frame.digest(TYPE_MAP) for frame in once] == [frame.digest(TYPE_MAP) for frame in again]
    assert once[0].digest(TYPE_MAP) != other[0].digest(TYPE_MAP)
    assert len({frame.digest(TYPE_MAP) for frame in once}) == 3


# ---- alloy: settings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "understood"),
    [(None, ()), ([0.5, 0.5, 0], ((0.5, 0.5, 0),)), ([[1, 0, 0], [0, 1, 0]], ((1, 0, 0), (0, 1, 0)))],
)
def test_a_concentration_may_be_null_a_list_or_a_list_of_lists(written, understood):
    settings = spelled_out(Alloy, {"lattice": ["fcc", 4], "concentration": written})
    source = Alloy.from_settings(settings)
    assert source.concentrations == understood
    assert problems(source) == {}


@pytest.mark.parametrize(("written", "understood"), [(None, (1, 1, 1)), (2, (2, 2, 2)), ([1, 2, 3], (1, 2, 3))])
def test_replicate_may_be_null_a_number_or_three(written, understood):
    settings = spelled_out(Alloy, {"lattice": ["fcc", 4.0], "replicate": written})
    assert Alloy.from_settings(settings).replicate == understood


@pytest.mark.parametrize(
    ("settings", "place", "words"),
    [
        ({"lattice": ["fxc", 4.0]}, "lattice", "no lattice 'fxc'; there are bcc"),
        ({"lattice": ["fcc"]}, "lattice", "expected is"),
        ({"lattice": [4.0, "fcc"]}, "lattice", "expected is"),
        ({"lattice": ["fcc", True]}, "lattice", "expected is"),
        ({"lattice": ["fcc", -4]}, "lattice", "above 0"),
        ({"lattice": ["/nowhere", "vasp/poscar"]}, "lattice", "could not be read"),
        ({"replicate": [2, 2]}, "replicate", "three directions"),
        ({"replicate": []}, "replicate", "three directions"),
        ({"concentration": [0.5, 0.5]}, "concentration", "[0.5, 0.5] needs one number for each of Al, Cu, Mg"),
        ({"concentration": []}, "concentration", "needs one number for each of Al, Cu, Mg"),
        ({"concentration": [0.5, 0.4, 0]}, "concentration", "adds up to 0.9"),
        ({"concentration": [1.5, -0.5, 0]}, "concentration", "none negative"),
        ({"concentration": [[1, 0, 0], [0.5, "x", 0]]}, "concentration", "must be numbers"),
        ({"concentration": [[1, 0, 0], 0.5]}, "concentration", "must be numbers"),
    ],
)
def test_a_faulty_alloy_is_refused_by_the_name_of_its_key(settings, place, words):
    source = Alloy.from_settings(spelled_out(Alloy, {"lattice": ["fcc", 4.0], **settings}))
    assert words in problems(source)[place]


def test_a_lattice_file_is_relative_to_the_folder_that_is_told(tmp_path):
    assert Alloy.resolved({"lattice": ["a/POSCAR", "vasp/poscar"]}, tmp_path)["lattice"][0] == f"{tmp_path}/a/POSCAR"
    assert Alloy.resolved({"lattice": ["fcc", 4.0]}, tmp_path)["lattice"] == ["fcc", 4.0]


# ---- files ----------------------------------------------------------------------------------------------------------

POSCAR = "x\n1.0\n4.0 0 0\n0 4.0 0\n0 0 4.0\nCu Al\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"


def files(folder, *patterns, **more):
    settings = spelled_out(Files, {"files": list(patterns), **more})
    return Files.from_settings(Files.resolved(settings, folder))


@pytest.fixture
def folder(tmp_path):
    for name in ("b.poscar", "a.poscar", "c.poscar"):
        (tmp_path / name).write_text(POSCAR)
    return tmp_path


def test_matches_are_taken_by_name_and_each_once(folder):
    source = files(folder, "c.poscar", "*.poscar")
    assert [path.rsplit("/", 1)[1] for path in source.files_read()] == ["c.poscar", "a.poscar", "b.poscar"]
    assert len(source.generate(TYPE_MAP, rng())) == 3


def test_a_name_with_brackets_is_found_as_it_is_written(folder):
    (folder / "a[1].poscar").write_text(POSCAR)
    assert files(folder, "a[1].poscar").files_read() == [f"{folder}/a[1].poscar"]


def test_files_are_relative_to_the_prefix_and_that_to_the_folder(folder):
    settings = {"files": "*.poscar", "prefix": folder.name, "fmt": "vasp/poscar", "remove_pbc": False}
    resolved = Files.resolved(settings, folder.parent)
    assert len(Files.from_settings(resolved).files_read()) == 3
    absolute = {**settings, "prefix": str(folder)}
    assert Files.from_settings(absolute) == Files.from_settings(resolved)


def test_a_file_is_read_as_dpdata_reads_it(folder):
    (frame,) = files(folder, "a.poscar").generate(TYPE_MAP, rng())
    assert frame.symbols == ("Cu", "Al")
    assert frame.periodic
    np.testing.assert_allclose(frame.coords, [[0, 0, 0], [2, 2, 2]])


def test_every_frame_of_a_file_is_a_configuration(tmp_path):
    (tmp_path / "a").write_text(POSCAR)
    system = dpdata.System(str(tmp_path / "a"), fmt="vasp/poscar")
    system.append(system.perturb(3, 0.0, 0.1))
    system.to("deepmd/npy", str(tmp_path / "npy"))
    assert len(files(tmp_path, "npy", fmt="deepmd/npy").generate(TYPE_MAP, rng())) == 4


LMP = "x\n\n2 atoms\n2 atom types\n0 4 xlo xhi\n0 4 ylo yhi\n0 4 zlo zhi\n0 0 0 xy xz yz\n{}\nAtoms # atomic\n\n1 2 0 0 0\n2 1 2 2 2\n"


def test_types_of_a_lammps_file_are_those_of_the_type_map(tmp_path):
    (tmp_path / "a.lmp").write_text(LMP.format(""))
    (frame,) = files(tmp_path, "a.lmp").generate(TYPE_MAP, rng())
    assert frame.symbols == ("Cu", "Al")
    assert files(tmp_path, "a.lmp", fmt="lammps/lmp").generate(("H", "O"), rng())[0].symbols == ("O", "H")


@pytest.mark.parametrize("name", ["a.lmp", "a.data", "POSCAR", "data"])
def test_lammps_data_are_recognized_whatever_the_name_of_the_file(tmp_path, name):
    (tmp_path / name).write_text(LMP.format(""))
    (frame,) = files(tmp_path, name, fmt="auto").generate(TYPE_MAP, rng())
    assert frame.symbols == ("Cu", "Al")


@pytest.mark.parametrize("name", ["a.poscar", "POSCAR", "a.vasp", "CONTCAR.relaxed", "a.01x01x01"])
def test_a_file_whose_name_says_nothing_is_a_poscar(tmp_path, name):
    (tmp_path / name).write_text(POSCAR)
    (frame,) = files(tmp_path, name, fmt="auto").generate(TYPE_MAP, rng())
    assert frame.symbols == ("Cu", "Al")


def test_the_end_of_a_name_that_dpdata_knows_gives_the_format(tmp_path):
    (tmp_path / "a.xyz").write_text("2\na molecule\nAl 0 0 0\nCu 2 0 0\n")
    (frame,) = files(tmp_path, "a.xyz", fmt="auto").generate(TYPE_MAP, rng())
    assert (frame.symbols, frame.periodic) == (("Al", "Cu"), False)


@pytest.mark.parametrize("text", ["", "nothing\nof a structure\n", POSCAR[:30], "\x00\xff" * 50])
@pytest.mark.parametrize("name", ["a.vasp", "a.xyz", "a.lmp", "a.poscar"])
def test_a_file_that_cannot_be_read_is_told_without_words_of_python(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    for problem in problems(files(tmp_path, name, fmt="auto")).values():
        assert "Error" not in problem
        assert "NoneType" not in problem


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("1 2 0 0 0", "1 2.5 0 0 0", "'2.5' stands where a whole number"),
        ("2 2 2", "2 x 2", "'x' stands where a number"),
    ],
)
def test_a_word_that_is_no_number_is_told_in_plain_words(tmp_path, old, new, says):
    (tmp_path / "a.lmp").write_text(LMP.format("").replace(old, new))
    assert says in problems(files(tmp_path, "a.lmp"))["files.0"]


def test_a_lammps_file_that_names_other_elements_is_refused(tmp_path):
    (tmp_path / "a.lmp").write_text(LMP.format("\nMasses\n\n1 63.546 # Cu\n2 26.98 # Al\n"))
    assert "its type 1 is Cu, while number 1 in type_map is Al" in problems(files(tmp_path, "a.lmp"))["files.0"]
    assert len(files(tmp_path, "a.lmp").generate(("Cu", "Al"), rng())) == 1


@pytest.mark.parametrize(
    ("masses", "type_map", "says"),
    [
        ("1 63.546\n2 26.98", ("Al", "Cu"), "its type 1 is Cu (its mass is 63.546), while number 1 in type_map is Al"),
        ("  1   6.355e1 # alpha\n  2 27", ("Al", "Cu"), "its type 1 is Cu"),
        ("1 1.00794  # H\n2 15.9994  # O", ("O", "H"), "its type 1 is H, while"),
        ("1 1.00794\n2 15.9994", ("O", "H"), "its type 1 is H (its mass is 1.00794)"),
        ("1 1.00794\n2 15.9994", ("H", "O"), ""),
        ("1 2.014\n2 15.9994", ("H", "O"), ""),
        ("1 55.845\n2 55.8", ("Fe1", "Fe2"), ""),
        ("1 1\n2 1", ("O", "H"), ""),
        ("1 59\n2 16", ("Ni", "O", "Co"), ""),
        ("1 26.98 # Al\n2 63.5 # Cu", ("Al", "Cu"), ""),
        ("1 26.98\n2 63.5", ("Al", "Zn", "Cu"), "its type 2 is Cu"),
    ],
)
def test_the_masses_of_a_lammps_file_say_which_element_a_type_is(tmp_path, masses, type_map, says):
    (tmp_path / "a.lmp").write_text(LMP.format(f"\nMasses\n\n{masses}\n"))
    source = files(tmp_path, "a.lmp")
    if not says:
        assert {*source.generate(type_map, rng())[0].symbols} == {*type_map[:2]}
        return
    with pytest.raises(InputError) as caught:
        source.generate(type_map, rng())
    assert says in str(caught.value)


def test_a_lammps_file_with_more_types_than_the_type_map_is_refused(tmp_path):
    (tmp_path / "a.lmp").write_text(LMP.format(""))
    with pytest.raises(InputError, match="2 types of atoms, and type_map only 1"):
        files(tmp_path, "a.lmp").generate(("Al",), rng())


def test_an_element_outside_the_type_map_is_refused(folder):
    with pytest.raises(InputError, match="has Cu, which type_map"):
        files(folder, "a.poscar").generate(("Al",), rng())


def test_all_that_is_wrong_with_files_is_told_at_once(folder):
    (folder / "torn.poscar").write_text(POSCAR[:30])
    found = problems(files(folder, "nothing*", "torn.poscar", "a.poscar"))
    assert "matches no file" in found["files.0"]
    assert "could not be read" in found["files.1"]
    assert set(found) == {"files.0", "files.1"}


def test_an_unknown_format_and_no_file_at_all_are_refused(folder):
    assert (
        "dpdata reads no format 'vsap'; is one of these meant: vasp/xml?"
        == problems(files(folder, "a.poscar", fmt="vsap"))["files.0"]
    )
    assert problems(files(folder)) == {"files": "must not be empty"}
    with pytest.raises(InputError, match="no file matches"):
        files(folder, "nothing*").generate(TYPE_MAP, rng())


def test_without_periodicity_atoms_stand_in_vacuum(folder):
    (frame,) = files(folder, "a.poscar", remove_pbc=True).generate(TYPE_MAP, rng())
    assert not frame.periodic
    assert frame.coords.min() >= 9
    assert (np.diag(frame.cell) - frame.coords).min() >= 9
    np.testing.assert_allclose(frame.coords[1] - frame.coords[0], [2, 2, 2])


EXTENDED = '1\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3{} pbc="T T T"\nAl 0 0 0{}\n'


def test_the_cell_of_an_extended_xyz_file_is_not_lost(tmp_path):
    (tmp_path / "a.xyz").write_text(EXTENDED.format(":forces:R:3 energy=-1.0", " 0 0 0"))
    (tmp_path / "b.xyz").write_text("1\nan atom\nAl 0 0 0\n")
    periodic, molecule = files(tmp_path, "*.xyz").generate(TYPE_MAP, rng())
    np.testing.assert_allclose(periodic.cell, np.eye(3) * 4)
    assert periodic.symbols == molecule.symbols == ("Al",)
    assert periodic.periodic
    assert not molecule.periodic


XYZ = {
    "plain": "3\nwater, from a paper\nO 0 0 0.1\nH 0 0.76 -0.48\nH 0.0 -0.76 -4.8d-1\n",
    "an empty comment": "2\n\nAl 0 0 0\nCu 2 0 0\n",
    "no labels": EXTENDED.format("", ""),
    "labels": EXTENDED.format(":forces:R:3 energy=-1.0", " 0 0 0"),
    "several frames": EXTENDED.format("", "") * 2 + "1\nno cell\nCu 1 2 3\n\n",
    "a skewed cell": EXTENDED.format("", "").replace("0 4 0 0", "1 4 0 0.5"),
    "columns in another order": EXTENDED.format("", "")
    .replace("species:S:1:pos:R:3", "id:I:1:pos:R:3:species:S:1")
    .replace("Al 0 0 0", "7 0.5 0 1.5 Al"),
    "open boundaries": EXTENDED.format("", "").replace("T T T", "F F F"),
    "a slab": EXTENDED.format("", "").replace("T T T", "T T F"),
    "without pbc": EXTENDED.format("", "").replace('pbc="T T T"', "config_type=bulk"),
}


@pytest.mark.parametrize("name", XYZ)
@pytest.mark.parametrize("fmt", ["auto", "xyz", "extxyz"])
def test_xyz_is_read_as_ase_reads_it_with_labels_or_without(tmp_path, name, fmt):
    (tmp_path / "a.xyz").write_text(XYZ[name])
    found = files(tmp_path, "a.xyz", fmt=fmt).generate(("Al", "Cu", "O", "H"), rng())
    (tmp_path / "a.xyz").write_text(XYZ[name].replace("d-1", "e-1"))
    wanted = ase.io.read(tmp_path / "a.xyz", index=":", format="extxyz")
    assert len(found) == len(wanted)
    for frame, atoms in zip(found, wanted, strict=True):
        assert (frame.symbols, frame.periodic) == (tuple(atoms.get_chemical_symbols()), bool(atoms.pbc.any()))
        own = ase.Atoms(frame.symbols, frame.coords, cell=frame.cell, pbc=frame.periodic)
        np.testing.assert_allclose(own.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-9)
        if frame.periodic:
            np.testing.assert_allclose(own.cell.cellpar(), atoms.cell.cellpar())
            np.testing.assert_allclose(own.get_scaled_positions(), atoms.get_scaled_positions(), atol=1e-9)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Al 0 0 0\n", "line 1 must have the number of atoms, found 'Al 0 0 0'"),
        ("3\nx\nAl 0 0 0\n", "line 1 says 3 atoms, and the file ends before"),
        ("1\nx\nAl 0 0 zero\n", "line 3 must have 3 numbers, found '0 0 zero'"),
        (EXTENDED.format("", "").replace("4 0 0 0 4", "4 0 0 4"), "line 2: Lattice must have 9 numbers"),
        (EXTENDED.format("", "").replace("0 0 4", "0 0 0"), "line 2: Lattice has no volume"),
        (EXTENDED.format("", "").replace("pos:", "place:"), "no positions"),
    ],
)
def test_a_torn_xyz_file_is_told_with_its_line(tmp_path, text, says):
    (tmp_path / "a.xyz").write_text(text)
    assert says in problems(files(tmp_path, "a.xyz", fmt="auto"))["files.0"]


@pytest.mark.parametrize("name", ["a.dump", "a.lammpstrj", "traj"])
def test_a_dump_of_lammps_is_recognized(tmp_path, name):
    rows = "ITEM: ATOMS id type x y z\n1 2 0 0 0\n2 1 2 2 2\n"
    box = "ITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
    (tmp_path / name).write_text(f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\n{box}{rows}")
    (frame,) = files(tmp_path, name, fmt="auto").generate(TYPE_MAP, rng())
    assert frame.symbols == ("Cu", "Al")


def test_a_cif_is_refused_with_a_way_out(tmp_path):
    (tmp_path / "a.cif").write_text("data_x\n")
    assert (
        f"ase convert {tmp_path}/a.cif {tmp_path}/a.vasp" in problems(files(tmp_path, "a.cif", fmt="auto"))["files.0"]
    )
