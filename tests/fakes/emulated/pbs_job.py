"""How OpenPBS and Torque run a job: where it starts, with which environment, where its output goes, how it is ended."""

import os
import pwd
import time

import spool
from node import bring, home

OPENPBS = spool.FAMILY == "openpbs"
SIGTERM, SIGKILL = 15, 9  # the module signal costs a tenth of a command's start
EPILOGUE_RULE = "=" * 86


def identifier(job: dict, *, parent: bool = False) -> str:
    index = "[]" if parent else "" if job["index"] is None else f"[{job['index']}]"
    return f"{job['number']}{index}.server"


# ---- start


def start(job: dict) -> dict:
    """The user's login shell runs the script by name, so that its first line counts; or is fed with its text."""
    copy = spool.path(f"{spool.key_of(job)}.SC")
    with open(copy, "w") as file:
        file.write(spool.read_text(f"{job['number']}.script"))
    os.chmod(copy, 0o700)
    stdin = copy
    if "script-on-stdin" not in spool.HABITS:  # a Torque that was built with --disable-shell-pipe
        stdin = spool.path(f"{spool.key_of(job)}.stdin")
        with open(stdin, "w") as file:
            file.write(f"{copy}\n")
    shell = job["shell"] or pwd.getpwuid(os.getuid()).pw_shell or "/bin/sh"
    return {
        "program": shell,
        "words": [f"-{os.path.basename(shell)}"],
        "env": environment(job, shell),
        "cwd": job["initial"] or home(),
        "stdin": stdin,
        "umask": 0o077,
    }


def environment(job: dict, shell: str) -> dict[str, str]:
    """The site's few variables, what qsub handed over, and what the node adds."""
    site = {
        "HOME": home(),
        "LANG": "C",
        "LOGNAME": spool.OWNER,
        "USER": spool.OWNER,
        "MAIL": f"/var/mail/{spool.OWNER}",
        "PATH": os.environ.get("QUEUE_PATH", "/bin:/usr/bin"),
        "SHELL": shell,
        "TZ": "UTC",
    }
    own = {
        "PBS_ENVIRONMENT": "PBS_BATCH",
        "PBS_JOBID": identifier(job),
        "PBS_JOBNAME": job["name"],
        "PBS_NODEFILE": node_file(job),
        "PBS_QUEUE": job["queue"],
    }
    if job["index"] is not None:
        own["PBS_ARRAY_INDEX" if OPENPBS else "PBS_ARRAYID"] = str(job["index"])
    if OPENPBS:
        own["PBS_JOBDIR"] = home()
    return {**site, **job["variables"], **own}


def node_file(job: dict) -> str:
    """Write $PBS_NODEFILE: a line for each MPI process, which is one for a chunk that does not say more."""
    name = f"{spool.key_of(job)}.nodes"
    spool.write(name, "n1\n" * slots(job["resources"]))
    return spool.path(name)


def slots(resources: dict[str, str]) -> int:
    text = resources.get("select") or resources.get("nodes") or "1"
    word = "mpiprocs" if "select" in resources else "ppn"
    total = 0
    for chunk in text.split("+"):
        count, *fields = chunk.split(":")
        if not count.isdigit():
            count, fields = "1", [count, *fields]
        values = dict(field.partition("=")[::2] for field in fields)
        total += int(count) * int(values.get(word, 1))
    return total


# ---- output


def streams(job: dict) -> dict:
    """Where the job's own streams go while it runs."""
    direct = "d" in job["keep"] or (OPENPBS and "direct-output" in spool.HABITS)
    key, targets = spool.key_of(job), paths(job)
    out = targets["out"] if direct else spool.path(f"{key}.OU")
    err = targets["err"] if direct else spool.path(f"{key}.ER")
    joined = {"oe": (out, out), "eo": (err, err)}.get(job["join"], (out, err))
    return {"out": joined[0], "err": joined[1], "mode": os.O_TRUNC | os.O_APPEND}


