"""What every explorer must do with what a run may leave. Runs over the registry: one more explorer needs a sample."""

import os
import random
import re
import shutil
import time

import numpy as np
import pytest
from explorers import SAMPLES

from dpgen2_hpc import kinds
from dpgen2_hpc.data.physical import fault_of
from dpgen2_hpc.errors import OutputError

MUTATIONS = 63
"""Of each kind and output: about 250 of each output that must be read as it was or not at all."""

SECONDS = 10
"""Nothing that a run leaves may hold the driver up for longer; most take milliseconds."""


@pytest.fixture(params=list(kinds.OWN["explore"]))
def kind(request):
    return request.param


@pytest.fixture
def sample(kind):
    return SAMPLES[kind]


@pytest.fixture
def explorer(kind):
    return kinds.load("explore", kind)()


@pytest.fixture
def good(sample, tmp_path):
    return sample.leave("good", tmp_path / "task.000000")


def known(explorer, sample, directory):
    """What the explorer reads of a run, with nothing left out: the good one's is what all others are compared with."""
    steps = list(sample.md_steps)
    return {
        "deviations": explorer.deviations(directory),
        "frames": explorer.frames(directory, steps, sample.type_map),
        "predictions": explorer.predictions(directory, steps, sample.type_map),
    }


def read_all(explorer, sample, directory):
    """Ask for everything; what cannot be read is ``None``. Anything but OutputError is a failure of the test."""
    steps = [*sample.md_steps, *sample.md_steps[-1:], 10**15, -1]
    asked = {
        "ending": lambda: explorer.finish(directory, 0),
        "deviations": lambda: explorer.deviations(directory),
        "frames": lambda: explorer.frames(directory, steps, sample.type_map),
        "predictions": lambda: explorer.predictions(directory, steps, sample.type_map),
    }
    found = {}
    for name, ask in asked.items():
        try:
            found[name] = ask()
        except OutputError:
            found[name] = None
    return found


def assert_nothing_new(found, right, sample, start):
    """All that was read is what the good run has, or is said to be missing."""
    if found["deviations"] is not None:
        deviations, whole = found["deviations"], right["deviations"]
        assert np.all(np.diff(deviations.md_steps) >= 0)
        for step, force, virial in zip(deviations.md_steps, deviations.force, deviations.virial, strict=True):
            expected = np.flatnonzero(whole.md_steps == step)
            assert not np.isfinite(force) or [force] == whole.force[expected].tolist()
            assert not np.isfinite(virial) or [virial] == whole.virial[expected].tolist()
    for frame, expected in zip(found["frames"] or (), right["frames"], strict=False):
        if frame is not None:
            assert fault_of(frame, sample.type_map, start) is None
            assert frame.symbols == expected.symbols
            np.testing.assert_array_equal(frame.coords, expected.coords)
            np.testing.assert_array_equal(frame.cell, expected.cell)
    for labels, expected in zip(found["predictions"] or (), right["predictions"], strict=False):
        if labels is not None:
            assert labels.energy == expected.energy
            np.testing.assert_array_equal(labels.forces, expected.forces)
            np.testing.assert_array_equal(labels.virial, expected.virial)
    for rest in (found["frames"], found["predictions"]):
        assert rest is None or rest[-2:] == [None, None]
    if found["ending"] is not None:
        assert found["ending"].last_step in sample.md_steps
        assert found["ending"].frames <= sample.asked


# ---- the two real runs


def test_every_explorer_has_a_sample():
    assert set(SAMPLES) == set(kinds.OWN["explore"])


def test_the_good_run_did_not_end_early_and_all_its_frames_are_its_own(explorer, sample, good):
    ending = explorer.finish(good, 0)
    assert (ending.early, ending.halted, ending.reason) == (False, False, None)
    assert (ending.last_step, ending.frames) == (sample.md_steps[-1], sample.asked)
    found = known(explorer, sample, good)
    assert tuple(found["deviations"].md_steps) == sample.md_steps
    assert np.all(np.isfinite([found["deviations"].force, found["deviations"].virial]))
    start = explorer.read_configuration(good / explorer.configuration_file, sample.type_map)
    assert [fault_of(frame, sample.type_map, start) for frame in found["frames"]] == [None] * sample.asked
    assert None not in found["predictions"]


