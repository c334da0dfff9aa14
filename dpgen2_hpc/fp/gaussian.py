"""Labels by Gaussian (type ``gaussian``)."""

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
from typing_extensions import override

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import LabelRefused, OutputError
from dpgen2_hpc.fp import foreign, running, settings
from dpgen2_hpc.fp.printed import damaged, number, numbers
from dpgen2_hpc.kinds import Cause, CheckContext, Key, Labeler, Problem

INPUT, OUTPUT = "label.gjf", "label.log"
HARTREE = 27.211386245988
"""eV."""
FORCES = "Forces (Hartrees/Bohr)"
PERTURBED = re.compile(r"^ E2(?:\(\S+\))? *= *\S+ +E(?:UMP2|\(\S+\)) *= *(\S+)", re.MULTILINE)
"""The energy by MP2 or a double hybrid, after that of the SCF (Gaussian 16 Users Reference: MP and double hybrids)."""
BEYOND = re.compile(r"E\(CORR\)|E\(Corr\)|EUMP3|Total Energy, E\(|ONIOM: extrapolated energy")
"""What Gaussian prints of other correlated methods, excited states and layers."""
LOOKS_FOR_FRAGMENTS = "openbabel"
"""The Python package by which dpdata finds molecules, for ``multiplicity: auto``."""


@dataclass(frozen=True)
class GaussianLabeler(Labeler):
    """Gaussian; see :class:`dpgen2_hpc.kinds.Labeler`. ``more`` are the other words of dpdata's writer."""

    keywords: tuple[str, ...]
    multiplicity: str | int
    more: Mapping[str, Any]
    program: str = "g16"
    post_command: str | None = None
    has_virial: bool = False

    to_fill: ClassVar[tuple[tuple[str, str], ...]] = (("inputs_config", "multiplicity"),)
    outputs: ClassVar[tuple[str, ...]] = (OUTPUT,)
    periodic: ClassVar[frozenset[bool]] = frozenset({False})

    causes: ClassVar[tuple[Cause, ...]] = (
        Cause(
            r"Convergence failure|SCF did not converge",
            "the SCF cycle did not converge",
            f"add scf=(xqc,maxcycle=512) to fp.inputs_config.keywords; {settings.FOLLOWED}",
        ),
        Cause(
            r"galloc|could not allocate memory|Out-of-memory",
            "Gaussian ran out of memory",
            "give the fp step more memory, or set %mem by a Default.Route",
        ),
        Cause(
            r"multiplicity .* impossible|combination of multiplicity",
            "the spin does not fit the number of electrons",
            "set fp.inputs_config.multiplicity and charge",
        ),
    )

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``fp``."""
        word = [str, settings.NOTHING]
        post = Key("post_command", word, "A command after Gaussian's.", optional=True, default=None)
        return [
            Key(
                "inputs_config",
                dict,
                "The route and the molecule.",
                sub_fields=[
                    Key("keywords", [str, list[str]], "The route, as force b3lyp/6-31g**; a list runs several steps."),
                    Key(
                        "multiplicity",
                        [str, int],
                        "Spin multiplicity, 2S + 1, a number; auto: from the fragments of the frame (needs openbabel).",
                        minimum=1,
                        optional=True,
                        default="auto",
                    ),
                    Key("charge", int, "The charge of the molecule.", optional=True, default=0),
                    Key("basis_set", word, "A basis set of one's own, as text.", optional=True, default=None),
                    Key(
                        "keywords_high_multiplicity",
                        word,
                        "The route of frames with several radicals, with multiplicity auto.",
                        optional=True,
                        default=None,
                    ),
                    Key("fragment_guesses", bool, "First guess from fragments.", optional=True, default=False),
                    Key("nproc", int, "Processors of a task.", optional=True, default=1, minimum=1),
                ],
            ),
            settings.run_config("g16", "The program.", post),
        ]

    @classmethod
    @override
    def physics(cls, given: Mapping[str, Any]) -> Any:
        """Return what of the settings a label depends on; see :mod:`dpgen2_hpc.fp.running`."""
        return running.gaussian(given["inputs_config"])

    @classmethod
    @override
    def from_settings(cls, given: Mapping[str, Any]) -> Self:
        """Return the labeler for checked settings."""
        inputs, run = dict(given["inputs_config"]), given["run_config"]
        keywords = inputs.pop("keywords")
        routes = (keywords,) if isinstance(keywords, str) else tuple(keywords)
        return cls(routes, inputs.pop("multiplicity"), inputs, run["command"], run["post_command"])

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong with the route and the multiplicity."""
        if not self.keywords or not re.search(r"\bforce\b", self.keywords[-1], re.IGNORECASE):
            yield ("inputs_config", "keywords"), "the last route must have the word force: without it there are none"
        if self.multiplicity != "auto" and not isinstance(self.multiplicity, int):
            yield ("inputs_config", "multiplicity"), f"must be a number or auto; found '{self.multiplicity}'"
        needed = self.multiplicity == "auto" or self.more.get("fragment_guesses")
        if needed and importlib.util.find_spec(LOOKS_FOR_FRAGMENTS) is None:
            text = f"auto needs the Python package {LOOKS_FOR_FRAGMENTS}, which is not installed; give a number"
            yield ("inputs_config", "multiplicity"), text

    @override
    def command_line(self, words: Sequence[str]) -> str:
        """Return the command."""
        after = f" && {self.post_command}" if self.post_command else ""
        return f"{self.program} {INPUT}{after}"

    @override
    def shared(self) -> dict[str, Path]:
        """Return nothing."""
        return {}

    @override
    def write_inputs(self, frame: Frame, directory: Path) -> list[str]:
        """Write the input, by dpdata; Gaussian prints the coordinates as they were given only where it is asked to."""
        routes = [
            route if "printinputorient" in route.lower() else f"{route} geom=PrintInputOrient"
            for route in self.keywords
        ]
        foreign.write(
            frame, directory / INPUT, "gaussian/gjf", keywords=routes, multiplicity=self.multiplicity, **self.more
        )
        return [INPUT]

    @override
    def read_labels(self, directory: Path) -> Labels:
        """Return the label in the log."""
        path = directory / OUTPUT
        text = foreign.text_of(path)
        if "Convergence failure" in text:
            raise LabelRefused("Gaussian says that the SCF did not converge")
        if text.count("Entering Link 1 =") > len(self.keywords):
            raise LabelRefused(f"'{OUTPUT}' holds more runs than there are routes: it was appended to an older one")
        if "Normal termination of Gaussian" not in text[-1000:]:
            raise OutputError(f"'{OUTPUT}' does not end normally: the run was cut or failed")
        tables = text.count(FORCES)
        if not tables:
            raise LabelRefused(f"'{OUTPUT}' has no forces: the route must have the word force")
        if tables > len(self.keywords):
            raise LabelRefused(f"'{OUTPUT}' has forces of {tables} steps, and one was asked for")
        labels = foreign.read(path, "gaussian/log")
        _refuse_damaged(text, len(labels.frame.symbols))
        perturbed = _perturbed(text[text.rindex("SCF Done") :])
        return labels if perturbed is None else replace(labels, energy=perturbed)


