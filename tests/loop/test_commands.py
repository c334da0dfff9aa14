"""The users' commands: which of them can have our arguments, and which words in them are programs."""

import shutil
import subprocess

import pytest

from dpgen2_hpc.loop.commands import command_problem, programs, without_ours
from dpgen2_hpc.loop.plan import load_plan
from dpgen2_hpc.train.command import training_command

MD = " -i in.lammps -log log.lammps"
PW = " -in pw.in > pw.out"

GOOD = [
    ("lmp", ["lmp"]),
    ("mpirun -n 4 lmp", ["mpirun", "lmp"]),
    ("mpirun -n 4 --bind-to core lmp -sf gpu -pk gpu 1", ["mpirun", "lmp"]),
    ("mpirun -n 4 lmp > log 2>&1", ["mpirun", "lmp"]),
    ("lmp &> log", ["lmp"]),
    ("lmp 2>/dev/null", ["lmp"]),
    ("srun --mpi=pmi2 -n 8 lmp >> 'my log' 2> err", ["srun", "lmp"]),
    ("OMP_NUM_THREADS=2 mpirun -n 8 lmp", ["mpirun", "lmp"]),
    ("module load lammps && lmp", ["lmp"]),
    ("module load lammps; lmp\n", ["lmp"]),
    ("module load lammps\nmpirun lmp", ["mpirun", "lmp"]),
    ("source ~/env.sh > /dev/null 2>&1 && lmp", ["lmp"]),
    ("apptainer exec --nv img.sif lmp", ["apptainer"]),
    ("docker run -i --rm image lmp", ["docker"]),
    ("bash -c 'ulimit -s unlimited; lmp \"$@\"' lmp", ["bash"]),
    ("sh -c 'sleep 1; exec lmp \"$@\"' --", ["sh"]),
    ("$(command -v lmp)", []),
    ("$LMP", []),
    ("'/opt/my lmp/lmp'", ["/opt/my lmp/lmp"]),
    ("nvidia-cuda-mps-control -d & lmp", ["nvidia-cuda-mps-control", "lmp"]),
    ("test -f done || lmp_prepare; lmp -echo both", ["lmp_prepare", "lmp"]),
    ("timeout 3600 nice -n 5 lmp", ["timeout", "nice"]),
]

ADDED = "'-i in.lammps -log log.lammps' is added at the end of this command, and"
OWN = "but '-i in.lammps -log log.lammps' is added by this program: write"

BAD = [
    ("lmp &", "ends with '&': the task would be over before its program has ended. Remove the '&'"),
    ("mpirun -n 4 lmp > log 2>&1 &", "ends with '&': the task would be over before its program has ended. Remove the"),
    ("lmp &&", "ends with '&&': write a command behind it, or remove it"),
    ("lmp |", "ends with '|': write a command behind it, or remove it"),
    (") lmp", "cannot be read by a shell: bash: -c: "),
    ("if true lmp", "cannot be read by a shell: bash: -c: "),
    ("( cd x && lmp", "cannot be read by a shell: bash: -c: "),
    ("lmp <", "has nothing behind '<': name a file there, or remove it"),
    ("lmp > ; x", "has nothing behind '>': name a file there, or remove it"),
    ("lmp 'x", "has a quote that is not closed, or ends with a backslash"),
    ("OMP_NUM_THREADS=2", "starts no program: write one at its end"),
    ("{", "starts no program: write one at its end"),
    ("lmp || :", f"{ADDED} would go to ':', not to the program: write 'lmp'"),
    ("mpirun lmp || true", f"{ADDED} would go to 'true', not to the program: write 'mpirun lmp'"),
    ("lmp | tee log", f"{ADDED} would go to 'tee log', not to the program: write 'lmp'"),
    ("lmp 2>&1 | my_filter", f"{ADDED} would go to 'my_filter', not to the program: write 'lmp 2>&1'"),
    ("lmp && echo done", f"{ADDED} would go to 'echo done', not to the program: write 'lmp'"),
    ("lmp; exit 0", f"{ADDED} would go to 'exit 0', not to the program: write 'lmp'"),
    ("lmp;", f"{ADDED} ';' stands there: let it end with the program"),
    ("(module load x; lmp)", f"{ADDED} ')' stands there: let it end with the program"),
    ("if true; then lmp; fi", f"{ADDED} 'fi' stands there: let it end with the program"),
    ("lmp # the fast one", f"{ADDED} nothing is read behind '#': remove the comment"),
    ("lmp < in.lammps", f"{ADDED} names the input: remove '< in.lammps'"),
    ("bash -c lmp", f"{ADDED} would not reach what 'bash -c' runs: write the program alone"),
    ("lmp -i input.lammps -v restart 0", f"has '-i', {OWN} 'lmp'"),
    ("mpirun -n 4 lmp -sf omp -in input.lammps", f"has '-in', {OWN} 'mpirun -n 4 lmp -sf omp'"),
    ("lmp -l none", f"has '-l', {OWN} 'lmp'"),
]


@pytest.mark.parametrize(("command", "started"), GOOD)
def test_a_command_that_ends_with_its_program_is_good_whatever_stands_before(command, started):
    assert command_problem(command, command.strip() + MD) is None
    assert [program for program, _ in programs(command)] == started


