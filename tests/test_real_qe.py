"""One whole iteration on real dp, lmp and pw.x, compared with what dpdata and numpy say of the same files.

Silicon, eight atoms at Gamma, by an input of the user's own. Two of the four labels do not converge at first, which
blocks the run; one is mended and tried again, the other stays dropped.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from labelers import made, prepared, run
from programs import PSEUDO, need
from project import TEMPLATE, UNMEASURED, Project

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.explore.configurations.alloy import Alloy

pytestmark = [pytest.mark.programs, pytest.mark.slow, pytest.mark.xdist_group("real-qe")]

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "DP_INTRA_OP_PARALLELISM_THREADS": "1",
    "DP_INTER_OP_PARALLELISM_THREADS": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}
SILICON = PSEUDO / "Si.pz-vbc.UPF"
PW_IN = """&control
  calculation = 'scf'
/
&system
  ibrav = 2, celldm(1) = 10.2, nat = 2, ntyp = 1   ! of another task: the frame's own come in its place
  ecutwfc = 14.0
  occupations = 'smearing', degauss = 0.02
/
&electrons
  conv_thr = 1.0d-6
/
K_POINTS gamma
"""
IN_A_HURRY = """#!/bin/sh
# pw.x, which gives two of the labels two steps, unless their inputs say how many.
case $PWD in
*/task.000000 | */task.000002)
    grep -q electron_maxstep input || sed -i 's/^&electrons/&\\n  electron_maxstep = 2/' input ;;
esac
exec pw.x "$@"
"""
DIAMOND = {"lattice": ["diamond", 2.715], "replicate": [2, 2, 1], "cell_pert_frac": 0.03, "atom_pert_dist": 0.1}
MENDED, DROPPED = "iter-000000--run-fp-000000", "iter-000000--run-fp-000002"


class Run(Project):
    """The project, what its first run said, and what ``why`` said of a label that had not converged."""

    blocked: int
    said: str
    card: str


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Run:
    """A run that was blocked by two labels, and went on when one of them had been mended."""
    path = need("dp", "lmp", "pw.x", files=[SILICON])
    project = Run(tmp_path_factory.mktemp("real-qe"))
    project.env.update(PATH=path, **ENVIRONMENT)
    _silicon(project)
    done = project.run(timeout=300)
    project.blocked, project.said = done.returncode, done.stdout + done.stderr
    project.card = project.verb("why", "-C", str(project.work), DROPPED).stdout
    mended = project.work / "iter-000000/03.fp/task.000000/input"
    mended.write_text(mended.read_text().replace("electron_maxstep = 2", "electron_maxstep = 100"))
    assert project.verb("retry", "-C", str(project.work), MENDED).returncode == 0, project.said
    project.machine["fp"]["continue_on_success_ratio"] = 0.7
    done = project.run(timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def _silicon(project: Run) -> None:
    """Give a project silicon, first labels by pw.x, and little to do."""
    (project.folder / "pw.in").write_text(PW_IN)
    (project.folder / "hurried").write_text(IN_A_HURRY)
    (project.folder / "hurried").chmod(0o755)
    project.machine["default"]["resources"]["prepend_script"] = UNMEASURED
    param = project.param
    fp = {"inputs_config": {"pp_files": {"Si": str(SILICON)}, "template": "pw.in"}}
    _first_labels(project.folder, fp)
    param["inputs"].update(type_map=["Si"], mass_map=[28.086])
    model = {**TEMPLATE["model"], "descriptor": {**TEMPLATE["model"]["descriptor"], "sel": [60]}}
    training = {"numb_steps": 40, "disp_freq": 20, "save_freq": 20}
    param["train"]["template_script"] = {**TEMPLATE, "model": model, "training": training}
    param["train"]["config"] = {"train_args": "--skip-neighbor-stat"}
    explore = param["explore"]
    explore.update(max_numb_iter=1, fatal_at_max=False)
    explore["convergence"].update(level_f_lo=1e-6, level_f_hi=1e3)
    explore["configurations"] = [{"type": "alloy", "numb_confs": 1, **DIAMOND}]
    explore["stages"][0][0].update(n_sample=1)
    param["fp"] = {"type": "qe", "task_max": 4, **fp}
    project.machine["fp"] = {"command": str(project.folder / "hurried"), "resources": {"group_size": 2}}


def _first_labels(folder: Path, fp: dict) -> None:
    """Replace the project's data by three frames as pw.x labels them and dpdata reads them."""
    import shutil

    import dpdata

    shutil.rmtree(folder / "data")
    labeler, systems = made("qe", fp, folder), dpdata.MultiSystems()
    for seed, frame in enumerate(_distorted(3)):
        task = prepared(labeler, frame, folder / "first" / f"task.{seed}")
        assert run(labeler, task) == 0, (task / "output").read_text()[-2000:]
        systems.append(dpdata.LabeledSystem([str(task / "input"), str(task / "output")], fmt="qe/pw/scf"))
    systems.to("deepmd/npy", str(folder / "data"))


