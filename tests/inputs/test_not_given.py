"""An optional key that is given as nothing is the same as one that is not given: every key of every dialect."""

import copy
from functools import cache
from typing import get_origin

import pytest
from test_dialects import MANUAL, OLD, TODAY, folder  # noqa: F401  (a fixture)

from dpgen2_hpc import kinds
from dpgen2_hpc.inputs.changes import changes, rules
from dpgen2_hpc.inputs.dialects import tree, understood
from dpgen2_hpc.inputs.param import root
from dpgen2_hpc.inputs.read import Document
from dpgen2_hpc.inputs.schema import schema
from dpgen2_hpc.inputs.tree import walk

DEPTH = {"configurations": 1, "sys_configs": 1, "stages": 2, "model_devi_jobs": 1}
"""In how many lists the objects of these keys stand."""

FULL = {"today": TODAY, "manual": MANUAL, "old": OLD}


@cache
def tree_of(dialect):
    return tree(dialect)


def optional_keys(dialect):
    """Every optional key of a dialect with its path, in which a type's name stands in brackets."""
    return [(path, key) for path, key, _ in rules(tree_of(dialect)) if key.optional]


def nothings(key):
    """What means that a key is not given: null, and where its default is empty the empty values of its types."""
    types = key.dtype if isinstance(key.dtype, tuple | list | set) else [key.dtype]
    bases = {get_origin(kind) or kind for kind in types}
    empty = [kind() for kind in (list, dict, str) if bases & {kind, object}]
    return [None, *(empty if key.default in (None, [], {}, "") else [])]


def built(path, value):
    """The smallest input that has ``value`` at a path."""
    first, *rest = path
    if first.startswith("["):
        return {"type": first[1:-1], **(built(rest, value) if rest else {})}
    inside = built(rest, value) if rest else value
    for _ in range(DEPTH.get(first, 0) if rest else 0):
        inside = [inside]
    return {first: inside}


def without(content, path):
    """The input without its key at a path."""
    content = copy.deepcopy(content)
    part = content
    for step in path[:-1]:
        if not step.startswith("["):
            part = part[step]
            while isinstance(part, list):
                part = part[0]
    del part[path[-1]]
    return content


def said(value):
    """A value without the members that say nothing: an object of nothings is one."""
    if not isinstance(value, dict):
        return value
    members = {name: said(member) for name, member in value.items()}
    return {name: member for name, member in members.items() if member not in (None, [], {}, "")}


def read(dialect, content):
    """What an input means along the dialect's tree, and its faults."""
    walked = walk(tree_of(dialect), Document("", content, {}), kinds.LATER)
    return said(walked.value), {str(fault) for fault in walked.faults}


@pytest.mark.parametrize("dialect", FULL)
def test_nothing_is_not_given_for_every_optional_key(dialect):
    keys = optional_keys(dialect)
    cases = [(path, nothing) for path, key in keys for nothing in nothings(key)]
    assert len(cases) > 200
    wrong = []
    for path, nothing in cases:
        content = built(path, nothing)
        if read(dialect, content) != read(dialect, without(content, path)):
            wrong.append((".".join(path), nothing))
    assert wrong == []


def places(value, path=()):
    """Every path of an input, as a file has it."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    yield path, (1, 1)
    for step, entry in pairs:
        yield from places(entry, (*path, step))


def with_nulls(dialect):
    """The whole input of a dialect with ``null`` for every optional key that it has not, and how many these are."""
    content, count = copy.deepcopy(FULL[dialect]), 0
    for path, _ in optional_keys(dialect):
        part = content
        for step in path[:-1]:
            if part is not None and step.startswith("["):
                part = part if part.get("type", "lmp-md") == step[1:-1] else None
            elif part is not None:
                part = part.get(step)
                while isinstance(part, list):
                    part = part[0]
        if part is not None and path[-1] not in part:
            part[path[-1]] = None
            count += 1
    return content, count


@pytest.mark.parametrize("dialect", FULL)
def test_all_at_once_they_are_not_given_in_a_whole_file(folder, dialect):  # noqa: F811
    def meaning(content):
        value, _, faults = understood(Document("param.json", content, dict(places(content))), old_compatible=True)
        return said(value), faults

    content, count = with_nulls(dialect)
    assert count > 40
    assert meaning(content) == meaning(FULL[dialect])


@pytest.mark.parametrize("dialect", FULL)
def test_the_schema_for_editors_allows_it(dialect):
    validator = pytest.importorskip("jsonschema").Draft202012Validator(schema(tree_of(dialect), "x"))
    content, _ = with_nulls(dialect)
    assert list(validator.iter_errors(content)) == []


@pytest.mark.parametrize("value", [0, False, [None], {"a": None}, " ", "no"])
def test_what_is_not_nothing_is_not_taken_for_it(value):
    _, faults = read("today", {"inputs": {"init_data_uri": value}})
    assert any("init_data_uri" in fault for fault in faults)


def test_nothing_of_a_wrong_type_is_refused():
    _, faults = read("today", {"explore": {"type": "lmp", "config": [], "max_numb_iter": ""}})
    assert [fault for fault in sorted(faults) if "explore.config: " in fault or "max_numb_iter" in fault] == [
        "explore.config: expected an object, found a list",
        "explore.max_numb_iter: expected a whole number, found the string ''",
    ]


@pytest.mark.parametrize(("old", "new"), [("", None), ([], None), (None, {}), (None, None)])
def test_a_run_that_has_kept_an_empty_value_goes_on(old, new):
    assert changes(root(), {"inputs": {"init_data_prefix": old}}, {"inputs": {"init_data_prefix": new}}) == []


def test_a_run_whose_files_were_read_as_lammps_data_goes_on():
    def files(fmt):
        return {"explore": {"configurations": [{"type": "file", "files": ["start.lmp"], "fmt": fmt}]}}

    assert changes(root(), files("lammps/lmp"), files("auto")) == []
    assert changes(root(), files("vasp/poscar"), files("auto")) != []
