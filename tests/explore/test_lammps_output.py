"""What LAMMPS leaves: model_devi.out, traj.dump, log.lammps, whole or torn."""

import os

import dpdata
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.explore.lammps import deviation, trajectory
from dpgen2_hpc.explore.lammps.deviation import read_rows
from dpgen2_hpc.explore.lammps.run import LammpsExplorer, last_error, read_log
from dpgen2_hpc.explore.lammps.trajectory import last_complete_step, read_frames, read_steps
from dpgen2_hpc.kinds import Ending

TYPE_MAP = ("Al", "Cu")
HEADER = "#       step         max_devi_v         min_devi_v         avg_devi_v         max_devi_f         min_devi_f         avg_devi_f\n"


def row(step, force=0.1, virial=0.01):
    return f"{step:12d} {virial:18.6e} {0:18.6e} {0:18.6e} {force:18.6e} {0:18.6e} {0:18.6e}\n"


def frame_text(step, natoms=5, seed=None, tilt=(0.0, 0.0, 0.0), origin=(0.0, 0.0, 0.0), width=14, flags="pp pp pp"):
    """Return a frame as LAMMPS writes it, with the cell [[6, 0, 0], [xy, 7, 0], [xz, yz, 8]]."""
    (xy, xz, yz), (x, y, z) = tilt, origin
    skewed = any(tilt)
    bounds = [
        (x + min(0, xy, xz, xy + xz), x + 6 + max(0, xy, xz, xy + xz), xy),
        (y + min(0, yz), y + 7 + max(0, yz), xz),
        (z, z + 8, yz),
    ]
    coords = np.random.default_rng(step if seed is None else seed).random((natoms, 3)) * [6, 7, 8] + origin
    lines = ["ITEM: TIMESTEP", step, "ITEM: NUMBER OF ATOMS", natoms, f"ITEM: BOX BOUNDS {'xy xz yz ' * skewed}{flags}"]
    lines += [" ".join(f"{value:.16e}" for value in bound[: 2 + skewed]) for bound in bounds]
    lines += ["ITEM: ATOMS id type x y z"]
    lines += [f"{i} {1 + i % 2} " + " ".join(f"{v:{width}.10f}" for v in c) for i, c in enumerate(coords, 1)]
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture
def dump(tmp_path):
    def write(*texts):
        (tmp_path / "traj.dump").write_text("".join(texts))
        return tmp_path / "traj.dump"

    return write


@pytest.fixture
def devi(tmp_path):
    def write(*texts):
        (tmp_path / "model_devi.out").write_text("".join(texts))
        return tmp_path / "model_devi.out"

    return write


# ---- deviations -----------------------------------------------------------------------------------------------------


def test_deviations_are_read_by_the_names_of_their_columns(devi):
    found = read_rows(devi(HEADER, row(0, 0.1, 0.01), row(10, 0.2, 0.02)))
    assert found.tolist() == [[0, 0.1, 0.01], [10, 0.2, 0.02]]
    assert read_rows(devi("# max_devi_f step max_devi_v\n", "0.5 7 0.25\n")).tolist() == [[7, 0.5, 0.25]]


def test_columns_of_single_atoms_do_no_harm(devi):
    """A name with the number of atoms is the header of as many columns."""
    texts = HEADER[:-1] + " atm_devi_f(2)\n", row(0)[:-1] + " 0.1 0.2\n"
    assert read_rows(devi(*texts))[:, 1].tolist() == [0.1]
    found = read_rows(devi(*texts, row(10)[:-1] + " 0.1\n", row(20)[:-1] + " 0.1 0.2\n"))
    np.testing.assert_array_equal(found[:, 1], [0.1, np.nan, 0.1])


def test_a_last_line_that_was_cut_off_is_no_row(devi):
    assert read_rows(devi(HEADER, row(0), row(10, 0.2), row(20, 0.3)[:-8]))[:, 0].tolist() == [0, 10]


