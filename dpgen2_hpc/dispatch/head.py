"""The head of a job's script: dpdispatcher's lines and the user's, and what of these is not followed."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dpgen2_hpc.dispatch.resources import Problem
from dpgen2_hpc.dispatch.schedulers import Scheduler


def user_lines(resources: Mapping[str, Any]) -> list[str]:
    """Return the lines that the user writes into the head of a job's script."""
    template = resources.get("strategy", {}).get("customized_script_header_template_file")
    texts = [*([Path(template).read_text()] if template is not None and Path(template).is_file() else [])]
    texts += [*(resources.get("custom_flags") or []), resources.get("kwargs", {}).get("custom_gpu_line") or ""]
    return [line for text in texts for line in text.splitlines()]


def header(scheduler: Scheduler, own: Sequence[str], custom: Sequence[str]) -> str:
    """Return the head of a job's script from dpdispatcher's lines and the user's ``custom_flags``, which win.

    Slurm and LSF follow the last of two equal options. PBS keeps the first of two equal resources and refuses some
    beside ``select``: there the user's lines come first, and take the place of ours.
    """
    options = scheduler.options
    shebang, *rest = own
    if not options.replaces:
        return _joined([shebang, *options.kept([*rest, *custom])])
    chosen = {given.option for line in custom for given in options.given(line)} - {"-l"}
    replaced = any(options.asked(line) for line in custom)
    left = [line for line in rest if not (replaced and options.asked(line))]
    left = [line for line in left if not chosen & {given.option for given in options.given(line)}]
    return _joined([shebang, *options.kept([*custom, *left])])


def _joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def notices(scheduler: Scheduler, batch_type: str, resources: Mapping[str, Any]) -> list[Problem]:
    """Return what is not followed, and what may be missing: (path, sentence)."""
    place = ("resources", "custom_flags")
    lines = user_lines(resources)
    found: list[Problem] = [(place, text) for line in lines for text in scheduler.options.notices(line)]
    for line in lines:
        if asked := scheduler.options.asked(line):
            keys = "number_node, cpu_per_node and gpu_per_node are not used for it"
            found.append((place, f"'{line}' asks for {', '.join(asked)} by itself: {keys}"))
    if text := _environment_notice(scheduler, batch_type, resources, lines):
        found.append((("resources", "source_list"), text))
    return found


ACTIVATES = ("module_list", "source_list", "prepend_script")
"""Keys that may bring the programs into a job's environment."""


def _environment_notice(
    scheduler: Scheduler, batch_type: str, resources: Mapping[str, Any], lines: Sequence[str]
) -> str | None:
    """Return the notice that jobs do not have the active environment of this shell, if that is so."""
    given = [entry for line in lines for entry in scheduler.options.given(line)]
    inherits = scheduler.inherits or any(entry.option == "-V" for entry in given)
    if any(entry.option == "--export" and entry.value == "NONE" for entry in given):
        inherits = False
    brought = any(resources.get(key) for key in ACTIVATES) or "PATH" in (resources.get("envs") or {})
    if inherits or brought:
        return None
    if venv := os.environ.get("VIRTUAL_ENV"):
        active, how = venv, f'"source_list": ["{venv}/bin/activate"]'
    elif conda := os.environ.get("CONDA_PREFIX"):
        active, how = conda, f'"prepend_script": ["export PATH={conda}/bin:$PATH"]'
    else:
        return None
    return (
        f"jobs of {batch_type} do not get the environment of this shell, so '{active}' is not active in them: add {how}"
    )
