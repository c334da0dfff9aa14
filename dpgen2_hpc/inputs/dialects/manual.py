"""The dialect of DPGEN2's manual of October 2022: trust levels in ``explore``, one group a stage, VASP in ``fp``."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dargs

from dpgen2_hpc import kinds
from dpgen2_hpc.inputs.dialects import today
from dpgen2_hpc.inputs.dialects.translation import Mesh, Translation, read_mesh
from dpgen2_hpc.inputs.read import KeyPath
from dpgen2_hpc.kinds import Key

NOTHING = type(None)

MARKS: Sequence[KeyPath] = (
    ("explore", "conv_accuracy"),
    ("explore", "f_trust_lo"),
    ("explore", "f_trust_hi"),
    ("explore", "v_trust_lo"),
    ("explore", "v_trust_hi"),
    ("fp", "config"),
    ("fp", "pp_files"),
    ("fp", "incar"),
)
"""Keys that no other dialect has."""

GROUP_DEFAULTS: Mapping[str, Any] = {"ens": "npt", "nsteps": 1000, "tau_t": 0.1}
"""Where the manual's ``set_md`` differs from today's task group."""

LEVELS: Mapping[str, str] = {
    "level_f_lo": "f_trust_lo",
    "level_f_hi": "f_trust_hi",
    "level_v_lo": "v_trust_lo",
    "level_v_hi": "v_trust_hi",
    "conv_accuracy": "conv_accuracy",
}
"""Today's names of the levels, and the manual's."""

SAME_KEYS = ("max_numb_iter", "fatal_at_max", "configuration_prefix")
"""Keys of ``explore`` that are the same today."""

FP_KEYS = ("task_max", "max_force", "max_pressure")
"""Keys of ``fp`` that are the same today."""

ALLOY_FORMAT = "lammps/lmp"
"""The format of the files that alloys were written to."""

ORIGINS: Mapping[KeyPath, KeyPath] = {
    ("explore", "convergence"): ("explore",),
    **{("explore", "convergence", ours): ("explore", theirs) for ours, theirs in LEVELS.items()},
    ("fp", "inputs_config"): ("fp",),
    ("fp", "inputs_config", "kspacing"): ("fp", "incar"),
    ("fp", "inputs_config", "kgamma"): ("fp", "incar"),
    ("fp", "run_config"): ("fp", "config"),
}

WORDS: Mapping[str, str] = {
    "inputs_config.incar_lists": "fp.incar_lists",
    "add KSPACING (1/Å) to the INCAR, or give inputs_config.kspacing": "add KSPACING (1/Å) to the INCAR",
}
"""What messages of labelers say, and what the user can do in this dialect."""


def tree() -> dargs.Argument:
    """Return the argument tree of the dialect."""
    here = today.tree().sub_fields
    explore = [here["explore"].sub_fields[name] for name in SAME_KEYS]
    return dargs.Argument(
        "param",
        dict,
        sub_fields=[
            here["name"],
            here["seed"],
            today.inputs_section(),
            today.train_section(),
            Key("explore", dict, "How configurations are explored.", change="refused",
                sub_fields=[*explore, *explore_keys()], sub_variants=[today.variant("explore")]),
            Key("fp", dict, "How frames are labelled.", change="labels",
                sub_fields=[here["fp"].sub_fields[name] for name in FP_KEYS],
                sub_variants=[dargs.Variant("type", [dargs.Argument("vasp", dict, sub_fields=vasp_keys())])]),
            *today.common_keys(),
        ],
    )  # fmt: skip


def explore_keys() -> list[Key]:
    """Return the keys of ``explore`` that are the dialect's own."""
    levels = {key.name: key for key in kinds.load("convergence", "fixed-levels").arguments()}
    return [
        *(renamed(levels[ours], theirs, change="next") for ours, theirs in LEVELS.items()),
        Key("configurations", list[list[str] | dict[str, Any]], "Where runs start from: an alloy each, or a list of "
            "file names (POSCAR, or LAMMPS's data format).", alias=["configuration"], change="append",
            sub_fields=_alloy_keys()),
        Key("stages", list[dict[str, Any] | list[dict[str, Any]]], "The task group of each stage.", change="append",
            sub_variants=[_groups()]),
    ]  # fmt: skip


def vasp_keys() -> list[Key]:
    """Return the keys of ``fp`` with VASP."""
    inputs = next(key for key in kinds.load("fp", "vasp").arguments() if key.name == "inputs_config").sub_fields
    run = [
        Key("command", str, "The command that runs VASP.", optional=True, default="vasp", change="now"),
        Key(
            "log",
            [str, NOTHING],
            "No meaning here: what a task prints stands in its task.log.",
            optional=True,
            default=None,
            change="now",
        ),
        Key(
            "out",
            [str, NOTHING],
            "No meaning here: the labels stand in labels/ of the step's folder.",
            optional=True,
            default=None,
            change="now",
        ),
    ]
    return [
        Key("config", dict, "How VASP is run.", optional=True, default={}, sub_fields=run),
        Key("pp_files", dict[str, str], "The file of the pseudopotential of each element."),
        Key("incar", str, "The file INCAR; the k-points are those of its KSPACING and KGAMMA."),
        renamed(inputs["incar_lists"], "incar_lists", change="labels"),
    ]


