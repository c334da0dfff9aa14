"""Whole runs whose originals are gone, or whose project has been moved: the run's copies and relative paths count."""

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fp"))

import test_vasp_labels as test_vasp

from dpgen2_hpc.loop.contents import trimmed_digest

pytestmark = pytest.mark.slow

POSCAR = "x\n1\n4 0 0\n0 4 0\n0 0 4\nAl Cu\n2 2\nDirect\n0 0 0\n.5 .5 0\n.5 0 .5\n0 .5 .5\n"


def output(done):
    return done.stdout + done.stderr


@pytest.fixture
def vasp(project):
    """A project with files of each sort that a run takes up: POTCARs, configurations, a lattice, a forwarded file."""
    project.param["fp"] = {"type": "vasp", "task_max": 3, **test_vasp.settings(project.folder)}
    project.machine["fp"] = {"command": "vasp", "resources": {"group_size": 2}}
    (project.folder / "more.txt").write_text("for each task\n")
    project.machine["explore"] = {"user_forward_files": ["more.txt"]}
    explore = project.param["explore"]
    explore.update({"max_numb_iter": 1, "fatal_at_max": False})
    (project.folder / "start").mkdir()
    (project.folder / "start/POSCAR.1").write_text(POSCAR)
    (project.folder / "lattice").write_text(POSCAR)
    explore["configurations"][0]["lattice"] = ["fcc", 4.0]
    explore["configurations"] += [
        {"type": "file", "files": "start/**/POSCAR*", "fmt": "vasp/poscar"},
        {"type": "alloy", "lattice": ["lattice", "vasp/poscar"], "numb_confs": 2, "concentration": [[0.5, 0.5]]},
    ]
    return project


def forget_originals(project):
    shutil.rmtree(project.folder / "start")
    (project.folder / "lattice").unlink()
    for path in (project.folder / "vasp").glob("POTCAR.*"):
        path.unlink()


def check(project, *options):
    project.write()
    return project.verb("check", *options, "param.json", "machine.json")


def rows(project):
    return [json.loads(line) for line in (project.work / "inputs/files.jsonl").read_text().splitlines()]


def test_a_run_goes_on_without_the_originals_of_its_files(vasp):
    assert vasp.run("--once").returncode == 3
    before = rows(vasp)
    assert sorted(row["path"] for row in before) == [
        "../lattice", "../start/POSCAR.1", "../vasp/POTCAR.Al", "../vasp/POTCAR.Cu",
    ]  # fmt: skip
    forget_originals(vasp)
    vasp.param["fp"]["task_max"] = 2
    vasp.param["fp"]["inputs_config"]["kspacing"] = 0.4
    done = vasp.run()
    assert done.returncode == 0, output(done)
    assert vasp.result(0, "03.fp")["labelled"] == 2
    assert sorted(rows(vasp), key=str) == sorted(before, key=str)
    done = vasp.run()
    assert done.returncode == 0, output(done)
    done = check(vasp, "-C", str(vasp.work))
    assert done.returncode == 0, output(done)
    assert "explore.configurations[1]: 1 configuration, in the work directory" in done.stdout
    done = check(vasp)
    assert done.returncode == 2
    assert done.stderr.count("there is no file") == 2
    (vasp.work / "inputs/fp/POTCAR.Cu").unlink()
    done = check(vasp, "-C", str(vasp.work))
    assert done.returncode == 2
    assert "fp.inputs_config.pp_files.Cu: there is no file" in done.stderr


def test_originals_that_come_back_changed_are_refused_by_name(vasp):
    assert vasp.run("--once").returncode == 3
    potcar = vasp.folder / "vasp/POTCAR.Al"
    whole = potcar.read_text()
    for same in (whole.replace("\n", "  \n") + "\n", whole.rstrip("\n")):
        potcar.write_text(same)
        done = vasp.run("--once")
        assert done.returncode in (0, 3), output(done)
    potcar.write_text(whole.replace("3.000", "4.000"))
    done = vasp.run("--once")
    assert done.returncode == 2
    assert f"'{potcar}'" in done.stderr
    for done in (check(vasp, "-C", str(vasp.work)), vasp.run("--dry-run")):
        assert done.returncode == 2
        assert f"'{potcar}'" in done.stderr
    assert "Change it back, or begin another run: dpgen2-hpc run -C DIR" in done.stderr
    (vasp.folder / "start/POSCAR.1").write_text(POSCAR.replace("\n", " \n"))
    potcar.write_text(whole)
    done = vasp.run()
    assert done.returncode == 0, output(done)


