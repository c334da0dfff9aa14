"""What every labeler must do. Runs over the registry: one more labeler is one more column, with its own SAMPLE."""

import contextlib
import importlib
import os
import re
import shutil

import numpy as np
import pytest
from labelers import context, made, prepared, within
from mutations import mutated as damages

from dpgen2_hpc import kinds
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.gate import Gate

TYPES = list(kinds.OWN["fp"])
CUTS = 12
LAST = 600
"""Bytes at the end of an output: its stress, and what comes behind."""
DAMAGES, SEED = 250, 20261126
SECONDS = 20.0
"""Within which any output is read or rejected."""
LARGE = 8 << 30


def sample_of(kind):
    stem = kinds.OWN["fp"][kind].partition(":")[0].rpartition(".")[2]
    return importlib.import_module(f"test_{stem}_labels").SAMPLE


@pytest.fixture(params=TYPES)
def kind(request):
    return request.param


@pytest.fixture
def sample(kind):
    return sample_of(kind)


@pytest.fixture
def labeler(kind, sample, tmp_path):
    return made(kind, sample.settings(tmp_path), tmp_path)


@pytest.fixture
def task(labeler, sample, tmp_path):
    return prepared(labeler, sample.frame, tmp_path / "03.fp" / "task.000000")


@pytest.fixture(scope="session")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture
def good(kind, sample, task, outputs):
    """Let the task's program go well: it runs once in all, because it does the same for each test."""
    once = outputs / kind
    if once.exists():
        shutil.rmtree(task)
        shutil.copytree(once, task, symlinks=True)
    else:
        sample.good(task)
        shutil.copytree(task, once, symlinks=True)


def test_good_settings_have_no_problems(labeler, sample):
    assert list(labeler.checks(context(*sample.type_map))) == []


def test_inputs_are_named_and_nothing_else_is_written(labeler, sample, tmp_path):
    directory = prepared(labeler, sample.frame, tmp_path / "03.fp" / "task.000000")
    again = tmp_path / "03.fp" / "task.000001"
    again.mkdir()
    names = sorted(labeler.write_inputs(sample.frame, again))
    assert names
    assert sorted(path.name for path in again.iterdir()) == names
    for name in names:
        if not (again / name).is_dir():
            assert (again / name).read_bytes() == (directory / name).read_bytes()


def test_links_stay_in_the_steps_folder(task):
    """A batch is forwarded whole, or moved: nothing outside of it may be needed."""
    for path in task.iterdir():
        if path.is_symlink():
            assert str(path.readlink()).startswith("../shared/")
        assert path.exists()


def test_what_tells_inputs_apart_differs_for_another_frame(labeler, sample, tmp_path):
    (tmp_path / "03.fp").mkdir()
    (tmp_path / "03.fp" / "shared").mkdir()
    for name, target in labeler.shared().items():
        (tmp_path / "03.fp" / "shared" / name).symlink_to(target)
    told = []
    for number, frame in enumerate([sample.frame, moved(sample.frame)]):
        directory = tmp_path / "03.fp" / f"task.{number}"
        directory.mkdir()
        written = labeler.write_inputs(frame, directory)
        told.append(
            dict(written) if hasattr(written, "items") else [(directory / name).read_bytes() for name in written]
        )
    assert told[0] != told[1]


@pytest.mark.usefixtures("good")
def test_the_good_output_is_a_label_of_the_frame(labeler, sample, task):
    labels = Gate().read(labeler, task, sample.frame)
    assert labels.frame is sample.frame
    assert labels.forces.shape == sample.frame.coords.shape
    assert np.abs(labels.forces).max() > 1e-6
    if labeler.has_virial:
        assert labels.virial is not None
        np.testing.assert_allclose(labels.virial, labels.virial.T, atol=1e-3)


@pytest.mark.usefixtures("good")
def test_the_good_output_is_no_label_of_another_frame(labeler, sample, task):
    with pytest.raises(LabelRefused, match="from where it was asked to be"):
        Gate().read(labeler, task, moved(sample.frame))


def test_the_bad_output_is_no_label(labeler, sample, task):
    sample.bad(task)
    with pytest.raises((LabelRefused, OutputError)):
        Gate().read(labeler, task, sample.frame)


