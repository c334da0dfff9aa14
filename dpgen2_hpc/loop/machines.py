"""What can be known of the machines before anything is submitted: programs, directives, environments."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import dropwhile
from pathlib import Path
from typing import Any

from dpgen2_hpc.dispatch.schedulers import Entry
from dpgen2_hpc.dispatch.schedulers.sbatch_options import SBATCH
from dpgen2_hpc.errors import Fault
from dpgen2_hpc.inputs.param import COMMANDS
from dpgen2_hpc.loop.plan import Plan

CLUSTERS = ("SBATCH_CLUSTERS", "SLURM_CLUSTERS")
"""Variables that send jobs to other clusters, and that no later driver needs to have."""

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
LAUNCHERS = {
    "mpirun",
    "mpiexec",
    "srun",
    "aprun",
    "jsrun",
    "ibrun",
    "env",
    "nice",
    "nohup",
    "timeout",
    "numactl",
    "xargs",
}
"""What starts the program whose name comes later in the line."""

_VALUED = """
-u -x -p -C -f -ppn -bind-to -map-by --bind-to --map-by --rank-by --host -host --hosts -hosts --hostfile -hostfile
-machinefile --machinefile -f --cpu-bind --mem-bind --gpu-bind --mpi --distribution --hint --export --env --depth --pmi
"""
VALUED = {**dict.fromkeys(_VALUED.split(), 1), **dict.fromkeys(("--mca", "-mca", "-genv", "-env"), 2)}
"""Options of launchers that take the next word, or the next two; a number is not a program anyway."""

Finding = tuple[Fault, bool]
"""A message with its place in the inputs, and whether it is a fault (else a notice)."""


def machine_findings(plan: Plan, *, submits: bool) -> Iterator[Finding]:
    """Yield everything; sections of ``machine.json`` may share a place, and say the same twice.

    Unless the run ``submits`` jobs, it is no fault that this host cannot.
    """
    yield from _program_findings(plan, submits=submits)
    yield from _head_findings(plan)
    yield from _cluster_findings(plan)


def _program_findings(plan: Plan, *, submits: bool) -> Iterator[Finding]:
    """Yield the programs that this host does not have, those of the scheduler and those of the tasks."""
    settings = plan.param.settings
    commands = {
        "train": settings.trainer.command,
        "explore": settings.explorer.command,
        "fp": settings.labeler.command,
    }
    for step, machine in plan.machines.items():
        if missing := [program for program in _scheduler_programs(machine) if shutil.which(program) is None]:
            text = f"not on this host: {', '.join(missing)}; jobs cannot be submitted from here"
            yield replace(plan.places[step](("machine", "batch_type")), message=text), submits
        for program, sure in sorted(set(programs(commands[step]))):
            if shutil.which(program) is None:
                text, is_fault = _missing(program, machine, sure=sure)
                yield _at_command(plan, step, text), is_fault


def _head_findings(plan: Plan) -> Iterator[Finding]:
    """Yield what of the directives is not followed, and what jobs may lack."""
    for step, machine in plan.machines.items():
        for path, text in machine.notices(os.environ):
            yield replace(plan.places[step](path), message=text), False


def _cluster_findings(plan: Plan) -> Iterator[Finding]:
    """Yield the clusters that only this shell knows: from another one the run would not find its jobs."""
    for step, machine in plan.machines.items():
        if machine.scheduler.options is not SBATCH or machine.names_clusters:
            continue
        for name in CLUSTERS:
            if value := os.environ.get(name):
                text = f"{name}={value} is set here: add '#SBATCH --clusters={value}', or unset the variable"
                yield replace(plan.places[step](("resources", "custom_flags")), message=text), True


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


def _missing(program: str, machine: Any, *, sure: bool) -> tuple[str, bool]:
    """Return what a missing program means: a fault only where nothing could bring it."""
    if any(machine.resources.get(name) for name in ("module_list", "source_list", "envs", "prepend_script")):
        return f"'{program}' is not on this host's PATH; the modules and scripts of resources must bring it", False
    if machine.scheduler.own_host and sure:
        return f"there is no program '{program}' on this host, and resources names no module or script", True
    return f"'{program}' is not on this host's PATH, and resources names no module: do the nodes have it?", False


def programs(command: str) -> Iterator[tuple[str, bool]]:
    """Yield the programs that a shell command starts, and whether the word is surely one.

    What a launcher such as mpirun starts is a guess: the first word that is not an option, a number or an assignment.
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
    taken = 0
    for word in words:
        if taken:
            taken -= 1
        elif re.match(r"-|\d|\w+=|[$`]", word):
            taken = VALUED.get(word, 0)
        else:
            return [word]
    return []
