"""Where a run stands: the contract of ``status --json``, and the manual's table. Reads the record and one ledger."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpgen2_hpc.state.files import read_json
from dpgen2_hpc.state.ledger import TROUBLES, JobState, Ledger, Trouble, read_ledger
from dpgen2_hpc.state.lock import Holder, describe, holder_of
from dpgen2_hpc.state.record import Record, read_record
from dpgen2_hpc.state.results import endings_in_words
from dpgen2_hpc.state.steps import BY_NAME, FP
from dpgen2_hpc.state.words import JobStatus, Phase, RunStatus, Verdict
from dpgen2_hpc.state.workdir import WorkDir, iteration_name, task_key

NO_TASKS = {"total": 0, "waiting": 0, "running": 0, "done": 0, "failed": 0}

LISTED = 10
"""Failed tasks that ``status`` and ``why`` name; the others are counted."""

STATES: Mapping[str, str] = {
    RunStatus.RUNNING: "a driver lives",
    RunStatus.WAITING: "no driver lives; jobs are in the queue, as far as the last driver knew",
    RunStatus.STOPPED: "no driver lives, no job is in the queue, and work remains",
    RunStatus.BLOCKED: "user action is needed",
    RunStatus.COMPLETE: "nothing is left to do",
}
"""The five states of a run."""


@dataclass(frozen=True)
class Status:
    """A run as it stands; ``status`` is a key of :data:`STATES`, ``failed`` are keys and reasons of failed tasks."""

    workdir: WorkDir
    name: str
    record: Record
    status: str
    reason: str | None
    tasks: Mapping[str, int]
    failed: Sequence[tuple[str, str | None]]
    holder: Holder | None
    jobs: Sequence[JobState]

    def as_json(self) -> dict[str, Any]:
        """Return what ``status --json`` prints, schema 2; of many failed tasks it has the first hundred."""
        record = self.record
        return {
            "schema": 2,
            "name": self.name,
            "directory": str(self.workdir.root),
            "status": self.status,
            "reason": self.reason,
            "advice": list(self.advice()),
            "driver": _driver(self.holder),
            "stage": record.stage,
            "iteration": record.iteration,
            "step": record.step,
            "phase": record.phase,
            "tasks": dict(self.tasks),
            "failed_tasks": [{"key": key, "reason": why} for key, why in self.failed[:100]],
            "jobs": [{"id": job.id, "state": _job_state(job), "tasks": len(job.tasks)} for job in self.jobs],
            "models": self._models(),
            "times": {"iteration_started": record.began, "now": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())},
            "iterations": [_counted(row) for row in record.iterations],
        }

    def as_text(self) -> str:
        """Return the manual's table and what runs, what failed, what comes next."""
        return "\n".join([*self._table(), "", *self._endings(), *self._labels(), *self._now()])

    def why(self) -> str:
        """Return why the run stands where it does, and which keys to ask about."""
        named = (self.record.blocked or {}).get("tasks", ())
        keys = [key for key, _ in self.failed[:LISTED]] or list(named)[:LISTED]
        return "\n".join([*self._now(), *(f"more about it: dpgen2-hpc why {key}" for key in keys)])

    def advice(self) -> Sequence[str]:
        """Return what to do next, if anything."""
        if self.status == RunStatus.BLOCKED and self.record.blocked is not None:
            return (self.record.blocked["advice"],)
        return (
            ("To go on: dpgen2-hpc run PARAM MACHINE",) if self.status in (RunStatus.WAITING, RunStatus.STOPPED) else ()
        )

    def _table(self) -> list[str]:
        lines = ["#  stage  id_stg.  iter.      accu.      cand.      fail."]
        rows = self.record.iterations
        for number, row in enumerate(rows):
            if number == 0 or rows[number - 1]["stage"] != row["stage"]:
                lines.append(f"# Stage {row['stage']:>3}  -----")
            lines.append(_row(row))
            if self._ends_stage(number):
                lines.append(self._stage_end(row))
        if self.record.complete is not None:
            converged = all(row["converged"] for index, row in enumerate(rows) if self._ends_stage(index))
            lines.append("# All stages converged" if converged else "# All stages ended, not all converged")
        return lines

    def _endings(self) -> list[str]:
        """Return how many MD runs of the last finished iteration ended early, if any did."""
        row = self.record.iterations[-1] if self.record.iterations else {}
        early = endings_in_words(row)
        return [f"iteration {row['index']}: {early}"] if early else []

    def _labels(self) -> list[str]:
        """Return what became of the frames that the last finished iteration selected, and how wrong the models were."""
        if not self.record.iterations or not self.record.iterations[-1]["selected"]:
            return []
        row = self.record.iterations[-1]
        where = f"{iteration_name(row['index'])}/{FP.folder}/dropped.json"
        dropped = f"; {row['dropped']} dropped, why: {where}" if row["dropped"] else ""
        lines = [f"iteration {row['index']}: {row['labelled']} of {row['selected']} selected frames labelled{dropped}"]
        if "error" in row:
            error = row["error"]
            lines.append(
                f"iteration {row['index']}: true error of the models: forces {error['rmse_f']:.3g} eV/Å, energy "
                f"{error['rmse_e']:.3g} eV/atom; largest force of a frame {error['error_f']:.3g}, where the deviation "
                f"said {error['deviation_f']:.3g}"
            )
        return lines

    def _ends_stage(self, number: int) -> bool:
        """Whether a stage ended with this row: the next is of another stage, or it was the last of all."""
        rows = self.record.iterations
        if number + 1 < len(rows):
            return bool(rows[number + 1]["stage"] != rows[number]["stage"])
        over = self.record.complete is not None or self.record.stage != rows[number]["stage"]
        return over or bool(rows[number]["converged"])

    def _stage_end(self, row: Mapping[str, Any]) -> str:
        """Return the line under a stage that is over: it has converged, or had no iteration left."""
        converged = bool(row["converged"])
        return (
            f"# Stage {row['stage']:>3}  converged {_yes(converged)}  reached max numb iterations {_yes(not converged)}"
        )

    def _now(self) -> list[str]:
        record = self.record
        lines = [f"{self.status}: {self.reason}" if self.reason else self.status]
        if self.status == RunStatus.COMPLETE and record.complete is not None:
            return [*lines, f"models: {', '.join(record.complete['models'])}", record.complete["note"]]
        blocked = record.blocked if self.status == RunStatus.BLOCKED and record.blocked is not None else {}
        details = blocked.get("details") or self._failed_lines()  # the details of a block name the failed tasks too
        return [*lines, *self._step_lines(), *details, *self.advice()]

    def _step_lines(self) -> list[str]:
        """Return where the step stands, and who works on it."""
        record = self.record
        where = f"{iteration_name(record.iteration)}/{BY_NAME[record.step].folder}"
        counts = ", ".join(f"{self.tasks[name]} {name}" for name in ("done", "running", "waiting", "failed"))
        queued = f"{len(self.jobs)} jobs were in the queue when a driver last looked" if self.jobs else "no jobs"
        return [
            f"{where} is {record.phase}" + (f" ({counts})" if self.tasks["total"] else ""),
            f"driver: {describe(self.holder)}" if self.holder else f"no driver is running; {queued}",
        ]

    def _failed_lines(self) -> list[str]:
        """Return the first failed tasks, each with its reason; the details of a block name some of them already."""
        shown = self.failed[:LISTED]
        more = len(self.failed) - len(shown)
        return [*(f"failed: {key}: {why}" for key, why in shown), *([f"... and {more} more"] if more else [])]

    def _models(self) -> list[str]:
        folder = self.workdir.models
        return sorted(f"models/{path.name}" for path in folder.iterdir()) if folder.is_dir() else []


