"""qsub of OpenPBS and Torque: what it reads from the script and from the command line, and what the server refuses."""

import os
import sys
import time

import spool
from pbs_job import OPENPBS, identifier
from spool import HABITS, HOST, OWNER, Refused

LETTERS = (
    "a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:P:q:r:R:S:u:v:VW:Xz"
    if OPENPBS
    else "a:A:b:c:C:d:D:e:EfF:hIj:k:K:l:L:m:M:nN:o:p:P:q:r:S:t:T:u:v:VW:w:Xxz"
)
USAGE = "usage: qsub [-a date_time] [-A account_string] [-c interval]\n\t[-C directive_prefix] [-e path] ... [script]\n"
LONGEST_NAME = 230 if OPENPBS else 15
DEFAULT_QUEUE = "workq" if OPENPBS else "batch"
QUEUES = {DEFAULT_QUEUE, "debug", "normal", *os.environ.get("QUEUE_NAMES", "").split(",")}
COMMAND_LINE, SCRIPT = 2, 1
CHUNKED = {"mem", "ncpus", "ngpus", "mpiprocs", "vmem", "ompthreads"}
TEMPORARY = ("HOME", "LANG", "LOGNAME", "PATH", "MAIL", "SHELL", "TZ")


class Request:
    """What is asked for: options with the level that they come from; the command line beats the script."""

    def __init__(self) -> None:
        self.options: dict[str, tuple[int, str]] = {}
        self.resources: dict[str, tuple[int, str]] = {}
        self.attributes: dict[str, tuple[int, str]] = {}

    def get(self, letter: str, default: str = "") -> str:
        return self.options.get(letter, (0, default))[1]

    def take(self, words: list[str], level: int) -> list[str]:
        """Take options; return the operands. Of several of one name the last one counts, but see `resource`."""
        found, rest = spool.options(words, LETTERS)
        for letter, value in found:
            if letter == "l":
                for pair in value.split(","):
                    self.resource(*pair.partition("=")[::2], level)
            elif letter == "W":
                for pair in value.split(","):
                    self.set(self.attributes, *pair.partition("=")[::2], level)
            else:
                self.check(letter, value)
                self.set(self.options, letter, value, level)
        return rest

    def resource(self, name: str, value: str, level: int) -> None:
        """OpenPBS adds a resource only if its name is not yet on the list; Torque keeps the last one."""
        if not OPENPBS:
            self.set(self.resources, name, value, level)
        elif name not in self.resources:
            self.resources[name] = (level, value)

    @staticmethod
    def set(table: dict[str, tuple[int, str]], name: str, value: str, level: int) -> None:
        if table.get(name, (0, ""))[0] <= level:
            table[name] = (level, value)

    def check(self, letter: str, value: str) -> None:
        """Refuse what qsub itself refuses as it reads."""
        array = "J" if OPENPBS else "t"
        if letter == "N" and (len(value) > LONGEST_NAME or not value or (not OPENPBS and not value[0].isalpha())):
            raise ValueError("illegal -N value")
        if letter == "r" and value not in ("y", "n"):
            raise ValueError("illegal -r value")
        both = {letter, *self.options} if letter == array else set()
        if OPENPBS and (
            (array in both and self.get("r") == "n") or (letter == "r" and value == "n" and array in self.options)
        ):
            raise ValueError(" cannot submit non-rerunable Array Job")
        if letter == "I" and array in self.options:
            raise ValueError("interactive and array job submission cannot be used together")

    def read_script(self, text: str, prefix: str) -> None:
        """Take the directives, up to the first line that is a command."""
        lines = iter(text.split("\n"))
        for line in lines:
            stripped = line.lstrip()
            if stripped.startswith(prefix):
                while stripped.endswith("\\"):
                    stripped = stripped[:-1] + next(lines, "")
                words = spool.words_of(stripped[len(prefix) :])
                try:
                    if self.take(words, SCRIPT):
                        raise ValueError("")
                except ValueError as error:
                    own = f"qsub: {error}\n" if str(error) else ""
                    raise Refused(f"{own}qsub: directive error: {' '.join(words)} ", 1) from error
            elif stripped and not stripped.startswith("#") and not line.startswith(":"):
                return


# ---- the server


def refusal(words: str, code: int) -> Refused:
    """Torque's qsub since version 4 puts the server's words into brackets."""
    return Refused(f"qsub: {words}" if OPENPBS else f"qsub: submit error ({words})", code % 256)


def check_server(request: Request, array: list[int] | None) -> None:
    """Refuse what the server refuses."""
    queue = request.get("q", DEFAULT_QUEUE).partition("@")[0] or DEFAULT_QUEUE
    if queue not in QUEUES:
        raise refusal(
            "Unknown queue" if OPENPBS else "Unknown queue MSG=cannot locate queue", 15018 if OPENPBS else 15020
        )
    mixed = next((name for name in request.resources if name in CHUNKED), None)
    if OPENPBS and "select" in request.resources and mixed:
        raise refusal(f'"-lresource=" cannot be used with "select" or "place", resource is: {mixed}', 15109)
    if "no-select" in HABITS and "select" in request.resources:
        words = 'qsub: Error: The system doesn\'t support the use of "-l select". Use "-l nodes" instead.'
        raise Refused(words, 1)
    if "full" in HABITS:
        mine = sum(spool.live(job) and job["owner"] == OWNER for job in spool.jobs())
        if mine + len(array or [0]) > int(HABITS["full"]):
            raise full(queue)


