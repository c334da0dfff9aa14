"""What tests need of a machine: programs, and the data files that packages may leave out."""

import os
import subprocess
from pathlib import Path

import pytest
from programs import need

SERVICES = Path(__file__).parent.parent / ".ci" / "services"


@pytest.mark.parametrize(("demand", "outcome"), [("0", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_a_program_without_its_data_is_not_there_and_the_reason_names_the_file(tmp_path, monkeypatch, demand, outcome):
    monkeypatch.setenv("DPGEN2_HPC_DEMAND", demand)
    (tmp_path / "there.UPF").write_text("")
    assert need("sh", files=[tmp_path / "there.UPF"])
    with pytest.raises(outcome, match="missing.UPF"):
        need("sh", files=[tmp_path / "there.UPF", tmp_path / "missing.UPF"])


@pytest.mark.parametrize(
    ("root", "says"), [(0, "install -y -qq"), (1000, "will be skipped (as root: apt-get install -y")]
)
@pytest.mark.parametrize("there", [True, False])
def test_ci_brings_the_data_of_a_program_that_is_there_without_them(tmp_path, there, root, says):
    for name in ("munged", "slurmctld", "slurmd", "sbatch", "pw.x", "cp2k", "strace"):
        stub(tmp_path / name, "")
    stub(tmp_path / "apt-get", f'echo "apt-get $*" >>{tmp_path}/log')
    stub(tmp_path / "id", f"echo {root}")
    for name in ("Al.pz-vbc.UPF", "BASIS_MOLOPT") if there else ():
        (tmp_path / name).write_text("")
    folders = {"ESPRESSO_PSEUDO": str(tmp_path), "CP2K_DATA_DIR": str(tmp_path)}
    environment = {**os.environ, **folders, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", str(SERVICES)], env=environment, capture_output=True, text=True, check=True)
    # apt-get's output goes to /dev/null where it installs
    printed = done.stdout + ((tmp_path / "log").read_text() if (tmp_path / "log").exists() else "")
    if there:
        assert printed == ""
    else:
        assert says in printed
        assert "quantum-espresso-data cp2k-data" in printed
        assert "slurm" not in printed


def stub(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