def read_status(workdir: WorkDir) -> Status:
    """Return where the run in ``workdir`` stands.

    Raises
    ------
    StateError
        A file of the run is missing or broken.
    """
    record = read_record(workdir.record)
    folder = workdir.step(record.iteration, record.step)
    ledger = read_ledger(folder, record.tasks) if record.phase != Phase.PENDING else Ledger(folder.ledger)
    jobs = [job for job in ledger.open_jobs() if job.id is not None and job.cancelled is None]
    holder = holder_of(workdir.lock)
    state, reason = _state(record, holder, jobs)
    if state in (RunStatus.RUNNING, RunStatus.WAITING) and ledger.trouble is not None:
        reason = _in_words(ledger.trouble)
    return Status(
        workdir=workdir,
        name=_name(workdir),
        record=record,
        status=state,
        reason=reason,
        tasks=ledger.counts() if ledger.tasks else NO_TASKS,
        failed=[
            (task_key(record.iteration, record.step, task.index), task.why)
            for task in ledger.tasks
            if task.verdict == Verdict.BROKEN
        ],
        holder=holder,
        jobs=jobs,
    )


def _state(record: Record, holder: Holder | None, jobs: Sequence[JobState]) -> tuple[RunStatus, str | None]:
    if record.complete is not None:
        return RunStatus.COMPLETE, record.complete["reason"]
    if holder is not None:  # a driver that has taken up a blocked run is at work on it
        return RunStatus.RUNNING, None
    if record.blocked is not None:
        return RunStatus.BLOCKED, record.blocked["reason"]
    return (RunStatus.WAITING if jobs else RunStatus.STOPPED), None


def _name(workdir: WorkDir) -> str:
    """Return the name that ``param.json`` gives the run, else that of its directory."""
    given = read_json(workdir.param).get("name") if workdir.param.exists() else None
    return str(given or workdir.root.name)


def _driver(holder: Holder | None) -> dict[str, Any] | None:
    return None if holder is None else {"host": holder.host, "pid": holder.pid, "since": holder.since}


def _job_state(job: JobState) -> str:
    return JobStatus.MISSING if job.missing is not None else job.state


def _counted(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report of an iteration; ``chosen`` and ``audited`` are what the selected frames are the sum of."""
    return {"chosen": row["selected"], "audited": 0, "started": None, "ended": None, **row}


def _in_words(trouble: Trouble) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(trouble.since))
    return f"{TROUBLES[trouble.state]} since {since}: {trouble.words}"


def _row(row: Mapping[str, Any]) -> str:
    explored = row["explored"] or 1
    failed = row["failed"] + row["invalid"]
    ratios = [value / explored for value in (row["accurate"], row["candidate"], failed)]
    numbers = "".join(f"{row[name]:>8}" for name in ("stage", "index_in_stage", "index"))
    return f"# {numbers}" + "".join(f"{ratio:>12.4f}" for ratio in ratios)


def _yes(value: bool) -> str:
    return "YES" if value else "NO"
