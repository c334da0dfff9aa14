"""The loop on real parts, compared with what dpdata, ASE and numpy say of the same files.

dp, lmp and EMT, as jobs of a real Slurm, by drivers that are killed again and again.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import slurm_project
from programs import need
from project import TEMPLATE, UNMEASURED, Project, wait_for
from slurm_project import SlurmProject

from dpgen2_hpc.explore.groups import MdGroup
from dpgen2_hpc.explore.lammps.run import LammpsExplorer

pytestmark = [pytest.mark.programs, pytest.mark.slow, pytest.mark.xdist_group("real")]

THREADS = {"OMP_NUM_THREADS": "1", "DP_INTRA_OP_PARALLELISM_THREADS": "1", "DP_INTER_OP_PARALLELISM_THREADS": "1"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Iterator[SlurmProject]:
    """One iteration, whose levels make nearly every frame a candidate; its driver is killed every few seconds."""
    path = need("dp", "lmp")
    with slurm_project.cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        project = SlurmProject(tmp_path_factory.mktemp("real"), cluster)
        project.env["PATH"] += f":{path}"
        resources = project.machine["default"]["resources"]
        resources["envs"].update(PATH=path, **THREADS)
        _real(project)
        kills = 0
        while (driver := project.start()) and not _ends(driver, 6.5):
            driver.kill()
            driver.wait()
            kills += 1
            assert kills < 60, (project.work / "dpgen2_hpc.log").read_text()
        assert driver.returncode == 0, driver.communicate()[0]
        project.kills = kills
        project.accepted = project.entries()
        yield project


def _ends(driver, seconds: float) -> bool:
    try:
        driver.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _real(project: Project) -> None:
    """Give a project real programs, real data and a template that they can learn."""
    _emt_data(project.folder / "data")
    project.machine["default"]["resources"]["prepend_script"] = UNMEASURED
    project.param["train"]["numb_models"] = 2
    project.param["train"].update(
        template_script={**TEMPLATE, "training": {"numb_steps": 60, "disp_freq": 20, "save_freq": 20}}
    )
    project.param["train"]["config"] = {"train_args": "--skip-neighbor-stat"}
    explore = project.param["explore"]
    explore.update(max_numb_iter=1, fatal_at_max=False)
    explore["convergence"].update(level_f_lo=1e-4, level_f_hi=1e3)
    explore["configurations"][0].update(replicate=[2, 2, 1], lattice=["fcc", 3.9])
    project.machine["fp"].pop("command")


def _emt_data(folder) -> None:
    import shutil

    from ase.build import bulk
    from ase.calculators.emt import EMT

    from dpgen2_hpc.data.dataset import write_labels
    from dpgen2_hpc.data.frame import Frame
    from dpgen2_hpc.data.labels import Labels

    shutil.rmtree(folder)
    folder.mkdir()
    labels = []
    for seed in range(6):
        atoms = bulk("Al", "fcc", 3.9, cubic=True).repeat((2, 2, 1))
        atoms.symbols[8:] = "Cu"
        atoms.rattle(0.08, seed=seed)
        atoms.calc = EMT()
        frame = Frame(tuple(atoms.get_chemical_symbols()), atoms.positions, atoms.cell.array)
        virial = -atoms.get_stress(voigt=False) * atoms.get_volume()
        labels.append(Labels(frame, atoms.get_potential_energy(), atoms.get_forces(), virial))
    write_labels(folder, labels, ("Al", "Cu"))


@pytest.mark.queue
def test_each_job_was_submitted_once_although_the_driver_was_killed_again_and_again(finished):
    assert finished.kills >= 2
    assert finished.accepted == Counter(finished.names())
    assert not list(finished.work.rglob("*.attempt-*"))


def test_every_explored_frame_has_its_row_in_the_deviation_files(finished):
    row = finished.status()["iterations"][0]
    files = sorted(finished.work.glob("iter-000000/01.explore/task.*/model_devi.out"))
    table = np.concatenate([np.loadtxt(path) for path in files])
    assert row["explored"] == len(table)
    force = table[:, 4]
    assert row["candidate"] == int(((force >= 1e-4) & (force < 1e3)).sum())
    assert row["accurate"] == int((force < 1e-4).sum())


def test_the_collected_labels_are_those_of_the_calculator_on_the_frames_of_the_trajectory(finished):
    import dpdata
    from ase import Atoms
    from ase.calculators.emt import EMT

    data = finished.work / "iter-000000/04.collect/data"
    manifest = [json.loads(line) for line in (data.parent / "manifest.jsonl").read_text().splitlines()]
    assert len(manifest) == finished.status()["iterations"][0]["labelled"] == 3
    for row in manifest:
        system = dpdata.LabeledSystem(str(data / row["system"]), fmt="deepmd/npy").sub_system([row["index"]])
        names = [system["atom_names"][kind] for kind in system["atom_types"]]
        atoms = Atoms(names, system["coords"][0], cell=system["cells"][0], pbc=True, calculator=EMT())
        assert system["energies"][0] == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
        assert system["forces"][0] == pytest.approx(atoms.get_forces(), abs=1e-6)
        virial = -atoms.get_stress(voigt=False) * atoms.get_volume()
        assert system["virials"][0] == pytest.approx(virial, abs=1e-5)
        task = int(row["explored_by"].rpartition("-")[2])
        dump = dpdata.System(
            str(finished.work / f"iter-000000/01.explore/task.{task:06d}/traj.dump"), fmt="lammps/dump"
        )
        frame = row["md_step"] // 10
        lengths = np.linalg.norm(dump["cells"][frame], axis=1)
        assert np.linalg.norm(system["cells"][0], axis=1) == pytest.approx(lengths, abs=1e-6)


def test_the_true_error_is_that_of_the_model_that_drove_the_run(finished):
    """What LAMMPS kept of the predictions, against DeePMD-kit's own evaluation of that model, and against EMT."""
    import dpdata

    data = finished.work / "iter-000000/04.collect/data"
    manifest = [json.loads(line) for line in (data.parent / "manifest.jsonl").read_text().splitlines()]
    systems = [
        dpdata.LabeledSystem(str(data / row["system"]), fmt="deepmd/npy").sub_system([row["index"]]) for row in manifest
    ]
    frames = [
        {
            "coords": one["coords"][0].tolist(),
            "cell": one["cells"][0].tolist(),
            "types": [int(k) for k in one["atom_types"]],
        }
        for one in systems
    ]
    model = finished.work / "models/model.000.pb"
    done = subprocess.run(
        [sys.executable, "-c", EVALUATE, str(model)],
        input=json.dumps(frames), env={**os.environ, **THREADS}, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    squares = []
    for row, system, (energy, forces, virial) in zip(
        manifest, systems, json.loads(done.stdout.splitlines()[-1]), strict=True
    ):
        natoms = len(system["atom_types"])
        wrong = np.array(forces) - system["forces"][0]
        squares.append(wrong**2)
        assert row["error_e"] == pytest.approx((energy - system["energies"][0]) / natoms, abs=1e-5)
        assert row["error_f"] == pytest.approx(np.linalg.norm(wrong, axis=1).max(), abs=1e-4)
        assert row["error_v"] == pytest.approx(np.abs((virial - system["virials"][0]) / natoms).max(), abs=1e-4)
    error = finished.result(0, "04.collect")["error"]
    assert error["frames"] == len(manifest)
    assert error["rmse_f"] == pytest.approx(np.sqrt(np.mean(squares)), abs=1e-4)
    assert error["deviation_f"] == pytest.approx(np.mean([row["deviation_f"] for row in manifest]))
    assert finished.status()["iterations"][0]["error"] == error


EVALUATE = """
import json, sys
import numpy as np
from deepmd.infer import DeepPot
model, found = DeepPot(sys.argv[1]), []
for frame in json.load(sys.stdin):
    energy, forces, virial = model.eval(np.array(frame["coords"]).reshape(1, -1), np.array(frame["cell"]).reshape(1, 9), frame["types"])[:3]
    found.append([float(energy.ravel()[0]), forces[0].tolist(), virial.reshape(3, 3).tolist()])
print(json.dumps(found))
"""


def test_lammps_ends_as_the_stand_in_does(finished, tmp_path):
    """Atoms that are lost, `fix halt` of three kinds, and a number of MD steps that the frequency does not divide."""
    models = tuple(str(path.resolve()) for path in sorted((finished.work / "models").iterdir()))
    explorer = LammpsExplorer()
    start = explorer.read_configuration(next(finished.work.glob("inputs/configurations/000/*")), ("Al", "Cu"))
    cases = {
        # name: steps, temperature, timestep, fix halt; exit code, early, halted, frames, reason
        "odd": (25, 300.0, 0.001, None, (0, False, False, 3, None)),
        "lost": (100, 1e6, 0.1, None, (1, True, False, 1, r"ERROR: Lost atoms: original 16 current \d+")),
        "soft": (100, 300.0, 0.001, "soft", (0, False, True, 4, None)),
        "continue": (100, 300.0, 0.001, "continue", (0, False, True, 4, None)),
        "hard": (
            100,
            300.0,
            0.001,
            "hard",
            (1, True, False, 3, r"ERROR: Fix halt condition for fix-id stop met on step 30.*"),
        ),
    }
    for name, (steps, temperature, timestep, halt, expected) in cases.items():
        group = MdGroup((0,), (temperature,), ens="nvt", dt=timestep, nsteps=steps, trj_freq=10, tau_t=1.0)
        run = group.run(
            temperature, None, models=models, type_map=("Al", "Cu"), masses=(26.98, 63.55), rng=np.random.default_rng(1)
        )
        folder = tmp_path / name
        folder.mkdir()
        explorer.write_configuration(start, ("Al", "Cu"), folder / explorer.configuration_file)
        explorer.write_inputs(run, folder)
        if halt:
            text = (folder / "in.lammps").read_text()
            fix = f"variable late equal step>=30\nfix stop all halt 10 v_late != 0 error {halt}\ntimestep "
            (folder / "in.lammps").write_text(text.replace("timestep ", fix))
        env = {**os.environ, **THREADS, "PATH": need("lmp")}
        done = subprocess.run(
            explorer.command_line(()), shell=True, cwd=folder, env=env, capture_output=True, timeout=120
        )
        ending = explorer.finish(folder, done.returncode)
        assert (done.returncode, ending.early, ending.halted, ending.frames) == expected[:4], name
        assert explorer.finish(folder, 0).early == ending.early, name  # as behind a pipe
        assert ending.reason is expected[4] or re.fullmatch(expected[4], ending.reason), name
        if name == "odd":
            assert ending.frames == group.asked
        else:
            assert ending.frames < group.asked
    tail = (tmp_path / "lost" / "log.lammps").read_text().splitlines()[-1]
    assert tail.startswith("For more information see https://docs.lammps.org/err0008 (")


def test_the_models_are_an_ensemble_that_lammps_can_read(finished):
    models = [path.resolve() for path in sorted((finished.work / "models").iterdir())]
    assert len({path.read_bytes() for path in models}) == 2
    seeds = {json.loads((path.parent / "input.json").read_text())["training"]["seed"] for path in models}
    assert len(seeds) == 2


def test_a_real_training_that_was_killed_goes_on_from_its_checkpoint(tmp_path):
    """The queue ends a training after a checkpoint; the next attempt begins at that step, says dp itself."""
    path = need("dp", "lmp")
    project = Project(tmp_path)
    project.env.update(PATH=path, **THREADS)
    _emt_data(project.folder / "data")
    training = {"numb_steps": 800, "disp_freq": 100, "save_freq": 100}
    project.param["train"].update(template_script={**TEMPLATE, "training": training})
    project.param["train"]["config"] = {"train_args": "--skip-neighbor-stat"}
    project.machine["default"]["resources"]["prepend_script"] = UNMEASURED
    project.machine["explore"] = {"command": "false"}
    project.machine["fp"] = {"command": "false"}
    assert project.run("--once").returncode == 3
    task = project.work / "iter-000000/00.train/task.0000"
    wait_for(lambda: (task / "model.ckpt-100.meta").exists() and (task / "checkpoint").exists(), 120)
    name = next(
        json.loads(line)["name"]
        for line in (task.parent / "batch.jsonl").read_text().splitlines()
        if '"intent"' in line and '"job": 0' in line
    )
    leader = (task.parent / "jobs" / f"{name}.claim").read_text().split()[0]
    os.killpg(int(leader), signal.SIGKILL)
    done = project.run(timeout=300)
    assert done.returncode == 4  # explore is made to fail
    result = project.result(0, "00.train")
    step = result["models"][0]["continued_from"]
    assert step >= 100
    log = (task / "task.log").read_text()
    first = int(
        next(line for line in (task / "lcurve.out").read_text().splitlines() if not line.startswith("#")).split()[0]
    )
    assert first >= step, log[-500:]
    assert (task.with_name("task.0000.attempt-1") / "task.log").exists()


def test_a_real_iteration_in_another_folder_comes_back_whole(tmp_path):
    """LocalContext: what dp train leaves has links (model.ckpt.* to the newest checkpoint); they come back as links."""
    path = need("dp", "lmp")
    project = Project(tmp_path)
    project.env["PATH"] = f"{path}:{os.environ['PATH']}"  # no stand-ins
    _real(project)
    project.param["train"]["template_script"]["training"].update(numb_steps=20, disp_freq=10, save_freq=10)
    project.machine["default"]["machine"] = {
        "batch_type": "Shell",
        "context_type": "LocalContext",
        "remote_root": str(tmp_path / "remote"),
    }
    project.machine["default"]["resources"]["envs"] = THREADS
    done = project.run(timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    training = project.work / "iter-000000/00.train/task.0000"
    links = {path.name: str(path.readlink()) for path in training.glob("model.ckpt.*")}
    assert links["model.ckpt.index"] == "model.ckpt-20.index"
    assert (training / "model.ckpt.index").exists()
    assert not list(tmp_path.glob("remote/*/task.0000/frozen_model.pb"))
    assert project.status()["iterations"][0]["labelled"] == 3
