"""A labeler as the program makes it, a task as the step prepares it, and a run of it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dargs
import numpy as np
from project import FAKES

from dpgen2_hpc import kinds
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.inputs.contents import with_contents
from dpgen2_hpc.inputs.read import read_json
from dpgen2_hpc.inputs.tree import normalize
from dpgen2_hpc.kinds import CheckContext

VALENCE = {"Al": 3.0, "Cu": 11.0, "Mg": 2.0, "Fe": 8.0, "O": 6.0, "H": 1.0, "C": 4.0}

UPF_1 = "<PP_HEADER>\n   0                   Version Number\n  {0:2s}                  Element\n</PP_HEADER>\n"
"""The head of a pseudopotential of the old form; the element is to be filled in."""


def fake_potcar(element, title=None):
    """The lines of a POTCAR that are read; a real one is licensed."""
    title = title or f"PAW_PBE {element} 01Jan2000"
    return (
        f"  {title}\n   {VALENCE[element]:.8f}\n parameters from PSCTR are:\n   VRHFIN ={element}: s2p1\n   LEXCH  = PE\n"
        f"   TITEL  = {title}\n   POMASS =   26.982; ZVAL   =    {VALENCE[element]:.3f}    mass and valenz\n"
        " End of Dataset\n"
    )


@dataclass(frozen=True)
class Sample:
    """What the contract tests ask of a labeler's test file, under the name ``SAMPLE``.

    ``settings(folder)`` returns those of ``fp`` and writes the files that they name; ``good`` and ``bad`` leave in a
    prepared task what the code leaves when all went well, and when its result is none. ``output`` is the file that the
    label stands in.
    """

    settings: Callable[[Path], dict]
    frame: Frame
    good: Callable[[Path], None]
    bad: Callable[[Path], None]
    output: str
    type_map: tuple[str, ...]


def understood(kind: str, settings: dict, folder: Path) -> dict:
    """The settings with every default in them and texts in the place of their files, as from param.json."""
    (folder / "fp.json").write_text(json.dumps({"fp": {"type": kind, **settings}}))
    document = read_json(folder / "fp.json")
    variant = dargs.Variant("type", [dargs.Argument(kind, dict, sub_fields=kinds.load("fp", kind).arguments())])
    root = dargs.Argument("", dict, sub_fields=[dargs.Argument("fp", dict, sub_variants=[variant])])
    value, faults = normalize(root, document)
    assert faults == []
    result, _, faults = with_contents(value, document)
    assert faults == []
    return result["fp"]


def made(kind: str, settings: dict, folder: Path):
    """The labeler for settings as a user gives them, with paths relative to ``folder``."""
    found, value = kinds.load("fp", kind), understood(kind, settings, folder)
    resolved = getattr(found, "resolved", None)
    return found.from_settings(resolved(value, folder) if resolved else value)


def context(*type_map: str) -> CheckContext:
    return CheckContext(type_map, tuple(1.0 for _ in type_map), 4)


def prepared(labeler, frame: Frame, directory: Path) -> Path:
    """A task's folder with its inputs, and the shared one beside it."""
    shared = directory.parent / "shared"
    shared.mkdir(parents=True, exist_ok=True)
    for name, target in labeler.shared().items():
        if not (shared / name).is_symlink():
            (shared / name).symlink_to(target)
    directory.mkdir()
    labeler.write_inputs(frame, directory)
    return directory


def run(labeler, directory: Path, timeout: float = 100, **environment: str) -> int:
    """Run a task's command as a job does, stand-ins first on the PATH; return its exit code."""
    env = {
        **os.environ,
        "PATH": f"{FAKES}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        **environment,
    }
    with (directory / "task.log").open("w") as log:
        words = ["bash", "-c", labeler.command_line(())]
        done = subprocess.run(words, cwd=directory, env=env, stdout=log, stderr=subprocess.STDOUT, timeout=timeout)
    return done.returncode


@contextlib.contextmanager
def within(seconds):
    """Fail with a TimeoutError, in the midst of a system call too, after so many seconds."""

    def late(number, frame):
        raise TimeoutError(f"not read within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def rattled(symbols: tuple[str, ...], cell, fractions, seed: int = 3, width: float = 0.02) -> Frame:
    cell = np.array(cell, dtype=float)
    moved = np.array(fractions) + np.random.default_rng(seed).normal(0, width, (len(symbols), 3))
    return Frame(symbols, moved @ cell, cell)


FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
SKEWED = [[4.0, 0.1, 0.0], [0.0, 3.9, 0.2], [-0.1, 0.0, 4.1]]
