"""The jobs of an emulated queue: a JSON file for each entry in QUEUE_DIR, and what was ever accepted.

QUEUE_DIR           the folder; `submissions` in it has the name of each accepted entry, the truth that tests count with
QUEUE_FLAVOUR       openpbs-18, openpbs-20, openpbs-23, torque-4, torque-6, lsf-9, lsf-10
QUEUE_SITE          habits of a site, with commas, some with a value: full=4,banner,epilogue (pbs.py, lsf.py, keeper.py)
QUEUE_WAIT          seconds that a job waits before it begins; QUEUE_EXIT: seconds that it takes to end
QUEUE_HOME          home on the nodes; QUEUE_PATH: their PATH; QUEUE_MINUTE: seconds of a minute of LSF's -W
QUEUE_KILL_DELAY    seconds between the signals that end a job; QUEUE_KEEP: seconds that Torque shows a completed job
QUEUE_RETRY         seconds between bsub's own tries (60 in LSF); QUEUE_BACKGROUND: life of OpenPBS's background qsub
QUEUE_NAMES         names of further queues

`QUEUE_DIR/down` makes the server unreachable as long as it exists. `KEY.order` tells a job's keeper how to end it.
"""

import fcntl
import json
import os
import pwd
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
QUEUE = os.environ["QUEUE_DIR"]
FLAVOUR = os.environ.get("QUEUE_FLAVOUR", "openpbs-20")
FAMILY, _, RELEASE = FLAVOUR.partition("-")
HABITS = {
    name: value
    for name, _, value in (habit.partition("=") for habit in os.environ.get("QUEUE_SITE", "").split(",") if habit)
}
SIGUSR1 = 10
OWNER = pwd.getpwuid(os.getuid()).pw_name
HOST = os.uname().nodename

if FAMILY not in {"openpbs", "torque", "lsf"} or not RELEASE:
    sys.exit(f"unknown QUEUE_FLAVOUR {FLAVOUR}")


def seconds(name: str, default: float) -> float:
    """Return a time that the tests may set."""
    return float(os.environ.get(name, default))


def path(name: str) -> str:
    return os.path.join(QUEUE, name)


def read_text(name: str) -> str:
    try:
        with open(path(name)) as file:
            return file.read()
    except OSError:
        return ""


def write(name: str, text: str) -> None:
    """Write a file whole: readers hold no lock."""
    temporary = path(f".{name}.{os.getpid()}")
    with open(temporary, "w") as file:
        file.write(text)
    os.rename(temporary, path(name))


