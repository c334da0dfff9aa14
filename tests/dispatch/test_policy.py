"""The policy: how many tasks must be usable, and which of the user's words say so."""

import dargs
import pytest

from dpgen2_hpc.dispatch.policy import Policy, cores
from dpgen2_hpc.inputs.policy import arguments


def policy(step="fp", **settings):
    return Policy.from_settings(step, settings)


@pytest.mark.parametrize(
    ("settings", "total", "wanted"),
    [
        ({}, 0, 0),
        ({}, 1, 1),
        ({}, 10, 9),
        ({}, 11, 10),
        ({}, 50, 45),
        ({"continue_on_success_ratio": 0.0}, 10, 1),
        ({"continue_on_success_ratio": 0.0}, 0, 0),
        ({"continue_on_success_ratio": 1.0}, 10, 10),
        ({"continue_on_success_ratio": 0.5}, 5, 3),
        ({"continue_on_success_ratio": 0.3}, 10, 3),
        ({"continue_on_success_ratio": 0.29}, 100, 29),
        ({"continue_on_success_ratio": 0.07}, 100, 7),
        ({"continue_on_failed": True}, 10, 1),
        ({"continue_on_failed": True}, 0, 0),
        ({"continue_on_failed": False}, 10, 9),
        ({"continue_on_num_success": 4}, 10, 4),
        ({"continue_on_num_success": 4}, 3, 3),
        ({"continue_on_num_success": 4}, 0, 0),
        ({"continue_on_num_success": 4, "continue_on_success_ratio": 0.8}, 10, 8),
        ({"continue_on_num_success": 9, "continue_on_success_ratio": 0.8}, 10, 9),
    ],
)
def test_wanted_of_a_number_of_labels(settings, total, wanted):
    assert policy(**settings).wanted(total) == wanted


@pytest.mark.parametrize(("step", "wanted"), [("train", 10), ("explore", 5), ("fp", 9)])
def test_each_step_has_its_own_default(step, wanted):
    assert policy(step).wanted(10) == wanted


def test_null_is_the_same_as_nothing():
    nothing = {key.name: key.default for key in arguments()}
    assert set(nothing.values()) == {None}
    assert policy("explore", **nothing) == policy("explore") == Policy(success_ratio=0.5)


def test_the_users_numbers_arrive():
    given = policy(parallelism=7, retry_count=0, poll_interval=5.0)
    assert (given.parallelism, given.retry_count, given.poll_interval) == (7, 0, 5.0)


def test_the_users_words_for_a_task_arrive():
    given = policy(timeout=3600, timeout_is_transient=True, envs={"OMP_NUM_THREADS": "4"})
    assert (given.timeout, given.timeout_is_transient, given.envs) == (3600, True, {"OMP_NUM_THREADS": "4"})
    assert (Policy().timeout, Policy().timeout_is_transient, Policy().envs) == (None, False, {})


def test_words_of_the_section_that_are_no_policy_are_passed_over():
    assert policy(command="dp", machine={}, resources={}) == policy()


def test_the_defaults_are_those_of_the_design():
    assert (Policy().retry_count, Policy.FAILURES, Policy().poll_interval, Policy().parallelism) == (3, 1, 60.0, None)


def test_the_words_are_the_manuals_and_each_may_change_at_any_time():
    keys = arguments()
    assert {key.name for key in keys} >= {"continue_on_failed", "continue_on_num_success", "continue_on_success_ratio"}
    assert {key.change for key in keys} == {"now"}
    tree = dargs.Argument("policy", dict, keys)
    assert tree.normalize_value({}) == {key.name: None for key in keys}


@pytest.mark.parametrize(
    ("name", "least"),
    [("continue_on_num_success", 1), ("parallelism", 1), ("retry_count", 0), ("continue_on_success_ratio", 0)],
)
def test_a_number_has_the_bound_that_sense_gives_it(name, least):
    (key,) = (key for key in arguments() if key.name == name)
    assert key.minimum == least


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {1, 5, 6})
    assert cores() == 3
