"""What a translation from an older dialect hands on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dpgen2_hpc.inputs.read import KeyPath


@dataclass(frozen=True)
class Translation:
    """A value in today's dialect.

    ``origins`` and ``words`` are those of :class:`dpgen2_hpc.inputs.read.Document`; ``problems`` are faults that only
    a translation sees, under today's paths.
    """

    value: dict[str, Any]
    origins: tuple[Mapping[KeyPath, KeyPath], ...]
    words: Mapping[str, str]
    problems: tuple[tuple[KeyPath, str], ...] = ()


@dataclass
class Incar:
    """What VASP's INCAR says about k-points: both older dialects leave it to that file."""

    kspacing: float | None = None
    kgamma: bool = True
    problem: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


def read_incar(path: Path) -> Incar:
    """Return spacing (1/Å) and centring of the k-points that an INCAR asks for."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        return Incar(problem=f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}")
    names = _assignments(text)
    if "KSPACING" not in names:
        return Incar(problem=f"'{path}' has no KSPACING, from which this dialect takes the k-points: add it there")
    try:
        spacing = float(names["KSPACING"].replace("d", "e").replace("D", "e"))
    except ValueError:
        return Incar(problem=f"'{path}': KSPACING is '{names['KSPACING']}', which is no number")
    return Incar(spacing, _is_true(names.get("KGAMMA", ".TRUE.")), names=names)


def _assignments(text: str) -> dict[str, str]:
    """Return the first word behind each ``NAME =``; a name counts where it stands first, as for VASP."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        for part in line.partition("#")[0].partition("!")[0].split(";"):
            name, equals, value = part.partition("=")
            if equals and value.split():
                found.setdefault(name.strip().upper(), value.split()[0])
    return found


def _is_true(word: str) -> bool:
    return word.strip(".").upper().startswith("T")
