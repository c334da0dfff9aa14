"""The Python environment that is active where the driver runs, and jobs that do not inherit it."""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dpgen2_hpc.dispatch.directives import inherits
from dpgen2_hpc.dispatch.flags import Finding, head_lines
from dpgen2_hpc.dispatch.schedulers import Scheduler, scheduler

LOADERS = ("source_list", "module_list", "prepend_script")


def activation(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the key of ``resources`` and its entry that activate the environment of ``environ``; ``None`` without one.

    A virtual environment comes before conda's: it was activated later, and its programs come first.
    """
    venv, conda = environ.get("VIRTUAL_ENV"), environ.get("CONDA_PREFIX")
    if venv:
        return "source_list", shlex.quote(f"{venv}/bin/activate")
    if not conda:
        return None
    program = environ.get("CONDA_EXE")
    script = Path(program).parent / "activate" if program else None
    if script is not None and script.is_file():
        return "source_list", shlex.join([str(script), conda])
    return "prepend_script", f'export PATH={shlex.quote(f"{conda}/bin")}:"$PATH"'


def activation_for(batch_type: str, environ: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the keys of ``resources`` without which jobs of a batch system do not find the active environment."""
    found, active = scheduler(batch_type), activation(environ)
    if active is None or found is None or found.options is None or found.options.inherits:
        return {}
    return {active[0]: [active[1]]}


def environment_notices(
    system: Scheduler, batch_type: str, resources: Mapping[str, Any], environ: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield that jobs will not find the active environment, and what to write."""
    active = activation(environ)
    loaded = any(resources.get(name) for name in LOADERS) or "PATH" in (resources.get("envs") or {})
    if system.options is None or active is None or loaded:
        return
    if inherits(system.options, head_lines(resources)):
        return
    key, entry = active
    where = environ.get("VIRTUAL_ENV") or environ["CONDA_PREFIX"]
    jobs = "jobs with these directives" if system.options.inherits else f"jobs on {batch_type}"
    text = f"{jobs} do not inherit the environment '{where}' that is active here; to activate it in them, write into"
    yield (key,), f"{text} resources: {json.dumps(key)}: {json.dumps([entry], ensure_ascii=False)}"
