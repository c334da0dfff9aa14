"""What can be known before anything is submitted, beyond the inputs themselves: data, geometry, programs, numbers."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from itertools import dropwhile
from pathlib import Path
from typing import Any

import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.masses import MASSES
from dpgen2_hpc.dispatch.schedulers import Entry
from dpgen2_hpc.errors import Fault, InputError, spelled
from dpgen2_hpc.explore.configurations.geometry import density, nearest_distance
from dpgen2_hpc.inputs.param import COMMANDS
from dpgen2_hpc.inputs.read import KeyPath
from dpgen2_hpc.inputs.systems import Pattern
from dpgen2_hpc.loop.follow import starting_frames
from dpgen2_hpc.loop.plan import Plan
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.workdir import WorkDir

LOOKED_AT = 10
"""Frames of a source of configurations whose distances are computed."""

OVERLAP, CLOSE, HEAVY = 0.5, 0.7, 30.0
"""Å below which atoms overlap, Å below which no two atoms of any molecule are, g/cm³ above which nothing is."""

SCATTER = 0.8, 1.25
"""How far a mass may be from the element's own, as a factor: isotopes, and rounded numbers."""

FILES = {"train": 20, "explore": 9, "fp": 9}
"""Files in the folder of a task, roughly."""

FILES_OF_JOB = 3

KEYWORDS = {"if", "then", "else", "elif", "fi", "do", "done", "while", "for", "!", "{", "}", "(", ")", "time", "exec"}
BUILTINS = {
    "source",
    ".",
    "[",
    "[[",
    "test",
    "export",
    "cd",
    "set",
    "ulimit",
    "module",
    "eval",
    "echo",
    "true",
    "umask",
    "exit",
}
LAUNCHERS = {"mpirun", "mpiexec", "srun", "aprun", "jsrun", "ibrun", "env", "nice", "nohup", "timeout", "numactl"}
"""What starts the program whose name comes later in the line."""

VALUED = {
    "-u",
    "-x",
    "--bind-to",
    "--map-by",
    "--rank-by",
    "--host",
    "-host",
    "--hostfile",
    "-hostfile",
    "-machinefile",
}
"""Options of launchers whose next word is no program; numbers are none anyway."""

Finding = tuple[str, bool]
"""A sentence, and whether it is a fault (else a notice)."""


@dataclass(frozen=True)
class Survey:
    """What was found: lines that tell it, notices for a person to think about, and faults."""

    lines: Sequence[str]
    notices: Sequence[str]
    faults: Sequence[Fault]


def survey(plan: Plan, workdir: WorkDir | None = None) -> Survey:
    """Look at everything that the inputs name; the run in ``workdir``, if there is one, may have the only copies."""
    settings = plan.param.settings
    pools = [_pool(plan, entry, workdir) for entry in range(len(settings.configurations))]
    faults: list[Fault] = []
    notices = [f"{key} has no meaning here and is not followed" for key in plan.meaningless]
    name = plan.param.value["name"]
    lines = [
        *([f"name: {name}"] if name else []),
        f"elements: {_elements(plan)}",
        *map(_data_line, plan.param.patterns),
    ]
    for entry, frames in enumerate(pools):
        path: KeyPath = ("explore", "configurations", entry)
        if isinstance(frames, Kept):
            lines.append(f"{spelled(plan.param.document.written(path))}: {frames}")
            continue
        looks = Look.at(frames, dict(zip(settings.type_map, settings.masses, strict=True)))
        lines.append(f"{spelled(plan.param.document.written(path))}: {looks}")
        for text, is_fault in looks.findings():
            if is_fault:
                faults.append(plan.param.document.fault(path, text))
            else:
                notices.append(f"{spelled(plan.param.document.written(path))}: {text}")
    notices += _strange_masses(plan)
    notices += _oversampled(plan, pools)
    notices += _unused_resources(plan)
    for fault, is_fault in dict.fromkeys(_program_findings(plan)):
        if is_fault:
            faults.append(fault)
        else:
            notices.append(f"{spelled(fault.path)}: {fault.message}")
    return Survey([*lines, *_numbers(plan, pools)], notices, faults)


def _pool(plan: Plan, entry: int, workdir: WorkDir | None) -> "Sequence[Frame] | Kept":
    """Return the starting configurations of an entry; where their files are gone, how many of them the run has.

    Raises
    ------
    InputError
        A file cannot be read, and no run has taken it up.
    """
    try:
        return starting_frames(plan.param.settings, entry)
    except InputError:
        pools = read_json(workdir.pools) if workdir is not None and workdir.pools.exists() else []
        if entry >= len(pools):
            raise
        return Kept(len(pools[entry]))


