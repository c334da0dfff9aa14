"""CP2K's preprocessor: an input with @SET, @IF and @INCLUDE carried out, by the rules that CP2K 2023.1 follows."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Find = Callable[[str], Path | None]
"""Where the file is that @INCLUDE names; ``None``: there is none."""

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?:-([^}]*))?\}|([A-Za-z_]\w*)(?!\S))")
"""``${NAME}``, ``${NAME-default}``, and ``$NAME``, which ends with a blank or the line."""
_NAME = re.compile(r"[A-Za-z_]\w*")
_CONDITION = re.compile(r"(.*?)(==|/=)(.*)")


def expanded(text: str, find: Find) -> str:
    """Return an input as CP2K's preprocessor hands it to the parser.

    What only CP2K or the reader of the whole input can judge stays as it is: @XCTYPE and @FFTYPE, which name files of
    CP2K's data folder, @INCLUDE of a file that is not there, and variables without a value. Both may stand in a section
    that is replaced. Names of variables are case-sensitive, those of directives are not.

    Raises
    ------
    ValueError
        A directive is not as CP2K knows it, or an included file cannot be read; with the number of the line.
    """
    if "@" not in text and "$" not in text:
        return text
    return "".join(f"{line}\n" for line in _Preprocessor(find).lines(text))


@dataclass
class _Preprocessor:
    """What is known while the lines of an input go by."""

    find: Find
    values: dict[str, str] = field(default_factory=dict)
    skips: bool = False
    """Whether the lines belong to an @IF that does not hold; as for CP2K, the next @ENDIF ends it."""
    inside: tuple[Path, ...] = ()

    def lines(self, text: str) -> Iterator[str]:
        """Yield the lines that are left of a text, those of files that it includes among them."""
        for number, raw in enumerate(text.splitlines(), 1):
            where = f"line {number}" + (f" of '{self.inside[-1].name}'" if self.inside else "")
            directive = raw.lstrip()[:1] == "@"
            if self.skips:
                self.skips = not (directive and raw.split()[0].upper() == "@ENDIF")
            elif raw.lstrip()[:1] in ("!", "#"):
                yield raw
            elif directive:
                yield from self._obeyed(self._substituted(raw).strip(), where)
            else:
                yield self._substituted(raw)

    def _substituted(self, line: str) -> str:
        """Return a line with the values of its variables; those without one stay."""

        def value(found: re.Match[str]) -> str:
            default = found[0] if found[2] is None else found[2]
            return self.values.get(found[1] or found[3], default)

        return _VARIABLE.sub(value, line)

    def _obeyed(self, line: str, where: str) -> Iterator[str]:
        """Carry out a directive; yield what stands in its place."""
        word, rest = [*line.split(None, 1), ""][:2]
        match word.upper():
            case "@SET":
                self._set(rest, where)
            case "@IF":
                self.skips = not _holds(rest, where)
            case "@INCLUDE":
                yield from self._included(line, re.split(r"\s[!#]", rest)[0].strip().strip("'\""), where)
            case "@ELSE" | "@ELSEIF" | "@ELIF":
                raise ValueError(f"{where}: CP2K has no {word}; write a second @IF with the opposite condition")
            case "@ENDIF" | "@PRINT":
                pass
            case _:
                yield line

    def _set(self, rest: str, where: str) -> None:
        name, value = [*rest.split(None, 1), "", ""][:2]
        if not _NAME.fullmatch(name) or not value:
            raise ValueError(f"{where}: @SET needs a name (letters, digits, _) and a value, found '@SET {rest}'")
        self.values[name] = value

    def _included(self, line: str, name: str, where: str) -> Iterator[str]:
        path = self.find(name)
        if path is None:
            yield line
            return
        if path in self.inside:
            raise ValueError(f"{where}: '{name}' includes itself")
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise ValueError(f"{where}: '{path}' cannot be read: {reason}") from error
        self.inside = (*self.inside, path)
        yield from self.lines(text)
        self.inside = self.inside[:-1]


def _holds(condition: str, where: str) -> bool:
    """Return whether a condition holds: ``a == b``, ``a /= b`` (both in brackets or not), or a word that is not 0."""
    if "$" in condition:
        raise ValueError(f"{where}: @IF {condition} asks for a variable that has no value: add @SET before it")
    compared = _CONDITION.fullmatch(condition)
    if compared is None:
        return condition not in ("", "0")
    left, right = compared[1].strip().removeprefix("(").strip(), compared[3].strip().removesuffix(")").strip()
    return (left == right) == (compared[2] == "==")
