"""The manual's keys of the finished steps, in the manual's order, ranges folded."""

from collections.abc import Iterator

from dpgen2_hpc.state.ledger import Ledger
from dpgen2_hpc.state.record import Record
from dpgen2_hpc.state.steps import BY_NAME, WITH_TASKS
from dpgen2_hpc.state.words import Phase, Verdict
from dpgen2_hpc.state.workdir import STEPS, WorkDir, iteration_name, task_key


def finished_keys(workdir: WorkDir, record: Record) -> list[list[str]]:
    """Return the keys of all finished steps; those of neighbouring tasks are in one list."""
    groups = [["init--scheduler"], ["init--id"]]
    for iteration in range(record.iteration + 1):
        for step in STEPS:
            groups += _step_keys(workdir, record, iteration, step)
        name = iteration_name(iteration)
        if iteration < len(record.iterations):
            groups.append([f"{name}--block"])
        if iteration < record.iteration or record.complete is not None:
            groups += [[f"{name}--scheduler"], [f"{name}--id"]]
    return groups


def listing(groups: list[list[str]]) -> str:
    """Return the manual's listing: ``3 -> 6 : first -> last``."""
    lines, number = [], 0
    for group in groups:
        last = number + len(group) - 1
        if len(group) == 1:
            lines.append(f"{number} : {group[0]}")
        else:
            lines.append(f"{number} -> {last} : {group[0]} -> {group[-1]}")
        number = last + 1
    return "\n".join(lines)


def _step_keys(workdir: WorkDir, record: Record, iteration: int, step: str) -> list[list[str]]:
    name, here = iteration_name(iteration), (iteration, STEPS.index(step))
    now = (record.iteration, STEPS.index(record.step))
    prepared = here < now or (here == now and record.phase != Phase.PENDING)
    harvested = here < now or (here == now and record.phase == Phase.HARVESTED)
    groups: list[list[str]] = []
    if prepared and step in WITH_TASKS:
        done = [
            task.index
            for task in Ledger.read(workdir.step(iteration, step).ledger).tasks
            if task.verdict == Verdict.DONE
        ]
        groups.append([f"{name}--{WITH_TASKS[step].prepare_key}"])
        groups += [[task_key(iteration, step, task) for task in run] for run in _neighbours(done)]
    if harvested:
        groups.append([f"{name}--{BY_NAME[step].key}"])
    return groups


def _neighbours(numbers: list[int]) -> Iterator[list[int]]:
    """Yield runs of consecutive numbers."""
    run: list[int] = []
    for number in numbers:
        if run and number != run[-1] + 1:
            yield run
            run = []
        run.append(number)
    if run:
        yield run
