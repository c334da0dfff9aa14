"""``why``: one card about a task: cause, command, history, last words, what helps."""

import time
from collections.abc import Iterator, Mapping, Sequence

from dpgen2_hpc.data.outputs import tail
from dpgen2_hpc.dispatch.schedulers import ending_of, scheduler
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.loop.acts import TaskPlace, is_refused, place_of
from dpgen2_hpc.loop.logs import causes, logs
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.ledger import BROKEN, DONE, Event, JobState, Ledger, TaskState, events
from dpgen2_hpc.state.record import Record, read_record
from dpgen2_hpc.state.workdir import STEPS, StepFolder, WorkDir

SHOWN = 20
"""Lines of a log that a card shows."""

SEARCHED = 400
"""Lines of a log in which a cause is looked for."""


def of_task(workdir: WorkDir, key: str) -> str:
    """Return the card of a task.

    Raises
    ------
    InputError
        The run has no such task, or not yet.
    """
    place, record = place_of(key), read_record(workdir.record)
    folder = workdir.step(place.iteration, place.step)
    if not _is_prepared(record, place):
        raise InputError(f"'{place.key}': the run has not come to this step yet")
    ledger = Ledger.read(folder.ledger)
    if place.index >= len(ledger.tasks):
        raise InputError(f"'{place.key}': the step has {len(ledger.tasks)} tasks, counted from 0")
    return "\n".join(_card(workdir, record, place, ledger))


def _is_prepared(record: Record, place: TaskPlace) -> bool:
    here, now = (place.iteration, STEPS.index(place.step)), (record.iteration, STEPS.index(record.step))
    return here < now or (here == now and record.phase != "pending")


def _card(workdir: WorkDir, record: Record, place: TaskPlace, ledger: Ledger) -> Iterator[str]:
    folder, task = workdir.step(place.iteration, place.step), ledger.tasks[place.index]
    directory = folder.task(place.index)
    jobs = [job for job in ledger.jobs if any(number == place.index for number, _ in job.tasks)]
    said = logs(workdir, place.step, directory)
    by_job = [folder.jobs / f"{jobs[-1].name}.out"] if jobs else []
    yield f"{place.key}: {_state(place, task, jobs)}"
    if task.why is not None:
        yield f"cause: {task.why}"
    found = _cause(workdir, place, task, "\n".join([task.why or "", *(tail(path, SEARCHED) for path in said)]))
    if found is not None:
        yield f"       {found[0]}"
    yield f"command: {task.command}"
    yield f"folder: {directory}"
    yield from _history(folder, place.index, ledger)
    for path in (*said, *by_job):
        if last := tail(path, SHOWN):
            yield f"the last lines of {path}:"
            yield from (f"    {line}" for line in last.splitlines())
    yield from (f"what helps: {words}" for words in _remedies(record, place, task, found))


def _state(place: TaskPlace, task: TaskState, jobs: Sequence[JobState]) -> str:
    tried = f"attempt {task.attempt}"
    if task.skipped:
        return f"set aside by a person; {tried} was the last"
    if task.verdict == BROKEN:
        return f"broken; {tried} was the last"
    if is_refused(place.step, task):
        return f"done, but its label was refused; {tried}"
    if task.verdict == DONE:
        return f"done; {tried}"
    running = bool(jobs) and jobs[-1].state == "running" and task.verdict is None
    return f"running; {tried}" if running else f"waiting; {task.attempt} attempts so far"


# ---- cause and remedy -----------------------------------------------------------------------------------------------


def _cause(workdir: WorkDir, place: TaskPlace, task: TaskState, text: str) -> tuple[str, str] | None:
    """Return what the queue's words, the gate's or the program's say, with the remedy."""
    endings = _endings(workdir, place.step)
    by_queue = next(((said, helps) for _, said, helps in endings if said in (task.why or "")), None)
    usable = task.verdict == DONE and task.why is None  # an MD run that ended early is usable, and has a cause
    return by_queue or (None if usable else ending_of(causes(workdir, place.step), text))


def _endings(workdir: WorkDir, step: str) -> Sequence[tuple[str, str, str]]:
    known = scheduler(read_json(workdir.machine)[step]["machine"]["batch_type"])
    return known.endings if known else ()


def _remedies(record: Record, place: TaskPlace, task: TaskState, found: tuple[str, str] | None) -> Iterator[str]:
    if found is not None:
        yield found[1]
    here = (place.iteration, place.step) == (record.iteration, record.step) and record.phase != "harvested"
    if here and (task.verdict == BROKEN or is_refused(place.step, task)):
        yield (
            f"once the cause is mended, in this task's own inputs too: dpgen2-hpc retry {place.key}, then the same "
            "`run` again"
        )
        if place.step != "train":
            yield f"to go on without it: dpgen2-hpc skip {place.key}, then the same `run` again"


# ---- history --------------------------------------------------------------------------------------------------------


def _history(folder: StepFolder, index: int, ledger: Ledger) -> Iterator[str]:
    """Yield what happened to a task and to the jobs that were to run it, in the order of time."""
    yield "history:"
    mine = {job.index: attempt for job in ledger.jobs for task, attempt in job.tasks if task == index}
    for event in events(folder.ledger):
        words = _event_in_words(event, index, mine)
        if words:
            yield f"    {_time(event)}  {words}"


def _event_in_words(event: Event, index: int, mine: Mapping[int, int]) -> str | None:
    kind, job = event["event"], event.get("job", -1)
    if kind == "verdict" and event["task"] == index:
        why = f": {event['why']}" if event["why"] else ""
        return f"attempt {event['attempt']} is {event['state']}{why}"
    if kind == "round" and index in event["tasks"]:
        return f"round {event['round']}: a person lets it try again"
    if kind == "skip" and index in event["tasks"]:
        return "a person sets it aside"
    if kind == "queue":
        return f"the queue is {event['state']}: {event['words']}" if "words" in event else "the queue answers again"
    if job not in mine:
        return None
    return {
        "intent": lambda: f"attempt {mine[job]}: job {event['name']} is to run it, with {len(event['tasks'])} tasks",
        "id": lambda: f"the queue has the job as {event['id']} (from {event['host']})",
        "state": lambda: f"the job is {event['state']}",
        "cancel": lambda: f"the job is to be cancelled: {event['why']}",
    }[kind]()


def _time(event: Event) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["at"])) if "at" in event else " " * 19
