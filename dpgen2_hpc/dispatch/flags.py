"""The lines that users write into the head of a job's script: what is wrong with them, what is not used of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dpgen2_hpc.dispatch.directives import Given, directives, fate, is_command, read
from dpgen2_hpc.dispatch.schedulers import Scheduler
from dpgen2_hpc.dispatch.schedulers.options import Options

FLAGS = ("custom_flags",)
GPU_LINE = ("kwargs", "custom_gpu_line")
TEMPLATE = ("strategy", "customized_script_header_template_file")
SCRIPTS = (("prepend_script",), ("append_script",))

Finding = tuple[tuple[str, ...], str]
"""Where in ``resources``, and a sentence."""

_ANY = re.compile(r"#(SBATCH|PBS|BSUB)|(?i:#\s*(SBATCH|PBS|BSUB)\s*-)")
"""A directive of any batch system, or what is meant to be one; ``# PBS nodes are slow`` is a comment."""

_MEANT = re.compile(r"#[A-Za-z$@]+\s+--?[A-Za-z]")
"""A comment that looks like a directive: misspelt, or of a batch system that we do not have (``#MSUB -l ...``)."""


def user_lines(resources: Mapping[str, Any]) -> dict[tuple[str, ...], list[str]]:
    """Return the user's lines in the head of a script, in the order in which they stand there, by place."""
    gpu_line = resources.get("kwargs", {}).get("custom_gpu_line") or ""
    found = {GPU_LINE: gpu_line.splitlines(), FLAGS: _split(resources.get("custom_flags"))}
    file = resources.get("strategy", {}).get("customized_script_header_template_file")
    if file is not None:
        text = Path(file).read_text(errors="replace") if Path(file).is_file() else ""
        return {TEMPLATE: text.splitlines(), FLAGS: found[FLAGS]}
    return found


def head_lines(resources: Mapping[str, Any]) -> list[str]:
    """Return all the user's lines in the head of a script."""
    return [line for lines in user_lines(resources).values() for line in lines]


def _split(lines: Sequence[str] | None) -> list[str]:
    return [part for line in lines or () for part in line.splitlines()]


def flag_faults(scheduler: Scheduler, batch_type: str, resources: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the user's lines: those of another batch system, commands, options that are refused."""
    options = scheduler.options
    for place, lines in user_lines(resources).items():
        texts = [*_misplaced(options, batch_type, lines, commands=place != TEMPLATE)]
        yield from ((place, text) for text in [*texts, *(_refused(options, lines) if options else ())])
    if options and options.everywhere:
        for place in SCRIPTS:
            yield from ((place, text) for text in _refused(options, _split(resources.get(place[0]))))


def _misplaced(options: Options | None, batch_type: str, lines: Sequence[str], *, commands: bool) -> Iterator[str]:
    """Yield the lines that are not directives of this batch system, and are meant to be, or would run as commands.

    Commands would run before the job has claimed its tasks; in a header of the user's own (not ``commands``) they are
    meant.
    """
    own = options.directive if options else ""
    what = f"is not a {own} line and would" if own else "would"
    for line in lines:
        if line.strip().startswith("-"):
            yield f"'{line}' would run as a command: {f'begin it with {own}' if own else 'remove it'}"
        elif options and _ANY.match(line.strip()) and not _begins(options, line):
            yield f"'{line}' is not for {batch_type}, whose lines begin with '{own} '"
        elif commands and is_command(line):
            yield f"'{line}' {what} run as a command: move it to prepend_script"


def _begins(options: Options, line: str) -> bool:
    """Whether a line begins as documented: some versions of some commands accept blanks elsewhere, too."""
    return bool(re.match(options.begin, line)) and line.lstrip().startswith(options.directive)


def _refused(options: Options, lines: Sequence[str]) -> Iterator[str]:
    """Yield the options that are refused, and the words that the command itself will refuse."""
    for given in read(options, lines):
        found = fate(options, given)
        if found and found.refused:
            yield f"{_shown(lines, given)} {found.text.format(options.command)}"
        elif given.problem:
            yield f"{_shown(lines, given)} {given.problem}"


def _shown(lines: Sequence[str], given: Given) -> str:
    """Return the line of an option, then the option: as short as may be."""
    line = lines[given.lines[0]].strip()
    return f"'{line}': {given.written}"


def flag_notices(scheduler: Scheduler, resources: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is not used of the user's lines, and why."""
    options = scheduler.options
    if options is None:
        return
    for place, lines in user_lines(resources).items():
        for given in read(options, lines):
            end = fate(options, given)
            if end and not end.refused and end.text:
                yield place, f"{_shown(lines, given)} is not used: {end.text}"
        yield from ((place, text) for text in [*_unread(options, lines), *_comments(options, lines)])
    for place in SCRIPTS:
        inside = ["true", *_split(resources.get(place[0]))]  # behind the commands of the guard
        yield from ((place, text) for text in _unread(options, inside))


def _comments(options: Options, lines: Sequence[str]) -> Iterator[str]:
    """Yield the comments that are meant to be directives."""
    for line in lines:
        if _MEANT.match(line.strip()) and not re.match(options.begin, line):
            own = options.directive
            yield f"'{line.strip()}' is a comment to {options.command} and has no effect: begin it with '{own} '"


def _unread(options: Options, lines: Sequence[str]) -> Iterator[str]:
    """Yield the directives that the command does not read, since they come after a command."""
    seen = {number for number, _ in directives(options, lines)}
    for number, line in enumerate(lines):
        if re.match(options.begin, line) and number not in seen:
            why = f"{options.command} reads no options after the first command"
            yield f"'{line}' has no effect: {why}. Move it to custom_flags"
