"""DP-GEN's own ``param.json``, which looks like DPGEN2's older dialect and is none of ours."""

from collections.abc import Mapping
from typing import Any

from dpgen2_hpc.inputs.dialects import old, today

CENTRAL = ("default_training_param", "model_devi_jobs", "sys_configs")
"""Keys that DP-GEN and DPGEN2's older dialect have in common, and no run of either does without."""

OWN = ("train_style", "explore_style", "lmp_config", "max_numb_iter", "fatal_at_max", "conv_accuracy", "sys_prefix",
       "fp_config", "default_config", *old.STEP_CONFIGS, *today.MEANINGLESS)  # fmt: skip
"""Keys of DPGEN2's older dialect that DP-GEN has not; two of them it cannot do without."""

SECTIONS = ("inputs", "train", "explore", "fp")

ADVICE = (
    "this is a param.json of DP-GEN, which dpgen2-hpc cannot read: write its settings in DPGEN2's form (start from "
    "`dpgen2-hpc init` or from an example in input_examples/; docs/arguments.md explains every key)"
)


def is_dpgens(value: Mapping[str, Any]) -> bool:
    """Return whether a file is DP-GEN's: it has what both families need, and nothing that DPGEN2 alone has."""
    shared = [name for name in value if name in old.NAMES or name in old.ALIASES]
    is_central = len(shared) > 1 and any(name in value for name in CENTRAL)
    return is_central and not any(name in value for name in (*OWN, *SECTIONS))
