"""What can be known before anything is submitted, beyond the inputs themselves: data, geometry, programs, numbers."""

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from dpgen2_hpc.errors import Fault, counted, spelled
from dpgen2_hpc.inputs.read import KeyPath
from dpgen2_hpc.inputs.systems import Pattern
from dpgen2_hpc.loop.machines import machine_findings
from dpgen2_hpc.loop.plan import Plan
from dpgen2_hpc.loop.starts import Kept, Look, pool_of
from dpgen2_hpc.state.steps import WITH_TASKS
from dpgen2_hpc.state.workdir import WorkDir

FILES_OF_JOB = 3


@dataclass(frozen=True)
class Survey:
    """What was found: lines that tell it, notices for a person to think about, and faults."""

    lines: Sequence[str]
    notices: Sequence[str]
    faults: Sequence[Fault]


def survey(plan: Plan, workdir: WorkDir | None = None, *, submits: bool = True) -> Survey:
    """Look at everything that the inputs name; the run in ``workdir``, if there is one, may have the only copies.

    A rehearsal, which ``submits`` nothing, needs no batch system.
    """
    settings = plan.param.settings
    pools = [pool_of(plan, entry, workdir) for entry in range(len(settings.configurations))]
    learned = list(_learned_volumes(plan.param.patterns))
    faults: list[Fault] = []
    notices = [_not_followed(key) for key in plan.meaningless]
    name = plan.param.value["name"]
    lines = [
        *([f"name: {name}"] if name else []),
        f"elements: {_elements(plan)}",
        *map(_data_line, plan.param.patterns),
    ]
    for entry, frames in enumerate(pools):
        path: KeyPath = ("explore", "configurations", entry)
        there = spelled(plan.param.document.written(path))
        if isinstance(frames, Kept):
            lines.append(f"{there}: {frames}")
            continue
        looks = Look.at(frames, dict(zip(settings.type_map, settings.masses, strict=True)))
        lines.append(f"{there}: {looks}")
        for text, is_fault in looks.findings([] if _computes_molecules(plan, entry) else learned):
            if is_fault:
                faults.append(plan.param.document.fault(path, text))
            else:
                notices.append(f"{there}: {text}")
    notices += [_told(notice, plan.param.document.file) for notice in plan.param.notices]
    notices += _oversampled(plan, pools)
    for fault, is_fault in dict.fromkeys(machine_findings(plan, submits=submits)):
        if is_fault:
            faults.append(fault)
        else:
            notices.append(f"{spelled(fault.path)}: {fault.message}")
    return Survey([*lines, *_numbers(plan, pools)], notices, faults)


def _computes_molecules(plan: Plan, entry: int) -> bool:
    """Return whether a source of configurations is meant to have no periodicity."""
    settings = plan.param.settings
    asked = getattr(settings.configurations[entry], "remove_pbc", False)
    return asked or True not in getattr(settings.labeler, "periodic", (True,))


def _not_followed(key: str) -> str:
    """Return what is told of a key that has no meaning here."""
    says_where = key.endswith("executor'")
    instead = ": write its machine_dict and resources_dict into machine.json, as machine and resources of the step"
    return f"{key} has no meaning here and is not followed{instead if says_where else ''}"


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


def _learned_volumes(patterns: Sequence[Pattern]) -> Iterator[tuple[float, float]]:
    """Yield the smallest and the largest volume per atom (Å³) of the initial data's periodic systems."""
    for pattern in patterns:
        for system in pattern.systems:
            if system.contents is not None and system.contents.volumes is not None:
                yield system.contents.volumes


def _told(notice: Fault, param: str) -> str:
    """Return a notice with its path, and its file where this is another one than ``param.json``."""
    file = "" if notice.file == param else f"{notice.file}: "
    return f"{file}{spelled(notice.path)}: {notice.message}"


def _oversampled(plan: Plan, pools: Sequence[Sized]) -> Iterator[str]:
    """Yield the groups that draw more configurations than they have, so that some run twice in an iteration."""
    for stage, groups in enumerate(plan.param.settings.stages):
        for number, group in enumerate(groups):
            pool = sum(len(pools[entry]) for entry in group.conf_idx)
            drawn = group.n_sample
            if drawn is not None and drawn > pool:
                path = plan.param.document.written(("explore", "stages", stage, number, "n_sample"))
                there = counted(pool, "configuration")
                yield f"{spelled(path)}: {drawn} are drawn from {there}: some run more than once in an iteration"


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
        files += number * WITH_TASKS[step].files + jobs * FILES_OF_JOB
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
