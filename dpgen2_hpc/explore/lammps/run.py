"""LAMMPS as an explorer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
from typing_extensions import override

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.data.outputs import read_output_end
from dpgen2_hpc.errors import InputError, OutputError
from dpgen2_hpc.explore.lammps.conf import is_periodic, read_conf, write_conf
from dpgen2_hpc.explore.lammps.input import BAROSTATS, CONFIGURATION, DEVIATIONS, TRAJECTORY, input_text
from dpgen2_hpc.explore.lammps.joined import join, rows_of_steps
from dpgen2_hpc.explore.lammps.predictions import read_predictions
from dpgen2_hpc.explore.lammps.trajectory import read_frames
from dpgen2_hpc.kinds import Cause, CheckContext, Deviations, Ending, Explorer, Key, MdRun, Problem

INPUT, LOG = "in.lammps", "log.lammps"

LOG_TAIL = 1 << 16
"""Bytes from the end of the log in which the last error is found."""

HALTED = re.compile(r"^Fix halt condition .*\bmet\b", re.MULTILINE)
"""What ``fix halt`` with ``error soft`` or ``continue`` logs; with ``hard`` the line begins with ERROR."""


@dataclass(frozen=True)
class LammpsExplorer(Explorer):
    """MD by LAMMPS with DeePMD-kit's pair style: the type ``lmp``.

    ``program`` is the shell command that starts LAMMPS. ``shuffle_models`` is for the step, which puts the model in
    front that drives a run: a drawn one, or always the first.
    """

    program: str = "lmp"
    shuffle_models: bool = False

    configuration_file: ClassVar[str] = CONFIGURATION
    causes: ClassVar[tuple[Cause, ...]] = (
        Cause(
            r"Lost atoms",
            "Atoms left the cell or flew apart.",
            "The frames before count; a shorter dt, a lower temperature or more training helps.",
        ),
        Cause(
            r"Out of range atoms|Non-numeric (pressure|box dimensions|atom coords)",
            "The forces blew up.",
            "The frames before count; a shorter dt or more training helps.",
        ),
        Cause(
            r"Unrecognized pair style 'deepmd'|Unknown pair style",
            "This LAMMPS has no pair style deepmd.",
            "Name a LAMMPS built with DeePMD-kit in explore.config.command.",
        ),
        Cause(
            r"All pair coeffs are not set",
            "LAMMPS and DeePMD-kit's plugin are of different versions.",
            "Use the LAMMPS version that DeePMD-kit was built for.",
        ),
        Cause(
            r"command not found|No such file or directory",
            "The command does not start.",
            "Mend explore.config.command, or load its module in machine.json.",
        ),
    )
    """Pattern of the log, what it means, and what helps."""

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``explore`` that are LAMMPS's own."""
        keys = _config_keys()
        defaults = {key.name: key.default for key in keys}
        return [
            Key("config", dict, "How LAMMPS is run.", optional=True, default=defaults, sub_fields=keys, change="next")
        ]

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the explorer for checked settings."""
        return cls(program=settings["config"]["command"], shuffle_models=settings["config"]["shuffle_models"])

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield an empty command, and an ensemble of one model."""
        if not self.program.strip():
            yield ("config", "command"), "must not be empty"
        if context.numb_models < 2:
            yield (), f"{context.numb_models} model has no deviation: LAMMPS writes one for two and more"

    @override
    def command_line(self, words: Sequence[str]) -> str:
        """The shell command, run with the task's folder as current directory."""
        return f"{self.program} -i {INPUT} -log {LOG}"

    @override
    def write_configuration(self, frame: Frame, type_map: Sequence[str], path: Path) -> None:
        """Write a starting configuration as ``read_data`` reads it."""
        write_conf(frame, type_map, path)

    @override
    def read_configuration(self, path: Path, type_map: Sequence[str]) -> Frame:
        """Return a starting configuration that :meth:`write_configuration` wrote."""
        return read_conf(path, type_map)

    @override
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

    @override
    def finish(self, directory: Path, exit_code: int | None) -> Ending:
        """Return how a run ended: early if the exit code, an ERROR in the log, or a missing row or frame says so.

        Raises
        ------
        OutputError
            There is not one complete frame with its deviation.
        """
        log = read_log(directory / LOG)
        reason = last_error(log) or _ending(exit_code)
        try:
            joined = join(directory)
        except OutputError as problem:
            raise OutputError(f"{reason}; {problem}" if reason else str(problem)) from problem
        if len(joined.steps) == 0:
            raise OutputError(reason or f"{TRAJECTORY} has no complete frame that has a row in {DEVIATIONS}")
        halted = reason is None and HALTED.search(log) is not None
        if reason is None and joined.alone and not halted:
            reason = f"{joined.alone} frames are missing in {TRAJECTORY} or in {DEVIATIONS}"
        return Ending(reason is not None, halted, int(joined.steps[-1]), reason, len(joined.steps))

    @override
    def deviations(self, directory: Path) -> Deviations:
        """Return the deviation of every frame; NaN for a row without its frame and a frame without its row."""
        return join(directory).deviations

    @override
    def frames(self, directory: Path, md_steps: Sequence[int], type_map: Sequence[str]) -> list[Frame | None]:
        """Return the frames of these MD steps; ``None`` where there is no whole one with valid numbers."""
        return read_frames(directory / TRAJECTORY, md_steps, type_map, lambda: rows_of_steps(directory))

    @override
    def predictions(self, directory: Path, md_steps: Sequence[int], type_map: Sequence[str]) -> list[Labels | None]:
        """Return what the driving model predicted for these frames; ``None`` where the run did not keep it."""
        return read_predictions(directory, md_steps, type_map)


def read_log(path: Path) -> str:
    """Return the end of a log, empty if there is no log that could be read."""
    try:
        return read_output_end(path, LOG_TAIL).decode(errors="replace")
    except OutputError:
        return ""


def last_error(log: str) -> str | None:
    """Return the last line of a log in which LAMMPS names an error, ``None`` if there is none."""
    return next((line.strip() for line in reversed(log.splitlines()) if re.match(r"ERROR\b", line)), None)


def _ending(exit_code: int | None) -> str | None:
    """Return why a run ended early as far as its exit code says so."""
    if exit_code is None:
        return "the scheduler ended it"
    return f"LAMMPS ended with exit code {exit_code}" if exit_code else None


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