def paths(job: dict) -> dict[str, str]:
    """Where the output is at last; `-k` keeps it in the home of the node."""
    found = {}
    for name, letter in (("out", "o"), ("err", "e")):
        default = f"{job['name']}.{letter}{job['number']}" + ("" if job["index"] is None else f".{job['index']}")
        target = job[name].partition(":")[2] or os.path.join(job["cwd"], default)
        if letter in job["keep"] and "d" not in job["keep"]:
            target = os.path.join(home(), default)
        if os.path.isdir(target):
            target = os.path.join(target, f"{identifier(job)}.{'OU' if letter == 'o' else 'ER'}")
        found[name] = target
    return found


def deliver(job: dict) -> None:
    """Run the site's epilogue, then copy what was spooled."""
    here, there = streams(job), paths(job)
    if "epilogue" in spool.HABITS:
        with open(here["out"], "a") as file:
            file.write(epilogue(job))
    for name in ("out", "err"):
        if here[name].startswith(spool.path(spool.key_of(job))) and os.path.exists(here[name]):
            target = there["err"] if job["join"] == "eo" else there[name] if job["join"] == "n" else there["out"]
            os.umask(0o077)
            bring(here[name], target)


def epilogue(job: dict) -> str:
    used = clock(job["ended"] - job["started"])
    rows = [
        ("Job Id:", identifier(job)),
        ("Exit Status:", str(exit_status(job))),
        ("NCPUs Requested:", "8"),
        ("CPU Time Used:", used),
        ("Memory Requested:", job["resources"].get("mem", "none")),
        ("Memory Used:", "312kb"),
        ("Vmem Used:", "312kb"),
        ("Session:", "4711"),
    ]
    walltime = f"   Walltime requested: {job['resources'].get('walltime', '-'):<20}Walltime Used: {used}"
    title = time.strftime("                  Resource Usage on %Y-%m-%d %H:%M:%S:", time.localtime(job["ended"]))
    return "\n".join(
        [EPILOGUE_RULE, title, *(f"   {name:<19} {value}" for name, value in rows), walltime, EPILOGUE_RULE, ""]
    )


def clock(time_in_seconds: float) -> str:
    whole = int(time_in_seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


# ---- end


def last_words(job: dict, how: str) -> str:
    """What the node writes into the job's standard error."""
    limit, used = int(job["limit"] or 0), int(time.time() - job["started"])
    memory = "mem" if OPENPBS else "vmem"
    if how == "memory" and OPENPBS and int(spool.RELEASE) >= 23:  # the cgroups hook and the kernel
        line = (
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task_memcg=/pbs_jobs.service/jobid/1,task=lmp,uid=0"
        )
        return f"Cgroup mem limit exceeded: {line}\n"
    return {
        "walltime": f"=>> PBS: job killed: walltime {max(used, limit + 1)} exceeded limit {limit}\n",
        "memory": f"=>> PBS: job killed: {memory} 38427376kb exceeded limit 33554432kb\n",
        "cores": "=>> PBS: job killed: ncpus 12.3 exceeded limit 8 (sum)\n",
        "node": "=>> PBS: job killed: node 1 (n2) requested job die, code 15059\n",
    }.get(how, "")


def signals(how: str) -> list[int]:
    """SIGTERM first, SIGKILL after kill_delay; the kernel asks nobody."""
    kernel = how == "memory" and OPENPBS and int(spool.RELEASE) >= 23
    return [SIGKILL] if kernel or how == "external" else [SIGTERM, SIGKILL]


def exit_status(job: dict) -> int | None:
    """256 + the signal; since OpenPBS 20 a limit has a number of its own. None for a job that never ran."""
    if job["exit"] is None:
        return None
    own = {"walltime": -29, "memory": -27, "cores": -25}.get(job["reason"])
    if own and OPENPBS and int(spool.RELEASE) >= 20:
        return own
    return 256 - job["exit"] if job["exit"] < 0 else job["exit"]
