"""What the program says when it stops or goes on: the reason, the evidence, and what the user can do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpgen2_hpc.data.outputs import tail
from dpgen2_hpc.loop.logs import logs
from dpgen2_hpc.loop.schedule import Decision
from dpgen2_hpc.state import results, stops
from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.ledger import Ledger, TaskState
from dpgen2_hpc.state.results import ExploreResult, Run, SelectResult
from dpgen2_hpc.state.steps import WITH_TASKS
from dpgen2_hpc.state.words import Verdict
from dpgen2_hpc.state.workdir import Place, task_key

SHOWN = 3
"""Failed tasks that a message shows in full; the others are counted."""


LISTED = 10
"""Keys that a message lists; the ledger has the others."""


@dataclass(frozen=True)
class Advice:
    """Why user action is needed: the state (a key of ``STOPS``), the evidence, what to do, the tasks concerned."""

    code: str
    reason: str
    advice: str
    details: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()

    def entry(self) -> dict[str, Any]:
        """Return what the record keeps; of many tasks it names the first ones and how many there are."""
        return {
            "code": self.code,
            "reason": self.reason,
            "advice": self.advice,
            "details": list(self.details),
            "tasks": list(self.tasks[:LISTED]),
            "count": len(self.tasks),
        }


def blocked_lines(entry: Mapping[str, Any]) -> list[str]:
    """Return the record's ``blocked`` in words; an older version kept no details."""
    return [f"blocked: {entry['reason']}", *entry.get("details", ()), entry["advice"]]


def first(names: Sequence[str]) -> str:
    """Return the first of many names, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def too_few(place: Place, step: str, ledger: Ledger, usable: int, wanted: int) -> Advice:
    """Return what to say when a step has fewer usable tasks than the policy wants."""
    failed = [task for task in ledger.tasks if task.verdict == Verdict.BROKEN and not task.skipped]
    folder = place.folder(step)
    where = f"{folder.path.parent.name}/{folder.path.name}"
    reason = f"{where}: {usable} of {len(ledger.tasks)} tasks are usable, {wanted} are needed"
    details = [line for task in failed[:SHOWN] for line in _task_lines(place, step, task)]
    if len(failed) > SHOWN:
        details.append(f"... and {len(failed) - SHOWN} more failed tasks")
    details += _rejected(place, step)
    if failed:
        keys = tuple(task_key(place.iteration, step, task.index) for task in failed)
        advice = stops.advice("tasks-failed", key=keys[0])
        if WITH_TASKS[step].may_skip:
            advice += f" To go on without a failed task: dpgen2-hpc skip {keys[0]}"
        return Advice("tasks-failed", reason, advice, tuple(details), keys)
    keys = tuple(row["key"] for row in _dropped(place, step)) or (task_key(place.iteration, step, 0),)
    advice = stops.advice("labels-rejected", keys=" ".join(keys[:LISTED]))
    return Advice("labels-rejected", reason, advice, tuple(details), keys)


def refused(where: str, words: str) -> Advice:
    """Return what to say when the scheduler will not take a job."""
    reason = f"{where}: the scheduler rejects the jobs"
    return Advice("queue-refuses", reason, stops.advice("queue-refuses"), (f"its reply: {words}",))


def for_decision(place: Place, decision: Decision, report: Mapping[str, Any]) -> Advice:
    """Return what to say when the schedule needs the user."""
    select = results.load(SelectResult, place.folder("select"))
    explore = results.load(ExploreResult, place.folder("explore"))
    details = [in_words(report), *_quantile_lines(select)]
    keys = _ended_early(place, explore) if report.get("ended_early") else ()
    if report["explored"] == report["invalid"]:
        code = "nothing-explored"
    else:
        code = "nothing-selected" if report["selected"] == 0 else "max-iterations"
    key = keys[0] if keys else task_key(place.iteration, "explore", 0)
    advice = stops.advice(code, key=key, levels=_levels_advice(select))
    if keys:
        advice = " ".join([_about_early_ends(keys[0]), *_about_failed_runs(explore), advice])
    return Advice(code, decision.reason, advice, tuple(details), keys)


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
    parts += [f"{counts[name]} {name}" for name in ("running", "waiting", "failed") if counts[name]]
    return ", ".join(parts)


def _task_lines(place: Place, step: str, task: TaskState) -> list[str]:
    directory, root = place.folder(step).task(task.index), place.workdir.root
    lines = [f"{task_key(place.iteration, step, task.index)}: {task.why} (attempt {task.attempt})"]
    for log in logs(place.workdir, step, directory):
        if last := tail(log).splitlines():
            lines += [f"  the last lines of {log.relative_to(root)}:", *(f"    {line}" for line in last)]
    if len(lines) == 1:
        log = directory / "task.log"
        lines.append(f"  {log.relative_to(root)} {'is empty' if log.exists() else 'is missing'}")
    return lines


def _dropped(place: Place, step: str) -> list[dict[str, Any]]:
    """Return the labels that the gate rejected."""
    path = place.folder(step).path / "dropped.json"
    return [row for row in read_json(path) if row["kind"] == "refused"] if path.exists() else []


def _rejected(place: Place, step: str) -> Sequence[str]:
    """Return why labels were rejected, the most frequent reason first."""
    reasons = Counter(row["reason"] for row in _dropped(place, step))
    return [f"{count} labels rejected: {reason}" for reason, count in reasons.most_common(SHOWN)]


def _quantile_lines(select: SelectResult) -> list[str]:
    if not select.deviation_f:
        return []
    values = ", ".join(f"{name[1:]} %: {value:.3g}" for name, value in select.deviation_f.items())
    return [f"force deviations by quantile, eV/Å: {values}"]


def _levels_advice(select: SelectResult) -> str:
    """Return which levels would have given candidates: from the median to the last percent."""
    if select.duplicate and select.duplicate == select.candidate:
        return (
            "All candidates are known frames already: raise level_f_lo in param.json, or change the training, then run "
            "the same command again: the next iteration follows it."
        )
    low, high = select.deviation_f.get("q50", 0.0), select.deviation_f.get("q99", 0.0)
    return (
        f"The levels are {select.levels}. With level_f_lo {low:.3g} and level_f_hi {1.01 * high:.3g} about half of "
        "these frames would be candidates. Change them in param.json, then run the same command again: the next "
        "iteration follows them."
    )