def test_a_row_that_is_no_list_of_numbers_is_nan(devi):
    found = read_rows(devi(HEADER, row(0), "          10 rubbish\n", "\0\0\0\n", "half a\n", row(20)))
    np.testing.assert_array_equal(found, [[0, 0.1, 0.01], [10, np.nan, np.nan], [20, 0.1, 0.01]])


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("word", ["", "****", "NaN", "1_0"])
def test_a_number_that_is_missing_or_spoilt_never_moves_another_one_into_its_place(devi, place, word):
    """Without its MD step a row begins with a deviation, which is no MD step."""
    values = ["10", "0.01", "0.2", "0.03", "0.4", "0.5", "0.6"]
    values[place] = word
    found = read_rows(devi(HEADER, row(0), " ".join(values) + "\n", row(20)))
    expected = {0: [[0, 0.1, 0.01], [20, 0.1, 0.01]]}.get(
        place, [[0, 0.1, 0.01], [10, np.nan, np.nan], [20, 0.1, 0.01]]
    )
    if place in (2, 3, 5, 6) and word:  # numbers that are not asked for
        expected[1] = [10, 0.4, 0.01]
    if place in (1, 4) and word == "NaN":  # a number after all
        expected[1] = [10, 0.4, np.nan] if place == 1 else [10, np.nan, 0.01]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("step", ["-10", "1e300", "9" * 30, "9" * 5000, "0.5", "nan", "9223372036854775808"])
def test_what_is_no_md_step_has_no_row(devi, step):
    assert read_rows(devi(HEADER, row(0), f"{step} 1 2 3 4 5 6\n"))[:, 0].tolist() == [0]


@pytest.mark.parametrize("broken", ["", "torn"])
def test_what_is_not_finite_stays_so(devi, broken):
    found = read_rows(devi(HEADER, row(0, np.nan), row(10, np.inf), broken))
    assert np.isnan(found[0, 1])
    assert found[1, 1] == np.inf
    assert found[:, 0].tolist() == [0, 10]


def test_rows_are_in_the_order_of_the_file_blocks_or_not(devi, monkeypatch):
    steps = [0, 10, 20, 30, 20, 30, 40]
    path = devi(HEADER, *(row(step, index) for index, step in enumerate(steps)))
    for size in (1 << 20, 300, 1):
        monkeypatch.setattr(deviation, "BLOCK", size)
        found = read_rows(path)
        assert found[:, 0].tolist() == steps
        assert found[:, 1].tolist() == list(range(7))


def test_a_second_header_is_no_row(devi):
    assert read_rows(devi(HEADER, row(0), HEADER, row(10)))[:, 0].tolist() == [0, 10]


def test_a_header_alone_has_no_rows(devi):
    assert read_rows(devi(HEADER)).shape == (0, 3)


@pytest.mark.parametrize("text", ["", HEADER[:-1], HEADER[:30] + "\n", row(0)])
def test_without_a_header_there_is_no_output(devi, text):
    with pytest.raises(OutputError, match="no header"):
        read_rows(devi(text))


def test_a_missing_file_is_no_output(tmp_path):
    with pytest.raises(OutputError, match=r"there is no 'model_devi\.out'"):
        read_rows(tmp_path / "model_devi.out")


def test_a_file_beyond_all_bounds_is_not_read(devi):
    path = devi(HEADER, row(0))
    os.truncate(path, 1 << 33)
    with pytest.raises(OutputError, match="8589934592 bytes"):
        read_rows(path)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, 600), junk=st.binary(max_size=30), place=st.integers(0, 600))
def test_a_torn_or_spoilt_file_raises_nothing_but_output_error(tmp_path_factory, length, junk, place):
    path = tmp_path_factory.mktemp("devi") / "model_devi.out"
    whole = (HEADER + row(0) + row(10) + row(20) + row(30)).encode()
    path.write_bytes((whole[:place] + junk + whole[place:])[:length])
    try:
        found = read_rows(path)
    except OutputError:
        return
    assert found.shape[1] == 3
    assert np.all(found[:, 0] == np.floor(found[:, 0]))


