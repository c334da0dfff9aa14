"""The dialect of DPGEN2 before 0.0.6, behind ``-o``/``--old-compatible``: everything at the top level."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dargs

from dpgen2_hpc import kinds
from dpgen2_hpc.inputs.dialects import manual, today
from dpgen2_hpc.inputs.dialects.translation import Translation
from dpgen2_hpc.inputs.read import KeyPath
from dpgen2_hpc.kinds import Key

STEP_CONFIGS = (
    "prep_train_config",
    "run_train_config",
    "prep_explore_config",
    "run_explore_config",
    "prep_fp_config",
    "run_fp_config",
    "select_confs_config",
    "collect_data_config",
    "cl_step_config",
)

NAMES: Mapping[str, KeyPath] = {
    "type_map": ("inputs", "type_map"),
    "mass_map": ("inputs", "mass_map"),
    "init_data_prefix": ("inputs", "init_data_prefix"),
    "init_data_sys": ("inputs", "init_data_sys"),
    "train_style": ("train", "type"),
    "numb_models": ("train", "numb_models"),
    "default_training_param": ("train", "template_script"),
    "training_iter0_model_path": ("train", "init_models_paths"),
    "explore_style": ("explore", "type"),
    "lmp_config": ("explore", "config"),
    "max_numb_iter": ("explore", "max_numb_iter"),
    "fatal_at_max": ("explore", "fatal_at_max"),
    "conv_accuracy": ("explore", "conv_accuracy"),
    "model_devi_f_trust_lo": ("explore", "f_trust_lo"),
    "model_devi_f_trust_hi": ("explore", "f_trust_hi"),
    "model_devi_v_trust_lo": ("explore", "v_trust_lo"),
    "model_devi_v_trust_hi": ("explore", "v_trust_hi"),
    "sys_prefix": ("explore", "configuration_prefix"),
    "sys_configs": ("explore", "configurations"),
    "model_devi_jobs": ("explore", "stages"),
    "fp_style": ("fp", "type"),
    "fp_task_max": ("fp", "task_max"),
    "fp_config": ("fp", "config"),
    "fp_pp_files": ("fp", "pp_files"),
    "fp_incar": ("fp", "incar"),
    "fp_incar_lists": ("fp", "incar_lists"),
    "default_config": ("default_step_config",),
    **{name: ("step_configs", name) for name in STEP_CONFIGS},
}
"""The dialect's keys, and where the manual's dialect has them."""

ALIASES: Mapping[str, str] = {"sys_configs_prefix": "sys_prefix"}
"""Other words for keys: DP-GEN's."""

UNREAD: Mapping[str, str] = {
    "model_devi_dt": "write dt (ps) in each entry of model_devi_jobs; without it the timestep is 0.001 ps",
    "model_devi_skip": "every frame of a run counts",
    "model_devi_clean_traj": "all that a run wrote is kept",
    "shuffle_poscar": "configurations are taken as they are",
    "init_batch_size": "batch_size stands in default_training_param",
    "sys_batch_size": "batch_size stands in default_training_param",
    "fp_task_min": "an iteration labels what it has selected, however little that is",
}
"""DP-GEN's keys that stand in files of this dialect and that DPGEN2 does not read either; and what holds instead."""

MARKS: Sequence[KeyPath] = tuple((name,) for name in (*NAMES, *ALIASES))
"""No other dialect has these keys at the top level."""

STYLES: Mapping[str, tuple[str, str]] = {
    "train_style": ("train", "dp"),
    "explore_style": ("explore", "lmp"),
    "fp_style": ("fp", "vasp"),
}
"""Keys that choose a type, with the section that it is the type of, and the default."""

REQUIRED = ("conv_accuracy", "max_numb_iter", "numb_models", "fp_task_max")
"""Keys without a default in this dialect; the manual's has one."""

CONTAINERS: Mapping[KeyPath, KeyPath] = {(name,): () for name in ("inputs", "train", "explore", "fp", "step_configs")}
"""Sections of the manual's dialect that do not exist here."""


def tree() -> dargs.Argument:
    """Return the argument tree of the dialect."""
    theirs = manual.tree()
    keys = [_key(name, path, theirs) for name, path in NAMES.items() if name not in STYLES]
    styles = [
        Key(name, str, f"The type of {section}.", optional=True, default=default, choices=[default], change="refused")
        for name, (section, default) in STYLES.items()
    ]
    common = [theirs.sub_fields["name"], theirs.sub_fields["seed"], *today.meaningless_keys()]
    unread = [
        Key(name, object, f"Not read: {instead}.", optional=True, default=None, change="now")
        for name, instead in UNREAD.items()
    ]
    return dargs.Argument("param", dict, sub_fields=[*keys, *styles, *common, *unread])


def _key(name: str, path: KeyPath, theirs: dargs.Argument) -> Any:
    """Return the key ``name``: the one that the manual's dialect has at ``path``, under the older name."""
    if name in STEP_CONFIGS:
        held = theirs.sub_fields["step_configs"].sub_fields
        return held[name] if name in held else today.later(name, dict, {}, "How the step is executed.")
    if name == "default_config":
        return manual.renamed(theirs.sub_fields["default_step_config"], name)
    section, key = str(path[0]), str(path[1])
    change = getattr(theirs.sub_fields[section], "change", None)
    found = _members(theirs.sub_fields[section])[key]
    required = {"optional": False} if name in REQUIRED else {}
    more = {"alias": [alias for alias, meant in ALIASES.items() if meant == name], **required}
    return manual.renamed(found, name, change=getattr(found, "change", None) or change, **more)


def _members(section: dargs.Argument) -> dict[str, Any]:
    """Return the keys of a section, those of its only type included."""
    members = dict(section.sub_fields)
    for variant in section.sub_variants.values():
        for choice in variant.choice_dict.values():
            members = {**choice.sub_fields, **members}
    return members


def translate(value: Mapping[str, Any], folder: Path) -> Translation:
    """Return today's form of a walked value, by way of the manual's."""
    moved: dict[str, Any] = {name: {} for name in ("inputs", "train", "explore", "fp", "step_configs")}
    for name, entry in value.items():
        if name in UNREAD:
            continue
        *above, last = map(str, NAMES.get(name, (name,)))
        part = moved[above[0]] if above else moved
        part[last] = entry
    if not any(moved["step_configs"].values()):
        moved["step_configs"] = {}
    moved["train"]["config"] = _train_config()
    translation = manual.translate(moved, folder)
    back = {**CONTAINERS, **{path: (name,) for name, path in NAMES.items()}}
    unread = ((name, instead) for name, instead in UNREAD.items() if value.get(name) is not None)
    notices = tuple(((name,), f"is not read, as in DPGEN2: {instead}") for name, instead in unread)
    return Translation(translation.value, (*translation.origins, back), _words(), translation.problems, notices)


def _train_config() -> dict[str, Any]:
    """Return the settings of ``dp`` with every default: the dialect has no key for them."""
    config = next(key for key in kinds.load("train", "dp").arguments() if key.name == "config")
    return {key.name: key.default for key in config.sub_fields.values()}


def _words() -> dict[str, str]:
    """Return the dialect's names for those that messages use."""
    levels = {
        ours: name for ours, theirs in manual.LEVELS.items() for name, path in NAMES.items() if path[-1] == theirs
    }
    dotted = {".".join(map(str, path)): name for name, path in NAMES.items()}
    words = {**manual.WORDS, "inputs_config.incar_lists": "fp_incar_lists"}
    return {
        **words,
        **dotted,
        **levels,
        "explore.configurations": "sys_configs",
        "template_script": "default_training_param",
    }
