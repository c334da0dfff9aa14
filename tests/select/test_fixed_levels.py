"""Fixed trust levels: the class of a frame, the order of the candidates, and when a stage has converged."""

import numpy as np
import pytest

from dpgen2_hpc.kinds import ACCURATE, CANDIDATE, FAILED, INVALID, CheckContext, Deviations
from dpgen2_hpc.select.fixed_levels import FixedLevels

FORCE = FixedLevels(0.05, 0.5)
BOTH = FixedLevels(0.05, 0.5, 0.01, 0.1)
A, C, F, X = ACCURATE, CANDIDATE, FAILED, INVALID
NAN, INF = float("nan"), float("inf")


def classes(levels, force, virial=None):
    force = np.array(force, dtype=float)
    virial = np.full(len(force), NAN) if virial is None else np.array(virial, dtype=float)
    return levels.classify(Deviations(np.arange(len(force)), force, virial)).tolist()


# ---- the class of a frame


def test_a_frame_is_a_candidate_from_the_lower_level_on_and_failed_from_the_upper_one_on():
    below, above = np.nextafter(0.05, 0), np.nextafter(0.5, 0)
    assert classes(FORCE, [0.0, below, 0.05, 0.2, above, 0.5, 9.0]) == [A, A, C, C, C, F, F]


def test_what_is_not_finite_is_invalid_whatever_its_sign():
    assert classes(FORCE, [NAN, INF, -INF, 0.2]) == [X, X, X, C]


def test_without_virial_levels_the_virial_is_not_looked_at():
    assert classes(FORCE, [0.01, 0.2, 0.7], [NAN, INF, 0.0]) == [A, C, F]


@pytest.mark.parametrize(
    ("force", "virial", "expected"),
    [
        (0.01, 0.001, A), (0.01, 0.05, C), (0.01, 0.2, F),
        (0.20, 0.001, C), (0.20, 0.05, C), (0.20, 0.2, F),
        (0.70, 0.001, F), (0.70, 0.05, F), (0.70, 0.2, F),
        (NAN, 0.001, X), (0.01, NAN, X), (0.70, NAN, X), (NAN, 0.2, X), (INF, 0.05, X), (0.2, INF, X),
        (0.01, 0.01, C), (0.01, 0.1, F), (0.05, 0.001, C), (0.5, 0.001, F),
    ],
)  # fmt: skip
def test_failed_if_either_failed_accurate_if_both_are_else_candidate(force, virial, expected):
    assert classes(BOTH, [force], [virial]) == [expected]


def test_the_deviations_are_left_as_they_were():
    force, virial = np.array([0.2, NAN]), np.array([0.2, 0.2])
    BOTH.classify(Deviations(np.arange(2), force, virial))
    np.testing.assert_array_equal([force, virial], [[0.2, NAN], [0.2, 0.2]])


def test_no_frames_have_no_classes():
    assert classes(BOTH, [], []) == []


# ---- the order


def test_the_order_is_a_permutation_that_the_generator_alone_decides():
    force = np.linspace(0.1, 0.4, 30)
    order = FORCE.order(force, force, np.random.default_rng(4))
    assert sorted(order) == list(range(30))
    assert order.tolist() != sorted(order)
    np.testing.assert_array_equal(order, FORCE.order(force, force, np.random.default_rng(4)))
    assert order.tolist() != FORCE.order(force, force, np.random.default_rng(5)).tolist()


# ---- convergence


def counts(explored, accurate, invalid=0):
    return {"explored": explored, "accurate": accurate, "candidate": 0, "failed": 0, "invalid": invalid}


@pytest.mark.parametrize(
    ("explored", "accurate", "invalid", "converged"),
    [
        (10, 9, 0, True),
        (10, 8, 0, False),
        (10, 10, 0, True),
        (10, 0, 0, False),
        (1000, 899, 0, False),
        (10, 9, 1, True),
        (10, 8, 2, False),
    ],
)
def test_a_stage_has_converged_when_nine_of_ten_explored_frames_are_accurate(explored, accurate, invalid, converged):
    assert FORCE.converged(counts(explored, accurate, invalid)) is converged


def test_a_part_that_is_just_reached_is_reached_whatever_the_rounding():
    """0.55 * 100 is more than 55 in floating point."""
    missed = [
        (accurate, explored)
        for explored in range(1, 130)
        for accurate in range(1, explored + 1)
        if not FixedLevels(0.05, 0.5, conv_accuracy=accurate / explored).converged(counts(explored, accurate))
    ]
    assert missed == []


@pytest.mark.parametrize("invalid", [0, 5])
def test_nothing_valid_is_never_converged(invalid):
    assert FORCE.converged(counts(invalid, 0, invalid)) is False


# ---- settings


def problems(*levels):
    context = CheckContext(("Al",), (27.0,), 4)
    return {".".join(map(str, path)): text for path, text in FixedLevels(*levels).checks(context)}


def test_levels_in_order_have_no_problem():
    assert problems(0.05, 0.5) == problems(0.05, 0.5, 0.01, 0.1) == {}


@pytest.mark.parametrize("pair", [(0.5, 0.05), (0.5, 0.5)])
def test_levels_in_the_wrong_order_are_a_problem_of_the_lower_one(pair):
    assert "must be below level_f_hi" in problems(*pair)["level_f_lo"]
    assert "must be below level_v_hi" in problems(0.05, 0.5, *pair)["level_v_lo"]


def test_half_of_the_virial_levels_is_a_problem_of_the_missing_half():
    assert list(problems(0.05, 0.5, 0.01)) == ["level_v_hi"]
    assert list(problems(0.05, 0.5, None, 0.1)) == ["level_v_lo"]


def test_the_levels_are_reported_under_their_names_and_those_of_the_virial_only_if_used():
    assert FORCE.levels() == {"level_f_lo": 0.05, "level_f_hi": 0.5}
    assert BOTH.levels() == {"level_f_lo": 0.05, "level_f_hi": 0.5, "level_v_lo": 0.01, "level_v_hi": 0.1}
