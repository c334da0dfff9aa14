"""What a translation from an older dialect hands on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpgen2_hpc.inputs import incar
from dpgen2_hpc.inputs.read import KeyPath


@dataclass(frozen=True)
class Translation:
    """A value in today's dialect.

    ``origins`` and ``words`` are those of :class:`dpgen2_hpc.inputs.read.Document`; ``problems`` are faults that only
    a translation sees, under today's paths; ``notices`` tell what of the file is not followed, under its own paths.
    """

    value: dict[str, Any]
    origins: tuple[Mapping[KeyPath, KeyPath], ...]
    words: Mapping[str, str]
    problems: tuple[tuple[KeyPath, str], ...] = ()
    notices: tuple[tuple[KeyPath, str], ...] = ()


@dataclass(frozen=True)
class Mesh:
    """What VASP's INCAR says about k-points: both older dialects leave it to that file."""

    kspacing: float | None = None
    kgamma: bool = True
    problem: str = ""


def read_mesh(path: Path) -> Mesh:
    """Return spacing (1/Å) and centring of the k-points that an INCAR asks for."""
    try:
        found = incar.tags(path.read_text())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        return Mesh(problem=f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}")
    spacing = incar.number(found.get("KSPACING", ""))
    usable = spacing is not None and 0 < spacing <= incar.WIDEST  # else the labeler tells the fault
    return Mesh(spacing if usable else None, incar.true(found.get("KGAMMA", ".TRUE.")))
