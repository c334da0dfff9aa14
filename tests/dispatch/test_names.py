"""Names of queue entries: what a queue takes, and one for each job of each run."""

import re

from dpgen2_hpc.dispatch.names import job_name
from dpgen2_hpc.state.workdir import STEPS


def test_a_name_has_fifteen_characters_and_a_letter_first():
    names = [job_name(f"{number:016x}", number, "train", number) for number in range(200)]
    assert [name for name in names if not re.fullmatch("[a-z][a-z0-9]{14}", name)] == []


def test_a_name_hangs_on_nothing_but_run_iteration_step_and_job():
    assert job_name("0123456789abcdef", 2, "fp", 11) == job_name("0123456789abcdef", 2, "fp", 11)


def test_two_jobs_that_differ_in_anything_have_two_names():
    keys = [
        (identity, iteration, step, job)
        for identity in ("0123456789abcdef", "0123456789abcdee")
        for iteration in range(12)
        for step in STEPS
        for job in range(120)
    ]
    assert len({job_name(*key) for key in keys}) == len(keys)
