"""Wildcards below folders whose own names look like wildcards."""

import pytest

from dpgen2_hpc.data.patterns import matches


@pytest.mark.parametrize("name", ["plain", "we[i]rd", "star*", "what?"])
def test_only_what_is_not_there_as_it_is_written_is_a_wildcard(tmp_path, name):
    folder = tmp_path / name / "data"
    for entry in ("a", "b", "sub/c"):
        (folder / entry).mkdir(parents=True)
    assert matches(folder / "*") == [str(folder / entry) for entry in ("a", "b", "sub")]
    assert matches(folder / "[ab]") == [str(folder / "a"), str(folder / "b")]
    assert str(folder / "sub" / "c") in matches(folder / "**")
    assert matches(folder / "a") == [str(folder / "a")]
    assert matches(folder / "nothing") == []


def test_a_file_whose_name_is_a_pattern_is_itself(tmp_path):
    (tmp_path / "a[1].vasp").touch()
    (tmp_path / "a1.vasp").touch()
    assert matches(tmp_path / "a[1].vasp") == [str(tmp_path / "a[1].vasp")]