def full(queue: str) -> Refused:
    if not OPENPBS:
        words = "Maximum number of jobs already in queue for user MSG=total number of current user's jobs exceeds the queue limit"
        return refusal(f"{words}: user {OWNER}@{HOST}, queue {queue}", 15076)
    return {
        "18": refusal(f"Maximum number of jobs already in queue {queue}", 15142),
        "20": refusal(f"would exceed queue {queue}'s per-user limit", 15142),
    }.get(spool.RELEASE, refusal("would exceed complex's per-user limit of jobs in 'Q' state", 15142))


# ---- the job


def variables(request: Request) -> dict[str, str]:
    """What the job gets of the user's environment: a few variables under other names, and what -v and -V name."""
    mine = spool.given_environment()
    found = {f"PBS_O_{name}": mine[name] for name in TEMPORARY if name in mine}
    found |= {
        "PBS_O_HOST": HOST,
        "PBS_O_QUEUE": request.get("q", DEFAULT_QUEUE),
        "PBS_O_SYSTEM": "Linux",
        "PBS_O_WORKDIR": os.getcwd(),
    }
    for pair in filter(None, request.get("v").split(",")):
        name, given, value = pair.partition("=")
        if not given and name not in mine:
            raise Refused("qsub: cannot send environment with the job", 1)
        found[name] = value if given else mine[name]
    return {**mine, **found} if "V" in request.options else found


def output_path(path: str) -> str:
    """Complete a path as qsub does: a relative one counts from its own folder."""
    if not path:
        return ""
    host, _, name = path.rpartition(":")
    name = name if host and not name.startswith("/") else os.path.join(os.getcwd(), name)
    return f"{host or HOST}:{name}"


def limit_of(walltime: str) -> float:
    """Seconds of [[hours:]minutes:]seconds; 0 for none."""
    total = 0.0
    for field in walltime.split(":"):
        total = total * 60 + float(field or 0)
    return total


def job_of(request: Request, script_name: str) -> dict:
    values = {name: value for name, (_, value) in request.resources.items()}
    return {
        "name": request.get("N", os.path.basename(script_name) or "STDIN"),
        "queue": request.get("q", DEFAULT_QUEUE),
        "hold": "h" in request.options,
        "cwd": os.getcwd(),
        "initial": "" if OPENPBS else request.get("d"),
        "shell": request.get("S").partition(",")[0].partition("@")[0],
        "join": request.get("j", "n"),
        "keep": request.get("k").replace("n", ""),
        "out": output_path(request.get("o")),
        "err": output_path(request.get("e")),
        "rerunable": request.get("r", "y"),
        "fault_tolerant": not OPENPBS and "f" in request.options,
        "resources": values,
        "limit": limit_of(values.get("walltime", "")),
        "variables": variables(request),
    }


def stay_behind() -> None:
    """Leave the process that OpenPBS's qsub leaves: one for each user, with the environment of the first qsub."""
    spool.write("last", "")
    alive = spool.read_text("background")
    if alive and os.path.exists(f"/proc/{alive}"):
        return
    if os.fork() == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.chdir("/")
        spool.write("background", str(os.getpid()))
        while time.time() - last_submission() < spool.seconds("QUEUE_BACKGROUND", 60):
            time.sleep(0.1)
        os._exit(0)


def last_submission() -> float:
    try:
        return os.stat(spool.path("last")).st_mtime
    except OSError:  # the queue was removed
        return 0.0


def qsub(words: list[str]) -> int:
    request = Request()
    try:
        rest = request.take(words, COMMAND_LINE)
    except ValueError as error:
        print(f"qsub: {error}\n{USAGE}", end="", file=sys.stderr)
        return 2
    name = rest[0] if rest and rest[0] != "-" else ""
    try:
        text = open(name).read() if name else sys.stdin.read()
    except OSError as error:
        raise Refused(f"qsub: script file '{name}' cannot be loaded - {error.strerror}", 1) from error
    prefix = request.get("C", os.environ.get("PBS_DPREFIX", "#PBS"))
    if prefix:
        request.read_script(text, prefix)
    if "I" in request.options and not (os.isatty(0) and os.isatty(1)):
        raise Refused("qsub: standard input and output must be a terminal for \ninteractive job submission", 1)
    return submit(request, text, name)


def submit(request: Request, text: str, name: str) -> int:
    given = request.get("J" if OPENPBS else "t")
    array = spool.numbers(given) if given else None
    job = job_of(request, name)
    with spool.locked():
        check_server(request, array)
        entries = spool.accept(job, text, array)
    for entry in entries:
        spool.start_keeper(entry)
    if OPENPBS and "background-qsub" in HABITS and "f" not in request.options:
        stay_behind()
    banner_and_id(request, entries, array)
    if request.attributes.get("block", (0, ""))[1].lower() == "true":
        ends = [spool.wait_for_end(entry) for entry in entries]
        return 3 if ends[0]["exit"] is None else abs(ends[0]["exit"])
    return 0


def banner_and_id(request: Request, entries: list[dict], array: list[int] | None) -> None:
    spool.banner()
    if "z" not in request.options:
        print(identifier(entries[0], parent=array is not None), flush=True)
