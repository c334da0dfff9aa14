"""What can be known before anything is submitted, beyond the inputs themselves: data, geometry, programs, numbers."""

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.masses import MASSES
from dpgen2_hpc.errors import Fault, InputError, spelled
from dpgen2_hpc.explore.configurations.geometry import density, nearest_distance
from dpgen2_hpc.inputs.read import KeyPath
from dpgen2_hpc.inputs.systems import Pattern
from dpgen2_hpc.loop.follow import starting_frames
from dpgen2_hpc.loop.machines import machine_findings
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

Finding = tuple[str, bool]
"""A sentence, and whether it is a fault (else a notice)."""


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
    for fault, is_fault in dict.fromkeys(machine_findings(plan, submits=submits)):
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
