"""The place where one batch runs: its files, its jobs' scripts and claims, and the queue's answers."""

import glob
import importlib.resources
import os
import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from dpgen2_hpc.data.outputs import read_output_text
from dpgen2_hpc.dispatch import machine as layer
from dpgen2_hpc.dispatch.attempts import read_attempt, write_attempt
from dpgen2_hpc.dispatch.command import nothing
from dpgen2_hpc.dispatch.machine import StepMachine
from dpgen2_hpc.dispatch.policy import Policy
from dpgen2_hpc.dispatch.queue import Queue
from dpgen2_hpc.dispatch.transfer import bring_back, written
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.state.host import Host
from dpgen2_hpc.state.ledger import JobState, TaskState
from dpgen2_hpc.state.workdir import StepFolder


@dataclass(frozen=True)
class Claim:
    """A job's own file: who runs it, and a line for each task that it has ended."""

    id: str
    host: Host
    ended: dict[tuple[int, int], "Ended"] = field(default_factory=dict)
    """By (task, attempt)."""


class Ended(NamedTuple):
    """How a task's program ended, and after how many seconds."""

    exit_code: int
    seconds: int


CLAIM_LIMIT = 1 << 26
"""Bytes of a claim that are read: more than two million tasks of one job."""

_LINE = re.compile(r"[0-9]{1,9} [0-9]{1,9} [0-9]{1,3} -?[0-9]{1,12}")
"""Task, attempt, exit code, seconds. Anything else was mangled by a full disk, and is as good as no word."""


def _ended(line: str) -> tuple[tuple[int, int], Ended]:
    task, attempt, code, seconds = (int(word) for word in line.split())
    return (task, attempt), Ended(code, seconds)


