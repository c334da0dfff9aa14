"""Cores and GPUs that a job would not get, or get too many of, are told before it is submitted."""

import pytest

from dpgen2_hpc.dispatch.schedulers import scheduler
from dpgen2_hpc.dispatch.sizes import size_notices

RESOURCES = {"number_node": 1, "cpu_per_node": 4, "gpu_per_node": 1, "group_size": 1}


def notices(batch_type, *flags, **resources):
    given = {**RESOURCES, "custom_flags": list(flags), **resources}
    return [f"{'.'.join(place)}: {text}" for place, text in size_notices(scheduler(batch_type).options, given)]


LOST = (
    "custom_flags: sbatch follows the last --gres alone, here 'lscratch:10', and the job gets no GPU. Write one line "
)
LINE = "#SBATCH --gres=gpu:a100:1"


@pytest.mark.parametrize(
    ("flags", "resources", "line"),
    [
        (["#SBATCH --gres=lscratch:10"], {}, "gpu:1,lscratch:10"),
        ([LINE, "#SBATCH --gres=lscratch:10"], {"gpu_per_node": 0}, "gpu:a100:1,lscratch:10"),
        (["#SBATCH --gres=lscratch:10"], {"kwargs": {"custom_gpu_line": LINE}}, "gpu:a100:1,lscratch:10"),
    ],
)
def test_a_request_for_gpus_that_another_one_replaces_is_told(flags, resources, line):
    """Slurm 22.05 shows ``gres: gres:lscratch:10`` for a script with both lines (``sbatch -vv``)."""
    assert notices("Slurm", *flags, **resources) == [f"{LOST}instead: #SBATCH --gres={line}"]


@pytest.mark.parametrize(
    ("flags", "resources"),
    [
        (["#SBATCH --gres=lscratch:10"], {"gpu_per_node": 0}),
        (["#SBATCH --gres=lscratch:10 -G 1"], {}),
        (["#SBATCH --gres=lscratch:10"], {"kwargs": {"custom_gpu_line": "#SBATCH --gpus-per-task=1"}}),
        (["#SBATCH --gres=lscratch:10,gpu:1"], {}),
        (["#SBATCH --gres=shard:4"], {}),
        (["#SBATCH --cpus-per-task=8"], {"cpu_per_node": 1}),
        (["#SBATCH --cpus-per-task=1"], {}),
        (["#SBATCH -c 8 --ntasks-per-node=2"], {}),
    ],
)
def test_other_sizes_of_slurm_are_not_told(flags, resources):
    assert notices("Slurm", *flags, **resources) == []


def test_cores_that_multiply_are_told():
    (text,) = notices("Slurm", "#SBATCH -c 8")
    assert text == (
        "custom_flags: '-c 8' holds for each of the 4 tasks of a node (cpu_per_node), 32 cores in all: for one task with 8 "
        "threads add '#SBATCH --ntasks-per-node=1'"
    )


@pytest.mark.parametrize(
    ("flags", "resources", "gets"),
    [
        ([], {}, False),
        (["#BSUB -R 'rusage[mem=4]'"], {}, False),
        ([], {"gpu_per_node": 0}, True),
        ([], {"kwargs": {"gpu_usage": True}}, True),
        ([], {"kwargs": {"custom_gpu_line": "#BSUB -gpu -"}}, True),
        (["#BSUB -gpu num=1"], {}, True),
        (["#BSUB -R 'rusage[ngpus_excl_p=1]'"], {}, True),
    ],
)
def test_gpus_that_lsf_is_not_asked_for_are_told(flags, resources, gets):
    found = notices("LSF", *flags, **resources)
    told = "gpu_per_node: has no effect on LSF by itself, and the job gets no GPU: add to resources "
    assert found == [told + '"kwargs": {"gpu_usage": true, "gpu_new_syntax": true}'] * (not gets)
