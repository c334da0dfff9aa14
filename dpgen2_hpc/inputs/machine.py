"""``machine.json``: where each step runs, and how many failures it bears."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpgen2_hpc.errors import Fault, InputError
from dpgen2_hpc.inputs import policy
from dpgen2_hpc.inputs.arranged import DEFAULT, SECTIONS, Arranged, arranged
from dpgen2_hpc.inputs.faults import found, quoted
from dpgen2_hpc.inputs.forward import backward_problems, forwarded
from dpgen2_hpc.inputs.machine_forms import other_form, show_the_way, top_hint
from dpgen2_hpc.inputs.policy import Said
from dpgen2_hpc.inputs.read import Document, KeyPath, read_json
from dpgen2_hpc.inputs.tree import in_order, normalize
from dpgen2_hpc.kinds import Key

NOTHING = type(None)

Check = Callable[[Mapping[str, Any], Mapping[str, Any]], list[tuple[tuple[str, ...], str]]]

HEADER: KeyPath = ("resources", "strategy", "customized_script_header_template_file")

NOT_FOLLOWED: Sequence[KeyPath] = (("machine", "clean_asynchronously"), ("resources", "wait_time"))
"""What speaks of dpdispatcher's own way of submitting."""

LOCAL_ROOT: KeyPath = ("machine", "local_root")
HERE = (None, "", ".", "./")
"""What ``local_root`` always is: the work directory (-C)."""

ONLY_ELSEWHERE: Sequence[KeyPath] = (("machine", "remote_root"), ("machine", "remote_profile"))
"""What has no meaning where jobs run in the work directory itself."""


@dataclass(frozen=True)
class MachineTrees:
    """What the queue's side knows of a section: the trees of its parts, and a check across them.

    ``resources`` makes the tree for a ``batch_type``, which has keys of its own; ``later`` are the contexts that
    ``machine`` does not offer yet.
    """

    machine: Callable[[], Any]
    resources: Callable[[str | None], Any]
    check: Check
    later: Sequence[str] = ()


@dataclass(frozen=True)
class MachineFile:
    """``machine.json``, understood.

    ``sections`` are the three sections as JSON with ``default`` and every other default filled in; ``said`` has, for
    each, the words of the policy and where they stand; ``places`` tells for each where a path below it stands.
    """

    sections: Mapping[str, Mapping[str, Any]]
    said: Mapping[str, Mapping[str, Said]]
    notify: str | None
    meaningless: tuple[str, ...]
    places: Mapping[str, policy.Place]
    notices: tuple[Fault, ...] = ()


def load_machine(path: Path, trees: MachineTrees) -> MachineFile:
    """Read ``machine.json`` in either form.

    Raises
    ------
    InputError
        Everything that is wrong with it.
    """
    written = read_json(path)
    other = other_form(written)
    if other is not None:
        raise InputError([other])
    form = arranged(written)
    value, faults = _walked(form, trees)
    wrong = {*(fault.path[0] for fault in faults), *form.broken}
    whole = [name for name in SECTIONS if name in value and name not in wrong]
    sections, more = _completed(form, value, whole, path.parent.resolve())
    faults += more
    faults += [
        form.fault((name, *place), text)
        for name in whole
        for place, text in trees.check(sections[name]["machine"], sections[name]["resources"])
    ]
    faults += _version_faults(written)
    said, more = _policies(form)
    faults = [*form.faults, *map(form.in_file, faults), *more]
    if faults:
        raise InputError(in_order(faults))
    for name, section in sections.items():
        section |= {key: said[name][key].value if key in said[name] else None for key in policy.PLAIN}
    places = {name: form.below(name) for name in SECTIONS}
    notices = tuple(dict.fromkeys([*form.notices, *_made_absolute(form, value, sections)]))
    return MachineFile(sections, said, value["notify"], tuple(_meaningless(form)), places, notices)


