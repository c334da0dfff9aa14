"""bjobs, bhist, bkill."""

import os
import sys
import time

import spool
from lsf_job import REASONS, exit_code
from lsf_submit import wait_for_daemon
from spool import HABITS, HOST, OWNER, Refused

WIDTHS = {
    "jobid": 7, "stat": 5, "user": 7, "queue": 10, "job_name": 11, "from_host": 11, "exec_host": 11, "exit_code": 10,
    "exit_reason": 50, "submit_time": 15,
}  # fmt: skip
DEFAULT = "jobid user stat queue from_host exec_host job_name submit_time"
NOBODY = 255 if spool.RELEASE == "9" else 0
"""Exit code of a bjobs that found no job: IBM does not say, and sites have seen both."""


def state(job: dict) -> str:
    if not spool.live(job):
        return "DONE" if job["exit"] == 0 else "EXIT"
    return {"queued": "PEND", "held": "PSUSP"}.get(job["state"], "RUN")


def value(job: dict, field: str) -> str:
    code = exit_code(job)
    return {
        "jobid": str(job["number"]),
        "stat": state(job),
        "user": job["owner"],
        "queue": job["queue"],
        "job_name": job["name"],
        "from_host": HOST,
        "exec_host": "node1" if job["started"] else "-",
        "exit_code": "-" if not code else str(code),
        "exit_reason": REASONS.get(job["reason"], "-"),
        "submit_time": time.strftime("%b %d %H:%M", time.localtime(job["created"])),
    }[field]


def parse_format(text: str) -> tuple[list[tuple[str, int, bool]], str]:
    """Return the fields, with width and whether they stand at the right, and the delimiter."""
    fields, delimiter = [], ""
    for word in spool.words_of(text):
        if word.startswith("delimiter="):
            delimiter = word[10:]
            continue
        name, colon, width = word.partition(":")
        if name.lower() not in WIDTHS:
            raise Refused(f"{name}: Illegal field name. ", 255)
        number = int(width.lstrip("-") or 0) if colon else WIDTHS[name.lower()]
        fields.append((name.lower(), number, width.startswith("-")))
    return fields, delimiter


def cell(text: str, width: int, *, right: bool, bare: bool) -> str:
    """A value that is too long loses characters at its head, and `*` says so; a delimiter needs no padding."""
    if width and len(text) > width:
        text = "*" + text[len(text) - width + 1 :]
    return text if bare else text.rjust(width) if right else text.ljust(width)


def row(values: list[str], fields: list[tuple[str, int, bool]], delimiter: str) -> str:
    cells = [cell(text, width, right=right, bare=bool(delimiter)) for text, (_, width, right) in zip(values, fields)]
    return (delimiter or " ").join(cells)


def options_of(words: list[str], values: set[str], flags: set[str]) -> tuple[dict[str, str], list[str]]:
    found, rest, words = {}, [], list(words)
    while words:
        word = words.pop(0)
        if word in values and words:
            found[word] = words.pop(0)
        elif word in flags:
            found[word] = ""
        elif word.startswith("-"):
            raise Refused(f"{word}: Illegal option.\nUsage: bjobs [options] [job_ID ...]", 255)
        else:
            rest.append(word)
    return found, rest


def matching(word: str) -> list[dict]:
    number, _, index = word.partition("[")
    return [
        job
        for job in spool.jobs()
        if str(job["number"]) == number and (not index or str(job["index"]) == index.rstrip("]"))
    ]


def bjobs(words: list[str]) -> int:
    """List the jobs that live, of all states with -a; ids that are named are shown in any state."""
    wait_for_daemon()
    new = set() if "no-format" in HABITS else {"-o"}  # OpenLava, and LSF before 9.1
    found, rest = options_of(
        words, {"-u", "-J", "-q", "-m", "-P", *new}, {"-a", "-d", "-p", "-r", "-w", "-noheader", "-s"}
    )
    if rest:
        jobs = named(rest)
    else:
        owner = found.get("-u", OWNER)
        jobs = [job for job in spool.jobs() if owner in ("all", job["owner"]) and ("-a" in found or spool.live(job))]
        jobs = [job for job in jobs if "-J" not in found or job["name"].partition("[")[0] == found["-J"]]
        if not jobs:
            print("No job found" if "-a" in found else "No unfinished job found", file=sys.stderr)
            return NOBODY
    fields, delimiter = parse_format(found.get("-o") or os.environ.get("LSB_BJOBS_FORMAT") or DEFAULT)
    if "-w" in found and "-o" not in found:
        fields = [(name, 0, right) for name, _, right in fields]
    if "-noheader" not in found:
        print(row([name.upper() for name, _, _ in fields], fields, delimiter))
    for job in jobs:
        print(row([value(job, name) for name, _, _ in fields], fields, delimiter))
    return 255 if rest and len(jobs) < len(rest) else 0


