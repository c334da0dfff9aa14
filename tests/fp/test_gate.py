"""The gate: what is a label of the frame that was asked for, and why something is none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.gate import GPA, Gate

CELL = np.array([[4.0, 0.0, 0.0], [0.5, 3.8, 0.0], [0.2, -0.4, 4.2]])
FRACTIONS = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.1], [0.5, 0.05, 0.5], [0.97, 0.5, 0.5]])
ASKED = Frame(("Al", "Al", "Cu", "Cu"), FRACTIONS @ CELL, CELL)
FORCES = np.array([[0.1, 0.2, 0.3], [-0.4, 0.0, 0.1], [0.3, -0.1, 0.0], [0.0, -0.1, -0.4]])
VIRIAL = np.array([[1.0, 0.2, 0.3], [0.2, 2.0, -0.1], [0.3, -0.1, 3.0]])
ANSWER = Labels(ASKED, -12.5, FORCES, VIRIAL)
MOLECULE = replace(ASKED, periodic=False)


class Parser:
    """Stands in for a labeler: says what a test has put into its mouth."""

    def __init__(self, labels, *, has_virial=True):
        self.labels, self.has_virial = labels, has_virial

    def read_labels(self, directory):
        if isinstance(self.labels, Exception):
            raise self.labels
        return self.labels


def read(labels, frame=ASKED, gate=None, **more):
    return (gate or Gate()).read(Parser(labels, **more), Path("task"), frame)


def refusal(labels, frame=ASKED, **more):
    with pytest.raises(LabelRefused) as error:
        read(labels, frame, **more)
    return str(error.value)


def on(frame, **more):
    return replace(ANSWER, frame=frame, **more)


def rotation(seed=1):
    """A proper rotation."""
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix * np.linalg.det(matrix)


# ---- accepted


def test_an_answer_to_the_question_is_a_label_of_the_frame_that_was_asked_for():
    labels = read(ANSWER)
    assert labels.frame is ASKED
    assert labels.energy == -12.5
    np.testing.assert_array_equal(labels.forces, FORCES)
    np.testing.assert_array_equal(labels.virial, VIRIAL)


def test_atoms_that_the_code_has_wrapped_into_its_cell_are_where_they_were():
    shifts = np.array([[1, 0, 0], [0, -2, 0], [0, 0, 3], [-1, 1, -1]])
    labels = read(on(replace(ASKED, coords=ASKED.coords + shifts @ CELL)))
    assert labels.frame is ASKED


def test_an_atom_on_the_border_of_the_cell_may_be_on_either_side():
    moved = ASKED.coords - np.array([1e-9, 1e-9, 1e-9])
    wrapped = np.linalg.solve(CELL.T, moved.T).T % 1.0 @ CELL
    assert read(on(replace(ASKED, coords=wrapped))).frame is ASKED


def test_a_rotated_cell_is_the_same_cell():
    turn = rotation()
    turned = Frame(ASKED.symbols, ASKED.coords @ turn, CELL @ turn)
    assert read(on(turned, forces=FORCES @ turn, virial=turn.T @ VIRIAL @ turn)).frame is ASKED


def test_the_forces_and_the_virial_of_a_rotated_cell_are_turned_back_onto_the_frame():
    """The frame that is kept is the one that was asked for: forces in the code's axes would be wrong on it."""
    turn = rotation()
    turned = Frame(ASKED.symbols, ASKED.coords @ turn, CELL @ turn)
    labels = read(on(turned, forces=FORCES @ turn, virial=turn.T @ VIRIAL @ turn))
    np.testing.assert_allclose(labels.forces, FORCES, atol=1e-12)
    np.testing.assert_allclose(labels.virial, VIRIAL, atol=1e-12)


def test_digits_that_an_input_file_cuts_off_are_no_move():
    assert read(on(Frame(ASKED.symbols, np.round(ASKED.coords, 5), np.round(CELL, 6)))).frame is ASKED


def test_a_molecule_has_no_virial_whatever_the_code_wrote():
    labels = read(on(MOLECULE), MOLECULE)
    assert (labels.virial, labels.frame) == (None, MOLECULE)


def test_atoms_of_a_molecule_that_a_code_has_folded_into_its_box_are_where_they_were():
    box = Frame(MOLECULE.symbols, (MOLECULE.coords - 1.0) % 10.0, np.eye(3) * 10.0)
    wanted = replace(MOLECULE, coords=MOLECULE.coords - 1.0)
    assert read(on(box), wanted).frame is wanted
    assert "is 17.3 Å from" in refusal(on(replace(box, periodic=False)), wanted)
    assert "from where it was asked" in refusal(on(replace(box, coords=box.coords + [[0.1, 0, 0]])), wanted)


