"""bsub: what it reads from the script and from the command line, when it waits, and what is refused."""

import os
import sys
import time

import spool
from spool import HABITS, OWNER, Refused

VALUES = set(
    "-a -app -aps -b -C -c -clusters -cwd -D -data -E -e -Ep -eo -eptl -ext -F -f -freq -G -g -gpu -i -is -J -Jd -jsdl "
    "-k -L -Lp -M -m -mig -n -o -oo -outdir -P -p -pack -q -R -rnc -S -sla -sp -T -t -ti -U -u -v -W -w -wa -We -wt".split()
)
FLAGS = set("-B -H -I -Ip -IS -ISp -ISs -Is -IX -K -N -notify -r -rn -s -ul -x -XF -Zs".split())
QUEUES = {"normal", "short", *os.environ.get("QUEUE_NAMES", "").split(",")}
TRUE = ("y", "Y")


def split(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Split words into options and the command.

    Raises
    ------
    Refused
        One is no option.
    """
    found: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word in FLAGS:
            found[word] = ""
        elif word in VALUES and rest:
            found[word] = rest.pop(0)
        else:
            raise Refused(
                f"{word}: Illegal option.\nUsage: bsub [options] command [arguments]. Job not submitted.", 255
            )
    return found, rest


def directives(text: str) -> dict[str, str]:
    """Take the #BSUB lines of a script, wherever they stand; of two of one name the last one counts."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if line.startswith("#BSUB"):
            options, rest = split(spool.words_of(line[5:]))
            if rest:
                raise Refused(f"{rest[0]}: Illegal option in the script. Job not submitted.", 255)
            found |= options
    return found


def check(options: dict[str, str]) -> None:
    """Refuse what bsub and the server refuse."""
    queue = options.get("-q", "normal")
    if queue not in QUEUES:
        raise Refused(f"{queue}: No such queue. Job not submitted.", 255)
    if "-r" in options and "-rn" in options:
        raise Refused("-r: Option cannot be combined with option -rn. Job not submitted.", 255)
    if "esub" in HABITS:
        raise Refused("Request aborted by esub. Job not submitted.", 255)


def wait_for_room(count: int) -> None:
    """Ask for room in the queue: without LSB_NTRIES for ever, inside of bsub; the lock is held in between only."""
    tries = int(os.environ.get("LSB_NTRIES", 0))
    done = 0
    while True:
        pending = sum(job["state"] in ("queued", "held") and job["owner"] == OWNER for job in spool.jobs())
        if "full" not in HABITS or pending + count <= int(HABITS["full"]):
            return
        done += 1
        if tries and done >= tries:
            raise Refused(f"User <{OWNER}>: Pending job threshold reached. Job not submitted.", 255)
        print(f"User <{OWNER}>: Pending job threshold reached. Retrying in 60 seconds...", file=sys.stderr, flush=True)
        time.sleep(spool.seconds("QUEUE_RETRY", 60))


def wait_for_daemon() -> None:
    """Wait for a server that does not answer, as every command of LSF does; LSB_NTRIES limits that too."""
    tries = int(os.environ.get("LSB_NTRIES", 0))
    done = 0
    while os.path.exists(spool.path("down")):
        done += 1
        if tries and done > tries:
            raise Refused("Failed in an LSF library call: Communication time out.", 255)
        print("batch system daemon not responding ... still trying", file=sys.stderr, flush=True)
        time.sleep(spool.seconds("QUEUE_RETRY", 60) if not tries else 0.1)


def job_of(options: dict[str, str], command: str) -> dict:
    mine = spool.given_environment()
    cwd = options.get("-cwd") or os.environ.get("LSB_JOB_CWD") or os.getcwd()
    hours, _, minutes = options.get("-W", "0").partition("/")[0].rpartition(":")
    name = options.get("-J", command)
    return {
        "name": name.partition("[")[0] if name.endswith("]") or "]%" in name else name,
        "queue": options.get("-q", "normal"),
        "hold": "-H" in options,
        "cwd": os.path.join(os.getcwd(), cwd),
        "subcwd": os.getcwd(),
        "out": options.get("-oo", options.get("-o", "")),
        "err": options.get("-eo", options.get("-e", "")),
        "overwrite": "-oo" in options,
        "mail": "-N" in options,
        "direct": mine.get("LSB_STDOUT_DIRECT") in TRUE or "direct-output" in HABITS,
        "rerunable": "y" if "-r" in options else "n",
        "slots": int(options.get("-n", "1").partition(",")[0]),
        "limit": (int(hours or 0) * 60 + float(minutes or 0)) * spool.seconds("QUEUE_MINUTE", 60),
        "resources": {},
        "umask": umask(),
        "variables": mine,
    }


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def array_of(name: str) -> list[int] | None:
    """The indices of `name[1-3]%2`."""
    first, _, rest = name.partition("[")
    return spool.numbers(rest.partition("]")[0]) if first and "]" in rest else None


def bsub(words: list[str]) -> int:
    given, command = split(words)
    text = " ".join(command) if command else sys.stdin.read()
    options = {**({} if command else directives(text)), **given}
    if "BSUB_CHK_RESREQ" in os.environ:
        print("Resource requirement string is valid.")
        return 0
    wait_for_daemon()
    check(options)
    array = array_of(options.get("-J", ""))
    wait_for_room(len(array or [0]))
    job = job_of(options, " ".join(command) or "#!/bin/sh")
    times = 2 if "flaky-reply" in HABITS and "LSB_BSUB_ERR_RETRY" in os.environ else 1
    with spool.locked():
        entries = [entry for _ in range(times) for entry in spool.accept(job, text, array)]
    for entry in entries:
        spool.start_keeper(entry)
    answer(entries[-1], options)
    return stay(entries, options)


def answer(job: dict, options: dict[str, str]) -> None:
    """Say the id; with BSUB_QUIET in the environment, or in the site's profile, nothing is said."""
    spool.banner()
    if "BSUB_QUIET" in os.environ or "quiet" in HABITS:
        return
    queue = f"queue <{job['queue']}>" if "-q" in options else f"default queue <{job['queue']}>"
    print(f"Job <{job['number']}> is submitted to {queue}.", flush=True)


def stay(entries: list[dict], options: dict[str, str]) -> int:
    """Wait for the job, where -K or one of the interactive options says so."""
    interactive = any(name.startswith("-I") for name in options)
    if "-K" not in options and not interactive:
        return 0
    print("<<Waiting for dispatch ...>>", file=sys.stderr, flush=True)
    ends = [spool.wait_for_end(entry) for entry in entries]
    print("<<Starting on node1>>", file=sys.stderr)
    if interactive:
        print(spool.read_text(f"{spool.key_of(ends[0])}.mail"), end="")
    else:
        print("<<Job is finished>>", file=sys.stderr)
    code = ends[0]["exit"]
    return 255 if code is None else code % 256 if code >= 0 else 128 - code