def _elements(plan: Plan) -> str:
    settings = plan.param.settings
    return ", ".join(f"{name} ({mass:g} u)" for name, mass in zip(settings.type_map, settings.masses, strict=True))


def _data_line(pattern: Pattern) -> str:
    """Return what one entry of the initial data stands for."""
    found = [system.summary for system in pattern.systems if system.summary is not None]
    frames = sum(summary.frames for summary in found)
    sizes = sorted({summary.natoms for summary in found})
    atoms = f"{sizes[0]} to {sizes[-1]} atoms" if len(sizes) > 1 else f"{sizes[0]} atoms"
    virials = sum(summary.has_virial for summary in found)
    return (
        f"{spelled(pattern.path)}: '{pattern.text}': {counted(len(found), 'system')}, {counted(frames, 'frame')} of "
        f"{atoms}, {virials if virials < len(found) else 'all'} with virials"
    )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 job``, ``2 jobs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _strange_masses(plan: Plan) -> Iterator[str]:
    """Yield the elements whose mass is that of no isotope: they may stand in another order than the masses."""
    settings = plan.param.settings
    for index, (name, mass) in enumerate(zip(settings.type_map, settings.masses, strict=True)):
        usual = MASSES.get(name)
        if usual is not None and not SCATTER[0] <= mass / usual <= SCATTER[1]:
            path = plan.param.document.written(("inputs", "mass_map", index))
            yield f"{spelled(path)}: {mass:g} u for {name}, whose atoms weigh {usual:g} u: are the masses in order?"


def _oversampled(plan: Plan, pools: Sequence[Sized]) -> Iterator[str]:
    """Yield the groups that draw more configurations than they have, so that some run twice in an iteration."""
    for stage, groups in enumerate(plan.param.settings.stages):
        for number, group in enumerate(groups):
            pool = sum(len(pools[entry]) for entry in group.conf_idx)
            drawn = getattr(group, "n_sample", None)
            if drawn is not None and drawn > pool:
                path = plan.param.document.written(("explore", "stages", stage, number, "n_sample"))
                there = counted(pool, "configuration")
                yield f"{spelled(path)}: {drawn} are drawn from {there}: some run more than once in an iteration"


def _unused_resources(plan: Plan) -> list[str]:
    """Return what of ``resources`` is not used, each once although the sections inherit it."""
    found = (
        f"{spelled(plan.places[step](path).path)}: {text}"
        for step, machine in plan.machines.items()
        for path, text in machine.notices(os.environ)
    )
    return list(dict.fromkeys(found))


# ---- configurations -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """Starting configurations that only the run has: their number."""

    number: int

    def __len__(self) -> int:
        """Return their number."""
        return self.number

    def __str__(self) -> str:
        return f"{counted(self.number, 'configuration')}, in the work directory (the files are gone)"


@dataclass(frozen=True)
class Look:
    """What the frames of one source look like: smallest distance in Å, densities (of periodic ones) in g/cm³."""

    frames: int
    atoms: tuple[int, ...]
    nearest: float
    densities: tuple[float, ...]

    @classmethod
    def at(cls, frames: Sequence[Frame], masses: Mapping[str, float]) -> "Look":
        """Look at some frames, evenly over all."""
        chosen = [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, LOOKED_AT).astype(int))]
        return cls(
            frames=len(frames),
            atoms=tuple(sorted({len(frame.symbols) for frame in frames})),
            nearest=min(nearest_distance(frame) for frame in chosen),
            densities=tuple(density(frame, masses) for frame in chosen if frame.periodic),
        )

    def __str__(self) -> str:
        atoms = f"{self.atoms[0]} to {self.atoms[-1]}" if len(self.atoms) > 1 else str(self.atoms[0])
        text = f"{counted(self.frames, 'configuration')} of {atoms} atoms, nearest two {self.nearest:.2f} Å apart"
        if self.densities:
            low, high = f"{min(self.densities):.3g}", f"{max(self.densities):.3g}"
            text += f", {low} g/cm³" if low == high else f", {low} to {high} g/cm³"
        return text

    def findings(self) -> Iterator[Finding]:
        """Yield what cannot be matter."""
        if self.nearest < OVERLAP:
            yield f"atoms overlap: two are {self.nearest:.2f} Å apart. Is the lattice constant right, in Å?", True
        elif self.nearest < CLOSE:
            yield f"two atoms are {self.nearest:.2f} Å apart, closer than in any molecule: is that meant?", False
        if self.densities and max(self.densities) > HEAVY:
            yield f"{max(self.densities):.3g} g/cm³ is denser than any matter: is that meant?", False


