"""``rewind``: take the present iteration back to one of its steps. Folders are renamed, nothing is deleted."""

import logging
from collections.abc import Iterator
from pathlib import Path

from dpgen2_hpc.dispatch.machine import StepMachine
from dpgen2_hpc.errors import InputError, QueueDown, UserError
from dpgen2_hpc.loop.acts import job_names
from dpgen2_hpc.loop.driver import link_models
from dpgen2_hpc.loop.plan import site_of
from dpgen2_hpc.state.files import read_json, sync_folder
from dpgen2_hpc.state.record import Home, Record, RecordFile, is_moved, read_record
from dpgen2_hpc.state.steps import TRAIN
from dpgen2_hpc.state.words import Phase
from dpgen2_hpc.state.workdir import STEPS, Place, WorkDir

log = logging.getLogger(__name__)

SHOWN = 10
"""Jobs that a message names."""


def rewind(workdir: WorkDir, file: RecordFile, step: str, *, dry_run: bool = False) -> list[str]:
    """Take the run back to the start of ``step`` in the present iteration; return what is renamed, in words.

    The last step's folder is renamed first, and the record is committed at last: a rewind that is killed in between
    leaves a record whose folder is missing, which the same rewind completes.

    Raises
    ------
    InputError
        The run has not come to this step.
    UserError
        Jobs of the step live, or the queue does not answer.
    """
    record = read_record(workdir.record)
    is_moved(record.home, Home.of(workdir.root))
    if step not in STEPS:
        raise InputError(f"'{step}' is not a step; the steps are {', '.join(STEPS)}")
    if STEPS.index(step) > STEPS.index(record.step):
        raise InputError(f"the run has not come to '{step}' yet: iteration {record.iteration} is at '{record.step}'")
    _refuse_live_jobs(workdir, record)
    moves = list(_moves(workdir, record, step))
    if not dry_run:
        _rename(moves)
        file.commit(record.rewound(step))
        if step == TRAIN.name:
            _link_older_models(workdir, record)
        log.info("user rewinds iteration %d to %s", record.iteration, step)
    return [f"{old.relative_to(workdir.root)} -> {new.name}" for old, new in moves]


def _moves(workdir: WorkDir, record: Record, step: str) -> Iterator[tuple[Path, Path]]:
    """Yield the folders of the step and of those after it, and the names that they get, the last step first."""
    for later in reversed(STEPS[STEPS.index(step) :]):
        folder = workdir.step(record.iteration, later).path
        if folder.exists():
            taken = (folder.with_name(f"{folder.name}.rewound-{number}") for number in range(1, 10000))
            yield folder, next(name for name in taken if not name.exists())


def _rename(moves: list[tuple[Path, Path]]) -> None:
    for old, new in moves:
        old.rename(new)
        sync_folder(old.parent)


def _refuse_live_jobs(workdir: WorkDir, record: Record) -> None:
    """Make sure that no job of the present step lives; earlier steps of the iteration have none.

    Raises
    ------
    UserError
        One does, or the queue does not answer.
    """
    if record.phase not in (Phase.PREPARED, Phase.SUBMITTED, Phase.FINISHED) or not workdir.machine.exists():
        return
    section = read_json(workdir.machine).get(record.step)
    if section is None:
        return
    site = site_of(StepMachine(section["machine"], section["resources"]), workdir, record)
    try:
        live = site.queue.live(job_names(workdir, record))
    except QueueDown as error:
        raise UserError(f"the queue does not answer, nothing was changed: {error}. Try again later.") from error
    if live:
        jobs = ", ".join(f"{entry.name} ({entry.id})" for entry in live[:SHOWN])
        raise UserError(
            f"jobs of this step are still in the queue: {jobs}. End them first: dpgen2-hpc stop --jobs, and wait until "
            "they are gone."
        )


def _link_older_models(workdir: WorkDir, record: Record) -> None:
    """Let ``models/`` point to the ensemble of the iteration before, or to nothing."""
    for link in workdir.models.iterdir() if workdir.models.is_dir() else ():
        link.unlink()
    if record.iteration > 0:
        link_models(Place(workdir, record.seed, record.iteration - 1, record.stage, record.index_in_stage))
