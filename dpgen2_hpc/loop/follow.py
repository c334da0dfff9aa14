"""What a run follows: the folder ``inputs/``, and what may change of it while the run lives."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.reading import read_frames
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.changes import Change, changes, held_back, relaxed
from dpgen2_hpc.inputs.param import Settings, root
from dpgen2_hpc.kinds import Rule
from dpgen2_hpc.loop.contents import digest_system, trimmed_digest
from dpgen2_hpc.loop.paths import kept_machine, kept_param
from dpgen2_hpc.loop.plan import Plan
from dpgen2_hpc.state.files import (
    fresh_folder,
    publish_folder,
    read_json,
    read_lines,
    write_atomic,
    write_json,
    write_lines,
)
from dpgen2_hpc.state.identity import digest_file
from dpgen2_hpc.state.record import Record
from dpgen2_hpc.state.stops import advice
from dpgen2_hpc.state.words import Phase
from dpgen2_hpc.state.workdir import STEPS, WorkDir, located

log = logging.getLogger(__name__)

CONFIGURATIONS = 9
"""Stands where other keys of generators have the number of a step; there is no step 9."""


# ---- what may change ------------------------------------------------------------------------------------------------


def pending_changes(workdir: WorkDir, plan: Plan) -> list[Change]:
    """Return what differs between the inputs that the run follows and those that were given now."""
    folder, old = plan.param.folder, read_json(workdir.param)
    before, after = (kept_param(workdir, value, folder) for value in (old, plan.param.value))
    return relaxed(changes(root(), before, after), before, after)


def follow(workdir: WorkDir, plan: Plan, record: Record) -> Plan:
    """Follow what has changed in ``param.json`` as far as its class allows, and return what holds now.

    What is for the next iteration is held back until the run stands at the beginning of one.

    Raises
    ------
    InputError
        A change would falsify what the run has computed.
    """
    found = pending_changes(workdir, plan)
    refused = [change for change in found if not is_allowed(change, record)]
    if refused:
        lines = "\n".join(f"  {change}" for change in refused)
        raise InputError(
            "param.json has changed in a way that would falsify what this run has computed:\n"
            f"{lines}\n{advice('input-changed')}"
        )
    held = [change for change in found if is_for_later(change, record)]
    for change in found:
        when = ", from the next iteration on" if change in held else ""
        log.info("param.json has changed: %s%s", change, when)
    if held:
        plan = replace(plan, param=plan.param.following(held_back(plan.param.value, held)))
    if len(held) < len(found):
        old = len(read_json(workdir.param)["explore"]["configurations"])
        _write_configurations(workdir, plan.param.settings, old)
        if any(change.rule == Rule.LABELS for change in found):  # before the first label: no task reads these files yet
            _write_fp_files(workdir, plan.param.settings)
        write_lines(workdir.files, _named(workdir, plan.param.settings, read_lines(workdir.files)))
        write_json(workdir.param, kept_param(workdir, plan.param.value, plan.param.folder))
    return plan


def is_allowed(change: Change, record: Record) -> bool:
    """Return whether a run that stands where ``record`` says may follow a change."""
    return change.rule in (Rule.NOW, Rule.NEXT, Rule.APPEND) or (
        change.rule == Rule.LABELS and not _has_asked_fp(record)
    )


def is_for_later(change: Change, record: Record) -> bool:
    """Return whether a change has to wait for the next iteration: a step of this one has used the value."""
    return change.rule == Rule.NEXT and not (record.phase == Phase.PENDING and record.step in _before_use(change))


def _before_use(change: Change) -> tuple[str, ...]:
    """Return the steps that may be about to begin while no step of the iteration has used the changed value."""
    user = "select" if change.path[:2] == ("explore", "convergence") else change.path[0]
    return STEPS[: STEPS.index(user) + 1] if user in STEPS else STEPS[:1]


def _has_asked_fp(record: Record) -> bool:
    """Return whether a frame has been written down for fp."""
    before = STEPS.index(record.step) < STEPS.index("fp") or (record.step, record.phase) == ("fp", Phase.PENDING)
    return record.iteration > 0 or not before


def follow_machine(workdir: WorkDir, plan: Plan) -> None:
    """Follow what has changed in ``machine.json``: all of it, for what is yet to be submitted."""
    old, new = read_json(workdir.machine), kept_machine(workdir, plan.machine_value)
    if kept_machine(workdir, old) != new:  # older runs kept absolute paths
        log.info("machine.json changed: applied to tasks not yet submitted; jobs already queued keep the old settings")
    if old != new:
        write_json(workdir.machine, new, mode=0o600)


# ---- the folder -----------------------------------------------------------------------------------------------------


def write_inputs(workdir: WorkDir, plan: Plan) -> None:
    """Write ``inputs/`` whole: what the run follows."""
    aside = WorkDir(fresh_folder(aside_of(workdir)))
    aside.inputs.mkdir()
    write_json(aside.param, kept_param(workdir, plan.param.value, plan.param.folder))
    write_json(aside.machine, kept_machine(workdir, plan.machine_value), mode=0o600)  # it may hold secrets
    _write_initial_data(aside.initial_data, aside.initial_digests, workdir, plan.param.settings)
    _write_configurations(aside, plan.param.settings)
    _write_fp_files(aside, plan.param.settings)
    write_lines(aside.files, _named(workdir, plan.param.settings))
    publish_folder(aside.inputs, workdir.inputs)
    aside.root.rmdir()


def aside_of(workdir: WorkDir) -> Path:
    """Return where the folder is written before it is there whole."""
    return workdir.root / "inputs.new"


def _write_initial_data(systems: Path, digests: Path, workdir: WorkDir, settings: Settings) -> None:
    rows, frames_seen = [], []
    for folder in settings.initial_systems:
        frames = read_frames(folder)
        rows.append({"path": workdir.kept(folder), "frames": len(frames), "digest": digest_system(folder)})
        frames_seen += [frame.digest(settings.type_map) for frame in frames]
    write_lines(systems, rows)
    digests.write_text("".join(f"{digest}\n" for digest in frames_seen))


def _write_fp_files(workdir: WorkDir, settings: Settings) -> None:
    """Copy what all labels read: a file that changes later would change the physics. Some are licensed: 0600.

    The run's copy stays where the original is gone, or differs in the white space at line ends alone.
    """
    workdir.fp_files.mkdir(exist_ok=True)
    shared = settings.labeler.shared()
    for name, source in shared.items():
        if not _is_copied(source, workdir.fp_files / name):
            write_atomic(workdir.fp_files / name, source.read_bytes(), mode=0o600)
    for other in workdir.fp_files.iterdir():
        if other.name not in shared:
            other.unlink()


def _is_copied(source: Path, copy: Path) -> bool:
    """Return whether the run's copy of a file is as good as the original."""
    if not source.is_file() or not copy.is_file():
        return copy.is_file()
    trimmed = trimmed_digest(source)
    return trimmed is not None and trimmed == trimmed_digest(copy)