def test_a_task_that_wrote_nothing_has_no_output(labeler, sample, task):
    with pytest.raises(OutputError):
        Gate().read(labeler, task, sample.frame)


@pytest.mark.usefixtures("good")
def test_a_cut_output_is_the_whole_label_or_none(labeler, sample, task):
    """A file that ends anywhere: never a label without stress, with fewer atoms, or with other numbers."""
    whole = Gate().read(labeler, task, sample.frame)
    output = task / sample.output
    content = output.read_bytes()
    for path in task.iterdir():
        if path.name == "vasprun.xml":
            path.unlink()
    accepted = 0
    for part in range(1, CUTS):
        output.write_bytes(content[: len(content) * part // CUTS])
        try:
            labels = Gate().read(labeler, task, sample.frame)
        except (LabelRefused, OutputError):
            continue
        accepted += 1
        assert labels.energy == whole.energy
        np.testing.assert_array_equal(labels.forces, whole.forces)
        assert (labels.virial is None) == (whole.virial is None)
    assert accepted < CUTS - 1


@pytest.mark.slow
@pytest.mark.usefixtures("good")
def test_an_output_cut_in_its_last_lines_is_the_whole_label_or_none(labeler, sample, task):
    """At each byte: a number that was cut in its middle is another number."""
    whole = Gate().read(labeler, task, sample.frame)
    output = task / sample.output
    content = output.read_bytes()
    (task / "vasprun.xml").unlink(missing_ok=True)
    for end in range(max(0, len(content) - LAST), len(content)):
        output.write_bytes(content[:end])
        try:
            labels = Gate().read(labeler, task, sample.frame)
        except (LabelRefused, OutputError):
            continue
        assert (labels.energy, labels.forces.tolist()) == (whole.energy, whole.forces.tolist()), content[:end][-50:]
        if whole.virial is not None:
            assert labels.virial.tolist() == whole.virial.tolist(), content[:end][-50:]


def test_causes_are_patterns_with_a_sentence_and_a_remedy(labeler):
    for pattern, sentence, remedy in getattr(labeler, "causes", ()):
        assert re.compile(pattern)
        assert sentence
        assert remedy
        assert "new run" not in remedy
        if "did not converge" in sentence:  # the remedy is one that the run follows: no label depends on it
            assert hasattr(labeler, "physics")
            assert "dpgen2-hpc retry KEY" in remedy


def test_the_command_is_one_for_a_shell(labeler):
    assert labeler.command_line(()).strip()


def test_every_key_is_explained(kind):
    def walk(arguments):
        for argument in arguments:
            assert argument.doc, argument.name
            walk(argument.sub_fields.values())

    walk(kinds.load("fp", kind).arguments())


def moved(frame):
    coords = frame.coords.copy()
    coords[0, 1] += 0.05
    return Frame(frame.symbols, coords, frame.cell, frame.periodic)


# ---- damaged outputs


def read_or_rejected(labeler, task, frame):
    """The label, or ``None``; any other exception than the two that are allowed fails the test."""
    with contextlib.suppress(LabelRefused, OutputError), within(SECONDS):
        return Gate().read(labeler, task, frame)
    return None


def assert_same(labels, whole, what):
    """The very label, but for what turning a cell back and forth costs."""
    assert (labels.virial is None) == (whole.virial is None), what
    assert labels.energy == pytest.approx(whole.energy, abs=1e-7), what
    np.testing.assert_allclose(labels.forces, whole.forces, rtol=0, atol=1e-7, err_msg=str(what))
    if whole.virial is not None:
        np.testing.assert_allclose(labels.virial, whole.virial, rtol=0, atol=1e-6, err_msg=str(what))


def condensed(content):
    """An output without the bands of an OUTCAR, so that damages meet what a label is read from."""
    return re.sub(rb"(?s)\n k-point     2 :.*?\n(?=\n  FORCE on cell)", b"\n", content)


def difference(old, new):
    lines = zip([*old.splitlines(), b""], new.splitlines(), strict=False)
    return next(((one, other) for one, other in lines if one != other), ())


@pytest.mark.slow
@pytest.mark.usefixtures("good")
def test_a_damaged_output_is_the_whole_label_or_none(labeler, sample, task):
    """Columns that are too narrow, lost lines, cut lines: no other label, none with fewer numbers, no exception."""
    whole = Gate().read(labeler, task, sample.frame)
    (task / "vasprun.xml").unlink(missing_ok=True)
    output = task / sample.output
    content = condensed(output.read_bytes())
    output.write_bytes(content)
    assert_same(Gate().read(labeler, task, sample.frame), whole, "condensed")
    for name, damaged in damages(content, DAMAGES, SEED):
        output.write_bytes(damaged)
        labels = read_or_rejected(labeler, task, sample.frame)
        if labels is not None:
            assert_same(labels, whole, (name, *difference(content, damaged)))


def test_a_damaged_vasprun_is_the_whole_label_or_none(tmp_path):
    sample = sample_of("vasp")
    labeler = made("vasp", sample.settings(tmp_path), tmp_path)
    task = prepared(labeler, sample.frame, tmp_path / "03.fp" / "task.000000")
    sample.good(task)
    (task / "OUTCAR").unlink()
    whole = Gate().read(labeler, task, sample.frame)
    content = (task / "vasprun.xml").read_bytes()
    for name, damaged in damages(content, DAMAGES, SEED):
        (task / "vasprun.xml").write_bytes(damaged)
        labels = read_or_rejected(labeler, task, sample.frame)
        if labels is not None:
            assert_same(labels, whole, (name, *difference(content, damaged)))


@pytest.mark.parametrize("what", ["fifo", "folder", "dangling link", "link to a device", "8 GB", "zeros"])
def test_an_odd_vasprun_is_rejected_in_time_where_it_is_needed(tmp_path, what):
    sample = sample_of("vasp")
    labeler = made("vasp", sample.settings(tmp_path), tmp_path)
    task = prepared(labeler, sample.frame, tmp_path / "03.fp" / "task.000000")
    sample.good(task)
    ODD[what](task / "vasprun.xml")
    assert read_or_rejected(labeler, task, sample.frame) is not None
    (task / "OUTCAR").unlink()
    with pytest.raises(OutputError, match="there is no 'OUTCAR'"), within(SECONDS):
        labeler.read_labels(task)


# ---- what else may have the name of an output


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()
    (path / "deeper").mkdir()


def link_to(target):
    def make(path):
        path.unlink()
        path.symlink_to(target)

    return make


def larger(path):
    os.truncate(path, LARGE)


def with_half_a_character(path):
    path.write_bytes(path.read_bytes()[:-1] + b"\xe2\x82")


ODD = {
    "fifo": fifo,
    "folder": folder,
    "dangling link": link_to("nowhere"),
    "link to itself": lambda path: link_to(path.name)(path),
    "link to a device": link_to("/dev/zero"),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(b"\0" * 5000),
    "cut within a character": with_half_a_character,
    "not UTF-8": lambda path: path.write_bytes(path.read_bytes().replace(b" ", b"\xff\xfe", 3)),
    "8 GB": larger,
    "deeply nested": lambda path: path.write_bytes(b"[" * 10**6),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", ODD)
@pytest.mark.usefixtures("good")
def test_whatever_a_task_leaves_under_a_name_that_is_read_is_rejected_in_time(labeler, sample, task, what):
    """Of every file in a task's folder, its inputs too: a job can write anything there."""
    (task / "vasprun.xml").unlink(missing_ok=True)
    whole = Gate().read(labeler, task, sample.frame)
    kept = task.with_name("kept")
    shutil.copytree(task, kept, symlinks=True)
    names = [
        str(path.relative_to(task)) for path in sorted(task.rglob("*")) if path.is_file() and not path.is_symlink()
    ]
    assert sample.output in names
    for name in names:
        ODD[what](task / name)
        labels = read_or_rejected(labeler, task, sample.frame)
        assert labels is None or name != sample.output or what in ("cut within a character", "not UTF-8"), name
        if labels is not None:
            assert_same(labels, whole, name)
        shutil.rmtree(task)
        shutil.copytree(kept, task, symlinks=True)