@pytest.mark.parametrize(("command", "expected"), BAD)
def test_a_command_that_our_arguments_do_not_reach_is_refused_in_these_words(command, expected):
    assert (command_problem(command, command + MD) or "")[: len(expected)] == expected


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_shell_agrees_on_whom_the_arguments_reach(tmp_path):
    """Each command is run with a program of this name that notes what it got; all in one shell."""
    note = 'note() { while [ $# -gt 1 ]; do shift; done; [ "$1" != log.lammps ] || touch got; }\n'
    names = ["lmp", "mpirun", "srun", "module", "source", "apptainer", "docker"]
    functions = note + "".join(f'{name}() {{ note "$@"; }}\n' for name in names)
    plain = [text for text, started in GOOD if set(started) <= set(names) and started and "bash" not in text]
    given = [(text, True) for text in plain] + [(text, False) for text, why in BAD if "would go to" in why]
    script = functions + "".join(
        f"rm -f got; ( {text.strip()}{MD}\n) > /dev/null 2>&1 < /dev/null\n[ -e got ] && echo yes || echo no\n"
        for text, _ in given
    )
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["yes" if reached else "no" for _, reached in given], done.stderr


@pytest.mark.parametrize(
    "command", ["vasp_std | tee log", "g16 < input || :", "vasp_std > log 2>&1", "(cd x; vasp_std)"]
)
def test_where_nothing_is_added_a_command_may_end_as_it_likes(command):
    assert command_problem(command, command) is None


@pytest.mark.parametrize("command", ["vasp_std &", "vasp_std <", "vasp_std |"])
def test_but_it_must_end(command):
    assert command_problem(command, command) is not None


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("dp", None),
        ("dp --pt", None),
        ("mpirun -n 2 dp > log 2>&1", None),
        ("python -m deepmd", None),
        ("sh -c 'ulimit -s unlimited; exec dp \"$@\"' --", None),
        ("apptainer exec --nv image.sif dp", None),
        ("dp train", "has 'train', but 'train input.json ...' is added by this program: write 'dp'"),
        (
            "/opt/dp train my.json > log",
            "has 'train', but 'train input.json ...' is added by this program: write '/opt/dp'",
        ),
        (
            "apptainer exec i.sif dp train input.json",
            "has 'train', but 'train input.json ...' is added by this program:",
        ),
        (
            "cp ../big.pb . ; dp train input.json --finetune big.pb",
            "has 'train', but 'train input.json ...' is added by this program: write 'cp ../big.pb . ; dp', and '--fi",
        ),
        ("dp &", "ends with '&'"),
    ],
)
def test_the_command_of_a_training_is_dp_alone(command, expected):
    problem = command_problem(command, training_command(command, "--skip-neighbor-stat", "frozen_model.pb"))
    assert (problem or "")[: len(expected or "")] == (expected or ""), problem
    assert (problem is None) == (expected is None)


def test_the_spellings_of_pw_x_for_its_input_are_one_option():
    assert command_problem("pw.x -nk 4 -ndiag 4", "pw.x -nk 4 -ndiag 4" + PW) is None
    for word in ("-i", "-in", "-inp", "-input"):
        problem = command_problem(f"mpirun pw.x {word} a", f"mpirun pw.x {word} a{PW}")
        assert problem == f"has '{word}', but '-in pw.in > pw.out' is added by this program: write 'mpirun pw.x'"


@pytest.mark.parametrize(
    ("command", "added", "meant"),
    [
        ("cp2k.popt -i input.inp", " -i input.inp > output", "cp2k.popt"),
        ("mpirun -n 4 cp2k.psmp  -i  input.inp > output ", " -i input.inp > output", "mpirun -n 4 cp2k.psmp"),
        ("cp2k.popt -i", " -i input.inp > output", "cp2k.popt"),
        ("cp2k.popt -i other.inp", " -i input.inp > output", "cp2k.popt -i other.inp"),
        ("cp2k.popt", " -i input.inp > output", "cp2k.popt"),
        ("dp train input.json", " train input.json --skip-neighbor-stat", "dp train input.json"),
    ],
)
def test_options_of_ours_at_the_end_of_a_command_are_left_out_if_they_are_the_same(command, added, meant):
    assert without_ours(command, command.strip() + added) == meant


def test_a_command_with_our_options_runs_without_them_and_that_is_told(project):
    """The command of CP2K in machine files of DP-GEN, which adds nothing to it."""
    (project.folder / "cp2k.inp").write_text(
        "&FORCE_EVAL\n&SUBSYS\n" + "".join(f"&KIND {name}\n&END\n" for name in ("Al", "Cu")) + "&END\n&END\n"
    )
    project.param["fp"] = {"type": "cp2k", "inputs_config": {"inp_file": "cp2k.inp"}}
    project.machine["fp"]["command"] = "mpirun -n 4 cp2k.popt -i input.inp"
    project.write()
    plan = load_plan(project.folder / "param.json", project.folder / "machine.json")
    assert plan.commands()["fp"] == "mpirun -n 4 cp2k.popt -i input.inp > output"
    (told,) = plan.param.notices
    assert (told.file, told.message) == (
        str(project.folder / "machine.json"),
        "this program adds '-i input.inp' itself",
    )
    assert told.line
