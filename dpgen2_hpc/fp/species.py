"""What an input of pw.x says of species: by number or label in the user's template, by those of the frame in a task."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dpgen2_hpc.data.elements import element_of
from dpgen2_hpc.data.masses import MASSES

INDEX = {"hubbard_j": 1, "starting_ns_eigenvalue": 2}
"""Keys whose index of the species is not the first one."""
NUMBERED = re.compile(
    r"(starting_(?:magnetization|charge|ns_eigenvalue)|hubbard_(?:u2?|j0?|alpha(?:_back)?|beta|l|n2?|l2|occ)|angle[12]|"
    r"london_(?:c6|rvdw)|backall)(?:\(([\d\s,]+)\))?"
)
"""Keys of &system with a value for each species: INPUT_PW."""
OF_PAIRS = "V"
"""What begins a line of HUBBARD that names atoms by their numbers."""


@dataclass(frozen=True)
class BySpecies:
    """Values by label.

    ``values`` has for each key, written with ``{}`` for the number of the species, the value of each label; ``hubbard``
    the lines of the card HUBBARD, the first of which is its head; ``labels`` are those of ATOMIC_SPECIES. ``pairs``:
    &system has values for pairs of atoms.
    """

    labels: tuple[str, ...]
    values: Mapping[str, Mapping[str, str]]
    hubbard: tuple[str, ...] = ()
    pairs: bool = False

    @classmethod
    def of(cls, system: Mapping[str, str], cards: Mapping[str, str]) -> "BySpecies":
        """Return what &system and the cards of a template say.

        Raises
        ------
        ValueError
            A key has the number of a species that ATOMIC_SPECIES does not list.
        """
        rows = cards.get("ATOMIC_SPECIES", "").splitlines()[1:]
        labels = tuple(row.split()[0] for row in rows if row.split() and row[0] not in "#!")
        values: dict[str, dict[str, str]] = {}
        for key, text in system.items():
            for form, number, value in _numbered(key, text):
                if not 0 < number <= len(labels):
                    raise ValueError(
                        f"has {key}, by number of species, and {len(labels)} lines in ATOMIC_SPECIES; give "
                        f"inputs_config.system with {{element: value}} instead"
                    )
                values.setdefault(form, {})[labels[number - 1]] = value
        lines = [line for line in cards.get("HUBBARD", "").splitlines() if line.split() and line[0] not in "#!"]
        for line in lines[1:]:
            if len(line.split()) < 3:
                raise ValueError(f"has '{line}' in HUBBARD; a line is a parameter, label-orbital, and a value")
        return cls(labels, values, tuple(lines), any(key.startswith("hubbard_v") for key in system))

    def label(self, species: str, named: Mapping[str, object] | Sequence[str]) -> str | None:
        """Return which label is meant by a species of a frame: its own, its element's, or that of a type of it."""
        element = element_of(species)
        if species in named or element in named:
            return species if species in named else element
        return next((label for label in named if species == element_of(label.capitalize())), None)

    def numbered(self, species: Sequence[str]) -> dict[str, str]:
        """Return the values of a frame's species, with their numbers there."""
        found = {}
        for form, values in self.values.items():
            for number, one in enumerate(species, 1):
                label = self.label(one, values)
                if label is not None:
                    found[form.format(number)] = values[label]
        return found

    def card(self, species: Sequence[str]) -> str:
        """Return the card HUBBARD for a frame's species; empty where nothing is said of them."""
        kept = []
        for line in self.hubbard[1:]:
            kind, manifold, *value = line.split()
            label, _, orbital = manifold.partition("-")
            kept += [f"{kind} {one}-{orbital} {' '.join(value)}" for one in species if self._means(one, label)]
        return "\n".join([self.hubbard[0], *kept, ""]) if kept else ""

    def _means(self, species: str, label: str) -> bool:
        named = [line.split()[1].partition("-")[0] for line in self.hubbard[1:]]
        return self.label(species, named) == label

    def problems(self, elements: Sequence[str]) -> Iterator[str]:
        """Yield what frames with these elements cannot follow."""
        for one in (element for element in elements if element not in self.labels):
            alike = [label for label in self.labels if element_of(label.capitalize()) == one]
            for form, values in self.values.items():
                if len({values.get(label) for label in alike}) > 1:
                    types = ", ".join(alike)
                    yield (
                        f"has {form.format('...')} with several values for {one} ({types}), and type_map has one type "
                        f"of it: list {types} in type_map, or give one value"
                    )
        for label, key in self.unused(elements).items():
            if element_of(label.capitalize()) not in MASSES:
                yield f"has {key} for {label}, which is not an element: write the element for it in ATOMIC_SPECIES"
        if self.pairs or any(line.split()[0].upper() == OF_PAIRS for line in self.hubbard[1:]):
            yield "has a Hubbard V, which names atoms by their numbers: those of a frame are others"

    def unused(self, elements: Sequence[str]) -> dict[str, str]:
        """Return the labels whose values no frame with these elements takes, each with a key that has one."""
        lines = [line.split() for line in self.hubbard[1:]]
        said = [(form.partition("(")[0], list(values)) for form, values in self.values.items()]
        said.append(("a line of HUBBARD", [line[1].partition("-")[0] for line in lines]))
        found: dict[str, str] = {}
        for key, labels in said:
            taken = {self.label(element, labels) for element in elements}
            found |= {label: key for label in labels if label not in taken and not self._is_type_of(label, elements)}
        return found

    def _is_type_of(self, label: str, elements: Sequence[str]) -> bool:
        return element_of(label.capitalize()) in elements


def is_numbered(key: str) -> bool:
    """Return whether a key of &system goes by species."""
    return NUMBERED.fullmatch(key) is not None


def _numbered(key: str, text: str) -> Iterator[tuple[str, int, str]]:
    """Yield key, number of the species and value of an assignment; a list goes on with the next species."""
    found = NUMBERED.fullmatch(key)
    if found is None:
        return
    name, indices = found[1], [int(one) for one in (found[2] or "").split(",") if one.strip()]
    place = min(INDEX.get(name, 0), max(len(indices) - 1, 0))
    first = indices[place] if indices else 1
    form = ",".join("{}" if i == place else str(index) for i, index in enumerate(indices or [1]))
    for step, value in enumerate(_listed(text)):
        yield f"{name}({form})", first + step, value


def _listed(text: str) -> Iterator[str]:
    """Yield the values of a list as Fortran has it: ``2*0.5, 0.1``."""
    for word in re.split(r"[\s,]+", text.strip()):
        count, star, value = word.partition("*")
        yield from [value] * int(count) if star and count.isdigit() else [word]
