"""The examples can be loaded, and README.md speaks of what there is."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from project import write_initial_data

from dpgen2_hpc.cli.main import parser
from dpgen2_hpc.data.reading import read_frames
from dpgen2_hpc.fp.ase import label
from dpgen2_hpc.inputs.policy import arguments
from dpgen2_hpc.loop.plan import load_plan

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
INPUTS = ["al-cu-emt"]
"""Those that bring all that they need; the others are loaded by tests/inputs/test_input_examples.py."""

MACHINES = sorted(path.name for path in ROOT.glob("machine_examples/*.json"))
README = (ROOT / "README.md").read_text()
DEMO = json.loads((ROOT / "input_examples/al-cu-emt/param.json").read_text())
LOCAL = json.loads((ROOT / "machine_examples/local.json").read_text())

needs_ase = pytest.mark.skipif(importlib.util.find_spec("ase") is None, reason="ase is not installed")


def copied(name, folder):
    """Copy an example and make its data: with its own script where ase is there, else a stand-in."""
    shutil.copytree(ROOT / "input_examples" / name, folder)
    if importlib.util.find_spec("ase"):
        made_data(folder, "data")
    else:
        write_initial_data(folder / "data")
    return folder


def made_data(folder, name):
    script = ROOT / "input_examples/al-cu-emt/make_data.py"
    subprocess.run([sys.executable, str(script), name], cwd=folder, check=True, timeout=120)
    return folder / name


# ---- the examples


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", INPUTS)
def test_every_example_is_understood_with_every_machine(name, machine, tmp_path):
    folder = copied(name, tmp_path / name)
    plan = load_plan(folder / "param.json", ROOT / "machine_examples" / machine)
    assert plan.param.meaningless == ()
    assert set(plan.machines) == {"train", "explore", "fp"}


@pytest.mark.parametrize("machine", MACHINES)
def test_an_example_sets_the_threads_for_deepmd_kit_2_and_3(machine, tmp_path):
    """Version 2.2 reads TF_* alone, 3 reads DP_* first."""
    folder = copied("al-cu-emt", tmp_path / "demo")
    plan = load_plan(folder / "param.json", ROOT / "machine_examples" / machine)
    for step in ("train", "explore"):
        envs = plan.machines[step].resources["envs"]
        for place in ("INTRA", "INTER"):
            assert int(envs[f"TF_{place}_OP_PARALLELISM_THREADS"]) == int(envs[f"DP_{place}_OP_PARALLELISM_THREADS"])
        assert int(envs["DP_INTRA_OP_PARALLELISM_THREADS"]) == plan.machines[step].cpu_per_node


def test_there_is_an_example_of_each():
    assert "al-cu-emt" in INPUTS
    assert set(MACHINES) >= {"local.json", "slurm.json", "pbs.json", "lsf.json", "dpgen-slurm.json"}


@pytest.mark.parametrize("machine", MACHINES)
def test_a_commented_key_of_an_example_works_when_its_underscore_is_removed(machine, tmp_path):
    """`_notify` and the like are there to be uncommented."""
    text = (ROOT / "machine_examples" / machine).read_text()
    names = set(re.findall(r'"_(\w+)":', text)) - set(re.findall(r'"_(comment\w*)":', text))
    folder = copied("al-cu-emt", tmp_path / "demo")
    (folder / "tables").mkdir()
    for name in ("plumed.dat", "tables/a.table"):
        (folder / name).touch()
    for name in names:
        text = text.replace(f'"_{name}"', f'"{name}"')
    (folder / "machine.json").write_text(text)
    plan = load_plan(folder / "param.json", folder / "machine.json")
    assert (plan.notify is None) == ("notify" not in names)


def test_dp_gens_form_asks_for_what_the_short_one_asks_for(tmp_path):
    folder = copied("al-cu-emt", tmp_path / "demo")
    listed = load_plan(folder / "param.json", ROOT / "machine_examples/dpgen-slurm.json")
    assert listed.meaningless == ("machine.json: 'deepmd_version'",)
    assert {step: machine.group_size for step, machine in listed.machines.items()} == {
        "train": 1,
        "explore": 10,
        "fp": 5,
    }
    assert {step: machine.resources["queue_name"] for step, machine in listed.machines.items()} == {
        "train": "gpu",
        "explore": "gpu",
        "fp": "normal",
    }


@pytest.mark.parametrize("machine", ["slurm.json", "pbs.json", "lsf.json"])
def test_an_example_for_a_queue_shows_what_a_newcomer_looks_for(machine):
    text = (ROOT / "machine_examples" / machine).read_text()
    for words in ("walltime", "_notify", "parallelism", "retry_count", "template_config", "continue_on_success_ratio"):
        assert words in text


def test_the_demo_starts_from_alloys_of_as_many_atoms_as_its_data(tmp_path):
    plan = load_plan(copied("al-cu-emt", tmp_path / "demo") / "param.json", ROOT / "machine_examples/local.json")
    settings = plan.param.settings
    frames = settings.configurations[0].generate(settings.type_map, np.random.default_rng(0))
    assert {len(frame.symbols) for frame in frames} == {32}


@needs_ase
def test_the_data_are_the_same_each_time(tmp_path):
    first, second = made_data(tmp_path, "first"), made_data(tmp_path, "second")
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) == 7
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files)


@needs_ase
def test_the_data_have_the_labels_that_the_fp_step_would_give_them(tmp_path):
    system = made_data(tmp_path, "data") / "Al16Cu16"
    frames = read_frames(system)
    energy, forces, virial = (np.load(system / f"set.000/{name}.npy") for name in ("energy", "force", "virial"))
    assert len(frames) == 10
    for number in (0, 9):
        frame = frames[number]
        question = {"symbols": list(frame.symbols), "coords": frame.coords, "cell": frame.cell, "periodic": True}
        answer = label({"calculator": DEMO["fp"]["inputs_config"]["calculator"], "kwargs": {}, **question})
        assert answer["energy"] == pytest.approx(energy[number], abs=1e-8)
        assert np.ravel(answer["forces"]) == pytest.approx(forces[number], abs=1e-8)
        assert np.ravel(answer["virial"]) == pytest.approx(virial[number], abs=1e-8)


@needs_ase
def test_the_data_script_says_how_it_is_called(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "input_examples/al-cu-emt/make_data.py")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode != 0
    assert "usage" in done.stderr


# ---- README.md


def section(title):
    """The text of README.md under a title, up to the next one."""
    return README.partition(f"{title}\n")[2].partition("\n## ")[0].partition("\n### ")[0]


def commands():
    """The command lines of README.md, those in its text included."""
    blocks = re.findall(r"^    .*?(dpgen2-hpc .*)$", README, re.MULTILINE)
    inline = re.findall(r"`(dpgen2-hpc [^`]+)`", README)
    rows = [row for row in section("## Use it").splitlines() if row.startswith("| `") and "`" in row]
    table = [
        f"dpgen2-hpc {words}".removesuffix(" ...")
        for row in rows
        for words in re.findall(r"`([^`]+)`", row.split("|")[1])
    ]
    known = [line for line in table if not line.split()[1].isdigit()]
    return sorted({line.partition(" >>")[0].strip() for line in blocks + inline + known})


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_readme_exists(line):
    parser().parse_args(shlex.split(line)[1:])


def test_the_readme_names_every_command_and_no_other():
    verbs = {line.split()[1] for line in commands()}
    assert verbs == set(parser()._subparsers._group_actions[0].choices)


def shown(after, before):
    """The keys in the first column of the table between two marks of README.md."""
    section = README.partition(after)[2].partition(before)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {key for row in rows for key in re.findall(r"`([^`]+)`", row)}


def keys(value, prefix="", below=()):
    """The paths of all values but comments; the objects under ``below`` are taken as values."""
    if isinstance(value, dict) and prefix not in below:
        pairs = [(f"{prefix}.{name}" if prefix else name, inner) for name, inner in value.items()]
        pairs = [(name, inner) for name, inner in pairs if not name.rpartition(".")[2].startswith("_comment")]
    elif (
        isinstance(value, list) and value and isinstance(value[0], dict | list) and not prefix.endswith("concentration")
    ):
        pairs = [(f"{prefix}[{index}]", inner) for index, inner in enumerate(value)]
    else:
        return {prefix}
    return set().union(*(keys(inner, name, below) for name, inner in pairs))


def test_the_readme_explains_every_key_of_the_demo_and_no_other():
    explained = shown("`param.json`, what to learn", "`machine.json`, where to run")
    assert {re.sub(r"stages\[\d+\]", "stages[0]", key) for key in keys(DEMO)} == explained


def test_the_readme_explains_every_key_of_the_machine_and_no_other():
    explained = shown("`machine.json`, where to run", "The other keys of `machine.json`")
    assert {key for key in keys(LOCAL, below=("default.resources.envs",)) if not key.startswith("_")} == explained


def test_the_readme_explains_every_other_key_of_a_section_but_those_of_argo():
    (template,) = (key for key in arguments() if key.name == "template_config")
    names = {key.name for key in arguments()} | {f"template_config.{name}" for name in template.sub_fields}
    argo = {"executor", "template_slice_config", "template_config.image"}
    own = {"user_forward_files", "user_backward_files", "notify"}
    explained = shown("The other keys of `machine.json`", "### Other codes")
    assert explained == (names | own) - argo - {"template_config"}


def test_the_files_that_the_readme_names_are_there():
    named = re.findall(r"`((?:input|machine)_examples/[\w./-]+|LICENSE|COPYING|[A-Z]+\.md)`", README)
    assert len(named) >= 5
    assert [name for name in named if not (ROOT / name).exists()] == []


# ---- what a machine may lack


@pytest.fixture
def bare(tmp_path):
    """A folder of programs that has no python3 and no make."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "df", "awk"):
        (tools / name).symlink_to(shutil.which(name))
    return tools


