"""Training by DeePMD-kit's ``dp train`` (type ``dp``), TensorFlow backend."""

import copy
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
import numpy as np

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.inputs.faults import found
from dpgen2_hpc.kinds import CheckContext, Key, Problem, TrainingInput

SEEDED = ("descriptor", "fitting_net", "type_embedding")
"""The parts of ``model`` that draw their first weights at random."""

PARTS = (("", "model"), ("", "training"), ("model", "descriptor"), ("model", "fitting_net"))
"""The parts that no input can do without, each below another or at the top."""

STEPS = ("numb_steps", "stop_batch", "numb_step", "num_steps", "num_step")
"""The words of ``dp train`` for the number of steps."""

LENGTHS = (*STEPS, "numb_epoch", "numb_epochs", "num_epoch", "num_epochs")
"""The keys of ``training``, one of which says how long it is."""

COUNTED = (*STEPS, "disp_freq", "save_freq")
"""Its keys that are whole numbers of steps."""

CHECKPOINT_SUFFIXES = ("index", "meta", "data-00000-of-00001")


@dataclass(frozen=True)
class DeepmdTrainer:
    """``dp train input.json``, then ``dp freeze``; see :class:`dpgen2_hpc.kinds.Trainer`.

    ``templates`` has one input for all members, or one for each.
    """

    numb_models: int
    templates: tuple[Mapping[str, Any], ...]
    dp: str = "dp"
    train_args: str = ""
    model_file: str = "frozen_model.pb"

    json_files: ClassVar[tuple[str, ...]] = ("template_script",)
    """Keys whose text names a JSON file, which is read when the run begins."""

    causes: ClassVar[tuple[tuple[str, str, str], ...]] = (
        (
            r"No such file or directory.*type\.raw",
            "a training system is not where the input says",
            "restore the data of inputs.init_data_sys",
        ),
        (
            r"(ResourceExhaustedError|OOM when allocating)",
            "the training ran out of memory",
            "give the train step more memory, or a smaller batch_size in template_script",
        ),
    )

    @classmethod
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``train``."""
        return [
            Key("numb_models", int, "Members of the ensemble.", optional=True, default=4, minimum=2, maximum=100),
            Key(
                "template_script",
                [str, dict, list],
                "The input of dp train: a file, the content itself, or a list with one of these for each member. "
                "Seeds, training systems and type_map are filled in.",
            ),
            Key("config", dict, "How dp is called.", optional=True, default={}, sub_fields=_config_arguments()),
            _later(
                "init_models_paths",
                [list[str], type(None)],
                None,
                "Models from which the first training begins, one for each member.",
                alias=["training_iter0_model_path"],
            ),
            _later("init_models_uri", [str, type(None)], None, "The URI of such models."),
            _later("optional_files", [list[str], type(None)], None, "Further files that a training reads."),
        ]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the trainer for checked settings; ``template_script`` is the content itself."""
        script = settings["template_script"]
        templates = tuple(script) if isinstance(script, list) else (script,)
        config = settings["config"]
        return cls(settings["numb_models"], templates, config["command"], config["train_args"])

    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield an empty command, and what is wrong with the templates."""
        if not self.dp.strip():
            yield ("config", "command"), "must not be empty"
        if len(self.templates) not in (1, self.numb_models):
            yield ("template_script",), f"has {len(self.templates)} entries; there are {self.numb_models} models"
        for number, template in enumerate(self.templates):
            path: tuple[str | int, ...] = ("template_script", *([number] if len(self.templates) > 1 else []))
            yield from ((path + place, text) for place, text in _template_problems(template, context.type_map))

    @property
    def command(self) -> str:
        """Return the command: from the checkpoint that a killed attempt has left, or from the start."""
        train = f"{self.dp} train input.json {self.train_args}".rstrip()
        return (
            f"if [ -f restart/model.ckpt.index ]; then {train} --restart restart/model.ckpt; else {train}; fi"
            f" && {self.dp} freeze -o {self.model_file}"
        )

    def write_inputs(self, task: TrainingInput, directory: Path) -> list[str]:
        """Write ``input.json``: the member's template with its systems and seeds."""
        content = copy.deepcopy(dict(self.templates[task.index % len(self.templates)]))
        content["model"]["type_map"] = list(task.type_map)
        training = content["training"]
        data = training if "systems" in training else training.setdefault("training_data", {})
        data["systems"] = list(task.systems)
        data.setdefault("batch_size", "auto")
        training.update({"disp_file": "lcurve.out", "save_ckpt": "model.ckpt"})
        _write_seeded(content, task.rng, directory)
        return ["input.json"]

    def reseed(self, directory: Path, rng: np.random.Generator) -> None:
        """Give the member in ``directory`` other seeds."""
        _write_seeded(json.loads((directory / "input.json").read_text()), rng, directory)

    def finish(self, directory: Path) -> dict[str, Any]:
        """Return the last row of the learning curve, and the step that the training was continued from."""
        model = directory / self.model_file
        if not model.is_file() or model.stat().st_size == 0:
            raise OutputError(f"there is no model '{self.model_file}'")
        curve = _last_learning_curve(directory)
        bad = [name for name, value in curve.items() if not (math.isfinite(value) or name.startswith("rmse_v"))]
        if bad:
            raise OutputError(f"the training diverged: {bad[0]} is {curve[bad[0]]} at step {curve.get('step', 0):.0f}")
        return {"continued_from": _continued_from(directory), "learning_curve": curve}

    def carry_over(self, old: Path, new: Path) -> int | None:
        """Copy the newest complete checkpoint of ``old`` into ``new/restart``."""
        checkpoint = newest_checkpoint(old)
        source, step = checkpoint if checkpoint is not None else (old / "restart" / "model.ckpt", _continued_from(old))
        if step is None:
            return None
        (new / "restart").mkdir()
        for suffix in CHECKPOINT_SUFFIXES:
            shutil.copy2(f"{source}.{suffix}", new / "restart" / f"model.ckpt.{suffix}")
        for curve in (old / "restart" / "lcurve.out", old / "lcurve.out"):
            if curve.exists() and curve.stat().st_size:
                shutil.copy2(curve, new / "restart" / "lcurve.out")
        (new / "restart" / "step").write_text(f"{step}\n")
        return step


