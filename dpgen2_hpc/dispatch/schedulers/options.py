"""What a table of a submit command's options says: how they are spelled, and what becomes of those that users give."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Style(Enum):
    """How a command spells its options."""

    LONG = "sbatch: --name, abbreviated or not, and bundled letters"
    LETTERS = "qsub: bundled letters"
    WORDS = "bsub: whole words with one dash"


@dataclass(frozen=True)
class Fate:
    """What becomes of an option that a user gives.

    ``text`` says why it is refused, or why it is not used (empty: it is removed silently). With a ``value``, a pattern,
    that is so only where the value shows it.
    """

    text: str
    refused: bool = False
    value: str = ""


@dataclass(frozen=True)
class Yielding:
    """A line of dpdispatcher's that is left out where the user gives one of some options.

    ``line`` is its pattern; ``options`` are names, each with a pattern of the value. ``keys`` are the keys of
    ``resources`` that are not used then; empty where users need not hear of it.
    """

    line: str
    options: Mapping[str, str]
    keys: str = ""


@dataclass(frozen=True)
class Options:
    """How a submit command reads the directive lines of a script.

    ``begin`` matches what a directive line begins with, ``quoted`` one quoted string, and ``comment`` where the rest of
    the line does not count. ``valued`` and ``plain`` are the names of the options with and without a value,
    ``optional`` of those whose value can only be in the same word; ``letters`` and ``aliases`` lead to names.

    ``everywhere``: directives after the first command count too. ``one_list``: the words of all lines make one list, so
    that a value may stand on the next line. ``strict``: a word that is not an option is an error. ``separators`` are
    words that begin another part of the job.

    ``inherits``: a job gets the environment of the submit command; ``environment`` has the options that change this:
    name, pattern of the value, and what holds then. ``size_line`` matches dpdispatcher's line for the size of a job,
    and ``sizes`` are the resources of ``-l`` that exclude it; ``yielding`` are others of its lines that may give way.
    """

    command: str
    directive: str
    style: Style
    begin: str
    quoted: str
    comment: str
    valued: frozenset[str]
    plain: frozenset[str]
    fates: Mapping[str, tuple[Fate, ...]]
    optional: frozenset[str] = frozenset()
    letters: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    everywhere: bool = False
    one_list: bool = False
    strict: bool = False
    separators: frozenset[str] = frozenset()
    inherits: bool = True
    environment: tuple[tuple[str, str, bool], ...] = ()
    sizes: frozenset[str] = frozenset()
    size_line: str = ""
    yielding: tuple[Yielding, ...] = ()


ARRAY = "makes one job several: remove it (group_size says how many tasks run in one job)"
WAIT = "makes {} wait until the job has ended: remove it, the driver waits by itself"
INTERACTIVE = "makes the job interactive, with nobody there to answer: remove it"
NO_JOB = "makes {} print something instead of submitting a job: remove it"
NO_ID = "keeps {} from printing the id of the job: remove it"

NAME = "jobs get names of their own, by which they are found in the queue again"
REQUEUE = "a job that the queue lost is submitted again by the driver (retry_count)"
OUTPUT = "output and errors of a job go to jobs/NAME.out in the folder of its step, where its end is recognized"
FOLDER = "a job runs in the folder of its step"
"""Reasons that the batch systems share; ``{}`` is the submit command."""


def refused(text: str, value: str = "") -> tuple[Fate, ...]:
    """Return the fate of an option that is refused."""
    return (Fate(text, refused=True, value=value),)


def unused(text: str, value: str = "") -> tuple[Fate, ...]:
    """Return the fate of an option that is removed, with a notice unless ``text`` is empty."""
    return (Fate(text, value=value),)
