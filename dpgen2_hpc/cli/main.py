"""The argument tree; each verb is a file of this folder, imported when it is called."""

import argparse
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from dpgen2_hpc import __version__
from dpgen2_hpc.errors import BLOCKED, BUG, DONE, InputError, StateError, StorageError, UserError
from dpgen2_hpc.state.stops import advice_on
from dpgen2_hpc.state.workdir import STEPS, WorkDir

PARAM_HELP = "what to learn: DPGEN2's input"
MACHINE_HELP = "where to run: DP-GEN's machine file"
DIALECT_HELP = "param.json as DPGEN2 has it today, as its manual of 2022 has it, or as the option -o is for"


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = parser().parse_args(words)
    verb = importlib.import_module(f"dpgen2_hpc.cli.{arguments.verb.replace('-', '_')}")
    return guarded(lambda: verb.run(arguments), arguments)


def guarded(act: Callable[[], int], arguments: argparse.Namespace) -> int:
    """Return the exit code of ``act``; what it raises is said in the way that its class asks for."""
    code = DONE
    try:
        code = act()
        sys.stdout.flush()
        return code
    except UserError as error:
        damaged = error.path if isinstance(error, StateError) else None
        print("\n".join([str(error), *advice_on(damaged, work_directory(arguments))]), file=sys.stderr)
        return error.exit_code
    except ImportError as error:
        print(f"A module of the installation cannot be read: {error}. Reinstall dpgen2_hpc.", file=sys.stderr)
        return BLOCKED
    except BrokenPipeError:  # the reader of our output has left, as in `status | head`; say nothing at the exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return code
    except OSError as error:
        return _storage(error)
    except Exception:  # noqa: BLE001  the last resort: say that it is our fault, with everything that helps to mend it
        return _bug()


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="dpgen2-hpc",
        description="DP-GEN concurrent learning on a login node and a batch queue.",
        epilog="Exit codes: 0 done, 2 bad input, 3 still running, 4 blocked, user action needed, 5 another driver "
        "holds the directory, 70 a bug, 128+n ended by signal n.",
    )
    top.add_argument("--version", action="version", version=f"dpgen2-hpc {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    _run(verbs)
    submit = _verb(verbs, "submit", "start or resume a run that goes on when this terminal is closed")
    _two_files(submit)
    _how_to_take_up(submit)
    check = _verb(verbs, "check", "say everything that is wrong with the inputs, before anything is submitted")
    _two_files(check)
    status = _verb(verbs, "status", "show where the run stands")
    status.add_argument("--json", action="store_true", help="for scripts: a stable form")
    _config_and_id(status)
    _config_and_id(_verb(verbs, "showkey", "list the keys of the finished steps"))
    _about_inputs(verbs)
    export = _verb(verbs, "export", "write the labels, the first data's and the collected ones, for another program")
    export.add_argument("format", metavar="FORMAT", help="extxyz, or a format of dpdata, as deepmd/hdf5")
    export.add_argument(
        "out", type=Path, metavar="OUT", help="the file, or for dpdata's formats the folder, to be made"
    )
    export.add_argument("--iterations", metavar="A-B", help="only what the iterations from A to B - 1 have collected")
    why = _verb(verbs, "why", "say why a task failed, or why the run stands where it does, and what helps")
    why.add_argument("keys", nargs="*", metavar="KEY", help="a task, such as iter-000001--run-fp-000002")
    retry = _verb(verbs, "retry", "run failed tasks, rejected labels or done tasks of the present step again")
    retry.add_argument("keys", nargs="+", metavar="KEY", help="a task, such as iter-000001--run-fp-000002")
    _dry_run(retry)
    skip = _verb(verbs, "skip", "go on without failed tasks or rejected labels of the present step")
    skip.add_argument("keys", nargs="+", metavar="KEY", help="a task, such as iter-000001--run-fp-000002")
    _dry_run(skip)
    rewind = _verb(verbs, "rewind", "take the present iteration back to one of its steps; folders are renamed")
    rewind.add_argument("step", choices=STEPS, metavar="STEP", help=f"one of {', '.join(STEPS)}")
    _dry_run(rewind)
    stop = _verb(verbs, "stop", "end the driver and leave its jobs; the same run goes on from there")
    stop.add_argument("--jobs", action="store_true", help="cancel the jobs too; what they did not end runs again")
    _dry_run(stop)
    return top


def _run(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = _verb(verbs, "run", "start a run, or resume it: the same line again, after anything at all")
    _two_files(run)
    how = run.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="do what can be done without waiting, then exit 3 (for cron)")
    how.add_argument("--dry-run", action="store_true", help="say what would happen next, and write nothing")
    _how_to_take_up(run)


def _how_to_take_up(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--take-over", action="store_true", help="the driver on another host is dead, and its Shell jobs too"
    )
    verb.add_argument("--new-identity", action="store_true", help="make a copied work directory a run of its own")
    verb.add_argument(
        "--requeue-waiting",
        action="store_true",
        help="cancel the jobs that still wait in the queue and submit them anew, with the resources of MACHINE",
    )


def _dry_run(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def _about_inputs(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands that explain the input files, and begin them."""
    doc = _verb(verbs, "doc", "explain the keys of the input files")
    doc.add_argument("path", nargs="?", metavar="KEY", help="for example explore.convergence; default: list all keys")
    doc.add_argument("--machine", action="store_true", help="those of machine.json")
    doc.add_argument("--markdown", action="store_true", help="all of them as the table docs/arguments.md")
    schema = _verb(verbs, "schema", "print the JSON Schema of an input file, for editors")
    schema.add_argument("file", choices=["param", "machine"], help="which file")
    for verb in (doc, schema):
        verb.add_argument("--dialect", choices=["today", "manual", "old"], default="today", help=DIALECT_HELP)
    init = _verb(verbs, "init", "write input files to begin with, their open places marked")
    init.add_argument("--fp", default="ase", metavar="TYPE", help="the first-principles code (default: ase)")
    init.add_argument("--scheduler", default="Shell", metavar="NAME", help="Shell, Slurm, PBS, Torque or LSF")


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    verb.add_argument("-C", dest="directory", type=Path, default=Path(), metavar="DIR", help="the work directory")
    return verb


def _two_files(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("param", type=Path, metavar="PARAM", help=PARAM_HELP)
    verb.add_argument("machine", type=Path, metavar="MACHINE", help=MACHINE_HELP)
    verb.add_argument("-o", "--old-compatible", action="store_true", help="accept PARAM as DPGEN2 before 0.0.6 had it")


def _config_and_id(verb: argparse.ArgumentParser) -> None:
    """Accept DPGEN2's CONFIG ID; the ID is the work directory."""
    verb.add_argument("config", nargs="?", metavar="CONFIG", help="accepted for DPGEN2's sake, not read")
    verb.add_argument("id", nargs="?", type=Path, metavar="ID", help="the work directory, as -C")


def work_directory(arguments: argparse.Namespace) -> Path:
    """Return the work directory that the command line names."""
    named: Path = getattr(arguments, "id", None) or arguments.directory
    return named.resolve()


def existing(arguments: argparse.Namespace) -> WorkDir:
    """Return the work directory of a run that is there.

    Raises
    ------
    InputError
        There is none.
    """
    config = getattr(arguments, "config", None)
    if config is not None and arguments.id is None:
        raise InputError(f"Give the work directory: {arguments.verb} -C DIR (or {arguments.verb} {config} DIR)")
    workdir = WorkDir(work_directory(arguments))
    if not workdir.record.exists():
        raise InputError(f"there is no run in '{workdir.root}' (no record.json); name its directory with -C")
    return workdir


def _storage(error: OSError) -> int:
    """Say what the system refused, and where in the program; a file that is missing should have been told by name."""
    if error.errno == errno.ENOENT:
        return _bug()
    print(StorageError(error.filename or "a system call", error), file=sys.stderr)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    print(f"(raised in {Path(frame.filename).name}, line {frame.lineno}, {frame.name})", file=sys.stderr)
    return StorageError.exit_code


def _bug() -> int:
    traceback.print_exc()
    print(f"\nThis is a bug of dpgen2-hpc {__version__}; please report the lines above.", file=sys.stderr)
    return BUG
