"""The shell command of a training: train or go on, freeze, and load the model once."""

import shlex
from collections.abc import Iterator, Sequence

from dpgen2_hpc.kinds import Problem
from dpgen2_hpc.train.checkpoints import RESTART, STATE, STEP
from dpgen2_hpc.train.frozen import TESTED, TESTED_ON
from dpgen2_hpc.train.template import INPUT

OPTIONS = (
    *("--log-level", "--log-path", "--mpi-log", "--init-model", "--restart", "--init-frz-model", "--finetune"),
    *("--use-pretrain-script", "--output", "--skip-neighbor-stat", "--model-branch", "--force-load", "--help"),
)
"""The options of ``dp train``, which also takes their beginnings."""

STARTS = {"-i": "--init-model", "-f": "--init-frz-model", "-t": "--finetune"}
"""Those that say what a training begins with; dp refuses them together with --restart."""

RESTARTS = {"-r": "--restart"}

UNLOADABLE = "'dp test' could not load the frozen model"
"""What the task's log says if so; the trainer's ``causes`` look for it."""


def training_command(dp: str, train_args: str, model_file: str) -> str:
    """Return the command of a task.

    A training that was killed after its last checkpoint has no step left, and writes no checkpoint: its model is frozen
    from the one that it was given. The model is loaded by ``dp test``, on one frame: the one subcommand that deepmd-kit
    2.x and 3.x have in common, and that works wherever the user's command leads (a container, another host).
    """
    words = split_words(train_args)
    start = f"{dp} train {_joined(INPUT, *words)}"
    restart = f"{dp} train {_joined(INPUT, *_without_start(words), '--restart', f'{RESTART}/model.ckpt')}"
    freeze = f"{dp} freeze -o {model_file}"
    again = f"{dp} freeze -c {RESTART}/model.ckpt -o {model_file}"
    test = f"{dp} test -m {model_file} -f {TESTED_ON} -n 1 -d {TESTED}"
    return (
        f"if [ -f {STEP} ]; then {restart}; else {start}; fi"
        f" && if [ -f {STATE} ] || [ ! -f {STEP} ]; then {freeze}; else {again}; fi"
        f' && {{ {test} || {{ code=$?; echo "{UNLOADABLE} (exit code $code)"; (exit $code); }}; }}'
    )


def split_words(text: str) -> list[str]:
    """Return the words of ``train_args`` as a shell splits them; nothing in them is expanded.

    Raises
    ------
    ValueError
        A quote is not closed.
    """
    return shlex.split(text)


def word_problems(train_args: str) -> Iterator[Problem]:
    """Yield what is wrong with ``train_args``."""
    path = ("config", "train_args")
    try:
        words = split_words(train_args)
    except ValueError as error:
        yield path, f"cannot be split into words ({str(error).lower()}): close the quote, or escape it with a backslash"
        return
    if any("\0" in word or "\n" in word for word in words):
        yield path, "has a line break or a NUL character: remove it"
    for word in words:
        if _option(word, RESTARTS):
            yield path, f"has {word}: remove it, a killed training goes on from its checkpoint by itself"


def _joined(*words: str) -> str:
    return " ".join(map(shlex.quote, words))


def _without_start(words: Sequence[str]) -> list[str]:
    """Return the words without the model that a training begins with: it goes on from a checkpoint instead."""
    kept, left = [], iter(words)
    for word in left:
        option = _option(word, STARTS)
        if option is None:
            kept.append(word)
        elif word in (option, option[:2]) or (word.startswith("--") and "=" not in word):
            next(left, None)  # its value
    return kept


def _option(word: str, options: dict[str, str]) -> str | None:
    """Return which of some options a word is, be it short, shortened, or with its value behind it."""
    if not word.startswith("--"):
        return word[:2] if word[:2] in options else None
    name = word.partition("=")[0]
    meant = [option for option in OPTIONS if option.startswith(name)]
    return name if meant and set(meant) <= set(options.values()) else None
