"""What must be equal in two runs of the same inputs, whatever was killed: promise 1."""

import json

from project import Project

QUEUE_NAMES = {"batch.jsonl", "jobs", "lock", "dpgen2_hpc.log", "record.json", "task.log"}
"""Not compared: log, ledgers, jobs. The record is compared without its queue part."""

PLACES = {"sequence", "identity", "home", "began", "lists"}
"""Fields of the record that say where and when, or that hold digests of files with paths in them."""


def tree(project: Project) -> dict[str, bytes]:
    """Every file that counts, by its path; links by what they say. The project's own folder reads as ``@``."""
    found: dict[str, bytes] = {}
    for path in sorted(project.work.rglob("*")):
        name = path.relative_to(project.work)
        if QUEUE_NAMES & set(name.parts) or name.name.startswith("."):
            continue
        if path.is_symlink():
            found[str(name)] = f"-> {path.readlink()}".encode()
        elif path.is_file():
            found[str(name)] = path.read_bytes()
    return {name: content.replace(str(project.folder).encode(), b"@") for name, content in found.items()}


def record(project: Project) -> dict:
    value = json.loads((project.work / "record.json").read_text())
    value["iterations"] = [{**row, "started": None, "ended": None} for row in value["iterations"]]
    return {name: entry for name, entry in value.items() if name not in PLACES}


def assert_equal(one: Project, other: Project) -> None:
    left, right = tree(one), tree(other)
    assert sorted(left) == sorted(right)
    assert [name for name in left if left[name] != right[name]] == []
    assert record(one) == record(other)
