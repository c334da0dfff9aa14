"""No plugin can stop a run over what a task wrote: every exception becomes the attempt's failure, but the disk's."""

import errno
import logging

import pytest

from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp.abacus import AbacusLabeler
from dpgen2_hpc.plugins import call_plugin, describe_plugin


class Foreign:
    def read(self, error):
        raise error


@pytest.mark.parametrize("error", [TypeError("no"), RecursionError("deep"), MemoryError("big"), KeyError("x"), FileNotFoundError(errno.ENOENT, "x")])  # fmt: skip
def test_any_exception_fails_the_attempt_and_is_in_the_log(error, caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(OutputError, match=type(error).__name__) as raised:
        call_plugin("iter-000000/03.fp/task.000001", Foreign().read, error)
    assert "Foreign (module test_plugins)" in str(raised.value)
    assert "task.000001" in caplog.text
    assert "Traceback" in caplog.text


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [SystemExit(3), Speechless(), ValueError("x" * 10**7), OutputError("x" * 10**7)], ids=lambda error: type(error).__name__)  # fmt: skip
def test_neither_the_end_of_a_program_nor_a_message_stops_or_fills_anything(error, caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(OutputError) as raised:
        call_plugin("there", Foreign().read, error)
    assert len(str(raised.value)) < 2000
    assert len(caplog.text) < 50000


def test_a_rejection_with_a_long_reason_stays_one():
    with pytest.raises(LabelRefused, match=r"^y+\.\.\. \(5000 characters\)$"):
        call_plugin("there", Foreign().read, LabelRefused("y" * 5000))


@pytest.mark.parametrize("error", [OutputError("a"), LabelRefused("b"), OSError(errno.ESTALE, "c"), OSError(errno.EMFILE, "d")])  # fmt: skip
def test_what_means_something_passes(error):
    with pytest.raises(type(error), match=str(error.args[-1])):
        call_plugin("there", Foreign().read, error)


def test_our_own_plugins_have_their_types_name():
    assert describe_plugin(AbacusLabeler) == "labeler 'abacus'"


def test_a_foreign_one_is_named_by_its_package():
    assert describe_plugin(pytest.Mark) == f"Mark (package pytest {pytest.__version__})"
