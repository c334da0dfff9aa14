"""Environment variables that users give: names that no shell can export, values that do not mean what they seem to."""

import re


def variable_fault(name: str, value: object) -> str | None:
    """Return what is wrong with a variable: its name, or a value such as ``/x:$PATH`` for ``PATH``; else ``None``.

    Values are exported in quotes, as they are: with ``$PATH`` in it, ``PATH`` would lead to no program at all.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return "is no name of a variable: letters, digits and _, and no digit first"
    values = value if isinstance(value, list) else [value]
    if any(re.search(rf"\$({name}\b|{{{name}\b)", str(part)) for part in values):
        return f"'${name}' is not expanded here: remove it, and add 'export {name}=...' to resources.prepend_script"
    return None
