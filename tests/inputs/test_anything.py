"""Whatever stands in param.json, the answer is an understanding or faults with words, never a traceback."""

import copy
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_dialects import MANUAL, OLD, folder  # noqa: F401  (a fixture)
from test_dialects import TODAY as TODAY_VASP

from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.param import load_param

pytestmark = pytest.mark.slow

quick = settings(
    max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


odd = st.sampled_from(
    ["", "*", "\0", "../..", "data/*", "data", "/", "type", "lmp-md", "ase", "start.lmp", "é", "a" * 300]
)
numbers = st.integers(-3, 5) | st.sampled_from([0.5, -1.0, 1e300, -1e-300, 10**30, 2**31])
scalars = st.none() | st.booleans() | numbers | odd
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd | st.just("type"), inner, max_size=3),
    max_leaves=5,
)


def paths(value, path=()):
    """All paths of a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


INPUTS = {"today": TODAY_VASP, "manual": MANUAL, "old": OLD}
PLACES = [(name, path) for name, content in INPUTS.items() for path in paths(content) if path and "model" not in path]


def judged(folder, text, **options):  # noqa: F811
    path = folder / "param.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        load_param(path, {}, **options)
        return
    except InputError as error:
        faults = error.faults
    assert faults
    for fault in faults:
        str(fault).encode()
        assert fault.message.strip()
        assert "\n" not in fault.message


@quick
@given(st.binary(max_size=40) | st.text('{}[]",:0123456789-.eEtruefalsn\\u/ \n', max_size=40).map(str.encode))
def test_no_bytes_end_in_a_traceback(folder, content):  # noqa: F811
    judged(folder, content)


@quick
@given(st.dictionaries(st.sampled_from(["inputs", "train", "explore", "fp", "type_map", "sys_configs"]), values))
def test_no_json_value_ends_in_a_traceback(folder, value):  # noqa: F811
    judged(folder, json.dumps(value), old_compatible=True)


@settings(quick, max_examples=120)
@given(st.sampled_from(PLACES), values)
@example(("today", ("explore", "configurations", 0, "lattice")), ["fcc", None])
@example(("today", ("explore", "configurations", 0, "concentration")), [[None, 1]])
@example(("today", ("explore", "configurations", 2, "files")), "\0")
@example(("today", ("inputs", "init_data_sys")), "\0")
@example(("manual", ("fp", "incar")), "\0")
@example(("manual", ("train", "template_script")), "\0")
def test_a_good_input_with_one_value_exchanged_does_not_end_in_a_traceback(folder, place, value):  # noqa: F811
    name, path = place
    content = copy.deepcopy(INPUTS[name])
    part = content
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    judged(folder, json.dumps(content), old_compatible=True)
