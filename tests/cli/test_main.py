"""The command line: exit codes, what is printed where, and what is not imported."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

import dpgen2_hpc
from dpgen2_hpc.cli import status as verb
from dpgen2_hpc.cli.main import main
from dpgen2_hpc.errors import Blocked, Fault, InputError, LockHeld, StateError, UserError
from dpgen2_hpc.state.record import Home, Record

HEAVY = {"numpy", "dargs", "dpdata", "dpdispatcher", "ase"}


@pytest.fixture
def work(tmp_path):
    """A work directory that has only begun, and a current directory that is another."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "record.json").write_text(Record("a", Home("h", "p", 1), 0, sequence=1).text())
    return tmp_path / "work"


def program(*words, cwd=None, **more):
    command = [sys.executable, "-m", "dpgen2_hpc", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, **more)


def leaves(words):
    """The exit code of words that the parser itself answers."""
    with pytest.raises(SystemExit) as error:
        main(words)
    return error.value.code


# ---- words


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["statsu"],
        ["status", "--wishful"],
        ["run"],
        ["run", "param.json"],
        ["run", "--once", "--dry-run", "p", "m"],
        ["status", "a", "b", "c"],
    ],
)
def test_unknown_words_are_bad_usage(words, capsys):
    assert leaves(words) == 2
    assert "usage: dpgen2-hpc" in capsys.readouterr().err


def test_help_names_every_command_and_every_exit_code(capsys):
    assert leaves(["-h"]) == 0
    text = capsys.readouterr().out
    assert [word for word in ("run", "check", "status", "showkey", "70 a bug", "128+n") if word not in text] == []


@pytest.mark.parametrize("name", ["run", "check", "status", "showkey"])
def test_each_command_has_help_of_its_own_and_takes_a_directory(name, capsys):
    assert leaves([name, "-h"]) == 0
    assert "-C DIR" in capsys.readouterr().out


def test_the_version_is_the_packages(capsys):
    assert leaves(["--version"]) == 0
    assert capsys.readouterr().out == f"dpgen2-hpc {dpgen2_hpc.__version__}\n"


# ---- the directory


def test_the_current_directory_is_the_work_directory_unless_another_is_named(work, monkeypatch, capsys):
    monkeypatch.chdir(work)
    assert main(["status"]) == 0
    monkeypatch.chdir(work.parent)
    assert main(["status"]) == 2
    assert "no run in" in capsys.readouterr().err
    assert main(["status", "-C", "work"]) == 0


@pytest.mark.parametrize("name", ["status", "showkey"])
def test_the_manuals_config_and_id_are_accepted_and_the_id_is_the_directory(work, monkeypatch, capsys, name):
    monkeypatch.chdir(work.parent)
    assert main([name, "-C", "work"]) == 0
    expected = capsys.readouterr().out
    assert main([name, "no-such-config.json", "work"]) == 0
    assert capsys.readouterr().out == expected


def test_a_single_word_is_not_silently_taken_for_a_config_while_the_current_directorys_run_is_shown(
    work, monkeypatch, capsys
):
    monkeypatch.chdir(work)
    (work.parent / "other").mkdir()
    assert main(["status", "../other"]) == 2
    assert capsys.readouterr().out == ""


def test_a_directory_without_a_run_is_bad_input_and_says_how_to_name_one(tmp_path, capsys):
    assert main(["status", "-C", str(tmp_path)]) == 2
    assert main(["showkey", "-C", str(tmp_path / "nowhere")]) == 2
    assert "-C" in capsys.readouterr().err


def test_status_prints_text_or_json(work, capsys):
    assert main(["status", "-C", str(work)]) == 0
    assert capsys.readouterr().out.startswith("#  stage  id_stg.")
    assert main(["status", "--json", "-C", str(work)]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "stopped"


def test_showkey_prints_the_listing(work, capsys):
    assert main(["showkey", "-C", str(work)]) == 0
    assert capsys.readouterr().out == "0 : init--scheduler\n1 : init--id\n"


# ---- exit codes


def fails(error):
    def run(arguments):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError([Fault("param.json", ("fp",), "is wrong", 3)]), 2),
        (InputError("no such thing"), 2),
        (UserError("a person"), 4),
        (Blocked("a person"), 4),
        (StateError("a broken file"), 4),
        (LockHeld("another driver"), 5),
    ],
)
def test_an_error_for_the_user_is_its_message_alone_and_its_own_code(monkeypatch, capsys, error, code):
    monkeypatch.setattr(verb, "run", fails(error))
    assert main(["status"]) == code
    assert capsys.readouterr() == ("", f"{error}\n")


