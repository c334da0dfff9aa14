"""The users' commands, read as a shell reads them: what they start, and where our own arguments would go.

A command is followed by arguments of this program, such as ``-i in.lammps``. So it must end with the program that they
are for: ``module load x && mpirun -n 4 lmp > log 2>&1`` does, ``lmp | tee log`` and ``lmp || :`` do not.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

KEYWORDS = frozenset({"if", "then", "else", "elif", "fi", "do", "done", "while", "for", "!", "{", "}", "time", "exec"})
ENDS = frozenset({"fi", "done", "}", "esac"})
"""Words behind which a command can have no arguments."""

BUILTINS = frozenset({
    "source", ".", ":", "[", "[[", "test", "export", "cd", "set", "ulimit", "module", "ml", "eval", "echo",
    "printf", "true", "false", "umask", "exit", "wait", "unset", "trap",
})  # fmt: skip
BYSTANDERS = BUILTINS | {"tee", "cat", "touch", "date", "sleep", "rm", "cp", "mv", "mkdir", "tail", "head", "grep"}
"""Programs that never are what a step runs."""

LAUNCHERS = frozenset({
    "mpirun", "mpiexec", "mpiexec.hydra", "orterun", "srun", "aprun", "jsrun", "ibrun", "env", "nice", "nohup",
    "timeout", "numactl", "taskset", "xargs",
})  # fmt: skip
"""What starts the program whose name comes later in the line."""

WRAPPERS = frozenset({
    "apptainer", "singularity", "docker", "podman", "shifter", "udocker", "conda", "mamba", "micromamba", "ssh",
})  # fmt: skip
"""Launchers with an image, an environment or a host before the program: their options may look like those of ours."""

_VALUED = """
-u -x -p -c -C -w -i -o -e -f -ppn -bind-to -map-by --bind-to --map-by --rank-by --host -host --hosts -hosts --hostfile
-hostfile -machinefile --machinefile --partition --cpu-bind --mem-bind --gpu-bind --mpi --distribution --hint --export
--env --depth --pmi
"""
VALUED = {**dict.fromkeys(_VALUED.split(), 1), **dict.fromkeys(("--mca", "-mca", "-genv", "-env"), 2)}
"""Options of launchers that take the next word, or the next two; a number is not a program anyway."""

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})

MOST = 4
"""Words of ours that a message shows; of more the first two."""

_TOKEN = re.compile(
    r"""[^\S\n]*(?:
    (?P<comment>\#[^\n]*)
  | (?P<redirection>(?:\d+|&)?(?:>>|>\||>&|<<<|<<-?|<>|<&|>|<))
  | (?P<operator>\|\||&&|;;|\|&|[;|&()\n])
  | (?P<word>(?:'[^']*'|"(?:\\.|[^"\\])*"|\$\([^()]*\)|\$\{[^}]*\}|`[^`]*`|\\.|[^\s'"\\;|&()<>`])+)
    )""",
    re.VERBOSE | re.DOTALL,
)


@dataclass
class Part:
    """A simple command: its words, its redirections (operator, target) and the operator behind it."""

    words: list[str] = field(default_factory=list)
    redirections: list[tuple[str, str]] = field(default_factory=list)
    operator: str = ""


def parts(command: str) -> list[Part]:
    """Return the simple commands of a line.

    Raises
    ------
    ValueError
        The sentence says what a shell would not accept.
    """
    found, rest, place = [Part()], command.strip(), 0
    redirection = ""
    while place < len(rest):
        token = _TOKEN.match(rest, place)
        if token is None:
            raise ValueError("has a quote that is not closed, or ends with a backslash")
        place, kind, text = token.end(), token.lastgroup, str(token[token.lastgroup or 0])
        if redirection and kind != "word":
            break
        if redirection:
            found[-1].redirections.append((redirection, text))
            redirection = ""
        elif kind == "word":
            found[-1].words.append(text)
        elif kind == "redirection":
            redirection = text
        elif kind == "operator":
            found[-1].operator = text
            found.append(Part())
        else:
            found[-1].operator = "#"
    if redirection:
        raise ValueError(f"has nothing behind '{redirection}': name a file there, or remove it")
    return found


# ---- which programs


def programs(command: str) -> Iterator[tuple[str, bool]]:
    """Yield the programs that a shell command starts, and whether the word is surely one.

    What a launcher such as mpirun starts is a guess: the first word that is not an option, a number or an assignment.
    """
    try:
        found = parts(command)
    except ValueError:
        return
    for part in found:
        words = part.words[_begin(part.words) :]
        if not words or words[0] in BUILTINS or any(letter in words[0] for letter in "$`*"):
            continue
        program = _plain(words[0])
        yield program, True
        if Path(program).name in LAUNCHERS and (place := _launched(words)):
            yield _plain(words[place]), False


def _begin(words: Sequence[str]) -> int:
    """Return the place of the program among the words of a simple command: behind keywords and assignments."""
    return next((place for place, word in enumerate(words) if word not in KEYWORDS and not _assigns(word)), len(words))


def _assigns(word: str) -> bool:
    return bool(re.match(r"\w+=", word))


def _plain(word: str) -> str:
    return re.sub(r"""['"\\]""", "", word)


def _launched(words: Sequence[str]) -> int:
    """Return the place of the word that a launcher starts, 0 if it cannot be told."""
    taken = 0
    for place, word in enumerate(words[1:], 1):
        if taken:
            taken -= 1
        elif re.match(r"-|\d|\w+=|[$`*]", word):
            taken = VALUED.get(word, 0)
        else:
            return place
    return 0


# ---- where our arguments go


def added_words(command: str, whole: str) -> list[str] | None:
    """Return the words that follow the user's ``command`` in the ``whole`` command of a task.

    A redirection behind it counts as a word; ``None``: nothing follows, or it cannot be told.
    """
    place = re.search(rf"(?<!\S){re.escape(command)}(?![^\s;])", whole)
    if place is None:
        return None
    rest = re.match(r"[^\n;|&]*", whole[place.end() :])
    return rest[0].split() or None if rest else None


def without_ours(command: str, whole: str) -> str:
    """Return a command without the options at its end that this program adds itself, word for word.

    DP-GEN's ``cp2k.popt -i input.inp`` is ``cp2k.popt``; ``dp train input.json`` stays, for ``train`` is no option.
    """
    own = command.strip()
    added = added_words(own, whole) or []
    for count in range(len(added), 0, -1):
        ours = r"\s+".join(map(re.escape, added[:count]))
        if added[0].startswith("-") and (end := re.search(rf"\s+{ours}$", own)):
            return own[: end.start()]
    return own


def command_problem(command: str, whole: str) -> str | None:
    """Return what is wrong with the user's ``command`` for a task that runs ``whole``; ``None``: nothing."""
    own = command.strip()
    try:
        found = parts(own)
    except ValueError as error:
        return str(error)
    added = added_words(own, whole)
    last = found[-1] if found[-1].words or found[-1].redirections or len(found) == 1 else found[-2]
    if last.operator in ("&", "&&", "||", "|", "|&") and last is not found[-1]:
        return _unfinished(last.operator)
    problem = None if added is None else _unreached(own, found, added) or _repeated(own, last, added)
    return problem or _unreadable(own, whole)


def _unreadable(command: str, whole: str) -> str | None:
    """Return bash's own words on a command that it cannot read; those without any syntax are not asked about."""
    if not re.search(r"[;&|(){}\n!]|\b(if|while|for|case)\b", command) or shutil.which("bash") is None:
        return None
    done = subprocess.run(
        ["bash", "-n", "-c", "--", whole], capture_output=True, text=True, errors="replace", timeout=60, check=False
    )
    words = done.stderr.strip().splitlines()[:1]
    return f"cannot be read by a shell: {words[0]}" if done.returncode and words else None


def _unfinished(operator: str) -> str:
    if operator == "&":
        return "ends with '&': the task would be over before its program has ended. Remove the '&'"
    return f"ends with '{operator}': write a command behind it, or remove it"


def _unreached(command: str, found: Sequence[Part], added: Sequence[str]) -> str | None:
    """Return why arguments behind the command would not reach its program."""
    last = found[-1]
    before = found[-2].operator if len(found) > 1 else ""
    words = last.words[_begin(last.words) :]
    shown = f"'{_shown(added)}' is added at the end of this command, and"
    if last.operator == "#":
        return f"{shown} nothing is read behind '#': remove the comment"
    if not last.words or last.words[0] in ENDS:
        return f"{shown} '{last.words[0] if last.words else before}' stands there: let it end with the program"
    if not words:
        return "starts no program: write one at its end"
    if before in ("|", "|&", "||") or (before and Path(_plain(words[0])).name in BYSTANDERS):
        return f"{shown} would go to '{' '.join(last.words)}', not to the program: write '{_alone(command, before)}'"
    return _swallowed(last, words, shown)


def _swallowed(last: Part, words: Sequence[str], shown: str) -> str | None:
    """Return why a program would not see the arguments behind it."""
    given = next((f"{sign} {target}" for sign, target in last.redirections if sign.startswith("<")), None)
    if given:
        return f"{shown} names the input: remove '{given}'"
    if Path(_plain(words[0])).name in SHELLS and words[-2:-1] == ["-c"]:
        return f"{shown} would not reach what '{words[0]} -c' runs: write the program alone"
    return None


def _alone(command: str, operator: str) -> str:
    """Return what stands before an operator, without the input."""
    first = re.split(rf"\s*{re.escape(operator)}\s*" if operator.strip() else r"\n", command)[0]
    return re.sub(r"\s*<+\s*\S+", "", first)


def _repeated(command: str, last: Part, added: Sequence[str]) -> str | None:
    """Return which of the arguments that are added the command has already."""
    place = _begin(last.words)
    program = Path(_plain(last.words[place])).name if place < len(last.words) else ""
    launched = _launched(last.words[place:]) if program in LAUNCHERS else 0
    options = [word for word in added if word.startswith("-")] if program not in WRAPPERS else []
    values = [word for word in added if not word.startswith(("-", ">"))]
    for index in range(place + launched + 1, len(last.words)):
        word = last.words[index]
        if word in values or any(_is_same(word, option) for option in options):
            end = re.search(rf"\s+{re.escape(word)}(?!\S)", command)
            alone = command[: end.start()] if end else program
            more = _options_of_train(last.words[index + 1 :]) if word == "train" else ""
            return f"has '{word}', but '{_shown(added)}' is added by this program: write '{alone}'{more}"
    return None


def _options_of_train(words: Sequence[str]) -> str:
    """Return where the options behind ``dp train`` belong; empty if there are none."""
    first = next((place for place, word in enumerate(words) if word.startswith("-")), None)
    return "" if first is None else f", and '{' '.join(words[first:])}' into train.config.train_args"


def _shown(added: Sequence[str]) -> str:
    return " ".join(added if len(added) <= MOST else [*added[:2], "..."])


def _is_same(word: str, option: str) -> bool:
    """Whether a word is an option or another spelling of it: ``-i``, ``-in`` and ``-input``; ``-l`` and ``-log``."""
    return word.startswith("-") and word.strip("-") != "" and (word.startswith(option) or option.startswith(word))
