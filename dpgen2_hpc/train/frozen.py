"""The frozen model: whether its file is whole, and what ``dp test`` has predicted with it.

A ``.pb`` is one protobuf message of type GraphDef. Its nodes come first and its versions last, so that a file that was
cut anywhere lacks its end. This is seen without TensorFlow, in a few milliseconds.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dpgen2_hpc.data.outputs import open_output, read_output_text
from dpgen2_hpc.errors import OutputError

TESTED_ON = "test_systems.txt"
"""The input that names the system on which the task loads its model."""

TESTED = "test_system"
"""What the names of the files of ``dp test -d`` begin with."""

NEEDED = (
    "model_attr/model_type",
    "model_attr/tmap",
    "descrpt_attr/ntypes",
    "descrpt_attr/rcut",
    "o_energy",
    "o_force",
)
"""Nodes without which LAMMPS cannot use a model."""

NODE, VERSION, VERSIONS = 1, 3, 4
FIELDS = frozenset({NODE, 2, VERSION, VERSIONS, 5})
"""The fields of a GraphDef by their numbers: 2 has functions, 5 what a debugger needs; all but 3 are messages."""

NAME = 0x0A
"""How a node begins: its first field, the name, has a length."""

LONGEST_NAME = 4096

DEAD = 1e-3
"""Predicted forces, as a part of the reference ones, below which a model has none. Measured: 1e-4 and less where all
neurons are saturated, 0.1 and more elsewhere."""

STILL = 0.05
"""eV/Å: smaller reference forces say nothing about the predicted ones."""


def check_model(path: Path) -> None:
    """Reject a model that is not there, is cut, or is something else.

    Raises
    ------
    OutputError
        LAMMPS could not use it; the message says why.
    """
    with open_output(path) as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise OutputError(f"the model '{path.name}' is empty")
        try:
            names = set(_node_names(file, size))
        except EOFError as error:
            raise OutputError(f"the model '{path.name}' is cut off ({size} bytes are there)") from error
        except ValueError as error:
            raise OutputError(f"'{path.name}' is not a model frozen by DeePMD-kit: {error}") from error
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise OutputError(f"'{path.name}' is not a model frozen by DeePMD-kit: it has no node '{missing[0]}'")


def check_test(directory: Path) -> None:
    """Reject a model that predicts NaN, or no forces at all; skipped for tasks whose inputs ask for no test.

    Raises
    ------
    OutputError
        The model is useless, or its test has left nothing to read.
    """
    if not (directory / TESTED_ON).exists():
        return
    energies = _numbers(directory / f"{TESTED}.e.out", 2)
    if not all(math.isfinite(energy) for _, energy in energies):
        raise OutputError("the model predicts an energy that is not finite")
    if (directory / f"{TESTED}.f.out").exists():  # models with spin have other files
        _check_forces(_numbers(directory / f"{TESTED}.f.out", 6))


def _check_forces(rows: list[list[float]]) -> None:
    """Raise if predicted forces are not finite, or vanish where the reference ones do not."""
    if not all(math.isfinite(value) for row in rows for value in row[3:]):
        raise OutputError("the model predicts a force that is not finite")
    reference = max(abs(value) for row in rows for value in row[:3])
    predicted = max(abs(value) for row in rows for value in row[3:])
    if reference > STILL and predicted < DEAD * reference:
        raise OutputError(
            f"the training diverged: the model predicts no forces (at most {predicted:.1e} eV/Å) where the reference "
            f"has {reference:.2g} eV/Å. Its neurons are saturated: lower learning_rate.start_lr in template_script."
        )


def _numbers(path: Path, columns: int) -> list[list[float]]:
    """Return the rows of a file of ``dp test``."""
    lines = read_output_text(path).splitlines()
    try:
        rows = [[float(word) for word in line.split()] for line in lines if not line.startswith("#")]
    except ValueError as error:
        raise OutputError(f"'{path.name}', written by dp test, has a broken row: {error}") from error
    if not rows or any(len(row) != columns for row in rows):
        raise OutputError(f"'{path.name}', written by dp test, does not have rows of {columns} numbers")
    return rows


def _node_names(file: BinaryIO, size: int) -> Iterator[str]:
    """Yield the names of a graph's nodes; a file is whole if its versions are, which come last.

    Raises
    ------
    EOFError
        The file ends too early.
    ValueError
        This is not a GraphDef.
    """
    whole = False
    while file.tell() < size:
        tag = _varint(file)
        field, kind = tag >> 3, tag & 7
        if field not in FIELDS or kind != (0 if field == VERSION else 2):
            raise ValueError("it is not a graph of TensorFlow")
        if field == VERSION:
            _varint(file)
            continue
        end = _varint(file) + file.tell()
        if end > size:
            raise EOFError
        if field == NODE:
            yield _name(file, end)
        whole = whole or field == VERSIONS
        file.seek(end)
    if not whole:
        raise EOFError


def _name(file: BinaryIO, end: int) -> str:
    """Return the name that a node begins with."""
    if file.read(1) != bytes([NAME]):
        raise ValueError("it has a node without a name")
    length = _varint(file)
    if not 0 < length <= min(LONGEST_NAME, end - file.tell()):
        raise ValueError("it has a node without a name")
    return file.read(length).decode()


def _varint(file: BinaryIO) -> int:
    """Return an integer in protobuf's form: seven bits a byte, the lowest first; the eighth says that more follow."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("it is not a graph of TensorFlow")
