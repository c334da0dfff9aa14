"""What is assumed of dpdispatcher 1.1.0, held against the version that is installed."""

import importlib.metadata
import json
import os
import subprocess
import sys

import dargs
import pytest

from dpgen2_hpc.dispatch import machine as layer
from dpgen2_hpc.dispatch.machine import StepMachine, bound_context, faults, script_parts

RESOURCES = {"number_node": 1, "cpu_per_node": 4, "gpu_per_node": 0, "queue_name": "", "group_size": 5}
SHELL = {"batch_type": "Shell", "context_type": "LazyLocalContext"}


def parts(tmp_path, tasks=1, machine=SHELL, **resources):
    (tmp_path / "batch").mkdir(exist_ok=True)
    step = StepMachine(machine, {**RESOURCES, **resources})
    context = bound_context(step, str(tmp_path), "batch", "name")
    return script_parts(step, context, "dname", tasks)


def places(machine=SHELL, **resources):
    return {".".join(path): text for path, text in faults(machine, {**RESOURCES, **resources})}


# ---- the import


LOAD = """
import json, logging, os, random, sys
random.seed(5)
before = random.getstate()
from dpgen2_hpc.dispatch import machine
library = machine.library()
machine.machine_arguments(), machine.resources_arguments()
logging.getLogger("dpdispatcher").error("nobody is told")
from dpdispatcher.dlog import dlog
dlog.error("nor here")
print(json.dumps({
    "random": random.getstate() == before,
    "home": os.environ.get("HOME"),
    "handlers": [type(handler).__name__ for handler in dlog.handlers],
    "disabled": logging.root.manager.disable,
    "name": library.__name__,
}))
"""


@pytest.mark.parametrize("home", ["home", None])
def test_the_import_leaves_nothing_in_the_current_folder_nor_at_home_and_draws_no_random_number(tmp_path, home):
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(tmp_path / "home")}
    if home is None:
        del env["HOME"]
    done = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=tmp_path / "here", env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "random": True,
        "home": env.get("HOME"),
        "handlers": ["NullHandler"],
        "disabled": 0,
        "name": "dpdispatcher",
    }
    assert [path for folder in ("home", "here") for path in (tmp_path / folder).iterdir()] == []
    assert "nobody" not in done.stderr + done.stdout


def test_the_version_is_the_one_that_this_was_written_for():
    assert importlib.metadata.version("dpdispatcher") == "1.1.0"


# ---- the argument trees


def test_local_root_may_be_missing_in_a_machine():
    tree = layer.machine_arguments()
    assert isinstance(tree, dargs.Argument)
    value = tree.normalize_value({"batch_type": "Shell", "context_type": "LazyLocalContext"})
    tree.check_value(value, strict=True)
    assert value["local_root"] == "./"


def test_the_trees_are_new_at_each_call_so_that_one_callers_change_is_not_anothers():
    assert layer.machine_arguments() is not layer.machine_arguments()


def test_resources_know_the_words_that_users_write():
    names = set(layer.resources_arguments().sub_fields)
    assert names >= {
        "number_node", "cpu_per_node", "gpu_per_node", "queue_name", "group_size", "custom_flags", "strategy", "para_deg",
        "source_list", "module_purge", "module_list", "module_unload_list", "envs", "prepend_script", "append_script",
    }  # fmt: skip


# ---- faults


def test_a_machine_that_is_promised_has_no_fault():
    assert places() == {}
    assert places({"batch_type": "Shell", "context_type": "LocalContext", "remote_root": "/scratch"}) == {}


@pytest.mark.parametrize("name", ["LazyLocalContext", "LazyLocal", "lazylocal", "lazylocalcontext"])
def test_a_context_is_known_by_each_spelling_that_is_accepted_and_can_be_bound(tmp_path, name):
    assert places({**SHELL, "context_type": name}) == {}
    (tmp_path / "batch").mkdir()
    step = StepMachine({**SHELL, "context_type": name}, RESOURCES)
    assert bound_context(step, str(tmp_path), "batch", "name").remote_root == str(tmp_path / "batch")


@pytest.mark.parametrize("name", ["Shell", "shell", "SHELL"])
def test_a_batch_type_is_known_by_each_spelling_that_is_accepted_and_has_a_script(tmp_path, name):
    assert places({**SHELL, "batch_type": name}) == {}
    assert parts(tmp_path, machine={**SHELL, "batch_type": name}).header.startswith("#!/bin/bash")


@pytest.mark.parametrize("name", ["Bohrium", "SGE", "Fugaku", "DistributedShell"])
def test_a_batch_system_without_a_file_of_ours_is_refused_by_name(name):
    found = places({**SHELL, "batch_type": name})
    assert list(found) == ["machine.batch_type"]
    assert f"'{name}' is not available yet" in found["machine.batch_type"]
    assert "Shell" in found["machine.batch_type"]


