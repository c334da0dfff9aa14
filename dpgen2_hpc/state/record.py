"""``record.json``: where the run is. A value, its one legal way on, and the file that holds it."""

import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dpgen2_hpc.errors import StateError
from dpgen2_hpc.state.files import read_json, write_atomic
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.words import Phase
from dpgen2_hpc.state.workdir import STEPS

SCHEMA = 2
"""What is written; 1 is read too. Since 2: ``tasks``, ``lists``, ``rewinds``, ``began``, and more in ``blocked``."""

PHASES = tuple(Phase)


@dataclass(frozen=True)
class Home:
    """Where the work directory was when a driver last worked in it: tells a moved directory from a copy."""

    host: str
    path: str
    inode: int

    @classmethod
    def of(cls, root: Path) -> "Home":
        """Return the home that ``root`` is now."""
        return cls(socket.gethostname(), str(root.resolve()), root.stat().st_ino)


@dataclass(frozen=True)
class Record:
    """Where a run is.

    ``blocked`` is ``{"code": ..., "reason": ..., "advice": ..., "details": [...], "tasks": [...]}`` while user action
    is needed (``loop/blocked.py``); ``complete`` is ``{"reason": ..., "models": [...]}`` once nothing is left to do.
    ``iterations`` are the reports of the finished iterations, the same as ``status --json`` shows.

    ``tasks`` is how many tasks the present step's ledger has (``None`` before it is prepared, and in records of schema
    1); ``lists`` are the digests of the lists in ``inputs/``, by file name: an emptied file is not "nothing there".
    ``rewinds`` counts the uses of ``rewind``: job names change with it. ``began`` is when the iteration began (UTC).
    """

    identity: str
    home: Home
    seed: int
    sequence: int = 0
    stage: int = 0
    index_in_stage: int = 0
    iteration: int = 0
    step: str = STEPS[0]
    phase: Phase = Phase.PENDING
    blocked: Mapping[str, Any] | None = None
    complete: Mapping[str, Any] | None = None
    tasks: int | None = None
    lists: Mapping[str, str] | None = None
    rewinds: int = 0
    began: str | None = None
    iterations: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def tag(self) -> str:
        """What job names are made from: another one after each rewind, so that no old job is adopted."""
        return self.identity if not self.rewinds else f"{self.identity}/rewind-{self.rewinds}"

    @classmethod
    def begin(cls, root: Path, seed: int) -> "Record":
        """Return the record of a new run."""
        return cls(identity=secrets.token_hex(8), home=Home.of(root), seed=seed, began=utc_now())

    def advanced(self, **changed: Any) -> "Record":
        """Return the record one phase on, or at the start of the next step, with other fields changed too.

        Raises
        ------
        StateError
            The last step is harvested: what comes next is the schedule's to say.
        """
        phase = PHASES.index(self.phase)
        if phase + 1 < len(PHASES):
            return replace(self, phase=PHASES[phase + 1], blocked=None, **changed)
        step = STEPS.index(self.step)
        if step + 1 == len(STEPS):
            raise StateError(f"iteration {self.iteration}: '{self.step}' is already harvested.")
        return replace(self, step=STEPS[step + 1], phase=Phase.PENDING, blocked=None, tasks=None, **changed)

    def reopened(self) -> "Record":
        """Return the record of a finished step whose failed tasks are retried."""
        if self.phase != Phase.FINISHED:
            raise StateError(f"iteration {self.iteration}: '{self.step}' is {self.phase}, only 'finished' reopens.")
        return replace(self, phase=Phase.SUBMITTED, blocked=None)

    def next_iteration(self, stage: int, index_in_stage: int) -> "Record":
        """Return the record at the start of the next iteration, in the stage that the schedule names."""
        return replace(
            self,
            iteration=self.iteration + 1,
            stage=stage,
            index_in_stage=index_in_stage,
            step=STEPS[0],
            phase=Phase.PENDING,
            blocked=None,
            complete=None,
            tasks=None,
            began=utc_now(),
        )

    def rewound(self, step: str) -> "Record":
        """Return the record at the start of a step of the present iteration, whose report no longer counts."""
        if STEPS.index(step) > STEPS.index(self.step):
            raise StateError(f"iteration {self.iteration}: '{step}' comes after '{self.step}', where the run stands.")
        return replace(
            self,
            step=step,
            phase=Phase.PENDING,
            blocked=None,
            complete=None,
            tasks=None,
            rewinds=self.rewinds + 1,
            iterations=self.iterations[: self.iteration],
        )

    def text(self) -> str:
        """Return the file's content: a line for each field, a line for each iteration."""
        value = {"schema": SCHEMA, **vars(self), "home": asdict(self.home)}
        encode = json.JSONEncoder(allow_nan=False).encode
        rows = ",".join(f"\n  {encode(row)}" for row in value.pop("iterations"))
        lines = [f" {encode(name)}: {encode(entry)}" for name, entry in value.items()]
        return "{\n" + ",\n".join([*lines, f' "iterations": [{rows}]']) + "\n}\n"


