"""What comes after an iteration: the five questions in their order, as a table."""

import copy
import itertools

import pytest

from dpgen2_hpc.loop.schedule import Action, Limits, decide


def report(*, valid=True, converged=False, selected=3, stage=0, index_in_stage=0, explored=10):
    """A row of the record as far as the schedule is concerned."""
    return {
        "stage": stage,
        "index_in_stage": index_in_stage,
        "explored": explored,
        "invalid": 0 if valid else explored,
        "converged": converged,
        "selected": selected,
    }


def limits(stages=1, max_numb_iter=5, *, fatal=True):
    return Limits(stages, max_numb_iter, fatal)


def action(last, which=None):
    return decide(which or limits(), [last]).action


# ---- the order of the questions


def expected(*, valid, converged, selected, at_max, fatal, last_stage):
    """The five questions of the design, one after another."""
    after = Action.COMPLETE if last_stage else "next stage"
    if not valid:
        return Action.BLOCKED
    if converged:
        return after
    if not selected:
        return Action.BLOCKED
    if at_max:
        return Action.BLOCKED if fatal else after
    return "same stage"


@pytest.mark.parametrize("answers", list(itertools.product([True, False], repeat=6)))
def test_the_five_questions_are_asked_in_their_order_for_every_combination_of_answers(answers):
    valid, converged, selected, at_max, fatal, last_stage = answers
    row = report(valid=valid, converged=converged, selected=3 * selected, index_in_stage=4 if at_max else 2)
    found = decide(limits(stages=1 if last_stage else 2, max_numb_iter=5, fatal=fatal), [row])
    wanted = expected(
        valid=valid, converged=converged, selected=selected, at_max=at_max, fatal=fatal, last_stage=last_stage
    )
    where = {"same stage": (0, row["index_in_stage"] + 1), "next stage": (1, 0)}
    if wanted in where:
        assert (found.action, found.stage, found.index_in_stage) == (Action.GO_ON, *where[wanted])
    else:
        assert found.action == wanted


def test_nothing_explored_at_all_is_nothing_valid():
    assert action(report(explored=0, converged=True)) == Action.BLOCKED


def test_nothing_valid_is_not_converged_whatever_the_report_says():
    decision = decide(limits(), [report(valid=False, converged=True)])
    assert decision.action == Action.BLOCKED
    assert "no valid frame" in decision.reason


def test_nothing_selected_blocks_though_a_soft_limit_is_reached():
    decision = decide(limits(max_numb_iter=1, fatal=False, stages=2), [report(selected=0)])
    assert decision.action == Action.BLOCKED
    assert "no frame could be selected" in decision.reason


def test_the_last_allowed_iteration_may_converge():
    assert action(report(converged=True, index_in_stage=4), limits(max_numb_iter=5)) == Action.COMPLETE


@pytest.mark.parametrize(
    ("index", "wanted"), [(0, Action.GO_ON), (3, Action.GO_ON), (4, Action.BLOCKED), (7, Action.BLOCKED)]
)
def test_a_stage_has_as_many_iterations_as_it_may_have(index, wanted):
    assert action(report(index_in_stage=index), limits(max_numb_iter=5)) == wanted


def test_the_limit_counts_the_iterations_of_the_stage_and_not_of_the_run():
    rows = [report(index_in_stage=number) for number in range(4)] + [report(stage=1, index_in_stage=0)]
    decision = decide(limits(stages=2, max_numb_iter=5), rows)
    assert (decision.action, decision.stage, decision.index_in_stage) == (Action.GO_ON, 1, 1)


@pytest.mark.parametrize("row", [report(valid=False), report(selected=0), report(index_in_stage=9)])
def test_a_blocked_run_says_how_many_md_runs_ended_early(row):
    found = decide(limits(), [{**row, "runs": 6, "ended_early": 5}])
    assert found.action == Action.BLOCKED
    assert found.reason.endswith("(5 of 6 MD runs ended early)")
    assert decide(limits(), [{**row, "runs": 6, "ended_early": 0}]).reason == decide(limits(), [row]).reason


# ---- what a person may change


def test_a_larger_limit_lets_a_blocked_run_go_on():
    row = report(index_in_stage=4)
    assert action(row, limits(max_numb_iter=5)) == Action.BLOCKED
    decision = decide(limits(max_numb_iter=6), [row])
    assert (decision.action, decision.stage, decision.index_in_stage) == (Action.GO_ON, 0, 5)


def test_a_softer_limit_lets_a_blocked_run_go_on_to_the_next_stage():
    row = report(index_in_stage=4)
    assert action(row, limits(stages=2)) == Action.BLOCKED
    decision = decide(limits(stages=2, fatal=False), [row])
    assert (decision.action, decision.stage, decision.index_in_stage) == (Action.GO_ON, 1, 0)


def test_an_appended_stage_lets_a_completed_run_go_on():
    row = report(converged=True, index_in_stage=2)
    assert action(row, limits(stages=1)) == Action.COMPLETE
    decision = decide(limits(stages=2), [row])
    assert (decision.action, decision.stage, decision.index_in_stage) == (Action.GO_ON, 1, 0)


# ---- a pure function


def test_the_same_question_has_the_same_answer_and_changes_nothing():
    rows = [report(), report(index_in_stage=1)]
    before = copy.deepcopy(rows)
    assert decide(limits(), rows) == decide(limits(), rows)
    assert rows == before


def test_only_the_last_iteration_decides():
    last = report(index_in_stage=1)
    for first in (report(), report(valid=False), report(converged=True), report(selected=0)):
        assert decide(limits(), [first, last]) == decide(limits(), [report(), last])


def test_every_answer_says_why():
    rows = [report(), report(converged=True), report(selected=0), report(valid=False), report(index_in_stage=9)]
    reasons = [decide(limits(), [row]).reason for row in rows]
    assert len(set(reasons)) == len(rows)
    assert "max_numb_iter = 5" in reasons[-1]
