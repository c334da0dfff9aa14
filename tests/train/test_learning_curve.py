"""The learning curve: how it is read, and which trainings count as diverged.

The curves of real trainings are of deepmd-kit 3.2.0 and 2.2.11 on the data of ``input_examples/al-cu-emt``.
"""

import os

import pytest

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.train.learning_curve import check_convergence, read_curve, read_history

HEADER = """\
# step       rmse_trn    rmse_e_trn    rmse_f_trn    rmse_v_trn   lr      
# If there is no available reference data, rmse_*_{val,trn} will print nan
"""  # noqa: W291  (as dp writes it)
SPREAD = 0.7244
"""Root mean square of the reference forces, eV/Å, by numpy."""


def curve(tmp_path, rows, header=HEADER):
    (tmp_path / "lcurve.out").write_text(header + rows)
    return read_curve(tmp_path / "lcurve.out")


def table(*rows, start="0 20 1.5 0.6 0.06 1e-2\n"):
    """Rows of step, rmse_e, rmse_f behind a first one."""
    return start + "".join(f"{step} 1 {e} {f} 0.1 1e-3\n" for step, e, f in rows)


def test_the_first_row_and_the_last_are_read_by_the_names_of_their_columns(tmp_path):
    found = curve(tmp_path, table((10, 1, 0.5), (20, 0.1, 0.3)))
    assert found.first == {
        "step": 0,
        "rmse_trn": 20,
        "rmse_e_trn": 1.5,
        "rmse_f_trn": 0.6,
        "rmse_v_trn": 0.06,
        "lr": 0.01,
    }
    assert (found.last["step"], found.last["rmse_f_trn"]) == (20, 0.3)


def test_columns_of_validation_have_their_own_names(tmp_path):
    found = curve(tmp_path, " 5 1 2 3 4\n", "# step rmse_val rmse_trn rmse_v_trn lr\n")
    assert found.last == {"step": 5, "rmse_val": 1, "rmse_trn": 2, "rmse_v_trn": 3, "lr": 4}


def test_a_second_header_of_a_continued_training_is_no_row_and_may_have_other_columns(tmp_path):
    found = curve(tmp_path, table((20, 1, 0.5)) + "# step rmse_trn lr\n 20 5 1\n 40 3 1\n")
    assert found.first["rmse_e_trn"] == 1.5
    assert found.last == {"step": 40, "rmse_trn": 3, "lr": 1}


@pytest.mark.parametrize("text", ["", HEADER])
def test_a_curve_without_rows_is_none(tmp_path, text):
    assert curve(tmp_path, "", text) is None
    assert read_curve(tmp_path / "no such file") is None


@pytest.mark.parametrize(
    "text",
    [
        *("20 1.5 2\n", "#  step rmse_trn lr\n 20 1.5\n", "# step rmse_trn\n 2 1.0e\n", "# step rmse_trn\n 2 ****\n"),
        *("# step rmse_trn\n 2 1.0", "garbage\n", "\0\n", "# step rmse_trn\n 2 1 2\n"),
    ],
)
def test_a_curve_without_a_whole_last_row_is_no_output(tmp_path, text):
    with pytest.raises(OutputError, match=r"lcurve\.out"):
        curve(tmp_path, "", text)


def test_a_curve_that_is_not_utf_8_is_no_output(tmp_path):
    (tmp_path / "lcurve.out").write_bytes(HEADER.encode() + b"\xff\xfe\x00 1 2\n")
    with pytest.raises(OutputError, match=r"lcurve\.out"):
        read_curve(tmp_path / "lcurve.out")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_file_is_no_output(tmp_path, make):
    make(tmp_path / "lcurve.out")
    with pytest.raises(OutputError, match=r"lcurve\.out"):
        read_curve(tmp_path / "lcurve.out")
    assert read_history(tmp_path / "lcurve.out") == b""


def test_three_gigabytes_are_read_at_both_ends(tmp_path):
    path = tmp_path / "lcurve.out"
    path.write_text(HEADER + table())
    os.truncate(path, 3 << 30)
    with path.open("ab") as file:
        file.write(b"\n" + table((4000000, 0.1, 0.2), start="").encode())
    found = read_curve(path)
    assert (found.first["step"], found.last["step"]) == (0, 4000000)


def test_a_long_curve_has_the_rows_of_its_ends(tmp_path):
    rows = "".join(f"{step} 1 0.1 {0.5 if step < 99990 else 0.2} 0.1 1e-3\n" for step in range(1, 100001))
    found = curve(tmp_path, table() + rows)
    assert found.first["rmse_e_trn"] == 1.5
    assert [row["step"] for row in found.newest] == [99996, 99997, 99998, 99999, 100000]
    kept = read_history(tmp_path / "lcurve.out")
    assert len(kept) < 1 << 18
    (tmp_path / "kept").write_bytes(kept)
    assert read_curve(tmp_path / "kept") == found


# ---- divergence


def judge(found, spread=SPREAD):
    asked = []
    check_convergence(found, lambda: asked.append(1) or spread)
    return len(asked)


def diverged(found, match, spread=SPREAD):
    with pytest.raises(OutputError, match=match) as caught:
        judge(found, spread)
    assert "start_lr" in str(caught.value)


@pytest.mark.parametrize(("column", "bad"), [(1, "nan"), (2, "inf"), (3, "nan"), (4, "inf"), (5, "nan")])
def test_a_training_that_ends_in_what_is_not_finite_has_diverged(tmp_path, column, bad):
    words = "20 1.5 2e-3 0.1 0.1 1e-5".split()
    words[column] = bad
    diverged(curve(tmp_path, table() + " ".join(words) + "\n"), f"diverged: .* is {bad} at step 20")


