"""The input of ``dp train``: what is wrong with a template, and what is made of it for one member."""

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dpgen2_hpc.data.outputs import read_output_text
from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.inputs.faults import found
from dpgen2_hpc.kinds import Problem, TrainingInput
from dpgen2_hpc.train.learning_curve import CURVE

INPUT = "input.json"

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

FREQUENCY = 1000
"""What ``dp train`` takes for ``disp_freq`` and ``save_freq`` if they are not given."""

LIMIT = 1 << 26
"""Bytes of an input that are read."""


def template_problems(template: Any, type_map: tuple[str, ...]) -> Iterator[Problem]:
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


def template_notices(template: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what stands in a good template and is not used."""
    if template["training"].get("validation_data"):
        yield ("training", "validation_data"), "is not used in this version: models are trained without validation"


def fill_template(template: Mapping[str, Any], task: TrainingInput) -> tuple[dict[str, Any], list[str]]:
    """Return a member's input, without its seeds, and what the user should know of it."""
    content = copy.deepcopy(dict(template))
    content["model"]["type_map"] = list(task.type_map)
    training = content["training"]
    data = training if "systems" in training else training.setdefault("training_data", {})
    data["systems"] = list(task.systems)
    data.setdefault("batch_size", "auto")
    training.pop("validation_data", None)
    training.update({"disp_file": CURVE, "save_ckpt": "model.ckpt"})
    changes = _save_last_step(training)
    notices = [f"{', '.join(changes)}, so that dp train saves its last step"] if changes else []
    if numb_steps(training) is None:
        notices.append("the length is given in epochs: whether a model is that of the last step is not checked")
    return content, notices


def write_seeded(content: dict[str, Any], rng: np.random.Generator, directory: Path) -> None:
    """Write an input with seeds of its own."""
    for part in SEEDED:
        if part in content["model"]:
            _seed(content["model"][part], rng)
    content["training"]["seed"] = _draw(rng)
    (directory / INPUT).write_text(json.dumps(content, indent=1) + "\n")


def read_input(directory: Path) -> dict[str, Any]:
    """Return the input in a task's folder.

    Raises
    ------
    OutputError
        The task has spoilt it.
    """
    try:
        content = json.loads(read_output_text(directory / INPUT, LIMIT))
        if isinstance(content["training"], dict) and isinstance(content["model"], dict):
            return dict(content)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise OutputError(f"'{INPUT}' does not hold the input of dp train that was written: {error}") from error
    raise OutputError(f"'{INPUT}' does not hold the input of dp train that was written")


def numb_steps(training: Mapping[str, Any]) -> int | None:
    """Return how many steps a training has, or ``None`` if it is given in epochs, which dp alone can count."""
    given = [training[name] for name in STEPS if name in training]
    return given[0] if given and type(given[0]) is int else None


def last_row(training: Mapping[str, Any], step: int) -> int:
    """Return the step of the last row in the learning curve of a training that has come to ``step``."""
    frequency = training.get("disp_freq", FREQUENCY)
    return step // frequency * frequency if type(frequency) is int and frequency > 0 else 0


def training_systems(content: Mapping[str, Any]) -> list[str]:
    """Return the paths of the training systems in an input that was written here, as seen from the task's folder."""
    training = content["training"]
    data = training if "systems" in training else training.get("training_data", {})
    systems = data.get("systems", []) if isinstance(data, dict) else []
    return [path for path in systems if isinstance(path, str)] if isinstance(systems, list) else []


def _save_last_step(training: dict[str, Any]) -> list[str]:
    """Let dp write a checkpoint and a row at its last step; return what that changed.

    dp writes a checkpoint where both disp_freq and save_freq divide the step, and one at the end if save_freq does not
    divide the number of steps. So save_freq must be a multiple of disp_freq; neither is ever raised.
    """
    length = numb_steps(training)
    display, save = training.get("disp_freq", FREQUENCY), training.get("save_freq", FREQUENCY)
    shown = min(display, save, display if length is None else length)
    wanted = {"disp_freq": (display, shown), "save_freq": (save, save // shown * shown)}
    if not training.get("disp_training", True):
        wanted["disp_training"] = (False, True)
    changed = {name: (old, new) for name, (old, new) in wanted.items() if old != new}
    training.update({name: new for name, (_, new) in changed.items()})
    return [f"training.{name} {json.dumps(old)} becomes {json.dumps(new)}" for name, (old, new) in changed.items()]


def _part_problems(template: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the parts that are missing, and those that are not objects."""
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
    """Yield what is wrong with the length of a training."""
    lengths = [name for name in LENGTHS if name in training]
    if not lengths:
        yield ("training", "numb_steps"), "is missing: how many steps a training has"
    for name in lengths[1:]:
        yield ("training", name), f"says the same as '{lengths[0]}', and dp train takes one of them: remove one"
    for name in COUNTED:
        if name in training and (type(training[name]) is not int or training[name] < 1):
            yield ("training", name), f"expected a whole number, at least 1, found {found(training[name])}"


def _seed(part: dict[str, Any], rng: np.random.Generator) -> None:
    """Put a seed into a part of the model, and into each descriptor of a hybrid one."""
    part["seed"] = _draw(rng)
    for member in part.get("list", []):
        _seed(member, rng)
    if part.get("type") == "hybrid":
        del part["seed"]


def _draw(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 2**31 - 1))