def kept(project):
    """The texts of inputs/, and where links of the steps lead."""
    texts = [path.read_text() for path in (project.work / "inputs").rglob("*") if path.is_file()]
    return texts + [
        str(path.readlink()) for path in project.work.rglob("*") if path.is_symlink() and "jobs" not in path.parts
    ]


@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
def test_a_project_that_was_moved_as_a_whole_goes_on(vasp, absolute, tmp_path):
    def spell(name):
        return str(vasp.folder / name) if absolute else name

    def write_paths():
        vasp.param["fp"]["inputs_config"]["pp_files"] = {one: spell(f"vasp/POTCAR.{one}") for one in ("Al", "Cu")}
        vasp.param["inputs"]["init_data_sys"] = [spell("data/*")]
        vasp.param["explore"]["configurations"][1]["files"] = spell("start/**/POSCAR*")
        vasp.param["explore"]["configurations"][2]["lattice"][0] = spell("lattice")
        vasp.machine["explore"]["user_forward_files"] = [spell("more.txt")]

    old = vasp.folder
    project = old / "project"
    project.mkdir()
    for path in [*old.iterdir()]:
        if path != project:
            path.rename(project / path.name)
    vasp.folder, vasp.work = project, project / "work"
    write_paths()
    vasp.param["explore"]["max_numb_iter"] = 2
    assert vasp.run("--once").returncode == 3
    done = vasp.run("--once")
    assert done.returncode in (0, 3), output(done)
    assert [text for text in kept(vasp) if str(project) in text] == []
    project.rename(old / "elsewhere")
    vasp.folder, vasp.work = old / "elsewhere", old / "elsewhere/work"
    write_paths()
    done = vasp.run("--dry-run")
    assert done.returncode == 0, output(done)
    assert "change" not in done.stdout
    forget_originals(vasp)
    done = vasp.run()
    assert done.returncode == 0, output(done)
    assert "was moved from" in output(done)
    assert "changed" not in (vasp.work / "dpgen2_hpc.log").read_text()
    assert [text for text in kept(vasp) if str(project) in text] == []
    links = [path for path in vasp.work.rglob("shared/init*") if path.is_symlink()]
    assert links
    assert all(path.resolve().is_dir() for path in links)


def test_inputs_of_an_older_run_with_absolute_paths_are_understood(vasp):
    assert vasp.run("--once").returncode == 3
    inputs = vasp.work / "inputs"
    for name in ("param.json", "machine.json", "files.jsonl"):
        text = (inputs / name).read_text()
        text = text.replace('"../', f'"{vasp.folder}/').replace('"vasp/POTCAR', f'"{vasp.folder}/vasp/POTCAR')
        (inputs / name).write_text(text)
    older = [{"path": row["path"], "digest": row["digest"]} for row in rows(vasp)]
    (inputs / "files.jsonl").write_text("".join(json.dumps(row) + "\n" for row in older))
    assert str(vasp.folder) in (inputs / "machine.json").read_text()
    forget_originals(vasp)
    done = vasp.run()
    assert done.returncode == 0, output(done)
    assert "changed" not in (vasp.work / "dpgen2_hpc.log").read_text()
    assert str(vasp.folder) not in (inputs / "machine.json").read_text()


def test_a_changed_machine_file_says_what_it_applies_to(vasp):
    assert vasp.run("--once").returncode == 3
    vasp.machine["fp"]["resources"]["group_size"] = 1
    done = vasp.run()
    assert done.returncode == 0, output(done)
    text = "machine.json changed: applied to tasks not yet submitted; jobs already queued keep the old settings"
    assert (vasp.work / "dpgen2_hpc.log").read_text().count(text) == 1


def test_a_change_of_the_labels_keeps_the_copy_whose_original_is_gone(vasp):
    assert vasp.run("--once").returncode == 3
    copy = vasp.work / "inputs/fp/POTCAR.Cu"
    before = trimmed_digest(copy)
    (vasp.folder / "vasp/POTCAR.Cu").unlink()
    shutil.copy(vasp.folder / "vasp/POTCAR.Al", vasp.folder / "vasp/other")
    vasp.param["fp"]["inputs_config"]["pp_files"]["Al"] = "vasp/other"
    done = vasp.run()
    assert done.returncode == 0, output(done)
    assert trimmed_digest(copy) == before
    assert (copy.stat().st_mode & 0o777) == 0o600
    assert sorted(row["path"] for row in rows(vasp) if "name" in row) == ["../vasp/POTCAR.Cu", "../vasp/other"]
