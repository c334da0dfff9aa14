"""The user's two files, understood: what the driver follows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dpgen2_hpc.collect.step import CollectStep
from dpgen2_hpc.dispatch import machine as layer
from dpgen2_hpc.dispatch.command import nothing
from dpgen2_hpc.dispatch.machine import StepMachine
from dpgen2_hpc.dispatch.policy import Policy
from dpgen2_hpc.dispatch.site import Site
from dpgen2_hpc.errors import Fault, InputError
from dpgen2_hpc.explore.step import ExploreStep
from dpgen2_hpc.fp.gate import Gate
from dpgen2_hpc.fp.step import FpStep
from dpgen2_hpc.inputs.machine import MachineFile, MachineTrees, load_machine
from dpgen2_hpc.inputs.param import Param, param_of
from dpgen2_hpc.inputs.policy import Place, Said, agreed, env_faults
from dpgen2_hpc.inputs.read import Document, read_json
from dpgen2_hpc.inputs.step_configs import NOTHING_SAID, StepConfigs, step_configs
from dpgen2_hpc.loop.commands import command_problem, without_ours
from dpgen2_hpc.loop.schedule import Limits
from dpgen2_hpc.loop.step import Step
from dpgen2_hpc.select.step import SelectStep
from dpgen2_hpc.state.identity import identity
from dpgen2_hpc.state.ledger import DIGITS
from dpgen2_hpc.state.record import Record
from dpgen2_hpc.state.steps import WITH_TASKS
from dpgen2_hpc.state.workdir import WorkDir
from dpgen2_hpc.train.step import TrainStep


@dataclass(frozen=True)
class Plan:
    """What a run follows: the parameters, and for each step with tasks its machine and policy.

    ``notify`` is a shell command that gets the status as JSON; ``meaningless`` names each key that was given and is not
    followed, with its file; ``places`` tell where a path below a step's section stands in ``machine.json``;
    ``notices`` are what else must be told of it.
    """

    param: Param
    machine_value: Mapping[str, Any]
    machines: Mapping[str, StepMachine]
    policies: Mapping[str, Policy]
    notify: str | None = None
    meaningless: tuple[str, ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict)
    notices: tuple[Fault, ...] = ()

    @property
    def limits(self) -> Limits:
        """What the schedule must know."""
        settings = self.param.settings
        levels = settings.convergence.levels()
        return Limits(len(settings.stages), settings.max_numb_iter, settings.fatal_at_max, levels)

    def commands(self) -> dict[str, str]:
        """Return the whole command of a task of each step."""
        settings = self.param.settings
        return {
            "train": settings.trainer.command_line(()),
            "explore": settings.explorer.command_line(()),
            "fp": settings.labeler.command_line(()),
        }

    def at_command(self, step: str, text: str) -> Fault:
        """Return a fault where a step's command stands: that of ``machine.json`` comes first."""
        if self.machine_value[step]["command"] is not None:
            return replace(self.places[step](("command",)), message=text)
        return self.param.document.fault((step, WITH_TASKS[step].command_part, "command"), text)

    def forward_files(self, step: str) -> Sequence[str]:
        """Return the paths of the user's own files that go with each task of a step."""
        return self.machine_value[step]["user_forward_files"] if step in self.machines else ()

    def settings_digest(self, step: str) -> str:
        """Return a digest of what the inputs of a step's tasks are written from, beside the frames and the data.

        Of the user's own files their size and time count: one that was only touched is written again for nothing.
        """
        files = [(str(path), *_size_and_time(Path(path))) for path in self.forward_files(step)]
        return identity(settings=self.param.value.get(step), forward=files)[:DIGITS]

    def site(self, workdir: WorkDir, record: Record, check: Callable[[], None] = nothing) -> Site:
        """Return the machine of the run's present step, bound to the step's folder; ``check`` as in :class:`Site`."""
        return site_of(self.machines[record.step], workdir, record, check)

    def steps(self) -> dict[str, Step]:
        """Return the five steps."""
        settings = self.param.settings
        elements = settings.type_map
        shuffle = bool(self.param.value["explore"].get("config", {}).get("shuffle_models"))
        found: list[Step] = [
            TrainStep(settings.trainer, elements),
            ExploreStep(settings.explorer, settings.stages, elements, settings.masses, shuffle),
            SelectStep(settings.explorer, settings.convergence, elements, settings.task_max),
            FpStep(settings.labeler, settings.fp_type, elements, Gate(settings.max_force, settings.max_pressure)),
            CollectStep(elements, mixed=self.param.value["inputs"]["mixed_type"]),
        ]
        return {step.name: step for step in found}