# ---- frames ---------------------------------------------------------------------------------------------------------


def same_as_dpdata(path, steps, found):
    system = dpdata.System(str(path), fmt="lammps/dump", type_map=list(TYPE_MAP))
    for step, frame in zip(steps, found, strict=True):
        assert list(frame.symbols) == [TYPE_MAP[kind] for kind in system["atom_types"]]
        np.testing.assert_allclose(frame.cell, system["cells"][step // 10], atol=1e-9)
        apart = (frame.coords - system["coords"][step // 10]) @ np.linalg.inv(frame.cell)  # dpdata wraps
        np.testing.assert_allclose(apart, np.round(apart), atol=1e-9)


@pytest.mark.parametrize("tilt", [(0, 0, 0), (1.5, -2.0, 3.0), (-1.5, 2.5, -3.0), (1.5, 2.0, 1.0), (-1.5, -2.0, 1.0)])
def test_frames_are_those_that_dpdata_reads(dump, tilt):
    path = dump(*(frame_text(step, tilt=tilt) for step in range(0, 300, 10)))
    steps = [0, 290, 130, 10, 280]
    found = read_frames(path, steps, TYPE_MAP)
    same_as_dpdata(path, steps, found)
    written = np.random.default_rng(130).random((5, 3)) * [6, 7, 8]
    np.testing.assert_allclose(found[2].coords, written, atol=1e-9)


def test_the_cell_vectors_of_a_skewed_box_come_back(dump):
    path = dump(frame_text(0, tilt=(1.5, -2.0, 3.0), origin=(-1.0, 2.0, 5.0)), frame_text(10))
    (found,) = read_frames(path, [0], TYPE_MAP)
    np.testing.assert_allclose(found.cell, [[6, 0, 0], [1.5, 7, 0], [-2.0, 3.0, 8]], atol=1e-12)
    coords = np.random.default_rng(0).random((5, 3)) * [6, 7, 8]
    np.testing.assert_allclose(found.coords, coords, atol=1e-9)
    assert found.periodic


def test_atoms_are_sorted_by_number_whatever_their_order(dump):
    lines = frame_text(0).splitlines(keepends=True)
    shuffled = "".join(lines[:9] + lines[9:][::-1])
    (found,) = read_frames(dump(shuffled), [0], TYPE_MAP)
    (sorted_one,) = read_frames(dump(frame_text(0)), [0], TYPE_MAP)
    assert found.symbols == sorted_one.symbols == ("Cu", "Al", "Cu", "Al", "Cu")
    np.testing.assert_array_equal(found.coords, sorted_one.coords)


def test_open_boundaries_are_told_by_the_dump(dump):
    (found,) = read_frames(dump(frame_text(0, flags="ff ff ff")), [0], TYPE_MAP)
    assert not found.periodic


def test_a_frame_that_is_not_there_is_none(dump):
    path = dump(*(frame_text(step) for step in range(0, 100, 10)))
    assert [frame is None for frame in read_frames(path, [15, 20, 1000, -10], TYPE_MAP)] == [True, False, True, True]


def test_nothing_is_read_for_no_steps(dump):
    assert read_frames(dump(frame_text(0)), [], TYPE_MAP) == []


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, 4200))
def test_a_frame_that_was_cut_is_none_and_those_before_are_whole(tmp_path_factory, length):
    texts = [frame_text(step) for step in range(0, 100, 10)]
    path = tmp_path_factory.mktemp("dump") / "traj.dump"
    path.write_text("".join(texts)[:length])
    ends = np.cumsum([len(text) for text in texts])
    whole = int(np.sum(ends <= length))
    found = read_frames(path, range(0, 100, 10), TYPE_MAP)
    assert [frame is not None for frame in found] == [number < whole for number in range(10)]
    assert last_complete_step(path) == (10 * (whole - 1) if whole else None)


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=60), place=st.integers(0, 1500), length=st.integers(0, 1500))
def test_a_spoilt_dump_raises_nothing_but_output_error(tmp_path_factory, junk, place, length):
    path = tmp_path_factory.mktemp("dump") / "traj.dump"
    whole = "".join(frame_text(step) for step in (0, 10, 20)).encode()
    path.write_bytes(whole[:place] + junk + whole[place + length :])
    try:
        read_frames(path, [0, 10, 20], TYPE_MAP)
        last_complete_step(path)
    except OutputError:
        pass