def test_the_crashed_run_ended_early_whatever_its_exit_code(explorer, sample, tmp_path):
    directory = sample.leave("lost", tmp_path / "task")
    for exit_code in (sample.lost_exit_code, 0, None):
        ending = explorer.finish(directory, exit_code)
        assert (ending.early, ending.halted, ending.reason) == (True, False, sample.lost_reason)
        assert (ending.last_step, ending.frames) == (sample.lost_step, 1)
    deviations = explorer.deviations(directory)
    assert np.isfinite(deviations.force[deviations.md_steps <= sample.lost_step]).all()
    assert np.isnan(deviations.force[deviations.md_steps > sample.lost_step]).all()


def test_a_run_that_wrote_nothing_has_no_output(explorer, sample, good):
    for name in sample.outputs:
        (good / name).unlink()
    assert set(read_all(explorer, sample, good).values()) == {None}


# ---- odd files


def a_fifo(path):
    os.mkfifo(path)


def a_folder(path):
    path.mkdir()


def a_dangling_link(path):
    path.symlink_to("nowhere")


def a_circle(path):
    path.symlink_to(path.name)


def a_device(path):
    path.symlink_to("/dev/zero")


def an_empty_file(path):
    path.touch()


def a_hole(path):
    path.touch()
    os.truncate(path, 1 << 33)


def binary(path):
    path.write_bytes(random.Random(1).randbytes(100_000))


def one_long_line(path):
    path.write_bytes(b"9" * 5_000_000)


ODD = [a_fifo, a_folder, a_dangling_link, a_circle, a_device, an_empty_file, a_hole, binary, one_long_line]


@pytest.mark.parametrize("left", [None, *ODD], ids=lambda left: left.__name__ if left else "missing")
def test_an_odd_file_fails_the_run_and_nothing_else(explorer, sample, good, left):
    right = known(explorer, sample, good)
    start = explorer.read_configuration(good / explorer.configuration_file, sample.type_map)
    for name in sample.outputs:
        kept = (good / name).read_bytes()
        (good / name).unlink()
        if left is not None:
            left(good / name)
        begin = time.monotonic()
        found = read_all(explorer, sample, good)
        assert time.monotonic() - begin < SECONDS
        assert (found["ending"] is None) == (name not in sample.dispensable), name
        assert_nothing_new(found, right, sample, start)
        shutil.rmtree(good / name) if left is a_folder else (good / name).unlink(missing_ok=True)
        (good / name).write_bytes(kept)


@pytest.mark.parametrize("tail", [b"\0" * 10_000, b"\n" * 10_000, b"\xff\xfe" * 5_000, b"ITEM: TIMESTEP\n" * 1_000])
def test_what_comes_after_the_good_output_hides_nothing_false(explorer, sample, good, tail):
    right = known(explorer, sample, good)
    start = explorer.read_configuration(good / explorer.configuration_file, sample.type_map)
    for name in sample.outputs:
        kept = (good / name).read_bytes()
        (good / name).write_bytes(kept + tail)
        assert_nothing_new(read_all(explorer, sample, good), right, sample, start)
        (good / name).write_bytes(kept)


def test_eight_gigabytes_after_the_good_output_are_not_read(explorer, sample, good):
    right = known(explorer, sample, good)
    start = explorer.read_configuration(good / explorer.configuration_file, sample.type_map)
    for name in sample.outputs:
        kept = (good / name).read_bytes()
        os.truncate(good / name, 1 << 33)
        begin = time.monotonic()
        assert_nothing_new(read_all(explorer, sample, good), right, sample, start)
        assert time.monotonic() - begin < SECONDS
        (good / name).write_bytes(kept)


# ---- mutations

NUMBER = re.compile(rb"(?<![\w.])-?\d[\d.]*(?:e[+-]?\d+)?")
WORDS = [b"****", b"NaN", b"", b"1" + b"0" * 400, b"9" * 5000, b"1_0", b"\0\0\0", b"\xff", b"inf"]
"""What a number may become. None of them is a number that could be taken for a good one."""


def spoil_a_number(text, rng):
    begin, end = rng.choice(list(NUMBER.finditer(text))).span()
    return text[:begin] + rng.choice(WORDS) + text[end:]


def remove_a_line(text, rng):
    lines = text.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def repeat_a_line(text, rng):
    lines = text.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    return b"".join([*lines[:at], lines[at], *lines[at:]])


def cut(text, rng):
    return text[: rng.randrange(len(text))]


def cut_out(text, rng):
    begin = rng.randrange(len(text))
    return text[:begin] + text[begin + rng.randrange(1, 400) :]


