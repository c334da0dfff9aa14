"""The registry: our own kinds by name, and those that another package offers."""

import logging
import subprocess
import sys
from typing import ClassVar

import conformance
import pytest

from dpgen2_hpc import kinds
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.describe import described
from dpgen2_hpc.inputs.dialects import today
from dpgen2_hpc.kinds import registry

SOURCE = """
from dpgen2_hpc.fp.abacus import AbacusLabeler
from dpgen2_hpc.kinds import Labeler

class Whole(AbacusLabeler):
    pass

class Half(Labeler):
    def command_line(self, words): return "true"
    def write_inputs(self, frame, directory): return []

class Other(AbacusLabeler):
    def write_inputs(self, frame): return []

class Stranger:
    pass

function = len
"""

MISSPELT = """
from dpgen2_hpc.fp.abacus import AbacusLabeler

class Whole(AbacusLabeler):
    text_file = ()
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Return a function that installs a package with a labeler of its own."""

    def installed(place="plugged:Whole", source=SOURCE):
        (tmp_path / "plugged.py").write_text(source)
        info = tmp_path / "plugged-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[dpgen2_hpc.fp]\nmine = {place}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "plugged", raising=False)
        registry._offered.cache_clear()

    yield installed
    registry._offered.cache_clear()


def test_a_kind_that_another_package_offers_is_found_by_its_name(plugin):
    plugin()
    assert kinds.names("fp")[-1] == "mine"
    assert kinds.load("fp", "mine").__module__ == "plugged"
    assert "mine" not in kinds.names("train")


@pytest.mark.parametrize(
    ("place", "source", "told"),
    [
        ("plugged:Half", SOURCE, r"\(plugged:Half\) has no arguments, from_settings, read_labels, shared\. See"),
        (
            "plugged:Other",
            SOURCE,
            r"\(plugged:Other\) takes other arguments in 'write_inputs': it is called as write_in",
        ),
        ("plugged:Stranger", SOURCE, r"\(plugged:Stranger\) does not inherit from dpgen2_hpc\.kinds\.Labeler"),
        ("plugged:function", SOURCE, r"\(plugged:function\) is not a class"),
        ("plugged:Missing", SOURCE, "cannot be imported: AttributeError: module 'plugged' has no attribute 'Missing'"),
        (
            "plugged:Whole",
            MISSPELT,
            r"cannot be imported: TypeError: Whole: Labeler has no 'text_file' \(is 'text_files'",
        ),
        ("plugged:Whole", "import no_such_package", "cannot be imported: ModuleNotFoundError: No module named"),
        ("plugged:Whole", "x = = 1", "cannot be imported: SyntaxError"),
    ],
    ids=["half", "signature", "stranger", "no-class", "missing", "misspelt", "no-module", "no-python"],
)
def test_one_that_cannot_be_used_is_named_with_its_package_and_stops_nothing_else(plugin, place, source, told, caplog):
    plugin(place, source)
    with pytest.raises(InputError, match=f"the fp type 'mine' of plugged 1.0 {told}"):
        kinds.load("fp", "mine")
    with caplog.at_level(logging.WARNING):
        assert "fp[abacus].inputs_config" in described(today.tree())
    assert "the fp type 'mine' of plugged 1.0" in caplog.text


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, types in kinds.OWN.items() for name in types])
def test_our_own_are_what_a_foreign_one_must_be_and_mypy_sees_it(kind, name):
    found = kinds.load(kind, name)
    assert registry._misfit(found, registry.FAMILIES[kind]) is None
    assert any(found in types for types in vars(conformance).values() if isinstance(types, list))


def test_settings_and_helpers_may_have_any_name_and_a_hook_with_a_slip_in_its_name_is_refused():
    class Good(kinds.Configurations):
        edge: float = 1.0
        _helper = 2

    with pytest.raises(TypeError, match=r"Bad: Configurations has no 'occuring' \(is 'occurring' meant\?\)"):

        class Bad(Good):
            def occuring(self):
                pass

    with pytest.raises(TypeError, match="Constant: Configurations has no 'most'; names of helpers begin with '_'"):

        class Constant(Good):
            most: ClassVar[int] = 1


def test_a_name_that_nobody_offers_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match="there is no fp type 'mine'; there are: ase, vasp"):
        kinds.load("fp", "mine")


def test_an_input_loads_the_labeler_that_it_names_and_no_other():
    code = "import sys; from dpgen2_hpc.inputs.dialects import today; today.tree(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {name for name in loaded if name.startswith("dpgen2_hpc.fp.")}
