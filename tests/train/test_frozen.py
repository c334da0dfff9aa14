"""The frozen model: whether its file is whole, and whether it predicts anything."""

import os

import pytest

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.train.frozen import NEEDED, check_model, check_test


def field(number, value):
    """A field of protobuf with a length of up to two bytes."""
    size = [len(value)] if len(value) < 128 else [len(value) & 127 | 128, len(value) >> 7]
    return bytes([number << 3 | 2, *size]) + value


def node(name, *more):
    return field(1, field(1, name.encode()) + field(2, b"Const") + b"".join(more))


NODES = b"".join(node(name) for name in NEEDED)
VERSIONS = field(4, b"\x08\x9d\x13")
GOOD = NODES + node("filter/weights", field(5, bytes(300))) + field(2, b"") + VERSIONS


def check(tmp_path, data):
    (tmp_path / "frozen_model.pb").write_bytes(data)
    check_model(tmp_path / "frozen_model.pb")


def test_a_graph_with_the_nodes_that_lammps_reads_is_a_model(tmp_path):
    check(tmp_path, GOOD)


def test_a_number_of_the_old_version_is_no_fault(tmp_path):
    check(tmp_path, NODES + b"\x18\x16" + VERSIONS)


@pytest.mark.parametrize("name", NEEDED)
def test_a_graph_without_a_node_that_lammps_reads_is_not_one(tmp_path, name):
    nodes = b"".join(node(other) for other in NEEDED if other != name)
    with pytest.raises(OutputError, match=f"is not a model frozen by DeePMD-kit: it has no node '{name}'"):
        check(tmp_path, nodes + VERSIONS)


def test_a_file_that_is_cut_at_any_byte_is_not_one(tmp_path):
    for end in range(1, len(GOOD)):
        with pytest.raises(OutputError, match=r"'frozen_model\.pb' is cut off"):
            check(tmp_path, GOOD[:end])


@pytest.mark.parametrize(
    "data",
    [
        *(b"\0" * 4096, b"{}", b"PK\x03\x04" + bytes(100), b"\x7fELF" + bytes(100), b"\n\x00" * 100, b"\x80" * 100),
        *(b"model_checkpoint_path: x\n", node("a") + b"\x0a\x02\x10\x01", field(9, b"x"), b"\x08\x01" + VERSIONS),
    ],
)
def test_other_files_are_not_models(tmp_path, data):
    with pytest.raises(OutputError, match=r"'frozen_model\.pb' is not a model frozen by DeePMD-kit"):
        check(tmp_path, data)


def test_an_empty_file_and_none_at_all_have_words_of_their_own(tmp_path):
    with pytest.raises(OutputError, match=r"the model 'frozen_model\.pb' is empty"):
        check(tmp_path, b"")
    with pytest.raises(OutputError, match=r"there is no 'other\.pb'"):
        check_model(tmp_path / "other.pb")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_file_is_no_model(tmp_path, make):
    make(tmp_path / "frozen_model.pb")
    with pytest.raises(OutputError, match=r"frozen_model\.pb"):
        check_model(tmp_path / "frozen_model.pb")


def test_three_gigabytes_of_nothing_are_refused_at_once(tmp_path):
    (tmp_path / "frozen_model.pb").write_bytes(GOOD)
    os.truncate(tmp_path / "frozen_model.pb", 3 << 30)
    with pytest.raises(OutputError, match="is not a model"):
        check_model(tmp_path / "frozen_model.pb")


# ---- the test of the model


def written_and_checked(
    tmp_path, energies="5.6 5.9\n", forces="0.1 -0.8 0.7 -0.01 -1.0 0.06\n0.1 0 0.3 0.04 -0.1 0.2\n"
):
    (tmp_path / "test_systems.txt").write_text("../shared/init.000000\n")
    (tmp_path / "test_system.e.out").write_text("# ../shared/init.000000: data_e pred_e\n" + energies)
    (tmp_path / "test_system.f.out").write_text("# x: data_fx data_fy data_fz pred_fx pred_fy pred_fz\n" + forces)
    check_test(tmp_path)


def test_finite_predictions_are_accepted(tmp_path):
    written_and_checked(tmp_path)


@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_predictions_that_are_not_finite_are_refused(tmp_path, bad):
    with pytest.raises(OutputError, match="predicts an energy that is not finite"):
        written_and_checked(tmp_path, energies=f"5.6 {bad}\n")
    with pytest.raises(OutputError, match="predicts a force that is not finite"):
        written_and_checked(tmp_path, forces=f"0.1 0.1 0.1 0.1 {bad} 0.1\n")


@pytest.mark.parametrize("dead", ["0.0", "6.6e-5", "-7.3e-06"])
def test_a_model_whose_neurons_are_saturated_is_refused(tmp_path, dead):
    """start_lr 0.3 and 1: the curve looks like that of a slow training, since forces of zero are a fair guess."""
    with pytest.raises(OutputError, match=r"diverged: the model predicts no forces .* lower learning_rate\.start_lr"):
        written_and_checked(tmp_path, forces=f"0.19 -0.84 0.7 {dead} {dead} {dead}\n")


def test_a_frame_without_forces_says_nothing_of_the_model(tmp_path):
    written_and_checked(tmp_path, forces="0 0 0 0 0 0\n1e-3 0 0 1e-9 0 0\n")


def test_a_model_with_spin_has_no_file_of_forces(tmp_path):
    written_and_checked(tmp_path)
    (tmp_path / "test_system.f.out").unlink()
    check_test(tmp_path)


@pytest.mark.parametrize("text", ["", "5.6\n", "5.6 x\n", "5.6 5.9 1\n", "\0\xff\n"])
def test_a_test_that_left_nothing_to_read_is_no_output(tmp_path, text):
    with pytest.raises(OutputError, match="written by dp test"):
        written_and_checked(tmp_path, energies=text)


def test_a_missing_test_is_named_and_a_task_of_before_has_none(tmp_path):
    check_test(tmp_path)
    (tmp_path / "test_systems.txt").write_text("x\n")
    with pytest.raises(OutputError, match=r"there is no 'test_system\.e\.out'"):
        check_test(tmp_path)
