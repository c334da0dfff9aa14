"""A trainer as the program makes it, a task as the step prepares it, a run of it, and the damage that tests do to it."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dargs
import numpy as np
from project import FAKES, write_initial_data

from dpgen2_hpc import kinds
from dpgen2_hpc.inputs.contents import with_contents
from dpgen2_hpc.inputs.read import read_json
from dpgen2_hpc.inputs.tree import normalize
from dpgen2_hpc.kinds import CheckContext, TrainingInput

SYSTEM = "../shared/data/Al2Cu2"


@dataclass(frozen=True)
class Sample:
    """What the contract tests ask of a trainer's test file, under the name ``SAMPLE``.

    ``settings`` are those of ``train``, for a training of 20 steps with a checkpoint at step 10; ``hold`` is the variable
    that lets its stand-in wait there, as long as the file exists that it names; ``checkpoint`` matches the files that say
    that it has come so far, ``large`` the one that may have any size.
    """

    settings: dict
    hold: str
    checkpoint: str
    large: str
    type_map: tuple[str, ...]


def made(kind: str, settings: dict, folder: Path):
    """The trainer for settings as a user gives them."""
    (folder / "train.json").write_text(json.dumps({"train": {"type": kind, **settings}}))
    document = read_json(folder / "train.json")
    found = kinds.load("train", kind)
    variant = dargs.Variant("type", [dargs.Argument(kind, dict, sub_fields=found.arguments())])
    root = dargs.Argument("", dict, sub_fields=[dargs.Argument("train", dict, sub_variants=[variant])])
    value, faults = normalize(root, document)
    assert faults == []
    result, _, faults = with_contents(value, document)
    assert faults == []
    return found.from_settings(result["train"])


def context(trainer, *type_map: str) -> CheckContext:
    return CheckContext(type_map, tuple(1.0 for _ in type_map), trainer.numb_models)


def prepared(trainer, directory: Path, type_map=("Al", "Cu"), seed: int = 0) -> Path:
    """A task's folder with its inputs, and the data that it learns beside it."""
    data = directory.parent / "shared" / "data"
    if not data.exists():
        write_initial_data(data)
    directory.mkdir()
    trainer.write_inputs(TrainingInput(0, (SYSTEM,), type_map, np.random.default_rng(seed)), directory)
    return directory


def environment(**more: str) -> dict[str, str]:
    path = f"{FAKES}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    one = dict.fromkeys(("OMP_NUM_THREADS", "TF_INTRA_OP_PARALLELISM_THREADS", "TF_INTER_OP_PARALLELISM_THREADS"), "1")
    return {**os.environ, "PATH": path, **one, **more}


def run(trainer, directory: Path, timeout: float = 120, **more: str) -> int:
    """Run a task's command as a job does; return its exit code."""
    with (directory / "task.log").open("w") as log:
        words = ["bash", "-c", trainer.command_line(())]
        done = subprocess.run(
            words, cwd=directory, env=environment(**more), stdout=log, stderr=subprocess.STDOUT, timeout=timeout
        )
    return done.returncode


def next_attempt(trainer, old: Path, new: Path) -> Path:
    """The folder of the attempt after one that was killed, as the driver makes it: the inputs, and what is carried over."""
    new.mkdir()
    for name in trainer.write_inputs(TrainingInput(0, (SYSTEM,), ("Al", "Cu"), np.random.default_rng(0)), new):
        shutil.copy2(old / name, new / name)
    trainer.carry_over(old, new)
    return new


def mutations(
    folder: Path, keep: set[str], large: str, count: int, seed: int
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what may happen to a file of a task, in words, and the act that does it; ``keep`` names the inputs."""
    rng = random.Random(seed)
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir() and p.name not in keep)
    acts = [_starred, _not_a_number, _without_number, _without_line, _cut, _binary, _empty]
    acts += [_removed, _folder, _fifo, _dangling, _endless]
    for _ in range(count):
        path, act, draw = folder / rng.choice(names), rng.choice(acts), random.Random(rng.random())
        if act is _endless and path.match(large):
            act = _empty
        yield f"{path.relative_to(folder)}: {act.__name__}", lambda path=path, act=act, draw=draw: act(path, draw)


NUMBER = re.compile(rb"-?[0-9]+(\.[0-9]+)?([eE][+-][0-9]+)?")


def _replaced(path: Path, rng: random.Random, new: bytes) -> None:
    data = path.read_bytes()
    found = list(NUMBER.finditer(data))
    if found:
        start, end = rng.choice(found).span()
        _write(path, data[:start] + new + data[end:])


def _write(path: Path, data: bytes) -> None:
    path.unlink()  # it may be a link to another one
    path.write_bytes(data)


def _starred(path, rng):
    _replaced(path, rng, b"****")


def _not_a_number(path, rng):
    _replaced(path, rng, b"NaN")


def _without_number(path, rng):
    _replaced(path, rng, b"")


def _without_line(path, rng):
    lines = path.read_bytes().splitlines(keepends=True)
    if lines:
        del lines[rng.randrange(len(lines))]
    _write(path, b"".join(lines))


def _cut(path, rng):
    data = path.read_bytes()
    _write(path, data[: rng.randrange(len(data) + 1)])


def _binary(path, rng):
    _write(path, rng.randbytes(rng.choice([1, 100, 5000])))


def _empty(path, rng):
    _write(path, b"")


def _removed(path, rng):
    path.unlink()


def _folder(path, rng):
    path.unlink()
    path.mkdir()


def _fifo(path, rng):
    path.unlink()
    os.mkfifo(path)


def _dangling(path, rng):
    path.unlink()
    path.symlink_to(rng.choice(["nowhere", path.name, "../../../nowhere"]))


def _endless(path, rng):
    """Three gigabytes, which take no room on the disk."""
    data = path.read_bytes()
    _write(path, data)
    os.truncate(path, 3 << 30)