# ---- the tree -------------------------------------------------------------------------------------------------------


def _walked(form: Arranged, trees: MachineTrees) -> tuple[dict[str, Any], list[Fault]]:
    """Return what the arranged file means, and its faults.

    ``default`` is walked as a section too, with what it lacks taken from another one: so that what no section inherits
    is checked as well.
    """
    names = [*SECTIONS, *([DEFAULT] if DEFAULT in form.document.value else [])]
    keys = [*(section_keys(name, form.document, trees) for name in names), *top_keys()]
    tree = Key("machine", dict, "machine.json", sub_fields=keys, hint=top_hint)
    value, faults = normalize(tree, form.document, {"machine": trees.later})
    wrong = [
        fault
        for fault in faults
        if fault.path[0] not in form.broken and (fault.path[0] != DEFAULT or fault.path in form.origin)
    ]
    return value, wrong


def top_keys() -> list[Key]:
    """Return the keys beside the sections."""
    return [
        Key(
            "notify",
            [str, NOTHING],
            "A shell command that gets the status as JSON on its standard input: when the run is blocked or complete, "
            "and after each iteration.",
            optional=True,
            default=None,
            change="now",
            extra_check=_says_something,
            extra_check_errmsg="is blank: write the command, or leave the key out",
        ),
        Key(
            "api_version",
            object,
            "The format of DP-GEN's file: 1.0 or newer.",
            optional=True,
            default=None,
            change="now",
        ),
        Key("deepmd_version", object, "No meaning here.", optional=True, default=None, change="now"),
    ]


def section_keys(name: str, document: Document, trees: MachineTrees) -> Key:
    """Return the key of one section, for the batch system that ``document`` names."""
    batch_type = policy.entry_at(document.value, (name, "machine", "batch_type"))
    resources = trees.resources(batch_type if isinstance(batch_type, str) else None)
    if policy.entry_at(document.value, (name, *HEADER)):
        text = "What the script header of the user's own fills in."
        resources.sub_fields["kwargs"] = Key("kwargs", dict, text, optional=True, default={})
    section = Key(
        name,
        dict,
        f"Where {name} runs.",
        change="now",
        alias=["model_devi"] if name == "explore" else [],
        sub_fields=[_command(), trees.machine(), resources, *policy.arguments(), *_user_files()],
    )
    show_the_way(section)
    return section


def _command() -> Key:
    return Key(
        "command",
        [str, NOTHING],
        "The program; comes before param.json's.",
        optional=True,
        default=None,
        extra_check=_says_something,
        extra_check_errmsg="is blank: write the command, or leave the key out to have param.json's",
    )


def _user_files() -> list[Key]:
    """Return the keys of files that go with each task, and that would come back with it."""
    forward = "Files and folders that each task finds in its folder: paths or patterns, relative to machine.json."
    backward = "Has no effect: everything that a task wrote comes back anyway."
    names = {"user_forward_files": forward, "user_backward_files": backward}
    return [Key(name, list[str], doc, optional=True, default=[], change="now") for name, doc in names.items()]


def _says_something(text: Any) -> bool:
    return text is None or bool(text.strip())


# ---- what the tree does not show ------------------------------------------------------------------------------------


def _version_faults(written: Document) -> Iterator[Fault]:
    """Yield what is wrong with ``api_version``."""
    given = written.value.get("api_version")
    text = None
    if given in (None, ""):
        return
    if type(given) in (int, float):
        given = str(given)
    if not isinstance(given, str):
        text = f'expected a string such as "1.0", found {found(given)}'
    elif not re.fullmatch(r"\d+(\.\d+)*", given):
        text = f'{quoted(given)} is no version: write "1.0", or leave the key out'
    elif int(given.partition(".")[0]) < 1:
        text = (
            f"{quoted(given)} is DP-GEN's format before dpdispatcher, which is not read: give each of train, "
            'model_devi and fp a "machine" and a "resources" as in machine_examples/dpgen-slurm.json, then write "1.0"'
        )
    if text:
        yield Fault(written.file, ("api_version",), text, *written.places[("api_version",)])


