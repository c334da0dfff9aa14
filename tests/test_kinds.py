"""The registry: our own kinds by name, and those that another package offers."""

import logging
import subprocess
import sys

import pytest

from dpgen2_hpc import kinds
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.describe import described
from dpgen2_hpc.inputs.dialects import today

SOURCE = """
from dataclasses import dataclass
from dpgen2_hpc.fp.abacus import AbacusLabeler

class Labeler(AbacusLabeler):
    pass

class Lacking:
    command = "true"
    def checks(self, context): return ()
    def write_inputs(self, frame, directory): return []
    def read_labels(self, directory): ...

function = len
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Return a function that installs a package with a labeler of its own."""

    def installed(place="plugged:Labeler", source=SOURCE):
        (tmp_path / "plugged.py").write_text(source)
        info = tmp_path / "plugged-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[dpgen2_hpc.fp]\nmine = {place}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "plugged", raising=False)
        kinds._offered.cache_clear()

    yield installed
    kinds._offered.cache_clear()


def test_a_kind_that_another_package_offers_is_found_by_its_name(plugin):
    plugin()
    assert kinds.names("fp")[-1] == "mine"
    assert kinds.load("fp", "mine").__module__ == "plugged"
    assert "mine" not in kinds.names("train")


@pytest.mark.parametrize(
    ("place", "source", "told"),
    [
        ("plugged:Lacking", SOURCE, r"\(plugged:Lacking\) has no shared, has_virial, arguments, from_settings\. See"),
        ("plugged:function", SOURCE, r"\(plugged:function\) is no class"),
        ("plugged:Missing", SOURCE, "cannot be imported: AttributeError: module 'plugged' has no attribute 'Missing'"),
        ("plugged:Labeler", "import no_such_package", "cannot be imported: ModuleNotFoundError: No module named"),
        ("plugged:Labeler", "x = = 1", "cannot be imported: SyntaxError"),
    ],
    ids=["lacking", "no-class", "missing", "no-module", "no-python"],
)
def test_one_that_cannot_be_used_is_named_with_its_package_and_stops_nothing_else(plugin, place, source, told, caplog):
    plugin(place, source)
    with pytest.raises(InputError, match=f"the fp type 'mine' of plugged 1.0 {told}"):
        kinds.load("fp", "mine")
    with caplog.at_level(logging.WARNING):
        assert "fp[abacus].inputs_config" in described(today.tree())
    assert "the fp type 'mine' of plugged 1.0" in caplog.text


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, types in kinds.OWN.items() for name in types])
def test_our_own_have_all_that_is_asked_of_a_foreign_one(kind, name):
    assert kinds._lacking(kinds.load(kind, name), kinds.FAMILIES[kind]) == []


def test_a_name_that_nobody_offers_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match="there is no fp type 'mine'; there are: ase, vasp"):
        kinds.load("fp", "mine")


def test_an_input_loads_the_labeler_that_it_names_and_no_other():
    code = "import sys; from dpgen2_hpc.inputs.dialects import today; today.tree(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {name for name in loaded if name.startswith("dpgen2_hpc.fp.")}
