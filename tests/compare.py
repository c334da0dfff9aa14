"""What must be equal in two runs of the same inputs, whatever was killed: promise 1."""

import json
from pathlib import Path

QUEUE_NAMES = {"batch.jsonl", "jobs", "lock", "dpgen2_hpc.log", "record.json", "task.log"}
"""Not compared: log, ledgers, jobs. The record is compared without its queue part."""


def tree(work: Path) -> dict[str, bytes | str]:
    """Every file that counts, by its path; links by what they say."""
    found: dict[str, bytes | str] = {}
    for path in sorted(work.rglob("*")):
        name = path.relative_to(work)
        if QUEUE_NAMES & set(name.parts) or name.name.startswith("."):
            continue
        if path.is_symlink():
            found[str(name)] = f"-> {path.readlink()}"
        elif path.is_file():
            found[str(name)] = path.read_bytes()
    return found


def record(work: Path) -> dict:
    value = json.loads((work / "record.json").read_text())
    return {name: entry for name, entry in value.items() if name not in {"sequence", "identity", "home"}}


def assert_equal(one: Path, other: Path) -> None:
    left, right = tree(one), tree(other)
    assert sorted(left) == sorted(right)
    assert [name for name in left if left[name] != right[name]] == []
    assert record(one) == record(other)
