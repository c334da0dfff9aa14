"""Environment variables that users give: names that no shell can export, values that do not mean what they seem to."""

import re

_EXPANDED = re.compile(r"\$[A-Za-z_{(]|`|(?:^|:)~/")
"""What a shell would replace."""


def variable_fault(name: str, value: object) -> str | None:
    """Return what is wrong with a variable: its name, or a value such as ``/x:$PATH`` for ``PATH``; else ``None``.

    Values are exported in quotes, as they are: with ``$PATH`` in it, ``PATH`` would lead to no program at all.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return "is not a valid name of a variable: use letters, digits and _, and no digit first"
    for text in map(str, value if isinstance(value, list) else [value]):
        if "\0" in text:
            return "has a NUL character: remove it"
        if _EXPANDED.search(text):
            quoted = text if re.fullmatch(r"[\w$/:.{}~+=,@%-]*", text) else f'"{text}"'
            line = f"export {name}={quoted}"
            return f"{text!r} is set as it is, nothing in it is replaced: write {line!r} into prepend_script"
    return None
