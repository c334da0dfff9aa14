"""``param.json``: its argument tree, and what it means."""

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import dargs

from dpgen2_hpc import kinds
from dpgen2_hpc.errors import Fault, InputError
from dpgen2_hpc.inputs.read import Document, KeyPath, read_json
from dpgen2_hpc.inputs.step_configs import step_config_arguments
from dpgen2_hpc.inputs.texts import with_texts
from dpgen2_hpc.inputs.tree import normalize
from dpgen2_hpc.kinds import CheckContext, Configurations, Convergence, Explorer, Key, Kind, Labeler, TaskGroup, Trainer

NOTHING = type(None)

MEANINGLESS = (
    "dflow_config",
    "dflow_s3_config",
    "bohrium_config",
    "lebesgue_context_config",
    "upload_python_packages",
)
"""Keys of DPGEN2 that speak of Argo, images or Bohrium: known, without meaning here, and said so."""


@dataclass(frozen=True)
class Settings:
    """What a run follows, as objects."""

    type_map: tuple[str, ...]
    masses: tuple[float, ...]
    initial_systems: tuple[Path, ...]
    trainer: Trainer
    explorer: Explorer
    configurations: tuple[Configurations, ...]
    stages: tuple[tuple[TaskGroup, ...], ...]
    convergence: Convergence
    max_numb_iter: int
    fatal_at_max: bool
    labeler: Labeler
    fp_type: str
    task_max: int
    seed: int


@dataclass(frozen=True)
class Param:
    """``param.json``, understood: ``value`` as JSON with every default in it, and what it means."""

    value: Mapping[str, Any]
    settings: Settings
    meaningless: tuple[str, ...]


def load_param(path: Path, commands: Mapping[str, str | None]) -> Param:
    """Read ``param.json``; ``commands`` are those of ``machine.json``, which come first.

    Raises
    ------
    InputError
        Everything that is wrong with it.
    """
    document = read_json(path)
    value, faults = normalize(root(), document, kinds.LATER)
    if faults:
        raise InputError(faults)
    embedded, faults = _embed_templates(value, document)
    if faults:
        raise InputError(faults)
    settings = _settings(_with_commands(embedded, commands), path.parent.absolute())
    faults = [_fault(document, *problem) for problem in _problems(embedded, settings)]
    if faults:
        raise InputError(sorted(faults, key=lambda fault: (fault.line or 0, fault.column or 0)))
    meaningless = tuple(key for key in document.value if key in MEANINGLESS)
    return Param({key: entry for key, entry in embedded.items() if key not in MEANINGLESS}, settings, meaningless)


# ---- the tree -------------------------------------------------------------------------------------------------------


def root() -> dargs.Argument:
    """Return the argument tree of ``param.json``, today's dialect."""
    return dargs.Argument(
        "param",
        dict,
        sub_fields=[
            Key("name", [str, NOTHING], "A name for people.", optional=True, default=None, change="now"),
            Key("seed", int, "Fixes every random choice.", optional=True, default=0, minimum=0, maximum=2**31 - 1),
            Key("inputs", dict, "The elements and the first data.", sub_fields=_inputs()),
            Key("train", dict, "How models are trained.", sub_variants=[_variant("train")]),
            Key(
                "explore",
                dict,
                "How configurations are explored.",
                sub_fields=_explore(),
                sub_variants=[_variant("explore")],
            ),
            Key("fp", dict, "How frames are labelled.", sub_fields=_fp(), sub_variants=[_variant("fp")]),
            *step_config_arguments(),
            *(Key(name, object, "No meaning here.", optional=True, default=None, change="now") for name in MEANINGLESS),
        ],
    )


def _later(name: str, dtype: Any, default: Any) -> Key:
    """Return a key that DPGEN2 has and this version does not act on."""
    return Key(name, dtype, "", optional=True, default=default, available=False)


def _variant(kind: str, default: str = "") -> dargs.Variant:
    """Return the choice among the types of a kind."""
    choices = [dargs.Argument(name, dict, sub_fields=kinds.load(kind, name).arguments()) for name in kinds.names(kind)]
    return dargs.Variant("type", choices, optional=bool(default), default_tag=default)


