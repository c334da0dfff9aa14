"""The one way in which a plugin is asked about what a task wrote (DESIGN, promise 6).

A labeler, explorer or trainer may raise anything over an output that it did not foresee. That fails the attempt, with
the plugin's name and the exception, and never stops the run.
"""

import logging
import traceback
from collections.abc import Callable
from importlib.metadata import packages_distributions, version
from typing import Any, ParamSpec, TypeVar

from dpgen2_hpc.data.outputs import OF_THE_TASK
from dpgen2_hpc.errors import Interrupted, LabelRefused, OutputError
from dpgen2_hpc.kinds import OWN

log = logging.getLogger(__name__)

LONGEST, LONGEST_TRACE = 1000, 20000
"""Characters that are kept of an exception's message, and of its traceback."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def call_plugin(
    where: str, method: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """Return what a plugin's method returns over a task's output; ``where`` names the task, for the log.

    Raises
    ------
    OutputError
        The plugin raised it, or an exception that says nothing about the output.
    LabelRefused
        The plugin raised it.
    OSError
        The disk is at fault, not the task.
    """
    try:
        return method(*arguments, **named)
    except Interrupted:
        raise
    except (OutputError, LabelRefused) as error:
        text = text_of(error)
        if type(error) in (OutputError, LabelRefused) and len(text) <= LONGEST:
            raise
        raise (LabelRefused if isinstance(error, LabelRefused) else OutputError)(text) from error
    except (Exception, SystemExit) as error:  # a plugin that was written as a program leaves with sys.exit
        if isinstance(error, OSError) and error.errno is not None and error.errno not in OF_THE_TASK:
            raise
        plugin = describe_plugin(getattr(method, "__self__", method))
        trace = shortened("".join(traceback.format_exception(error)), LONGEST_TRACE)
        log.warning("%s: %s failed on the output of this task\n%s", where, plugin, trace)
        text = f"{type(error).__name__}: {text_of(error)}"
        raise OutputError(f"{plugin} could not read the output: {text}; traceback in dpgen2_hpc.log") from error


def text_of(error: BaseException) -> str:
    """Return the message of an exception, of a length that fits a ledger: some quote the file that they cannot read."""
    try:
        return shortened(str(error), LONGEST)
    except Exception as another:  # noqa: BLE001  of a class of the plugin's own, whose message cannot be made
        return f"({type(another).__name__} in its message)"


def shortened(text: str, longest: int) -> str:
    """Return a text of at most about ``longest`` characters."""
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def describe_plugin(plugin: Any) -> str:
    """Return a plugin in words: ``labeler 'abacus'``, ``labeler 'mycode' (package mypkg 1.2)``.

    Examples
    --------
    >>> from dpgen2_hpc.fp.ase import AseLabeler
    >>> describe_plugin(AseLabeler)
    "labeler 'ase'"
    """
    kind = plugin if isinstance(plugin, type) else type(plugin)
    place = f"{kind.__module__}:{kind.__qualname__}"
    for family, types in OWN.items():
        for name, target in types.items():
            if target == place:
                return f"{NOUNS.get(family, family)} '{name}'"
    return f"{kind.__qualname__} ({_package(kind.__module__)})"


NOUNS = {"train": "trainer", "explore": "explorer", "fp": "labeler"}
"""What a kind of each family is called."""


def _package(module: str) -> str:
    """Return the installed package that a module is of, with its version."""
    top = module.partition(".")[0]
    names = packages_distributions().get(top)
    return f"package {names[0]} {version(names[0])}" if names else f"module {module}"
