"""What a checkpoint is worth: which are whole, which was frozen, and what the next attempt gets."""

import os

import pytest

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.train.checkpoints import Checkpoint, carry_checkpoint, continued_from, frozen_step, newest_checkpoint

SUFFIXES = ("index", "meta", "data-00000-of-00001")
CURVE = "# step rmse_trn rmse_e_trn rmse_f_trn lr\n# a comment\n"


def checkpoints(directory, *steps, missing=()):
    """Write checkpoints as TensorFlow does, without some files of the last one."""
    directory.mkdir(exist_ok=True)
    for step in steps:
        for suffix in SUFFIXES:
            if step != steps[-1] or suffix not in missing:
                (directory / f"model.ckpt-{step}.{suffix}").write_text(f"{suffix} {step}")
    lines = [f'all_model_checkpoint_paths: "model.ckpt-{step}"\n' for step in steps]
    (directory / "checkpoint").write_text(f'model_checkpoint_path: "model.ckpt-{steps[-1]}"\n' + "".join(lines))
    return directory


def test_the_newest_checkpoint_is_the_one_that_is_named(tmp_path):
    checkpoints(tmp_path, 100, 2000)
    assert newest_checkpoint(tmp_path) == Checkpoint(tmp_path / "model.ckpt-2000", 2000)


@pytest.mark.parametrize("missing", SUFFIXES)
def test_a_checkpoint_that_lacks_a_file_is_not_one(tmp_path, missing):
    assert newest_checkpoint(checkpoints(tmp_path, 100, missing=[missing])) is None


@pytest.mark.parametrize("missing", SUFFIXES)
def test_the_one_before_counts_where_the_newest_is_not_whole(tmp_path, missing):
    """TensorFlow names a checkpoint before it writes its meta file."""
    found = newest_checkpoint(checkpoints(tmp_path, 800, 900, 1000, missing=[missing]))
    assert found == Checkpoint(tmp_path / "model.ckpt-900", 900)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_a_fifo_and_a_link_to_nothing_are_no_part_of_a_checkpoint(tmp_path, suffix):
    path = checkpoints(tmp_path, 100) / f"model.ckpt-100.{suffix}"
    for act in (lambda: path.write_text(""), lambda: os.mkfifo(path), lambda: path.symlink_to("nowhere"), path.mkdir):
        path.unlink()
        act()
        assert newest_checkpoint(tmp_path) is None
        if path.is_dir():
            break


@pytest.mark.parametrize(
    "text",
    [
        *("", "model_checkpoint_path: ", 'model_checkpoint_path: "model.ckpt"\n', "\n\n", "\0\xff"),
        *('model_checkpoint_path: "model.ckpt-"\n', 'model_checkpoint_path: "model.ckpt-²"\n', "model.ckpt-100"),
        f'model_checkpoint_path: "model.ckpt-{"9" * 5000}"\n',
    ],
)
def test_a_list_of_checkpoints_that_names_none_is_none(tmp_path, text):
    checkpoints(tmp_path, 100)
    (tmp_path / "checkpoint").write_text(text)
    assert newest_checkpoint(tmp_path) is None
    with pytest.raises(OutputError, match="does not name the checkpoint"):
        frozen_step(tmp_path)


def test_a_checkpoint_elsewhere_is_not_looked_at(tmp_path):
    checkpoints(tmp_path / "other", 100)
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "checkpoint").write_text('model_checkpoint_path: "../other/model.ckpt-100"\n')
    assert newest_checkpoint(tmp_path / "task") is None


def test_absolute_names_are_those_of_the_folder_wherever_it_is_now(tmp_path):
    """TensorFlow writes them if it is not asked for relative ones; a task may come from another host."""
    checkpoints(tmp_path, 100)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/scratch/gone/model.ckpt-100"\n')
    assert newest_checkpoint(tmp_path) == Checkpoint(tmp_path / "model.ckpt-100", 100)
    assert frozen_step(tmp_path) == 100


def test_a_folder_without_a_list_of_checkpoints_has_none(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    with pytest.raises(OutputError, match="there is no 'checkpoint'"):
        frozen_step(tmp_path)


# ---- what was frozen


def test_the_step_of_a_model_is_that_of_the_checkpoint_that_is_named(tmp_path):
    assert frozen_step(checkpoints(tmp_path, 10, 20, 30)) == 30


def test_the_step_of_a_model_is_the_carried_one_where_nothing_was_saved(tmp_path):
    (tmp_path / "restart").mkdir()
    (tmp_path / "restart" / "step").write_text("40\n")
    assert frozen_step(tmp_path) == continued_from(tmp_path) == 40
    assert frozen_step(checkpoints(tmp_path, 50)) == 50


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "9" * 30, "\0"])
def test_a_step_that_is_not_a_number_is_an_error_of_the_output(tmp_path, text):
    (tmp_path / "restart").mkdir()
    (tmp_path / "restart" / "step").write_text(text)
    with pytest.raises(OutputError, match="does not hold the number of a step"):
        continued_from(tmp_path)


