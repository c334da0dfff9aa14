"""dpdispatcher as a machine layer: its schemas, its contexts, its script headers. Never its submission.

What is used of version 1.1.0, which is pinned: the argument trees, ``BaseContext`` (files to and from, commands on the
queue's host), and a ``Machine``'s script parts. A test holds the assumptions made here against the installed version.
"""

import functools
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dpgen2_hpc.dispatch.directives import clusters_of
from dpgen2_hpc.dispatch.flags import TEMPLATE, head_lines, user_lines
from dpgen2_hpc.dispatch.header import header
from dpgen2_hpc.dispatch.loading import bared, shielded
from dpgen2_hpc.dispatch.resources import bound, resource_faults, resource_notices
from dpgen2_hpc.dispatch.schedulers import SCHEDULERS, Scheduler, canonical, scheduler
from dpgen2_hpc.kinds import Key

CONTEXTS = ("LazyLocalContext", "LocalContext")

SSH = frozenset({"hostname", "username", "password", "port", "key_filename", "passphrase", "timeout", "look_for_keys"})
"""Keys of ``remote_profile`` that users leave there when they change the context."""


REMOTE_ROOT = (
    "The folder in which the jobs of LocalContext run; a relative one begins beside machine.json, ~/ at home. "
    "LazyLocalContext needs none: its jobs run in the work directory."
)
BRACES = "only keys of resources stand in braces; a shell's are doubled: ${{X}}"


@functools.cache
def library() -> Any:
    """Import dpdispatcher without the traces of its import: a log in the current directory, a folder at home."""
    level, home = logging.root.manager.disable, os.environ.get("HOME")
    with tempfile.TemporaryDirectory() as temporary:
        logging.disable(logging.CRITICAL)
        os.environ["HOME"] = temporary
        try:
            import dpdispatcher  # noqa: PLC0415  (0.3 s, and only those who submit need it)
            from dpdispatcher.dlog import dlog  # noqa: PLC0415
        finally:
            logging.disable(level)
            if home is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = home
    dlog.handlers.clear()
    dlog.addHandler(logging.NullHandler())
    return dpdispatcher


@dataclass(frozen=True)
class StepMachine:
    """Where one step runs: the ``machine`` and ``resources`` of ``machine.json``, understood."""

    machine: Mapping[str, Any]
    resources: Mapping[str, Any]

    @property
    def scheduler(self) -> Scheduler:
        """The batch system; its type was checked when the file was read."""
        found = scheduler(self.machine["batch_type"])
        if found is None:
            raise KeyError(self.machine["batch_type"])
        return found.configured(head_lines(self.resources), self.resources.get("queue_name") or "")

    @property
    def names_clusters(self) -> bool:
        """Whether a directive says on which clusters of Slurm the jobs run."""
        return clusters_of(head_lines(self.resources)) is not None

    @property
    def group_size(self) -> int:
        """Tasks in one job; 0: all."""
        return int(self.resources["group_size"])

    @property
    def cpu_per_node(self) -> int:
        """Cores of a node that a job takes."""
        return int(self.resources["cpu_per_node"])

    def notices(self, environ: Mapping[str, str]) -> list[tuple[tuple[str, ...], str]]:
        """Return what of ``resources`` is not used, or does not reach jobs from ``environ``: (path, sentence)."""
        return resource_notices(self.scheduler, canonical(self.machine["batch_type"]) or "", self.resources, environ)


def machine_arguments() -> Any:
    """Return dpdispatcher's argument tree of ``machine``, with the contexts that we offer.

    ``local_root`` may be missing, since it is ours to say.
    """
    tree = library().machine.Machine.arginfo()
    choice = tree.sub_variants["context_type"]
    choice.choice_dict = {name: choice.choice_dict[name] for name in CONTEXTS}
    choice.choice_alias = {alias: name for alias, name in choice.choice_alias.items() if name in CONTEXTS}
    tree.sub_fields["local_root"].optional = True
    tree.sub_fields["local_root"].default = "./"
    tree.sub_fields["local_root"].doc = "Not followed: it is always the work directory (-C)."
    tree.sub_fields["remote_root"].doc = REMOTE_ROOT
    profile = choice.choice_dict["LocalContext"].sub_fields["remote_profile"]
    profile.hint = lambda key, _: "it is for SSHContext, which is not available yet" if key in SSH else None
    text = "DP-GEN's place for the section's retry_count."
    tree.sub_fields["retry_count"] = Key(
        "retry_count", [int, type(None)], text, optional=True, default=None, minimum=0, maximum=100
    )
    return tree


def other_contexts() -> list[str]:
    """Return dpdispatcher's names of the contexts that we do not offer."""
    choice = library().machine.Machine.arginfo().sub_variants["context_type"]
    names = {name: name for name in choice.choice_dict} | choice.choice_alias
    return sorted(alias for alias, name in names.items() if name not in CONTEXTS)


def resources_arguments(batch_type: str | None = None) -> Any:
    """Return dpdispatcher's argument tree of ``resources``, with our bounds and the keys of the batch system."""
    tree = library().submission.Resources.arginfo(detail_kwargs=False)
    name = canonical(batch_type or "")
    own = library().machine.Machine.subclasses_dict[name].resources_subfields() if name else []
    known = scheduler(name or "")
    bound(tree, [*own[0].sub_fields.values()] if own else [], name, known.options if known else None)
    return tree


