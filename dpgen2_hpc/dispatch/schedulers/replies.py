"""Sort what a submission command answers: accepted, full, down, or refused.

Each batch system has one table of the answers that its documents, its sources or its users show. An answer without a
job id that its table does not have is an uncertain refusal: the caller looks for the job by its name before it submits
it again. An unknown answer must not count as an outage, or a job refused for a new reason would be submitted for ever.

A pattern describes a whole message, from the start of its line. Words alone prove nothing: a site's hook, a banner or
the name of a file may say "timeout" or "limit", too.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from dpgen2_hpc.dispatch.schedulers import Reply
from dpgen2_hpc.errors import QueueDown, QueueFull, SubmissionRefused

LINES, WIDTH = 200, 1000
"""How many last lines of an answer, and how many characters of each, are compared with a table."""

ENDS = r"\.?\s*(?:MSG=.*)?\)?\s*$"
"""The end of a message that takes no argument; Torque appends its reason and a bracket."""


class Meaning(Enum):
    """What an answer without a job id says about the job."""

    FULL = "full"
    """It was not accepted: enough jobs for now."""

    DOWN = "down"
    """It may have been accepted, or will be when the service works again."""

    REFUSED = "refused"
    """It surely was not accepted, and will not be as it is."""

    UNSURE = "unsure"
    """It was not accepted as far as the answer tells, which no document explains."""


@dataclass(frozen=True)
class Known:
    """One known answer: a pattern that a line must match from its start, what it means, and who says so."""

    pattern: str
    meaning: Meaning
    source: str
    code: int | None = None
    """The exit code that the answer must have; ``None`` for any."""

    beside: str = ""
    """A pattern that some line of the answer must match as well."""

    def answers(self, lines: Sequence[str], code: int) -> bool:
        """Whether a line of an answer with this exit code is this message."""
        return self.code in (None, code) and all(
            any(re.match(pattern, line) for line in lines) for pattern in (self.pattern, self.beside)
        )


@dataclass(frozen=True)
class Replies:
    """What one submission command answers."""

    program: str
    """Its name, for an answer without words."""

    ids: Sequence[str]
    """Patterns of a line with a job's id (group 1), the unmistakable ones first and a bare number last."""

    known: Sequence[Known]
    """All known answers; the first that any line matches decides."""

    verdict: str = r"(?!)"
    """Pattern of the line that has the scheduler's own verdict: of several such lines only the last counts."""

    arrays: str = r"(?!)"
    """Pattern of the id of a job array, which is not one job."""


def known(meaning: Meaning, source: str, before: str, messages: Sequence[str], after: str = ENDS) -> tuple[Known, ...]:
    """Return answers of one meaning and source that differ in their messages (patterns) alone."""
    return tuple(Known(before + message + after, meaning, source) for message in messages)


def exactly(*messages: str) -> tuple[str, ...]:
    """Return messages as patterns that match them literally."""
    return tuple(re.escape(message) for message in messages)


def submitted_id(reply: Reply, table: Replies) -> str:
    """Return the id of an accepted job.

    Raises
    ------
    QueueDown
        It cannot be told whether the job was accepted.
    QueueFull
        It was not accepted, and will be later.
    SubmissionRefused
        It was not accepted; ``certain`` says whether the scheduler documents the answer.
    """
    words = "\n".join(text.strip() for text in (reply.err, reply.out) if text.strip())
    ids, unmistakable = _ids(reply.out, table)
    if reply.code == 0 and len(ids) == 1:
        return ids[0]
    raise _problem(_meaning(reply, table, ids, unmistakable), words or _silence(reply, table))


