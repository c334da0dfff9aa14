"""The user's two files, understood: what the driver follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpgen2_hpc.collect.step import CollectStep
from dpgen2_hpc.dispatch import machine as layer
from dpgen2_hpc.dispatch import policy
from dpgen2_hpc.dispatch.machine import StepMachine
from dpgen2_hpc.dispatch.policy import Policy
from dpgen2_hpc.dispatch.site import Site
from dpgen2_hpc.errors import Fault, InputError
from dpgen2_hpc.explore.step import ExploreStep
from dpgen2_hpc.fp.step import FpStep
from dpgen2_hpc.inputs.machine import MachineTrees, load_machine
from dpgen2_hpc.inputs.param import Param, load_param
from dpgen2_hpc.loop.schedule import Limits
from dpgen2_hpc.loop.step import Step
from dpgen2_hpc.select.step import SelectStep
from dpgen2_hpc.state.record import Record
from dpgen2_hpc.state.workdir import WorkDir
from dpgen2_hpc.train.step import TrainStep


@dataclass(frozen=True)
class Plan:
    """What a run follows: the parameters, and for each step with tasks its machine and policy."""

    param: Param
    machine_value: Mapping[str, Any]
    machines: Mapping[str, StepMachine]
    policies: Mapping[str, Policy]

    @property
    def limits(self) -> Limits:
        """What the schedule must know."""
        settings = self.param.settings
        levels = settings.convergence.levels()
        return Limits(len(settings.stages), settings.max_numb_iter, settings.fatal_at_max, levels)

    def site(self, workdir: WorkDir, record: Record) -> Site:
        """Return the machine of the step that the run stands in, bound to the step's folder."""
        folder = workdir.step(record.iteration, record.step)
        return Site(self.machines[record.step], folder, workdir.root, remote_name(workdir, record))

    def steps(self) -> dict[str, Step]:
        """Return the five steps."""
        settings = self.param.settings
        elements = settings.type_map
        shuffle = bool(self.param.value["explore"].get("config", {}).get("shuffle_models"))
        found: list[Step] = [
            TrainStep(settings.trainer, elements),
            ExploreStep(settings.explorer, settings.stages, elements, settings.masses, shuffle),
            SelectStep(settings.explorer, settings.convergence, elements, settings.task_max),
            FpStep(settings.labeler, settings.fp_type, elements),
            CollectStep(),
        ]
        return {step.name: step for step in found}


def remote_name(workdir: WorkDir, record: Record) -> str:
    """Return the name of the folder below ``remote_root`` in which the step's jobs run, where they run elsewhere."""
    folder = workdir.step(record.iteration, record.step).path
    return f"{record.identity}-{folder.parent.name}-{folder.name}"


def load_plan(param: Path, machine: Path, *, old_compatible: bool = False) -> Plan:
    """Read and check both files; ``old_compatible``: ``param`` may be in the older dialect.

    Raises
    ------
    InputError
        Everything that is wrong with either.
    """
    faults: list[Fault] = []
    value: dict[str, dict[str, Any]] = {}
    understood: Param | None = None
    try:
        value = load_machine(machine, _trees())
    except InputError as error:
        faults += error.faults
    try:
        commands = {name: section["command"] for name, section in value.items()}
        understood = load_param(param, commands, old_compatible=old_compatible)
    except InputError as error:
        faults = [*error.faults, *faults]
    if faults or understood is None:
        raise InputError(faults)
    machines = {name: StepMachine(section["machine"], section["resources"]) for name, section in value.items()}
    policies = {name: Policy.from_settings(name, section) for name, section in value.items()}
    return Plan(understood, value, machines, policies)


def _trees() -> MachineTrees:
    return MachineTrees(layer.machine_arguments(), layer.resources_arguments(), policy.arguments(), layer.faults)
