"""The driver: a table from phase to move, and a loop. Make the effect durable, commit the record, only then go on."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from dpgen2_hpc.dispatch.batch import Batch
from dpgen2_hpc.dispatch.names import job_name
from dpgen2_hpc.dispatch.poll import Outage, Pace
from dpgen2_hpc.errors import DONE, STILL_RUNNING, Blocked, QueueDown, StateError, SubmissionRefused
from dpgen2_hpc.loop import advice
from dpgen2_hpc.loop.follow import follow
from dpgen2_hpc.loop.patience import Patience
from dpgen2_hpc.loop.plan import Plan
from dpgen2_hpc.loop.prepare import StepWorker, prepare
from dpgen2_hpc.loop.schedule import Action, Decision, decide
from dpgen2_hpc.loop.signals import Signals
from dpgen2_hpc.loop.step import Step
from dpgen2_hpc.state import results, stops
from dpgen2_hpc.state.files import sync_folder
from dpgen2_hpc.state.ledger import TROUBLES, Ledger, read_ledger
from dpgen2_hpc.state.record import Record, RecordFile, utc_now
from dpgen2_hpc.state.results import TrainResult
from dpgen2_hpc.state.steps import COLLECT, TRAIN
from dpgen2_hpc.state.words import Phase, QueueStatus, Verdict
from dpgen2_hpc.state.workdir import Place, StepFolder, WorkDir

log = logging.getLogger(__name__)

PROGRESS = 15
"""Log level of lines that a terminal shows in place, and a file does not."""

PROGRESS_INTERVAL = 30.0
"""Seconds between two lines of progress in a file."""


class Driver:
    """Advances one run.

    ``once``: as far as it goes without waiting. ``upcoming``: what was given, all of it from the next iteration on.
    ``take_over``: the user says that other hosts are dead, and the jobs there with them. ``on_iteration`` is called
    after each iteration.
    """

    def __init__(
        self,
        workdir: WorkDir,
        plan: Plan,
        file: RecordFile,
        record: Record,
        signals: Signals,
        *,
        once: bool = False,
        take_over: bool = False,
        upcoming: Plan | None = None,
        on_iteration: Callable[[], None] | None = None,
    ) -> None:
        self.on_iteration = on_iteration
        self.workdir, self.plan, self.file, self.record = workdir, plan, file, record
        self.signals, self.once, self.take_over, self.upcoming = signals, once, take_over, upcoming or plan
        self.steps = plan.steps()
        self.moves: dict[Phase, Callable[[], int | None]] = {
            Phase.PENDING: self._prepare,
            Phase.PREPARED: self._open,
            Phase.SUBMITTED: self._advance,
            Phase.FINISHED: self._harvest,
            Phase.HARVESTED: self._next,
        }

    def run(self) -> int:
        """Go on until nothing is left to do, and return the exit code: 0, or 3 with ``once``.

        Raises
        ------
        Blocked
            User action is needed.
        Interrupted
            A signal came.
        """
        patience = Patience()
        if self.record.blocked is not None:
            self._take_up_blocked()
        while True:
            self.signals.check()
            try:
                code = self.moves[self.record.phase]()
            except OSError as error:  # each move can be repeated from its start
                self.signals.wait(patience.next_pause(self.where, error))
                self.record = self.file.after_interruption(self.record)
                continue
            patience.over()
            if code is not None:
                return code

    @property
    def place(self) -> Place:
        """Where the run is."""
        record = self.record
        return Place(self.workdir, record.seed, record.iteration, record.stage, record.index_in_stage)

    @property
    def step(self) -> Step:
        """The step that the run stands in."""
        return self.steps[self.record.step]

    @property
    def folder(self) -> StepFolder:
        """Its folder."""
        return self.place.folder(self.record.step)

    @property
    def where(self) -> str:
        """How log lines begin."""
        return f"{self.folder.path.parent.name}/{self.folder.path.name}"

    def _commit(self, record: Record) -> None:
        self.record = self.file.commit(record)

    # ---- the moves

    def _prepare(self) -> None:
        """Pending: write the tasks, then the ledger that names them.

        A ledger with jobs in it proves that the step was prepared and begun: the record is older than it should be (a
        stopped driver has overwritten it when it woke up), and nothing may be prepared over what the jobs have done.
        """
        if self.folder.ledger.exists() and Ledger.read(self.folder.ledger).jobs:
            log.warning(
                "%s: the record says that it was not begun, but its ledger has jobs: going on there", self.where
            )
        else:
            settings = self.plan.settings_digest(self.step.name)
            with self._own_files():
                prepare(self.step, self.place, self.plan.forward_files(self.step.name), settings)
        tasks = len(Ledger.read(self.folder.ledger).tasks)
        if tasks:
            log.info("%s: %d tasks prepared", self.where, tasks)
        self._commit(self.record.advanced(tasks=tasks))

    @contextmanager
    def _own_files(self) -> Iterator[None]:
        """Turn what damaged files of the run raise into a StateError: plugins that read tasks' outputs are guarded."""
        try:
            yield
        except FileNotFoundError as error:
            path = Path(str(error.filename or self.folder.path))
            raise StateError(f"'{path}' is missing; it was there when the record was written.", path) from error
        except (ValueError, EOFError, LookupError, TypeError, AttributeError) as error:
            log.exception("%s: the step cannot read what earlier steps wrote", self.where)
            raise StateError(
                f"{self.where}: a file of the run is damaged: {type(error).__name__}: {error}. If it is not, this is a "
                "bug: please report it with the traceback in dpgen2_hpc.log.",
                self.folder.path,
            ) from error

    def _ledger(self) -> Ledger:
        """Return the ledger of the present step, to append to it."""
        return read_ledger(self.folder, self.record.tasks, self.file.lock)

    def _open(self) -> None:
        """Prepared: write the intents of the first jobs. What is submitted from now on can be found again."""
        if self._ledger().waiting():
            self._batch().open()
        self._commit(self.record.advanced())

    def _advance(self) -> int | None:
        """Submitted: keep the queue filled and look, until every task has its verdict."""
        if any(not task.settled for task in self._ledger().tasks):
            code = self._watch(self._batch())
            if code is not None:
                return code
        self._commit(self.record.advanced())
        return None

    def _harvest(self) -> None:
        """Finished: read what the tasks left; the policy judges on what is usable."""
        ledger = self._ledger()
        if any(not task.settled for task in ledger.tasks):
            self._commit(self.record.reopened())
            return
        with self._own_files():
            result = self.step.harvest(self.place, ledger.tasks)
        asked = result.total - sum(task.skipped for task in ledger.tasks)
        wanted = self.plan.policies[self.step.name].wanted(asked) if asked else 0
        if result.usable < wanted:
            self._block(advice.too_few(self.place, self.step.name, ledger, result.usable, wanted))
        if self.step.name == TRAIN.name:
            link_models(self.place)
        record = self.record.advanced()
        if self.step.name == COLLECT.name:
            row = results.report(self.workdir, record.iteration, record.stage, record.index_in_stage)
            row = {**row, "started": record.began, "ended": utc_now()}
            record = replace(record, iterations=(*record.iterations, row))
            log.info("%s: %s", self.where, advice.in_words(row))
        elif result.usable < result.total:
            log.info("%s: %d of %d usable", self.where, result.usable, result.total)
        self._commit(record)
        if self.step.name == COLLECT.name and self.on_iteration is not None:
            self.on_iteration()

    def _next(self) -> int | None:
        """Harvested: the next step; after the last one, what the schedule says."""
        if self.step.name != COLLECT.name:
            self._commit(self.record.advanced())
            return None
        decision = decide(self.upcoming.limits, self.record.iterations)
        if decision.action == Action.GO_ON:
            log.info("%s", decision.reason)
            self._commit(self.record.next_iteration(decision.stage, decision.index_in_stage))
            self.plan = follow(self.workdir, self.upcoming, self.record)
            self.steps = self.plan.steps()
            return None
        if decision.action == Action.COMPLETE:
            return self._complete(decision)
        return self._block(advice.for_decision(self.place, decision, self.record.iterations[-1]))

    def _complete(self, decision: Decision) -> int:
        if self.record.complete is None or self.record.complete["reason"] != decision.reason:
            models = [f"models/{path.name}" for path in sorted(self.workdir.models.iterdir())]
            note = advice.about_models(self.record.iterations[-1])
            complete = {"reason": decision.reason, "models": models, "note": note}
            self._commit(replace(self.record, complete=complete, blocked=None))
            log.info("complete: %s; %s", decision.reason, note)
        return DONE

    # ---- waiting

    def _batch(self) -> Batch:
        record = self.record
        return Batch(
            self.plan.site(self.workdir, record, self.signals.check),
            StepWorker(
                self.step, self.place, self.plan.settings_digest(record.step), self.plan.forward_files(record.step)
            ),
            self.plan.policies[record.step],
            partial(job_name, record.tag, record.iteration, record.step),
            self._before_submission,
            lock=self.file.lock,
        )

    def _before_submission(self) -> None:
        self.signals.check()
        self.file.check(self.record)

    def _watch(self, batch: Batch) -> int | None:
        """Advance a batch to its end; return 3 when ``once`` is set and nothing more can be done now."""
        pace = Pace(batch.site.scheduler.minimum_wait, batch.policy.poll_interval)
        outage = Outage(self.where)
        shown = time.monotonic()
        if self.take_over and (dead := batch.declare_dead()):
            log.info("%s: jobs of other hosts are given up (--take-over): %s", self.where, advice.first(dead))
        for host in sorted(batch.elsewhere()):
            log.info("%s: waiting for jobs on %s. %s", self.where, host, stops.advice("jobs-elsewhere"))
        while not batch.finished:
            changed = self._look(batch, outage)
            if changed:
                pace.changed()
                due = batch.finished or time.monotonic() - shown > PROGRESS_INTERVAL
                log.log(logging.INFO if due else PROGRESS, "%s: %s", self.where, advice.progress(batch.ledger))
                shown = time.monotonic() if due else shown
            if batch.finished:
                break
            if self.once and (outage.pause or not (changed or batch.unsure)):
                return STILL_RUNNING
            self.signals.wait(outage.pause or (0.0 if changed and self.once else pace.wait()))
        return None

    def _look(self, batch: Batch, outage: Outage) -> bool:
        """Advance a batch by one look; return whether anything has changed."""
        known = batch.ledger.trouble
        try:
            changed = batch.advance()
        except QueueDown as error:
            outage.lasts(error)
            return False
        except SubmissionRefused as error:
            self._block(advice.refused(self.where, str(error)))
        if not batch.in_doubt:
            outage.over()
        trouble = batch.ledger.trouble
        if trouble is not None and trouble != known and trouble.state != QueueStatus.DOWN:
            log.warning("%s: %s: %s", self.where, TROUBLES[trouble.state], trouble.words)
        return changed

    # ---- blocked

    def _block(self, blocked: advice.Advice) -> NoReturn:
        """Note in the record that user action is needed, and stop.

        Raises
        ------
        Blocked
            Always.
        """
        entry: dict[str, Any] = blocked.entry()
        if self.record.blocked != entry:
            self._commit(replace(self.record, blocked=entry))
        raise Blocked("\n".join(advice.blocked_lines(entry)))

    def _take_up_blocked(self) -> None:
        """Try again what was blocked: failed tasks get a new round, everything else is judged again.

        Raises
        ------
        Blocked
            With ``once``, which never starts a new round.
        """
        if self.record.phase == Phase.PENDING:
            return
        ledger = self._ledger()
        failed = [task.index for task in ledger.tasks if task.verdict == Verdict.BROKEN and not task.skipped]
        if self.once and failed:
            raise Blocked("\n".join(advice.blocked_lines(self.record.blocked or {})))
        if self.record.phase == Phase.FINISHED and failed:
            log.info("%s: retrying %d failed tasks", self.where, len(failed))
            ledger.append([{"event": "round", "round": ledger.rounds + 1, "tasks": failed}])
            self._commit(self.record.reopened())


def link_models(place: Place) -> None:
    """Point ``models/`` to the ensemble that has just been trained; each link is replaced in one act."""
    train = place.folder("train")
    models = place.workdir.models
    models.mkdir(exist_ok=True)
    for row in results.load(TrainResult, train).models:
        source = Path("..") / train.path.relative_to(place.workdir.root) / row["path"]
        link = models / f"model.{row['task']:03d}{source.suffix}"
        temporary = link.with_name(f".{link.name}.tmp")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(source)
        temporary.rename(link)
    sync_folder(models)
