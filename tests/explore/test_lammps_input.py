"""What LAMMPS is given: in.lammps and conf.lmp."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import dpdata
import numpy as np
import pytest

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.physical import fault_of
from dpgen2_hpc.errors import InputError, OutputError
from dpgen2_hpc.explore.lammps.conf import is_periodic, lower_triangular, read_conf, write_conf
from dpgen2_hpc.explore.lammps.input import input_text
from dpgen2_hpc.explore.lammps.run import LammpsExplorer
from dpgen2_hpc.kinds import CheckContext, Ending, Explorer, MdRun, load

TYPE_MAP = ("Al", "Cu")
SKEWED = np.array([[4.0, 1.0, 0.0], [2.5, 5.0, -1.0], [-3.0, 2.0, 6.0]])
LEFT_HANDED = SKEWED * [[1], [1], [-1]]
ENSEMBLES = ("nve", "nvt", "npt-iso", "npt-aniso", "npt-tri")


def md_run(ensemble="nvt", **more):
    pressure = 1.5 if ensemble.startswith("npt") else None
    settings = {
        "ensemble": ensemble, "steps": 100, "temperature": 300.0, "pressure": pressure, "timestep": 0.002,
        "frequency": 10, "tau_t": 0.05, "tau_p": 0.5, "models": ("../shared/model.000.pb", "../shared/model.001.pb"),
        "type_map": TYPE_MAP, "masses": (26.98, 63.546), "seed": 4711,
    }  # fmt: skip
    return MdRun(**{**settings, **more})


def frame(cell=SKEWED, natoms=6, periodic=True):
    coords = np.random.default_rng(1).random((natoms, 3)) @ cell
    return Frame(tuple(["Cu", "Al", "Al"] * (natoms // 3)), coords, np.array(cell, dtype=float), periodic)


def distances(coords, cell):
    """Return all shortest distances, images included, as the atoms are numbered: shape (N, N)."""
    shifts = np.stack(np.meshgrid(*[range(-3, 4)] * 3), axis=-1).reshape(-1, 3) @ cell
    return np.linalg.norm(coords[:, None, None] - coords[None, :, None] + shifts, axis=-1).min(axis=-1)


# ---- in.lammps ------------------------------------------------------------------------------------------------------


def test_the_input_names_elements_models_and_masses():
    text = input_text(md_run())
    assert "units metal\nboundary p p p\natom_style atomic\n" in text
    assert "mass 1 26.98\nmass 2 63.546\n" in text
    assert (
        "pair_style deepmd ../shared/model.000.pb ../shared/model.001.pb out_freq 10 out_file model_devi.out\n"
        "pair_coeff * * Al Cu\n" in text
    )
    assert "velocity all create 300 4711 " in text
    assert text.endswith("timestep 0.002\nrun 100\n")
    assert text.index("box tilt large") < text.index("read_data conf.lmp")


@pytest.mark.parametrize(
    ("ensemble", "words"),
    [
        ("nve", "nve"),
        ("nvt", "nvt temp 300 300 0.05"),
        ("npt", "npt temp 300 300 0.05 iso 1.5 1.5 0.5"),
        ("npt-iso", "npt temp 300 300 0.05 iso 1.5 1.5 0.5"),
        ("npt-aniso", "npt temp 300 300 0.05 aniso 1.5 1.5 0.5"),
        ("npt-tri", "npt temp 300 300 0.05 tri 1.5 1.5 0.5"),
    ],
)
def test_each_ensemble_has_its_fix(ensemble, words):
    assert f"\nfix motion all {words}\n" in input_text(md_run(ensemble))


def test_neighbour_lists_are_left_alone_unless_a_delay_is_asked_for():
    assert "neigh_modify" not in input_text(md_run())
    assert "\nneigh_modify delay 3\n" in input_text(md_run(neighbor_delay=3))


def test_an_open_system_has_open_boundaries_and_no_pressure(tmp_path):
    explorer = LammpsExplorer()
    explorer.write_configuration(frame(periodic=False), TYPE_MAP, tmp_path / explorer.configuration_file)
    assert explorer.write_inputs(md_run("nvt"), tmp_path) == ["in.lammps"]
    assert "\nboundary f f f\n" in (tmp_path / "in.lammps").read_text()
    with pytest.raises(InputError, match="no periodicity and so no pressure"):
        explorer.write_inputs(md_run("npt-iso"), tmp_path)


# ---- the kind -------------------------------------------------------------------------------------------------------


def test_the_explorer_is_found_by_its_type_and_has_dpgen2s_defaults():
    import dargs

    kind = load("explore", "lmp")
    settings = dargs.Argument("explore", dict, kind.arguments()).normalize_value({})
    explorer: Explorer = kind.from_settings(settings)
    assert explorer == LammpsExplorer()
    assert explorer.command_line(()) == "lmp -i in.lammps -log log.lammps"
    assert {key.name for key in kind.arguments()[0].sub_fields.values() if not key.available} == {
        "teacher_model_path", "head", "model_frozen_head", "use_ele_temp", "use_hdf5", "extra_output_files",
    }  # fmt: skip


def test_one_model_and_an_empty_command_are_faults():
    context = CheckContext(TYPE_MAP, (26.98, 63.546), 1)
    found = [path for path, _ in LammpsExplorer(program=" ").checks(context)]
    assert found == [("config", "command"), ()]


def test_causes_are_patterns_with_a_sentence_and_a_remedy():
    log = "ERROR: Lost atoms: original 32 current 31 (src/thermo.cpp:494)"
    found = [sentence for pattern, sentence, remedy in LammpsExplorer.causes if re.search(pattern, log) and remedy]
    assert found == ["Atoms left the cell or flew apart."]


# ---- conf.lmp -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [np.eye(3) * 5, SKEWED, LEFT_HANDED, -SKEWED, SKEWED[[1, 0, 2]]])
def test_a_turned_cell_spans_the_same_lattice_with_the_same_neighbours(cell):
    one = frame(cell)
    turned, coords = lower_triangular(one.cell, one.coords)
    assert np.all(np.diag(turned) > 0)
    assert np.all(np.triu(turned, 1) == 0)
    np.testing.assert_allclose(turned @ turned.T, cell @ cell.T, atol=1e-12)
    np.testing.assert_allclose(distances(coords, turned), distances(one.coords, cell), atol=1e-11)


def test_a_turned_cell_is_never_mirrored():
    for cell in (SKEWED, LEFT_HANDED):
        _, coords = lower_triangular(cell, np.eye(3))
        assert np.linalg.det(coords) == pytest.approx(1)


def test_a_cell_without_volume_is_refused():
    with pytest.raises(InputError, match="without volume"):
        lower_triangular(np.ones((3, 3)), np.zeros((1, 3)))
    with pytest.raises(InputError, match="without volume"):
        lower_triangular(np.diag([1.0, 1.0, np.inf]), np.zeros((1, 3)))


@pytest.mark.parametrize("cell", [np.eye(3) * 5, SKEWED, LEFT_HANDED])
def test_dpdata_reads_the_configuration_that_we_wrote(tmp_path, cell):
    one = frame(cell)
    write_conf(one, TYPE_MAP, tmp_path / "conf.lmp")
    system = dpdata.System(str(tmp_path / "conf.lmp"), fmt="lammps/lmp", type_map=list(TYPE_MAP))
    box, coords = system["cells"][0], system["coords"][0]
    assert [TYPE_MAP[kind] for kind in system["atom_types"]] == list(one.symbols)
    np.testing.assert_allclose(box @ box.T, cell @ cell.T, atol=1e-12)
    np.testing.assert_allclose(distances(coords, box), distances(one.coords, cell), atol=1e-11)


def test_an_element_that_is_absent_keeps_its_number(tmp_path):
    write_conf(Frame(("Cu",), np.zeros((1, 3)), np.eye(3)), ("H", "Al", "Cu"), tmp_path / "conf.lmp")
    text = (tmp_path / "conf.lmp").read_text()
    assert "\n3 atom types\n" in text
    assert text.endswith("\n1 3 0.000000000000 0.000000000000 0.000000000000\n")


def test_an_open_frame_keeps_its_coordinates_in_a_box_around_them(tmp_path):
    one = frame(periodic=False)
    write_conf(one, TYPE_MAP, tmp_path / "conf.lmp")
    text = (tmp_path / "conf.lmp").read_text()
    rows = np.loadtxt(text.partition("Atoms # atomic")[2].split("\n"))
    np.testing.assert_allclose(rows[:, 2:], one.coords, rtol=0, atol=1e-12)
    low, high = map(float, re.search(r"(\S+) (\S+) xlo xhi", text).groups())
    assert low == pytest.approx(one.coords[:, 0].min() - 9)
    assert high == pytest.approx(one.coords[:, 0].max() + 9)
    assert "xy xz yz" not in text
    assert not is_periodic(tmp_path / "conf.lmp")


@pytest.mark.parametrize("start", [frame(), frame(LEFT_HANDED), frame(periodic=False), frame(np.eye(3) * 5)])
def test_a_configuration_is_read_as_it_was_written(tmp_path, start):
    """dpdata reads the same file."""
    write_conf(start, TYPE_MAP, tmp_path / "conf.lmp")
    found = read_conf(tmp_path / "conf.lmp", TYPE_MAP)
    system = dpdata.System(str(tmp_path / "conf.lmp"), fmt="lammps/lmp", type_map=list(TYPE_MAP))
    assert found.symbols == start.symbols
    assert found.periodic == start.periodic
    np.testing.assert_allclose(found.cell, system["cells"][0], atol=1e-12)
    apart = (found.coords - system["coords"][0]) @ np.linalg.inv(found.cell)
    np.testing.assert_allclose(apart, np.round(apart), atol=1e-9)


@pytest.mark.parametrize("text", ["", "\0\0\0", "nonsense\n5 atoms\n", "x\n\n2 atoms\n\nAtoms\n\n1 1 0 0\n"])
def test_what_is_not_a_configuration_is_no_output(tmp_path, text):
    (tmp_path / "conf.lmp").write_text(text)
    with pytest.raises(OutputError, match=r"conf\.lmp"):
        read_conf(tmp_path / "conf.lmp", TYPE_MAP)


# ---- the real program -----------------------------------------------------------------------------------------------


def find_lammps():
    beside = Path(sys.executable).with_name("lmp")
    return str(beside) if beside.exists() else shutil.which("lmp")


def without_model(text):
    """Return an input whose atoms feel no forces, so that no model is needed."""
    text = re.sub(r"(?m)^pair_style .*$", "pair_style zero 3.0", text)
    return re.sub(r"(?m)^pair_coeff .*$", "pair_coeff * *", text)


@pytest.mark.programs
def test_lammps_takes_every_ensemble_and_writes_what_we_read(tmp_path):
    """All runs are done by one process, since starting LAMMPS takes longer than the runs."""
    program = find_lammps()
    if program is None:
        pytest.skip("there is no lmp here")
    explorer = LammpsExplorer(program)
    starts = {name: (name, frame()) for name in ENSEMBLES}
    starts |= {"left": ("nve", frame(LEFT_HANDED)), "open": ("nvt", frame(periodic=False))}
    script = ""
    for name, (ensemble, start) in starts.items():
        folder = tmp_path / name
        folder.mkdir()
        explorer.write_configuration(start, TYPE_MAP, folder / explorer.configuration_file)
        explorer.write_inputs(md_run(ensemble, steps=20), folder)
        script += f"clear\nshell cd {folder}\n{without_model((folder / 'in.lammps').read_text())}"
    (tmp_path / "in.lammps").write_text(script)
    done = subprocess.run(
        explorer.command_line(()), shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    for name, (_, start) in starts.items():
        (tmp_path / name / "model_devi.out").write_text("# step max_devi_v max_devi_f\n0 1 2\n10 1 2\n20 1 2\n")
        assert explorer.finish(tmp_path / name, 0) == Ending(False, False, 20, None, 3)
        assert explorer.finish(tmp_path / name, 1).early
        begin = explorer.read_configuration(tmp_path / name / explorer.configuration_file, TYPE_MAP)
        assert fault_of(explorer.frames(tmp_path / name, [20], TYPE_MAP)[0], TYPE_MAP, begin) is None
        first, middle, absent = explorer.frames(tmp_path / name, [0, 10, 15], TYPE_MAP)
        assert absent is None
        assert first.symbols == middle.symbols == start.symbols
        assert first.periodic == middle.periodic == start.periodic
        assert not np.allclose(first.coords, middle.coords)
        cell = start.cell if start.periodic else np.eye(3) * 1e3
        ours = first.cell if start.periodic else cell
        np.testing.assert_allclose(distances(first.coords, ours), distances(start.coords, cell), atol=1e-9)
        if start.periodic:
            np.testing.assert_allclose(first.cell @ first.cell.T, cell @ cell.T, atol=1e-9)
