"""Check that the files a run has taken up are unchanged: contents decide, unchanged sizes and times save reading."""

import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dpgen2_hpc.errors import InputError, StorageError
from dpgen2_hpc.state.files import read_lines, write_atomic
from dpgen2_hpc.state.identity import digest_file, digest_folder, identity
from dpgen2_hpc.state.stops import advice
from dpgen2_hpc.state.workdir import WorkDir, located

log = logging.getLogger(__name__)

FORM = 1
"""Grows when the notes get another form: those of another one are not read."""

SECOND = 10**9
TICK, COARSE_TICK = SECOND // 50, 2 * SECOND
"""Time (ns) within which a file system may give two writes one time; coarse ones keep whole seconds."""

Stamp = list[int]
"""Size, time of the last write and time of the last change of a file or folder (ns); empty: it is not there."""

Seen = dict[str, Stamp]
"""The stamp of a file or folder (``.``) and of all that is below it, by relative path."""


def refuse_other_contents(workdir: WorkDir, *, note: bool = True) -> None:
    """Refuse files whose contents the run has taken up, and that are not what they were.

    Contents are read where a size or time differs from what was noted when they were last verified. The notes
    (``.checked.json``) are not state: without them contents are read again. ``note``: write them.

    Raises
    ------
    InputError
        A file or a system has changed since the run began.
    """
    before = _read_notes(workdir.checked)
    after: dict[str, Any] = {}
    changed = [
        str(path)
        for kept, path, matches in _taken_up(workdir)
        if _is_changed(path, before.get(kept["path"]), kept, matches, after)
    ]
    if changed:
        lines = "\n".join(f"  '{path}'" for path in changed)
        text = "the contents of files that this run has taken up have changed"
        raise InputError(f"{text}:\n{lines}\n{advice('input-changed')}")
    if note and after != before:
        _write_notes(workdir.checked, after)


def kept_files(workdir: WorkDir) -> frozenset[str]:
    """Return the absolute paths of the files that the run has taken up and does not need any more."""
    if not workdir.record.exists() or not workdir.files.exists():
        return frozenset()
    base = workdir.base
    rows = [row for row in read_lines(workdir.files) if "name" not in row or (workdir.fp_files / row["name"]).is_file()]
    return frozenset(str(located(base, row["path"])) for row in rows)


def kept_systems(workdir: WorkDir) -> frozenset[str]:
    """Return the absolute paths of the systems that the run has taken up: they were good, and are compared later."""
    if not workdir.record.exists() or not workdir.initial_data.exists():
        return frozenset()
    base = workdir.base
    return frozenset(str(located(base, row["path"])) for row in read_lines(workdir.initial_data))


def digest_system(folder: Path) -> str:
    """Return one digest of all files below a folder, names included; links to folders are followed."""
    _, files = _look(folder)
    return identity(**{name: digest_file(folder / name) for name in files})


def trimmed_digest(path: Path) -> str | None:
    """Return the sha256 of a text without the white space that ends its lines and itself; ``None``: not a text."""
    data = path.read_bytes()
    if b"\0" in data:
        return None
    text = b"\n".join(line.rstrip() for line in data.splitlines()).rstrip()
    return hashlib.sha256(text).hexdigest()


# ---- one file or system ---------------------------------------------------------------------------------------------


def _taken_up(workdir: WorkDir) -> Iterator[tuple[Mapping[str, Any], Path, Any]]:
    """Yield for each file and system its row, where it is now, and the function that compares it with the row."""
    base = workdir.base
    for row in read_lines(workdir.files):
        yield row, located(base, row["path"]), lambda path, row: _is_same_file(workdir, path, row)
    for row in read_lines(workdir.initial_data):
        yield row, located(base, row["path"]), _is_same_system