class RecordFile:
    """``record.json`` on the disk, written only under the lock."""

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path, self.lock = path, lock
        self._written: tuple[int, bytes] = (-1, b"")
        """The sequence and the content that this driver wrote last: as long as they are there, nobody else has."""

    def commit(self, record: Record) -> Record:
        """Make ``record`` the truth and return it with its new sequence number; raises what :meth:`check` does."""
        self.check(record)
        new = replace(record, sequence=record.sequence + 1)
        text = new.text().encode()
        self._written = (new.sequence, text)
        write_atomic(self.path, text, before_rename=self.lock.check)
        return new

    def after_interruption(self, record: Record) -> Record:
        """Return the record that holds after the disk has interrupted a commit: the file's, if this driver wrote it."""
        there = self.path.read_bytes() if self.path.exists() else b""
        return read_record(self.path) if there == self._written[1] else record

    def check(self, record: Record) -> None:
        """Make sure that this driver still has the word, before it writes or submits anything.

        Raises
        ------
        LockHeld
            The lock is no longer ours.
        StateError
            The file is not the one that this driver wrote last: somebody edited it meanwhile.
        """
        self.lock.check()
        there = self.path.exists()
        if there and self._written == (record.sequence, self.path.read_bytes()):
            return
        found = read_record(self.path).sequence if there else 0
        if found != record.sequence:
            raise StateError(
                f"'{self.path}' has sequence {found}, this driver wrote {record.sequence}: it was changed while a "
                "driver was running. Nothing was overwritten. Run the same command again to go on from the file."
            )


def read_record(path: Path) -> Record:
    """Read and check ``record.json``, of this schema or an earlier one.

    Raises
    ------
    StateError
        It is broken, of a later schema, or says something impossible; the message names the field.
    """
    value = read_json(path)
    try:
        return _record(path, value)
    except StateError as error:
        raise StateError(str(error), path) from error


def _record(path: Path, value: Any) -> Record:
    if not isinstance(value, dict):
        raise StateError(f"'{path}' does not hold an object.")
    if value.get("schema") not in range(1, SCHEMA + 1) or isinstance(value["schema"], bool):
        raise StateError(f"'{path}' has schema {value.get('schema')!r}; this version reads 1 to {SCHEMA}.")
    value = {**(_ADDED if value["schema"] == 1 else {}), **value}
    _check_fields(path, value)
    home = Home(**value["home"])
    rest = {name: value[name] for name in _FIELDS if name not in {"home", "iterations"}}
    rest["phase"] = Phase(rest["phase"])
    return Record(home=home, iterations=tuple(value["iterations"]), **rest)


_ADDED = {"tasks": None, "lists": None, "rewinds": 0, "began": None}
"""Fields that schema 1 had not, with what they were."""


