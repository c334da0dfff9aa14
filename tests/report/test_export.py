"""export: the dataset for other programs, read back by ASE and dpdata."""

import json

import dpdata
import numpy as np
import pytest
from ase.io import read
from test_status import row as report

from dpgen2_hpc.cli.main import main
from dpgen2_hpc.data.dataset import write_labels
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import write_lines
from dpgen2_hpc.state.record import Home, Record
from dpgen2_hpc.state.results import CollectResult
from dpgen2_hpc.state.workdir import WorkDir

TYPES = ["Al", "Cu"]


def label(symbols, seed, *, virial=True, periodic=True):
    rng = np.random.default_rng(seed)
    cell = np.diag([4.0, 5.0, 6.0]) + rng.random((3, 3)) / 10
    frame = Frame(tuple(symbols), rng.random((len(symbols), 3)) * 4, cell, periodic)
    tensor = rng.normal(size=(3, 3))
    found = tensor + tensor.T if virial and periodic else None
    return Labels(frame, float(rng.normal()), rng.normal(size=(len(symbols), 3)), found)


FIRST = [label(("Cu", "Al", "Cu"), 1), label(("Cu", "Al", "Cu"), 2)]
LATER = [
    [label(("Al", "Al"), 3), label(("Al", "Cu", "Cu"), 4, virial=False)],
    [label(("Al", "Cu", "Cu"), 5), label(("Cu",), 6, periodic=False)],
]


@pytest.fixture
def work(tmp_path):
    """A work directory that has finished two iterations, and has first data."""
    workdir = WorkDir(tmp_path / "work")
    workdir.inputs.mkdir(parents=True)
    write_labels(tmp_path / "first", FIRST, ["Cu", "Al"])
    write_lines(workdir.initial_data, [{"path": str(tmp_path / "first" / "Cu2Al1"), "frames": 2, "digest": "-"}])
    workdir.param.write_text(json.dumps({"inputs": {"type_map": TYPES}}))
    for iteration, labels in enumerate(LATER):
        folder = workdir.step(iteration, "collect")
        places = write_labels(folder.path / "data", labels, TYPES, mixed=iteration == 1)
        rows = [
            {"iteration": iteration, "key": f"iter-00000{iteration}--run-fp-{n:06d}", "code": "a code", "error_v": None,
             "deviation_f": 0.25, "system": system, "index": index}
            for n, (system, index) in enumerate(places)
        ]  # fmt: skip
        write_lines(folder.path / "manifest.jsonl", rows)
        results.save(folder, CollectResult(len(rows), sorted({row["system"] for row in rows}), "-"))
    rows = tuple(report(number, 1, 0) for number in range(2))
    known = {"identity": "a", "home": Home("h", "p", 1), "seed": 0, "sequence": 1, "iteration": 1}
    workdir.record.write_text(Record(**known, iterations=rows, step="collect", phase="harvested").text())
    return workdir.root


def export(work, *words):
    return main(["export", "-C", str(work), *map(str, words)])


def same(atoms, wanted):
    assert atoms.get_chemical_symbols() == list(wanted.frame.symbols)
    assert atoms.get_potential_energy() == wanted.energy
    np.testing.assert_allclose(atoms.positions, wanted.frame.coords, atol=1e-9)
    np.testing.assert_allclose(atoms.get_forces(), wanted.forces, atol=1e-9)
    assert atoms.pbc.all() == atoms.pbc.any() == wanted.frame.periodic
    if wanted.virial is not None:
        np.testing.assert_allclose(atoms.cell.array, wanted.frame.cell, rtol=1e-10)
        np.testing.assert_allclose(-atoms.get_stress(voigt=False) * atoms.get_volume(), wanted.virial, atol=1e-9)


def test_ase_reads_the_whole_dataset_from_extended_xyz(work, tmp_path, capsys):
    assert export(work, "extxyz", tmp_path / "all.xyz") == 0
    assert "6 labelled frames" in capsys.readouterr().out
    wanted = FIRST + LATER[0] + LATER[1]
    ordered = [one.sorted(["Cu", "Al"]) for one in FIRST] + [one.sorted(TYPES) for one in LATER[0] + LATER[1]]
    found = read(tmp_path / "all.xyz", ":")
    assert len(found) == len(wanted) == 6
    for atoms, one in zip(found, ordered, strict=True):
        same(atoms, one)