class Site:
    """One batch folder and the machine that runs its jobs."""

    def __init__(
        self,
        machine: StepMachine,
        folder: StepFolder,
        root: Path,
        remote_name: str,
        check: Callable[[], None] = nothing,
    ) -> None:
        """Bind ``machine`` to a batch ``folder`` of the work directory ``root``.

        ``check`` is called while a command of the scheduler runs, and may raise ``Interrupted``.
        """
        self.machine, self.folder, self.scheduler = machine, folder, machine.scheduler
        self._local_root, self._work_base = str(root), str(folder.path.relative_to(root))
        self._remote_name = remote_name
        self._context = layer.bound_context(machine, self._local_root, self._work_base, remote_name)
        self.root = Path(self._context.remote_root)
        self.forwards = self.root != folder.path
        self.queue = Queue(self.scheduler, self.root, check)

    def submit(self, job: JobState, tasks: Sequence[TaskState], policy: Policy) -> str:
        """Send a job's files and its script, hand it to the queue, and return its id.

        Raises
        ------
        QueueDown
            It cannot be told whether the queue has it.
        QueueFull
            It has not taken it, and will later.
        SubmissionRefused
            It will never take it.
        """
        script = f"jobs/{job.name}.sub"
        self.queue.make_root()
        (self.root / "jobs").mkdir(exist_ok=True)
        self._put(tasks)
        _write_script(self.root / script, self.script(job, tasks, policy))
        return self.queue.submit(job.name, script)

    def withdraw(self, job: JobState) -> None:
        """Remove the script of a job that the scheduler has rejected: it was not sent anywhere."""
        (self.root / "jobs" / f"{job.name}.sub").unlink(missing_ok=True)

    def script(self, job: JobState, tasks: Sequence[TaskState], policy: Policy) -> str:
        """Return the script of a job: the site's header, the guard, the site's modules, the tasks."""
        parts = layer.script_parts(self.machine, self._context, job.name, len(tasks))
        guard = importlib.resources.files("dpgen2_hpc.dispatch").joinpath("guard.sh").read_text()
        values = {
            "NAME": job.name,
            "ROOT": shlex.quote(str(self.root)),
            "ID": self.scheduler.own_id,
            "TIMEOUT": f"{policy.timeout:g}" if policy.timeout else "",
        }
        guard = re.sub(r"@([A-Z]+)@", lambda mark: values[mark[1]], guard)
        lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(policy.envs.items())]
        for task, gpu, wait in zip(tasks, parts.gpu_prefixes, parts.waits, strict=True):
            words = [str(task.index), str(task.attempt), self.folder.task_name(task.index), job.command or ""]
            lines.append(f"( {gpu} dpgen2_hpc_run {shlex.join(words)} ) &")
            lines += ["wait"] * wait
        return "\n".join([parts.header, guard, parts.environment, *lines, "wait", parts.ending, ""])

    def claim(self, name: str) -> Claim | None:
        """Return what a job has written of itself, ``None`` before it started; a torn last line does not count."""
        try:
            text = read_output_text(self.root / "jobs" / f"{name}.claim", CLAIM_LIMIT)
        except OutputError:
            return None
        first, *lines = text[: text.rfind("\n") + 1].split("\n")
        if not first:
            return None
        words = ["" if word == "-" else word for word in first.split()]
        identifier, host, boot, namespace, *_ = [*words, *[""] * 4]
        ended = dict(_ended(line) for line in lines if _LINE.fullmatch(line))
        return Claim(identifier, Host(host, boot, namespace), ended)

    def began(self, task: TaskState) -> bool:
        """Whether a task's program was started: it has a log."""
        return (self.root / self.folder.task_name(task.index) / "task.log").exists()

    def fetch(self, tasks: Sequence[TaskState]) -> None:
        """Bring back everything that these tasks wrote; what was sent stays where it is."""
        for task in tasks if self.forwards else ():
            there, here = self.root / self.folder.task_name(task.index), self.folder.task(task.index)
            if read_attempt(there) == task.attempt == read_attempt(here):
                sent = self._sent(task)
                names = written(there, sent.read_text().splitlines() if sent.exists() else ())
                bring_back(there, here, names)

    def _sent(self, task: TaskState) -> Path:
        """Return the file that lists what was sent for an attempt."""
        return self.root / "jobs" / f".sent.{self.folder.task_name(task.index)}.{task.attempt}"

    def _put(self, tasks: Sequence[TaskState]) -> None:
        """Send the tasks' folders and the shared one, where the jobs run elsewhere; each once."""
        if not self.forwards:
            return
        self._put_shared()
        for task in tasks:
            if read_attempt(self.root / self.folder.task_name(task.index)) != task.attempt:
                self._send(task)

    def _put_shared(self) -> None:
        """Send the shared folder, and later what has been added to it; never again what jobs may be reading."""
        noted = self.root / "jobs" / ".shared"
        if noted.exists() and (self.root / "shared").is_symlink():
            return
        there = set(noted.read_text().splitlines()) if noted.exists() else set()
        here = {path.name for path in self.folder.shared.iterdir()} if self.folder.shared.exists() else set()
        if noted.exists() and not here - there:
            return
        names = (f"shared/{glob.escape(name)}" for name in sorted(here - there))
        common = tuple(names) if noted.exists() else ("shared",) * bool(here)
        self._context.upload(layer.submission(self._work_base, self._remote_name, (), common))
        noted.write_text("".join(f"{name}\n" for name in sorted(here)))

    def _send(self, task: TaskState) -> None:
        """Send a task's folder: its number comes last, since a folder that bears it counts."""
        there = self.root / self.folder.task_name(task.index)
        older = read_attempt(there)
        if older is not None:
            there.rename(self.root / self.folder.attempt(task.index, older).name)
        elif there.exists():
            shutil.rmtree(there)
        names = sorted(path.name for path in self.folder.task(task.index).iterdir() if path.name != "attempt")
        self._sent(task).write_text("".join(f"{name}\n" for name in names))
        plan = self._plan(task, [glob.escape(name) for name in names])
        self._context.upload(layer.submission(self._work_base, self._remote_name, (plan,)))
        there.mkdir(exist_ok=True)
        write_attempt(there, task.attempt)

    def _plan(self, task: TaskState, forward: Sequence[str]) -> Any:
        name = self.folder.task_name(task.index)
        return SimpleNamespace(task_work_path=name, forward_files=list(forward), backward_files=[])


def _write_script(path: Path, text: str) -> None:
    """Write a job's script for its owner alone: its variables may be secrets; a file that jobs may read is replaced."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.rename(path)
