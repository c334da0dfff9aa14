"""What becomes of a changed argument, for every argument that there is."""

import pytest

from dpgen2_hpc.inputs.changes import changes, relaxed, rules
from dpgen2_hpc.inputs.param import root
from dpgen2_hpc.kinds import CHANGES, Rule
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
    old, new = ([{"a": 1}], [{"a": 1}, {"a": 2}]) if rule == Rule.APPEND else (1, 2)
    (change,) = changes(root(), holding(path, old), holding(path, new))
    assert (change.path, change.rule) == (spelled_out(path), rule)
    assert str(change).startswith(".".join(step for step in path if not step.startswith("["))[:3])


@pytest.mark.parametrize("path", [path for path, rule in RULES if rule == Rule.APPEND])
def test_entries_that_others_have_followed_neither_leave_nor_change(path):
    one, two = {"a": 1}, {"a": 2}
    for old, new in (([one, two], [one]), ([one], [two]), ([one], [two, one])):
        found = changes(root(), holding(path, old), holding(path, new))
        assert Rule.REFUSED in {change.rule for change in found}


def test_there_are_no_other_classes_than_those_that_a_run_knows():
    assert set(CHANGES) == {Rule.NOW, Rule.NEXT, Rule.APPEND, Rule.LABELS, Rule.REFUSED}


@pytest.mark.parametrize("name", ["manual", "old"])
def test_the_older_dialects_have_the_classes_of_what_they_mean(name):
    found = {path[-1]: rule for path, _, rule in rules(tree_of("param", name))}
    levels = {"manual": "f_trust_lo", "old": "model_devi_f_trust_lo"}[name]
    stages = {"manual": "stages", "old": "model_devi_jobs"}[name]
    incar = {"manual": "incar", "old": "fp_incar"}[name]
    expected = {
        levels: Rule.NEXT,
        stages: Rule.APPEND,
        incar: Rule.LABELS,
        "type_map": Rule.REFUSED,
        "max_numb_iter": Rule.NOW,
    }
    assert {key: found[key] for key in expected} == expected


def test_all_of_the_machine_is_followed_at_once():
    assert {rule for _, _, rule in rules(tree_of("machine"))} == {Rule.NOW}


# ---- what no label depends on


def fp(kind, **inputs):
    return {"fp": {"type": kind, "inputs_config": inputs, "run_config": {"command": "x"}}}


def vasp(text, **more):
    return fp("vasp", incar=text, kspacing=None, kgamma=None, incar_lists={}, pp_files={}, **more)


def classes(old, new):
    return [(str(change), change.rule) for change in relaxed(changes(root(), old, new), old, new)]


def test_of_a_text_with_both_the_settings_to_blame_are_named_and_no_other():
    old, new = vasp("NELM = 60\nENCUT = 300\nISMEAR = 0\n"), vasp("NELM = 200\nENCUT = 400\nALGO = All\n")
    assert classes(old, new) == [
        ("fp.inputs_config.incar: ENCUT = 300 → ENCUT = 400; ISMEAR = 0 → nothing", Rule.LABELS)
    ]


def test_what_no_label_depends_on_is_followed_at_once():
    old = vasp("NELM = 60\nENCUT = 300\n")
    assert [rule for _, rule in classes(old, vasp("ENCUT = 300\n\n! twice as many\nNELM = 120"))] == [Rule.NOW]


def test_a_section_and_a_card_are_named_by_their_own_words():
    scf = "&FORCE_EVAL\n&DFT\n&SCF\nEPS_SCF {}\nMAX_SCF {}\n&END\n&END\n&END\n"
    old, new = (
        fp("cp2k", inp_file=scf.format(*words), sections={}, files=[]) for words in (("1e-7", 50), ("1e-5", 99))
    )
    assert classes(old, new) == [("fp.inputs_config.inp_file: EPS_SCF 1e-7 → EPS_SCF 1e-5", Rule.LABELS)]
    card = "&electrons\nmixing_beta={}\n/\nK_POINTS automatic\n{} 1 1 0 0 0\n"
    old, new = (fp("qe", template=card.format(*words)) for words in ((0.7, 1), (0.3, 2)))
    (said,) = [text for text, rule in classes(old, new) if rule == Rule.LABELS]
    assert "K_POINTS automatic 1 1 1 0 0 0 → K_POINTS automatic 2 1 1 0 0 0" in said
    assert "mixing_beta" not in said


def test_changes_that_are_harmless_only_one_by_one_are_not_followed():
    """The convergence of the sections overrides the file's: either may go, both may not."""
    scf = "&FORCE_EVAL\n&DFT\n&SCF\nEPS_SCF {}\nMAX_SCF 50\n&END\n&END\n&END\n"
    over = {"FORCE_EVAL": {"DFT": {"SCF": {"EPS_SCF": "1e-7"}}}}
    old = fp("cp2k", inp_file=scf.format("1e-7"), sections=over, files=[])
    either = [
        fp("cp2k", inp_file=scf.format("1e-5"), sections=over, files=[]),
        fp("cp2k", inp_file=scf.format("1e-7"), sections={}, files=[]),
    ]
    assert [[rule for _, rule in classes(old, new)] for new in either] == [[Rule.NOW], [Rule.NOW]]
    both = fp("cp2k", inp_file=scf.format("1e-5"), sections={}, files=[])
    assert [rule for _, rule in classes(old, both)] == [Rule.LABELS, Rule.LABELS]
    more = {"FORCE_EVAL": {"DFT": {"SCF": {"EPS_SCF": "1e-7", "MAX_SCF": 99}}}}
    again = fp("cp2k", inp_file=scf.format("1e-7").replace("50", "70"), sections=more, files=[])
    assert [rule for _, rule in classes(old, again)] == [Rule.NOW, Rule.NOW]


def test_of_several_keys_each_has_its_own_class():
    common = {"pp_files": {}, "template": None, "control": {}, "kspacing": 0.2}
    old = fp("qe", **common, system={"ecutwfc": 40}, electrons={"mixing_beta": 0.7, "conv_thr": 1e-8})
    new = fp("qe", **common, system={"ecutwfc": 60}, electrons={"mixing_beta": 0.3, "electron_maxstep": 300})
    assert classes(old, new) == [
        ("fp.inputs_config.system.ecutwfc: 40 → 60", Rule.LABELS),
        ("fp.inputs_config.electrons.mixing_beta: 0.7 → 0.3", Rule.NOW),
        ("fp.inputs_config.electrons.conv_thr: 1e-08 → nothing", Rule.LABELS),
        ("fp.inputs_config.electrons.electron_maxstep: nothing → 300", Rule.NOW),
    ]


def test_a_labeler_that_cannot_say_what_labels_depend_on_relaxes_nothing(monkeypatch):
    from dpgen2_hpc.fp.vasp import VaspLabeler

    monkeypatch.setattr(VaspLabeler, "physics", classmethod(lambda cls, given: 1 / 0))
    old, new = vasp("NELM = 60\n"), vasp("NELM = 200\n")
    assert [rule for _, rule in classes(old, new)] == [Rule.LABELS]


def test_a_labeler_without_such_a_word_and_another_type_relax_nothing():
    for old, new in ((fp("custom", input_fn="a"), fp("custom", input_fn="b")), (fp("custom"), fp("deepmd"))):
        assert {rule for _, rule in classes(old, new)} == {Rule.LABELS}