def need(tools, what="programs", **variables):
    environment = {"PATH": str(tools), **variables}
    return subprocess.run([str(ROOT / ".ci/need"), what], env=environment, capture_output=True, text=True, timeout=60)


def test_all_that_a_bare_machine_lacks_is_said_as_one_line_for_apt(bare):
    done = need(bare)
    assert done.returncode == 1
    assert [line.strip() for line in done.stderr.splitlines() if "apt-get" in line] == [
        "apt-get install -y make python3 python3-venv"
    ]


def test_a_python_that_is_too_old_is_named(bare):
    (bare / "old").write_text("#!/bin/sh\necho 3.9\n")
    (bare / "old").chmod(0o755)
    done = need(bare, PYTHON="old")
    assert done.returncode == 1
    assert "'old' is 3.9" in done.stderr


def test_a_disk_that_is_too_small_is_said(bare):
    (bare / "df").unlink()
    (bare / "df").write_text("#!/bin/sh\necho header; echo disk 9999999 1 2097152 1% /\n")
    (bare / "df").chmod(0o755)
    assert "4 GB of free disk" in need(bare).stderr


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_a_machine_that_lacks_nothing_is_told_nothing():
    done = need(os.environ["PATH"], "tests", PYTHON=sys.executable)
    assert (done.returncode, done.stderr) == (0, "")