def _size_and_time(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def site_of(machine: StepMachine, workdir: WorkDir, record: Record, check: Callable[[], None] = nothing) -> Site:
    """Return ``machine`` bound to the folder of the run's present step."""
    folder = workdir.step(record.iteration, record.step)
    return Site(machine, folder, workdir.root, remote_name(workdir, record), check)


def remote_name(workdir: WorkDir, record: Record) -> str:
    """Return the name of the folder below ``remote_root`` in which the step's jobs run, where they run elsewhere."""
    folder = workdir.step(record.iteration, record.step).path
    rewound = f"-rewind-{record.rewinds}" if record.rewinds else ""
    return f"{record.identity}-{folder.parent.name}-{folder.name}{rewound}"


def load_plan(param: Path, machine: Path, *, old_compatible: bool = False, kept: frozenset[str] = frozenset()) -> Plan:
    """Read and check both files; ``old_compatible``: ``param`` may be in the older dialect.

    ``kept`` are the files of which the run has copies: :func:`dpgen2_hpc.loop.contents.kept_files`.

    Raises
    ------
    InputError
        Everything that is wrong with either.
    """
    faults: list[Fault] = []
    where: MachineFile | None = None
    understood: Param | None = None
    written: Document | None = None
    configs = NOTHING_SAID
    try:
        written = read_json(param)
        configs = step_configs(written)
    except InputError as error:
        faults += error.faults
    try:
        where = load_machine(machine, machine_trees())
    except InputError as error:
        faults += error.faults
    said, more = _policies(where, configs)
    faults = [*more, *faults]
    try:
        if written is not None:
            understood = param_of(written, _commands(where), old_compatible=old_compatible, kept=kept)
    except InputError as error:
        faults = [*error.faults, *faults]
    if faults or understood is None or where is None:
        raise InputError(list(dict.fromkeys(faults)))
    plan = _without_our_options(_plan(understood, where, said, configs))
    faults = list(_command_faults(plan))
    if faults:
        raise InputError(faults)
    return plan


def _without_our_options(plan: Plan) -> Plan:
    """Return the plan with commands that have no options of ours, and with a notice of each that had."""
    whole = plan.commands()
    given = {step: own for step in whole if (own := _given_command(plan, step))}
    meant = {step: without_ours(own, whole[step]) for step, own in given.items()}
    told = [
        plan.at_command(step, f"this program adds '{own.strip().removeprefix(meant[step]).strip()}' itself")
        for step, own in given.items()
        if meant[step] != own.strip()
    ]
    if not told:
        return plan
    param = replace(plan.param, commands={**plan.param.commands, **meant}, notices=(*plan.param.notices, *told))
    return replace(plan, param=param.following(param.value))


def _given_command(plan: Plan, step: str) -> str | None:
    """Return the command that a step was given: the machine's, or else that of ``param.json``."""
    own: str | None = plan.param.commands.get(step)
    return own or plan.param.value[step].get(WITH_TASKS[step].command_part, {}).get("command")


def _command_faults(plan: Plan) -> Iterator[Fault]:
    """Yield the commands that a shell would not understand, or that this program's arguments would not reach."""
    for step, whole in plan.commands().items():
        own = _given_command(plan, step)
        problem = command_problem(own, whole) if own else None
        if problem:
            yield plan.at_command(step, problem)


def _commands(machine: MachineFile | None) -> dict[str, str | None]:
    return {name: section["command"] for name, section in machine.sections.items()} if machine else {}


def _policies(machine: MachineFile | None, configs: StepConfigs) -> tuple[dict[str, dict[str, Said]], list[Fault]]:
    """Return the words of both files for each step, and where they disagree."""
    faults = list(configs.faults)
    result: dict[str, dict[str, Said]] = {}
    if machine is None:
        return result, faults
    for step, section in machine.sections.items():
        result[step], more = agreed(machine.said[step], configs.said[step])
        faults += [*more, *env_faults(result[step], section["resources"]["envs"], machine.places[step])]
    return result, faults


def _plan(param: Param, machine: MachineFile, said: Mapping[str, Mapping[str, Said]], configs: StepConfigs) -> Plan:
    sections = machine.sections
    settings = {step: {name: word.value for name, word in words.items()} for step, words in said.items()}
    return Plan(
        param,
        sections,
        {name: StepMachine(section["machine"], section["resources"]) for name, section in sections.items()},
        {name: Policy.from_settings(name, settings[name]) for name in sections},
        machine.notify,
        (
            *(f"param.json: '{key}'" for key in (*param.meaningless, *configs.meaningless)),
            *(f"machine.json: '{key}'" for key in machine.meaningless),
        ),
        machine.places,
        machine.notices,
    )


def machine_trees() -> MachineTrees:
    """Return what the queue's side knows of a section of ``machine.json``."""
    return MachineTrees(layer.machine_arguments, layer.resources_arguments, layer.faults, layer.other_contexts())
