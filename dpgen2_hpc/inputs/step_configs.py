"""``step_configs`` and ``default_step_config`` of ``param.json``: DPGEN2's place for the policy of a step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dargs

from dpgen2_hpc.errors import Fault
from dpgen2_hpc.inputs.policy import Place, Said, contradictions, entry_at, meaningless, nearest, shared, words
from dpgen2_hpc.inputs.read import COMMENT, Document, KeyPath
from dpgen2_hpc.kinds import Key
from dpgen2_hpc.state.steps import WITH_TASKS

RUN = {name: tasks.config for name, tasks in WITH_TASKS.items()}
"""The member of ``step_configs`` that speaks of a step with tasks."""

IN_THE_DRIVER = (
    "prep_train_config",
    "prep_explore_config",
    "prep_fp_config",
    "select_confs_config",
    "collect_data_config",
    "cl_step_config",
)
"""The other members: these steps have no jobs here."""


def step_config_arguments() -> list[Key]:
    """Return the keys ``step_configs`` and ``default_step_config`` of ``param.json``."""
    members = [
        Key(name, [dict, type(None)], _doc(name), optional=True, default=None, change="now", sub_fields=shared())
        for name in (*RUN.values(), *IN_THE_DRIVER)
    ]
    return [
        _object("step_configs", "The policy of each step; machine.json may say it instead.", members),
        _object("default_step_config", "What holds of the policy where step_configs says nothing.", shared()),
    ]


def _doc(name: str) -> str:
    return "The policy of this step." if name in RUN.values() else "No meaning here: this step has no jobs."


def _object(name: str, doc: str, members: Sequence[dargs.Argument]) -> Key:
    return Key(name, dict, doc, optional=True, default={}, change="now", sub_fields=members)


@dataclass(frozen=True)
class StepConfigs:
    """What ``param.json`` says of the policy: for each step its words; and what of it has no meaning here."""

    said: Mapping[str, Mapping[str, Said]]
    meaningless: tuple[str, ...]
    faults: tuple[Fault, ...]


NOTHING_SAID = StepConfigs({step: {} for step in RUN}, (), ())


def step_configs(document: Document) -> StepConfigs:
    """Return what ``step_configs`` and ``default_step_config`` say, and not what else is wrong with the file."""
    inherited, faults = _words_at(document, _path(document, "default_config", "default_step_config"))
    said: dict[str, Mapping[str, Said]] = {}
    for step, name in RUN.items():
        own, more = _words_at(document, _path(document, name, "step_configs", name))
        said[step] = nearest(own, inherited)
        faults = [*faults, *more, *contradictions(said[step])]
    return StepConfigs(said, tuple(_without_meaning(document)), tuple(dict.fromkeys(faults)))


def _path(document: Document, older: str, *today: str) -> KeyPath:
    """Return where a part stands: at the top level in the older dialect, which no other one allows."""
    return (older,) if older in document.value else today


def _words_at(document: Document, path: KeyPath) -> tuple[dict[str, Said], list[Fault]]:
    return words(entry_at(document.value, path), _places(document, path))


def _without_meaning(document: Document) -> Iterator[str]:
    for path in (("default_step_config",), *(("step_configs", name) for name in RUN.values())):
        yield from meaningless(entry_at(document.value, path), _places(document, path))
    for name in IN_THE_DRIVER:
        section = entry_at(document.value, ("step_configs", name))
        yield from meaningless(section, _places(document, ("step_configs", name)), list(_given(section)))


def _given(section: Any) -> Iterator[KeyPath]:
    """Yield the paths of a section's keys, those of its ``template_config`` one by one."""
    for key, value in section.items() if isinstance(section, dict) else ():
        if key == "template_config" and isinstance(value, dict):
            yield from ((key, name) for name in value if not name.startswith(COMMENT))
        elif not key.startswith(COMMENT):
            yield (key,)


def _places(document: Document, above: KeyPath) -> Place:
    def place(path: KeyPath) -> Fault:
        whole = (*above, *path)
        return Fault(document.file, whole, "", *document.places.get(whole, (None, None)))

    return place