# ---- programs -------------------------------------------------------------------------------------------------------


def _program_findings(plan: Plan) -> Iterator[tuple[Fault, bool]]:
    """Yield the programs that this host does not have, those of the scheduler and those of the tasks."""
    settings = plan.param.settings
    commands = {
        "train": settings.trainer.command,
        "explore": settings.explorer.command,
        "fp": settings.labeler.command,
    }
    for step, machine in plan.machines.items():
        for program in _scheduler_programs(machine):
            if shutil.which(program) is None:
                text = f"there is no program '{program}' on this host: jobs cannot be submitted from here"
                yield replace(plan.places[step](("machine", "batch_type")), message=text), True
        for program, sure in sorted(set(programs(commands[step]))):
            if shutil.which(program) is None:
                text, is_fault = _missing(program, machine, sure=sure)
                yield _at_command(plan, step, text), is_fault


def _at_command(plan: Plan, step: str, text: str) -> Fault:
    """Return a fault where a step's command stands: that of ``machine.json`` comes first."""
    if plan.machine_value[step]["command"] is not None:
        return replace(plan.places[step](("command",)), message=text)
    return plan.param.document.fault((step, COMMANDS[step], "command"), text)


def _scheduler_programs(machine: Any) -> list[str]:
    found = machine.scheduler
    if found.own_host:
        return []
    lines = (
        found.submit("name", "script"),
        found.list_live(["name"]),
        found.cancel([Entry("name", "1", running=False)]),
    )
    return sorted({program for line in lines for program, _ in programs(line)})


def _missing(program: str, machine: Any, *, sure: bool) -> Finding:
    """Return what a missing program means: a fault only where nothing could bring it."""
    if any(machine.resources.get(name) for name in ("module_list", "source_list", "envs", "prepend_script")):
        return f"'{program}' is not on this host's PATH; the modules and scripts of resources must bring it", False
    if machine.scheduler.own_host and sure:
        return f"there is no program '{program}' on this host, and resources names no module or script", True
    return f"'{program}' is not on this host's PATH, and resources names no module: do the nodes have it?", False


def programs(command: str) -> Iterator[tuple[str, bool]]:
    """Yield the programs that a shell command starts, and whether the word is surely one.

    What a launcher such as mpirun starts is a guess: the first word that is no option, number or assignment.
    """
    for part in _parts(command):
        words = list(dropwhile(lambda word: word in KEYWORDS or "=" in word, part))
        if not words or words[0] in BUILTINS or any(letter in words[0] for letter in "$`*"):
            continue
        yield words[0], True
        if Path(words[0]).name in LAUNCHERS:
            yield from ((word, False) for word in _launched(words[1:]))


def _parts(command: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a line."""
    lexer = shlex.shlex(command.replace("\n", ";"), posix=True, punctuation_chars=";|&()")
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set(";|&()"):
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:  # a quote that is never closed: the shell will say so
        return
    yield words


def _launched(words: Sequence[str]) -> list[str]:
    """Return the word that a launcher starts, if one can be told."""
    pairs = zip(["", *words], words, strict=False)
    plain = [word for before, word in pairs if before not in VALUED and not re.match(r"-|\d|\w+=", word)]
    return plain[:1]


# ---- numbers --------------------------------------------------------------------------------------------------------


def _numbers(plan: Plan, pools: Sequence[Sized]) -> Iterator[str]:
    """Yield how many tasks, jobs and files the first iteration has."""
    settings = plan.param.settings
    stages = [sum(_runs(group, pools) for group in stage) for stage in settings.stages]
    tasks = {"train": settings.trainer.numb_models, "explore": stages[0], "fp": settings.task_max}
    files = 0
    for step, number in tasks.items():
        machine = plan.machines[step]
        jobs = -(-number // (machine.group_size or number)) if number else 0
        files += number * FILES[step] + jobs * FILES_OF_JOB
        most = "at most " if step == "fp" else ""
        where = f"{machine.machine['batch_type']} ({machine.machine['context_type']})"
        yield f"{step}: {most}{counted(number, 'task')} in {most}{counted(jobs, 'job')} on {where}"
    runs = ", ".join(map(str, stages))
    most = counted(settings.max_numb_iter, "iteration")
    yield f"stages: {len(stages)}, with {runs} runs in an iteration; each stage has at most {most}"
    configurations = counted(sum(map(len, pools)), "starting configuration")
    yield f"files: {configurations}, and about {files} files in the first iteration"


def _runs(group: Any, pools: Sequence[Sized]) -> int:
    pool = sum(len(pools[entry]) for entry in group.conf_idx)
    return len(group.sample(pool, 0, (0,))) * len(group.states())
