"""What every labeler must do. Runs over the registry: one more labeler is one more column, with its own SAMPLE."""

import importlib
import os
import random
import re

import numpy as np
import pytest
from labelers import context, made, prepared

from dpgen2_hpc import kinds
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.gate import Gate

TYPES = list(kinds.OWN["fp"])
CUTS = 12
LAST = 600
"""Bytes at the end of an output: its stress, and what comes behind."""


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


def test_the_good_output_is_a_label_of_the_frame(labeler, sample, task):
    sample.good(task)
    labels = Gate().read(labeler, task, sample.frame)
    assert labels.frame is sample.frame
    assert labels.forces.shape == sample.frame.coords.shape
    assert np.abs(labels.forces).max() > 1e-6
    if labeler.has_virial:
        assert labels.virial is not None
        np.testing.assert_allclose(labels.virial, labels.virial.T, atol=1e-3)


def test_the_good_output_is_no_label_of_another_frame(labeler, sample, task):
    sample.good(task)
    with pytest.raises(LabelRefused, match="from where it was asked to be"):
        Gate().read(labeler, task, moved(sample.frame))


def test_the_bad_output_is_no_label(labeler, sample, task):
    sample.bad(task)
    with pytest.raises((LabelRefused, OutputError)):
        Gate().read(labeler, task, sample.frame)


def test_a_task_that_wrote_nothing_has_no_output(labeler, sample, task):
    with pytest.raises(OutputError):
        Gate().read(labeler, task, sample.frame)


def test_a_cut_output_is_the_whole_label_or_none(labeler, sample, task):
    """A file that ends anywhere: never a label without stress, with fewer atoms, or with other numbers."""
    sample.good(task)
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


def test_an_output_cut_in_its_last_lines_is_the_whole_label_or_none(labeler, sample, task):
    """At each byte: a number that was cut in its middle is another number."""
    sample.good(task)
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


def test_the_command_is_one_for_a_shell(labeler):
    assert labeler.command.strip()


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


# ---- whatever an output contains


NUMBER = re.compile(rb"(?<![\w.])-?\d+\.\d+(?:[eEdD][-+]?\d+)?")
MUTATIONS = 250


def mutated(content: bytes, draw: random.Random) -> bytes:
    """One change of the kind that a code, a full disk or an editor makes."""
    numbers = [match.span() for match in NUMBER.finditer(content)]
    lines = content.splitlines(keepends=True)
    act = draw.choice(["stars", "nan", "gone", "fused", "line gone", "line cut", "bytes"])
    if act in ("stars", "nan", "gone", "fused") and numbers:
        start, end = draw.choice(numbers)
        if act == "fused":
            return (
                content[:end] + content[end:].lstrip(b" ")
                if content[end : end + 1] == b" "
                else content[:end] + b"7" + content[end:]
            )
        word = {"stars": b"*" * (end - start), "nan": b"NaN".rjust(end - start), "gone": b" " * (end - start)}[act]
        return content[:start] + word + content[end:]
    number = draw.randrange(len(lines))
    if act == "line cut":
        return b"".join([*lines[:number], lines[number][: draw.randrange(len(lines[number]))], *lines[number + 1 :]])
    if act == "bytes":
        start = draw.randrange(len(content))
        return content[:start] + b"\xff\xfe\x00" + content[start + 3 :]
    return b"".join([*lines[:number], *lines[number + 1 :]])


def test_a_mutated_output_is_no_exception_and_never_half_a_label(labeler, sample, task):
    """`****`, NaN, lost and fused numbers, lost and cut lines: a whole label, or one of the two words for none."""
    sample.good(task)
    whole = Gate().read(labeler, task, sample.frame)
    output = task / sample.output
    content = output.read_bytes()
    (task / "vasprun.xml").unlink(missing_ok=True)
    draw = random.Random(11)
    for _ in range(MUTATIONS):
        output.write_bytes(mutated(content, draw))
        try:
            labels = Gate().read(labeler, task, sample.frame)
        except (LabelRefused, OutputError):
            continue
        assert labels.forces.shape == whole.forces.shape
        assert np.isfinite(labels.forces).all()
        assert np.isfinite(labels.energy)
        assert (labels.virial is None) == (whole.virial is None)


@pytest.mark.parametrize("odd", ["fifo", "folder", "dangling", "loop", "endless", "binary", "empty"])
def test_an_output_that_is_not_a_file_is_an_output_error_at_once(labeler, sample, task, odd):
    sample.good(task)
    (task / "vasprun.xml").unlink(missing_ok=True)
    output = task / sample.output
    output.unlink()
    {
        "fifo": lambda: os.mkfifo(output),
        "folder": output.mkdir,
        "dangling": lambda: output.symlink_to("nowhere"),
        "loop": lambda: output.symlink_to(output.name),
        "endless": lambda: (output.touch(), os.truncate(output, 1 << 33)),
        "binary": lambda: output.write_bytes(bytes(range(256)) * 100),
        "empty": output.touch,
    }[odd]()
    with pytest.raises((LabelRefused, OutputError)):
        Gate().read(labeler, task, sample.frame)
