"""``why``: one card about a task: cause, command, history, last words, what helps."""

import time
from collections.abc import Iterator, Mapping, Sequence

from dpgen2_hpc.data.outputs import tail
from dpgen2_hpc.dispatch.schedulers import ending_of, scheduler
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.loop.acts import TaskPlace, is_refused, place_of
from dpgen2_hpc.loop.logs import causes, logs
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.ledger import TROUBLES, Event, JobState, Ledger, TaskState, events
from dpgen2_hpc.state.record import Record, read_record
from dpgen2_hpc.state.steps import WITH_TASKS
from dpgen2_hpc.state.words import JobStatus, Phase, Verdict
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
    return here < now or (here == now and record.phase != Phase.PENDING)


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
    command = next((job.command for job in reversed(jobs) if job.command), task.command)
    yield f"command: {command or 'not submitted yet'}"
    yield f"folder: {directory}"
    yield from _history(folder, place.index, ledger)
    for path in (*said, *by_job):
        if last := tail(path, SHOWN):
            yield f"the last lines of {path}:"
            yield from (f"    {line}" for line in last.splitlines())
    yield from (f"fix: {words}" for words in _remedies(record, place, task, found))


def _state(place: TaskPlace, task: TaskState, jobs: Sequence[JobState]) -> str:
    tried = f"attempt {task.attempt}"
    if task.skipped:
        return f"skipped by the user after {tried}"
    if task.verdict == Verdict.BROKEN:
        return f"failed; {tried} was the last"
    if is_refused(place.step, task):
        return f"done, but its label was rejected; {tried}"
    if task.verdict == Verdict.DONE:
        return f"done; {tried}"
    running = bool(jobs) and jobs[-1].state == JobStatus.RUNNING and task.verdict is None
    return f"running; {tried}" if running else f"waiting; {_times(task.attempt)} so far"


def _times(attempts: int) -> str:
    return f"{attempts} attempt{'' if attempts == 1 else 's'}"


# ---- cause and remedy -----------------------------------------------------------------------------------------------


def _cause(workdir: WorkDir, place: TaskPlace, task: TaskState, text: str) -> tuple[str, str] | None:
    """Return what the queue's words, the gate's or the program's say, with the remedy."""
    endings = _endings(workdir, place.step)
    by_queue = next(((said, helps) for _, said, helps in endings if said in (task.why or "")), None)
    usable = task.verdict == Verdict.DONE and task.why is None  # an MD run that ended early is usable, and has a cause
    return by_queue or (None if usable else ending_of(causes(workdir, place.step), text))


def _endings(workdir: WorkDir, step: str) -> Sequence[tuple[str, str, str]]:
    known = scheduler(read_json(workdir.machine)[step]["machine"]["batch_type"])
    return known.endings if known else ()


def _remedies(record: Record, place: TaskPlace, task: TaskState, found: tuple[str, str] | None) -> Iterator[str]:
    if found is not None:
        yield found[1]
    here = (place.iteration, place.step) == (record.iteration, record.step) and record.phase != Phase.HARVESTED
    if here and (task.verdict == Verdict.BROKEN or is_refused(place.step, task)):
        yield (
            f"correct the cause (you may edit the inputs in this task's folder; a link is shared by all tasks: replace "
            "it with a copy first), then run the same `run` again; for a "
            f"rejected label, or this task alone: dpgen2-hpc retry {place.key}, then `run`"
        )
        if WITH_TASKS[place.step].may_skip:
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
    if index in (event.get("task"), *(event["tasks"] if kind in ("round", "skip") else ())):
        why = f": {event['why']}" if event.get("why") else ""
        return {
            "verdict": lambda: f"attempt {event['attempt']} {_VERDICTS[event['state']]}{why}",
            "inputs": lambda: f"attempt {event['attempt']}: its inputs were written again, from today's settings",
            "round": lambda: f"round {event['round']}: it is retried",
            "skip": lambda: "skipped by the user",
        }.get(kind, lambda: None)()
    if kind == "queue":
        return f"{TROUBLES[event['state']]}: {event['words']}" if "words" in event else "the queue answers again"
    if job not in mine:
        return None
    return {
        "intent": lambda: f"attempt {mine[job]}: assigned to job {event['name']} ({len(event['tasks'])} tasks)",
        "command": lambda: f"the job is submitted with the command: {event['command']}",
        "id": lambda: f"the job is in the queue as {event['id']} (submitted from {event['host']})",
        "state": lambda: f"the job is {event['state']}",
        "cancel": lambda: f"the job is cancelled: {event['why']}",
        "history": lambda: f"the queue says of its end: {' | '.join(event['words'].splitlines())}",
    }.get(kind, lambda: None)()


_VERDICTS = {"done": "is done", "lost": "was lost", "failed": "failed", "broken": "failed, the last one"}


def _time(event: Event) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["at"])) if "at" in event else " " * 19
