"""Files that stand for their contents: what trainers and labelers read when a run begins takes their names' place."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dpgen2_hpc import kinds
from dpgen2_hpc.errors import Fault, InputError
from dpgen2_hpc.inputs.read import Document, KeyPath, read_json


def with_contents(value: Mapping[str, Any], document: Document) -> tuple[dict[str, Any], Document, list[Fault]]:
    """Put the contents of the files that the trainer's and the labeler's keys name in the place of their names.

    Returns the value, the document with the JSON files that were read (for faults in them), and the faults so far.
    """
    reader = _Contents(document)
    result = {name: _copied(entry) for name, entry in value.items()}
    if "type" in value.get("train", {}):
        for name in kinds.load("train", value["train"]["type"]).json_files:
            _replace(result["train"], name, reader.json, ("train", name))
    if "type" in value.get("fp", {}):
        labeler = kinds.load("fp", value["fp"]["type"])
        for part, name in labeler.text_files:
            if part in result["fp"]:
                read = partial(reader.text, whole=partial(labeler.whole_text, inputs=result["fp"][part]))
                _replace(result["fp"][part], name, read, ("fp", part, name))
                if name not in result["fp"][part]:
                    del result["fp"][part]
    return result, replace(document, files={**document.files, **reader.files}), reader.faults


def _copied(entry: Any) -> Any:
    """Return an object with copies of the objects in it."""
    if not isinstance(entry, dict):
        return entry
    return {name: dict(held) if isinstance(held, dict) else held for name, held in entry.items()}


def _replace(section: dict[str, Any], name: str, read: Callable[[Any, KeyPath], Any], path: KeyPath) -> None:
    """Put what ``read`` makes of an entry in its place, or take it out where a fault was noted."""
    if name in section:
        try:
            section[name] = read(section[name], path)
        except InputError:
            del section[name]


class _Contents:
    """Reads the files that stand for their contents; keeps the faults, and JSON files for faults found later."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.files: dict[KeyPath, Document] = {}
        self.faults: list[Fault] = []

    def json(self, entry: Any, path: KeyPath) -> Any:
        """Return the contents for the name of a JSON file, or for each name in a list.

        Raises
        ------
        InputError
            A file cannot be read, which is noted.
        """
        if isinstance(entry, list):
            return [self.json(member, (*path, index)) for index, member in enumerate(entry)]
        if not isinstance(entry, str):
            return entry
        try:
            self.files[path] = read_json(self._file(entry))
        except InputError as error:
            unread = [fault for fault in error.faults if fault.line is None]
            self.faults += [self.document.fault(path, f"'{fault.file}' {fault.message}") for fault in unread]
            self.faults += [fault for fault in error.faults if fault.line is not None]
            raise
        return self.files[path].value

    def text(self, entry: Any, path: KeyPath, whole: Callable[[str, Path], str]) -> Any:
        """Return the contents for the name of a text file, with what it includes; ``None`` stands for none.

        Raises
        ------
        InputError
            The file cannot be read, which is noted.
        """
        if entry is None:
            return None
        file = self._file(entry)
        try:
            text = file.read_text()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            self.faults.append(self.document.fault(path, f"'{file}' cannot be read: {reason}"))
            raise InputError(self.faults) from error
        try:
            return whole(text, file)
        except ValueError as error:
            self.faults.append(self.document.fault(path, f"'{file}': {error}"))
            raise InputError(self.faults) from error

    def _file(self, name: str) -> Path:
        return Path(self.document.file).parent / name