@pytest.mark.parametrize("width", [14, 0])
@pytest.mark.parametrize("torn", [0, 150])
def test_of_a_step_that_was_written_twice_the_last_frame_counts(dump, width, torn):
    first = [frame_text(step, width=width) for step in range(0, 600, 10)]
    first[-1] = first[-1][: len(first[-1]) - torn]
    second = [frame_text(step, seed=step + 1, width=width) for step in range(500, 800, 10)]
    found = read_frames(dump(*first, *second), [490, 500, 590, 600], TYPE_MAP)
    expected = [frame_text(490), *(frame_text(step, seed=step + 1) for step in (500, 590, 600))]
    for frame, text in zip(found, expected, strict=True):
        (alone,) = read_frames(dump(text), [int(text.split("\n")[1])], TYPE_MAP)
        np.testing.assert_array_equal(frame.coords, alone.coords)


def test_when_the_last_copy_was_cut_the_one_before_counts(dump):
    path = dump(frame_text(0), frame_text(10), frame_text(20), frame_text(10, seed=98), frame_text(20, seed=99)[:300])
    (found,) = read_frames(path, [20], TYPE_MAP)
    (first,) = read_frames(dump(frame_text(20)), [20], TYPE_MAP)
    np.testing.assert_array_equal(found.coords, first.coords)


def test_a_frame_that_is_not_where_it_was_calculated_is_searched(dump):
    steps = [0, 10, 30, 20, 40]
    found = read_frames(dump(*(frame_text(step) for step in steps)), steps, TYPE_MAP)
    assert all(frame is not None for frame in found)


@pytest.mark.parametrize("block", [16, 50, 127])
def test_no_marker_is_lost_between_two_blocks(dump, monkeypatch, block):
    monkeypatch.setattr(trajectory, "BLOCK", block)
    monkeypatch.setattr(trajectory, "WINDOW", block)
    for steps in ([0, 10, 20, 30, 40], [0, 10, 25, 30, 47]):
        path = dump(*(frame_text(step) for step in steps))
        assert all(frame is not None for frame in read_frames(path, steps, TYPE_MAP))
        assert last_complete_step(path) == steps[-1]


def test_steps_without_even_distances_are_found(dump):
    steps = [0, 10, 20, 25, 70, 71, 200]
    path = dump(*(frame_text(step) for step in steps))
    assert all(frame is not None for frame in read_frames(path, steps, TYPE_MAP))


def test_numbers_of_varying_width_are_found(dump):
    texts = [frame_text(step, natoms=2 + step % 7, width=0) for step in range(0, 3000, 10)]
    path = dump(*texts)
    found = read_frames(path, [0, 10, 990, 1500, 2990], TYPE_MAP)
    assert [len(frame.symbols) for frame in found] == [2 + step % 7 for step in (0, 10, 990, 1500, 2990)]


@given(start=st.integers(0, 2000), length=st.integers(1, 3000), interval=st.integers(1, 50))
def test_digits_are_counted_without_writing_the_numbers(start, length, interval):
    steps = range(start, start + length, interval)
    assert trajectory._digits(steps) == len("".join(map(str, steps)))


def test_few_bytes_are_read_of_a_long_dump(dump, monkeypatch):
    path = dump(*(frame_text(step, natoms=40) for step in range(0, 10000, 10)))
    read = []
    pread = os.pread
    monkeypatch.setattr(trajectory.os, "pread", lambda *a: read.append(a[1]) or pread(*a))
    frames = read_frames(path, [3330, 7770, 9980], TYPE_MAP)
    same_as_dpdata(path, [3330, 7770, 9980], frames)
    assert sum(read) < 0.04 * path.stat().st_size
    read.clear()
    assert last_complete_step(path) == 9990
    assert sum(read) <= 1 << 14