def test_a_batch_system_that_nobody_knows_is_a_slip():
    assert places({**SHELL, "batch_type": ""})["machine.batch_type"].startswith("'' is unknown. There is: Shell, ")


@pytest.mark.parametrize("name", ["SSHContext", "BohriumContext", "HDFSContext", "ssh"])
def test_a_context_that_was_not_tried_is_refused_by_name(name):
    found = places({**SHELL, "context_type": name})
    assert list(found) == ["machine.context_type"]
    assert f"'{name}' is not available yet" in found["machine.context_type"]


def test_a_local_context_needs_to_know_where(tmp_path):
    assert list(places({"batch_type": "Shell", "context_type": "LocalContext"})) == ["machine.remote_root"]


@pytest.mark.parametrize("folder", ["scratch", "./scratch", "../scratch", "~/scratch"])
def test_a_remote_root_that_hangs_on_the_current_directory_is_refused(folder):
    """The same command from another directory would not find its jobs, and would run finished tasks again."""
    machine = {"batch_type": "Shell", "context_type": "LocalContext", "remote_root": folder}
    assert "absolute" in places(machine)["machine.remote_root"]


def test_dpdispatchers_own_ratio_is_refused_since_it_is_not_asked():
    assert list(places(strategy={"ratio_unfinished": 0.5})) == ["resources.strategy.ratio_unfinished"]


def test_all_faults_of_a_machine_are_told_at_once():
    found = places({"batch_type": "SGE", "context_type": "SSHContext"}, strategy={"ratio_unfinished": 0.5})
    assert len(found) == 3


# ---- the parts of a script


def test_the_script_begins_with_its_interpreter(tmp_path):
    assert parts(tmp_path).header.splitlines()[0] == "#!/bin/bash -l"


def test_dpdispatchers_flag_file_is_not_written(tmp_path):
    text = parts(tmp_path).environment
    assert "flag_if_job_task_fail" not in text
    assert "REMOTE_ROOT=" in text


def test_modules_sources_variables_and_prepended_lines_appear_in_this_order(tmp_path):
    given = parts(
        tmp_path,
        module_purge=True,
        module_unload_list=["old"],
        module_list=["lammps/2022"],
        source_list=["env.sh"],
        envs={"THREADS": "4"},
        prepend_script=["echo first", "echo second"],
        append_script=["echo last", "echo very last"],
        custom_flags=["#FLAG one", "#FLAG two"],
    )
    lines = given.environment.splitlines()
    words = [
        "module purge",
        "module unload old",
        "module load lammps/2022",
        "env.sh",
        "THREADS=",
        "echo first",
        "echo second",
    ]
    found = [[number for number, line in enumerate(lines) if word in line] for word in words]
    assert [len(numbers) for numbers in found] == [1] * len(words)
    assert found == sorted(found)
    assert given.ending.splitlines() == ["echo last", "echo very last"]
    assert [line for line in given.header.splitlines()[1:] if line] == ["#FLAG one", "#FLAG two"]


def test_tasks_wait_for_each_other_unless_a_parallel_degree_says_otherwise(tmp_path):
    assert parts(tmp_path, tasks=3).waits == (True, True, True)
    assert parts(tmp_path, tasks=5, para_deg=2).waits == (False, True, False, True, False)


def test_without_a_strategy_no_device_is_chosen(tmp_path):
    assert parts(tmp_path, tasks=2).gpu_prefixes == ("", "")


def test_each_device_has_its_turn(tmp_path):
    given = parts(tmp_path, tasks=5, gpu_per_node=2, strategy={"if_cuda_multi_devices": True})
    assert [prefix.partition("=")[2] for prefix in given.gpu_prefixes] == ["0;", "1;", "0;", "1;", "0;"]
    assert given.waits == (False, True, False, True, False)


def test_two_scripts_of_one_machine_are_alike(tmp_path):
    assert parts(tmp_path, tasks=4, para_deg=3) == parts(tmp_path, tasks=4, para_deg=3)


# ---- contexts


def test_a_batch_runs_where_it_lies_or_in_a_folder_of_its_own_under_the_remote_root(tmp_path):
    here = bound_context(StepMachine(SHELL, RESOURCES), str(tmp_path), "iter/00.train", "name")
    there = {"batch_type": "Shell", "context_type": "LocalContext", "remote_root": str(tmp_path / "far")}
    assert here.remote_root == str(tmp_path / "iter/00.train")
    assert bound_context(StepMachine(there, RESOURCES), str(tmp_path), "iter/00.train", "name").remote_root == str(
        tmp_path / "far" / "name"
    )


def test_a_command_runs_in_the_batch_folder_and_answers_with_code_output_and_complaints(tmp_path):
    (tmp_path / "batch").mkdir()
    context = bound_context(StepMachine(SHELL, RESOURCES), str(tmp_path), "batch", "name")
    code, _, out, err = context.block_call("pwd; echo no >&2; exit 3")
    assert (code, out.read(), err.read()) == (3, f"{tmp_path / 'batch'}\n".encode(), b"no\n")
