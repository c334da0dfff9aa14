"""The head of a job's script: dpdispatcher's lines and the user's, in the order in which the user's hold."""

import re
from collections.abc import Iterator, Sequence

from dpgen2_hpc.dispatch.directives import Given, is_command, kept, read
from dpgen2_hpc.dispatch.schedulers.options import Options, Yielding


def header(options: Options | None, own: str, flags: Sequence[str], *, is_template: bool) -> str:
    """Return the head of a script: ``own`` lines, of dpdispatcher or of the user's header, with the user's ``flags``.

    Flags stand before the first command of a header, since the submit command reads no directives behind it. Where two
    lines exclude each other, for the size of a job say, the user's stands alone.
    """
    lines = own.lstrip().splitlines()
    ours = [part for line in flags for part in line.splitlines()]
    if options is None:
        return "\n".join([*lines, *ours, ""])
    if is_template:
        end = next((number for number, line in enumerate(lines) if is_command(line)), len(lines))
        lines[end:end] = ours
        return "\n".join([*kept(lines, options), ""])
    first, *rest = lines
    rest = list(_without(options, rest, read(options, ours)))
    # OpenPBS keeps the first ``-l`` of a resource; of all other options the last counts
    lines = [first, *ours, *rest] if options.size_line else [first, *rest, *ours]
    return "\n".join([*kept(lines, options), ""])


def _without(options: Options, lines: Sequence[str], given: Sequence[Given]) -> Iterator[str]:
    """Yield dpdispatcher's lines but those that the user's take the place of."""
    for line in lines:
        if options.size_line and re.match(options.size_line, line) and sizes(options, given):
            continue
        if not any(re.match(own.line, line) and instead(own, given) for own in options.yielding):
            yield line


def instead(own: Yielding, given: Sequence[Given]) -> Given | None:
    """Return the first of the user's options that takes the place of a line of dpdispatcher's."""
    found = (option for option in given if option.name in own.options)
    return next((option for option in found if re.search(own.options[option.name], option.value or "")), None)


def sizes(options: Options, given: Sequence[Given]) -> list[str]:
    """Return the resources of the user's ``-l`` that exclude dpdispatcher's own line."""
    names = [name for option in given if option.name == "l" for name in _resources(option.value or "")]
    found = [name for name in names if name in options.sizes]
    return found + ["-L"] * any(option.name == "L" for option in given)


def _resources(value: str) -> list[str]:
    """Return the names in ``-l name=value,name=value``."""
    parts = re.findall(r"""(?:"[^"]*"|'[^']*'|[^,"'])+""", value)
    return [part.partition("=")[0].strip() for part in parts]