def test_the_last_frame_is_found_however_large_it_is(dump):
    path = dump(frame_text(0, natoms=3000), frame_text(10, natoms=3000), frame_text(20, natoms=3000)[:-1])
    assert last_complete_step(path) == 10
    found = read_frames(path, [10, 0, 20], TYPE_MAP)
    assert [frame and len(frame.symbols) for frame in found] == [3000, 3000, None]


def test_a_frame_of_another_type_or_with_other_columns_is_none(dump):
    assert read_frames(dump(frame_text(0)), [0], ("Al",)) == [None]
    for columns in ("id type xs ys zs", "type x y z id2", "id type x y", "id type x y z fx"):
        text = frame_text(0).replace("id type x y z", columns)
        assert read_frames(dump(text, frame_text(10)), [0, 10], TYPE_MAP)[0] is None, columns
        assert read_frames(dump(text, frame_text(10)), [0, 10], TYPE_MAP)[1] is not None, columns


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n2 1 ", "\n1 1 "), ("\n2 1 ", "\n2.5 1 "), ("\n2 1 ", "\n0 1 "), ("\n2 1 ", "\n2 1.5 "), ("\n2 1 ", "\n2 -1 "),
        ("\n2 1 ", "\n2 1e300 "), ("\n2 1 ", "\n2 "), ("pp pp pp", "pp pp"), ("pp pp pp", "qq pp pp"),
        ("6.0000000000000000e+00", "-6.0000000000000000e+00"), ("6.0000000000000000e+00", "0.0"),
        ("6.0000000000000000e+00", ""), ("6.0000000000000000e+00", "1_0"), ("6.0000000000000000e+00", "1e999"),
    ],
)  # fmt: skip
def test_what_lammps_cannot_have_written_is_no_frame(dump, old, new):
    assert read_frames(dump(frame_text(0)), [0], TYPE_MAP) != [None]
    assert old in frame_text(0)
    assert read_frames(dump(frame_text(0).replace(old, new)), [0], TYPE_MAP) == [None]


@pytest.mark.parametrize("step", ["-10", "9" * 30, "9" * 5000, "ten", "", "1e1", "9223372036854775808"])
def test_a_frame_of_no_md_step_is_passed_over(dump, step):
    path = dump(frame_text(0), frame_text(10).replace("10\n", f"{step}\n", 1), frame_text(20))
    assert read_steps(path).tolist() in ([0, 20], [0, 10, 20])  # an even dump may hide one in its middle
    assert [frame is None for frame in read_frames(path, [0, 10, 20], TYPE_MAP)] == [False, True, False]
    count = frame_text(0).replace("\n5\n", f"\n{step}\n", 1)
    assert read_frames(dump(count), [0], TYPE_MAP) == [None]


def test_a_long_hole_after_the_frames_is_not_read_through(dump, monkeypatch):
    path = dump(frame_text(0), frame_text(10))
    os.truncate(path, 1 << 33)
    monkeypatch.setattr(trajectory, "LARGEST", 1 << 20)
    read = []
    pread = os.pread
    monkeypatch.setattr(trajectory.os, "pread", lambda *a: read.append(a[1]) or pread(*a))
    assert last_complete_step(path) is None
    assert read_steps(path).tolist() == []
    assert read_frames(path, [0], TYPE_MAP) == [None]
    assert sum(read) < 1 << 23


def test_more_frames_than_can_be_kept_are_no_output(dump, monkeypatch):
    monkeypatch.setattr(trajectory, "MOST_FRAMES", 3)
    with pytest.raises(OutputError, match="not evenly spaced"):
        read_steps(dump(*(frame_text(step) for step in (0, 10, 11, 30, 50))))


def test_a_frame_with_numbers_that_are_none_is_none(dump):
    text = frame_text(0)
    spoilt = text[: text.rindex(" ")] + " nan\n"
    assert read_frames(dump(spoilt), [0], TYPE_MAP) == [None]


