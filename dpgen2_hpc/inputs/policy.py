"""The words of both files on failures and on the queue: their arguments, and which of them hold for a step."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dargs
from typing_extensions import override

from dpgen2_hpc.data.variables import variable_fault
from dpgen2_hpc.errors import Fault, spelled
from dpgen2_hpc.inputs.read import Document, KeyPath
from dpgen2_hpc.inputs.tree import normalize
from dpgen2_hpc.kinds import Key

NOTHING = type(None)

RETRIES = 3
"""Further attempts that ``retry_on_transient_error: true`` stands for."""

WORDS: Mapping[tuple[str, ...], str] = {
    ("continue_on_failed",): "continue_on_failed",
    ("continue_on_num_success",): "continue_on_num_success",
    ("continue_on_success_ratio",): "continue_on_success_ratio",
    ("parallelism",): "parallelism",
    ("poll_interval",): "poll_interval",
    ("grace",): "grace",
    ("retry_count",): "retry_count",
    ("machine", "retry_count"): "retry_count",
    ("template_config", "retry_on_transient_error"): "retry_count",
    ("template_config", "timeout"): "timeout",
    ("template_config", "timeout_as_transient_error"): "timeout_is_transient",
    ("template_config", "envs"): "envs",
}
"""Where a section says something of the policy, and what it is called there."""

PLAIN = tuple(path[0] for path in WORDS if len(path) == 1)
"""The words that stand in a section itself."""

MEANINGLESS: tuple[KeyPath, ...] = (("executor",), ("template_slice_config",), ("template_config", "image"))
"""Where a section speaks of Argo."""

NOTHING_GIVEN: tuple[Any, ...] = (None, False, "", [], {})

LEAST = {"continue_on_num_success": 1, "continue_on_success_ratio": 0.0}
"""What may stand beside ``continue_on_failed: true``, since it asks for no more."""

Place = Callable[[KeyPath], Fault]
"""Tells where a path below a section stands in its file: a fault without a message."""


# ---- the arguments --------------------------------------------------------------------------------------------------


def arguments() -> list[Key]:
    """Return the policy's keys in a section of ``machine.json``."""
    return [
        *shared(),
        retry_count(),
        _key(
            "poll_interval",
            float,
            "Longest time between two looks at the queue, s (default 60); short jobs are looked at sooner.",
            above=0,
            maximum=86400,
        ),
        _key(
            "grace",
            float,
            "How long a job must be missing from the queue, without a word of its own, before it is believed to be "
            "gone, s (default 90, for Shell 0): shared file systems show files late.",
            minimum=0,
            maximum=86400,
        ),
    ]


def retry_count() -> Key:
    """Return the key, which DP-GEN's files have inside of ``machine``."""
    return _key(
        "retry_count",
        int,
        "Further attempts for a task that the queue lost (default 3); a program's own error has one.",
        minimum=0,
        maximum=100,
    )


def shared() -> list[Key]:
    """Return the keys that DPGEN2 has for a step: both files have them."""
    return [
        _key(
            "continue_on_failed",
            bool,
            "true: go on with whatever is usable, at least one task; a number or a ratio that asks for more "
            "contradicts it. false: the number and the ratio decide.",
        ),
        _key(
            "continue_on_num_success",
            int,
            "Go on when so many tasks are usable (all of them where there are fewer). With a ratio beside it both must "
            "hold.",
            minimum=1,
        ),
        _key(
            "continue_on_success_ratio",
            float,
            "Go on when this part of the tasks is usable; default: train 1, explore 0.5, fp 0.9.",
            minimum=0,
            maximum=1,
        ),
        _key(
            "parallelism",
            int,
            "Jobs in the queue at once. Default: no limit; for Shell, cores / cpu_per_node.",
            minimum=1,
        ),
        Key(
            "template_config",
            [dict, NOTHING],
            "What holds for each task.",
            optional=True,
            default=None,
            change="now",
            sub_fields=_template(),
        ),
        _key("executor", dict, "No meaning here: machine and resources say where a step runs."),
        _key("template_slice_config", dict, "No meaning here: resources.group_size puts tasks into one job."),
    ]


def _template() -> list[Key]:
    return [
        _key("timeout", int, "Longest time that an attempt at a task may take, s.", minimum=1, maximum=10**9),
        Key(
            "envs",
            [dict[str, str | int | float], NOTHING],
            "Environment variables of each task; resources.envs says the same.",
            optional=True,
            default=None,
            change="now",
        ),
        Key(
            "retry_on_transient_error",
            [bool, int, NOTHING],
            "Another word for retry_count: false is 0, true is 3, a number is itself.",
            optional=True,
            default=None,
            change="now",
            minimum=0,
            maximum=100,
        ),
        _key("timeout_as_transient_error", bool, "Count an attempt that took too long as lost, not as failed."),
        _key("image", str, "No meaning here: there are no containers."),
    ]


def _key(name: str, dtype: type, doc: str, **bounds: Any) -> Key:
    """Return an optional key; ``null`` stands for the default."""
    return Key(name, [dtype, NOTHING], doc, optional=True, default=None, change="now", **bounds)