@pytest.mark.slow
@pytest.mark.parametrize("mutate", [spoil_a_number, remove_a_line, repeat_a_line, cut])
def test_a_mutated_output_is_read_as_it_was_or_not_at_all(explorer, sample, good, mutate):
    """A number that is not one, a line too few or too many, an end anywhere: never another frame, never an exception."""
    right = known(explorer, sample, good)
    start = explorer.read_configuration(good / explorer.configuration_file, sample.type_map)
    for name in sample.outputs:
        kept = (good / name).read_bytes()
        rng = random.Random(f"{mutate.__name__} {name}")
        for _ in range(MUTATIONS):
            (good / name).write_bytes(mutate(kept, rng))
            assert_nothing_new(read_all(explorer, sample, good), right, sample, start)
        (good / name).write_bytes(kept)


@pytest.mark.slow
@pytest.mark.parametrize("word", [b"9" * 19, b"-" + b"9" * 19, b"1e300", b"0", b"3"])
def test_numbers_that_are_absurd_are_no_exception_and_no_frame_of_other_atoms(explorer, sample, good, word):
    start = explorer.read_configuration(good / explorer.configuration_file, sample.type_map)
    for name in sample.outputs:
        kept = (good / name).read_bytes()
        for number in random.Random(1).sample(list(NUMBER.finditer(kept)), k=40):
            (good / name).write_bytes(kept[: number.start()] + word + kept[number.end() :])
            for frame in read_all(explorer, sample, good)["frames"] or ():
                fault = frame and fault_of(frame, sample.type_map, start)
                assert frame is None or fault or np.abs(frame.coords).max() < 1e6
                assert frame is None or fault or frame.symbols == start.symbols
        (good / name).write_bytes(kept)


@pytest.mark.slow
def test_an_output_with_a_piece_missing_is_no_exception_and_no_frame_of_other_atoms(explorer, sample, good):
    """What is cut out may join two halves of numbers to another number: the atoms are the run's all the same."""
    start = explorer.read_configuration(good / explorer.configuration_file, sample.type_map)
    for name in sample.outputs:
        kept = (good / name).read_bytes()
        rng = random.Random(name)
        for _ in range(MUTATIONS):
            (good / name).write_bytes(cut_out(kept, rng))
            found = read_all(explorer, sample, good)
            for frame in found["frames"] or ():
                assert frame is None or fault_of(frame, sample.type_map, start) or frame.symbols == start.symbols
        (good / name).write_bytes(kept)


@pytest.mark.parametrize("word", ["-10", "0", "50", "60", "9" * 15, "9" * 16, str(2**63), "9" * 5000, "1.5", "1e1"])
def test_an_md_step_that_is_another_one_is_no_exception_and_no_other_frame(explorer, sample, good, word):
    """In the middle of an even dump it is found when the frame is read: such a dump is not searched before."""
    start = explorer.read_configuration(good / explorer.configuration_file, sample.type_map)
    for name, pattern in (("traj.dump", r"(?<=TIMESTEP\n)30(?=\n)"), ("model_devi.out", r"(?m)^ +30(?= )")):
        kept = (good / name).read_text()
        (good / name).write_text(re.sub(pattern, word, kept))
        assert (good / name).read_text() != kept
        found = read_all(explorer, sample, good)
        deviations = found["deviations"]
        assert len(deviations.md_steps) >= sample.asked - 1
        if name == "model_devi.out":
            assert np.isnan(deviations.force[deviations.md_steps == 30]).all()
        else:
            assert found["frames"][sample.md_steps.index(30)] is None
        for frame in found["frames"]:
            assert frame is None or fault_of(frame, sample.type_map, start) is None
        (good / name).write_text(kept)


def test_steps_in_any_order_and_number_are_no_exception(explorer, sample, good):
    right = known(explorer, sample, good)
    start = explorer.read_configuration(good / explorer.configuration_file, sample.type_map)
    for name in sample.outputs[:2]:
        kept = (good / name).read_bytes()
        pieces = re.split(rb"(?m)^(?=ITEM: TIMESTEP\n|  +\d+  )", kept)
        assert len(pieces) == sample.asked + 1
        rng = random.Random(name)
        for _ in range(50):
            (good / name).write_bytes(pieces[0] + b"".join(rng.choices(pieces[1:], k=rng.randrange(12))))
            assert_nothing_new(read_all(explorer, sample, good), right, sample, start)
        (good / name).write_bytes(kept)