def test_without_a_dump_there_is_no_output(tmp_path):
    for read in (last_complete_step, read_steps, lambda path: read_frames(path, [0], TYPE_MAP)):
        with pytest.raises(OutputError, match="there is no"):
            read(tmp_path / "traj.dump")


# ---- predictions ----------------------------------------------------------------------------------------------------

THERMO = "# Time-averaged data for fix predicted\n# TimeStep c_thermo_pe c_virial[1] c_virial[2]\n"


def with_forces(text, value=0.25):
    """Return a frame's text with forces (value, 0, minus the atom's number)."""
    head, _, body = text.partition("ITEM: ATOMS id type x y z\n")
    lines = [f"{line} {value:10.6f} {0:10.6f} {-int(line.split()[0]):10.6f}\n" for line in body.splitlines()]
    return f"{head}ITEM: ATOMS id type x y z fx fy fz\n{''.join(lines)}"


def predicted(folder, text):
    (folder / "predicted.out").write_text(THERMO + text)
    return LammpsExplorer().predictions(folder, [0, 10, 20], TYPE_MAP)


def test_a_prediction_is_the_forces_of_the_dump_and_the_energy_and_virial_of_its_step(dump):
    folder = dump(*(with_forces(frame_text(step)) for step in (0, 10, 20))).parent
    first, second, third = predicted(folder, "0 -1.5 1 2 3 4 5 6\n20 -2.5 1e4 2e4 3e4 4e4 5e4 6e4\n")
    assert (first.energy, second, third.energy) == (-1.5, None, -2.5)
    np.testing.assert_allclose(first.forces, [[0.25, 0, -number] for number in range(1, 6)])
    pressure = np.array([[1, 4, 5], [4, 2, 6], [5, 6, 3]]) * 1e4  # bar: XX YY ZZ XY XZ YZ
    np.testing.assert_allclose(third.virial, pressure * 1e5 * 6 * 7 * 8 * 1e-30 / 1.602176634e-19)
    np.testing.assert_array_equal(third.frame.coords, read_frames(folder / "traj.dump", [20], TYPE_MAP)[0].coords)


def test_of_two_rows_of_a_step_nobody_knows_which_counts_and_torn_rows_do_not(dump):
    folder = dump(*(with_forces(frame_text(step)) for step in (0, 10, 20))).parent
    found = predicted(folder, "0 -1 0 0 0 0 0 0\n0 -2 0 0 0 0 0 0\n10 nan 0 0 0 0 0 0\n20 -3 0 0 0 0 0 0.1")
    assert found == [None, None, None]
    (first, *_) = predicted(folder, "0 -1 0 0 0 0 0 0\n10 1_0 0 0 0 0 0 0\n10 0 0\n")
    assert first.energy == -1


def test_a_run_that_kept_no_predictions_has_none(dump):
    folder = dump(frame_text(0), frame_text(10), frame_text(20)).parent
    assert LammpsExplorer().predictions(folder, [0], TYPE_MAP) == [None]  # of an older version: no file
    assert predicted(folder, "0 -1 0 0 0 0 0 0\n") == [None] * 3  # no forces in the dump


def test_an_open_frame_has_no_predicted_virial(dump):
    folder = dump(with_forces(frame_text(0, flags="ff ff ff"))).parent
    assert predicted(folder, "0 -1 1 2 3 4 5 6\n")[0].virial is None


# ---- the run --------------------------------------------------------------------------------------------------------

LOST = (
    "   Step          Temp\n         0   1000000\nERROR: Lost atoms: original 16 current 1\n"
    "For more information see https://docs.lammps.org/err0008 (src/src/thermo.cpp:526)\n"
)
HALTED = "Fix halt condition for fix-id stop met on step 30 with value 1\n"
WELL = "Total wall time: 0:00:01\n"
"""Ends of log.lammps, as LAMMPS 22 Jul 2025 (Update 2) wrote them."""