def test_a_code_without_stress_may_leave_the_virial_out():
    assert read(replace(ANSWER, virial=None), has_virial=False).virial is None


def test_a_large_but_bearable_label_is_one():
    forces = FORCES.copy()
    forces[2] = [49.9, 0, 0]
    assert read(replace(ANSWER, forces=forces)).forces[2, 0] == 49.9


# ---- refused


def test_what_the_code_itself_refuses_and_what_cannot_be_read_go_their_own_ways():
    assert refusal(LabelRefused("no convergence")) == "no convergence"
    with pytest.raises(OutputError, match="no output"):
        read(OutputError("no output"))


@pytest.mark.parametrize(
    "symbols", [("Al", "Cu", "Al", "Cu"), ("Cu", "Cu", "Al", "Al"), ("Al", "Al", "Cu"), ("Al", "Al", "Cu", "Ni")]
)
def test_other_species_or_another_order_are_refused(symbols):
    coords = ASKED.coords[: len(symbols)]
    assert "not those that were asked for" in refusal(on(Frame(symbols, coords, CELL)))


def test_swapped_atoms_of_one_species_are_refused():
    assert "an atom is" in refusal(on(replace(ASKED, coords=ASKED.coords[[1, 0, 2, 3]])))


@pytest.mark.parametrize("periodic", [True, False])
def test_an_atom_that_has_moved_is_refused_and_how_far(periodic):
    frame = replace(ASKED, periodic=periodic)
    coords = ASKED.coords.copy()
    coords[1, 2] += 0.05
    assert refusal(on(replace(frame, coords=coords)), frame) == "an atom is 0.05 Å from where it was asked to be"


@pytest.mark.parametrize("atom", [0, 3])
def test_a_shift_beyond_the_tolerance_is_refused_and_one_below_is_not(atom):
    coords = ASKED.coords.copy()
    coords[atom, 0] += 2e-3
    assert "an atom is 0.002 Å" in refusal(on(replace(ASKED, coords=coords)))
    assert read(on(replace(ASKED, coords=coords)), gate=Gate(position_tolerance=3e-3)).frame is ASKED


@pytest.mark.parametrize(
    "strain", [np.diag([1.01, 1, 1]), np.array([[1, 0.01, 0], [0, 1, 0], [0, 0, 1]]), np.eye(3) * 1.02]
)
def test_another_cell_is_refused_though_the_fractions_agree(strain):
    assert "the cell is not the one" in refusal(on(Frame(ASKED.symbols, ASKED.coords @ strain, CELL @ strain)))


def test_a_mirrored_cell_is_not_a_rotated_one():
    mirror = np.diag([1.0, 1.0, -1.0])
    answer = on(Frame(ASKED.symbols, ASKED.coords @ mirror, CELL @ mirror), forces=FORCES @ mirror)
    try:
        labels = read(answer)
    except LabelRefused:
        return
    np.testing.assert_allclose(labels.forces, FORCES, atol=1e-12)


@pytest.mark.parametrize("cell", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.ones((3, 3))])
def test_a_cell_that_is_none_is_refused(cell):
    assert refusal(on(replace(ASKED, cell=cell)))


def test_coordinates_that_are_not_numbers_are_refused():
    assert "an atom is nan" in refusal(on(replace(ASKED, coords=np.full((4, 3), np.nan))))
    assert "an atom is nan" in refusal(on(replace(MOLECULE, coords=np.full((4, 3), np.nan))), MOLECULE)


def test_a_missing_virial_is_refused_where_the_code_gives_one():
    assert "no virial" in refusal(replace(ANSWER, virial=None))
    assert read(on(MOLECULE, virial=None), MOLECULE).virial is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(bad):
    forces, virial = FORCES.copy(), VIRIAL.copy()
    forces[3, 1] = virial[0, 2] = bad
    for answer in (replace(ANSWER, energy=bad), replace(ANSWER, forces=forces), replace(ANSWER, virial=virial)):
        assert refusal(answer) == "energy, forces or virial are not finite"


@pytest.mark.parametrize("rows", [3, 5, 0])
def test_forces_for_another_number_of_atoms_are_refused(rows):
    assert (
        refusal(replace(ANSWER, forces=np.zeros((rows, 3))))
        == f"the forces: found the shape ({rows}, 3), expected (4, 3)"
    )


