"""Today's dialect: what DPGEN2 reads now, and the argument tree that every other dialect is translated to."""

import logging
from collections.abc import Sequence
from typing import Any

import dargs
from typing_extensions import override

from dpgen2_hpc import kinds
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.read import KeyPath
from dpgen2_hpc.inputs.step_configs import step_config_arguments
from dpgen2_hpc.kinds import Key

log = logging.getLogger(__name__)

NOTHING = type(None)

MARKS: Sequence[KeyPath] = (
    ("explore", "convergence"),
    ("explore", "filters"),
    ("explore", "output_nopbc"),
    ("fp", "inputs_config"),
    ("fp", "run_config"),
    ("fp", "extra_output_files"),
)
"""Keys that no older dialect has."""

MEANINGLESS = (
    "dflow_config",
    "dflow_s3_config",
    "s3_config",
    "bohrium_config",
    "lebesgue_context_config",
    "upload_python_package",
    "upload_python_packages",
)
"""Keys of DPGEN2 that speak of Argo, images or Bohrium: known, without meaning here, and said so."""

NOT_FOLLOWED: Sequence[KeyPath] = (
    *((name,) for name in MEANINGLESS),
    ("fp", "run_config", "out"),
    ("fp", "run_config", "log"),
    ("fp", "run_config", "type_map"),
)
"""All that is known and without meaning, but for the policy's."""


def tree() -> dargs.Argument:
    """Return the argument tree of ``param.json``."""
    return dargs.Argument(
        "param",
        dict,
        sub_fields=[
            Key("name", [str, NOTHING], "A name for people.", optional=True, default=None, change="now"),
            Key("seed", int, "Fixes every random choice of the run.", optional=True, default=0, minimum=0,
                maximum=2**31 - 1, change="refused"),
            inputs_section(),
            train_section(),
            Key("explore", dict, "How configurations are explored.", change="refused", sub_fields=_explore(),
                sub_variants=[variant("explore")]),
            Key("fp", dict, "How frames are labelled.", change="labels", sub_fields=_fp(),
                sub_variants=[variant("fp")]),
            *common_keys(),
        ],
    )  # fmt: skip


def inputs_section() -> Key:
    """Return ``inputs``."""
    return Key("inputs", dict, "The elements and the first data.", change="refused", sub_fields=_inputs())


def train_section() -> Key:
    """Return ``train``."""
    return Key("train", dict, "How models are trained.", change="next", sub_variants=[variant("train")])


def common_keys() -> list[Key]:
    """Return the keys at the top that say how DPGEN2's workflow is executed, not what it computes."""
    return [
        later("parallelism", [int, NOTHING], None, "Most jobs in the queue at once; give it in machine.json."),
        *step_config_arguments(),
        *meaningless_keys(),
    ]


def meaningless_keys() -> list[Key]:
    """Return the keys that have no meaning here."""
    doc = "Speaks of Argo, images or Bohrium: known, and without meaning here."
    return [Key(name, object, doc, optional=True, default=None, change="now") for name in MEANINGLESS]


def later(name: str, dtype: Any, default: Any, doc: str, **more: Any) -> Key:
    """Return a key that DPGEN2 has and this version does not act on."""
    return Key(name, dtype, doc, optional=True, default=default, available=False, **more)


def variant(kind: str, default: str = "") -> dargs.Variant:
    """Return the choice among the types of a kind."""
    choices = [Choice(kind, name) for name in kinds.names(kind)]
    return dargs.Variant("type", choices, optional=bool(default), default_tag=default)


class Choice(dargs.Argument):
    """A type of a kind. Its keys are asked for when it is chosen, so that only what an input names is loaded."""

    def __init__(self, kind: str, name: str) -> None:
        self._kind, self._keys = "", dict[str, dargs.Argument]()
        super().__init__(name, dict, alias=kinds.ALIASES.get(kind, {}).get(name, []))
        self._kind = kind

    @override  # type: ignore[explicit-override]  # mypy does not see it on a property with a setter
    @property
    def sub_fields(self) -> dict[str, dargs.Argument]:
        """The keys, by name; none of a type of another package that cannot be used."""
        if self._kind and not self._keys:
            try:
                self._keys = {key.name: key for key in kinds.load(self._kind, self.name).arguments()}
            except InputError as error:
                log.warning("%s", error)
                self._kind = ""
        return self._keys

    @sub_fields.setter
    def sub_fields(self, keys: dict[str, dargs.Argument]) -> None:
        self._keys = keys