@pytest.mark.parametrize("column", ["rmse_v_trn", "rmse_v_val"])
def test_an_error_of_the_virial_that_dp_does_not_know_is_no_divergence(tmp_path, column):
    """dp writes nan where the last batch has no reference data: systems without virial are legal."""
    judge(curve(tmp_path, "20 1.5 2e-3 0.1 nan 1e-5\n", f"# step rmse_trn rmse_e_trn rmse_f_trn {column} lr\n"))


LR_10 = """\
      0      1.94e+01      1.52e+00      6.13e-01      6.12e-02    1.0e+01
     20      1.59e+04      3.23e+03      4.27e+01      2.36e+01    2.5e+00
     40      1.68e+03      3.06e+02      1.62e+01      3.03e+00    6.3e-01
     60      3.47e+03      5.33e+02      3.11e+02      1.40e+02    1.6e-01
     80      5.85e+02      9.62e+01      4.74e+01      2.24e+01    4.0e-02
    100      1.64e+03      1.53e+02      3.55e+02      1.32e+02    1.0e-02
"""
LR_1E9 = """\
      0      2.73e+01      1.55e+00      8.62e-01      2.04e-01    1.0e+09
    100      1.44e+18      1.44e+18      5.93e-01      8.83e-02    1.0e+03
    200      1.44e+18      1.44e+18      7.01e-01      1.38e-01    1.0e-05
"""
LR_1E9_ONE_ROW = "      0 1.9e+01 1.5e+00 6.1e-01 6.1e-02 1.0e+09\n     20 4.8e+14 4.8e+14 6.0e-01 1.4e-01 1.0e-05\n"


@pytest.mark.parametrize("rows", [LR_10, LR_1E9, LR_1E9_ONE_ROW])
def test_real_trainings_that_diverged_with_finite_numbers_are_refused(tmp_path, rows):
    diverged(curve(tmp_path, rows), r"diverged: rmse_e_trn is [0-9.e+]+ eV/atom near step \d+, more than 15")


GOOD = {
    "two steps, a worse batch at the end": "0 19 1.52 0.613 0.06 1e-2\n1 18 1.42 0.573 0.066 1e-3\n2 6 1.44 0.794 0.13 1e-5\n",
    "the learning rate is small, the batches differ": """\
      0      1.94e+01      1.52e+00      6.13e-01      6.12e-02    1.0e-03
     40      9.31e+00      9.88e-01      4.89e-01      2.31e-01    2.5e-04
     60      1.30e+01      8.78e-01      1.05e+00      7.34e-02    1.3e-04
""",
    "the virial gets worse thirtyfold": "0 19 0.0587 0.847 0.207 1e-2\n12 9 0.752 0.435 1.82 1e-3\n20 8 0.611 0.59 1.53 1e-5\n",
    "from an old model with a large learning rate": """\
      0      6.00e-01      7.78e-04      4.61e-02      2.13e-02    1.0e-02
     10      6.00e+00      3.55e-01      1.70e-01      5.97e-02    3.2e-04
     20      2.00e+00      1.72e-01      1.65e-01      1.07e-01    1.0e-05
""",
    "one row alone": "0 19 1.52 0.613 0.06 1e-2\n",
}


@pytest.mark.parametrize("rows", GOOD.values(), ids=GOOD)
def test_real_trainings_that_are_short_noisy_or_begin_at_the_optimum_are_accepted(tmp_path, rows):
    assert judge(curve(tmp_path, rows)) == 0


def test_a_last_batch_with_a_hot_frame_is_no_divergence(tmp_path):
    rows = [(step, 0.01, 0.06) for step in range(1, 12)]
    judge(curve(tmp_path, table(*rows, (12, 40.0, 25.0))))


def test_a_training_that_breaks_in_its_last_rows_is_refused(tmp_path):
    rows = [(step, 0.01, 0.06) for step in range(1, 12)]
    diverged(curve(tmp_path, table(*rows, (12, 4.8e14, 0.6))), "rmse_e_trn is 4.8e[+]14")
    diverged(curve(tmp_path, table(*rows, (12, 0.1, 900.0))), "rmse_f_trn is 900")
    diverged(curve(tmp_path, table(*rows[:8], *((step, 90, 0.6) for step in range(9, 13)))), "rmse_e_trn is 90 ")


def test_forces_are_held_against_those_of_the_data_where_the_first_row_says_too_little(tmp_path):
    """A training from a good model: its first row does not tell what forces there are."""
    rows = [(step, 0.01, 4.0) for step in range(1, 8)]
    found = curve(tmp_path, table(*rows, start="0 1 0.001 0.05 0.01 1e-3\n"))
    diverged(found, r"rmse_f_trn is 4 eV/Å near step 7, more than 2\.17")
    assert judge(found, spread=1.5) == 1
    diverged(found, "more than 3[.]", spread=None)


def test_a_first_row_of_nonsense_allows_nothing(tmp_path):
    rows = [(step, 3e14, 0.6) for step in range(1, 8)]
    diverged(curve(tmp_path, table(*rows, start="0 1e14 1e14 1e9 0.01 1e9\n")), "more than 1e[+]03")


def test_hot_data_may_have_large_errors(tmp_path):
    rows = [(step, 2.0, 30.0) for step in range(1, 8)]
    assert judge(curve(tmp_path, table(*rows, start="0 900 5 40 1 1e-3\n"))) == 0
