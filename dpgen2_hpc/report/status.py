"""Where a run stands: the contract of ``status --json``, and the manual's table. Reads the record and one ledger."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dpgen2_hpc.state.ledger import BROKEN, DOWN, Ledger, Trouble
from dpgen2_hpc.state.lock import Holder, describe, holder_of
from dpgen2_hpc.state.record import Record, read_record
from dpgen2_hpc.state.results import endings_in_words
from dpgen2_hpc.state.workdir import FOLDERS, WorkDir, iteration_name, task_key

NO_TASKS = {"total": 0, "waiting": 0, "running": 0, "done": 0, "broken": 0}

ASKED = 10
"""Tasks that ``why`` names; the others are counted."""


@dataclass(frozen=True)
class Status:
    """A run as it stands: *running* (a driver or jobs live), *complete*, *blocked*, or *stopped* (work remains)."""

    record: Record
    status: str
    reason: str | None
    tasks: Mapping[str, int]
    broken: Sequence[tuple[str, str | None]]
    holder: Holder | None
    jobs: int

    def as_json(self) -> dict[str, Any]:
        """Return what ``status --json`` prints."""
        record = self.record
        return {
            "schema": 1,
            "status": self.status,
            "reason": self.reason,
            "stage": record.stage,
            "iteration": record.iteration,
            "step": record.step,
            "phase": record.phase,
            "tasks": dict(self.tasks),
            "iterations": [dict(row) for row in record.iterations],
        }

    def as_text(self) -> str:
        """Return the manual's table and what runs, what failed, what comes next."""
        return "\n".join([*self._table(), "", *self._endings(), *self._labels(), *self._now()])

    def why(self) -> str:
        """Return why the run stands where it does, and which keys to ask about."""
        named = (self.record.blocked or {}).get("tasks", ())
        keys = [key for key, _ in self.broken] or list(named)
        lines = [*self._now(), *(f"ask: dpgen2-hpc why {key}" for key in keys[:ASKED])]
        more = len(keys) - ASKED
        return "\n".join([*lines, f"... and {more} more"] if more > 0 else lines)

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
        where = f"{iteration_name(row['index'])}/{FOLDERS['fp']}/dropped.json"
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
        where = f"{iteration_name(record.iteration)}/{FOLDERS[record.step]}"
        lines = [f"{self.status}: {self.reason}" if self.reason else self.status]
        if self.status == "complete" and record.complete is not None:
            return [*lines, f"models: {', '.join(record.complete['models'])}", record.complete["note"]]
        counts = ", ".join(f"{self.tasks[name]} {name}" for name in ("done", "running", "waiting", "broken"))
        lines.append(f"{where} is {record.phase}" + (f" ({counts})" if self.tasks["total"] else ""))
        nobody = f"no driver is running, {self.jobs} jobs are in the queue"
        lines.append(describe(self.holder) if self.holder else nobody)
        lines += [f"broken: {key}: {why}" for key, why in self.broken]
        if record.blocked is not None:
            lines.append(record.blocked["advice"])
        elif self.holder is None:
            lines.append("To go on: dpgen2-hpc run PARAM MACHINE")
        return lines


def read_status(workdir: WorkDir) -> Status:
    """Return where the run in ``workdir`` stands.

    Raises
    ------
    StateError
        A file of the run is missing or broken.
    """
    record = read_record(workdir.record)
    folder = workdir.step(record.iteration, record.step)
    ledger = Ledger.read(folder.ledger) if record.phase != "pending" else Ledger(folder.ledger)
    jobs = sum(job.id is not None for job in ledger.open_jobs())
    holder = holder_of(workdir.lock)
    status, reason = _status(record, holder, jobs)
    if status == "running" and ledger.trouble is not None:
        reason = _in_words(ledger.trouble)
    return Status(
        record=record,
        status=status,
        reason=reason,
        tasks=ledger.counts() if ledger.tasks else NO_TASKS,
        broken=[
            (task_key(record.iteration, record.step, task.index), task.why)
            for task in ledger.tasks
            if task.verdict == BROKEN
        ],
        holder=holder,
        jobs=jobs,
    )


def _status(record: Record, holder: Holder | None, jobs: int) -> tuple[str, str | None]:
    if record.complete is not None:
        return "complete", record.complete["reason"]
    if record.blocked is not None and holder is None:  # a driver that has taken it up again is at work on it
        return "blocked", record.blocked["reason"]
    return ("running" if holder or jobs else "stopped"), None


def _in_words(trouble: Trouble) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(trouble.since))
    what = "degraded, the queue does not answer" if trouble.state == DOWN else "the queue takes no more jobs for now"
    return f"{what} since {since}: {trouble.words}"


def _row(row: Mapping[str, Any]) -> str:
    explored = row["explored"] or 1
    failed = row["failed"] + row["invalid"]
    ratios = [value / explored for value in (row["accurate"], row["candidate"], failed)]
    numbers = "".join(f"{row[name]:>8}" for name in ("stage", "index_in_stage", "index"))
    return f"# {numbers}" + "".join(f"{ratio:>12.4f}" for ratio in ratios)


def _yes(value: bool) -> str:
    return "YES" if value else "NO"
