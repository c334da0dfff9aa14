"""How many cores and GPUs a job asks for: where the user's own lines decide, and where something may be missing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dpgen2_hpc.dispatch.directives import Given, read
from dpgen2_hpc.dispatch.flags import FLAGS, GPU_LINE, TEMPLATE, Finding, head_lines, user_lines
from dpgen2_hpc.dispatch.header import instead, sizes
from dpgen2_hpc.dispatch.schedulers.bsub_options import BSUB
from dpgen2_hpc.dispatch.schedulers.options import Options
from dpgen2_hpc.dispatch.schedulers.sbatch_options import SBATCH

COUNTED = frozenset({"select", "nodes", "nodect", "ncpus", "procs"})
"""Resources of ``-l`` that say how many cores a job gets."""

TASKS = frozenset({"ntasks", "ntasks-per-node"})
"""Options of ``sbatch`` that say how many tasks a job or a node runs."""

_GPU = re.compile(r"gpu|mps|shard", re.IGNORECASE)
"""What a request for GPUs, or parts of them, has in it."""


def size_notices(options: Options | None, resources: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield that the user's own size of a job takes the place of ours; and what is missing in it."""
    if options is None or TEMPLATE in user_lines(resources):
        return
    given = read(options, user_lines(resources)[FLAGS])
    texts = list(_instead_notices(options, given))
    if options.size_line:
        texts += _resource_notices(options, given, resources)
    if options is SBATCH:
        texts += [*_lost_gpus(given, resources), *_product(given, resources)]
    yield from ((FLAGS, text) for text in texts)
    if options is BSUB and resources.get("gpu_per_node") and not _asks_for_gpus(resources):
        text = "has no effect on LSF by itself, and the job gets no GPU: add to resources"
        yield ("gpu_per_node",), f'{text} "kwargs": {{"gpu_usage": true, "gpu_new_syntax": true}}'


def _instead_notices(options: Options, given: Sequence[Given]) -> Iterator[str]:
    """Yield which keys are not used, since a line of the user's takes the place of theirs."""
    for own in options.yielding:
        option = instead(own, given)
        if own.keys and option:
            yield f"has its own '{option.written}': {own.keys} not used for it"


def _resource_notices(options: Options, given: Sequence[Given], resources: Mapping[str, Any]) -> Iterator[str]:
    """Yield that the user's ``-l`` take the place of our line."""
    found = list(dict.fromkeys(sizes(options, given)))
    if found:
        own = " and ".join(f"'{name} ...'" if name.startswith("-") else f"'-l {name}=...'" for name in found)
        text = f"has its own {own}: number_node, cpu_per_node and gpu_per_node are not used for it"
        yield text + ("" if COUNTED & {*found} or "-L" in found else _advice(resources, found))


def _advice(resources: Mapping[str, Any], found: Sequence[str]) -> str:
    """Return what to write instead of ``-l mem=32gb`` alone, which says nothing of cores."""
    gpus = resources.get("gpu_per_node") or 0
    chunk = f"select={resources.get('number_node', 1)}:ncpus={resources.get('cpu_per_node', 1)}"
    chunk += (f":ngpus={gpus}" if gpus and "ngpus" not in found else "") + "".join(f":{name}=..." for name in found)
    return f", and the job gets the cores of the site's default. Write one line instead: #PBS -l {chunk}"


def _lost_gpus(given: Sequence[Given], resources: Mapping[str, Any]) -> Iterator[str]:
    """Yield that the last ``--gres``, which alone counts, asks for no GPU where an earlier one does."""
    number = resources.get("gpu_per_node") or 0
    own = user_lines(resources)[GPU_LINE] or [f"#SBATCH --gres=gpu:{number}"] * (number > 0)
    asked = [*read(SBATCH, own), *given]
    requests = [option.value or "" for option in asked if option.name == "gres"]
    gpus = [request for request in requests if _GPU.search(request)]
    if gpus and gpus[-1] != requests[-1] and not any(option.name.startswith("gpus") for option in asked):
        text = f"sbatch follows the last --gres alone, here '{requests[-1]}', and the job gets no GPU"
        yield f"{text}. Write one line instead: #SBATCH --gres={gpus[-1]},{requests[-1]}"


def _product(given: Sequence[Given], resources: Mapping[str, Any]) -> Iterator[str]:
    """Yield that ``--cpus-per-task`` multiplies ``cpu_per_node``, which is a number of tasks."""
    tasks = resources.get("cpu_per_node") or 1
    threads = next((option for option in reversed(given) if option.name == "cpus-per-task"), None)
    if threads is None or tasks == 1 or any(option.name in TASKS for option in given):
        return
    value = threads.value or ""
    if value.isdigit() and int(value) > 1:
        text = f"'{threads.written}' holds for each of the {tasks} tasks of a node (cpu_per_node)"
        advice = f"for one task with {value} threads add '#SBATCH --ntasks-per-node=1'"
        yield f"{text}, {tasks * int(value)} cores in all: {advice}"


def _asks_for_gpus(resources: Mapping[str, Any]) -> bool:
    """Whether a job of LSF gets GPUs: by ``gpu_usage``, or by a line of the user's."""
    return bool(resources.get("kwargs", {}).get("gpu_usage")) or any(map(_GPU.search, head_lines(resources)))