def _perturbed(after: str) -> float | None:
    """Return the energy (eV) of MP2 or a double hybrid, whose the forces are; None: that of the SCF is the energy.

    Raises
    ------
    LabelRefused
        The forces are of an energy that is not read.
    """
    if BEYOND.search(after):
        raise LabelRefused("the energy of this method is not read: use Hartree-Fock, DFT, MP2 or a double hybrid")
    found = PERTURBED.findall(after)
    return number("the energy", found[-1].replace("D", "E")) * HARTREE if found else None


def _refuse_damaged(text: str, atoms: int) -> None:
    """Refuse a log in which a number that dpdata reads by its column is missing, cut, or fused with another.

    Raises
    ------
    OutputError
        A table of forces or places is not whole, or the line of the energy is not.
    """
    for heading, first in ((re.escape(FORCES), 2), (r"(?:Input|Z-Matrix) orientation:", 3)):
        places = [match.end() for match in re.finditer(heading, text)]
        if places:
            words = [line.split() for line in text[places[-1] :].splitlines()]
            rows = [row for row in words if row and row[0].isdigit()][:atoms]
            if [row[0] for row in rows] != [str(number + 1) for number in range(atoms)]:
                raise damaged(heading, f"there are no rows 1 to {atoms}")
            numbers(heading, [" ".join(row[first:]) for row in rows], atoms, 3)
    for line in re.findall(r"SCF Done:.*", text):
        found = re.search(r"= +(\S+) +A\.U\.", line)
        if found is None:
            raise damaged("the energy", "its line is not whole")
        if not isfinite(number("the energy", found[1])):
            raise LabelRefused("the energy is not a number")
