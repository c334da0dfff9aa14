"""Training by DeePMD-kit's ``dp train`` (type ``dp``), TensorFlow backend."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
import numpy as np
from typing_extensions import override

from dpgen2_hpc.errors import OutputError
from dpgen2_hpc.kinds import Cause, CheckContext, Key, Problem, Trainer, TrainingInput
from dpgen2_hpc.train.checkpoints import RESTART, carry_checkpoint, continued_from, frozen_step
from dpgen2_hpc.train.command import UNLOADABLE, training_command, word_problems
from dpgen2_hpc.train.frozen import TESTED_ON, check_model, check_test
from dpgen2_hpc.train.learning_curve import CURVE, LearningCurve, check_convergence, read_curve
from dpgen2_hpc.train.reference import force_spread
from dpgen2_hpc.train.template import (
    INPUT,
    fill_template,
    last_row,
    numb_steps,
    read_input,
    template_notices,
    template_problems,
    training_systems,
    write_seeded,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeepmdTrainer(Trainer):
    """``dp train input.json``, then ``dp freeze`` and ``dp test``; see :class:`dpgen2_hpc.kinds.Trainer`.

    ``templates`` has one input for all members, or, as a list (``one_each``), one for each.
    """

    numb_models: int
    templates: tuple[Mapping[str, Any], ...]
    dp: str = "dp"
    train_args: str = ""
    model_file: str = "frozen_model.pb"
    one_each: bool = False

    json_files: ClassVar[tuple[str, ...]] = ("template_script",)
    """Keys whose text names a JSON file, which is read when the run begins."""

    causes: ClassVar[tuple[Cause, ...]] = (
        Cause(
            r"No such file or directory.*type\.raw",
            "a training system is not where the input says",
            "restore the data of inputs.init_data_sys",
        ),
        Cause(
            r"(ResourceExhaustedError|OOM when allocating)",
            "the training ran out of memory",
            "give the train step more memory, or a smaller batch_size in template_script",
        ),
        Cause(
            r"NaN detected at batch",
            "the training diverged: its error is not a number",
            "lower learning_rate.start_lr in template_script, or look for NaN in the training data",
        ),
        Cause(
            rf"{UNLOADABLE} \(exit code [1-9][0-9]?\)",
            "the frozen model could not be loaded by dp test",
            "look at the lines before it: a full disk, or a dp freeze and a dp test of different versions",
        ),
    )

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``train``."""
        return [
            Key("numb_models", int, "Members of the ensemble.", optional=True, default=4, minimum=2, maximum=100),
            Key(
                "template_script",
                [str, dict, list],
                "The input of dp train: a file, the content itself, or a list with one of these for each of the "
                "numb_models members. Seeds, training systems and type_map are filled in; disp_freq and save_freq are "
                "lowered where dp train would not save its last step, and disp_training is set to true. "
                "validation_data are not used.",
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
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the trainer for checked settings; ``template_script`` is the content itself."""
        script = settings["template_script"]
        one_each = isinstance(script, list)
        config = settings["config"]
        return cls(
            numb_models=settings["numb_models"],
            templates=tuple(script) if one_each else (script,),
            dp=config["command"],
            train_args=config["train_args"],
            one_each=one_each,
        )

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield an empty command, and what is wrong with the templates."""
        if not self.dp.strip():
            yield ("config", "command"), "must not be empty"
        yield from word_problems(self.train_args)
        if self.one_each and len(self.templates) != self.numb_models:
            text = f"is a list of {len(self.templates)}; there are {self.numb_models} models: give one each, or no list"
            yield ("template_script",), text
        for path, template in self._placed():
            yield from ((path + place, text) for place, text in template_problems(template, context.type_map))

    @override
    def notices(self, _context: CheckContext) -> Iterator[Problem]:
        """Yield what the templates have and is not used."""
        for path, template in self._placed():
            yield from ((path + place, text) for place, text in template_notices(template))

    def _placed(self) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
        """Yield each template with its path."""
        for number, template in enumerate(self.templates):
            yield ("template_script", *([number] if self.one_each else [])), template

    @override
    def command_line(self, words: Sequence[str]) -> str:
        """Return the command: from the checkpoint that a killed attempt has left, or from the start."""
        return training_command(self.dp, self.train_args, self.model_file)

    @override
    def write_inputs(self, task: TrainingInput, directory: Path) -> list[str]:
        """Write ``input.json``, the member's template with its systems and seeds, and a system to test the model on."""
        content, notices = fill_template(self.templates[task.index % len(self.templates)], task)
        for notice in notices if task.index < len(self.templates) else ():
            log.info("train.template_script: %s", notice)
        write_seeded(content, task.rng, directory)
        (directory / TESTED_ON).write_text("".join(f"{system}\n" for system in task.systems[-1:]))
        return [INPUT, TESTED_ON]

    @override
    def reseed(self, directory: Path, rng: np.random.Generator) -> None:
        """Give the member in ``directory`` other seeds."""
        write_seeded(read_input(directory), rng, directory)

    @override
    def finish(self, directory: Path) -> dict[str, Any]:
        """Return the last row of the learning curve, the step of the model, and the one it was continued from.

        ``numb_steps`` is ``None`` where a training's length is given in epochs; whether the model is that of the last
        step is then not known.
        """
        content = read_input(directory)
        check_model(directory / self.model_file)
        wanted, step, start = numb_steps(content["training"]), frozen_step(directory), continued_from(directory)
        if wanted is not None and step < wanted:
            raise OutputError(f"the frozen model is that of step {step} of {wanted}: dp train has saved no later one")
        curve = _whole_curve(directory, only_frozen=step == start)
        if curve.last["step"] < (row := last_row(content["training"], step)):
            raise OutputError(f"the learning curve '{CURVE}' ends at step {curve.last['step']:.0f}, not at step {row}")
        check_convergence(curve, lambda: force_spread(directory, training_systems(content)))
        check_test(directory)
        known = {name: value for name, value in curve.last.items() if math.isfinite(value)}  # NaN: no virials
        return {"continued_from": start, "step": step, "numb_steps": wanted, "learning_curve": known}

    @override
    def carry_over(self, old: Path, new: Path) -> int | None:
        """Copy the newest whole checkpoint of ``old``, or else the one that it began with, into ``new/restart``."""
        return carry_checkpoint(old, new)


def _whole_curve(directory: Path, *, only_frozen: bool) -> LearningCurve:
    """Return the learning curve from the first attempt's first row to the last row of this one.

    A training that had only to be frozen has no row of its own.
    """
    own, before = read_curve(directory / CURVE), read_curve(directory / RESTART / CURVE)
    if own is None and before is not None and only_frozen:
        return before
    if own is None:
        raise OutputError(f"there is no row in the learning curve '{CURVE}'")
    return own if before is None else LearningCurve(before.first, own.newest)


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
        Key(
            "train_args",
            str,
            "Extra command-line options for dp train, e.g. --skip-neighbor-stat. Quotes are understood as in a shell; "
            "variables are not expanded.",
            optional=True,
            default="",
            change="now",
        ),
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
