"""The command of a training, as a shell runs it: how dp is called, in which order, and what the exit code is."""

import subprocess

import pytest

from dpgen2_hpc.kinds import CheckContext
from dpgen2_hpc.train.deepmd import DeepmdTrainer

TRAIN = "train input.json"
FREEZE = "freeze -o frozen_model.pb"
AGAIN = "freeze -c restart/model.ckpt -o frozen_model.pb"
TEST = "test -m frozen_model.pb -f test_systems.txt -n 1 -d test_system"

DP = """#!/bin/sh
echo "$@" >> calls
printf '<%s>\\n' "$@" >> words
[ "$1" = train ] && [ ! -e saves_nothing ] && touch checkpoint
[ ! -e fail_$1 ] || exit $(cat fail_$1)
"""


def trainer(**more):
    return DeepmdTrainer(2, ({"model": {}, "training": {}},), **more)


@pytest.fixture
def folder(tmp_path):
    """A task's folder with a program that only writes down how it was called."""
    (tmp_path / "dp").write_text(DP)
    (tmp_path / "dp").chmod(0o755)
    return tmp_path


def carried(folder):
    (folder / "restart").mkdir()
    (folder / "restart" / "step").write_text("10\n")


def run(folder, **more):
    """Run the command; return its exit code, what it printed, and the calls."""
    command = trainer(dp="./dp", **more).command_line(())
    done = subprocess.run(["bash", "-c", command], cwd=folder, timeout=20, capture_output=True, text=True)
    assert done.stderr == ""
    return done.returncode, done.stdout, (folder / "calls").read_text().splitlines()


def test_the_command_trains_and_freezes_and_loads_the_model(folder):
    assert run(folder) == (0, "", [TRAIN, FREEZE, TEST])


def test_the_users_words_reach_dp_train_alone(folder):
    assert run(folder, train_args="--skip-neighbor-stat")[2] == [f"{TRAIN} --skip-neighbor-stat", FREEZE, TEST]


def test_a_checkpoint_that_was_carried_over_is_where_the_training_goes_on(folder):
    carried(folder)
    assert run(folder, train_args="-v 1")[2] == [f"{TRAIN} -v 1 --restart restart/model.ckpt", FREEZE, TEST]


def test_a_carried_checkpoint_is_frozen_itself_where_dp_had_no_step_to_do_and_saved_nothing(folder):
    carried(folder)
    (folder / "saves_nothing").touch()
    assert run(folder)[2] == [f"{TRAIN} --restart restart/model.ckpt", AGAIN, TEST]


def test_a_training_from_the_start_that_saved_nothing_fails_in_its_freeze(folder):
    (folder / "saves_nothing").touch()
    (folder / "fail_freeze").write_text("1")
    assert run(folder)[::2] == (1, [TRAIN, FREEZE])


def test_a_folder_that_was_not_filled_to_its_end_is_not_gone_on_from(folder):
    (folder / "restart").mkdir()
    (folder / "restart" / "model.ckpt.index").touch()
    assert run(folder)[2] == [TRAIN, FREEZE, TEST]


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("code", [1, 2, 137, 143])
@pytest.mark.parametrize(("verb", "calls"), [("train", 1), ("freeze", 2), ("test", 3)])
def test_the_first_program_that_fails_ends_the_task_with_its_own_code(folder, verb, calls, code, restart):
    """A code above 128 tells the driver that something ended the program from outside."""
    (folder / f"fail_{verb}").write_text(str(code))
    if restart:
        carried(folder)
    found, said, made = run(folder)
    assert (found, len(made)) == (code, calls)
    assert said == (f"'dp test' could not load the frozen model (exit code {code})\n" if verb == "test" else "")


def test_the_program_may_be_called_otherwise():
    assert trainer(dp="singularity exec a.sif dp").command_line(()).count("singularity exec a.sif dp ") == 5


# ---- the user's words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--log-path 'a b.log'", ["--log-path", "a b.log"]),
        ('-l "it\'s"', ["-l", "it's"]),
        ("-l a\\ b", ["-l", "a b"]),
        ("-l $(touch pwned)", ["-l", "$(touch", "pwned)"]),
        ("-l `touch pwned`; touch pwned", ["-l", "`touch", "pwned`;", "touch", "pwned"]),
        ("-l a && touch pwned", ["-l", "a", "&&", "touch", "pwned"]),
        ("> pwned", [">", "pwned"]),
        ("-l ~ -v *", ["-l", "~", "-v", "*"]),
        ("  -v   1  ", ["-v", "1"]),
        ("", []),
    ],
)
def test_words_reach_dp_as_they_are_and_no_shell_sees_them(folder, text, words):
    assert run(folder, train_args=text)[0] == 0
    seen = (folder / "words").read_text().splitlines()
    assert seen[: 2 + len(words)] == ["<train>", "<input.json>", *(f"<{word}>" for word in words)]
    assert not (folder / "pwned").exists()


@pytest.mark.parametrize(
    "start",
    [
        *("--init-model m", "-i m", "-im", "--init-model=m", "--init-m m"),
        *("--init-frz-model m.pb", "-f m.pb", "--init-frz=m.pb", "--finetune m.pb", "-t m.pb", "--fine m.pb"),
    ],
)
def test_a_model_to_begin_with_gives_way_to_the_checkpoint_which_dp_does_not_take_beside_it(folder, start):
    assert run(folder, train_args=f"-v 1 {start} --skip-neighbor-stat")[2][0].startswith(f"{TRAIN} -v 1 {start[:3]}")
    carried(folder)
    (folder / "calls").unlink()
    calls = run(folder, train_args=f"-v 1 {start} --skip-neighbor-stat")[2]
    assert calls[0] == f"{TRAIN} -v 1 --skip-neighbor-stat --restart restart/model.ckpt"


def problems(train_args):
    found = trainer(train_args=train_args).checks(CheckContext(("Al",), (27.0,), 2))
    return [text for path, text in found if path == ("config", "train_args")]


@pytest.mark.parametrize("text", ["-l 'a", '-l "a', "-l a\\", "it's"])
def test_a_quote_that_is_not_closed_is_a_problem_that_says_what_to_do(text):
    (problem,) = problems(text)
    assert problem.startswith("cannot be split into words (no ")
    assert problem.endswith("close the quote, or escape it with a backslash")


@pytest.mark.parametrize("text", ["-l 'a\nb'", "-l a\0"])
def test_control_characters_are_a_problem(text):
    assert problems(text) == ["has a line break or a NUL character: remove it"]


@pytest.mark.parametrize("text", ["--restart a", "-r a", "--restart=a", "--rest a", "-ra"])
def test_a_restart_of_the_users_own_is_a_problem(text):
    assert "a killed training goes on from its checkpoint by itself" in problems(text)[0]


@pytest.mark.parametrize(
    "text", ["", "--skip-neighbor-stat", "-v 3 -l 'a b'", "--init-frz-model a.pb", "-o 'it'\"'\"'s'"]
)
def test_other_words_are_none(text):
    assert problems(text) == []