def _ids(out: str, table: Replies) -> tuple[list[str], bool]:
    """Return the different ids of the clearest form in an answer, and whether it is more than a bare number."""
    lines = [line.strip() for line in out.splitlines()]
    if any(re.fullmatch(table.arrays, line[:WIDTH]) for line in lines):
        return [], False
    for pattern in table.ids:
        found = [match[1] for line in lines if len(line) <= WIDTH and (match := re.fullmatch(pattern, line))]
        if found:
            return list(dict.fromkeys(found)), pattern is not table.ids[-1]
    return [], False


def _meaning(reply: Reply, table: Replies, ids: Sequence[str], unmistakable: bool) -> Meaning:
    """Return what an answer means that is not simply an id."""
    if not (reply.out.strip() or reply.err.strip()):
        killed = reply.code < 0 or reply.code > 128  # a quiet command (0) and a killed one may have submitted the job
        return Meaning.DOWN if killed or reply.code == 0 else Meaning.UNSURE
    said = _said(reply, table)
    if not ids:
        return said or Meaning.UNSURE
    # a bare number may be a banner's, where the scheduler has refused the job in words that are known
    doubt = said is Meaning.REFUSED and not unmistakable
    return Meaning.UNSURE if doubt else Meaning.DOWN


def _said(reply: Reply, table: Replies) -> Meaning | None:
    """Return the meaning of the first known answer that any line is; ``None`` if no line is known."""
    lines = list(_lines(reply, table))
    return next((answer.meaning for answer in table.known if answer.answers(lines, reply.code)), None)


def _lines(reply: Reply, table: Replies) -> Iterator[str]:
    """Yield the last lines of an answer that have words; of verdicts only the last one, others are a hook's words."""
    texts = [*reply.out.splitlines()[-LINES:], *reply.err.splitlines()[-LINES:]]
    lines = [line.strip()[:WIDTH] for line in texts if line.strip()]
    verdicts = [number for number, line in enumerate(lines) if re.match(table.verdict, line)]
    yield from (line for number, line in enumerate(lines) if number not in verdicts[:-1])


def _problem(meaning: Meaning, words: str) -> Exception:
    """Return the exception for the reaction that a meaning asks for."""
    if meaning is Meaning.FULL:
        return QueueFull(words)
    if meaning is Meaning.DOWN:
        return QueueDown(words)
    return SubmissionRefused(words, certain=meaning is Meaning.REFUSED)


def _silence(reply: Reply, table: Replies) -> str:
    """Return the words for an answer that has none."""
    return f"{table.program} ended with exit code {reply.code} and without a message"


SYSTEM = exactly(
    "Broken pipe",
    "Cannot allocate memory",
    "Connection refused",
    "Connection reset by peer",
    "Connection timed out",
    "Host is down",
    "Input/output error",
    "Interrupted system call",
    "Network is down",
    "Network is unreachable",
    "No buffer space available",
    "No route to host",
    "Resource temporarily unavailable",
    "Software caused connection abort",
    "Stale file handle",
    "Too many open files",
    "Too many open files in system",
    "Transport endpoint is not connected",
)
"""Messages of the operating system (Linux, errno 3) about a connection or a shortage, which schedulers hand on."""

ANYWHERE = (
    Known(r"(?:Killed|Terminated|Hangup)$", Meaning.DOWN, "dash 0.5, of a command that a signal ended"),
    Known(
        r"\w*sh: line \d+:\s+\d+ (?:Killed|Terminated|Hangup|Aborted|Segmentation fault)\b", Meaning.DOWN, "bash 5.2"
    ),
    Known(r"\w*sh: (?:line \d+: |\d+: )?(?:[Cc]annot )?fork\b", Meaning.DOWN, "bash 5.2, dash 0.5"),
    Known(r"ssh: (?:connect to host|Could not resolve hostname) ", Meaning.DOWN, "OpenSSH, sshconnect.c"),
    Known(r"kex_exchange_identification: |Connection closed by \S+ port \d+", Meaning.DOWN, "OpenSSH, kex.c"),
)
"""Messages of the shell that runs a submission command, and of the ssh that a site's wrapper may use."""
