"""Checkpoints of ``dp train`` (TensorFlow): which are whole, which one was frozen, what a new attempt gets of them.

TensorFlow writes ``model.ckpt-N.data-...`` and ``.index``, then names N in the text file ``checkpoint``, and only then
writes ``.meta`` (each of them under another name first, and renames it). So the checkpoint that is named may still lack
its ``.meta``, and the one before it is whole. ``model.ckpt.*`` are links to the newest one.
"""

import os
import re
import shutil
from dataclasses import dataclass
from math import inf
from pathlib import Path

from dpgen2_hpc.data.outputs import open_output, read_output_text
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.train.learning_curve import CURVE, read_history

SUFFIXES = {"data-00000-of-00001": inf, "meta": (1 << 31) - 1, "index": 1 << 26}
"""The files of a checkpoint, and how many bytes each can have: meta is one message of protobuf, index a short list."""

STATE = "checkpoint"
"""The file in which TensorFlow names its checkpoints."""

RESTART = "restart"
"""The folder in a new attempt with what it gets of the one before."""

STEP = f"{RESTART}/step"
"""Written last: where it is, the folder is whole."""

LIMIT = 1 << 20
"""Bytes of a file with a few names or one number; no more are read."""

NAMED = re.compile(
    r'^\s*(all_)?model_checkpoint_paths?:\s*"(?:[^"\n]*/)?(model\.ckpt-([0-9]{1,15}))"\s*$', re.MULTILINE
)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint: the path that its files begin with, and the training step that it was written at."""

    prefix: Path
    step: int

    def files(self) -> dict[str, Path]:
        """Return its files by their suffix."""
        return {suffix: Path(f"{self.prefix}.{suffix}") for suffix in SUFFIXES}

    @property
    def whole(self) -> bool:
        """Whether all of its files are there, and none is empty or larger than it can be."""
        files = self.files()
        return all(files[suffix].is_file() and 0 < files[suffix].stat().st_size <= SUFFIXES[suffix] for suffix in files)


def frozen_step(directory: Path) -> int:
    """Return the step whose model ``dp freeze`` has written: the one that ``checkpoint`` names, or the carried one.

    Raises
    ------
    OutputError
        Neither is there.
    """
    if not (directory / STATE).is_file() and (step := continued_from(directory)) is not None:
        return step
    text = read_output_text(directory / STATE, LIMIT)
    for match in NAMED.finditer(text):
        if match[1] is None:
            return int(match[3])
    raise OutputError(f"'{STATE}' does not name the checkpoint that was frozen")


def newest_checkpoint(directory: Path) -> Checkpoint | None:
    """Return the newest whole checkpoint that the training in ``directory`` wrote itself."""
    try:
        text = read_output_text(directory / STATE, LIMIT)
    except OutputError:  # it was killed before its first checkpoint, or left something else under this name
        return None
    found = {int(match[3]): directory / match[2] for match in NAMED.finditer(text)}
    checkpoints = (Checkpoint(found[step], step) for step in sorted(found, reverse=True))
    return next((checkpoint for checkpoint in checkpoints if checkpoint.whole), None)


def continued_from(directory: Path) -> int | None:
    """Return the step that the attempt in ``directory`` began at, or ``None`` if it began at step 0.

    Raises
    ------
    OutputError
        The number cannot be read.
    """
    if not os.path.lexists(directory / STEP):
        return None
    text = read_output_text(directory / STEP, LIMIT).strip()
    if not re.fullmatch("[0-9]{1,15}", text):
        raise OutputError(f"'{STEP}' does not hold the number of a step")
    return int(text)


def carry_checkpoint(old: Path, new: Path) -> int | None:
    """Copy the newest whole checkpoint of ``old``, or else the one that it began with, to ``new/restart``.

    Return its step, or ``None`` without such a checkpoint: the new attempt then begins at step 0.

    Raises
    ------
    OutputError
        A file vanished meanwhile.
    """
    checkpoint = newest_checkpoint(old) or _carried(old)
    if checkpoint is None:
        return None
    (new / RESTART).mkdir()
    for suffix, path in checkpoint.files().items():
        with open_output(path) as source, (new / RESTART / f"model.ckpt.{suffix}").open("wb") as target:
            shutil.copyfileobj(source, target)
    history = read_history(old / RESTART / CURVE) + read_history(old / CURVE)
    if history:
        (new / RESTART / CURVE).write_bytes(history)
    (new / STEP).write_text(f"{checkpoint.step}\n")
    return checkpoint.step


def _carried(directory: Path) -> Checkpoint | None:
    """Return the checkpoint that an attempt began with, if it is whole."""
    try:
        step = continued_from(directory)
    except OutputError:  # without its step nobody knows what it is worth
        return None
    checkpoint = None if step is None else Checkpoint(directory / RESTART / "model.ckpt", step)
    return checkpoint if checkpoint is not None and checkpoint.whole else None