@pytest.fixture
def run(dump, devi):
    """Write what a run leaves: frames of some MD steps, rows of others, and the end of its log."""

    def write(frames, rows, log=WELL):
        devi(HEADER, *(row(step, 0.1 + index) for index, step in enumerate(rows)))
        folder = dump(*(frame_text(step, seed=index) for index, step in enumerate(frames))).parent
        (folder / "log.lammps").write_text(log)
        return folder

    return write


def test_a_whole_run_did_not_end_early(run):
    assert LammpsExplorer().finish(run([0, 10], [0, 10]), 0) == Ending(False, False, 10, None, 2)


@pytest.mark.parametrize("exit_code", [1, None, -9])
def test_a_run_that_was_ended_keeps_the_frames_before(dump, devi, exit_code):
    folder = dump(frame_text(0), frame_text(10), frame_text(20)[:-30]).parent
    devi(HEADER, row(0), row(10), row(20), row(30))
    explorer = LammpsExplorer()
    ending = explorer.finish(folder, exit_code)
    assert (ending.early, ending.halted, ending.last_step, ending.frames) == (True, False, 10, 2)
    assert ending.reason == (
        "the scheduler ended it" if exit_code is None else f"LAMMPS ended with exit code {exit_code}"
    )
    found = explorer.deviations(folder)
    assert found.md_steps.tolist() == [0, 10, 20, 30]
    np.testing.assert_array_equal(np.isnan(found.force), [False, False, True, True])
    np.testing.assert_array_equal(np.isnan(found.virial), [False, False, True, True])
    assert [frame is None for frame in explorer.frames(folder, [10, 20], TYPE_MAP)] == [False, True]


@pytest.mark.parametrize("exit_code", [0, 1, None])
def test_an_error_in_the_log_is_an_early_end_whatever_the_exit_code(run, exit_code):
    """The exit code of `lmp | tee` is that of tee."""
    ending = LammpsExplorer().finish(run([0], [0, 10], LOST), exit_code)
    assert (ending.early, ending.halted, ending.last_step, ending.frames) == (True, False, 0, 1)
    assert ending.reason == "ERROR: Lost atoms: original 16 current 1"


@pytest.mark.parametrize(("frames", "rows"), [([0, 10, 20], [0]), ([0], [0, 10, 20]), ([0, 10, 20], [0, 10, 30])])
def test_rows_and_frames_without_a_partner_are_an_early_end(run, frames, rows):
    ending = LammpsExplorer().finish(run(frames, rows), 0)
    assert ending.early
    assert ending.reason == f"{len(set(frames) ^ set(rows))} frames are missing in traj.dump or in model_devi.out"
    assert ending.last_step == (10 if 30 in rows else 0)


def test_a_row_that_is_there_twice_is_not_an_early_end(run):
    assert LammpsExplorer().finish(run([0, 10], [0, 10, 10]), 0) == Ending(False, False, 10, None, 2)


def test_a_halt_is_a_normal_end_and_a_hard_one_is_an_error(run):
    explorer = LammpsExplorer()
    assert explorer.finish(run([0, 10, 20, 30], [0, 10, 20, 30], HALTED + WELL), 0) == Ending(False, True, 30, None, 4)
    assert explorer.finish(run([0, 10, 20, 30], [0, 10, 20, 30], HALTED + WELL), 1).early
    hard = f"ERROR: {HALTED} (src/src/fix_halt.cpp:313)\nLast input line: run 100\n"
    ending = explorer.finish(run([0, 10, 20], [0, 10, 20, 30], hard), 1)
    assert (ending.early, ending.halted, ending.last_step) == (True, False, 20)
    assert ending.reason == "ERROR: " + HALTED.strip()


def test_a_comment_about_a_halt_is_not_a_halt(run):
    log = "fix stop all halt 10 v_hot != 0 error soft\n# Fix halt condition is met\n" + WELL
    assert not LammpsExplorer().finish(run([0], [0], log), 0).halted


