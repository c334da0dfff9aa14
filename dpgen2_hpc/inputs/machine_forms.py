"""Machine files in forms that are not read, and keys that stand in the wrong object: what to write instead."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dargs

from dpgen2_hpc.errors import Fault
from dpgen2_hpc.inputs.arranged import DEFAULT, SECTIONS
from dpgen2_hpc.inputs.faults import quoted
from dpgen2_hpc.inputs.read import Document, KeyPath

Hint = Callable[[str, Any], str | None]

OLD_WORDS = ("machine", "resources", "command", "group_size")
OLD_TOP = frozenset(
    {"deepmd_path", "python_path", "lmp_command"}
    | {f"{step}_{word}" for step in ("train", "model_devi", "fp") for word in OLD_WORDS}
)
OLD_SECTION = frozenset({"deepmd_path", "python_path"})
OLD_MACHINE = frozenset({"machine_type", "batch", "work_path", "hostname", "username"})
OLD_RESOURCES = frozenset({
    "numb_node", "node_cpu", "task_per_node", "numb_gpu", "node_gpu", "partition", "exclude_list", "time_limit",
})  # fmt: skip
"""What DP-GEN's files had in these places before they were dpdispatcher's."""

NEW_NAMES: Mapping[str, str] = {
    "machine_type": "batch_type, in machine",
    "batch": "batch_type, in machine",
    "work_path": "remote_root, in machine, with context_type LocalContext",
    "numb_node": "number_node, in resources",
    "node_cpu": "cpu_per_node, in resources",
    "task_per_node": "cpu_per_node, in resources",
    "numb_gpu": "gpu_per_node, in resources",
    "node_gpu": "gpu_per_node, in resources",
    "partition": "queue_name, in resources",
    "nodes": "number_node, in resources",
    "time_limit": "a line of custom_flags, in resources",
    "mem_limit": "a line of custom_flags, in resources",
    "exclude_list": "a line of custom_flags, in resources",
    "allow_failure": "continue_on_success_ratio, beside resources",
    "ratio_failure": "continue_on_success_ratio, beside resources",
}
"""Keys of older files, and what says the same today."""

CONTAINERS = ("image", "image_list", "image_name", "image_address", "container", "container_image")


def other_form(written: Document) -> Fault | None:
    """Return the one sentence that tells what a file is that is not in the form that is read; else ``None``."""
    value = written.value
    old = next(_old_paths(value), None)
    if old is not None:
        text = (
            "this is a machine file of DP-GEN from before api_version 1.0, which is not read: give each of train, "
            "model_devi and fp a command, a machine (batch_type, context_type) and resources (number_node, "
            "cpu_per_node, gpu_per_node, queue_name, custom_flags, group_size), as in machine_examples/dpgen-slurm.json"
        )
        return written.fault(old, text)
    if not {*SECTIONS, "model_devi", DEFAULT} & {*value}:
        return _of_dpdispatcher(written)
    return None


def _of_dpdispatcher(written: Document) -> Fault | None:
    """Return what to do with a file of dpdispatcher alone, which has one machine for all."""
    for names, where in ((("machine", "resources"), ""), (("batch_type", "context_type"), ".machine")):
        if {*names} <= {*written.value}:
            text = (
                "this is a file of dpdispatcher alone, which knows no steps: put "
                f"{' and '.join(names)} into 'default{where}', and what one step needs into train, explore or fp"
            )
            return written.fault((names[0],), text)
    return None


def _old_paths(value: Mapping[str, Any]) -> Iterator[KeyPath]:
    """Yield where a file says something that only older files say."""
    yield from ((key,) for key in value if key in OLD_TOP)
    for top in (*SECTIONS, "model_devi"):
        listed = isinstance(value.get(top), list) and value[top]
        entry = value[top][0] if listed else value.get(top)
        path: KeyPath = (top, 0) if listed else (top,)
        if not isinstance(entry, dict) or _is_of_today(entry) or _is_of_today(value.get(DEFAULT)):
            continue
        for part, names in ((None, OLD_SECTION), ("machine", OLD_MACHINE), ("resources", OLD_RESOURCES)):
            found = entry.get(part) if part else entry
            way = (*path, part) if part else path
            yield from ((*way, key) for key in found if key in names) if isinstance(found, dict) else ()


def _is_of_today(entry: Any) -> bool:
    machine = entry.get("machine") if isinstance(entry, dict) else None
    return isinstance(machine, dict) and bool({"batch_type", "context_type"} & {*machine})


# ---- keys in the wrong object


def show_the_way(section: dargs.Argument) -> None:
    """Give the objects of a section hints to where their unknown keys belong."""
    homes: dict[str, str] = {}
    objects = [("", section)]
    for name in ("machine", "resources"):
        part = section.sub_fields[name]
        objects += [(name, part)]
        objects += [(f"{name}.{key}", part.sub_fields[key]) for key in ("kwargs", "strategy") if key in part.sub_fields]
    for path, part in objects:
        for key in [*part.sub_fields, *part.sub_variants]:
            homes.setdefault(key, path)
    for path, part in objects:
        part.hint = _hint(homes, path, getattr(part, "hint", None))  # type: ignore[attr-defined]


def _hint(homes: Mapping[str, str], here: str, own: Hint | None) -> Hint:
    def hint(key: str, value: Any) -> str | None:
        is_below = key in homes and homes[key] and homes[key].rpartition(".")[0] == here
        if key in homes and homes[key] != here and not is_below:
            return f"it belongs in {homes[key]}" if homes[key] else f"it belongs beside {here.partition('.')[0]}"
        if key in CONTAINERS:
            return "there are no containers here: start the program in one, as command: 'apptainer exec image.sif dp'"
        return (own(key, value) if own else None) or (f"write {NEW_NAMES[key]}" if key in NEW_NAMES else None)

    return hint


def top_hint(key: str, _value: Any) -> str | None:
    """Return where a key belongs that stands beside the sections."""
    if key in ("machine", "resources", "command", "group_size"):
        return f"it belongs in a section: {', '.join(SECTIONS)}, or '{DEFAULT}' for all of them"
    return f"{quoted(key)} is written {NEW_NAMES[key]}" if key in NEW_NAMES else None
