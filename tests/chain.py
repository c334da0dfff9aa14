"""Runs the driver again and again, each start killed at its first new durable write, until one reaches the end.

    python chain.py SEEN WORD ...

WORD ... is the command line; SEEN the file that remembers at which writes a start was killed already. Prints the number
of starts, and exits with the code of the last one. The modules are imported once and each start is a fork, so that a
start costs hundredths of a second.

A write is killed twice, in two starts: once half done (a temporary that was not renamed, half of a line), and once when
it is done and the next line of the program is not.
"""

import json
import os
import signal
import sys
from pathlib import Path

import dpgen2_hpc.loop.driver  # noqa: F401  what a start needs, imported once
from dpgen2_hpc.cli import run as verb  # noqa: F401
from dpgen2_hpc.cli.main import main
from dpgen2_hpc.dispatch import machine, site
from dpgen2_hpc.state import files

LIMIT = 2000


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Killer:
    """Patches every durable act of the driver."""

    def __init__(self, seen: Path) -> None:
        self.seen = seen
        self.known = set(seen.read_text().splitlines()) if seen.exists() else set()

    def new(self, *key: object) -> bool:
        """Whether a start is to be killed here; it is remembered first."""
        text = json.dumps([str(part) for part in key])
        if text in self.known:
            return False
        with self.seen.open("a") as file:
            file.write(text + "\n")
        return True

    def write_atomic(self, path, content, mode=0o644, **more):
        state = sequence(content) if path.name == "record.json" else ""
        if self.new("half", path, state):
            path.with_name(f".{path.name}.tmp").write_text(str(content)[: len(content) // 2])
            die()
        REAL["write_atomic"](path, content, mode, **more)
        if self.new("done", path, state):
            die()

    def append_durable(self, path, text):
        size = sum(b'"event": "driver"' not in line for line in path.read_bytes().splitlines())
        if self.new("half", path, size):
            whole = path.read_bytes()
            path.write_bytes(whole[: whole.rfind(b"\n") + 1] + text[: len(text) // 2].encode())
            die()
        REAL["append_durable"](path, text)
        if self.new("done", path, size):
            die()

    def publish_folder(self, temporary, final):
        if self.new("half", final):
            die()
        REAL["publish_folder"](temporary, final)
        if self.new("done", final):
            die()

    def rename(self, path, target):
        if self.new("half", path, target):
            die()
        result = REAL["rename"](path, target)
        if self.new("done", path, target):
            die()
        return result

    def link(self, source, target):
        REAL["link"](source, target)
        if self.new("done", target):
            die()

    def submit(self, this, job, tasks, policy):
        """Submitted, and its id is not written down."""
        if self.new("before", "submission", this.folder.path, job.index):
            die()
        identifier = REAL["submit"](this, job, tasks, policy)
        with self.seen.with_name("submissions").open("a") as file:
            file.write(f"{job.name}\n")
        if self.new("after", "submission", this.folder.path, job.index):
            die()
        return identifier


REAL = {
    "write_atomic": files.write_atomic,
    "append_durable": files.append_durable,
    "publish_folder": files.publish_folder,
    "rename": Path.rename,
    "link": os.link,
    "submit": site.Site.submit,
}


def sequence(content: str) -> int:
    return json.loads(content)["sequence"]


def patch(killer: Killer) -> None:
    import dpgen2_hpc

    for module in list(sys.modules.values()):
        if module is not None and getattr(module, "__name__", "").startswith(dpgen2_hpc.__name__):
            for name in ("write_atomic", "append_durable", "publish_folder"):
                if getattr(module, name, None) is REAL[name]:
                    setattr(module, name, getattr(killer, name))
    os.link = killer.link
    Path.rename = lambda path, target: killer.rename(path, target)
    site.Site.submit = lambda this, job, tasks, policy: killer.submit(this, job, tasks, policy)


def start(seen: Path, words: list[str]) -> int:
    pid = os.fork()
    if pid == 0:
        patch(Killer(seen))
        os._exit(main(words))
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def chain(seen: Path, words: list[str]) -> int:
    machine.library()
    for number in range(1, LIMIT):
        code = start(seen, words)
        if code != -signal.SIGKILL:
            print(f"starts {number}")
            return code
    raise RuntimeError(f"not done after {LIMIT} starts")


if __name__ == "__main__":
    sys.exit(chain(Path(sys.argv[1]), sys.argv[2:]))
