"""The counts that the benchmarks promise, on small numbers: they do not hang on how busy the machine is."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import jobs


def test_a_job_costs_three_files_one_fsync_for_its_id_and_a_poll_one_call(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "GROUP", 5)
    counts = jobs.ours(tmp_path, 20)
    assert counts["jobs"] == 4
    assert counts["files_per_job"] == 3
    assert counts["fsyncs"] <= 1 + counts["jobs"] + 2 * counts["looks"]  # intents; ids; what a look has seen, verdicts
    assert counts["scheduler_calls"] <= counts["jobs"] + 2 * counts["looks"]


def test_a_poll_of_many_jobs_is_one_call_of_the_scheduler(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    counts = jobs.poll_of_many(tmp_path, 30)
    assert counts["calls"] == 1


OPENED = """
import sys
sys.path.insert(0, sys.argv[1])
import growth
from pathlib import Path
growth.FRAMES = 5
opened = []
sys.addaudithook(lambda event, arguments: opened.append(arguments[0]) if event == "open" else None)
for number in (3, 11):
    root = Path(sys.argv[2]) / str(number)
    growth.cpu = lambda work, before: (before(), opened.clear(), work())
    growth.iteration(root, number)
    print(len(opened))
"""


@pytest.mark.slow
def test_an_iteration_opens_three_files_more_for_each_that_came_before(tmp_path):
    """A result for the training data, a result and the digests for the duplicates; everything else is its own."""
    benchmarks = Path(__file__).resolve().parents[1] / "benchmarks"
    words = [sys.executable, "-c", OPENED, str(benchmarks), str(tmp_path)]
    early, late = map(int, subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
    assert late - early <= 3 * 8 + 10  # and some that Python opens for itself
