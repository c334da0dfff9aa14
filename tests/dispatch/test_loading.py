"""What jobs load before their tasks: what dpdispatcher refuses is a fault of the input, and never found by a job."""

import pytest

from dpgen2_hpc.dispatch.loading import loading_notices
from dpgen2_hpc.dispatch.machine import StepMachine, bound_context, faults, script_parts

MACHINE = {"batch_type": "Slurm", "context_type": "LazyLocalContext"}
RESOURCES = {"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "queue_name": "", "group_size": 1}


def told(**resources):
    return [(".".join(path), text) for path, text in faults(MACHINE, {**RESOURCES, **resources})]


def environment(tmp_path, **resources):
    """The lines of a job's script that load something."""
    (tmp_path / "batch").mkdir(exist_ok=True)
    machine = StepMachine(MACHINE, {**RESOURCES, **resources})
    return script_parts(machine, bound_context(machine, str(tmp_path), "batch", "name"), "dname", 1).environment


@pytest.mark.parametrize(
    ("key", "entry", "line"),
    [
        ("source_list", "/sw/env.sh intel64", "source /sw/env.sh intel64"),
        ("source_list", "activate dp", "source activate dp"),
        ("source_list", "'/my sw/env.sh'", "source '/my sw/env.sh'"),
        ("module_list", "gcc/12.2 deepmd-kit", "module load gcc/12.2 deepmd-kit"),
        ("module_unload_list", "intel", "module unload intel"),
        ("source_list", "", None),
        ("source_list", "~/miniconda3/bin/activate dp", "source ~/miniconda3/bin/activate dp"),
        ("source_list", "$HOME/env.sh", "source $HOME/env.sh"),
        ("module_list", "$MODULES", "module load $MODULES"),
    ],
)
def test_plain_entries_are_written(tmp_path, key, entry, line):
    assert told(**{key: [entry]}) == []
    lines = environment(tmp_path, **{key: [entry]}).splitlines()
    assert line is None or line in lines


@pytest.mark.parametrize(
    ("key", "entry", "command"),
    [
        ("source_list", '"${HOME}/my env.sh"', "source"),
        ("source_list", "a.sh && conda activate dp", "source"),
        ("source_list", "-p a.sh", "source"),
        ("module_unload_list", "intel*", "module unload"),
    ],
)
def test_entries_that_a_shell_would_act_on_are_refused_with_what_to_write(tmp_path, key, entry, command):
    ((path, text),) = told(**{key: [entry]})
    assert path == f"resources.{key}"
    written = f"{command} {entry}"
    assert text.endswith(f"write {written!r} into prepend_script")
    with pytest.raises(ValueError, match="entries must contain only static|must not begin with"):
        environment(tmp_path, **{key: [entry]})
    assert told(prepend_script=[written]) == []
    assert written in environment(tmp_path, prepend_script=[written]).splitlines()


@pytest.mark.parametrize("key", ["source_list", "module_list", "module_unload_list"])
def test_a_quote_that_is_not_closed_is_told(key):
    assert told(**{key: ["a 'b"]}) == [(f"resources.{key}", '"a \'b" has a quote that is not closed')]


@pytest.mark.parametrize("value", ["/x:$PATH", "${PATH}:/x", ["/a", "$PATH:/b"], "$HOME/x", "~/x", "/x:~/y", "$(pwd)"])
def test_a_value_that_would_have_to_be_expanded_is_refused_with_what_to_write(tmp_path, value):
    ((path, text),) = told(envs={"PATH": value})
    assert path == "resources.envs.PATH"
    assert "is set as it is, nothing in it is replaced: write 'export PATH=" in text
    assert "'" in environment(tmp_path, envs={"PATH": value}).partition("PATH=")[2]  # quoted: nothing is expanded


def test_values_that_only_look_so_are_good():
    assert told(envs={"A": "costs 5$", "B": 3, "C": "a~b"}) == []


def test_gpus_that_tasks_are_to_share_must_have_a_number():
    strategy = {"if_cuda_multi_devices": True}
    assert told(strategy=strategy) == [
        (
            "resources.strategy.if_cuda_multi_devices",
            "gives each task one of a node's GPUs: set gpu_per_node to how many a node has",
        )
    ]
    assert told(strategy=strategy, gpu_per_node=2) == []


@pytest.mark.parametrize(
    ("resources", "path"),
    [
        ({"module_list": ["dp"], "prepend_script": ["x; y", "module use /sw"]}, "prepend_script"),
        ({"module_list": ["dp"], "prepend_script": ["module --append use /sw"]}, "prepend_script"),
        ({"prepend_script": ["module use /sw", "module load dp"]}, None),
        ({"module_list": ["dp"], "prepend_script": ["module load user"]}, None),
    ],
)
def test_what_comes_too_late_is_told(resources, path):
    assert [".".join(place) for place, _ in loading_notices(resources)] == ([path] if path else [])
