"""Input files to begin with: explained, and with a mark wherever only the user knows what belongs there."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dpgen2_hpc import kinds
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.faults import alternatives, unknown
from dpgen2_hpc.inputs.options import options
from dpgen2_hpc.inputs.tree import TO_FILL

SITES: Mapping[str, Mapping[str, Any]] = {
    "Shell": {"cpu_per_node": 1},
    "Slurm": {"queue_name": f"{TO_FILL} the partition", "custom_flags": ["#SBATCH --time=24:00:00"]},
    "PBS": {"queue_name": f"{TO_FILL} the queue", "custom_flags": ["#PBS -l walltime=24:00:00"]},
    "Torque": {"queue_name": f"{TO_FILL} the queue", "custom_flags": ["#PBS -l walltime=24:00:00"]},
    "LSF": {"queue_name": f"{TO_FILL} the queue", "custom_flags": ["#BSUB -W 24:00"]},
}
"""What the resources of each batch system begin with."""


def starting_files(
    fp_type: str, scheduler: str, activation: Mapping[str, Sequence[str]] | None = None
) -> dict[str, str]:
    """Return ``param.json``, ``machine.json`` and the training input ``input.json`` as texts, by name.

    ``activation`` are the keys of ``resources`` that activate the Python environment of this shell in jobs.

    Raises
    ------
    InputError
        There is no such labeler or no such batch system.
    """
    known = kinds.names("fp")
    if fp_type not in known:
        later = fp_type in kinds.LATER["fp"]
        raise InputError(f"'{fp_type}' is not available yet" if later else unknown("fp type", fp_type, known))
    if scheduler not in SITES:
        raise InputError(unknown("scheduler", scheduler, list(SITES)))
    values = {
        "param.json": _param(fp_type),
        "machine.json": _machine(scheduler, activation or {}),
        "input.json": _training(),
    }
    return {name: json.dumps(value, indent=2, ensure_ascii=False) + "\n" for name, value in values.items()}


def _param(fp_type: str) -> dict[str, Any]:
    return {
        "_comment": f"What to learn. Replace each '{TO_FILL} ...' and look at every number; keys that begin with "
        "_ are comments. `dpgen2-hpc check param.json machine.json` says what is still wrong, "
        "`dpgen2-hpc doc KEY` what a key means.",
        "inputs": {
            "_comment": "The first labelled frames are systems in the format deepmd/npy; dpdata converts most others.",
            "type_map": [f"{TO_FILL} each element, a string, as Al"],
            "mass_map": [f"{TO_FILL} the mass of each in u, a number, as 26.98"],
            "init_data_sys": [f"{TO_FILL} folders or patterns, as data/*"],
        },
        "train": {
            "_comment": "Four models that differ in their seeds alone. input.json is the input of dp train.",
            "type": "dp",
            "numb_models": 4,
            "template_script": "input.json",
        },
        "explore": _explore(molecules=True not in kinds.load("fp", fp_type).periodic),
        "fp": _fp(fp_type),
    }


def _explore(*, molecules: bool) -> dict[str, Any]:
    return {
        "type": "lmp",
        "max_numb_iter": 10,
        "convergence": {
            "_comment": "Force deviation, eV/Å: below lo accurate, up to hi a candidate for a label, above failed.",
            "type": "fixed-levels",
            "level_f_lo": 0.05,
            "level_f_hi": 0.3,
            "conv_accuracy": 0.95,
        },
        "configurations": [
            {
                "_comment": "Where runs start from: files here; `dpgen2-hpc doc explore.configurations` has others.",
                "type": "file",
                "files": [f"{TO_FILL} files or patterns, as start/POSCAR*"],
                "fmt": f"{TO_FILL} their format in dpdata, as vasp/poscar",
                **({"remove_pbc": True} if molecules else {}),
            }
        ],
        "stages": [
            [
                {
                    "_comment": "nvt at 300 and 600 K: 1000 steps of 1 fs, a frame every 10 steps, from five starts.",
                    "type": "lmp-md",
                    "conf_idx": [0],
                    "n_sample": 5,
                    "ens": "nvt",
                    "temps": [300, 600],
                    "dt": 0.001,
                    "nsteps": 1000,
                    "trj_freq": 10,
                }
            ]
        ],
    }


def _fp(fp_type: str) -> dict[str, Any]:
    labeler = kinds.load("fp", fp_type)
    wanted = [argument for argument in labeler.arguments() if not argument.optional or _has_command(argument)]
    own = {argument.name: _open(argument) for argument in wanted}
    docs = {(part.name, key.name): key.doc for part in labeler.arguments() for key in part.sub_fields.values()}
    for part, name in (*labeler.text_files, *labeler.to_fill):
        own[part].setdefault(name, f"{TO_FILL} {' '.join(str(docs[part, name]).split())}")
    return {"_comment": "At most task_max labels an iteration.", "type": fp_type, "task_max": 20, **own}


def _has_command(argument: Any) -> bool:
    return "command" in argument.sub_fields and argument.sub_fields["command"].default is not None


def _open(argument: Any) -> Any:
    """Return a value in which all that has no default is marked."""
    if argument.sub_fields:
        members = argument.sub_fields.values()
        return {
            member.name: _open(member)
            for member in members
            if not member.optional or (member.name == "command" and member.default is not None)
        }
    if argument.optional:
        return argument.default
    text = f"{TO_FILL} {' '.join(str(argument.doc).split())}"
    if dict in _bases(options(argument)):
        return {TO_FILL: text}
    return [text] if _bases(options(argument)) == {list} else text


def _bases(types: Sequence[Any]) -> set[Any]:
    return {getattr(kind, "__origin__", kind) for kind in alternatives(types)}


def _machine(scheduler: str, activation: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    on_queue = scheduler != next(iter(SITES))
    size: dict[str, Any] = {"number_node": 1, "cpu_per_node": 8, "gpu_per_node": 0} if on_queue else {}
    return {
        "_comment": "Where to run. What stands in default holds for train, explore and fp; each may override any key.",
        "default": {
            "machine": {"batch_type": scheduler, "context_type": "LazyLocalContext"},
            "resources": {
                "_comment": "module_list and source_list load what the programs need; group_size tasks run in a job.",
                **size,
                **SITES[scheduler],
                "group_size": 1,
                "module_list": [],
                "source_list": [],
                **{key: list(entries) for key, entries in activation.items()},
            },
        },
        "train": {"command": "dp"},
        "explore": {"command": "lmp", "resources": {"group_size": 5}},
        "fp": {"resources": {"group_size": 5}},
    }


def _training() -> dict[str, Any]:
    net = {"neuron": [25, 50, 100], "axis_neuron": 16, "resnet_dt": False}
    return {
        "_comment": "The input of dp train. Systems, type_map and seeds are filled in.",
        "model": {
            "descriptor": {"type": "se_e2_a", "sel": "auto", "rcut": 6.0, "rcut_smth": 0.5, **net},
            "fitting_net": {"neuron": [240, 240, 240], "resnet_dt": True},
        },
        "learning_rate": {"type": "exp", "start_lr": 0.001, "stop_lr": 1e-8, "decay_steps": 2000},
        "loss": {
            "start_pref_e": 0.02,
            "limit_pref_e": 1,
            "start_pref_f": 1000,
            "limit_pref_f": 1,
            "start_pref_v": 0,
            "limit_pref_v": 0,
        },
        "training": {
            "training_data": {"systems": [], "batch_size": "auto"},
            "numb_steps": 400000,
            "disp_freq": 1000,
            "save_freq": 10000,
        },
    }