def test_a_run_without_a_frame_is_explained_by_the_log(dump, devi):
    folder = dump(frame_text(0)[:-5]).parent
    devi(HEADER, row(0))
    with pytest.raises(OutputError, match="no complete frame"):
        LammpsExplorer().finish(folder, 0)
    (folder / "log.lammps").write_text(LOST)
    with pytest.raises(OutputError, match="ERROR: Lost atoms: original 16"):
        LammpsExplorer().finish(folder, 1)


def test_a_run_without_deviations_or_without_frames_is_no_output(dump, devi):
    with pytest.raises(OutputError, match=r"model_devi\.out"):
        LammpsExplorer().finish(dump(frame_text(0)).parent, 0)
    folder = devi(HEADER, row(0)).parent
    (folder / "traj.dump").unlink()
    for method in (lambda: LammpsExplorer().finish(folder, 0), lambda: LammpsExplorer().deviations(folder)):
        with pytest.raises(OutputError, match=r"traj\.dump"):
            method()


# ---- rows and frames are joined -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "rows", "expected"),
    [
        # the n-th row written has deviation 0.1 + n
        ([0, 10, 20], [0, 10, 20], [(0, 0.1), (10, 1.1), (20, 2.1)]),
        ([0, 10, 20], [20, 0, 10], [(0, 1.1), (10, 2.1), (20, 0.1)]),
        ([20, 10, 0], [0, 10, 20], [(0, 0.1), (10, 1.1), (20, 2.1)]),
        ([0, 10, 20], [0, 20], [(0, 0.1), (10, None), (20, 1.1)]),
        ([0, 20], [0, 10, 20], [(0, 0.1), (10, None), (20, 2.1)]),
        ([0, 10], [0, 10, 10], [(0, 0.1), (10, 1.1), (10, None)]),
        ([0, 10, 10], [0, 10], [(0, 0.1), (10, 1.1), (10, None)]),
        ([0, 10, 10], [0, 10, 10], [(0, 0.1), (10, 2.1)]),
        ([0, 10, 10, 10], [0, 10, 10], [(0, 0.1), (10, 2.1), (10, None)]),
        ([0], [], [(0, None)]),
        ([0, 5, 7], [10, 20], [(0, None), (5, None), (7, None), (10, None), (20, None)]),
    ],
)
def test_rows_and_frames_are_joined_by_md_step_and_occurrence(run, frames, rows, expected):
    found = LammpsExplorer().deviations(run(frames, rows))
    assert found.md_steps.tolist() == [step for step, _ in expected]
    np.testing.assert_allclose(found.force, [np.nan if force is None else force for _, force in expected])
    np.testing.assert_array_equal(np.isnan(found.force), np.isnan(found.virial))


@pytest.mark.parametrize(
    ("frames", "rows", "written"),
    [([0, 10, 10, 20], [0, 10, 20], 1), ([0, 10, 10, 20], [0, 10, 10, 20], 2), ([10, 0, 10], [10, 10, 10, 0], 2)],
)
def test_the_frame_of_a_step_is_the_one_that_its_deviation_was_written_for(run, dump, frames, rows, written):
    """``written``: which of the frames of step 10, which differ, must come."""
    folder = run(frames, rows)
    (found,) = LammpsExplorer().frames(folder, [10], TYPE_MAP)
    seed = [index for index, step in enumerate(frames) if step == 10][written - 1]
    (alone,) = read_frames(dump(frame_text(10, seed=seed)), [10], TYPE_MAP)
    np.testing.assert_array_equal(found.coords, alone.coords)


def test_the_last_error_of_a_log_is_quoted(tmp_path):
    assert read_log(tmp_path / "log.lammps") == ""
    assert last_error("") is None
    assert last_error("ERROR: first\n" + LOST + "DeePMD-kit: Error message: libcudart\n").startswith(
        "ERROR: Lost atoms"
    )
    assert last_error("all is well\n") is None
    assert last_error("ERROR on proc 0: " + "x" * 10 + "\n") == "ERROR on proc 0: xxxxxxxxxx"
