"""What the program says when it stops or goes on: the reason, the evidence, and what a person can do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpgen2_hpc.data.outputs import tail
from dpgen2_hpc.loop.logs import logs
from dpgen2_hpc.loop.schedule import Decision
from dpgen2_hpc.state import results
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.ledger import BROKEN, Ledger, TaskState
from dpgen2_hpc.state.results import ExploreResult, Run, SelectResult
from dpgen2_hpc.state.workdir import Place, task_key

SHOWN = 3
"""Failed tasks that a message shows in full; the others are counted."""


@dataclass(frozen=True)
class Advice:
    """Why a person is needed, the evidence, and what to do; ``tasks`` are the keys of those concerned."""

    reason: str
    advice: str
    details: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


def too_few(place: Place, step: str, ledger: Ledger, usable: int, wanted: int) -> Advice:
    """Return what to say when a step has fewer usable tasks than the policy wants."""
    broken = [task for task in ledger.tasks if task.verdict == BROKEN]
    folder = place.folder(step)
    where = f"{folder.path.parent.name}/{folder.path.name}"
    reason = f"{where}: {usable} of {len(ledger.tasks)} tasks are usable, {wanted} are needed"
    details = [line for task in broken[:SHOWN] for line in _task_lines(place, step, task)]
    if len(broken) > SHOWN:
        details.append(f"... and {len(broken) - SHOWN} more broken tasks.")
    details += _refused(place, step)
    if broken:
        advice = (
            "Mend the cause (dpgen2-hpc why KEY says more), then type the same command again: broken tasks are tried "
            "anew, the others are kept."
        )
        if step != "train":
            advice += " To go on without some of them: dpgen2-hpc skip KEY ..."
    else:
        advice = (
            "No task is broken: their results were refused. Mend the inputs and let them run again (dpgen2-hpc retry "
            "KEY ...), set them aside (dpgen2-hpc skip KEY ...), or let the run go on with fewer "
            "(continue_on_success_ratio in machine.json), and type the same command again."
        )
    keys = tuple(task_key(place.iteration, step, task.index) for task in broken)
    return Advice(reason, advice, tuple(details), keys)


def refused(where: str, words: str) -> Advice:
    """Return what to say when the queue will not take a job."""
    reason = f"{where}: the queue refuses the jobs"
    advice = "Mend the step's resources in machine.json, then type the same command again."
    return Advice(reason, advice, (f"its own words: {words}",))


def for_decision(place: Place, decision: Decision, report: Mapping[str, Any]) -> Advice:
    """Return what to say when the schedule needs a person."""
    select = results.load(SelectResult, place.folder("select"))
    details = [in_words(report), *_quantile_lines(select)]
    if report["explored"] == report["invalid"]:
        advice = "Look at the explore tasks' logs and at the models' learning curves (00.train/task.*/lcurve.out)."
    elif report["selected"] == 0:
        advice = _levels_advice(select)
    else:
        advice = (
            "Raise explore.max_numb_iter, or set explore.fatal_at_max to false to go on with the next stage, and type "
            "the same command again."
        )
    explore = results.load(ExploreResult, place.folder("explore"))
    keys = _ended_early(place, explore) if report.get("ended_early") else ()
    if keys:
        advice = " ".join([_about_early_ends(keys[0]), *_about_failed_runs(explore), advice])
    return Advice(decision.reason, advice, tuple(details), keys)


def about_models(last: Mapping[str, Any]) -> str:
    """Return what the models of a completed run know, from the report of its last iteration."""
    if last["labelled"]:
        return f"the {last['labelled']} labels of the last iteration were collected after the models were trained"
    return "the models know every label"


def in_words(report: Mapping[str, Any]) -> str:
    """Return an iteration's report as a sentence."""
    counts = ", ".join(f"{report[name]} {name}" for name in ("accurate", "candidate", "failed", "invalid"))
    text = (
        f"{report['explored']} frames explored: {counts}; {report['selected']} selected, "
        f"{report['labelled']} labelled, {report['dropped']} dropped"
    )
    parts = [text, results.endings_in_words(report), _error_in_words(report["error"]) if "error" in report else None]
    return "; ".join(part for part in parts if part)


def _ended_early(place: Place, explore: ExploreResult) -> tuple[str, ...]:
    """Return the keys of the MD runs of an iteration that ended early."""
    tasks = [run.task for run in map(Run.from_row, explore.runs) if run.ended_early]
    tasks += [row["task"] for row in explore.failed]
    return tuple(task_key(place.iteration, "explore", task) for task in sorted(tasks))


def _about_early_ends(key: str) -> str:
    return (
        f"See why an MD run ended early: dpgen2-hpc why {key}. If its atoms flew apart, the models are not good enough "
        "for this MD yet: lower the trust levels, so that frames near the start are labelled, and train for more "
        "steps; both apply from the next iteration on. A shorter timestep (dt) or lower temperatures (temps) need a "
        "new run in another directory (-C)."
    )


def _about_failed_runs(explore: ExploreResult) -> list[str]:
    if not explore.failed:
        return []
    advice = (
        f'{len(explore.failed)} of them failed altogether: with "continue_on_success_ratio": 1 in explore of '
        "machine.json the next such run blocks its step, where it can be fixed, retried or skipped."
    )
    return [advice]


def _error_in_words(error: Mapping[str, Any]) -> str:
    return (
        f"true error before they were learned: forces {error['rmse_f']:.3g} eV/Å, energy {error['rmse_e']:.3g} eV/atom "
        f"(largest force of a frame {error['error_f']:.3g}, deviation {error['deviation_f']:.3g} eV/Å, means)"
    )


def progress(ledger: Ledger) -> str:
    """Return how far a batch is."""
    counts = ledger.counts()
    parts = [f"{counts['done']} of {counts['total']} done"]
    parts += [f"{counts[name]} {name}" for name in ("running", "waiting", "broken") if counts[name]]
    return ", ".join(parts)


def _task_lines(place: Place, step: str, task: TaskState) -> list[str]:
    directory = place.folder(step).task(task.index)
    lines = [f"{task_key(place.iteration, step, task.index)}: {task.why} (attempt {task.attempt})"]
    for log in logs(place.workdir, step, directory):
        if last := tail(log).splitlines():
            lines += [f"  the last lines of {log}:", *(f"    {line}" for line in last)]
    return lines if len(lines) > 1 else [*lines, f"  {directory} has no task.log"]


def _refused(place: Place, step: str) -> Sequence[str]:
    """Return why the gate has refused labels, the most frequent reason first."""
    path = place.folder(step).path / "dropped.json"
    if not path.exists():
        return []
    reasons = Counter(row["reason"] for row in read_json(path) if row["kind"] == "refused")
    return [f"{count} labels refused: {reason}" for reason, count in reasons.most_common(SHOWN)]


def _quantile_lines(select: SelectResult) -> list[str]:
    if not select.deviation_f:
        return []
    values = ", ".join(f"{name[1:]} %: {value:.3g}" for name, value in select.deviation_f.items())
    return [f"force deviations by quantile, eV/Å: {values}"]


def _levels_advice(select: SelectResult) -> str:
    """Return which levels would have given candidates: from the median to the last percent."""
    if select.duplicate and select.duplicate == select.candidate:
        return "All candidates are duplicates of known frames: explore other configurations, or for longer."
    low, high = select.deviation_f.get("q50", 0.0), select.deviation_f.get("q99", 0.0)
    return (
        f"The levels are {select.levels}. With level_f_lo {low:.3g} and level_f_hi {1.01 * high:.3g} about half of "
        "these frames would be candidates. Change them and type the same command again: the next iteration has them."
    )