def newest_checkpoint(directory: Path) -> tuple[Path, int] | None:
    """Return the prefix and the step of the newest checkpoint all of whose files are there.

    TensorFlow writes data, index and meta, and names them in ``checkpoint`` only after.
    """
    try:
        text = (directory / "checkpoint").read_text()
        name = text.split('model_checkpoint_path: "', 1)[1].split('"', 1)[0]
        step = int(name.rpartition("-")[2])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    prefix = directory / name
    complete = all(Path(f"{prefix}.{suffix}").is_file() for suffix in CHECKPOINT_SUFFIXES)
    return (prefix, step) if complete else None


def read_learning_curve(path: Path) -> dict[str, float]:
    """Return the last row of ``lcurve.out`` by its column names (rmse in eV, eV/Å, eV/atom).

    Raises
    ------
    OutputError
        There is none.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError as error:
        raise OutputError("there is no learning curve 'lcurve.out'") from error
    rows = [line.split() for line in lines if not line.startswith("#")]
    headers = [line.lstrip("# ").split() for line in lines if line.startswith("#") and "step" in line.split()]
    if not rows or not headers or len(rows[-1]) != len(headers[0]):
        raise OutputError("the learning curve 'lcurve.out' has no whole row")
    try:
        return dict(zip(headers[0], map(float, rows[-1]), strict=True))
    except ValueError as error:
        raise OutputError(f"the last row of the learning curve 'lcurve.out' is broken: {error}") from error


def _last_learning_curve(directory: Path) -> dict[str, float]:
    """Return the last row; a training that had only to be frozen anew wrote none, its last attempt did.

    Systems without virial are legal, and dp writes NaN for what it has no reference of: that is no divergence.
    """
    try:
        return read_learning_curve(directory / "lcurve.out")
    except OutputError:
        if not (directory / "restart" / "lcurve.out").exists():
            raise
        return read_learning_curve(directory / "restart" / "lcurve.out")


def _config_arguments() -> list[dargs.Argument]:
    """Return the keys of ``train.config``; those of other policies and backends are known, and not acted on yet."""
    return [
        Key("command", str, "The command of DeePMD-kit.", optional=True, default="dp", change="now"),
        Key(
            "impl",
            str,
            "The backend.",
            alias=["backend"],
            optional=True,
            default="tensorflow",
            choices=["tensorflow"],
            later=["pytorch", "jax", "paddle"],
        ),
        Key("train_args", str, "More words for dp train, as --skip-neighbor-stat.", optional=True, default=""),
        *_init_model_arguments(),
        _later("multitask", bool, False, "Whether a multitask model is trained."),
        _later("head", [str, type(None)], None, "The head of a multitask model that is used."),
        _later(
            "split_last_iter_valid_ratio",
            [float, type(None)],
            None,
            "The part of the last iteration's data that is kept for validation.",
        ),
    ]


def _init_model_arguments() -> list[dargs.Argument]:
    """Return the keys for a training that begins with the last iteration's models."""
    steps = ["init_model_stop_batch", "init_model_num_steps"]
    return [
        _later(
            "init_model_policy",
            str,
            "no",
            "Whether a training begins with the last iteration's models: no, yes, or old_data_larger_than:N, when they "
            "were trained on more than N frames.",
        ),
        _later("init_model_old_ratio", float, 0.9, "How often old data are drawn, as a part of all draws."),
        _later("init_model_numb_steps", int, 400000, "Steps of such a training.", alias=steps),
        _later("init_model_start_lr", float, 1e-4, "Its first learning rate."),
        _later("init_model_start_pref_e", float, 0.1, "Its first weight of energies."),
        _later("init_model_start_pref_f", float, 100.0, "Its first weight of forces."),
        _later("init_model_start_pref_v", float, 0.0, "Its first weight of virials."),
        _later("init_model_with_finetune", bool, False, "Whether it fine-tunes instead."),
        _later("finetune_args", str, "", "More words for dp train --finetune."),
    ]


