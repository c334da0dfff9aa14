"""What all kinds have."""

import difflib
import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import dargs
from typing_extensions import override


@dataclass(frozen=True)
class Occurring:
    """Which atoms frames may have: elements in the order of ``type_map``.

    ``symbols`` are those of the atoms of a frame, sorted by ``type_map`` as labelled frames are, if all have the same;
    ``periodic``: whether frames are periodic, and whether there are others.
    """

    elements: tuple[str, ...]
    symbols: tuple[str, ...] | None = None
    periodic: frozenset[bool] = frozenset()


@dataclass(frozen=True)
class CheckContext:
    """What a kind may know while it checks its settings: values from elsewhere in ``param.json``.

    ``kept`` are the absolute paths of files that a run has taken up: it does not need the originals any more.
    ``find_occurring`` looks at the configurations.
    """

    type_map: tuple[str, ...]
    mass_map: tuple[float, ...]
    numb_models: int
    kept: frozenset[str] = frozenset()
    find_occurring: Callable[[], Occurring] | None = None

    @cached_property
    def occurring(self) -> Occurring:
        """What frames to be labelled may have; all elements where the configurations cannot say it."""
        return self.find_occurring() if self.find_occurring else Occurring(self.type_map)

    def lacking(self, given: Container[str]) -> list[str]:
        """Return the elements that may occur and are not among those given; without any missing nothing is read."""
        missing = [element for element in self.type_map if element not in given]
        return [element for element in missing if element in self.occurring.elements]

    def has_file(self, path: str) -> bool:
        """Return whether there is a file ``path`` (absolute), or the run has taken it up."""
        return Path(path).is_file() or self.has_kept(path)

    def has_kept(self, pattern: str) -> bool:
        """Return whether the run has taken up a file with this absolute path, or one that the pattern matches."""
        text = os.path.normpath(pattern)
        spellings = (text, text.replace("**/", ""))
        return text in self.kept or any(fnmatchcase(path, one) for path in self.kept for one in spellings)


Problem = tuple[tuple[str | int, ...], str]
"""Where (a path below the kind's own settings) and what is wrong."""


class Cause(NamedTuple):
    """What a program prints when it fails for a known reason.

    ``pattern`` is a regular expression that is searched for in the program's output, ``what`` the reason in words, and
    ``remedy`` what the user can do about it.
    """

    pattern: str
    what: str
    remedy: str


class Kind(ABC):
    """What all kinds have.

    A kind inherits from the class of its family, is a frozen dataclass of its settings, and overrides the methods and
    class variables that it needs. A public name that its family does not know is refused when the class is made: it
    would be a hook with a slip in its name. Helpers begin with ``_``.
    """

    causes: ClassVar[tuple[Cause, ...]] = ()
    """What its program prints when it fails: ``why`` looks for them, the first that is found counts."""

    outputs: ClassVar[tuple[str, ...]] = ()
    """The files in which its program says how it went, beside ``task.log``: ``why`` shows their ends."""

    @classmethod
    @abstractmethod
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of the kind's settings."""

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the kind for checked settings, defaults filled in."""

    @classmethod
    def resolved(cls, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings with absolute paths, relative ones being relative to ``folder``."""
        return dict(settings)

    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong across keys, or with the files that they name."""
        return iter(())

    def notices(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is not wrong and may not be meant, or is not followed."""
        return iter(())

    @override
    def __init_subclass__(cls, **more: Any) -> None:
        """Refuse public names that the family does not know.

        Raises
        ------
        TypeError
            The message names them, with what may be meant.
        """
        super().__init_subclass__(**more)
        family = next((base for base in cls.__mro__[1:] if Kind in base.__bases__), None)
        strange = [] if family is None else [name for name in vars(cls) if _is_strange(cls, name, family)]
        if strange and family is not None:
            near = difflib.get_close_matches(strange[0], _public(family), n=1)
            meant = f" (is '{near[0]}' meant?)" if near else "; names of helpers begin with '_'"
            raise TypeError(f"{cls.__qualname__}: {family.__name__} has no '{strange[0]}'{meant}")


def _is_strange(kind: type, name: str, family: type) -> bool:
    """Whether a name of a class is public, unknown to its family, and no setting."""
    note = inspect.get_annotations(kind).get(name)
    is_setting = note is not None and "ClassVar" not in str(note)
    return not name.startswith("_") and not is_setting and name not in _public(family)


def _public(family: type) -> list[str]:
    """Return the public names of a family: what it defines, and what it announces."""
    names = [name for base in family.__mro__[:-1] for name in (*vars(base), *inspect.get_annotations(base))]
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]
