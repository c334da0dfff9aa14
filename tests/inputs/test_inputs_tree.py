"""The walk along a tree of arguments: what a document means, and every fault with its place."""

import json
from collections.abc import Mapping

import pytest
from dargs import Argument, Variant
from hypothesis import given, settings
from hypothesis import strategies as st

from dpgen2_hpc.inputs.read import Document, read_json
from dpgen2_hpc.inputs.tree import normalize
from dpgen2_hpc.kinds import Key

quick = settings(max_examples=100, deadline=None, database=None)


@pytest.fixture
def walk(tmp_path):
    """Return a function that normalizes a JSON text along some keys, and gives the meaning and the faults as lines."""

    def run(text, *keys, variants=(), later: Mapping = {}):
        path = tmp_path / "p.json"
        path.write_text(text)
        result, faults = normalize(Argument("root", dict, keys, variants), read_json(path), later)
        return result, [str(fault).removeprefix(f"{tmp_path}/") for fault in faults]

    return run


def groups(**more):
    return Variant(
        "type",
        [
            Argument("md", dict, [Key("temps", list[float], "", above=0), Argument("steps", int)], alias=["nvt-md"]),
            Argument("template", dict, [Argument("file", str)]),
        ],
        **more,
    )


# ---- what a document means


def test_defaults_are_filled_in_at_every_level(walk):
    inner = Argument("inner", dict, [Argument("x", float, optional=True, default=2)], optional=True, default={})
    empty = Argument("empty", str, optional=True)
    null = Argument("null", str, optional=True, default=None)
    assert walk("{}", inner, empty, null) == ({"inner": {"x": 2.0}, "null": None}, [])


def test_a_default_is_never_shared(walk):
    key = Argument("names", list, optional=True, default=[])
    first, _ = walk("{}", key)
    first["names"].append("x")
    assert walk("{}", key) == ({"names": []}, [])


def test_an_alias_becomes_the_name_it_stands_for(walk):
    key = Argument("conf_idx", list, alias=["sys_idx", "conf_idx"])
    assert walk('{"sys_idx": [1]}', key) == ({"conf_idx": [1]}, [])


def test_comments_are_dropped_at_every_level(walk):
    keys = [Argument("free", dict), Argument("part", dict, [Argument("x", int)])]
    text = '{"_a": 1, "free": {"_b": 1, "c": [{"_d": 1}]}, "part": {"_e": NULL, "x": 1}}'.replace("NULL", "null")
    assert walk(text, *keys) == ({"free": {"c": [{}]}, "part": {"x": 1}}, [])


def test_an_integer_becomes_a_float_where_only_floats_are_meant(walk):
    result, faults = walk(
        '{"a": 1, "b": [1, 2.5], "c": 1, "d": {"Al": 3}, "e": 1}',
        Argument("a", [float, None]),
        Argument("b", list[float]),
        Argument("c", [int, float]),
        Argument("d", dict[str, float]),
        Argument("e", int),
    )
    assert not faults
    assert repr(result) == "{'a': 1.0, 'b': [1.0, 2.5], 'c': 1, 'd': {'Al': 3.0}, 'e': 1}"


def test_the_document_itself_is_left_as_it_was(tmp_path):
    path = tmp_path / "p.json"
    path.write_text('{"_c": 1, "b": {"a": 1}}')
    document = read_json(path)
    normalize(Argument("root", dict, [Argument("b", dict, [Argument("a", float)])]), document)
    assert document.value == {"_c": 1, "b": {"a": 1}}


# ---- keys


def test_an_unknown_key_is_answered_with_the_nearest_name(walk):
    text = '{\n  "conv_acuracy": 0.9}'
    _, faults = walk(text, Argument("conv_accuracy", float, optional=True), Argument("level", int, optional=True))
    sentence = "unknown key 'conv_acuracy'; did you mean 'conv_accuracy'? Known here: conv_accuracy, level."
    assert faults == [f"p.json:2:3: conv_acuracy: {sentence}"]