def _inputs() -> list[dargs.Argument]:
    later: list[tuple[str, Any, Any]] = [
        ("do_finetune", bool, False),
        ("init_data_uri", [str, NOTHING], None),
        ("multitask", bool, False),
        ("head", [str, NOTHING], None),
        ("multi_init_data", [dict, NOTHING], None),
        ("multi_init_data_uri", [str, NOTHING], None),
        ("valid_data_prefix", [str, NOTHING], None),
        ("valid_data_sys", [list, str, NOTHING], None),
        ("valid_data_uri", [str, NOTHING], None),
        ("use_ele_temp", int, 0),
        ("multi_valid_data", [dict, NOTHING], None),
        ("multi_valid_data_uri", [str, NOTHING], None),
    ]
    return [
        Key("type_map", list[str], "The elements, in the order of the model's types."),
        Key("mass_map", list[float], "Their masses, u.", above=0, maximum=400),
        Key("init_data_prefix", [str, NOTHING], "The folder of init_data_sys.", optional=True, default=None),
        Key("init_data_sys", [list[str], str], "The first training systems (deepmd/npy): folders or patterns."),
        Key("mixed_type", bool, "Collect frames of one size in one system, whatever their formulas (deepmd/npy/mixed).",
            optional=True, default=False),
        *(_later(*entry) for entry in later),
    ]  # fmt: skip


def _explore() -> list[dargs.Argument]:
    return [
        Key("max_numb_iter", int, "Most iterations of a stage.", optional=True, default=10, minimum=1, change="now"),
        Key("fatal_at_max", bool, "Stop for a person when a stage has not converged in max_numb_iter iterations.",
            optional=True, default=True, change="now"),
        _later("output_nopbc", bool, False),
        Key("convergence", dict, "What is accurate, and when a stage has converged.",
            sub_variants=[_variant("convergence")]),
        Key("configurations", list, "Where runs start from.", alias=["configuration"], repeat=True,
            sub_variants=[_variant("configurations")]),
        Key("stages", list[list[dict[str, Any]]], "The task groups of each stage.", change="append",
            sub_variants=[_variant("groups", default="lmp-md")]),
        _later("filters", list, []),
    ]  # fmt: skip


def _fp() -> list[dargs.Argument]:
    return [
        Key("task_max", int, "Most labels of an iteration.", optional=True, default=10, minimum=1, change="now"),
        _later("extra_output_files", list, []),
    ]


# ---- the meaning ----------------------------------------------------------------------------------------------------


def _embed_templates(value: Mapping[str, Any], document: Document) -> tuple[dict[str, Any], list[Fault]]:
    """Put the content of the JSON files that the trainer's keys name in the place of their names."""
    train: dict[str, Any] = dict(value["train"])
    faults: list[Fault] = []
    for name in getattr(kinds.load("train", train["type"]), "json_files", ()):
        try:
            train[name] = _embedded(train[name], Path(document.file).parent)
        except InputError as error:
            faults += error.faults
    texts = getattr(kinds.load("fp", value["fp"]["type"]), "text_files", ())
    fp, problems = with_texts(value["fp"], texts, Path(document.file).parent)
    faults += [_fault(document, ("fp", *path), text) for path, text in problems]
    return {**value, "train": train, "fp": fp}, faults


def _embedded(entry: Any, folder: Path) -> Any:
    if isinstance(entry, list):
        return [_embedded(member, folder) for member in entry]
    return read_json(folder / entry).value if isinstance(entry, str) else entry