def _distorted(count: int) -> list[Frame]:
    alloy = Alloy(tuple(DIAMOND["lattice"]), count, tuple(DIAMOND["replicate"]), (), 0.03, 0.1)
    return alloy.generate(["Si"], np.random.default_rng(5))


def _read(project: Run, key: str) -> dict:
    """What dpdata reads in the folder of a label's task."""
    import dpdata

    task = project.work / f"iter-000000/03.fp/task.{key.rpartition('-')[2]}"
    return dpdata.LabeledSystem([str(task / "input"), str(task / "output")], fmt="qe/pw/scf").data


def _manifest(project: Run) -> list[dict]:
    lines = (project.work / "iter-000000/04.collect/manifest.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def _collected(project: Run, row: dict) -> dict[str, np.ndarray]:
    """What numpy reads of a collected frame."""
    folder = project.work / "iter-000000/04.collect/data" / row["system"] / "set.000"
    return {
        name: np.load(folder / f"{name}.npy")[row["index"]] for name in ("box", "coord", "energy", "force", "virial")
    }


def test_labels_that_did_not_converge_blocked_the_run_and_why_says_so(finished):
    assert finished.blocked == 4, finished.said
    assert "cause: pw.x says that convergence was not achieved" in finished.card
    assert (
        "fix: raise electron_maxstep or lower mixing_beta in fp.inputs_config; the run follows this change"
        in finished.card
    )
    assert f"dpgen2-hpc retry {DROPPED}" in finished.card


def test_the_sums_hold_and_the_dropped_label_is_counted_with_its_reason(finished):
    [row] = finished.status()["iterations"]
    assert row["explored"] == row["accurate"] + row["candidate"] + row["failed"] + row["invalid"] == 5
    assert row["selected"] == row["labelled"] + row["dropped"] == 4
    [dropped] = json.loads((finished.work / "iter-000000/03.fp/dropped.json").read_text())
    assert (dropped["key"], dropped["kind"], row["dropped"]) == (DROPPED, "refused", 1)
    assert "convergence was not achieved" in dropped["reason"]
    assert "convergence NOT achieved" in (finished.work / dropped["path"] / "output").read_text()


def test_energies_forces_and_virials_are_those_that_dpdata_reads_in_the_outputs_of_pw_x(finished):
    rows = _manifest(finished)
    assert len(rows) == 3
    for row in rows:
        data, found = _read(finished, row["key"]), _collected(finished, row)
        assert found["energy"] == pytest.approx(data["energies"][0], abs=1e-5)
        turn = np.linalg.solve(found["box"].reshape(3, 3), data["cells"][0])
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
        np.testing.assert_allclose(found["force"].reshape(-1, 3) @ turn, data["forces"][0], atol=1e-5)
        virial = turn.T @ found["virial"].reshape(3, 3) @ turn
        np.testing.assert_allclose(virial, data["virials"][0], atol=2e-3)  # dpdata: kbar with two decimals
        assert np.abs(found["force"]).max() > 0.1


def test_the_manifest_names_key_code_and_digest_of_each_label(finished):
    rows = _manifest(finished)
    assert [row["key"] for row in rows] == [f"iter-000000--run-fp-{task:06d}" for task in (0, 1, 3)]
    assert {row["code"] for row in rows} == {"qe"}
    for row in rows:
        found = _collected(finished, row)
        frame = Frame(("Si",) * 8, found["coord"].reshape(-1, 3), found["box"].reshape(3, 3))
        assert row["digest"] == frame.digest(("Si",))
    assert len({row["digest"] for row in rows}) == 3


def test_the_labelled_frames_are_those_of_the_trajectory(finished):
    import dpdata

    dump = dpdata.System(str(finished.work / "iter-000000/01.explore/task.000000/traj.dump"), fmt="lammps/dump")
    for row in _manifest(finished):
        found, number = _collected(finished, row), row["md_step"] // 10
        fractions = found["coord"].reshape(-1, 3) @ np.linalg.inv(found["box"].reshape(3, 3))
        apart = fractions - dump["coords"][number] @ np.linalg.inv(dump["cells"][number])
        np.testing.assert_allclose(apart - np.round(apart), 0, atol=1e-6)


def test_each_label_was_asked_with_the_users_own_input_on_its_own_frame(finished):
    for task in (finished.work / "iter-000000/03.fp").glob("task.00000?"):
        text = (task / "input").read_text()
        assert re.search(r"ecutwfc = 14.0\n", text)
        assert "celldm" not in text
        assert "K_POINTS gamma" in text
        assert str((task / "../shared/Si.pz-vbc.UPF").resolve()).startswith(os.fspath(finished.work.resolve()))
