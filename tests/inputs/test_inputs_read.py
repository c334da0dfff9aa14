"""Reading strict JSON: every message with its place, and never a traceback."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.read import DEEPEST, read_json

quick = settings(
    max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Return a function that writes bytes or text to ``param.json`` in the current directory."""
    monkeypatch.chdir(tmp_path)
    path = Path("param.json")

    def write(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def message(path):
    with pytest.raises(InputError) as caught:
        read_json(path)
    return str(caught.value)


def test_a_good_file_is_read_as_json_reads_it(file):
    text = '{"a": [1, -2.5e3, {"b": null}], "c": "\\u00e9\\n", "d": [true, false, [], {}]}'
    document = read_json(file(text))
    assert document.value == json.loads(text)
    assert document.file == "param.json"


def test_integers_stay_integers_whatever_their_size(file):
    assert read_json(file('{"a": 12345678901234567890}')).value["a"] == 12345678901234567890


def test_every_key_and_element_has_its_line_and_column(file):
    document = read_json(file('{\n  "a": [1,\n    {"b": 2}]\n}'))
    assert document.places == {
        (): (1, 1),
        ("a",): (2, 3),
        ("a", 0): (2, 9),
        ("a", 1): (3, 5),
        ("a", 1, "b"): (3, 6),
    }


def test_a_byte_order_mark_is_skipped_and_does_not_move_the_columns(file):
    document = read_json(file(b'\xef\xbb\xbf{"a": 1}'))
    assert document.value == {"a": 1}
    assert document.places["a",] == (1, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1,}', "param.json:1:8: a comma with nothing behind it: remove it before '}'"),
        ('{"a": [1,\n]}', "param.json:1:9: a: a comma with nothing behind it: remove it before ']'"),
        ('{"a": 1\n "b": 2}', "param.json:1:8: expected ',' or '}': is a comma missing here?"),
        ('{"a": ["x" "y"]}', "param.json:1:11: a: expected ',' or ']': is a comma missing here?"),
        (
            "{'a': 1}",
            'param.json:1:2: expected a key in double quotes, found "\'": strings and keys stand in straight double quotes',
        ),
        (
            '{"a": 1 // one\n}',
            "param.json:1:9: expected ',' or '}', found '/': JSON has no comments, but a key that begins with \"_\" is one",
        ),
        (
            '# my file\n{"a": 1}',
            "param.json:1:1: expected a value, found '#': JSON has no comments, but a key that begins with \"_\" is one",
        ),
        ('{"a": True}', "param.json:1:7: a: expected a value, found 'T': JSON writes true, false and null"),
        (
            "{a: 1}",
            "param.json:1:2: expected a key in double quotes, found 'a': strings and keys stand in double quotes",
        ),
        ('{"a": .5}', "param.json:1:7: a: expected a value, found '.': a number begins with '-' or a digit"),
        (
            '{"a": 01}',
            "param.json:1:8: expected ',' or '}', found '1': a number begins with 0 only before its point",
        ),
        ('{"a" 1}', "param.json:1:6: a: expected ':' behind the key, found '1'"),
        ('{"a": "x', "param.json:1:7: a: this string never ends"),
        (
            '{"a": "x\ny"}',
            "param.json:1:9: a: a string does not go over the end of a line: write \\n for a line break",
        ),
        ('{"a": "C:\\dir"}', "param.json:1:10: a: not a JSON string: Invalid \\escape"),
        ('{"a": [1, 2', "param.json:1:12: a: expected ',' or ']', but the file ends here"),
        ('{"a": 1}}', "param.json:1:9: expected the end of the file, found '}'"),
        ("", "param.json:1:1: the file is empty"),
        ("[1]", "param.json:1:1: expected an object, {...}, found a list"),
        ('"x"', "param.json:1:1: expected an object, {...}, found the string 'x'"),
    ],
)
def test_a_slip_is_named_with_its_place_and_its_remedy(file, text, expected):
    assert message(file(text)) == expected


