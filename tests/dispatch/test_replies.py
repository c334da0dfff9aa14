"""What submission commands print, sorted. The classes in ``replies/*.tsv`` are those of the documents named there."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpgen2_hpc.dispatch.schedulers import Reply, replies
from dpgen2_hpc.errors import QueueDown, QueueFull, SubmissionRefused

TABLES = {"slurm": replies.SLURM, "openpbs": replies.PBS, "torque": replies.TORQUE, "lsf": replies.LSF}


def rows():
    for name, table in TABLES.items():
        text = (Path(__file__).parent / "replies" / f"{name}.tsv").read_text()
        for row in csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
            words = row["text"].replace("\\n", "\n")
            yield pytest.param(table, int(row["exit code"]), words, row["class"], id=f"{name}: {words[:70]}")


def sorted_as(table, reply):
    try:
        return f"accepted {table.submitted_id(reply)}"
    except QueueDown:
        return "down"
    except QueueFull:
        return "full"
    except SubmissionRefused as error:
        return "refused" if error.certain else "unsure"


@pytest.mark.parametrize(("table", "code", "words", "meaning"), rows())
def test_what_a_submission_command_prints_has_the_meaning_of_its_document(table, code, words, meaning):
    reply = (
        Reply(code, f"{words}\n", "") if meaning.startswith("accepted") or code == 0 else Reply(code, "", f"{words}\n")
    )
    assert sorted_as(table, reply) == meaning


def test_a_sites_banner_changes_no_meaning():
    for row in rows():
        assert_the_banner_changes_nothing(*row.values)


def assert_the_banner_changes_nothing(table, code, words, meaning):
    banner = "*** Welcome to the cluster! ***\n\n  maintenance on Monday: no connection then, limits apply\n"
    reply = Reply(code, f"{banner}{words}\n", "") if code == 0 else Reply(code, banner, f"{banner}{words}\n")
    assert sorted_as(table, reply) == meaning, words


def test_there_are_two_hundred_messages():
    assert len(list(rows())) >= 200


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@settings(max_examples=60, deadline=None, database=None)
@given(text=st.text(max_size=300), code=st.integers(-64, 255))
def test_any_answer_is_sorted(table, text, code):
    assert sorted_as(table, Reply(code, text, text)).split()[0] in ("accepted", "down", "full", "refused", "unsure")


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize(
    "text", ["a" * 100_000, "1" * 100_000, "<" * 100_000, ": " * 50_000, "qsub: " * 20_000, "Job " * 30_000]
)
def test_a_hundred_thousand_characters_are_sorted_at_once(table, text):
    sorted_as(table, Reply(1, "", text))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_known_words_in_the_middle_of_a_sites_words_are_the_sites(table):
    words = "Dear user: connection refused, limit exceeded, unknown queue: these are things that you should look up"
    assert sorted_as(table, Reply(1, "", words)) == "unsure"
