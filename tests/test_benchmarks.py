"""The counts that the benchmarks promise, on small numbers: they do not hang on how busy the machine is."""

import sys
from pathlib import Path

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
