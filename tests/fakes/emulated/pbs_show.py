"""qselect, qstat, qdel of OpenPBS and Torque."""

import sys
import time

import spool
from pbs_job import OPENPBS, clock, exit_status, identifier
from spool import HABITS, HOST, Refused

UNKNOWN, HISTORY, BAD_STATE, NO_HISTORY = 15001, 15139, 15016 if OPENPBS else 15018, 15140
WIDTH = 78
STATES = {"queued": "Q", "held": "H", "running": "R", "exiting": "E"}
MINE = ("F", "M") if OPENPBS else ("C",)


class Problem(Exception):
    """What is wrong with one id of several: each of them is a request of its own."""

    def __init__(self, words: str, error: int) -> None:
        super().__init__(words)
        self.words, self.error = words, error


def state(job: dict) -> str:
    return STATES.get(job["state"], MINE[0])


def known(job: dict) -> bool:
    """Whether the server still says what became of a job: OpenPBS has a history, Torque keeps a job for a while."""
    if spool.live(job):
        return True
    if OPENPBS:
        return "no-history" not in HABITS
    return job["shown"] and time.time() - job["ended"] < spool.seconds("QUEUE_KEEP", 300)


def entries() -> dict[str, list[dict]]:
    """By id, each entry of the queue; in OpenPBS an array is one id, whose parts have ids of their own."""
    found: dict[str, list[dict]] = {}
    for job in spool.jobs():
        if job["index"] is not None:
            found.setdefault(identifier(job, parent=True), []).append(job)
        found[identifier(job)] = [job]
    return found


def listed() -> dict[str, list[dict]]:
    """What a list without ids shows."""
    shown = {name: jobs for name, jobs in entries().items() if (jobs[0]["index"] is None) or ("[]" in name) == OPENPBS}
    if OPENPBS:
        return {name: jobs for name, jobs in shown.items() if any(map(spool.live, jobs))}
    return {name: jobs for name, jobs in shown.items() if any(map(known, jobs))}


def full_id(word: str) -> str:
    return word if "." in word else f"{word}.server"


def find(table: dict[str, list[dict]], word: str, *, history: bool) -> list[dict]:
    """Return the entries of an id.

    Raises
    ------
    Problem
        It is not there, or over.
    """
    jobs = table.get(full_id(word))
    if jobs is None or not any(map(known, jobs)):
        what = "Unknown Job Id" if OPENPBS else "Unknown Job Id Error"
        raise Problem(f"{what} {full_id(word)}", UNKNOWN)
    if OPENPBS and not history and not any(map(spool.live, jobs)):
        more = " Job has finished, use -x or -H to obtain historical job information"
        raise Problem(f"{full_id(word)}{more}", HISTORY)
    return jobs


# ---- qselect


def qselect(words: list[str]) -> int:
    """List ids; without -x those of jobs that live, in Torque also those that are completed and not yet forgotten."""
    try:
        found, rest = spool.options(words, "a:A:c:eh:HJl:N:p:P:q:r:s:t:Tu:x")
    except ValueError as error:
        rest, found = [str(error)], []
    if rest:
        print("usage: qselect [-a [op]date_time] ... [-u user_list]", file=sys.stderr)
        return 2
    wanted = dict(found)
    table = entries() if "x" in wanted and OPENPBS else listed()
    for name, jobs in table.items():
        owner = wanted.get("u", jobs[0]["owner"]).partition("@")[0]
        right = "N" not in wanted or wanted["N"] == jobs[0]["name"]
        if owner == jobs[0]["owner"] and right and ("s" not in wanted or state(jobs[0]) in wanted["s"]):
            print(name)
    return 0


# ---- qstat


def attributes(name: str, jobs: list[dict]) -> list[tuple[str, str]]:
    """The attributes of one entry, in the server's order."""
    job = jobs[0]
    array = "[]" in name
    status = exit_status(job)
    values = {
        "Job_Name": job["name"],
        "Job_Owner": f"{job['owner']}@{HOST}",
        "job_state": "B" if array and any(map(spool.live, jobs)) else state(job),
        "queue": job["queue"],
        "server": "server",
        "ctime": time.ctime(job["created"]),
        "Error_Path": job["err"] or f"{HOST}:{job['cwd']}/{job['name']}.e{job['number']}",
        "Join_Path": job["join"],
        "Keep_Files": job["keep"] or "n",
        "Output_Path": job["out"] or f"{HOST}:{job['cwd']}/{job['name']}.o{job['number']}",
        "Rerunable": "False" if job["rerunable"] == "n" else "True",
        **{f"Resource_List.{key}": value for key, value in job["resources"].items()},
    }
    if array:
        values["array"] = "True"
    if job["started"]:
        values["resources_used.walltime"] = clock((job["ended"] or time.time()) - job["started"])
        values["exec_host"] = "n1/0"
    values["Variable_List"] = ",".join(f"{key}={value}" for key, value in job["variables"].items())
    values["comment"] = comment(job)
    if status is not None and not spool.live(job):
        values["Exit_status" if OPENPBS else "exit_status"] = str(status)
    return [(key, value) for key, value in values.items() if value]