def test_the_nearest_name_may_be_an_alias_and_case_does_not_matter(walk):
    _, faults = walk('{"TS": 1}', Argument("temperatures", int, optional=True, alias=["Ts"]))
    assert faults == ["p.json:1:2: TS: unknown key 'TS'; did you mean 'Ts'? Known here: temperatures."]


def test_a_missing_key_is_told_at_its_object(walk):
    part = Argument("part", dict, [Argument("x", [float, list[float]]), Argument("y", int)])
    assert walk('{\n "part": {"y": 1}}', part) == (
        {"part": {"y": 1}},
        ["p.json:2:2: part.x: this key is missing: expected a number or a list of numbers"],
    )


def test_a_key_and_its_alias_together_are_refused(walk):
    result, faults = walk('{"Ts": [1],\n "temps": [2]}', Argument("temps", list, alias=["Ts"]))
    assert result == {}
    assert faults == ["p.json:2:2: temps: 'Ts' and 'temps' are the same key: give only one of them"]


def test_two_aliases_together_are_refused(walk):
    _, faults = walk('{"b": 1, "c": 1}', Argument("a", int, alias=["b", "c"]))
    assert faults == ["p.json:1:10: c: 'b' and 'c' are the same key: give only one of them"]


def test_a_key_of_a_later_version_is_refused_by_name_but_its_default_stands(walk):
    key = Key("pka_e", float, "", optional=True, default=None, available=False)
    assert walk("{}", key) == ({"pka_e": None}, [])
    assert walk('{"pka_e": "x"}', key) == (
        {},
        ["p.json:1:2: pka_e: 'pka_e' is not available yet in this version: leave it out (its default is null)"],
    )


# ---- types


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (float, '"0.5"', "x: expected a number, found the string '0.5'"),
        (float, "true", "x: expected a number, found true"),
        (int, "false", "x: expected a whole number, found false"),
        (int, "1.5", "x: expected a whole number, found the number 1.5"),
        ([int, float], "null", "x: expected a number, found null"),
        (bool, "1", "x: expected true or false, found the number 1"),
        ([str, None], "{}", "x: expected a string or null, found an object"),
        ([list, str], "3", "x: expected a string or a list, found the number 3"),
        (dict, "[]", "x: expected an object, found a list"),
        (list[float], "3", "x: expected a list of numbers, found the number 3"),
        (list[float], '[1, "2"]', "x[1]: expected a number, found the string '2'"),
        (list[list[int]], "[[1], 2]", "x[1]: expected a list of whole numbers, found the number 2"),
        (list[list[int]], "3", "x: expected a list of lists of whole numbers, found the number 3"),
        (dict[str, str], '{"a": 1}', "x.a: expected a string, found the number 1"),
        (int | None, '"a"', "x: expected a whole number or null, found the string 'a'"),
        (list[int | str], "[null]", "x[0]: expected a whole number or a string, found null"),
    ],
)
def test_a_wrong_type_is_told_in_words(walk, dtype, value, expected):
    result, faults = walk(f'{{"x": {value}}}', Argument("x", dtype))
    assert [fault.split(": ", 1)[1] for fault in faults] == [expected]
    assert result == {}


@pytest.mark.parametrize(
    ("value", "found"),
    [(float("nan"), "NaN"), (float("inf"), "a number that is too large"), (10**5000, "a number that is too large")],
    ids=["nan", "infinity", "huge"],
)
def test_a_number_that_is_none_is_refused_even_without_a_file(value, found):
    root = Argument("root", dict, [Key("x", float, "", minimum=0, maximum=9), Argument("free", list)])
    _, faults = normalize(root, Document("p.json", {"x": value, "free": [value]}, {}))
    assert [str(fault) for fault in faults] == [
        f"p.json: x: expected a number, found {found}",
        f"p.json: free[0]: expected a value, found {found}",
    ]


