"""A run has copies of the files that all labels read: labelers do not ask for the originals again."""

import importlib
from pathlib import Path

import pytest
from labelers import made

from dpgen2_hpc import kinds
from dpgen2_hpc.kinds import CheckContext

MORE = {
    "abacus": lambda settings, folder: settings(folder, orb_files={"Al": "Al.orb", "Cu": "Cu.orb"}),
    "cp2k": lambda settings, folder: settings(folder, files=["BASIS", "POTENTIALS"]),
}
"""Settings with files that the sample of the contract tests does not have."""


def labeler_of(kind, folder):
    module = importlib.import_module(f"test_{kinds.OWN['fp'][kind].partition(':')[0].rpartition('.')[2]}_labels")
    name = kind.removeprefix("fpop_")
    for file in ("BASIS", "POTENTIALS"):
        (folder / file).write_text(f"{file}\n")
    given = MORE[name](module.settings, folder) if name in MORE else module.SAMPLE.settings(folder)
    return made(kind, given, folder), module.SAMPLE.type_map


@pytest.mark.parametrize("kind", kinds.OWN["fp"])
def test_no_labeler_asks_for_a_file_that_the_run_has_taken_up(kind, tmp_path):
    labeler, type_map = labeler_of(kind, tmp_path)
    paths = [str(path) for path in labeler.shared().values()]
    masses = tuple(1.0 for _ in type_map)
    assert list(labeler.checks(CheckContext(type_map, masses, 4))) == []
    for path in paths:
        Path(path).unlink()
    missing = [text for _, text in labeler.checks(CheckContext(type_map, masses, 4)) if "there is no file" in text]
    assert len(missing) == len(paths)
    assert list(labeler.checks(CheckContext(type_map, masses, 4, frozenset(paths)))) == []
    some = [text for _, text in labeler.checks(CheckContext(type_map, masses, 4, frozenset(paths[1:])))]
    assert len(some) == min(len(paths), 1)


def test_most_labelers_have_such_files(tmp_path):
    counts = {kind: len(labeler_of(kind, tmp_path)[0].shared()) for kind in kinds.OWN["fp"]}
    assert {kind for kind, count in counts.items() if not count} == {"ase", "gaussian"}
    assert counts["abacus"] == 4


@pytest.mark.parametrize(
    ("pattern", "has"),
    [
        ("/a/b/POSCAR", True),
        ("/a/./b/../b/POSCAR", True),
        ("/a/*/POS*", True),
        ("/a/b/**/POSCAR", True),
        ("/a/b/x", False),
    ],
)
def test_a_pattern_stands_for_the_files_that_were_taken_up(pattern, has):
    assert CheckContext((), (), 4, frozenset({"/a/b/POSCAR"})).has_kept(pattern) is has
