"""Labelers through the command line: whole runs on stand-ins, and what is refused before anything is submitted."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import test_qe_labels as test_qe
import test_vasp_labels as test_vasp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inputs"))

from test_input_examples import copied

pytestmark = pytest.mark.slow

TYPES = ("Al", "Cu")


@pytest.fixture
def vasp(project):
    project.param["fp"] = {"type": "vasp", "task_max": 3, **test_vasp.settings(project.folder)}
    project.machine["fp"] = {"command": "vasp", "resources": {"group_size": 2}}
    project.param["explore"].update({"max_numb_iter": 1, "fatal_at_max": False})
    project.param["explore"]["configurations"][0]["lattice"] = ["fcc", 4.0]
    return project


def test_a_run_with_vasp_collects_labels_of_its_stand_in(vasp):
    vasp.param["fp"]["extra_output_files"] = ["OSZICAR"]
    done = vasp.run()
    assert done.returncode == 0, done.stderr
    fp = vasp.work / "iter-000000/03.fp"
    assert vasp.result(0, "03.fp")["labelled"] == 3
    for task in fp.glob("task.*"):
        link = (task / "POTCAR").readlink()
        digest = hashlib.sha256((task / "POTCAR").read_bytes()).hexdigest()
        assert str(link) == f"../shared/POTCAR.Al-Cu.{digest[:8]}"
        assert (task / "OSZICAR").stat().st_size > 0
        assert (task / "POTCAR").resolve().is_relative_to(vasp.work.resolve())
    assert ((vasp.work / "inputs/fp/POTCAR.Al").stat().st_mode & 0o777) == 0o600
    system = next((vasp.work / "iter-000000/04.collect/data").iterdir())
    assert np.load(system / "set.000/virial.npy").shape == (3, 9)


def test_a_potcar_that_changes_while_the_run_lives_does_not_change_its_labels(vasp):
    vasp.param["explore"]["max_numb_iter"] = 2
    assert vasp.run().returncode == 0
    (vasp.folder / "vasp/POTCAR.Al").write_text("another\n")
    last = max(vasp.work.glob("iter-*/03.fp/task.000000/POTCAR"))
    assert "another" not in last.read_text()


def test_an_unconverged_label_is_dropped_with_its_reason_and_path(vasp):
    (vasp.folder / "vasp/INCAR").write_text("NELM = 3\n")
    done = vasp.run()
    assert done.returncode == 4
    rows = json.loads((vasp.work / "iter-000000/03.fp/dropped.json").read_text())
    assert [row["kind"] for row in rows] == ["refused"] * 3
    assert "NELM = 3" in rows[0]["reason"]
    assert (vasp.work / rows[0]["path"] / "OUTCAR").exists()
    card = vasp.verb("why", "-C", str(vasp.work), rows[0]["key"]).stdout
    assert "NELM = 3 steps: not converged\n       the SCF cycle did not converge\n" in card
    assert "fix: raise NELM" in card


def test_raising_nelm_is_followed_and_the_rejected_labels_are_accepted_after_a_retry(vasp):
    incar = vasp.folder / "vasp/INCAR"
    physics = incar.read_text()
    incar.write_text(f"{physics}\nNELM = 3\n")
    assert vasp.run().returncode == 4
    incar.write_text(f"{physics}\nNELM = 60\nALGO = Normal\n")
    keys = [f"iter-000000--run-fp-{task:06d}" for task in range(3)]
    assert vasp.verb("retry", "-C", str(vasp.work), *keys).returncode == 0
    done = vasp.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert vasp.result(0, "03.fp")["labelled"] == 3
    fp = vasp.work / "iter-000000/03.fp"
    assert "NELM = 60" in (fp / "task.000000/INCAR").read_text()
    assert "NELM = 3" in (fp / "task.000000.attempt-1/INCAR").read_text()


def test_another_cutoff_is_still_refused_and_the_message_says_how_to_go_on(vasp):
    incar = vasp.folder / "vasp/INCAR"
    incar.write_text(f"{incar.read_text()}\nNELM = 3\n")
    assert vasp.run().returncode == 4
    incar.write_text(f"ENCUT = 123\n{incar.read_text()}\nNELM = 60\n")  # of two, VASP takes the first
    done = vasp.run()
    assert done.returncode == 2
    assert "Change it back, or begin another run" in done.stderr
    assert "retry KEY" in done.stderr


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("INCAR", None, "fp.inputs_config.incar: 'vasp/INCAR' cannot be read: No such file"),
        ("INCAR", "ICHARG = 11\n", "fp.inputs_config.incar: the INCAR has ICHARG = 11"),
        ("POTCAR.Cu", None, "fp.inputs_config.pp_files.Cu: there is no file"),
    ],
)
def test_what_is_wrong_with_the_files_is_said_before_anything_is_submitted(vasp, file, content, says):
    path = vasp.folder / "vasp" / file
    path.unlink() if content is None else path.write_text(content)
    done = vasp.run()
    assert done.returncode == 2
    assert says in done.stderr
    assert not vasp.work.exists() or not any(vasp.work.iterdir())


def test_what_a_code_says_in_its_own_output_is_shown_and_helps(project):
    """pw.x prints into `output`, which a shell redirects: task.log is empty, and says nothing of the cause."""
    project.param["fp"] = {"type": "qe", "task_max": 1, **test_qe.settings(project.folder, elements=TYPES)}
    project.machine["fp"] = {"command": "sh -c 'echo file Cu.UPF not found; exit 1' --"}
    done = project.run()
    assert done.returncode == 4
    task = project.work / "iter-000000/03.fp/task.000000"
    for said in (done.stdout, project.verb("why", "-C", str(project.work), "iter-000000--run-fp-000000").stdout):
        assert f"{task.relative_to(project.work) / 'output'}:\n" in said
        assert "    file Cu.UPF not found" in said
    assert "       a pseudopotential is missing or no UPF" in said
    assert "fix: look at fp.inputs_config.pp_files" in said


def test_a_changed_incar_is_shown_and_refused_on_resume(vasp):
    assert vasp.run().returncode == 0
    (vasp.folder / "vasp/INCAR").write_text("ENCUT = 500\n")
    done = vasp.run()
    assert done.returncode == 2
    assert "fp.inputs_config.incar" in done.stderr
    assert "ENCUT = 500" in done.stderr


def test_the_manuals_example_runs_to_its_end(project):
    """DPGEN2's own Al-Mg input of 2022, unchanged; machine.json names the programs, as at any site."""
    folder = copied("al-mg-vasp", project.folder)
    project.env["FAKE_DEVIATIONS"] = "0.2 0.02 0.2 0.02"
    project.machine["train"], project.machine["explore"] = {"command": "dp"}, {"command": "lmp"}
    project.machine["fp"] = {"command": "vasp"}
    project.write()
    words = ["run", "-C", str(project.work), str(folder / "manual-2022.json"), "machine.json"]
    done = subprocess.run(
        project.command(*words), cwd=project.folder, env=project.env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    status = project.status()
    assert status["status"] == "complete"
    assert [(row["stage"], row["converged"]) for row in status["iterations"]] == [
        (0, False),
        (0, True),
        (1, False),
        (1, True),
    ]
    assert [row["explored"] for row in status["iterations"]] == [18] * 4  # 3 samples, 2 temperatures, 3 frames
    assert [row["labelled"] for row in status["iterations"]] == [2, 0, 2, 0]
    texts = [path.read_text() for path in project.work.glob("iter-000000/03.fp/task.*/POSCAR")]
    assert {text.splitlines()[6] for text in texts} <= {"32", "16 16"} | {f"{n} {32 - n}" for n in range(1, 32)}


def test_collected_frames_of_one_size_share_a_system_of_the_mixed_type(vasp):
    vasp.param["inputs"]["mixed_type"] = True
    vasp.param["explore"]["configurations"][0]["concentration"] = [[0.25, 0.75], [0.75, 0.25]]
    vasp.param["explore"]["stages"][0][0]["n_sample"] = 6
    assert vasp.run().returncode == 0
    collect = vasp.work / "iter-000000/04.collect"
    assert [path.name for path in (collect / "data").iterdir()] == ["mixed4"]
    rows = [json.loads(line) for line in (collect / "manifest.jsonl").read_text().splitlines()]
    assert [(row["system"], row["index"]) for row in rows] == [("mixed4", number) for number in range(3)]
    assert {"iteration", "key", "code", "digest", "identity"} <= set(rows[0])