def starting_frames(settings: Settings, entry: int) -> list[Frame]:
    """Return the starting configurations of an entry: the same ones whenever it is asked."""
    rng = np.random.default_rng((settings.seed, entry, CONFIGURATIONS))
    return settings.configurations[entry].generate(settings.type_map, rng)


def _named(workdir: WorkDir, settings: Settings, known: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return a row for each file of configurations and labels that the inputs name; what was ``known`` of one stays.

    ``name`` is that of the run's copy in ``inputs/fp/``. Configurations whose file is gone keep its row.
    """
    base = workdir.base
    rows = {located(base, row["path"]): row for row in known}
    sources = [_normal(path) for source in settings.configurations for path in source.files_read()]
    gone = [path for path, row in rows.items() if "name" not in row and not path.exists()]
    copies = {_normal(path): name for name, path in settings.labeler.shared().items()}
    return [
        {"path": workdir.kept(path), **_seen(path, rows.get(path)), **_name(copies.get(path))}
        for path in dict.fromkeys([*sources, *gone, *copies])
    ]


def _name(copy: str | None) -> dict[str, str]:
    return {} if copy is None else {"name": copy}


def _seen(path: Path, known: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the digests of a file: those with which the run has taken it up."""
    if known is not None:
        return {name: known[name] for name in ("digest", "trimmed") if name in known}
    return {"digest": digest_file(path), "trimmed": trimmed_digest(path)}


def _normal(path: str | Path) -> Path:
    return Path(os.path.normpath(path))


def _write_configurations(aside: WorkDir, settings: Settings, first: int = 0) -> None:
    """Write every starting configuration once, in the explorer's format; tasks link to it.

    Entries before ``first`` are there already.
    """
    suffix = Path(settings.explorer.configuration_file).suffix
    pools = read_json(aside.pools)[:first] if first else []
    if first == len(settings.configurations):
        return
    for entry in range(first, len(settings.configurations)):
        frames = starting_frames(settings, entry)
        names = [f"{entry:03d}/{number:06d}{suffix}" for number in range(len(frames))]
        aside.configurations.mkdir(exist_ok=True)
        fresh_folder(aside.configurations / f"{entry:03d}")
        for name, frame in zip(names, frames, strict=True):
            settings.explorer.write_configuration(frame, settings.type_map, aside.configurations / name)
        pools.append(names)
    write_json(aside.pools, pools)
