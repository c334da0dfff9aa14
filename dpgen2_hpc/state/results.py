"""``result.json``: what each step hands on. A step reads these of the steps before it, never their folders."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from dpgen2_hpc.errors import StateError, SumError
from dpgen2_hpc.state.files import read_json, read_lines, write_json
from dpgen2_hpc.state.workdir import StepFolder, WorkDir


@dataclass(frozen=True)
class TrainResult:
    """The ensemble: for each model its path in the step's folder, its identity, and what its trainer says of it."""

    models: list[dict[str, Any]]
    total: int

    @property
    def usable(self) -> int:
        """Tasks that the policy may count."""
        return len(self.models)

    def continued(self) -> list[dict[str, int]]:
        """Return which members went on from a checkpoint, and from which training step."""
        rows = [(row["task"], row["continued_from"]) for row in self.models]
        return [{"model": task, "step": step} for task, step in rows if step is not None]


@dataclass(frozen=True)
class ExploreResult:
    """The usable runs: task, folder, where it started, temperature, pressure, frames asked for, and how it ended.

    ``failed`` are the runs without a usable frame that the user has not skipped: task, frames asked for, and why.
    """

    runs: list[dict[str, Any]]
    total: int
    failed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def usable(self) -> int:
        """Tasks that the policy may count."""
        return len(self.runs)


@dataclass(frozen=True)
class Run:
    """A usable run, as ``select`` needs it. Rows of the first version have neither ``asked`` nor what follows it."""

    task: int
    path: str
    asked: int | None = None
    fixes_composition: bool = False
    ended_early: bool = False
    halted: bool = False
    last_step: int | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Run":
        """Return the run of a row of :class:`ExploreResult`."""
        known = {entry.name: row[entry.name] for entry in fields(cls) if entry.name in row}
        return cls(**{"ended_early": row.get("crashed_at") is not None, **known})


@dataclass(frozen=True)
class SelectResult:
    """The classes of all explored frames and what became of the candidates."""

    explored: int
    accurate: int
    candidate: int
    failed: int
    invalid: int
    selected: int
    filtered: int
    duplicate: int
    not_drawn: int
    converged: bool
    levels: dict[str, float | None]
    deviation_f: dict[str, float] = field(default_factory=dict)
    """Quantiles of the finite force deviations (eV/Å), empty if there are none."""
    runs: int = 0
    """MD runs, those that failed included and those that the user skipped not."""
    ended_early: int = 0
    """Runs that ended before they had written what they were asked for."""
    total: int = 0
    usable: int = 0

    def check(self) -> None:
        """Make sure that no frame is lost or counted twice.

        Raises
        ------
        SumError
            A sum does not hold.
        """
        _must_equal("explored", self.explored, self.accurate, self.candidate, self.failed, self.invalid)
        _must_equal("candidate", self.candidate, self.selected, self.filtered, self.duplicate, self.not_drawn)


@dataclass(frozen=True)
class FpResult:
    """How many frames were labelled, how many dropped."""

    selected: int
    labelled: int
    dropped: int

    @property
    def total(self) -> int:
        """All tasks."""
        return self.selected

    @property
    def usable(self) -> int:
        """Tasks that the policy may count."""
        return self.labelled

    def check(self) -> None:
        """Make sure that every selected frame is labelled or dropped.

        Raises
        ------
        SumError
            The sum does not hold.
        """
        _must_equal("selected", self.selected, self.labelled, self.dropped)


@dataclass(frozen=True)
class CollectResult:
    """The iteration's increment of the dataset: the names of its systems in ``data/``, and its digest.

    ``error`` is how wrong the models were about these frames before they learned them (``collect/comparison.py``).
    """

    frames: int
    systems: list[str]
    digest: str
    error: dict[str, Any] | None = None
    total: int = 0
    usable: int = 0


Result = TypeVar("Result", TrainResult, ExploreResult, SelectResult, FpResult, CollectResult)


def save(folder: StepFolder, result: Result) -> Result:
    """Write a step's result, whole, and return it."""
    write_json(folder.result, {"schema": 1, **asdict(result)})
    return result


def load(kind: type[Result], folder: StepFolder) -> Result:
    """Read a step's result.

    Raises
    ------
    StateError
        It is missing or broken.
    """
    value = read_json(folder.result)
    if not isinstance(value, dict) or value.pop("schema", None) != 1:
        raise StateError(f"'{folder.result}' is not a result that this version reads.", folder.result)
    try:
        return kind(**value)
    except TypeError as error:
        text = f"'{folder.result}' is not a result of the step {folder.step} ({error})."
        raise StateError(text, folder.result) from error


def increments(workdir: WorkDir, iteration: int) -> list[tuple[int, CollectResult]]:
    """Return the increments of the iterations before ``iteration`` that hold frames."""
    found = [(number, load(CollectResult, workdir.step(number, "collect"))) for number in range(iteration)]
    return [(number, result) for number, result in found if result.frames]


def read_rows(path: Path, count: int) -> list[Any]:
    """Read a file of JSON lines of which a result says how many there are.

    Raises
    ------
    StateError
        It is missing or broken, or has another number of lines: an emptied file is not "there are none".
    """
    rows = read_lines(path)
    must_have(path, len(rows), count)
    return rows


def must_have(path: Path, found: int, count: int) -> None:
    """Make sure that a file has as many entries as the step's result says.

    Raises
    ------
    StateError
        It has not: it was emptied, cut or edited.
    """
    if found != count:
        text = f"'{path}' has {found} entries, and the step had written {count}: it was cut or edited."
        raise StateError(text, path)


def report(workdir: WorkDir, iteration: int, stage: int, index_in_stage: int) -> Mapping[str, Any]:
    """Return the report of a collected iteration: its row in ``record.json`` and in ``status --json``."""
    select = load(SelectResult, workdir.step(iteration, "select"))
    fp = load(FpResult, workdir.step(iteration, "fp"))
    train = load(TrainResult, workdir.step(iteration, "train"))
    collect = load(CollectResult, workdir.step(iteration, "collect"))
    select.check()
    fp.check()
    _must_equal("selected", select.selected, fp.selected)
    names = ("explored", "accurate", "candidate", "failed", "invalid", "selected", "filtered", "duplicate", "not_drawn")
    continued = {"continued": train.continued()} if train.continued() else {}
    return {
        "index": iteration,
        "stage": stage,
        "index_in_stage": index_in_stage,
        "converged": select.converged,
        **{name: getattr(select, name) for name in names},
        "runs": select.runs,
        "ended_early": select.ended_early,
        "labelled": fp.labelled,
        "dropped": fp.dropped,
        **select.levels,
        **continued,
        **({"error": collect.error} if collect.error else {}),
    }


def endings_in_words(row: Mapping[str, Any]) -> str | None:
    """Return how many MD runs of a reported iteration ended early, ``None`` if none did."""
    if not row.get("ended_early"):
        return None
    runs = f"{row['ended_early']} of {row['runs']} MD runs ended early"
    return f"{runs}; the frames that they did not write count as invalid"


def _must_equal(name: str, whole: int, *parts: int) -> None:
    if whole != sum(parts):
        raise SumError(f"{name} is {whole}, but its parts are {' + '.join(map(str, parts))} = {sum(parts)}")