def _with_commands(value: Mapping[str, Any], commands: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the parameters with the machine's commands in the place of their own."""
    where = {"train": "config", "explore": "config", "fp": "run_config"}
    result = dict(value)
    for step, key in where.items():
        if commands.get(step):
            result[step] = {**value[step], key: {**value[step][key], "command": commands[step]}}
    return result


def _settings(value: Mapping[str, Any], folder: Path) -> Settings:
    inputs, explore, fp = value["inputs"], value["explore"], value["fp"]
    return Settings(
        type_map=tuple(inputs["type_map"]),
        masses=tuple(inputs["mass_map"]),
        initial_systems=tuple(_initial_systems(inputs, folder)),
        trainer=cast(Trainer, _kind("train", value["train"], folder)),
        explorer=cast(Explorer, _kind("explore", explore, folder)),
        configurations=tuple(
            cast(Configurations, _kind("configurations", entry, folder)) for entry in explore["configurations"]
        ),
        stages=tuple(
            tuple(cast(TaskGroup, _kind("groups", group, folder)) for group in stage) for stage in explore["stages"]
        ),
        convergence=cast(Convergence, _kind("convergence", explore["convergence"], folder)),
        max_numb_iter=explore["max_numb_iter"],
        fatal_at_max=explore["fatal_at_max"],
        labeler=cast(Labeler, _kind("fp", fp, folder)),
        fp_type=fp["type"],
        task_max=fp["task_max"],
        seed=value["seed"],
    )


def _kind(kind: str, settings: Mapping[str, Any], folder: Path) -> Kind:
    """Return the kind that the settings describe, with their paths made absolute."""
    found = kinds.load(kind, settings["type"])
    names = {argument.name for argument in found.arguments()}
    own = {name: entry for name, entry in settings.items() if name in names}
    resolved = getattr(found, "resolved", None)
    return found.from_settings(resolved(own, folder) if resolved else own)


def _patterns(inputs: Mapping[str, Any], folder: Path) -> list[str]:
    given = inputs["init_data_sys"]
    prefix = folder / (inputs["init_data_prefix"] or "")
    return [str(prefix / name) for name in ([given] if isinstance(given, str) else given)]


def _initial_systems(inputs: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    for pattern in _patterns(inputs, folder):
        yield from map(Path, sorted(glob.glob(pattern)))  # noqa: PTH207  (patterns may be absolute)


# ---- across keys ----------------------------------------------------------------------------------------------------

Problem = tuple[KeyPath, str]


def _problems(value: Mapping[str, Any], settings: Settings) -> Iterator[Problem]:
    """Yield what no key shows alone."""
    context = CheckContext(settings.type_map, settings.masses, settings.trainer.numb_models)
    yield from _inputs_problems(value["inputs"], settings)
    yield from _below(("train",), settings.trainer.checks(context))
    yield from _below(("explore",), settings.explorer.checks(context))
    yield from _below(("explore", "convergence"), settings.convergence.checks(context))
    for number, entry in enumerate(settings.configurations):
        yield from _below(("explore", "configurations", number), entry.checks(context))
    for stage, groups in enumerate(settings.stages):
        yield from _stage_problems(stage, groups, len(settings.configurations), context)
    if not settings.stages:
        yield ("explore", "stages"), "must not be empty: there would be nothing to explore"
    yield from _below(("fp",), settings.labeler.checks(context))


def _inputs_problems(inputs: Mapping[str, Any], settings: Settings) -> Iterator[Problem]:
    elements = settings.type_map
    if not elements:
        yield ("inputs", "type_map"), "must not be empty"
    for element in sorted({element for element in elements if elements.count(element) > 1}):
        yield ("inputs", "type_map"), f"has '{element}' more than once"
    if len(settings.masses) != len(elements):
        yield ("inputs", "mass_map"), f"has {len(settings.masses)} masses for {len(elements)} elements of type_map"
    if not settings.initial_systems:
        yield ("inputs", "init_data_sys"), f"matches no folder: {inputs['init_data_sys']}"
    for folder in settings.initial_systems:
        yield from ((("inputs", "init_data_sys"), text) for text in _system_problems(folder, elements))


def _system_problems(folder: Path, type_map: Sequence[str]) -> Iterator[str]:
    from dpgen2_hpc.data.dataset import inspect  # noqa: PLC0415  (numpy, which the tree alone does not need)

    try:
        summary = inspect(folder)
    except ValueError as error:
        yield str(error)
        return
    unknown = [element for element in summary.type_map if element not in type_map]
    if unknown:
        yield f"'{folder}' has {', '.join(unknown)} in its type_map; inputs.type_map is {', '.join(type_map)}"
    if not summary.labelled:
        yield f"'{folder}' has no labels (energy.npy and force.npy): nothing can be learned from it"


def _stage_problems(
    stage: int, groups: Sequence[TaskGroup], configurations: int, context: CheckContext
) -> Iterator[Problem]:
    if not groups:
        yield ("explore", "stages", stage), "must not be empty: the stage would explore nothing"
    for number, group in enumerate(groups):
        path: KeyPath = ("explore", "stages", stage, number)
        yield from _below(path, group.checks(context))
        for index in group.conf_idx:
            if index >= configurations:
                text = f"has {index}, but explore.configurations has {configurations} entries (they count from 0)"
                yield (*path, "conf_idx"), text


def _below(path: KeyPath, problems: Iterator[Problem]) -> Iterator[Problem]:
    return (((*path, *place), text) for place, text in problems)


def _fault(document: Document, path: KeyPath, text: str) -> Fault:
    """Return a fault at the place of ``path``, or of the nearest thing above it that the file has."""
    above = (path[:end] for end in range(len(path), -1, -1))
    place = next((document.places[step] for step in above if step in document.places), (None, None))
    return Fault(document.file, path, text, *place)
