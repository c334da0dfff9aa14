"""What can be known of the machines before anything is submitted: programs, directives, environments."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dpgen2_hpc.dispatch.schedulers import Entry
from dpgen2_hpc.dispatch.schedulers.sbatch_options import SBATCH
from dpgen2_hpc.errors import Fault
from dpgen2_hpc.loop.commands import programs
from dpgen2_hpc.loop.plan import Plan

CLUSTERS = ("SBATCH_CLUSTERS", "SLURM_CLUSTERS")
"""Variables that send jobs to other clusters, and that no later driver needs to have."""

Finding = tuple[Fault, bool]
"""A message with its place in the inputs, and whether it is a fault (else a notice)."""


def machine_findings(plan: Plan, *, submits: bool) -> Iterator[Finding]:
    """Yield everything; sections of ``machine.json`` may share a place, and say the same twice.

    Unless the run ``submits`` jobs, it is no fault that this host cannot.
    """
    yield from ((notice, False) for notice in plan.notices)
    yield from _program_findings(plan, submits=submits)
    yield from _head_findings(plan)
    yield from _cluster_findings(plan)


def _program_findings(plan: Plan, *, submits: bool) -> Iterator[Finding]:
    """Yield the programs that this host does not have, those of the scheduler and those of the tasks."""
    commands = plan.commands()
    for step, machine in plan.machines.items():
        if missing := [program for program in _scheduler_programs(machine) if shutil.which(program) is None]:
            text = f"not on this host: {', '.join(missing)}; jobs cannot be submitted from here"
            yield replace(plan.places[step](("machine", "batch_type")), message=text), submits
        for program, sure in sorted(set(programs(commands[step]))):
            if shutil.which(program) is None:
                text, is_fault = _missing(program, machine, sure=sure)
                yield plan.at_command(step, text), is_fault


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