def named(words: list[str]) -> list[dict]:
    jobs = []
    for word in words:
        found = matching(word)
        if not found:
            print(f"Job <{word}> is not found", file=sys.stderr)
        jobs += found
    return jobs


# ---- bhist


def bhist(words: list[str]) -> int:
    """Tell a job's history; lines are wrapped at 80 characters, in the middle of a word."""
    wait_for_daemon()
    found, rest = options_of(words, {"-u", "-n", "-J"}, {"-l", "-a", "-d", "-w", "-b"})
    jobs = [job for word in rest for job in matching(word)]
    if not jobs:
        print("No matching job found", file=sys.stderr)
        return 255
    for job in jobs:
        print(history(job))
    return 0


def history(job: dict) -> str:
    number = job["number"] if job["index"] is None else f"{job['number']}[{job['index']}]"
    head = (
        f"Job <{number}>, Job Name <{job['name']}>, User <{job['owner']}>, Project <default>, Command <#!/bin/bash -l>"
    )
    files = f"Output File <{job['out']}>" if job["out"] else "no output file"
    lines = [
        (job["created"], f"Submitted from host <{HOST}>, to Queue <{job['queue']}>, CWD <{job['subcwd']}>, {files};")
    ]
    if job["started"]:
        lines.append(
            (job["started"], "Dispatched 1 Task(s) on Host(s) <node1>, Allocated 1 Slot(s) on Host(s) <node1>;")
        )
        lines.append((job["started"], f"Starting (Pid {job['keeper']});"))
    if not spool.live(job):
        lines += ending(job)
    ran = (job["ended"] or time.time()) - (job["started"] or time.time())
    summary = f"Summary of time in seconds spent in various states by  {time.ctime()}"
    states = "  PEND     PSUSP    RUN      USUSP    SSUSP    UNKWN    TOTAL"
    times = f"  0        0        {ran:<8.0f} 0        0        0        {ran:<8.0f}"
    body = [wrapped(f"{time.ctime(moment)[:19]}: {text}") for moment, text in lines]
    return "\n".join(["", wrapped(head), *body, "", summary, states, times, ""])


def ending(job: dict) -> list[tuple[float, str]]:
    reason = f"; {REASONS[job['reason']]}" if job["reason"] in REASONS else ""
    code = exit_code(job)
    if code is None:
        return [(job["ended"], f"Exited{reason}; The CPU time used is 0.0 seconds;")]
    if code == 0:
        return [(job["ended"], "Done successfully. The CPU time used is 0.1 seconds;")]
    words = f"Exited with exit code {code}. The CPU time used is 0.1 seconds;"
    return [(job["ended"], words), (job["ended"], f"Completed <exit>{reason};")]


def wrapped(text: str) -> str:
    lines, rest = [text[:80]], text[80:]
    while rest:
        lines, rest = [*lines, " " * 21 + rest[:59]], rest[59:]
    return "\n".join(lines)


# ---- bkill


def bkill(words: list[str]) -> int:
    wait_for_daemon()
    _, rest = options_of(words, {"-s", "-J", "-u", "-q"}, {"-r", "-l", "-b"})
    code = 0
    for word in rest:
        jobs = matching(word)
        living = [job for job in jobs if spool.live(job)]
        if not living:
            code = 255
            why = "Job has already finished" if jobs else "No matching job found"
            print(f"Job <{word}>: {why}", file=sys.stderr)
            continue
        for job in living:
            spool.order(job, "cancel")
        print(f"Job <{word}> is being terminated")
    return code
