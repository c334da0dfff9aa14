"""A small project in a temporary folder, driven by the real command line and fake programs."""

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import preloaded

from dpgen2_hpc.data.dataset import write_labels
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels

FAKES = Path(__file__).resolve().parent / "fakes"

TEMPLATE = {
    "model": {
        "descriptor": {"type": "se_e2_a", "sel": [60, 60], "rcut": 5.0, "rcut_smth": 0.5, "neuron": [8, 16], "axis_neuron": 4},
        "fitting_net": {"neuron": [16, 16]},
    },
    "learning_rate": {"type": "exp", "start_lr": 0.01, "stop_lr": 1e-5, "decay_steps": 10},
    "loss": {"start_pref_e": 0.02, "limit_pref_e": 1, "start_pref_f": 1000, "limit_pref_f": 10},
    "training": {"numb_steps": 20, "disp_freq": 10, "save_freq": 10},
}  # fmt: skip

PARAM = {
    "inputs": {"type_map": ["Al", "Cu"], "mass_map": [26.98, 63.55], "init_data_sys": "data/*"},
    "train": {"type": "dp", "numb_models": 2, "template_script": TEMPLATE},
    "explore": {
        "type": "lmp",
        "max_numb_iter": 5,
        "convergence": {"type": "fixed-levels", "level_f_lo": 0.05, "level_f_hi": 0.5},
        "configurations": [
            {
                "type": "alloy",
                "lattice": ["fcc", 3.8],
                "replicate": [1, 1, 1],
                "numb_confs": 3,
                "concentration": [[0.5, 0.5]],
            }
        ],
        "stages": [
            [
                {
                    "type": "lmp-md",
                    "conf_idx": [0],
                    "n_sample": 2,
                    "temps": [300],
                    "ens": "nvt",
                    "nsteps": 40,
                    "trj_freq": 10,
                }
            ]
        ],
    },
    "fp": {"type": "ase", "task_max": 3, "inputs_config": {"calculator": "ase.calculators.emt.EMT"}},
}

MACHINE = {
    "default": {
        "machine": {"batch_type": "Shell", "context_type": "LazyLocalContext"},
        "resources": {"group_size": 1},
    },
    "fp": {"command": "label", "resources": {"group_size": 2}},
}


UNMEASURED = ["unset COVERAGE_PROCESS_CONFIG"]
"""For `prepend_script`: measuring TensorFlow's start takes half as long again as the start."""


def unmeasured(env: dict[str, str]) -> dict[str, str]:
    """An environment whose processes are not measured: for many starts that go the ways of others."""
    return {name: value for name, value in env.items() if not name.startswith("COVERAGE_")}


class Project:
    """A folder with param.json, machine.json and initial data; ``work`` is its work directory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.work = folder, folder / "work"
        self.param, self.machine = copy.deepcopy(PARAM), copy.deepcopy(MACHINE)
        self.ledger = folder / "ledger"
        self.env = {
            **os.environ,
            "PATH": f"{FAKES}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "FAKE_LEDGER": str(self.ledger),
            "FAKE_DEVIATIONS": "0.2 0.02",
            "FAKE_DP_HOLD": str(folder / "hold"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        write_initial_data(folder / "data")

    def write(self) -> None:
        (self.folder / "param.json").write_text(json.dumps(self.param, indent=1))
        (self.folder / "machine.json").write_text(json.dumps(self.machine, indent=1))

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "dpgen2_hpc", *words]

    def run(self, *options: str, timeout: float = 120) -> subprocess.CompletedProcess:
        """Run `dpgen2-hpc run` to its end."""
        self.write()
        words = ["run", "-C", str(self.work), *options, "param.json", "machine.json"]
        return preloaded.run(words, self.folder, self.env, timeout)

    def start(self, *options: str) -> preloaded.Driver:
        """Start `dpgen2-hpc run` and return at once."""
        self.write()
        words = ["run", "-C", str(self.work), *options, "param.json", "machine.json"]
        driver = preloaded.Driver(words, self.folder, self.env, apart=False)
        STARTED.append(driver)
        return driver

    def verb(self, *words: str) -> subprocess.CompletedProcess:
        return preloaded.run(list(words), self.folder, self.env, timeout=60)

    def hold(self) -> None:
        """Let trainings wait until :meth:`release`: whatever a test does meanwhile, none of them ends."""
        (self.folder / "hold").touch()

    def release(self) -> None:
        (self.folder / "hold").unlink()

    def status(self) -> dict:
        return json.loads(self.verb("status", "-C", str(self.work), "--json").stdout)

    def record(self) -> dict:
        return json.loads((self.work / "record.json").read_text())

    def calls(self) -> list[str]:
        """The lines of the ledger that the fake programs keep: `dp train work/iter-000000/00.train/task.0000 1`."""
        return self.ledger.read_text().splitlines() if self.ledger.exists() else []

    def ended(self) -> int:
        """How many tasks the jobs say they have ended: nothing of these goes on."""
        claims = [path.read_text().splitlines() for path in self.work.rglob("jobs/*.claim")]
        return sum(len(lines) - 1 for lines in claims if lines)

    def result(self, iteration: int, step: str) -> dict:
        return json.loads((self.work / f"iter-{iteration:06d}" / step / "result.json").read_text())


STARTED: list[preloaded.Driver] = []
"""Drivers that the present test has started: a test that fails must not leave one waiting for ever."""


def end_started() -> None:
    while STARTED:
        driver = STARTED.pop()
        driver.kill()
        driver.wait()


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something has happened; the limit is generous, since machines are shared."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def write_initial_data(folder: Path, frames: int = 3) -> None:
    """Two elements, four atoms, arbitrary labels."""
    rng = np.random.default_rng(7)
    symbols = ("Al", "Al", "Cu", "Cu")
    labels = [
        Labels(
            Frame(symbols, rng.random((4, 3)) * 3.8, np.eye(3) * 3.8),
            float(rng.random()),
            rng.random((4, 3)),
            np.eye(3),
        )
        for _ in range(frames)
    ]
    folder.mkdir(parents=True)
    write_labels(folder, labels, ("Al", "Cu"))


def copy_work(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
