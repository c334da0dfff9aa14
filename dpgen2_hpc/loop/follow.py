"""What a run follows: the folder ``inputs/``, and what may change of it while the run lives."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.reading import read_frames
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.changes import APPEND, LABELS, NEXT, NOW, Change, changes, held_back
from dpgen2_hpc.inputs.param import Settings, root
from dpgen2_hpc.loop.plan import Plan
from dpgen2_hpc.state.files import fresh_folder, publish_folder, read_json, read_lines, write_json, write_lines
from dpgen2_hpc.state.identity import digest_file, digest_folder, last_change
from dpgen2_hpc.state.record import Record
from dpgen2_hpc.state.workdir import STEPS, WorkDir

log = logging.getLogger(__name__)

CONFIGURATIONS = 9
"""Stands where other keys of generators have the number of a step; there is no step 9."""


# ---- what may change ------------------------------------------------------------------------------------------------


def pending_changes(workdir: WorkDir, plan: Plan) -> list[Change]:
    """Return what differs between the inputs that the run follows and those that were given now."""
    return changes(root(), read_json(workdir.param), plan.param.value)


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
            "param.json has changed in a way that would falsify what this run has computed; change it back, or begin "
            f"another run elsewhere (-C):\n{lines}"
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
        if any(change.rule == LABELS for change in found):  # before the first label: no task reads these files yet
            _write_fp_files(workdir, plan.param.settings)
        _write_named(workdir, plan.param.settings)
        write_json(workdir.param, plan.param.value)
    return plan


def is_allowed(change: Change, record: Record) -> bool:
    """Return whether a run that stands where ``record`` says may follow a change."""
    return change.rule in (NOW, NEXT, APPEND) or (change.rule == LABELS and not _has_asked_fp(record))


def is_for_later(change: Change, record: Record) -> bool:
    """Return whether a change has to wait for the next iteration."""
    return change.rule == NEXT and (record.step, record.phase) != ("train", "pending")


def _has_asked_fp(record: Record) -> bool:
    """Return whether a frame has been written down for fp."""
    before = STEPS.index(record.step) < STEPS.index("fp") or (record.step, record.phase) == ("fp", "pending")
    return record.iteration > 0 or not before


def follow_machine(workdir: WorkDir, plan: Plan) -> None:
    """Follow what has changed in ``machine.json``: all of it, for what is yet to be submitted."""
    if read_json(workdir.machine) != plan.machine_value:
        log.info("machine.json has changed: unfinished tasks follow it; jobs in the queue keep what they have")
        write_machine(workdir.machine, plan)


def refuse_other_contents(workdir: WorkDir) -> None:
    """Refuse files whose contents the run has taken up, and that are not what they were.

    Raises
    ------
    InputError
        A file or a system has changed since the run began.
    """
    changed = [row["path"] for row in read_lines(workdir.files) if _is_another(Path(row["path"]), row["digest"])]
    taken_up = workdir.initial_data.stat().st_mtime
    for row in read_lines(workdir.initial_data):
        folder = workdir.root / row["path"]
        if folder.exists() and last_change(folder) >= taken_up and digest_folder(folder) != row["digest"]:
            changed.append(str(folder))
    if changed:
        lines = "\n".join(f"  '{path}'" for path in changed)
        raise InputError(
            "param.json names files whose contents have changed since this run took them up; change them back, or "
            f"begin another run elsewhere (-C):\n{lines}"
        )


def _is_another(path: Path, digest: str) -> bool:
    return path.is_file() and digest_file(path) != digest


# ---- the folder -----------------------------------------------------------------------------------------------------


def write_inputs(workdir: WorkDir, plan: Plan) -> None:
    """Write ``inputs/`` whole: what the run follows."""
    aside = WorkDir(fresh_folder(aside_of(workdir)))
    aside.inputs.mkdir()
    write_json(aside.param, plan.param.value)
    write_machine(aside.machine, plan)
    _write_initial_data(aside, plan.param.settings, workdir.root)
    _write_configurations(aside, plan.param.settings)
    _write_fp_files(aside, plan.param.settings)
    _write_named(aside, plan.param.settings)
    publish_folder(aside.inputs, workdir.inputs)
    aside.root.rmdir()


def aside_of(workdir: WorkDir) -> Path:
    """Return where the folder is written before it is there whole."""
    return workdir.root / "inputs.new"


def write_machine(path: Path, plan: Plan) -> None:
    """Write ``machine.json`` as understood, readable for its owner alone: it may hold secrets."""
    write_json(path, plan.machine_value, mode=0o600)


def _write_initial_data(aside: WorkDir, settings: Settings, root_folder: Path) -> None:
    rows, digests = [], []
    for folder in settings.initial_systems:
        frames = read_frames(folder)
        inside = folder.is_relative_to(root_folder)
        path = folder.relative_to(root_folder) if inside else folder
        rows.append({"path": str(path), "frames": len(frames), "digest": digest_folder(folder)})
        digests += [frame.digest(settings.type_map) for frame in frames]
    write_lines(aside.initial_data, rows)
    aside.initial_digests.write_text("".join(f"{digest}\n" for digest in digests))


def _write_fp_files(aside: WorkDir, settings: Settings) -> None:
    """Copy what all labels read: a file that changes later would change the physics. Some are licensed: 0600."""
    fresh_folder(aside.fp_files)
    for name, source in settings.labeler.shared().items():
        shutil.copyfile(source, aside.fp_files / name)
        (aside.fp_files / name).chmod(0o600)


def starting_frames(settings: Settings, entry: int) -> list[Frame]:
    """Return the starting configurations of an entry: the same ones whenever it is asked."""
    rng = np.random.default_rng((settings.seed, entry, CONFIGURATIONS))
    return settings.configurations[entry].generate(settings.type_map, rng)


def _write_named(workdir: WorkDir, settings: Settings) -> None:
    """Write which files of configurations and labels the inputs name, and what is in them."""
    sources = [path for source in settings.configurations for path in getattr(source, "files_read", list)()]
    paths = dict.fromkeys([*map(Path, sources), *settings.labeler.shared().values()])
    write_lines(workdir.files, [{"path": str(path), "digest": digest_file(path)} for path in paths])


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