def _completed(
    form: Arranged, value: Mapping[str, Any], names: list[str], folder: Path
) -> tuple[dict[str, dict[str, Any]], list[Fault]]:
    """Return the sections with absolute paths, and what is wrong with the files that they name."""
    sections: dict[str, dict[str, Any]] = {}
    faults: list[Fault] = []
    for name in names:
        section = value[name]
        files, problems = forwarded(section["user_forward_files"], folder)
        problems += backward_problems(section["user_backward_files"])
        resources, more = _with_header(section["resources"], folder)
        problems += more
        machine = {key: entry for key, entry in section["machine"].items() if key != "retry_count"}
        if machine.get("remote_root"):
            machine["remote_root"] = str(_absolute(machine["remote_root"], folder))
        sections[name] = {**section, "machine": machine, "resources": resources, "user_forward_files": files}
        faults += [form.fault((name, *place), text) for place, text in problems]
    return sections, faults


def _absolute(root: str, folder: Path) -> Path:
    """Return ``remote_root`` as dpdispatcher has it when it is run in the file's ``folder``; ``~/`` is one's home."""
    path = Path(root).expanduser() if root.startswith("~/") else Path(root)
    return Path(os.path.abspath(folder / path))  # noqa: PTH100  (links stay)


def _made_absolute(form: Arranged, value: Mapping[str, Any], sections: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield where a relative ``remote_root`` leads."""
    for name, section in sections.items():
        written = value[name]["machine"].get("remote_root")
        if not _is_in_place(form, name) and written and not Path(written).is_absolute():
            there = section["machine"]["remote_root"]
            yield form.in_file(form.fault((name, "machine", "remote_root"), f"the jobs run in '{there}'"))


def _with_header(resources: dict[str, Any], folder: Path) -> tuple[dict[str, Any], list[tuple[KeyPath, str]]]:
    """Return the resources with an absolute path to the user's own script header, if there is one."""
    file = policy.entry_at({"resources": resources}, HEADER)
    if file is None:
        return resources, []
    path = folder / file
    if not path.is_file():
        return resources, [(HEADER, f"there is no file '{path}'")]
    return {**resources, "strategy": {**resources["strategy"], HEADER[-1]: str(path)}}, []


# ---- the policy -----------------------------------------------------------------------------------------------------


def _policies(form: Arranged) -> tuple[dict[str, Mapping[str, Said]], list[Fault]]:
    """Return for each section the words of the policy that hold, its own before those of ``default``."""
    said: dict[str, Mapping[str, Said]] = {}
    inherited, faults = policy.words(form.own.get(DEFAULT), form.below(DEFAULT))
    for name in SECTIONS:
        own, more = policy.words(form.own.get(name), form.below(name))
        said[name] = policy.nearest(own, inherited)
        faults = [*faults, *more, *policy.contradictions(said[name])]
    return said, faults


def _meaningless(form: Arranged) -> Iterator[str]:
    """Yield the keys that were given and have no meaning here."""
    if form.document.value.get("deepmd_version") not in policy.NOTHING_GIVEN:
        yield "deepmd_version"
    for name in (DEFAULT, *SECTIONS):
        paths = [*policy.MEANINGLESS, *NOT_FOLLOWED, *(ONLY_ELSEWHERE if _is_in_place(form, name) else ())]
        if policy.entry_at(form.own.get(name), LOCAL_ROOT) not in HERE:
            paths.append(LOCAL_ROOT)
        yield from policy.meaningless(form.own.get(name), form.below(name), paths)


def _is_in_place(form: Arranged, name: str) -> bool:
    context = policy.entry_at(form.document.value, (name, "machine", "context_type"))
    return str(context).lower().startswith("lazylocal")