def _is_changed(path: Path, note: Any, row: Mapping[str, Any], matches: Any, notes: dict[str, Any]) -> bool:
    """Return whether a file or system has changed; note what was seen of it where it has not."""
    if _is_as_noted(path, note, row["digest"]):
        notes[row["path"]] = note
        return False
    seen, _ = _look(path)  # before the contents are read: what changes meanwhile is seen the next time
    if not seen["."]:
        return matches is _is_same_system  # of other files the run has what it needs
    if not matches(path, row):
        return True
    if _is_settled(seen):
        notes[row["path"]] = {"digest": row["digest"], "seen": seen}
    return False


def _is_as_noted(path: Path, note: Any, digest: str) -> bool:
    if not isinstance(note, dict) or note.get("digest") != digest:
        return False
    seen = note.get("seen")
    if not isinstance(seen, dict) or not seen.get("."):
        return False
    top = str(path)
    return all(_stamp(_join(top, name)) == stamp for name, stamp in seen.items())


def _is_same_file(workdir: WorkDir, path: Path, row: Mapping[str, Any]) -> bool:
    """Return whether a file differs at most in the white space that ends its lines."""
    if not path.is_file():
        return True
    if digest_file(path) == row["digest"]:
        return True
    trimmed = row.get("trimmed") or _trimmed_copy(workdir, row["digest"])
    return trimmed is not None and trimmed_digest(path) == trimmed


def _trimmed_copy(workdir: WorkDir, digest: str) -> str | None:
    """Return the trimmed digest of the run's own copy of a file: older runs have not written it down."""
    copies = workdir.fp_files.iterdir() if workdir.fp_files.is_dir() else ()
    return next((trimmed_digest(copy) for copy in copies if copy.is_file() and digest_file(copy) == digest), None)


def _is_same_system(path: Path, row: Mapping[str, Any]) -> bool:
    """Return whether a system has the digest of its row; older runs did not follow links to folders."""
    return row["digest"] in (digest_system(path), digest_folder(path))


# ---- what is there --------------------------------------------------------------------------------------------------


def _join(top: str, name: str) -> str:
    return top if name == "." else f"{top}/{name}"


def _stamp(path: str) -> Stamp:
    """Return the stamp of a file or folder; empty where there is none, or a link that leads nowhere."""
    try:
        found = os.stat(path)  # noqa: PTH116  (a Path for each of 10^5 files takes longer than the call)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _look(path: Path) -> tuple[Seen, list[str]]:
    """Return the stamps of a file or folder and of all below it, and the names of the files; a folder counts once."""
    top, seen, files, folders, waiting = str(path), Seen(), [], set(), ["."]
    while waiting:
        name = waiting.pop()
        where = _join(top, name)
        seen[name] = _stamp(where)
        if not seen[name]:
            continue
        found = os.stat(where)  # noqa: PTH116
        if stat.S_ISREG(found.st_mode):
            files.append(name)
        elif stat.S_ISDIR(found.st_mode) and (found.st_dev, found.st_ino) not in folders:
            folders.add((found.st_dev, found.st_ino))
            below = os.listdir(where)  # noqa: PTH208
            waiting += [entry if name == "." else f"{name}/{entry}" for entry in below]
    return seen, files


def _is_settled(seen: Seen) -> bool:
    """Return whether the next write of any of these would have another time."""
    now = time.time_ns()
    return all(stamp[2] + (TICK if stamp[2] % SECOND else COARSE_TICK) < now for stamp in seen.values() if stamp)


# ---- the notes ------------------------------------------------------------------------------------------------------


def _read_notes(path: Path) -> dict[str, Any]:
    """Return what was noted; nothing where the file is missing, broken or of another form."""
    try:
        value = json.loads(path.read_text()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return {}
    entries = value.get("entries") if isinstance(value, dict) and value.get("form") == FORM else None
    return entries if isinstance(entries, dict) else {}


def _write_notes(path: Path, entries: Mapping[str, Any]) -> None:
    """Write the notes; a run goes on without them."""
    try:
        write_atomic(path, json.dumps({"form": FORM, "entries": entries}, separators=(",", ":")) + "\n")
    except (OSError, StorageError) as error:
        log.warning("'%s' cannot be written, so that the data will be read again on resume: %s", path, error)
