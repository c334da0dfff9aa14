"""What becomes of a changed argument, for every argument that there is."""

import pytest

from dpgen2_hpc.inputs.changes import APPEND, LABELS, NEXT, NOW, REFUSED, changes, rules
from dpgen2_hpc.inputs.param import root
from dpgen2_hpc.kinds import CHANGES
from dpgen2_hpc.loop.trees import tree_of

DEPTH = {"configurations": 1, "stages": 2}
"""In how many lists the objects of these keys stand."""

RULES = [(path, rule) for path, _, rule in rules(root())]


def holding(path, leaf):
    """An input that has nothing but ``leaf`` under ``path``, and the types that lead there."""
    if not path:
        return leaf
    first, *rest = path
    if first.startswith("["):
        return {"type": first[1:-1], **holding(rest, leaf)}
    value = holding(rest, leaf)
    for _ in range(DEPTH.get(first, 0) if rest else 0):
        value = [value]
    return {first: value}


def spelled_out(path):
    """The path with the index of the only entry for each list, and without types."""
    steps = []
    for place, step in enumerate(path):
        if not step.startswith("["):
            inside = place + 1 < len(path)
            steps += [step, *([0] * DEPTH.get(step, 0) if inside else [])]
    return tuple(steps)


def test_the_walk_meets_every_type_and_key():
    assert len(RULES) > 250
    assert {step for path, _ in RULES for step in path if step.startswith("[")} >= {
        "[dp]",
        "[lmp]",
        "[alloy]",
        "[vasp]",
    }


@pytest.mark.parametrize(("path", "rule"), RULES, ids=[".".join(path) for path, _ in RULES])
def test_each_argument_that_differs_is_told_with_the_class_that_its_table_has(path, rule):
    assert rule in CHANGES
    old, new = ([{"a": 1}], [{"a": 1}, {"a": 2}]) if rule == APPEND else (1, 2)
    (change,) = changes(root(), holding(path, old), holding(path, new))
    assert (change.path, change.rule) == (spelled_out(path), rule)
    assert str(change).startswith(".".join(step for step in path if not step.startswith("["))[:3])


@pytest.mark.parametrize("path", [path for path, rule in RULES if rule == APPEND])
def test_entries_that_others_have_followed_neither_leave_nor_change(path):
    one, two = {"a": 1}, {"a": 2}
    for old, new in (([one, two], [one]), ([one], [two]), ([one], [two, one])):
        found = changes(root(), holding(path, old), holding(path, new))
        assert REFUSED in {change.rule for change in found}


def test_there_are_no_other_classes_than_those_that_a_run_knows():
    assert set(CHANGES) == {NOW, NEXT, APPEND, LABELS, REFUSED}


@pytest.mark.parametrize("name", ["manual", "old"])
def test_the_older_dialects_have_the_classes_of_what_they_mean(name):
    found = {path[-1]: rule for path, _, rule in rules(tree_of("param", name))}
    levels = {"manual": "f_trust_lo", "old": "model_devi_f_trust_lo"}[name]
    stages = {"manual": "stages", "old": "model_devi_jobs"}[name]
    incar = {"manual": "incar", "old": "fp_incar"}[name]
    expected = {levels: NEXT, stages: APPEND, incar: LABELS, "type_map": REFUSED, "max_numb_iter": NOW}
    assert {key: found[key] for key in expected} == expected


def test_all_of_the_machine_is_followed_at_once():
    assert {rule for _, _, rule in rules(tree_of("machine"))} == {NOW}