def test_all_faults_are_told_at_once_each_with_its_place(monkeypatch, capsys):
    faults = [Fault("param.json", ("explore", "stages", 0), "is wrong", 3, 5), Fault("machine.json", ("fp",), "too")]
    monkeypatch.setattr(verb, "run", fails(InputError(faults)))
    assert main(["status"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "param.json:3:5: explore.stages[0]: is wrong",
        "machine.json: fp: too",
    ]


@pytest.mark.parametrize(
    "error", [ValueError("surprise"), KeyError("x"), FileNotFoundError(2, "No such file", "/gone"), RecursionError()]
)
def test_a_bug_is_said_to_be_one_with_everything_that_helps_to_fix_it(monkeypatch, capsys, error):
    monkeypatch.setattr(verb, "run", fails(error))
    assert main(["status"]) == 70
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert type(error).__name__ in text
    assert f"This is a bug of dpgen2-hpc {dpgen2_hpc.__version__}" in text


@pytest.mark.parametrize(
    "number", [errno.ESTALE, errno.EMFILE, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.E2BIG, None]
)
def test_what_the_system_refuses_is_told_like_a_full_disk(monkeypatch, capsys, number):
    error = (
        shutil.Error([("/a", "/b", "why")]) if number is None else OSError(number, os.strerror(number), "/disk/file")
    )
    monkeypatch.setattr(verb, "run", fails(error))
    assert main(["status"]) == 4
    text = capsys.readouterr().err
    assert "Nothing is lost" in text
    assert "Traceback" not in text


def test_a_full_disk_is_not_a_bug(monkeypatch, capsys):
    monkeypatch.setattr(verb, "run", fails(OSError(28, "No space left on device", "/disk/file")))
    assert main(["status"]) == 4
    text = capsys.readouterr().err
    assert "'/disk/file': No space left on device. Nothing is lost" in text
    assert "Traceback" not in text


def test_a_record_that_was_broken_by_hand_stops_with_its_name(work, capsys):
    (work / "record.json").write_text('{"schema": 1,\n "sequence" 7}')
    assert main(["status", "-C", str(work)]) == 4
    assert "record.json', line 2" in capsys.readouterr().err


def test_files_that_are_not_there_are_bad_input(tmp_path):
    done = program("check", "param.json", "machine.json", cwd=tmp_path)
    assert done.returncode == 2
    assert [name for name in ("param.json", "machine.json") if name not in done.stderr] == []
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


# ---- who listens


@pytest.mark.parametrize("words", [["status"], ["showkey"], ["status", "--json"]])
def test_a_reader_that_has_left_is_no_error(work, words):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "dpgen2_hpc", *words]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, cwd=work, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, env=env)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_has_left_does_not_turn_the_exit_code_into_done(work):
    words = "import sys; from dpgen2_hpc.cli import main, status; status.run = lambda arguments: print('x') or 3; "
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", words + "sys.exit(main.main(['status']))"]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, cwd=work, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, env=env)
    os.close(writer)
    assert (done.returncode, done.stderr) == (3, "")


def test_a_reader_that_leaves_in_the_middle_is_no_error(work, monkeypatch, capfd):
    monkeypatch.setattr(verb, "run", fails(BrokenPipeError(32, "Broken pipe")))
    saved = sys.stderr
    sys.stderr = open(os.devnull, "w")
    try:
        assert main(["status", "-C", str(work)]) == 0
    finally:
        sys.stderr = saved


NOHUP = """
import os, signal
for number in (signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
from dpgen2_hpc.loop.signals import Signals
with Signals() as signals:
    for number in (signal.SIGHUP, signal.SIGINT):
        os.kill(os.getpid(), number)
    signals.wait(0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    try:
        signals.check()
    except Exception as error:
        print(error)
"""


def test_signals_that_the_driver_was_started_to_ignore_do_not_end_it():
    """``nohup dpgen2-hpc run ... &`` is how people leave a driver behind."""
    done = subprocess.run([sys.executable, "-c", NOHUP], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, f"signal {int(signal.SIGTERM)}"), done.stderr


# ---- what is imported

IMPORTED = f"""
import sys
from dpgen2_hpc.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as error:
    code = error.code
print("heavy:", sorted({{name.partition(".")[0] for name in sys.modules}} & {HEAVY}))
sys.exit(code)
"""


@pytest.mark.parametrize("words", [["status"], ["status", "--json"], ["showkey"], ["-h"], ["--version"], ["run", "-h"]])
def test_quick_commands_import_nothing_heavy(work, words):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *words], cwd=work, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_importing_the_package_does_nothing(tmp_path):
    words = "import sys; before = set(sys.modules); import dpgen2_hpc; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("['dpgen2_hpc']\n", "")
    assert list(tmp_path.iterdir()) == []
