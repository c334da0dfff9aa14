"""Labels by ``pw.x`` of Quantum ESPRESSO (type ``qe``)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import dargs
from typing_extensions import override

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.fp import namelists, running, running_keys, settings
from dpgen2_hpc.fp.namelists import Namelists
from dpgen2_hpc.fp.qe_output import read_pw
from dpgen2_hpc.fp.species import BySpecies, is_numbered
from dpgen2_hpc.fp.writing import mesh, table
from dpgen2_hpc.kinds import Cause, CheckContext, Key, Labeler, Problem

INPUT, OUTPUT = "input", "output"
PARTS = ("control", "system", "electrons")
CELL_KEYS = {"ibrav", "nat", "ntyp", "a", "b", "c", "cosab", "cosac", "cosbc"}
CELL_KEYS |= {"space_group", "uniqueb", "origin_choice", "rhombohedral"}
GROUND_STATE = ("scf", "relax", "md", "vc-relax", "vc-md")
"""Values of calculation whose forces are those that scf gives for one geometry."""


@dataclass(frozen=True)
class QeLabeler(Labeler):
    """Quantum ESPRESSO; see :class:`dpgen2_hpc.kinds.Labeler`.

    ``template`` is the text of an input, or empty; ``values`` are by namelist and key, and put over it:
    ``{element: value}`` stands for a key that is numbered by species.
    """

    pp_files: Mapping[str, str]
    template: str = ""
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    kspacing: tuple[float, ...] | None = None
    program: str = "pw.x"
    has_virial: bool = True

    text_files: ClassVar[tuple[tuple[str, str], ...]] = (("inputs_config", "template"),)

    outputs: ClassVar[tuple[str, ...]] = (OUTPUT,)

    causes: ClassVar[tuple[Cause, ...]] = (
        Cause(
            r"convergence NOT achieved|convergence was not achieved|SCF accuracy is",
            "the SCF cycle did not converge",
            f"raise electron_maxstep or lower mixing_beta in fp.inputs_config; {settings.FOLLOWED}",
        ),
        Cause(
            r"Maximum CPU time exceeded", "max_seconds has ended the run", "raise control.max_seconds and the walltime"
        ),
        Cause(
            r"file \S+ not found|from readpp",
            "a pseudopotential is missing or no UPF",
            "look at fp.inputs_config.pp_files",
        ),
        Cause(r"S matrix not positive definite", "the overlap matrix is singular", "look for atoms that are too close"),
    )

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of ``fp``."""
        doc = "Values of the namelist &%s, put over those of the template; {element: value} for one by species."
        return [
            Key(
                "inputs_config",
                dict,
                "The input of pw.x.",
                sub_fields=[
                    settings.files("pp_files", "The pseudopotential (UPF) of each element."),
                    settings.text_file(
                        "template",
                        "An input of pw.x, a file; atoms and cell are written in for each frame. What it says by "
                        "species (starting_magnetization(1), Hubbard_U(2), HUBBARD) follows the elements.",
                    ),
                    *(Key(part, dict, doc % part, optional=True, default={}) for part in PARTS),
                    settings.kspacing(
                        "The largest distance between k points, 1/Å, with 2 pi in it: a number, or one for each "
                        "reciprocal vector. Default: K_POINTS of the template."
                    ),
                ],
            ),
            settings.run_config("pw.x", "The program, as mpirun -n 16 pw.x; the names of input and output are added."),
        ]

    @classmethod
    @override
    def resolved(cls, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the settings with absolute paths."""
        return settings.absolute(given, folder, ("inputs_config", "pp_files"))

    @classmethod
    @override
    def physics(cls, given: Mapping[str, Any]) -> Any:
        """Return what of the settings a label depends on; see :mod:`dpgen2_hpc.fp.running`."""
        return running.pwscf(given["inputs_config"])

    @classmethod
    @override
    def from_settings(cls, given: Mapping[str, Any]) -> Self:
        """Return the labeler for checked settings; ``template`` is the text itself."""
        inputs = given["inputs_config"]
        return cls(
            inputs["pp_files"],
            inputs["template"] or "",
            {part: inputs[part] for part in PARTS},
            settings.three(inputs["kspacing"]),
            given["run_config"]["command"],
        )

    # ---- checks

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong with template, namelists and pseudopotentials."""
        yield from settings.file_problems("pp_files", self.pp_files, context)
        yield from settings.clash_problems("pp_files", self.pp_files)
        for element, path in self.pp_files.items():
            yield from ((("inputs_config", "pp_files", element), text) for text in _upf_problems(path))
        yield from settings.other_element_problems(self.pp_files)
        _, cards = namelists.parse(self.template)
        try:
            template = list(self._by_species().problems(context.type_map))
        except ValueError as error:
            template = [str(error)]
        yield from ((("inputs_config", "template"), text) for text in template)
        yield from self._own_value_problems(context.type_map)
        yield from self._value_problems(self._merged([]))
        if self.kspacing is None and "K_POINTS" not in cards:
            yield ("inputs_config", "kspacing"), "is missing, and there is no template with K_POINTS either"
        yield from settings.kspacing_problems(self.kspacing)

    def _own_value_problems(self, elements: Sequence[str]) -> Iterator[Problem]:
        for part, entries in self.values.items():
            for key, value in entries.items():
                place = ("inputs_config", part, key)
                if key.lower() in CELL_KEYS or key.lower().startswith("celldm"):
                    yield place, "is the frame's own, and written for each: leave it out"
                elif isinstance(value, dict):
                    strange = [element for element in value if element not in elements]
                    if strange:
                        yield place, f"has a value for {', '.join(strange)}, which inputs.type_map does not have"
                elif is_numbered(key.lower()):
                    yield place, "goes by species: give it as {element: value}"
                elif value is None:
                    yield place, "is null, which pw.x does not know: leave it out"

    def _value_problems(self, merged: Namelists) -> Iterator[Problem]:
        calculation = _calculation(merged)
        if calculation not in GROUND_STATE:
            yield ("inputs_config", "control"), f"calculation is '{calculation}'; a label is one 'scf'"
        if namelists.is_false(merged["electrons"].get("scf_must_converge", ".true.")):
            text = "scf_must_converge is false: pw.x would call what has not converged a result"
            yield ("inputs_config", "electrons"), text
        if "ecutwfc" not in merged["system"]:
            yield ("inputs_config", "system"), "ecutwfc is missing"

    @override
    def notices(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what the template says and labels do not follow, or follow in another way than it seems."""
        calculation = _calculation(self._merged([]))
        if calculation != "scf":
            yield ("inputs_config", "control"), f"calculation '{calculation}': labels are computed with 'scf'"
        for label, key in self._by_species().unused(context.type_map).items():
            yield ("inputs_config", "template"), f"{key} of {label} is not used: inputs.type_map has no {label}"
        head, *points = namelists.parse(self.template)[1].get("K_POINTS", "K_POINTS automatic").splitlines()
        mode = head.partition("K_POINTS")[2].strip(" {}()").lower() or "tpiba"
        moved = any(word not in ("0", "0.0") for row in points[1:] for word in row.replace("d0", "").split()[:3])
        if self.kspacing is None and mode.startswith("tpiba") and moved:
            text = (
                "K_POINTS are in units of 2 pi / a, a being the first vector of each frame's cell; kspacing follows it"
            )
            yield ("inputs_config", "template"), text

    # ---- inputs

    @override
    def command_line(self, words: Sequence[str]) -> str:
        """Return the command: a fresh output each time."""
        return f"{self.program} -in {INPUT} > {OUTPUT}"

    @override
    def shared(self) -> dict[str, Path]:
        """Return the pseudopotentials."""
        return {Path(path).name: Path(path) for path in self.pp_files.values()}

    @override
    def write_inputs(self, frame: Frame, directory: Path) -> list[str]:
        """Write the input."""
        species = list(dict.fromkeys(frame.symbols))
        merged = self._merged(species)
        control = {
            "disk_io": "'none'",
            **merged["control"],
            "calculation": "'scf'",
            "restart_mode": "'from_scratch'",
            "prefix": "'label'",
            "outdir": "'./out'",
            "pseudo_dir": "'../shared'",
            "tprnfor": ".true.",
            "tstress": ".true.",
        }
        system = {"ibrav": "0", "nat": str(len(frame.symbols)), "ntyp": str(len(species)), **merged["system"]}
        kept = {**merged, "control": control, "system": system}
        (directory / INPUT).write_text(namelists.rendered(kept) + self._cards(frame, species))
        return [INPUT]

    def _merged(self, species: list[str] | tuple[str, ...]) -> Namelists:
        """Return the template's namelists with ours over them, without what describes its own atoms and cell."""
        merged, _ = namelists.parse(self.template)
        merged = {**{part: merged.pop(part, {}) for part in PARTS}, **merged}
        merged = {part: entries for part, entries in merged.items() if part not in running_keys.PWSCF_UNREAD}
        merged["system"] = {key: value for key, value in merged["system"].items() if not is_numbered(key)}
        if species:
            merged["system"] |= self._by_species().numbered(species)
        for part, entries in self.values.items():
            for key, value in entries.items():
                text = namelists.written(value, species)
                pairs = {key.lower(): text} if isinstance(text, str) else {f"{key.lower()}({n})": v for n, v in text}
                merged[part].update(pairs)
        system = merged["system"]
        merged["system"] = {
            key: value for key, value in system.items() if key not in CELL_KEYS and not key.startswith("celldm")
        }
        return merged

    def _by_species(self) -> BySpecies:
        """Return what the template says of its species."""
        lists, cards = namelists.parse(self.template)
        return BySpecies.of(lists.get("system", {}), cards)

    def _cards(self, frame: Frame, species: list[str]) -> str:
        """Return the cards; masses have no meaning for one scf."""
        lines = "".join(f"{element} 1.0 {Path(self.pp_files[element]).name}\n" for element in species)
        coords = "".join(
            f"{symbol} {row}\n" for symbol, row in zip(frame.symbols, table(frame.coords).splitlines(), strict=True)
        )
        cell = table(frame.cell)
        _, others = namelists.parse(self.template)
        if self.kspacing is not None:
            points = " ".join(map(str, mesh(frame.cell, self.kspacing)))
            others["K_POINTS"] = f"K_POINTS {{ automatic }}\n{points} 0 0 0\n"
        others["HUBBARD"] = self._by_species().card(species)
        kept = "".join(
            text for name, text in others.items() if name not in ("ATOMIC_SPECIES", *running_keys.PWSCF_CARDS)
        )
        return (
            f"ATOMIC_SPECIES\n{lines}CELL_PARAMETERS {{ angstrom }}\n{cell}"
            f"ATOMIC_POSITIONS {{ angstrom }}\n{coords}{kept}"
        )

    # ---- labels

    @override
    def read_labels(self, directory: Path) -> Labels:
        """Return the label in the output."""
        return read_pw(directory / OUTPUT)


def _calculation(merged: Namelists) -> str:
    return merged["control"].get("calculation", "'scf'").strip("'\" ").lower()


def _upf_problems(path: str) -> Iterator[str]:
    """Yield that a UPF does not say whose it is: pw.x reads no other format."""
    if Path(path).is_file() and settings.upf_element(path) is None:
        yield f"'{path}' does not say which element it is for: it is no UPF"