def test_the_force_on_one_atom_is_the_length_of_its_vector():
    forces = FORCES.copy()
    forces[0] = [30.0, 30.0, 30.0]
    assert refusal(replace(ANSWER, forces=forces)) == "the largest force is 52.0 eV/Å, more than 50"
    assert read(replace(ANSWER, forces=forces), gate=Gate(max_force=60)).energy == -12.5


@pytest.mark.parametrize("sign", [1, -1])
def test_an_absurd_pressure_is_refused_whatever_its_sign(sign):
    volume = abs(np.linalg.det(CELL))
    virial = sign * np.eye(3) * 510 / GPA * volume
    assert refusal(replace(ANSWER, virial=virial)) == "the pressure is 510 GPa, more than 500"
    assert read(replace(ANSWER, virial=virial * 0.9)).energy == -12.5
    assert read(replace(ANSWER, virial=virial), gate=Gate(max_pressure=600)).energy == -12.5


def test_the_unit_of_pressure_is_right():
    """1 eV = 1.602176634e-19 J, and 1 Å³ = 1e-30 m³."""
    assert pytest.approx(1.602176634e-19 / 1e-30 / 1e9, rel=1e-8) == GPA


def test_labels_that_are_judged_together_get_the_verdicts_that_each_gets_alone():
    turn = rotation()
    turned = Frame(ASKED.symbols, ASKED.coords @ turn, CELL @ turn)
    flat = replace(ASKED, cell=np.diag([1.0, 1.0, 0.0]))
    broken = replace(ASKED, cell=np.full((3, 3), np.nan))
    single = Frame(("Al",), np.zeros((1, 3)), CELL)
    cases = [
        (ANSWER, ASKED),
        (on(turned, forces=FORCES @ turn, virial=turn.T @ VIRIAL @ turn), ASKED),
        (on(flat), ASKED),
        (on(MOLECULE), MOLECULE),
        (on(broken), ASKED),
        (on(ASKED, forces=FORCES * 200), ASKED),
        (on(ASKED, virial=VIRIAL * 1e5), ASKED),
        (on(ASKED, energy=np.nan), ASKED),
        (on(replace(ASKED, symbols=("Cu", "Al", "Cu", "Al"))), ASKED),
        (on(replace(ASKED, coords=ASKED.coords + [[0.1, 0, 0]])), ASKED),
        (on(ASKED, virial=None), ASKED),
        (Labels(single, -1.0, np.zeros((1, 3)), np.eye(3)), single),
        (ANSWER, ASKED),
    ]
    found, wanted = zip(*cases, strict=True)
    together = Gate().judge(found, wanted, has_virial=True)
    for (labels, frame), verdict in zip(cases, together, strict=True):
        if isinstance(verdict, LabelRefused):
            assert str(verdict) == refusal(labels, frame)
            continue
        alone = read(labels, frame)
        assert (verdict.frame, verdict.energy) == (alone.frame, alone.energy)
        np.testing.assert_array_equal(verdict.forces, alone.forces)
        np.testing.assert_array_equal(np.asarray(verdict.virial), np.asarray(alone.virial))
    assert [isinstance(verdict, Labels) for verdict in together] == [
        True, True, False, True, False, False, False, False, False, False, False, True, True,
    ]  # fmt: skip


class Unreadable:
    def __array__(self, *arguments, **named):
        raise RuntimeError("no array")