def test_a_document_that_is_no_object_is_a_fault():
    result, faults = normalize(Argument("root", dict, [Argument("x", int)]), Document("p.json", [], {}))
    assert (result, [str(fault) for fault in faults]) == ({}, ["p.json: expected an object, found a list"])


# ---- limits


@pytest.mark.parametrize(
    ("limit", "good", "bad", "expected"),
    [
        ({"minimum": 0}, "0", "-3", "must be at least 0, found -3"),
        ({"maximum": 1.0}, "1", "1.5", "must be at most 1.0, found 1.5"),
        ({"above": 0}, "0.1", "0", "must be more than 0, found 0"),
        ({"below": 2}, "1.9", "2", "must be less than 2, found 2"),
    ],
)
def test_a_number_out_of_bounds_is_told_with_both_numbers(walk, limit, good, bad, expected):
    key = Key("x", [float, list[float], list[list[float]], None], "", **limit)
    assert walk(f'{{"x": [{good}]}}', key)[1] == []
    assert walk(f'{{"x": {bad}}}', key)[1] == [f"p.json:1:2: x: {expected}"]
    assert walk(f'{{"x": [{good},\n{bad}]}}', key)[1] == [f"p.json:2:1: x[1]: {expected}"]
    assert walk(f'{{"x": [[{good}], [{bad}]]}}', key)[1][0].endswith(f"x[1][0]: {expected}")


def test_bounds_reach_the_numbers_under_free_names(walk):
    key = Key("distances", dict[str, float], "", above=0)
    assert walk('{"distances": {"Al": 0, "_Mg": 0}}', key)[1] == [
        "p.json:1:16: distances.Al: must be more than 0, found 0"
    ]


def test_a_null_or_a_word_has_no_bounds(walk):
    key = Key("x", [int, str, None], "", minimum=0, choices=["auto"])
    assert walk('{"x": null}', key) == ({"x": None}, [])
    assert walk('{"x": "auto"}', key) == ({"x": "auto"}, [])


def test_a_word_that_is_no_choice_is_answered_with_the_nearest(walk):
    key = Key("ens", [str, list[str]], "", choices=["nve", "nvt-langevin"])
    sentence = "unknown value 'nvt-langvin'; did you mean 'nvt-langevin'? Known here: nve, nvt-langevin."
    assert walk('{"ens": "nvt-langvin"}', key)[1] == [f"p.json:1:2: ens: {sentence}"]
    assert walk('{"ens": ["nve", "nvt-langvin"]}', key)[1] == [f"p.json:1:17: ens[1]: {sentence}"]


def test_an_extra_check_speaks_only_of_values_of_the_right_type(walk):
    key = Argument("x", int, extra_check=lambda x: x % 2 == 0, extra_check_errmsg="must be even")
    assert walk('{"x": 2}', key) == ({"x": 2}, [])
    assert walk('{"x": 3}', key) == ({}, ["p.json:1:2: x: must be even"])
    assert walk('{"x": "a"}', key)[1] == ["p.json:1:2: x: expected a whole number, found the string 'a'"]


def test_an_extra_check_without_a_message_still_says_what_was_found(walk):
    _, faults = walk('{"x": 3}', Argument("x", int, extra_check=lambda _: False))
    assert faults == ["p.json:1:2: x: the number 3 is not allowed here"]


# ---- variants


def test_the_flag_chooses_the_keys(walk):
    assert walk('{"type": "md", "temps": [300], "steps": 5}', variants=[groups()]) == (
        {"type": "md", "temps": [300.0], "steps": 5},
        [],
    )


def test_the_alias_of_a_type_becomes_its_name(walk):
    assert walk('{"type": "nvt-md", "temps": [], "steps": 5}', variants=[groups()])[0]["type"] == "md"


