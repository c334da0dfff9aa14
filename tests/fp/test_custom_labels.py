"""Any command between formats of dpdata: here a small program of the test's own."""

import contextlib
import os
import shutil
import sys

import numpy as np
import pytest
from labelers import FCC, SKEWED, Sample, context, made, prepared, rattled, run, within
from mutations import mutated

from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.gate import Gate
from dpgen2_hpc.fp.reading import read_all

ALLOY = rattled(("Al", "Al", "Cu", "Cu"), SKEWED, FCC)

PROGRAM = """
import sys, dpdata
from ase.calculators.emt import EMT
system = dpdata.System("POSCAR", fmt="vasp/poscar").predict(calculator=EMT(), driver="ase")
for _ in range(int(open("times").read()) - 1):
    system.append(system.sub_system([0]))
system.to("deepmd/npy", "label")
"""


def settings(folder, times=1, **more):
    (folder / "program.py").write_text(PROGRAM)
    (folder / "times").write_text(f"{times}\n")
    config = {
        "input_fmt": "vasp/poscar",
        "input_fn": "POSCAR",
        "output_fmt": "deepmd/npy",
        "output_fn": "label",
        "files": ["program.py", "times"],
        "virial": True,
        **more,
    }
    return {"inputs_config": config, "run_config": {"command": f"{sys.executable} program.py"}}


OUT = "vasp/outcar"


def vasp_settings(folder):
    import test_vasp_labels as vasp

    (folder / "POTCAR").write_text(vasp.fake_potcar("Al") + vasp.fake_potcar("Cu"))
    (folder / "INCAR").write_text("EDIFF = 1E-6\n")
    more = {"files": ["POTCAR", "INCAR"], "output_fmt": OUT, "output_fn": "OUTCAR"}
    return {**settings(folder, **more), "run_config": {"command": "vasp"}}


def good(task):
    import test_vasp_labels as vasp

    vasp.ran(task)


def bad(task):
    (task / "INCAR").unlink()
    (task / "INCAR").write_text("NELM = 3\n")
    good(task)


SAMPLE = Sample(settings=vasp_settings, frame=ALLOY, good=good, bad=bad, output="OUTCAR", type_map=("Al", "Cu"))


@pytest.fixture
def asked(tmp_path):
    def go(**more):
        labeler = made("custom", settings(tmp_path, **more), tmp_path)
        assert list(labeler.checks(context("Al", "Cu"))) == []
        task = prepared(labeler, ALLOY, tmp_path / "s" / "t")
        assert run(labeler, task) == 0, (task / "task.log").read_text()
        return Gate().read(labeler, task, ALLOY)

    return go


def test_the_label_is_what_the_command_computed_on_the_frames_own_axes(asked):
    from ase import Atoms
    from ase.calculators.emt import EMT

    labels = asked()
    atoms = Atoms(ALLOY.symbols, ALLOY.coords, cell=ALLOY.cell, pbc=True, calculator=EMT())
    assert labels.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
    np.testing.assert_allclose(labels.forces, atoms.get_forces(), atol=1e-7)
    np.testing.assert_allclose(labels.virial, -atoms.get_stress(voigt=False) * atoms.get_volume(), atol=1e-6)


def test_two_frames_are_not_the_one_that_was_asked_for(asked):
    with pytest.raises(LabelRefused, match="holds 2 frames"):
        asked(times=2)


def test_no_output_is_said(tmp_path):
    labeler = made("custom", settings(tmp_path), tmp_path)
    with pytest.raises(OutputError, match="there is no label in 'label'"):
        labeler.read_labels(prepared(labeler, ALLOY, tmp_path / "s" / "t"))


@pytest.mark.parametrize(
    ("more", "key", "says"),
    [
        ({"input_fmt": "vasp/poscra"}, "input_fmt", "cannot write frames"),
        ({"input_fmt": "vasp/outcar"}, "input_fmt", "cannot write frames"),
        ({"output_fmt": "vasp/poscar"}, "output_fmt", "cannot read labels"),
        ({"input_fn": "../POSCAR"}, "input_fn", "name of a file"),
        ({"output_fn": ".."}, "output_fn", "name of a file"),
    ],
)
def test_what_is_wrong_is_found_before_anything_is_submitted(tmp_path, more, key, says):
    [(path, text)] = made("custom", settings(tmp_path, **more), tmp_path).checks(context("Al", "Cu"))
    assert path == ("inputs_config", key)
    assert says in text


def test_missing_files_and_an_empty_command_are_named(tmp_path):
    given = {**settings(tmp_path, files=["none"]), "run_config": {"command": " "}}
    found = [path for path, _ in made("custom", given, tmp_path).checks(context("Al"))]
    assert found == [("inputs_config", "files", 0), ("run_config", "command")]


# ---- what a task may leave in the place of a system


ODD = {
    "fifo": lambda path: (path.unlink(), os.mkfifo(path)),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "dangling link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
    "device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    "empty": lambda path: path.write_bytes(b""),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe" + path.read_bytes()),
    "8 GB": lambda path: os.truncate(path, 8 << 30),
    "8 GB of frames": lambda path: many_frames(path),
}


def many_frames(path):
    """A whole array of a billion rows, none of which is on the disk."""
    if path.suffix != ".npy":
        return os.truncate(path, 8 << 30)
    columns = np.load(path, mmap_mode="r").shape[1:]
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**8, *columns)})
        file.truncate(file.tell() + 8 * 10**8 * int(np.prod(columns, dtype=int)))
    return None


@pytest.fixture
def labelled(tmp_path):
    """The labeler, and two tasks that have ended well."""
    labeler = made("custom", settings(tmp_path), tmp_path)
    first = prepared(labeler, ALLOY, tmp_path / "s" / "task.000000")
    assert run(labeler, first) == 0, (first / "task.log").read_text()
    second = first.with_name("task.000001")
    shutil.copytree(first, second, symlinks=True)
    return labeler, [first, second]


@pytest.mark.slow
@pytest.mark.parametrize("what", ODD)
def test_an_odd_file_in_a_system_fails_its_own_task_alone_and_in_time(labelled, what):
    labeler, tasks = labelled
    kept = tasks[1].with_name("kept")
    shutil.copytree(tasks[1], kept, symlinks=True)
    for path in [found for found in sorted((tasks[1] / "label").rglob("*")) if found.is_file()]:
        ODD[what](path)
        if what == "8 GB of frames" and path.suffix == ".npy":
            for other in path.parent.glob("*.npy"):
                many_frames(other)
        with within(20):
            good, odd = read_all(labeler, tasks)
        assert good.energy != 0
        whole_array_and_more = what == "8 GB" and path.suffix == ".npy"
        assert isinstance(odd, LabelRefused | OutputError) or (whole_array_and_more and odd.energy == good.energy), path
        shutil.rmtree(tasks[1])
        shutil.copytree(kept, tasks[1], symlinks=True)


@pytest.mark.slow
def test_a_damaged_system_raises_nothing_unforeseen(labelled):
    labeler, (_, second) = labelled
    for path in [found for found in sorted((second / "label").rglob("*")) if found.is_file()]:
        content = path.read_bytes()
        for _, damaged in mutated(content, 60, 7):
            path.write_bytes(damaged)
            with contextlib.suppress(LabelRefused, OutputError), within(20):
                Gate().read(labeler, second, ALLOY)
        path.write_bytes(content)