# ---- what a section says --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """A word of the policy: its value, how it was written, and where."""

    value: Any
    written: Any
    place: Fault

    @override
    def __str__(self) -> str:
        return json.dumps(self.written, ensure_ascii=False)


def words(section: Any, place: Place) -> tuple[dict[str, Said], list[Fault]]:
    """Return what a section says of the policy, and where it contradicts itself.

    ``null`` is not given. Values of a wrong type are left out: the walk along the whole file tells them.
    """
    given = section if isinstance(section, dict) else {}
    settings, _ = normalize(dargs.Argument("section", dict, arguments()), Document("", given, {}))
    settings["machine"], _ = normalize(dargs.Argument("machine", dict, [retry_count()]), _part(given, "machine"))
    said: dict[str, Said] = {}
    faults: list[Fault] = []
    for path, name in WORDS.items():
        written = entry_at(settings, path)
        if written is None:
            continue
        word = Said(_meaning(path, written), written, place(path))
        if name in said and said[name].value != word.value:
            faults.append(_disagreement(word, said[name]))
        said.setdefault(name, word)
    return said, [*faults, *contradictions(said), *_unusable_variables(said, place)]


def _unusable_variables(said: Mapping[str, Said], place: Place) -> Iterator[Fault]:
    """Yield each environment variable that no shell could export, or that would not come out as it is meant."""
    for name, value in (said.get("envs", _SILENT).value or {}).items():
        if problem := variable_fault(name, value):
            yield replace(place(("template_config", "envs", name)), message=problem)


def meaningless(section: Any, place: Place, paths: Sequence[KeyPath] = MEANINGLESS) -> list[str]:
    """Return the keys of a section that were given and have no meaning here, spelled as the file has them."""
    return [spelled(place(path).path) for path in paths if entry_at(section, path) not in NOTHING_GIVEN]


def _part(section: Mapping[str, Any], name: str) -> Document:
    part = section.get(name)
    return Document("", part if isinstance(part, dict) else {}, {})


def entry_at(value: Any, path: KeyPath) -> Any:
    """Return what stands under a path of keys, ``None`` where there is nothing."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _meaning(path: KeyPath, written: Any) -> Any:
    if path[-1] == "retry_on_transient_error":
        return {False: 0, True: RETRIES}[written] if isinstance(written, bool) else written
    if path[-1] == "envs":
        return {name: str(value) for name, value in written.items()}
    return written


# ---- which words hold -----------------------------------------------------------------------------------------------


def nearest(near: Mapping[str, Said], far: Mapping[str, Said]) -> dict[str, Said]:
    """Return the words that hold when a step's own come before those that it inherits.

    A step that says how much must be usable sets aside an inherited word that would contradict it.
    """
    aside: Iterable[str] = ()
    if near.get("continue_on_failed", _SILENT).value:
        aside = LEAST
    elif any(name in near for name in LEAST):
        aside = ("continue_on_failed",)
    return {**{name: word for name, word in far.items() if name not in aside}, **near}


_SILENT = Said(None, None, Fault("", (), ""))


def agreed(machine: Mapping[str, Said], param: Mapping[str, Said]) -> tuple[dict[str, Said], list[Fault]]:
    """Return the words of both files for a step, and where they do not say the same."""
    both = {**param, **machine}
    faults = [
        _disagreement(machine[name], param[name])
        for name in machine
        if name in param and param[name].value != machine[name].value
    ]
    return both, [*faults, *contradictions(both)]


def contradictions(said: Mapping[str, Said]) -> list[Fault]:
    """Return where ``continue_on_failed: true`` stands beside a word that asks for more."""
    whatever = said.get("continue_on_failed", _SILENT)
    return [
        replace(
            whatever.place,
            message=f"true goes on with whatever is usable, but {_where(said[name], whatever)} asks for {said[name]}: "
            "remove one of them",
        )
        for name, least in LEAST.items()
        if whatever.value and name in said and said[name].value > least
    ]


def env_faults(said: Mapping[str, Said], envs: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    """Yield each variable that ``template_config.envs`` and ``resources.envs`` give different values."""
    word = said.get("envs", _SILENT)
    for name, value in (word.value or {}).items():
        if name in envs and str(envs[name]) != value:
            other = Said(envs[name], envs[name], place(("resources", "envs", name)))
            here = replace(word.place, path=(*word.place.path, name))
            yield _disagreement(Said(value, word.written[name], here), other)


def _disagreement(one: Said, other: Said) -> Fault:
    return replace(
        one.place,
        message=f"is {one}, but {_where(other, one)}, which means the same, is {other}: remove one of them, or make "
        "them equal",
    )


def _where(word: Said, seen_from: Said) -> str:
    """Return the path of a word, with its file and line where these are not the reader's."""
    place, path = word.place, spelled(word.place.path)
    line = f" on line {place.line}" if place.line is not None else ""
    return f"{path}{line}" if place.file == seen_from.place.file else f"{path}{line} of {place.file}"
