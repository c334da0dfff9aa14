"""Labeling: a first-principles code.

A frame (:class:`dpgen2_hpc.data.frame.Frame`) has symbols, Cartesian coordinates (N, 3) and cell vectors as rows (3,
3), both in Å; its atoms are sorted by ``type_map``. Labels (:class:`dpgen2_hpc.data.labels.Labels`) are the energy (eV;
with smearing the free energy, to which the forces belong), forces (N, 3) in eV/Å, and the virial (3, 3) in eV: minus
stress times volume, stress being positive under tension. What the code prints goes to ``task.log``, unless its command
line says otherwise. A second attempt begins in a new folder with nothing but its inputs.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.kinds.base import Kind

NoLabel = LabelRefused | OutputError
"""Why there is no label."""


class Labeler(Kind):
    """A first-principles code."""

    has_virial: bool = True
    """Whether a label of a periodic frame must have a virial."""

    periodic: ClassVar[frozenset[bool]] = frozenset({True, False})
    """Which frames the code can label: periodic ones (``True``), molecules (``False``)."""

    text_files: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Paths to settings that name a text file: its content takes their place when the run begins."""

    to_fill: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Paths to settings that have a default, and that ``init`` asks for all the same."""

    @classmethod
    def whole_text(cls, text: str, path: Path, inputs: Mapping[str, Any]) -> str:
        """Return what is taken up of a text file at ``path``: its ``text`` with what it includes.

        Raises
        ------
        ValueError
            What it includes cannot be followed.
        """
        return text

    @classmethod
    def physics(cls, settings: Mapping[str, Any]) -> Any:
        """Return what of the settings a label depends on: a change that leaves it as it was is followed at any time."""
        return settings

    @abstractmethod
    def command_line(self, words: Sequence[str]) -> str:
        """Return the shell command of a task, run with the task's folder as current directory.

        ``words`` are those that the task was prepared with.
        """

    @abstractmethod
    def shared(self) -> dict[str, Path]:
        """Return files that all tasks read, by the name they get in ``../shared/``: pseudopotentials."""

    @abstractmethod
    def write_inputs(self, frame: Frame, directory: Path) -> Sequence[str] | Mapping[str, str]:
        """Write the input files for one frame into ``directory`` and return their names.

        A mapping tells each file's content apart (by a digest, say), so that it need not be read again. A file that
        many tasks have in common may be written into ``../shared/`` once and linked.
        """

    @abstractmethod
    def read_labels(self, directory: Path) -> Labels:
        """Return the labels that the code wrote.

        Raises
        ------
        LabelRefused
            The code itself says that this is no result: not converged.
        OutputError
            There is no output that could be read.
        """

    def read_all(self, directories: Sequence[Path]) -> list[Labels | NoLabel] | None:
        """Return what :meth:`read_labels` returns or raises, for each of many tasks; ``None``: read them singly."""
        return None