def test_a_missing_flag_is_a_fault_or_its_default(walk):
    _, faults = walk("{}", variants=[groups()])
    assert faults == ["p.json:1:1: type: this key is missing: choose from md, template"]
    optional = groups(optional=True, default_tag="template")
    assert walk('{"file": "a"}', variants=[optional]) == ({"type": "template", "file": "a"}, [])


def test_an_unknown_type_is_one_fault_and_its_keys_are_not_judged(walk):
    _, faults = walk('{"type": "tmplate", "file": "a", "n": true}', Argument("n", int), variants=[groups()])
    assert faults == [
        "p.json:1:2: type: unknown type 'tmplate'; did you mean 'template'? Known here: md, template.",
        "p.json:1:34: n: expected a whole number, found true",
    ]


def test_a_type_that_is_no_word_is_a_fault(walk):
    _, faults = walk('{"type": ["md"]}', variants=[groups()])
    assert faults == ["p.json:1:2: type: expected a string, found a list"]


def test_a_type_of_a_later_version_is_refused_by_name(walk):
    key = Argument("group", dict, [], [groups()])
    _, faults = walk('{"group": {"type": "vasp"}}', key, later={"group": ["vasp"], "other": ["md"]})
    assert faults == ["p.json:1:12: group.type: 'vasp' is not available yet in this version: choose from md, template"]


def test_a_key_of_another_type_is_unknown(walk):
    _, faults = walk('{"type": "template", "file": "a", "steps": 1}', variants=[groups()])
    assert faults == ["p.json:1:35: steps: unknown key 'steps'. Known here: type, file."]


def test_a_choice_may_have_variants_of_its_own(walk):
    inner = Variant("style", [Argument("a", dict, [Argument("x", int)]), Argument("b", dict)])
    outer = Variant("type", [Argument("md", dict, [Argument("n", int)], [inner])])
    assert walk('{"type": "md", "style": "a", "x": 1, "n": 2}', variants=[outer]) == (
        {"type": "md", "style": "a", "x": 1, "n": 2},
        [],
    )


# ---- repetition


def test_a_repeated_list_is_walked_element_by_element(walk):
    key = Argument("groups", list, [], [groups()], repeat=True)
    _, faults = walk('{"groups": [\n{"type": "template", "file": 1},\n3,\n{"type": "template"}]}', key)
    assert faults == [
        "p.json:2:22: groups[0].file: expected a string, found the number 1",
        "p.json:3:1: groups[1]: expected an object, found the number 3",
        "p.json:4:1: groups[2].file: this key is missing: expected a string",
    ]
    assert walk('{"groups": {}}', key)[1] == ["p.json:1:2: groups: expected a list of objects, found an object"]


def test_a_repeated_list_of_lists_is_walked_too(walk):
    key = Argument("stages", list[list[dict]], [], [groups()], repeat=True)
    text = '{"stages": [[{"type": "md", "temps": [1], "steps": 1}], [{"type": "md", "temps": [1, -1], "steps": 1}]]}'
    _, faults = walk(text, key)
    assert faults == ["p.json:1:86: stages[1][0].temps[1]: must be more than 0, found -1"]
    assert walk("{}", key)[1] == ["p.json:1:1: stages: this key is missing: expected a list of lists of objects"]
    assert walk('{"stages": [{}]}', key)[1] == ["p.json:1:13: stages[0]: expected a list of objects, found an object"]
    assert walk('{"stages": [[{"type": "md", "Temps": [1], "temps": [1], "steps": 1}]]}', key)[1] == [
        "p.json:1:29: stages[0][0].Temps: unknown key 'Temps'; did you mean 'temps'? Known here: type, temps, steps."
    ]


def test_a_repeated_object_has_its_parts_under_free_names(walk):
    key = Argument("systems", dict, [Argument("x", float)], repeat=True)
    assert walk('{"systems": {"one": {"x": 1}, "_two": 3}}', key) == ({"systems": {"one": {"x": 1.0}}}, [])
    assert walk('{"systems": {"one": 3}}', key)[1] == [
        "p.json:1:14: systems.one: expected an object, found the number 3"
    ]


