"""The argument trees of both input files, for those who describe them."""

from collections.abc import Sequence
from typing import Any

import dargs

from dpgen2_hpc.dispatch.machine import CONTEXTS
from dpgen2_hpc.dispatch.schedulers import SCHEDULERS
from dpgen2_hpc.inputs.dialects import tree
from dpgen2_hpc.inputs.machine import section_keys, top_keys
from dpgen2_hpc.inputs.read import Document
from dpgen2_hpc.kinds import Key
from dpgen2_hpc.loop.plan import machine_trees
from dpgen2_hpc.state.steps import WITH_TASKS

SECTIONS = {
    "default": "What the three steps have in common; each of them may override any key.",
    **{name: tasks.where for name, tasks in WITH_TASKS.items()},
}


def tree_of(file: str, dialect: str = "today") -> dargs.Argument:
    """Return the argument tree of ``param`` (in a dialect) or ``machine``."""
    return {"param": lambda: tree(dialect), "machine": machine_tree}[file]()


def machine_tree(names: Sequence[str] = tuple(SECTIONS)) -> dargs.Argument:
    """Return the tree of ``machine.json`` as it is written: what ``default`` gives, a section need not.

    ``names`` are the sections that it has; all of them have the same keys.
    """
    nothing = Document("machine.json", {}, {})
    sections = []
    for name in names:
        section = section_keys(name, nothing, machine_trees())
        section.doc, section.optional = SECTIONS[name], True
        _opened(section)
        sections.append(section)
    return dargs.Argument("machine", dict, sub_fields=[*sections, *top_keys()])


def _opened(section: Key) -> None:
    """Let a section leave out what ``default`` gives, and offer the contexts that there are."""
    machine, resources = section.sub_fields["machine"], section.sub_fields["resources"]
    machine.doc = "The batch system, and how files get to it: dpdispatcher's machine."
    machine.sub_fields["batch_type"].doc = f"The batch system: {', '.join(SCHEDULERS)}."
    resources.doc = "What a job asks for, and what it loads: dpdispatcher's resources."
    for variant in machine.sub_variants.values():
        _only(variant, [name for name in CONTEXTS if name in variant.choice_dict])
    for part in (machine, resources):
        part.optional = True
        _loosened(part)


def _only(variant: Any, names: Sequence[str]) -> None:
    """Leave only those choices that this program knows, in their order: dpdispatcher's own changes from run to run."""
    choices = {name: variant.choice_dict[name] for name in names}
    variant.choice_dict = choices
    variant.choice_alias = {alias: name for alias, name in variant.choice_alias.items() if name in choices}


def _loosened(argument: Any) -> None:
    """Make every key optional: a section and ``default`` share them out between them."""
    for member in argument.sub_fields.values():
        member.optional = True
        _loosened(member)
    for variant in argument.sub_variants.values():
        variant.optional = True
        variant.default_tag = next(iter(variant.choice_dict))
        for choice in variant.choice_dict.values():
            _loosened(choice)
