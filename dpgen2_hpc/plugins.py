"""The one way in which a plugin is asked about what a task wrote (DESIGN, promise 6).

A labeler, explorer or trainer may raise anything over an output that it did not foresee. That fails the attempt, with
the plugin's name and the exception, and never stops the run.
"""

import logging
from collections.abc import Callable
from importlib.metadata import packages_distributions, version
from typing import Any, ParamSpec, TypeVar

from dpgen2_hpc.data.outputs import OF_THE_TASK
from dpgen2_hpc.errors import Interrupted, LabelRefused, OutputError
from dpgen2_hpc.kinds import OWN

log = logging.getLogger(__name__)

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
    except (OutputError, LabelRefused, Interrupted):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None and error.errno not in OF_THE_TASK:
            raise
        plugin = describe_plugin(getattr(method, "__self__", method))
        log.warning("%s: %s failed on the output of this task", where, plugin, exc_info=True)
        text = f"{plugin} could not read the output: {type(error).__name__}: {error}; traceback in dpgen2_hpc.log"
        raise OutputError(text) from error


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