# ---- all at once


def test_all_faults_come_at_once_in_the_order_of_the_file(walk):
    keys = [Argument("a", int), Argument("b", dict, [Argument("c", float), Argument("d", str)]), Argument("e", str)]
    result, faults = walk('{\n"e": 1,\n"b": {"c": "x"},\n"zzz": 0,\n"a": 7}', *keys)
    assert [fault.split(": ")[0] for fault in faults] == ["p.json:2:1", "p.json:3:1", "p.json:3:7", "p.json:4:1"]
    assert result == {"a": 7, "b": {}}


def test_an_object_with_a_fault_keeps_what_is_right_and_not_the_default_of_what_was_misspelt(walk):
    keys = [Key(name, int, "", optional=True, default=1) for name in ("steps", "stride", "size")]
    part = Argument("parts", list[dict], [*keys, Argument("names", list[str], optional=True, default=[])], repeat=True)
    result, faults = walk('{"parts": [{"step": 5, "size": "x", "names": ["a", 1]}, {"stride": 2}]}', part)
    assert len(faults) == 3
    assert result == {"parts": [{"stride": 1}, {"steps": 1, "stride": 2, "size": 1, "names": []}]}


RICH = Argument(
    "root",
    dict,
    [
        Key("a", [float, None], "", optional=True, default=None, minimum=0, alias=["b"]),
        Key("c", [str, list[str]], "", optional=True, default="x", choices=["x", "y"]),
        Argument("d", list[list[dict]], [Argument("a", int)], repeat=True, optional=True, default=[]),
        Argument("e", [dict, list], [], [groups()], repeat=True, optional=True),
        Argument("f", dict, [Argument("a", float)], optional=True),
        Argument("free", [dict, list[float]], optional=True, default={}),
    ],
    [Variant("type", [Argument("md", dict, [Argument("x", bool, optional=True, default=True)])], True, "md")],
)
names = st.sampled_from(["a", "b", "c", "d", "e", "f", "free", "type", "x", "_c", "temps", "steps", "A"]) | st.text(
    max_size=3
)
scalars = st.sampled_from(["md", "x", "template", 1, -1, 0.5]) | (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner), max_leaves=12)


@quick
@given(values | st.dictionaries(names, values))
def test_no_json_value_makes_the_walk_raise(value):
    result, faults = normalize(RICH, Document("p.json", value, {}), {"e": ["x"]})
    assert all(str(fault) for fault in faults)
    if not faults:
        assert not json.dumps(result).count('"_')


def objects(required, optional):
    return st.fixed_dictionaries(required, optional=optional)


numbers = st.integers(-9, 9) | st.floats(-9, 9)
md = objects({"type": st.just("md"), "temps": st.lists(st.integers(1, 9)), "steps": st.integers()}, {"_n": st.none()})
valid = objects(
    {},
    {
        "b": st.none() | st.integers(0, 9),
        "c": st.sampled_from(["x", ["y"], []]),
        "d": st.lists(st.lists(objects({"a": st.integers()}, {"_x": numbers}))),
        "e": st.lists(md) | st.dictionaries(st.sampled_from(["one", "two"]), md),
        "f": objects({"a": numbers}, {}),
        "free": st.lists(numbers)
        | st.dictionaries(
            names, scalars.filter(lambda x: x == x and abs(hash(x)) < 1e15 and str(x) not in ("inf", "-inf"))
        ),
        "type": st.just("md"),
        "x": st.booleans(),
    },
)


@quick
@given(valid)
def test_a_normalized_document_normalizes_to_itself(value):
    first, faults = normalize(RICH, Document("p.json", value, {}))
    assert not faults
    second, faults = normalize(RICH, Document("p.json", first, {}))
    assert (repr(second), faults) == (repr(first), [])