def _later(name: str, dtype: Any, default: Any, doc: str, **more: Any) -> Key:
    """Return a key that DPGEN2 has and this version does not act on."""
    return Key(name, dtype, doc, optional=True, default=default, available=False, **more)


def _template_problems(template: Any, type_map: tuple[str, ...]) -> Iterator[Problem]:
    """Yield what is wrong with one template."""
    if not isinstance(template, dict):
        yield (), "must be an object, the input of dp train"
        return
    yield from _part_problems(template)
    model, training = template.get("model"), template.get("training")
    if isinstance(model, dict) and model.get("type_map", list(type_map)) != list(type_map):
        text = f"is {model['type_map']}, inputs.type_map is {list(type_map)}: elements would be mixed up"
        yield ("model", "type_map"), text
    if isinstance(training, dict):
        yield from _training_problems(training)


def _part_problems(template: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the parts that are missing, and those that are no objects."""
    for above, name in PARTS:
        holder = template.get(above) if above else template
        if isinstance(holder, dict) and name not in holder:
            yield ((above, name) if above else (name,)), "is missing: an input of dp train has it, as an object"
    for path, part in _parts(template):
        if not isinstance(part, dict):
            yield path, f"expected an object, as dp train has it, found {found(part)}"


def _parts(template: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the parts of a template that are objects of their own, as far as it has them."""
    for name in ("model", "training", "learning_rate", "loss"):
        if name in template:
            yield (name,), template[name]
    model = template.get("model")
    if isinstance(model, dict):
        yield from ((("model", name), model[name]) for name in SEEDED if name in model)


def _training_problems(training: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the length of a training, and the data that it must not name."""
    if training.get("validation_data"):
        yield ("training", "validation_data"), "is not available yet; leave it out"
    if not any(name in training for name in LENGTHS):
        yield ("training", "numb_steps"), "is missing: how many steps a training has"
    for name in COUNTED:
        if name in training and (type(training[name]) is not int or training[name] < 1):
            yield ("training", name), f"expected a whole number, at least 1, found {found(training[name])}"


def _write_seeded(content: dict[str, Any], rng: np.random.Generator, directory: Path) -> None:
    for part in SEEDED:
        if part in content["model"]:
            _seed(content["model"][part], rng)
    content["training"]["seed"] = _draw(rng)
    (directory / "input.json").write_text(json.dumps(content, indent=1) + "\n")


def _seed(part: dict[str, Any], rng: np.random.Generator) -> None:
    """Put a seed into a part of the model, and into each descriptor of a hybrid one."""
    part["seed"] = _draw(rng)
    for member in part.get("list", []):
        _seed(member, rng)
    if part.get("type") == "hybrid":
        del part["seed"]


def _draw(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 2**31 - 1))


def _continued_from(directory: Path) -> int | None:
    try:
        return int((directory / "restart" / "step").read_text())
    except FileNotFoundError:
        return None