def comment(job: dict) -> str:
    if job["reason"] == "drop":
        return "Job rejected by all possible destinations"
    if not job["started"]:
        return "" if spool.live(job) else "Job deleted before it was run"
    begun = time.strftime("Job run at %a %b %d at %H:%M on (n1:ncpus=1)", time.localtime(job["started"]))
    if spool.live(job) or not OPENPBS:
        return begun
    return f"{begun} and {'terminated' if job['reason'] else 'failed' if job['exit'] else 'finished'}"


def folded(name: str, value: str) -> str:
    """Fold a long value: at a comma beyond which the next part will not fit, or anywhere; a tab goes on."""
    lines, line = [], f"    {name} = "
    for part in value.replace(",", ",\0").split("\0"):
        if len(line) + len(part) > WIDTH and line not in ("\t", f"    {name} = "):
            lines, line = [*lines, line], "\t"
        while len(line) + len(part) > WIDTH:
            room = WIDTH - len(line)
            lines, line, part = [*lines, line + part[:room]], "\t", part[room:]
        line += part
    return "\n".join([*lines, line])


def qstat(words: list[str]) -> int:
    try:
        found, rest = spool.options(words, "afexHJnqQsTtpu:W:BrGMF:l1iw")
    except ValueError as error:
        print(f"qstat: {error}\nusage: qstat [-f] [-J] [-p] [-t] [-x] ...", file=sys.stderr)
        return 2
    flags = dict(found)
    history = OPENPBS and ("x" in flags or "H" in flags)
    if history and "no-history" in HABITS:
        raise Refused("qstat: PBS is not configured to maintain job history", NO_HISTORY % 256)
    table, errors = entries(), []
    shown: dict[str, list[dict]] = {} if rest else entries() if history else listed()
    for word in rest:
        try:
            shown[full_id(word)] = find(table, word, history=history)
        except Problem as problem:
            print(f"qstat: {problem.words}", file=sys.stderr)
            errors.append(problem.error % 256)
    show(shown, flags)
    if not errors:
        return 0
    return errors[-1] if OPENPBS else errors[0]


def show(shown: dict[str, list[dict]], flags: dict[str, str]) -> None:
    if "x" in flags and not OPENPBS:
        print("<Data>" + "".join(map(xml, shown, shown.values())) + "</Data>")
    elif "f" in flags:
        for name, jobs in shown.items():
            print(f"Job Id: {name}\n" + "\n".join(folded(*pair) for pair in attributes(name, jobs)) + "\n")
    elif shown:
        print("Job id            Name             User              Time Use S Queue")
        print("----------------  ---------------- ----------------  -------- - -----")
        for name, (job, *_) in shown.items():
            print(f"{name:<17} {job['name'][:16]:<16} {job['owner']:<16} {'00:00:00':>9} {state(job)} {job['queue']}")


def xml(name: str, jobs: list[dict]) -> str:
    fields = "".join(f"<{key}>{value}</{key}>" for key, value in attributes(name, jobs) if "." not in key)
    return f"<Job><Job_Id>{name}</Job_Id>{fields}</Job>"


# ---- qdel


def qdel(words: list[str]) -> int:
    """End jobs; those that are over, or were never there, are errors."""
    try:
        _, rest = spool.options(words, "W:x" if OPENPBS else "m:pW:")
    except ValueError:
        rest = []
    if not rest:
        print("usage:\n\tqdel [-W force|suppress_email=X] [-x] job_identifier...", file=sys.stderr)
        return 2
    code, table = 0, entries()
    for word in rest:
        try:
            for job in deletable(table, word):
                spool.order(job, "cancel")
        except Problem as problem:
            print(f"qdel: {problem.words}", file=sys.stderr)
            code = problem.error % 256
    return code


def deletable(table: dict[str, list[dict]], word: str) -> list[dict]:
    jobs = find(table, word, history=True)
    living = [job for job in jobs if spool.live(job)]
    if OPENPBS and not living:
        raise Problem(f"Job has finished {full_id(word)}", HISTORY)
    if not living:
        words = "Request invalid for state of job MSG=invalid state for job - COMPLETE"
        raise Problem(f"{words} {full_id(word)}", BAD_STATE)
    if all(job["state"] == "exiting" for job in living):
        raise Problem(f"Request invalid for state of job {full_id(word)}", BAD_STATE)
    return living


def unreachable(program: str) -> Refused:
    """What each command says and how it ends when the server's host does not answer."""
    if OPENPBS:
        return Refused(f"Connection refused\n{program}: cannot connect to server {HOST} (errno=111)", 111)
    words = f"{program}: cannot connect to server {HOST} (errno=15096) Unable to get connection to socket"
    return Refused(words, 15096 % 256)