# ---- shapes and types


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("forces", FORCES[:, :2], "the forces: found the shape (4, 2)"),
        ("forces", FORCES.ravel(), "the forces: found the shape (12,)"),
        ("forces", Unreadable(), "the forces: cannot be understood: RuntimeError: no array"),
        ("energy", Unreadable(), "the energy: cannot be understood"),
        ("virial", np.ma.masked_less(VIRIAL, 0.0), "the virial: some of the numbers are masked"),
        ("forces", FORCES[None], "the forces: found the shape (1, 4, 3)"),
        ("forces", FORCES + 0j, "the forces: not real numbers"),
        ("forces", FORCES.astype(object), "the forces: not real numbers"),
        ("forces", FORCES.astype(str), "the forces: not real numbers"),
        ("forces", FORCES > 0, "the forces: not real numbers"),
        ("forces", [[1.0, 2.0, 3.0], [1.0]], "the forces: cannot be understood"),
        ("forces", None, "the forces: not real numbers"),
        ("energy", np.array([-12.5]), "the energy: found the shape (1,)"),
        ("energy", "-12.5", "the energy: not real numbers"),
        ("energy", True, "the energy: not real numbers"),
        ("energy", None, "the energy: not real numbers"),
        ("energy", 10**400, "the energy: not real numbers"),
        ("energy", -12.5 + 1j, "the energy: not real numbers"),
        ("virial", VIRIAL.ravel(), "the virial: found the shape (9,)"),
        ("virial", np.eye(3) * 1j, "the virial: not real numbers"),
        ("frame", None, "the labeler returned Labels, not labels of a frame"),
        ("frame", replace(ASKED, coords=ASKED.coords[:, 0]), "the coordinates: found the shape (4,)"),
        ("frame", replace(ASKED, coords=ASKED.coords[:3]), "the coordinates: found the shape (3, 3)"),
        ("frame", replace(ASKED, cell=np.ones(9)), "the cell: found the shape (9,)"),
        ("frame", replace(ASKED, cell=None), "the cell: not real numbers"),
        ("frame", replace(ASKED, symbols="AlCu"), "no list of element symbols"),
        ("frame", replace(ASKED, symbols=np.array(ASKED.symbols)), "no list of element symbols"),
        ("frame", replace(ASKED, symbols=(13, 13, 29, 29)), "no list of element symbols"),
        ("frame", replace(ASKED, symbols=ASKED.symbols[:3]), "the atoms are not those that were asked for"),
        ("frame", replace(ASKED, periodic=None), "does not say whether the frame is periodic"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_has_another_shape_or_type_is_rejected_before_anything_is_computed(field, value, says):
    assert says in refusal(replace(ANSWER, **{field: value}))


@pytest.mark.parametrize("labels", [None, "label", (ASKED, -12.5, FORCES), {"energy": 1.0}])
def test_what_is_not_a_label_at_all_is_rejected(labels):
    assert "not labels of a frame" in refusal(labels)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e300, 1e17, np.inf, -np.inf, np.nan, 1e-320])
@pytest.mark.parametrize("asked", [ASKED, MOLECULE], ids=["crystal", "molecule"])
def test_absurd_numbers_are_rejected_without_a_warning(size, asked):
    """1e17 Å is a whole number of cells to a float: such an atom is nowhere, not where it was asked to be."""
    assert refusal(on(replace(ASKED, coords=np.full((4, 3), size))), asked)
    assert refusal(on(replace(asked, coords=np.full((4, 3), size))), asked)
    if asked.periodic:
        assert refusal(on(replace(ASKED, cell=np.full((3, 3), size))), asked)
        assert refusal(on(replace(ASKED, cell=np.diag([size] * 3))), asked)
    if not abs(size) < 1:
        assert refusal(on(asked, forces=np.full((4, 3), size)), asked)
        assert refusal(replace(ANSWER, virial=np.diag([size] * 3)))


@pytest.mark.parametrize("forces", [FORCES.tolist(), FORCES.astype(np.float32), np.zeros((4, 3), dtype=int)])
def test_lists_and_other_kinds_of_real_numbers_are_understood(forces):
    labels = read(
        replace(ANSWER, forces=forces, energy=np.float32(-12.5), frame=replace(ASKED, symbols=[*ASKED.symbols]))
    )
    assert (labels.forces.dtype, type(labels.energy)) == (np.float64, float)
    np.testing.assert_allclose(labels.forces, np.array(forces), atol=1e-7)


def test_one_that_is_odd_does_not_hinder_the_others():
    odd = [
        None,
        replace(ANSWER, forces=FORCES[:2]),
        replace(ANSWER, energy=None),
        on(replace(ASKED, cell=np.zeros((3, 3)))),
    ]
    judged = Gate().judge([ANSWER, *odd, ANSWER], [ASKED] * 6, has_virial=True)
    assert [isinstance(one, Labels) for one in judged] == [True, False, False, False, False, True]


def test_a_frame_without_volume_that_was_asked_for_by_mistake_hinders_no_other():
    flat = replace(ASKED, cell=np.diag([4.0, 4.0, 0.0]))
    judged = Gate().judge([ANSWER, ANSWER, ANSWER], [ASKED, flat, ASKED], has_virial=True)
    assert [isinstance(one, Labels) for one in judged] == [True, False, True]
    assert "cannot be compared" in str(judged[1])