class locked:
    """One command at a time changes what there is. (contextlib costs a third of a command's start.)"""

    def __enter__(self) -> None:
        self.file = open(path("lock"), "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_) -> None:
        self.file.close()


# ---- entries


def key_of(job: dict) -> str:
    return f"{job['number']}" if job["index"] is None else f"{job['number']}-{job['index']}"


def save(job: dict) -> None:
    write(f"{key_of(job)}.json", json.dumps(job))


def load(key: str) -> dict:
    return json.loads(read_text(f"{key}.json"))


def jobs() -> list[dict]:
    """All entries that there ever were, in the order of their numbers."""
    keys = [name[:-5] for name in os.listdir(QUEUE) if name.endswith(".json") and name[0].isdigit()]
    return [load(key) for key in sorted(keys, key=lambda key: [int(word) for word in key.split("-")])]


def live(job: dict) -> bool:
    return job["state"] != "finished"


def next_number() -> int:
    number = int(read_text("next") or 1)
    write("next", str(number + 1))
    return number


def takes(habit: str) -> bool:
    """Whether a habit that is for the first N jobs alone is for this one too: `routing-drops=1`; without N for all."""
    if habit not in HABITS:
        return False
    taken = int(read_text(f"taken.{habit}") or 0)
    write(f"taken.{habit}", str(taken + 1))
    return not HABITS[habit] or taken < int(HABITS[habit])


def accept(job: dict, script: str, indices: list[int] | None) -> list[dict]:
    """Take a job, or an array of them, into the queue; the lock is held. Return its entries."""
    job = {
        "number": next_number(),
        "index": None,
        "owner": OWNER,
        "state": "held" if job["hold"] else "queued",
        "created": time.time(),
        "begin": time.time() + seconds("QUEUE_WAIT", 0),
        "started": None,
        "ended": None,
        "exit": None,
        "reason": None,
        "shown": True,
        "keeper": None,
        **job,
    }
    write(f"{job['number']}.script", script)
    os.chmod(path(f"{job['number']}.script"), 0o700)
    entries = [job] if indices is None else [element(job, index) for index in indices]
    for entry in entries:
        fate = next((reason for reason in ("mem-kill", "node-fail", "routing-drops") if takes(reason)), None)
        if fate:
            write(f"{key_of(entry)}.order", {"mem-kill": "memory", "node-fail": "node"}.get(fate, "drop"))
        save(entry)
        with open(path("submissions"), "a") as truth:
            truth.write(entry["name"] + "\n")
    return entries


def element(job: dict, index: int) -> dict:
    """An element of an array; in LSF it has a name of its own."""
    return {**job, "index": index, "name": f"{job['name']}[{index}]" if FAMILY == "lsf" else job["name"]}


def start_keeper(job: dict) -> None:
    """Start the process that runs a job: it has nothing of the environment of the submit command."""
    env = {name: value for name, value in os.environ.items() if name.startswith("QUEUE_")}
    words = [sys.executable, "-S", os.path.join(HERE, "keeper.py"), key_of(job)]
    if os.fork() == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        log = os.open(path("keepers.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, descriptor in ((0, null), (1, log), (2, log)):
            os.dup2(descriptor, number)
        os.chdir("/")
        os.execve(sys.executable, words, {"PATH": "/usr/bin:/bin", **env})


def order(job: dict, how: str) -> None:
    """Tell a job's keeper to end it: cancel, admin, walltime, memory, node, external, drop; or to release it."""
    write(f"{key_of(job)}.order", how)
    keeper = load(key_of(job))["keeper"]
    if keeper:
        try:
            os.kill(keeper, SIGUSR1)
        except ProcessLookupError:
            pass


def wait_for_end(job: dict) -> dict:
    while live(job):
        time.sleep(0.05)
        job = load(key_of(job))
    return job


# ---- submit commands


class Refused(Exception):
    """The server, or the submit command, does not take a job: what it prints on standard error, and its exit code."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.words, self.code = words, code


def options(words: list[str], letters: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Split words as getopt(3) does that stops at the first operand; ValueError names what is no option."""
    found, rest = [], list(words)
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        word = rest.pop(0)
        if word == "--":
            break
        cluster = word[1:]
        while cluster:
            letter, cluster = cluster[0], cluster[1:]
            if letter not in letters or letter == ":":
                raise ValueError(f"invalid option -- '{letter}'")
            if not letters.partition(letter)[2].startswith(":"):
                found.append((letter, ""))
                continue
            if not cluster and not rest:
                raise ValueError(f"option requires an argument -- '{letter}'")
            found.append((letter, cluster or rest.pop(0)))
            cluster = ""
    return found, rest


def words_of(line: str) -> list[str]:
    """Split a directive into words, with quotes."""
    words, word, quote = [], None, ""
    for letter in line:
        if quote:
            quote, word = ("", word) if letter == quote else (quote, word + letter)
        elif letter in "'\"":
            quote, word = letter, word or ""
        elif letter.isspace():
            words, word = (words, None) if word is None else ([*words, word], None)
        else:
            word = (word or "") + letter
    return words if word is None else [*words, word]


def numbers(text: str) -> list[int]:
    """Return the indices of an array: 1-3, 1-7:2, 1,4, each of them perhaps with a limit after %."""
    found: list[int] = []
    for part in text.partition("%")[0].split(","):
        bounds, _, step = part.partition(":")
        first, _, last = bounds.partition("-")
        found += range(int(first), int(last or first) + 1, int(step or 1))
    return found


def banner() -> None:
    if "banner" in HABITS:
        print("*** Welcome to the cluster ***\nQuota: 80 % used")


def given_environment() -> dict[str, str]:
    """The environment of a submit command, as far as a job may have it: tests may run inside of a job."""
    return {name: value for name, value in os.environ.items() if name != "DPGEN2_HPC_JOB"}
