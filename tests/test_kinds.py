"""The registry: our own kinds by name, and those that another package offers."""

import pytest

from dpgen2_hpc import kinds
from dpgen2_hpc.errors import InputError


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """An installed package with a labeler of its own."""
    (tmp_path / "plugged.py").write_text("class Labeler:\n    pass\n")
    info = tmp_path / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dpgen2_hpc.fp]\nmine = plugged:Labeler\n")
    monkeypatch.syspath_prepend(tmp_path)
    kinds._offered.cache_clear()
    yield
    kinds._offered.cache_clear()


@pytest.mark.usefixtures("plugin")
def test_a_kind_that_another_package_offers_is_found_by_its_name():
    assert kinds.names("fp")[-1] == "mine"
    assert kinds.load("fp", "mine").__module__ == "plugged"
    assert "mine" not in kinds.names("train")


def test_a_name_that_nobody_offers_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match="there is no fp type 'mine'; there are: ase, vasp"):
        kinds.load("fp", "mine")


def test_an_input_loads_the_labeler_that_it_names_and_no_other():
    import subprocess
    import sys

    code = "import sys; from dpgen2_hpc.inputs.dialects import today; today.tree(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {name for name in loaded if name.startswith("dpgen2_hpc.fp.")}