def renamed(key: Any, name: str, **changes: Any) -> Any:
    """Return a copy of a key under another name, with some of its properties changed."""
    clone = copy.copy(key)
    clone.name, clone.alias = name, []
    for attribute, value in changes.items():
        setattr(clone, attribute, value)
    return clone


def _alloy_keys() -> list[Any]:
    extra = [
        Key("fmt", str, "The format of the generated files.", optional=True, default=ALLOY_FORMAT, available=False),
        Key("type_map", [list[str], NOTHING], "The elements; those of inputs.", optional=True, default=None),
    ]
    return [*kinds.load("configurations", "alloy").arguments(), *extra]


def _groups() -> dargs.Variant:
    """Return the task group with the dialect's own defaults."""
    keys = [copy.copy(key) for key in kinds.load("groups", "lmp-md").arguments()]
    for key in keys:
        key.default = GROUP_DEFAULTS.get(key.name, key.default)
    group = dargs.Argument("lmp-md", dict, sub_fields=keys, alias=kinds.ALIASES["groups"]["lmp-md"])
    return dargs.Variant("type", [group], optional=True, default_tag="lmp-md")


# ---- the translation ------------------------------------------------------------------------------------------------


def translate(value: Mapping[str, Any], folder: Path) -> Translation:
    """Return today's form of a walked value; relative paths in it are relative to ``folder``.

    What the value lacks, since it has a fault, the form lacks too.
    """
    explore, fp = value.get("explore", {}), value.get("fp", {})
    mesh = read_mesh(folder / fp["incar"]) if "incar" in fp else Mesh()
    translated = {**value, "explore": _explore(explore), "fp": _fp(fp, mesh)}
    problems = [
        *_alloy_problems(value),
        *([(("fp", "inputs_config", "incar"), mesh.problem)] if mesh.problem else []),
    ]
    words = {**WORDS, **{ours: theirs for ours, theirs in LEVELS.items() if ours != theirs}}
    return Translation(translated, ({**ORIGINS, **_list_origins(explore)},), words, tuple(problems))


def _explore(explore: Mapping[str, Any]) -> dict[str, Any]:
    own = {key.name for key in explore_keys()}
    levels = {ours: explore[theirs] for ours, theirs in LEVELS.items() if theirs in explore}
    translated = {
        **{name: entry for name, entry in explore.items() if name not in own},
        "convergence": {"type": "fixed-levels", **levels},
    }
    if "configurations" in explore:
        translated["configurations"] = [_configuration(entry) for entry in explore["configurations"]]
    if "stages" in explore:
        translated["stages"] = [entry if isinstance(entry, list) else [entry] for entry in explore["stages"]]
    return translated


def _fp(fp: Mapping[str, Any], mesh: Mesh) -> dict[str, Any]:
    inputs_config = {name: fp[name] for name in ("incar", "pp_files", "incar_lists") if name in fp}
    return {
        **{name: fp[name] for name in ("type", *FP_KEYS) if name in fp},
        "inputs_config": {**inputs_config, "kspacing": mesh.kspacing, "kgamma": mesh.kgamma},
        "run_config": fp.get("config", {}),
    }


def _configuration(entry: Any) -> Any:
    if isinstance(entry, list):
        return entry
    return {"type": "alloy", **{name: held for name, held in entry.items() if name not in ("fmt", "type_map")}}


def _list_origins(explore: Mapping[str, Any]) -> dict[KeyPath, KeyPath]:
    """Return where the entries are that one of the two dialects has one level deeper."""
    origins: dict[KeyPath, KeyPath] = {}
    for number, entry in enumerate(explore.get("configurations", [])):
        if isinstance(entry, list):
            path: KeyPath = ("explore", "configurations", number)
            origins[*path, "files"] = path
    for number, entry in enumerate(explore.get("stages", [])):
        if isinstance(entry, dict):
            origins["explore", "stages", number, 0] = ("explore", "stages", number)
    return origins


def _alloy_problems(value: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    elements = value.get("inputs", {}).get("type_map")
    for number, entry in enumerate(value.get("explore", {}).get("configurations", [])):
        if elements and isinstance(entry, dict) and entry.get("type_map") not in (None, elements):
            text = f"is {entry['type_map']}, inputs.type_map is {elements}: leave it out"
            yield ("explore", "configurations", number, "type_map"), text
