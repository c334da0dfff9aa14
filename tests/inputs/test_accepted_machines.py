"""A corpus of machine files that must be understood, in the forms that users have; each with values it must give.

The files stand in ``accepted/machines/``; they are written after what DP-GEN, dpdispatcher and their tutorials publish.
Beside the values, a row has lines that must stand in a job's script, and what must be told.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dpgen2_hpc.dispatch.machine import StepMachine, bound_context, script_parts
from dpgen2_hpc.inputs.machine import load_machine
from dpgen2_hpc.inputs.policy import entry_at
from dpgen2_hpc.inputs.schema import machine_schema
from dpgen2_hpc.loop.commands import command_problem
from dpgen2_hpc.loop.plan import machine_trees
from dpgen2_hpc.loop.trees import tree_of

FOLDER = Path(__file__).parent / "accepted" / "machines"
SECTIONS = ("train", "explore", "fp")
DPGEN = ("deepmd_version",)


class Form(NamedTuple):
    values: dict[str, Any]
    """By path below a section, such as ``fp.resources.group_size``; ``fp.timeout`` is a word of the policy."""
    lines: dict[str, list[str]] = {}
    """Lines of the script of a job of a section."""
    meaningless: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


ACCEPTED = {
    "dpgen-lists": Form(
        {
            "train.command": "dp",
            "train.machine.batch_type": "Slurm",
            "train.resources.module_list": ["deepmd/2.2.9"],
            "explore.resources.group_size": 12,
            "explore.resources.cpu_per_node": 3,
            "fp.command": "mpirun -n 40 vasp_std",
            "fp.resources.gpu_per_node": 0,
            "fp.resources.queue_name": "cpu40",
        },
        {
            "train": ["#SBATCH --mem=24G", "#SBATCH -t 30:00:00", "module load deepmd/2.2.9", "#SBATCH --gres=gpu:1"],
            "fp": ["#SBATCH --ntasks-per-node 40", "#SBATCH --partition cpu40", "source /opt/vasp/6.4/env.sh"],
        },
        DPGEN,
    ),
    "dpgen-objects-local-relative": Form(
        {
            "train.machine.context_type": "LocalContext",
            "train.machine.remote_root": str(FOLDER / "scratch"),
            "explore.machine.remote_root": str(FOLDER.parent / "far/md"),
            "explore.resources.group_size": 7,
            "fp.machine.remote_root": str(FOLDER / "fp_work"),
            "fp.machine.batch_type": "Torque",
        },
        {"fp": ["#PBS -l nodes=1:ppn=12", "#PBS -q batch"], "train": ["source /home/wei/env/dp.sh"]},
        DPGEN,
        (
            f"train.machine.remote_root: the jobs run in '{FOLDER / 'scratch'}'",
            f"model_devi.machine.remote_root: the jobs run in '{FOLDER.parent / 'far/md'}'",
            f"fp.machine.remote_root: the jobs run in '{FOLDER / 'fp_work'}'",
        ),
    ),
    "dpgen-several-machines": Form(
        {"fp.resources.queue_name": "first", "fp.resources.group_size": 4, "fp.machine.batch_type": "Slurm"},
        notices=("fp: only the first of 2 machines is used, as DP-GEN does",),
    ),
    "dpgen-lower-case-and-said-twice": Form(
        {
            "train.command": "python3.10 -m deepmd",
            "fp.command": "cp2k.popt",
            "fp.machine.context_type": "LazyLocalContext",
            "fp.resources.custom_flags": ["#SBATCH -t 90:0:0"],
        },
        {"explore": ["#SBATCH --partition v100", "#SBATCH -t 90:0:0"]},
        ("train.resources.wait_time", "model_devi.resources.wait_time", "fp.resources.wait_time"),
    ),
    "dpgen-copied-by-slurm": Form(
        {
            "train.machine.context_type": "LocalContext",
            "train.machine.remote_root": "/scratch/lin/dpgen",
            "explore.machine.remote_profile": {"symlink": False},
            "fp.retry_count": 5,
        },
        {},
        (*DPGEN, *(f"{step}[0].machine.clean_asynchronously" for step in ("train", "model_devi", "fp"))),
    ),
    "dpgen-lsf-gpu": Form(
        {"train.resources.kwargs.gpu_usage": True, "explore.resources.kwargs.gpu_exclusive": True},
        {
            "train": ["#BSUB -q gpu", "#BSUB -gpu 'num=1:mode=shared:j_exclusive=no'", "#BSUB -W 72:00"],
            "explore": ["#BSUB -gpu 'num=1:mode=shared:j_exclusive=yes'"],
            "fp": ["#BSUB -n 28", "module load intel/2020", "module load cp2k/9.1"],
        },
        DPGEN,
    ),
    "lsf-gpu-line-of-the-site": Form(
        {"fp.resources.kwargs.gpu_usage": True}, {"train": ['#BSUB -gpu "num=1:j_exclusive=yes"']}
    ),
    "slurm-gpu-line-of-the-site": Form({"fp.resources.queue_name": "dcu"}, {"fp": ["#SBATCH --gres=dcu:2"]}),
    "pbs-own-select": Form(
        {"fp.resources.queue_name": "", "fp.command": "mpirun vasp_std"},
        {"train": ["#PBS -l select=2:ncpus=24:mpiprocs=24:mem=90gb", "#PBS -P c-17"]},
    ),
    "torque": Form(
        {"fp.command": "g16", "train.resources.cpu_per_node": 16},
        {"fp": ["#PBS -l nodes=1:ppn=16", "#PBS -l walltime=100:00:00"]},
    ),
    "one-gpu-for-each-task": Form(
        {
            "train.resources.strategy.if_cuda_multi_devices": True,
            "train.resources.para_deg": 2,
            "train.resources.group_size": 60,
        },
        {"explore": ["source activate /home/ana/envs/dp", "export TF_INTRA_OP_PARALLELISM_THREADS=2"]},
    ),
    "header-of-the-site": Form(
        {"fp.resources.kwargs": {"qos": "vshort", "account": "chem9"}, "fp.resources.group_size": 300},
        {"fp": ["#SBATCH -N 2", "#SBATCH --ntasks-per-node 36", "#SBATCH --qos=vshort", "#SBATCH -A chem9"]},
    ),
    "nulls": Form(
        {
            "train.command": None,
            "train.machine.remote_root": None,
            "train.resources.number_node": 1,
            "train.resources.cpu_per_node": 1,
            "train.resources.gpu_per_node": 0,
            "train.resources.group_size": 3,
            "train.resources.queue_name": "",
            "train.resources.custom_flags": None,
            "train.resources.envs": {},
            "train.resources.module_purge": False,
            "train.retry_count": None,
            "train.user_forward_files": [],
            "explore.resources.kwargs.gpu_exclusive": True,
            "explore.resources.strategy.if_cuda_multi_devices": False,
            "explore.timeout": None,
        }
    ),
    "empties": Form(
        {
            "train.command": None,
            "train.resources.group_size": 3,
            "train.resources.queue_name": "",
            "train.user_backward_files": [],
            "explore.resources.source_list": [""],
            "explore.resources.kwargs.custom_gpu_line": None,
        }
    ),
    "comments": Form(
        {
            "train.command": "dp",
            "train.machine.batch_type": "Slurm",
            "train.resources.group_size": 2,
            "train.resources.envs": {"OMP_NUM_THREADS": 4},
            "train.resources.module_list": [],
            "train.timeout": 600,
            "train.envs": {"A": "b"},
        }
    ),
    "variables-of-many-kinds": Form(
        {"train.resources.envs.SCALE": 1.5, "train.resources.envs.NONE": []},
        {
            "fp": [
                *("export OMP_NUM_THREADS=4", "export KMP_BLOCKTIME=0", "export SCALE=1.5", "export EMPTY=''"),
                *("export MANY=a", "export MANY=2", "export SPACED='two words'", "export COST='5$'"),
                "export KMP_AFFINITY=granularity=fine,compact,1,0",
            ]
        },
    ),
    "modules-and-scripts": Form(
        {"train.resources.module_purge": True},
        {
            "train": [
                *("module purge", "module unload intel", "module load gcc/$GCC_VERSION"),
                *("module load cuda/12.1 openmpi/4", "source ~/.bashrc", "source $HOME/env/deepmd.sh"),
                *("source ${CONDA_PREFIX}/bin/activate deepmd", "source '/opt/my programs/env.sh'"),
                "source /opt/intel/oneapi/setvars.sh intel64 --force",
                *("ulimit -s unlimited", "export PATH=/opt/bin:$PATH", "nvidia-smi > gpu.log"),
            ]
        },
    ),
    "names-and-outputs-in-flags": Form(
        {"fp.resources.group_size": 1}, {"fp": ["#SBATCH --ntasks-per-node=8", "#SBATCH --exclude=node[03-04]"]}
    ),
    "all-tasks-in-one-job": Form({"fp.resources.group_size": 0, "fp.resources.para_deg": 4}),
    "retries-in-machine": Form({"train.retry_count": 0, "explore.retry_count": 7, "fp.retry_count": 2}),
    "files-of-the-user": Form(
        {
            "train.user_forward_files": [],
            "explore.user_forward_files": [str(FOLDER / "header.slurm")],
            "explore.user_backward_files": ["COLVAR", "HILLS"],
            "fp.user_backward_files": ["COLVAR"],
        }
    ),
    "default-and-what-differs": Form(
        {
            "train.resources.envs": {"B": 2},
            "explore.resources.group_size": 25,
            "explore.resources.module_list": [],
            "explore.parallelism": 20,
            "fp.resources.queue_name": "",
            "fp.resources.module_list": ["x"],
            "fp.parallelism": 4,
            "fp.retry_count": 3,
            "fp.timeout": 7200,
        },
        {"train": ["export B=2", "module load x"]},
    ),
    "local-root-elsewhere": Form(
        {"train.resources.queue_name": "v100"}, {}, ("deepmd_version", "train.machine.local_root")
    ),
    "commands-with-launchers": Form(
        {
            "train.command": "apptainer exec --nv /opt/images/deepmd-3.1.sif dp --pt",
            "explore.command": "OMP_NUM_THREADS=2 mpirun -n 4 --bind-to core lmp -sf omp > lmp.out 2>&1",
            "fp.command": "module load vasp/6.4 && srun --mpi=pmi2 vasp_std > vasp.out 2>&1",
        }
    ),
    "three-batch-systems": Form(
        {"fp.command": "pw.x -nk 4", "explore.resources.queue_name": "gpuq"},
        {"train": ["#SBATCH --partition v100"], "explore": ["#PBS -q gpuq"], "fp": ["#BSUB -n 64"]},
    ),
    "home-folder-as-remote-root": Form(
        {"fp.machine.remote_root": "/home/me/jobs"},
        notices=("default.machine.remote_root: the jobs run in '/home/me/jobs'",),
    ),
    "profile-of-another-context": Form(
        {"fp.machine.batch_type": "PBS", "fp.resources.queue_name": "small"},
        {"fp": ["#PBS -l select=1:ncpus=6:ngpus=1"]},
        ("default.machine.remote_root", "default.machine.remote_profile"),
    ),
    "argo-left-over": Form(
        {"train.timeout": 3600, "train.retry_count": 2, "train.envs": {"DP_X": "1"}, "fp.continue_on_failed": True},
        {},
        ("default.executor", "default.template_slice_config", "default.template_config.image"),
    ),
}

ADDED = {"train": " train input.json", "explore": " -i in.lammps -log log.lammps", "fp": ""}


def found(file, path):
    section, *keys = path.split(".")
    if keys[0] in file.said[section]:
        return file.said[section][keys[0]].value
    return entry_at(file.sections[section], tuple(keys))


def script(section):
    step = StepMachine(section["machine"], section["resources"])
    parts = script_parts(step, bound_context(step, "/work", "batch", "name"), "dname", 2)
    return f"{parts.header}\n{parts.environment}\n{parts.ending}".splitlines()


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_users_machine_file_is_understood_with_each_value_where_it_belongs(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    form = ACCEPTED[name]
    file = load_machine(FOLDER / f"{name}.json", machine_trees())
    assert {path: found(file, path) for path in form.values} == form.values
    assert file.meaningless == form.meaningless
    assert tuple(f"{'.'.join(map(str, fault.path))}: {fault.message}" for fault in file.notices) == form.notices
    scripts = {step: script(section) for step, section in file.sections.items()}
    assert {step: [line for line in lines if line not in scripts[step]] for step, lines in form.lines.items()} == {
        step: [] for step in form.lines
    }
    commands = {step: section["command"] or "x" for step, section in file.sections.items()}
    assert [command_problem(text, text + ADDED[step]) for step, text in commands.items()] == [None] * 3


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_an_editor_with_the_schema_accepts_it_too(name, schema):
    assert [error.message for error in schema.iter_errors(json.loads((FOLDER / f"{name}.json").read_text()))] == []


@pytest.fixture(scope="module")
def schema():
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    return validator(machine_schema(tree_of("machine"), "x"))


def test_every_file_of_the_corpus_has_its_row():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(ACCEPTED)
    assert len(ACCEPTED) >= 24


def test_what_stands_in_flags_and_is_set_by_the_program_is_told():
    section = load_machine(FOLDER / "names-and-outputs-in-flags.json", machine_trees()).sections["fp"]
    told = " ".join(text for _, text in StepMachine(section["machine"], section["resources"]).notices({}))
    assert [word for word in ("--job-name=md", "-o %j.out", "--error=%j.err", "--requeue") if word not in told] == []
    kept = [line for line in script(section) if line.startswith("#SBATCH")]
    assert not [line for line in kept if "job-name" in line or "%j" in line or line.endswith("--requeue")]


@pytest.mark.parametrize("name", ["LazyLocalContext", "LazyLocal", "lazylocal", "lazylocalcontext"])
@pytest.mark.parametrize("batch_type", ["Slurm", "slurm", "SLURM"])
def test_dpdispatchers_spellings_mean_the_same(tmp_path, name, batch_type):
    text = (FOLDER / "dpgen-lists.json").read_text()
    (tmp_path / "machine.json").write_text(text.replace("LazyLocalContext", name).replace('"Slurm"', f'"{batch_type}"'))
    sections = load_machine(tmp_path / "machine.json", machine_trees()).sections
    expected = load_machine(FOLDER / "dpgen-lists.json", machine_trees()).sections
    assert [script(sections[step]) for step in SECTIONS] == [script(expected[step]) for step in SECTIONS]