def file_configuration(names: list[str]) -> dict[str, Any]:
    """Return the configuration that a plain list of file names stands for."""
    keys = kinds.load("configurations", "file").arguments()
    defaults = {key.name: key.default for key in keys if key.optional}
    return {"type": "file", **defaults, "files": names}


def _inputs() -> list[Key]:
    return [
        Key("type_map", list[str], "The elements, in the order of the model's types."),
        Key("mass_map", list[float], "Their masses, u.", above=0, maximum=400),
        Key("init_data_prefix", [str, NOTHING], "The folder of init_data_sys.", optional=True, default=None),
        Key("init_data_sys", [list[str], str, NOTHING],
            "The first training systems (deepmd/npy): folders or patterns (*, ?, [...], **). Below a folder that is no "
            "system itself every system counts. At least one is needed.", optional=True, default=None),
        Key("mixed_type", bool, "Collect frames of one size in one system, whatever their formulas (deepmd/npy/mixed).",
            optional=True, default=False),
        later("do_finetune", bool, False, "Whether the first training fine-tunes init_models_paths."),
        later("init_data_uri", [str, NOTHING], None, "The URI of the first data; give a path in init_data_sys."),
        later("multitask", bool, False, "Whether a multitask model is trained."),
        later("head", [str, NOTHING], None, "The head of a multitask model that explores."),
        later("multi_init_data", [dict, NOTHING], None, "The first data of each head."),
        later("multi_init_data_uri", [str, NOTHING], None, "The URI of the first data of each head."),
        later("valid_data_prefix", [str, NOTHING], None, "The folder of valid_data_sys."),
        later("valid_data_sys", [list[str], str, NOTHING], None, "Systems for validation during training."),
        later("valid_data_uri", [str, NOTHING], None, "The URI of the data for validation."),
        later("use_ele_temp", int, 0, "Electron temperature: none (0), of frames (1), of atoms (2)."),
        later("multi_valid_data", [dict, NOTHING], None, "Data for validation of each head."),
        later("multi_valid_data_uri", [str, NOTHING], None, "The URI of the data for validation of each head."),
    ]  # fmt: skip


def _explore() -> list[Key]:
    return [
        Key("max_numb_iter", int, "Most iterations of a stage.", optional=True, default=10, minimum=1,
            maximum=1_000_000, change="now"),
        Key("fatal_at_max", bool, "Whether to stop for a person when a stage has not converged in max_numb_iter "
            "iterations.", optional=True, default=True, change="now"),
        later("output_nopbc", bool, False, "Whether selected frames lose their periodicity."),
        Key("convergence", dict, "What is accurate, and when a stage has converged.", change="next",
            sub_variants=[variant("convergence")]),
        Key("configuration_prefix", [str, NOTHING], "The folder of the configurations' files: of sources of type file "
            "that have no prefix of their own.", optional=True, default=None),
        Key("configurations", list[list[str] | dict[str, Any]], "Where runs start from: a source each, or a list of "
            "file names, which is a source of type file.", alias=["configuration"], change="append",
            sub_variants=[variant("configurations")]),
        Key("stages", list[list[dict[str, Any]]], "A list of stages, each a list of task groups.", change="append",
            sub_variants=[variant("groups", default="lmp-md")]),
        later("filters", [list, dict], [], "Rules by which candidates are refused before they are labelled: distance, "
              "box_skewness, box_length."),
    ]  # fmt: skip


def _fp() -> list[Key]:
    return [
        Key("task_max", int, "Most labels of an iteration.", optional=True, default=10, minimum=1, maximum=1_000_000,
            change="now"),
        Key("max_force", float, "The largest force that a label may have, eV/Å: collapsed frames poison the models.",
            optional=True, default=50.0, above=0, change="now"),
        Key("max_pressure", float, "The largest pressure that a label may have, GPa, of either sign.",
            optional=True, default=500.0, above=0, change="now"),
        Key("extra_output_files", list[str], "Files to keep of each label: all that a task wrote is kept anyway.",
            optional=True, default=[], change="now"),
    ]  # fmt: skip