def test_each_frame_of_extended_xyz_says_where_it_comes_from(work, tmp_path):
    assert export(work, "extxyz", tmp_path / "all.xyz") == 0
    found = [atoms.info for atoms in read(tmp_path / "all.xyz", ":")]
    assert found[1]["source"].endswith("first/Cu2Al1")
    assert found[1]["source_index"] == 1
    assert [info["iteration"] for info in found[2:]] == [0, 0, 1, 1]
    assert found[4]["key"] == "iter-000001--run-fp-000000"
    assert (found[4]["code"], found[4]["deviation_f"]) == ("a code", 0.25)
    assert "error_v" not in found[4]


def test_the_labels_of_some_iterations_alone(work, tmp_path):
    assert export(work, "extxyz", tmp_path / "some.xyz", "--iterations", "1") == 0
    assert [atoms.info["iteration"] for atoms in read(tmp_path / "some.xyz", ":")] == [1, 1]
    assert export(work, "extxyz", tmp_path / "both.xyz", "--iterations", "0-2") == 0
    assert len(read(tmp_path / "both.xyz", ":")) == 4


@pytest.mark.parametrize("fmt", ["deepmd/npy", "deepmd/hdf5", "deepmd/raw", "deepmd/npy/mixed", "deepmd/lmdb"])
def test_dpdata_reads_what_it_was_asked_to_write(work, tmp_path, fmt):
    assert export(work, fmt, tmp_path / "out") == 0
    rows = [json.loads(line) for line in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]
    assert [row["system"] for row in rows] == [
        "Al1Cu2", "Al1Cu2", "Al2", "Al1Cu2-novirial", "Al1Cu2", "Cu1-nopbc",
    ]  # fmt: skip
    for row, wanted in zip(rows, FIRST + LATER[0] + LATER[1], strict=True):
        path = str(tmp_path / "out" / row["system"])
        if "mixed" in fmt:
            (system,) = dpdata.MultiSystems().load_systems_from_file(path, fmt=fmt)
        else:
            system = dpdata.LabeledSystem(path, fmt=fmt)
        assert system["energies"][row["index"]] == pytest.approx(wanted.energy, abs=1e-9)
        names = [system["atom_names"][kind] for kind in system["atom_types"]]
        assert names == list(wanted.sorted(TYPES).frame.symbols)
        np.testing.assert_allclose(system["forces"][row["index"]], wanted.sorted(TYPES).forces, atol=1e-6)
        if wanted.frame.periodic:
            np.testing.assert_allclose(system["cells"][row["index"]], wanted.frame.cell, atol=1e-5)
        assert ("virials" in system.data) == (wanted.virial is not None)


def test_a_format_without_room_for_labels_gets_a_file_for_each_frame(work, tmp_path, capsys):
    assert export(work, "vasp/poscar", tmp_path / "out") == 0
    assert "6 frames, without their labels" in capsys.readouterr().out
    found = dpdata.System(str(tmp_path / "out/Al1Cu2/000002"), fmt="vasp/poscar")
    wanted = LATER[1][0].frame
    fractions = found["coords"][0] @ np.linalg.inv(found["cells"][0])  # dpdata has turned the cell
    np.testing.assert_allclose(fractions, wanted.coords @ np.linalg.inv(wanted.cell), atol=1e-8)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["extxzy", "new"], "did you mean 'extxyz'?"),
        (["gaussian/gjf", "new"], "keywords"),
        (["ase/structure", "new"], "writes no file"),
        (["extxyz", "work"], "is there already"),
        (["extxyz", "nowhere/new"], "there is no folder"),
        (["extxyz", "new", "--iterations", "1-7"], "finished 2 iterations"),
        (["extxyz", "new", "--iterations", "2-1"], "finished 2 iterations"),
        (["extxyz", "new", "--iterations", "last"], "expected is 3, or 0-3"),
    ],
)
def test_what_cannot_be_exported_is_said_and_nothing_is_written(work, tmp_path, capsys, words, says):
    fmt, out, *more = words
    assert export(work, fmt, tmp_path / out, *more) == 2
    assert says in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "work"]


def test_first_data_that_are_gone_are_named(work, tmp_path, capsys):
    (tmp_path / "first/Cu2Al1/type.raw").unlink()
    assert export(work, "extxyz", tmp_path / "new.xyz") == 4
    assert "type.raw" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "work"]