def utc_now() -> str:
    """Return the time as ``2026-11-26T16:34:16Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def refuse_contradictions(record: Record, path: Path) -> None:
    """Refuse a record whose stage, or whose index in it, does not follow from its reports.

    Raises
    ------
    StateError
        It does not; the message names the field.
    """
    rows = record.iterations
    for number, row in enumerate(rows):
        if row["index"] != number:
            raise StateError(f"'{path}': iterations[{number}].index must be {number}, found {row['index']}.", path)
    last = (rows[-1]["stage"], rows[-1]["index_in_stage"]) if rows else None
    if last is None:
        legal = {(0, 0)}
    elif len(rows) > record.iteration:
        legal = {last}
    else:
        legal = {(last[0], last[1] + 1), (last[0] + 1, 0)}
    if (record.stage, record.index_in_stage) not in legal:
        words = " or ".join(f"{stage} and {index}" for stage, index in sorted(legal))
        raise StateError(
            f"'{path}': stage and index_in_stage are {record.stage} and {record.index_in_stage}; after the reported "
            f"iterations they must be {words}.",
            path,
        )


def is_moved(home: Home, now: Home) -> bool:
    """Return whether a directory that was at ``home`` has been moved to ``now`` (as against copied).

    Raises
    ------
    StateError
        It is a copy, and the original is still there.
    """
    if home.path == now.path and (home.host == now.host or home.inode == now.inode):
        return False  # other login nodes of a cluster see the same directory
    if home.inode == now.inode or not os.path.lexists(home.path):
        return True
    raise StateError(
        f"this directory is a copy of '{home.path}', which still exists: two runs would share the names of their jobs. "
        "To make it a run of its own, run the same command again with --new-identity."
    )


def _whole(minimum: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def _none_or(**types: type) -> Callable[[Any], bool]:
    """Return a check for ``null`` or an object with at least these entries."""

    def holds(value: Any) -> bool:
        if value is None:
            return True
        return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in types.items())

    return holds


def _is_home(value: Any) -> bool:
    types = {"host": str, "path": str, "inode": int}
    return isinstance(value, dict) and {name: type(entry) for name, entry in value.items()} == types


def _is_digests(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values()))


_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "sequence": (_whole(1), "a whole number from 1 on"),
    "identity": (lambda value: isinstance(value, str) and value != "", "a word"),
    "home": (_is_home, 'an object {"host": .., "path": .., "inode": ..}'),
    "seed": (_whole(0), "a whole number from 0 on"),
    "stage": (_whole(0), "a whole number from 0 on"),
    "index_in_stage": (_whole(0), "a whole number from 0 on"),
    "iteration": (_whole(0), "a whole number from 0 on"),
    "step": (lambda value: value in STEPS, f"one of {', '.join(STEPS)}"),
    "phase": (lambda value: value in PHASES, f"one of {', '.join(PHASES)}"),
    "blocked": (_none_or(reason=str, advice=str), 'null or {"reason": .., "advice": ..}'),
    "tasks": (lambda value: value is None or _whole(0)(value), "null or a whole number from 0 on"),
    "lists": (_is_digests, 'null or an object {"file": "sha256", ..}'),
    "rewinds": (_whole(0), "a whole number from 0 on"),
    "began": (lambda value: value is None or isinstance(value, str), "null or a time"),
    "complete": (_none_or(reason=str, models=list, note=str), 'null or {"reason": .., "models": [..], "note": ..}'),
    "iterations": (lambda value: isinstance(value, list) and all(isinstance(row, dict) for row in value), "a list"),
}

_COUNTS = (
    *("index", "stage", "index_in_stage", "explored", "accurate", "candidate", "failed", "invalid"),
    *("selected", "filtered", "duplicate", "not_drawn", "labelled", "dropped"),
)
"""What every report of an iteration has, beside ``converged``."""


def _check_fields(path: Path, value: Mapping[str, Any]) -> None:
    unknown = sorted(set(value) - set(_FIELDS) - {"schema"})
    if unknown:
        raise StateError(f"'{path}' has an unknown field '{unknown[0]}'.")
    for name, (holds, expected) in _FIELDS.items():
        if name not in value:
            raise StateError(f"'{path}' has no field '{name}'.")
        if not holds(value[name]):
            raise StateError(f"'{path}': {name} must be {expected}, found {json.dumps(value[name])}.")
    for number, row in enumerate(value["iterations"]):
        _check_report(f"'{path}': iterations[{number}]", row)
    done = len(value["iterations"])
    last = value["iteration"] + (value["step"] == STEPS[-1] and value["phase"] == Phase.HARVESTED)
    if done != last:
        here = value["iteration"]
        raise StateError(f"'{path}': {done} iterations are reported, but the run stands in iteration {here}.")


def _check_report(where: str, row: Mapping[str, Any]) -> None:
    for name in (*_COUNTS, "converged"):
        if name not in row:
            raise StateError(f"{where} has no field '{name}'.")
        holds = isinstance(row[name], bool) if name == "converged" else _whole(0)(row[name])
        if not holds:
            expected = "true or false" if name == "converged" else "a whole number from 0 on"
            raise StateError(f"{where}.{name} must be {expected}, found {json.dumps(row[name])}.")
    for whole, parts in _SUMS.items():
        if row[whole] != sum(row[name] for name in parts):
            words = " + ".join(parts)
            raise StateError(f"{where}: {whole} is {row[whole]}, but {words} is {sum(row[name] for name in parts)}.")


_SUMS = {
    "explored": ("accurate", "candidate", "failed", "invalid"),
    "candidate": ("selected", "filtered", "duplicate", "not_drawn"),
    "selected": ("labelled", "dropped"),
}
"""What must add up in each report (DESIGN, promise 3)."""