def test_what_is_no_finite_number_is_refused_everywhere_at_once(file):
    text = '{"a": NaN,\n "b": [0, Infinity],\n "c": -Infinity, "d": 1e999,\n "e": ' + "9" * 5000 + "}"
    lines = message(file(text)).splitlines()
    assert lines[:4] == [
        "param.json:1:7: a: NaN is not a finite number",
        "param.json:2:11: b[1]: Infinity is not a finite number",
        "param.json:3:7: c: -Infinity is not a finite number",
        "param.json:3:23: d: 1e999 is not a finite number",
    ]
    assert lines[4].startswith("param.json:4:7: e: 9999")
    assert len(lines) == 5


def test_a_duplicate_key_is_refused_with_both_lines_and_its_path(file):
    text = '{"fp": {"x": 1,\n  "y": 2,\n  "x": 3}}'
    assert message(file(text)) == "param.json:3:3: fp.x: the key 'x' stands here twice, first on line 1"


def test_what_stands_inside_a_duplicate_is_no_duplicate(file):
    assert len(message(file('{"a": {"x": 1}, "a": {"x": 2}}')).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"_": 1, "_": 2, "_": "three"}',
        '{"a": {"_comment": "one", "b": 1, "_comment": {"c": 1, "c": 2}}}',
        '{"a": {"x": [1, null]}, "a": {"x": [1, null]}}',
    ],
)
def test_comments_and_what_is_the_same_both_times_may_stand_twice(file, text):
    assert read_json(file(text)).value == json.loads(text)


@pytest.mark.parametrize("again", ["1.0", "true", "[1]"])
def test_what_is_only_alike_is_not_the_same(file, again):
    assert "the key 'a' stands here twice" in message(file(f'{{"a": 1, "a": {again}}}'))


def test_faults_before_an_error_of_syntax_are_told_with_it(file):
    assert message(file('{"a": NaN, "a": 1, oops')).splitlines() == [
        "param.json:1:7: a: NaN is not a finite number",
        "param.json:1:12: a: the key 'a' stands here twice, first on line 1",
        "param.json:1:20: expected a key in double quotes, found 'o': strings and keys stand in double quotes",
    ]


def test_half_a_character_is_refused_and_can_be_printed(file):
    text = message(file('{"a": "\\ud83d", "\\ud83d": 1}'))
    text.encode()
    assert text.splitlines()[0] == "param.json:1:7: a: '\\\\ud83d' has half a character in it (a lone surrogate)"


def test_a_byte_that_is_not_utf8_is_named_with_its_place(file):
    assert message(file(b'{\n "a": "caf\xe9"}')) == (
        "param.json:2:11: byte 0xe9 is not UTF-8: save the file in that encoding"
    )


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_is_refused_before_it_hurts(file, opening):
    assert f"nested deeper than {DEEPEST} levels" in message(file(opening * 100_000))


def test_nesting_up_to_the_limit_is_read(file):
    def lists(depth):
        return file('{"a": ' + "[" * depth + "]" * depth + "}")

    read_json(lists(DEEPEST - 1))
    assert message(lists(DEEPEST)) == f"param.json:1:{6 + DEEPEST}: nested deeper than {DEEPEST} levels"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    assert message(tmp_path / "no.json") == f"{tmp_path}/no.json: cannot be read: No such file or directory"
    assert message(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    assert "cannot be read" in message(tmp_path / "a\0b")


def test_a_file_without_permission_is_named(file, monkeypatch):
    path = file("{}")

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", refuse)
    assert message(path) == "param.json: cannot be read: Permission denied"


@quick
@given(st.binary(max_size=60) | st.text('{}[]",:0123456789-.eEtruefalsn\\u/ \n', max_size=60).map(str.encode))
@example(b"\xff\xfe{\0}\0")
@example(b'{"a":-')
def test_no_bytes_raise_anything_but_an_input_error(file, content):
    path = file(content)
    try:
        document, faults = read_json(path), ()
    except InputError as error:
        document, faults = None, error.faults
    assert (document is None) == bool(faults)
    assert all(fault.file == "param.json" and fault.line and fault.column for fault in faults)
    "".join(str(fault) for fault in faults).encode()
    assert document is None or document.value == json.loads(content.decode("utf-8-sig"))


words = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(words, inner), max_leaves=8)


@quick
@given(st.dictionaries(words, values), st.sampled_from([None, 1]), st.booleans())
def test_what_json_writes_is_read_back(file, value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert read_json(file(text)).value == value
