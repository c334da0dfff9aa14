"""LAMMPS as an explorer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dargs
import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import InputError, OutputError
from dpgen2_hpc.explore.lammps.conf import is_periodic, write_conf
from dpgen2_hpc.explore.lammps.deviation import read_deviations, read_header
from dpgen2_hpc.explore.lammps.input import BAROSTATS, CONFIGURATION, DEVIATIONS, TRAJECTORY, input_text
from dpgen2_hpc.explore.lammps.predictions import read_predictions
from dpgen2_hpc.explore.lammps.trajectory import last_complete_step, read_frames
from dpgen2_hpc.kinds import CheckContext, Deviations, Key, MdRun, Problem

INPUT, LOG = "in.lammps", "log.lammps"

LOG_TAIL = 1 << 16
"""Bytes from the end of the log in which the last error stands."""


@dataclass(frozen=True)
class LammpsExplorer:
    """MD by LAMMPS with DeePMD-kit's pair style: the type ``lmp``.

    ``program`` is the shell command that starts LAMMPS. ``shuffle_models`` is for the step, which puts the model in
    front that drives a run: a drawn one, or always the first.
    """

    program: str = "lmp"
    shuffle_models: bool = False

    configuration_file = CONFIGURATION
    causes = (
        (
            r"Lost atoms",
            "Atoms left the cell or flew apart.",
            "The frames before count; a shorter dt, a lower temperature or more training helps.",
        ),
        (
            r"Out of range atoms|Non-numeric (pressure|box dimensions|atom coords)",
            "The forces blew up.",
            "The frames before count; a shorter dt or more training helps.",
        ),
        (
            r"Unrecognized pair style 'deepmd'|Unknown pair style",
            "This LAMMPS has no pair style deepmd.",
            "Name a LAMMPS built with DeePMD-kit in explore.config.command.",
        ),
        (
            r"All pair coeffs are not set",
            "LAMMPS and DeePMD-kit's plugin are of different versions.",
            "Use the LAMMPS version that DeePMD-kit was built for.",
        ),
        (
            r"command not found|No such file or directory",
            "The command does not start.",
            "Mend explore.config.command, or load its module in machine.json.",
        ),
    )
    """Pattern of the log, what it means, and what helps."""

    @classmethod
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``explore`` that are LAMMPS's own."""
        keys = _config_keys()
        defaults = {key.name: key.default for key in keys}
        return [
            Key("config", dict, "How LAMMPS is run.", optional=True, default=defaults, sub_fields=keys, change="next")
        ]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the explorer for checked settings."""
        return cls(program=settings["config"]["command"], shuffle_models=settings["config"]["shuffle_models"])

    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield an empty command, and an ensemble of one model."""
        if not self.program.strip():
            yield ("config", "command"), "must not be empty"
        if context.numb_models < 2:
            yield (), f"{context.numb_models} model has no deviation: LAMMPS writes one for two and more"

    @property
    def command(self) -> str:
        """The shell command, run with the task's folder as current directory."""
        return f"{self.program} -i {INPUT} -log {LOG}"

    def write_configuration(self, frame: Frame, type_map: Sequence[str], path: Path) -> None:
        """Write a starting configuration as ``read_data`` reads it."""
        write_conf(frame, type_map, path)

    def write_inputs(self, run: MdRun, directory: Path) -> list[str]:
        """Write ``in.lammps`` for the configuration that is in ``directory``; return its name.

        Raises
        ------
        InputError
            The pressure of a configuration without periodicity is asked for.
        """
        periodic = is_periodic(directory / CONFIGURATION)
        if run.ensemble in BAROSTATS and not periodic:
            raise InputError(f"ens is '{run.ensemble}', but a configuration has no periodicity and so no pressure")
        (directory / INPUT).write_text(input_text(run, periodic=periodic))
        return [INPUT]

    def finish(self, directory: Path, exit_code: int | None) -> int | None:
        """Return the MD step of the last complete frame if LAMMPS did not end well, ``None`` if it did.

        Raises
        ------
        OutputError
            There is not one complete frame, or there are no deviations.
        """
        last = last_complete_step(directory / TRAJECTORY)
        if last is None:
            raise OutputError(f"'{directory}': {last_error(directory / LOG) or 'LAMMPS wrote no complete frame'}")
        read_header(directory / DEVIATIONS)
        return None if exit_code == 0 else last

    def deviations(self, directory: Path) -> Deviations:
        """Return the deviation of every frame; rows after the last complete frame are NaN."""
        found = read_deviations(directory / DEVIATIONS)
        last = last_complete_step(directory / TRAJECTORY)
        there = found.md_steps <= (-1 if last is None else last)
        return Deviations(found.md_steps, np.where(there, found.force, np.nan), np.where(there, found.virial, np.nan))

    def frames(self, directory: Path, md_steps: Sequence[int], type_map: Sequence[str]) -> list[Frame | None]:
        """Return the frames of these MD steps; ``None`` where there is no whole one."""
        return read_frames(directory / TRAJECTORY, md_steps, type_map)

    def predictions(self, directory: Path, md_steps: Sequence[int], type_map: Sequence[str]) -> list[Labels | None]:
        """Return what the model that drove the run said of these frames; ``None`` where the run did not keep it."""
        return read_predictions(directory, md_steps, type_map)


def last_error(log: Path) -> str | None:
    """Return the last line in which LAMMPS names an error, ``None`` if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    return next((line.strip() for line in reversed(lines) if re.match(r"ERROR\b", line)), None)


def _config_keys() -> list[dargs.Argument]:
    return [
        _optional("command", str, "lmp", "The command that starts LAMMPS.", change="now"),
        _optional("shuffle_models", bool, False, "Whether each run draws the model that drives it."),
        _optional("teacher_model_path", [str, None], None, "A teacher model for distillation.", available=False),
        _optional("head", [str, None], None, "Head of a multitask model.", available=False),
        _optional("model_frozen_head", [str, None], None, "Head to freeze of a multitask model.", available=False),
        _optional("use_ele_temp", int, 0, "Electron temperature: of frames (1) or atoms (2).", available=False),
        _optional("use_hdf5", bool, False, "Collect trajectories in HDF5 files.", available=False),
        _optional("extra_output_files", list[str], [], "Further files to bring back.", available=False),
    ]


def _optional(name: str, dtype: Any, default: Any, doc: str, **more: Any) -> Key:
    return Key(name, dtype, doc, optional=True, default=default, **more)