def faults(machine: Mapping[str, Any], resources: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """Return what this program cannot do with a machine that dpdispatcher could: (path, sentence)."""
    found: list[tuple[tuple[str, ...], str]] = []
    batch_type, context = str(machine.get("batch_type")), str(machine.get("context_type"))
    known = scheduler(batch_type)
    if known is None:
        found.append(
            (("machine", "batch_type"), _not_yet(batch_type, SCHEDULERS, library().machine.Machine.subclasses_dict))
        )
    else:
        found += resource_faults(known, batch_type, resources)
    if _full_context_name(context) not in CONTEXTS:
        found.append((("machine", "context_type"), _not_yet(context, CONTEXTS, other_contexts())))
    if _full_context_name(context) == "LocalContext":
        found += [(("machine", "remote_root"), text) for text in _root_problems(machine.get("remote_root") or "")]
    ratio = resources.get("strategy", {}).get("ratio_unfinished")
    if ratio:
        text = f"has no meaning here; use continue_on_success_ratio: {1 - ratio:g}, beside resources"
        found.append((("resources", "strategy", "ratio_unfinished"), text))
    return found or _unwritable(machine, resources)


def _root_problems(root: str) -> Iterator[str]:
    """Yield what is wrong with the folder in which the jobs of LocalContext run."""
    if not root:
        yield "is missing: the folder in which the jobs of LocalContext run (LazyLocalContext needs none)"
    elif not Path(root).is_absolute():
        yield "must be an absolute path with LocalContext: the folder in which the jobs run"
    elif "$" in root:
        yield f"'{root}' has a '$', and no shell reads it: write the path itself"


def _unwritable(machine: Mapping[str, Any], resources: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """Return why dpdispatcher refuses to write a script: what it only says when a job is submitted."""
    step = StepMachine({**machine, "remote_root": machine.get("remote_root") or "/"}, resources)
    try:
        script_parts(step, bound_context(step, "/", "batch", "name"), "name", 1)
    except FileNotFoundError:
        return []  # the header that is not there: the file's reader says so
    except (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        if TEMPLATE in user_lines(resources) and isinstance(error, LookupError | ValueError):
            text = f"cannot be filled in ({error}): " + BRACES
            return [(("resources", *TEMPLATE), text)]
        return [(("resources",), f"no script can be made of them ({type(error).__name__}): {error}")]
    return []


def _not_yet(name: str, known: Iterable[str], theirs: Iterable[str]) -> str:
    """Return the sentence for a word that is none of ``known``: dpdispatcher's, or a slip."""
    if name.lower() in map(str.lower, theirs):
        return f"'{name}' is not available yet in this version; there is: {', '.join(known)}"
    names = {word.lower(): word for word in known}
    near = get_close_matches(name.lower(), names, n=1)
    question = f"; did you mean '{names[near[0]]}'?" if near else "."
    return f"'{name}' is unknown{question} There is: {', '.join(known)}"


def _full_context_name(name: str) -> str:
    """Return dpdispatcher's class name for one of its spellings: local, Local, LocalContext, lazylocal ..."""
    plain = name.lower().removesuffix("context")
    return {"lazylocal": "LazyLocalContext", "local": "LocalContext"}.get(plain, name)


def bound_context(machine: StepMachine, local_root: str, work_base: str, remote_name: str) -> Any:
    """Return the context for one batch folder: ``local_root/work_base`` here, ``remote_root/remote_name`` there."""
    settings = {**machine.machine, "local_root": local_root, "context_type": machine.machine["context_type"]}
    context = library().base_context.BaseContext.load_from_dict(settings)
    context.bind_submission(submission(work_base, remote_name))
    return context


def submission(work_base: str, remote_name: str, tasks: tuple[Any, ...] = (), common: tuple[str, ...] = ()) -> Any:
    """Return what a context needs to know of a submission; dpdispatcher's own class would submit."""
    return SimpleNamespace(
        work_base=work_base,
        submission_hash=remote_name,
        belonging_tasks=list(tasks),
        forward_common_files=list(common),
        backward_common_files=[],
    )


@dataclass(frozen=True)
class ScriptParts:
    """The parts of a job's script that the site decides: what stands before our first line, before the tasks, after."""

    header: str
    environment: str
    ending: str
    gpu_prefixes: tuple[str, ...]
    waits: tuple[bool, ...]


def script_parts(machine: StepMachine, context: Any, name: str, tasks: int) -> ScriptParts:
    """Return the parts of the script of a job with so many tasks.

    ``gpu_prefixes`` and ``waits`` have an entry for each task: what chooses its GPU, and whether the script waits for
    the tasks that it has started before it goes on (``para_deg``).
    """
    batch_type = canonical(machine.machine["batch_type"])
    batch = library().machine.Machine.subclasses_dict[batch_type](context=context)
    settings, names = shielded(machine.resources)
    resources = library().submission.Resources.load_from_dict({"kwargs": {}, **settings, "batch_type": batch_type})
    job = library().submission.Job([], resources=resources)
    job.job_hash, job.script_file_name = f"jobs/{name}", f"jobs/{name}.sub"
    flag = f'echo 0 > "$REMOTE_ROOT"/{job.job_hash}_flag_if_job_task_fail\n'  # our claim file says more
    pairs = [(batch.gen_command_env_cuda_devices(resources), batch.gen_script_wait(resources)) for _ in range(tasks)]
    return ScriptParts(
        header=header(
            machine.scheduler.options,
            batch.gen_script_header(job),
            resources.custom_flags,
            is_template=resources.strategy.get("customized_script_header_template_file") is not None,
        ),
        environment=bared(batch.gen_script_env(job).replace(flag, ""), names),
        ending="\n".join(resources.append_script),
        gpu_prefixes=tuple(prefix for prefix, _ in pairs),
        waits=tuple(bool(wait) for _, wait in pairs),
    )
