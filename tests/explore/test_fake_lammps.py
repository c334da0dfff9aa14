"""The stand-in for LAMMPS writes what the real one wrote: the same lines, numbers in fields of the same width."""

import os
import re
import shutil
import subprocess

import pytest
from explorers import SAMPLES
from project import FAKES

NUMBER = re.compile(r"(?<![\w.])-?\d+(\.\d+)?(e[+-]\d+)?(?![\w.])")
OUTPUTS = ("traj.dump", "model_devi.out", "log.lammps")


def faked(which, folder, mode):
    """Run the stand-in on the inputs of a real run."""
    task = folder / "iter-000000/01.explore/task.000000"
    task.parent.mkdir(parents=True)
    shutil.copytree(SAMPLES["lmp"].folder / which, task)
    for name in (*OUTPUTS, "predicted.out"):
        (task / name).unlink()
    for number in range(2):
        (task.parent / f"model.00{number}.pb").write_text("model")
    command = [str(FAKES / "lmp"), "-i", "in.lammps", "-log", "log.lammps"]
    environment = {**os.environ, "FAKE_LMP_MODE": mode, "PYTHONDONTWRITEBYTECODE": "1"}
    return task, subprocess.run(command, cwd=task, env=environment, check=False, timeout=60).returncode


def lines_of(path):
    """Return the lines with a 0 for each digit of a decimal number, and ``n`` for an integer; signs take a space."""
    text = path.read_text()

    def blank(found):
        return re.sub(r"\d", "0", found[0]) if "." in found[0] else "n"

    return [
        re.sub(r" -(?=[0n])", "  ", re.sub(r"(?<=e)[+-]", "+", NUMBER.sub(blank, line))) for line in text.splitlines()
    ]


@pytest.mark.parametrize(("which", "mode", "code"), [("good", "", 0), ("lost", "start", 1), ("lost", "start-tee", 0)])
def test_the_stand_in_writes_the_lines_of_the_real_program(tmp_path, which, mode, code):
    task, returned = faked(which, tmp_path, mode)
    assert returned == code
    real = SAMPLES["lmp"].folder / which
    for name in ("traj.dump", "model_devi.out"):
        assert lines_of(task / name) == lines_of(real / name)
    rows = [
        [line.split()[0] for line in (folder / "predicted.out").read_text().splitlines()] for folder in (task, real)
    ]
    assert rows[0] == rows[1]
    assert [len(line.split()) for line in (task / "predicted.out").read_text().splitlines()[2:]] == [8] * (
        len(rows[0]) - 2
    )
    ends = [lines_of(folder / "log.lammps") for folder in (task, real)]
    assert ends[0][-2:] == ends[1][-len(ends[0]) :][-2:]


def test_the_stand_in_halts_as_the_real_program_does(tmp_path):
    """What the real one logged and how it ended: see ``fix halt`` of LAMMPS 22 Jul 2025."""
    task, code = faked("good", tmp_path / "soft", "halt")
    assert (code, (task / "traj.dump").read_text().count("ITEM: TIMESTEP")) == (0, 3)
    assert (task / "log.lammps").read_text() == (
        "Fix halt condition for fix-id stop met on step 20 with value 1\nTotal wall time: 0:00:00\n"
    )
    task, code = faked("good", tmp_path / "hard", "halt-hard")
    assert (code, (task / "traj.dump").read_text().count("ITEM: TIMESTEP")) == (1, 2)
    assert len((task / "model_devi.out").read_text().splitlines()) == 4
    assert (task / "log.lammps").read_text() == (
        "ERROR: Fix halt condition for fix-id stop met on step 20 with value 1\n (src/src/fix_halt.cpp:313)\n"
        "Last input line: run 50\n"
    )