# ---- what the next attempt gets


def carried(new):
    return {path.name: path.read_text() for path in (new / "restart").iterdir()} if (new / "restart").exists() else {}


@pytest.fixture
def new(tmp_path):
    (tmp_path / "new").mkdir()
    return tmp_path / "new"


def folder(path):
    path.mkdir()
    return path


def test_a_killed_training_goes_on_from_copies_of_its_newest_checkpoint(tmp_path, new):
    old = checkpoints(tmp_path / "old", 300)
    assert carry_checkpoint(old, new) == 300
    assert carried(new) == {
        "model.ckpt.index": "index 300",
        "model.ckpt.meta": "meta 300",
        "model.ckpt.data-00000-of-00001": "data-00000-of-00001 300",
        "step": "300\n",
    }
    assert (old / "model.ckpt-300.meta").exists()


def test_a_training_that_was_killed_before_its_next_checkpoint_goes_on_from_the_one_it_began_with(tmp_path, new):
    middle = folder(tmp_path / "middle")
    carry_checkpoint(checkpoints(tmp_path / "old", 300), middle)
    assert carry_checkpoint(middle, new) == 300
    assert carried(new)["model.ckpt.meta"] == "meta 300"


def test_a_newer_checkpoint_of_a_continued_training_is_the_one_that_counts(tmp_path, new):
    middle = folder(tmp_path / "middle")
    carry_checkpoint(checkpoints(tmp_path / "old", 300), middle)
    checkpoints(middle, 500)
    assert (carry_checkpoint(middle, new), carried(new)["step"]) == (500, "500\n")


def test_the_one_it_began_with_counts_where_its_own_is_not_whole(tmp_path, new):
    middle = folder(tmp_path / "middle")
    carry_checkpoint(checkpoints(tmp_path / "old", 300), middle)
    checkpoints(middle, 500, missing=["meta"])
    assert (carry_checkpoint(middle, new), carried(new)["step"]) == (300, "300\n")


@pytest.mark.parametrize("gone", ["model.ckpt.meta", "model.ckpt.index", "model.ckpt.data-00000-of-00001", "step"])
def test_a_carried_checkpoint_that_is_not_whole_is_not_handed_on(tmp_path, new, gone):
    middle = folder(tmp_path / "middle")
    carry_checkpoint(checkpoints(tmp_path / "old", 300), middle)
    (middle / "restart" / gone).unlink()
    assert carry_checkpoint(middle, new) is None
    assert carried(new) == {}


def test_a_training_that_was_killed_before_any_checkpoint_begins_again(tmp_path, new):
    assert carry_checkpoint(folder(tmp_path / "old"), new) is None
    assert carried(new) == {}


def test_a_half_written_checkpoint_is_not_carried_over(tmp_path, new):
    assert carry_checkpoint(checkpoints(tmp_path / "old", 300, missing=["meta"]), new) is None
    assert carried(new) == {}


def test_the_learning_curve_of_all_attempts_goes_along(tmp_path, new):
    old, middle = checkpoints(tmp_path / "old", 20), folder(tmp_path / "middle")
    (old / "lcurve.out").write_text(CURVE + "0 4 3 2 1\n20 3 2 1 1\n")
    carry_checkpoint(old, middle)
    checkpoints(middle, 40)
    (middle / "lcurve.out").write_text(CURVE + "20 3 2 1 1\n40 2 1 1 1\n4")
    carry_checkpoint(middle, new)
    rows = [line for line in carried(new)["lcurve.out"].splitlines() if not line.startswith("#")]
    assert rows == ["0 4 3 2 1", "20 3 2 1 1", "20 3 2 1 1", "40 2 1 1 1"]


@pytest.mark.parametrize("curve", ["", "garbage\n", CURVE + "0 x 1 1 1\n", CURVE + "0 1"])
def test_a_learning_curve_that_cannot_be_read_does_not_spoil_the_next_attempt(tmp_path, new, curve):
    old = checkpoints(tmp_path / "old", 20)
    (old / "lcurve.out").write_text(curve)
    assert carry_checkpoint(old, new) == 20
    assert "0 " not in carried(new).get("lcurve.out", "")
