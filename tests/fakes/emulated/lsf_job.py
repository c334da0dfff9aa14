"""How LSF runs a job: in the folder and with the environment of bsub, its output and report at the end."""

import os
import time

import spool
from node import bring, home

SIGINT, SIGKILL, SIGUSR2, SIGTERM = 2, 9, 12, 15  # the module signal costs a tenth of a command's start
RULE = "-" * 60
REASONS = {
    "walltime": "TERM_RUNLIMIT: job killed after reaching LSF run time limit",
    "memory": "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit",
    "swap": "TERM_SWAP: job killed after reaching LSF swap usage limit",
    "cancel": "TERM_OWNER: job killed by owner",
    "admin": "TERM_ADMIN: job killed by root or LSF administrator",
    "preempt": "TERM_PREEMPT: job killed after preemption",
    "external": "TERM_EXTERNAL_SIGNAL: job killed by a signal external to LSF",
    "node": "TERM_ZOMBI: job exited while LSF is not available",
}


def start(job: dict) -> dict:
    """The first line of the script counts; `sh` runs one that has none."""
    copy = spool.path(f"{spool.key_of(job)}.lsbatch")
    text = spool.read_text(f"{job['number']}.script")
    with open(copy, "w") as file:
        file.write(text)
    first = text.partition("\n")[0]
    words = first[2:].split() if first.startswith("#!") else ["/bin/sh"]
    return {
        "program": words[0],
        "words": [*words, copy],
        "env": environment(job),
        "cwd": job["cwd"],
        "stdin": os.devnull,
        "umask": job["umask"],
    }


def environment(job: dict) -> dict[str, str]:
    """All of bsub's environment, and LSF's own."""
    own = {
        "LSB_JOBID": str(job["number"]),
        "LSB_BATCH_JID": str(job["number"]) if job["index"] is None else f"{job['number']}[{job['index']}]",
        "LSB_JOBINDEX": str(job["index"] or 0),
        "LSB_JOBNAME": job["name"],
        "LSB_QUEUE": job["queue"],
        "LSB_HOSTS": " ".join(["node1"] * job["slots"]),
        "LSB_SUB_HOST": spool.HOST,
        "LS_SUBCWD": job["subcwd"],
    }
    return {**job["variables"], **own}


# ---- output


def target(job: dict, name: str) -> str:
    """The path of -o or -e: %J and %I are replaced, a relative name counts from the job's working directory."""
    given = job[name].replace("%J", str(job["number"])).replace("%I", str(job["index"] or 0))
    found = os.path.join(job["cwd"], given) if given else ""
    return os.path.join(found, f"{job['number']}.{name}") if os.path.isdir(found) else found


def direct(job: dict) -> bool:
    """Whether output is written to its place while the job runs; not to a folder that there is not."""
    return job["direct"] and bool(job["out"]) and os.path.isdir(os.path.dirname(target(job, "out")))


def streams(job: dict) -> dict:
    """Both streams go to one file unless -e names another one; of one name, the error file is NULL."""
    key, out, err = spool.key_of(job), target(job, "out"), target(job, "err")
    apart = bool(err) and err != out
    if direct(job):
        return {"out": out, "err": err if apart else out, "mode": os.O_APPEND | (os.O_TRUNC if job["overwrite"] else 0)}
    files = spool.path(f"{key}.out"), spool.path(f"{key}.err")
    return {"out": files[0], "err": files[1] if apart else files[0], "mode": os.O_TRUNC | os.O_APPEND}


def deliver(job: dict) -> None:
    """Bring output and report; the report comes first, unless the output was written directly, or goes by mail."""
    here, out, err = streams(job), target(job, "out"), target(job, "err")
    if direct(job):
        if not job["mail"]:
            with open(out, "a") as file:
                file.write(
                    f"\n{RULE}\n{report(job)}The output (if any) is above this job summary.\n\n{postscript(job)}"
                )
        return
    whole = spool.path(f"{spool.key_of(job)}.whole")
    with open(whole, "wb") as file, open(here["out"], "rb") as output:
        if not job["mail"]:
            file.write(f"{report(job)}The output (if any) follows:\n\n".encode())
        file.write(output.read())
        if not job["mail"]:
            file.write(f"\n{postscript(job)}".encode())
    bring(whole, out or spool.path(f"{spool.key_of(job)}.mail"), append=bool(out) and not job["overwrite"])
    if here["err"] != here["out"]:
        bring(here["err"], err, append=not job["overwrite"])


def postscript(job: dict) -> str:
    err = target(job, "err")
    apart = bool(err) and err != target(job, "out")
    return f"\nPS:\n\nRead file <{job['err']}> for stderr output of this job.\n\n" if apart else ""


def exit_code(job: dict) -> int | None:
    """128 + the signal, as a shell says it."""
    return None if job["exit"] is None else 128 - job["exit"] if job["exit"] < 0 else job["exit"]


def outcome(job: dict) -> str:
    reason = f"{REASONS[job['reason']]}.\n" if job["reason"] in REASONS else ""
    code = exit_code(job)
    return "Successfully completed.\n" if code == 0 else f"{reason}Exited with exit code {code}.\n"


def report(job: dict) -> str:
    """The whole report, with the text of the script."""
    moments = {name: time.ctime(job[name] or time.time()) for name in ("created", "started", "ended")}
    word = "Done" if job["exit"] == 0 else "Exited"
    user, number = job["owner"], job["number"] if job["index"] is None else f"{job['number']}[{job['index']}]"
    terminated = f"Terminated at {moments['ended']}\n" if int(spool.RELEASE) >= 10 else ""
    return f"""Sender: LSF System <lsfadmin@node1>
Subject: Job {number}: <{job["name"]}> in cluster <c1> {word}

Job <{job["name"]}> was submitted from host <{spool.HOST}> by user <{user}> in cluster <c1> at {moments["created"]}
Job was executed on host(s) <node1>, in queue <{job["queue"]}>, as user <{user}> in cluster <c1> at {moments["started"]}
<{home()}> was used as the home directory.
<{job["cwd"]}> was used as the working directory.
Started at {moments["started"]}
{terminated}Results reported at {time.ctime()}

Your job looked like:

{RULE}
# LSBATCH: User input
{spool.read_text(f"{job['number']}.script")}
{RULE}

{outcome(job)}
{usage(job)}
"""


def usage(job: dict) -> str:
    ran, turned = job["ended"] - job["started"], job["ended"] - job["created"]
    rows = [
        ("CPU time", f"{ran:.2f} sec."),
        ("Max Memory", "4096 MB"),
        ("Average Memory", "2000.00 MB"),
        ("Total Requested Memory", "4096.00 MB"),
        ("Delta Memory", "0.00 MB"),
        ("Max Swap", "-"),
        ("Max Processes", "5"),
        ("Max Threads", "9"),
        ("Run time", f"{ran:.0f} sec."),
        ("Turnaround time", f"{turned:.0f} sec."),
    ]
    return "Resource usage summary:\n\n" + "".join(f"    {name + ' :':<45}{value}\n" for name, value in rows)


# ---- end


def last_words(job: dict, how: str) -> str:
    """LSF says how it ended a job in the report alone."""
    return ""


def signals(how: str) -> list[int]:
    """SIGUSR2 warns of a run limit; then SIGINT, SIGTERM, SIGKILL, until nothing of the job lives."""
    first = {"walltime": [SIGUSR2], "swap": [SIGKILL], "external": [SIGKILL], "node": [SIGKILL]}
    if how == "memory" and int(spool.RELEASE) >= 10:
        return [SIGKILL]
    return [*first.get(how, []), SIGINT, SIGTERM, SIGKILL]
