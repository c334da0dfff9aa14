"""Runs that an earlier version began go on: each schema that was ever written is read (DESIGN, section 5)."""

import json
import tarfile
from pathlib import Path

import pytest
from project import Project

from dpgen2_hpc.state.record import Home, read_record

pytestmark = pytest.mark.slow

STORED = Path(__file__).resolve().parent.parent / "state" / "runs"


def unpacked(name: str, stored: str, folder: Path) -> Project:
    """A stored run as if it had been begun in this folder."""
    with tarfile.open(STORED / f"{name}.tar.gz") as archive:
        archive.extractall(folder, filter="tar")
    root, old = folder / stored, f"/data/runs/{stored}"
    for path in sorted(root.rglob("*")):
        if path.is_symlink() and str(path.readlink()).startswith(old):
            target = str(path.readlink()).replace(old, str(root))
            path.unlink()
            path.symlink_to(target)
        elif path.is_file() and not path.is_symlink() and path.suffix in {".json", ".jsonl", ".sub"}:
            path.write_text(path.read_text().replace(old, str(root)))
    project = Project.__new__(Project)
    Project.__init__(project, folder / "fresh")
    project.folder, project.work = root, root / "work"
    project.ledger = root / "ledger"
    project.env |= {"FAKE_LEDGER": str(project.ledger), "FAKE_DP_HOLD": str(root / "hold")}
    project.param = json.loads((root / "param.json").read_text())
    project.machine = json.loads((root / "machine.json").read_text())
    record = json.loads((project.work / "record.json").read_text())
    record["home"] = vars(Home.of(project.work))
    (project.work / "record.json").write_text(json.dumps(record))
    return project


def test_a_blocked_run_of_the_version_before_is_told_and_goes_on(tmp_path):
    project = unpacked("schema-1-blocked", "blocked-in-fp", tmp_path)
    assert project.status()["status"] == "blocked"
    assert project.status()["tasks"]["failed"] == 1
    card = project.verb("why", "-C", str(project.work), "iter-000000--run-fp-000001").stdout
    assert "command: label -m dpgen2_hpc.fp.ase" in card
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    record = read_record(project.work / "record.json")
    assert [row["labelled"] for row in record.iterations] == [3, 0]
    assert not [call for call in project.calls() if "iter-000000/00.train" in call or "iter-000000/01.explore" in call]
    labels = [call for call in project.calls() if call.startswith("label")]
    assert [call.split("/")[-1] for call in labels] == ["task.000001 3"]


def test_jobs_of_the_version_before_are_judged_and_not_run_again(tmp_path):
    project = unpacked("schema-1-waiting", "waiting-in-train", tmp_path)
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [call for call in project.calls() if "iter-000000/00.train" in call]
    assert not list(project.work.rglob("iter-000000/00.train/*.attempt-*"))


def test_a_complete_run_of_the_version_before_stays_complete(tmp_path):
    project = unpacked("schema-1-complete", "complete", tmp_path)
    assert project.run().returncode == 0
    assert project.calls() == []
    assert project.status()["status"] == "complete"
    exported = project.verb("export", "-C", str(project.work), "extxyz", str(tmp_path / "all.xyz"))
    assert exported.returncode == 0, exported.stderr
