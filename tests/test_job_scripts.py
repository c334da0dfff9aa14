"""Job scripts after the habits of public computing centres, and the machine.json that a user makes of them.

What the script asks for must be what the job asks for: every option with its value, in whatever order. Only what the
program sets itself may be missing, with a notice, and what it cannot follow is refused by name.
"""

import json
import re
import shlex

import pytest

from dpgen2_hpc.dispatch.directives import read
from dpgen2_hpc.dispatch.machine import StepMachine, bound_context, script_parts
from dpgen2_hpc.dispatch.schedulers.bsub_options import BSUB
from dpgen2_hpc.dispatch.schedulers.sbatch_options import SBATCH
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.machine import load_machine
from dpgen2_hpc.loop.plan import machine_trees

SCRIPTS = {
    # name: batch system, script, other keys of resources, lines that these keys make, what is not used, what is refused
    "Slurm by features": (
        "Slurm",
        """
#SBATCH -A m4321_g -C gpu
#SBATCH -q regular
#SBATCH -t 06:00:00
#SBATCH -N 1
#SBATCH --ntasks-per-node=4
#SBATCH -c 32
#SBATCH --gpus-per-task=1
#SBATCH --gpu-bind=none
export SLURM_CPU_BIND=cores
module load deepmd-kit""",
        {"gpu_per_node": 4, "module_list": ["deepmd-kit"], "envs": {"SLURM_CPU_BIND": "cores"}},
        "",
        [],
        [],
    ),
    "Slurm with a virtual environment on the node": (
        "Slurm",
        """
#SBATCH --account=def-prof
#SBATCH --gpus-per-node=v100:2
#SBATCH --cpus-per-task=6
#SBATCH --mem=32000M
#SBATCH --time=0-03:00
#SBATCH --output=%N-%j.out
#SBATCH --mail-user=me@uni.example --mail-type=ALL
module load StdEnv/2023 python/3.11
virtualenv --no-download $SLURM_TMPDIR/env
source $SLURM_TMPDIR/env/bin/activate""",
        {
            "module_list": ["StdEnv/2023 python/3.11"],
            "prepend_script": ["virtualenv --no-download $SLURM_TMPDIR/env", "source $SLURM_TMPDIR/env/bin/activate"],
        },
        "#SBATCH --nodes 1 --ntasks-per-node 1",
        ["--output=%N-%j.out"],
        [],
    ),
    "Slurm by whole nodes": (
        "Slurm",
        """
#SBATCH --job-name=big
#SBATCH --partition=standard-g
#SBATCH --account=project_465000000
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --exclusive --mem=0
#SBATCH --hint=nomultithread --distribution=block:cyclic
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --time=2-00:00:00""",
        {"cpu_per_node": 8, "gpu_per_node": 8, "para_deg": 8, "strategy": {"if_cuda_multi_devices": True}},
        "",
        ["--job-name=big", "--requeue"],
        [],
    ),
    "Slurm with an array": (
        "Slurm",
        """
#SBATCH -J lab
#SBATCH -p a100,v100
#SBATCH -x node[01-03]
#SBATCH --gres=gpu:rtx:1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8   # threads
#SBATCH --mem-per-cpu=4G
#SBATCH -o log/%A_%a.out
#SBATCH --open-mode=append
#SBATCH --array=0-9%2
##SBATCH --mem=1G
source /home/me/miniconda3/bin/activate deepmd
ulimit -s unlimited""",
        {
            "gpu_per_node": 1,
            "cpu_per_node": 8,
            "source_list": ["/home/me/miniconda3/bin/activate deepmd"],
            "prepend_script": ["ulimit -s unlimited"],
        },
        "#SBATCH --nodes 1",
        ["-J lab", "-o log/%A_%a.out"],
        ["--array=0-9%2"],
    ),
    "Slurm with everything": (
        "Slurm",
        """
#SBATCH --nodes=2 --ntasks=256
#SBATCH --tasks-per-node=128 --threads-per-core=1
#SBATCH --partition=standard
#SBATCH --qos=standard
#SBATCH --export=none
#SBATCH --reservation=course
#SBATCH --dependency=singleton --kill-on-invalid-dep=yes
#SBATCH --licenses=vasp:1
#SBATCH --comment="my run"
#SBATCH --begin=now+1hour --nice=100
#SBATCH --chdir=/scratch/me
#SBATCH --tmp=20G
module load vasp""",
        {"number_node": 2, "cpu_per_node": 128, "module_list": ["vasp"]},
        "",
        ["--chdir=/scratch/me"],
        [],
    ),
    "PBS without a select": (
        "PBS",
        """
#PBS -P ab12
#PBS -q gpuvolta
#PBS -l ncpus=12
#PBS -l ngpus=1
#PBS -l mem=96GB,jobfs=10GB
#PBS -l walltime=24:00:00
#PBS -l storage=scratch/ab12+gdata/ab12
#PBS -l wd
#PBS -M me@uni.example
#PBS -m abe
module use /g/data/ab12/modules
module load deepmd-kit""",
        {
            "gpu_per_node": 1,
            "queue_name": "normal",
            "prepend_script": ["module use /g/data/ab12/modules", "module load deepmd-kit"],
        },
        "",
        [],
        [],
    ),
    "PBS with a typed GPU": (
        "PBS",
        """
#PBS -lselect=1:ncpus=8:mem=96gb:ngpus=1:gpu_type=RTX6000
#PBS -lwalltime=08:00:00
module load anaconda3/personal
source activate dp""",
        {"module_list": ["anaconda3/personal"], "source_list": ["activate dp"]},
        "",
        [],
        [],
    ),
    "PBS by systems and places": (
        "PBS",
        """
#PBS -l select=1:system=polaris
#PBS -l place=scatter
#PBS -l walltime=0:30:00
#PBS -l filesystems=home:eagle
#PBS -q debug-scaling
#PBS -A proj
export OMP_NUM_THREADS=8""",
        {"cpu_per_node": 32, "gpu_per_node": 4, "para_deg": 4, "envs": {"OMP_NUM_THREADS": 8}},
        "",
        [],
        [],
    ),
    "PBS by models, in csh": (
        "PBS",
        """
#PBS -S /bin/csh
#PBS -N md
#PBS -l select=2:ncpus=40:mpiprocs=40:ompthreads=1:model=sky_ele,walltime=1:30:00
#PBS -l job_priority=economy
#PBS -j oe
#PBS -k eod
#PBS -W group_list=s1234
#PBS -r n
#PBS -m e
module load comp-intel/2020 mpi-hpe/mpt""",
        {"number_node": 2, "module_list": ["comp-intel/2020 mpi-hpe/mpt"]},
        "",
        ["-N md", "-j oe"],
        ["-S /bin/csh"],
    ),
    "PBS of old, on another server": (
        "PBS",
        """
#PBS -l nodes=2:ppn=24
#PBS -l pvmem=2gb
#PBS -q long@server2
#PBS -V
#PBS -v OMP_NUM_THREADS=1,DATA="/a b"
#PBS -W depend=afterok:123
#PBS -W umask=022
#PBS -p 100 -a 2200
#PBS -e err.log
#PBS -o out.log
#PBS -J 1-10""",
        {},
        "",
        ["-e err.log", "-o out.log"],
        ["-J 1-10"],
    ),
    "Torque with mpirun": (
        "Torque",
        """
#PBS -l nodes=4:ppn=8,walltime=12:00:00
#PBS -l pmem=2gb
#PBS -N old
#PBS -j oe
#PBS -m abe -M me@uni.example
#PBS -V""",
        {"number_node": 4, "cpu_per_node": 8, "queue_name": "batch"},
        "#PBS -q batch",
        ["-N old", "-j oe"],
        [],
    ),
    "Torque under Moab": (
        "Torque",
        """
#PBS -l nodes=1:ppn=16:gpus=2:exclusive_process
#PBS -l feature=gpgpu
#PBS -l qos=debug
#PBS -l naccesspolicy=singlejob
#PBS -l mem=64gb,file=20gb
#PBS -A pas0001
#PBS -W x=FLAGS:ADVRES:course
#PBS -l walltime=4:00:00""",
        {"gpu_per_node": 2},
        "",
        [],
        [],
    ),
    "Torque on a Cray": (
        "Torque",
        """
#PBS -l nodes=2:ppn=16:xk
#PBS -l gres=shifter16
#PBS -l flags=commtransparent
#PBS -q high
source /opt/modules/default/init/bash""",
        {"source_list": ["/opt/modules/default/init/bash"]},
        "",
        [],
        [],
    ),
    "Torque by processors, with an array": (
        "Torque",
        """
#PBS -l procs=24
#PBS -l walltime=08:00:00
#PBS -W group_list=yeti
#PBS -d /scratch/me
#PBS -S /bin/bash
#PBS -r n
#PBS -k oe
#PBS -t 1-4""",
        {},
        "",
        ["-d /scratch/me", "-k oe"],
        ["-t 1-4"],
    ),
    "Torque by memory alone": (
        "Torque",
        """
#PBS -l mem=16gb,vmem=20gb,cput=100:00:00
#PBS -l walltime=30:00:00:00
#PBS -v A=1,B
#PBS -n""",
        {"cpu_per_node": 8},
        "#PBS -l nodes=1:ppn=8",
        [],
        [],
    ),
    "LSF by nodes": (
        "LSF",
        """
#BSUB -P CHM101
#BSUB -W 2:00
#BSUB -nnodes 1
#BSUB -alloc_flags "smt4 gpumps"
#BSUB -J run
#BSUB -o run.%J
#BSUB -e run.%J""",
        {},
        "",
        ["-J run", "-o run.%J", "-e run.%J"],
        [],
    ),
    "LSF by one host": (
        "LSF",
        """
#BSUB -q gpuv100
#BSUB -n 4
#BSUB -R "span[hosts=1]"
#BSUB -R "rusage[mem=4GB]"
#BSUB -R "select[gpu32gb]"
#BSUB -M 5GB
#BSUB -gpu "num=1:mode=exclusive_process"
#BSUB -W 24:00
#BSUB -u me@uni.example -B
#BSUB -N""",
        {"gpu_per_node": 1, "kwargs": {"gpu_usage": True, "gpu_new_syntax": True}},
        "",
        ["-N"],
        [],
    ),
    "LSF by memory and model": (
        "LSF",
        """
#BSUB -W 4:00
#BSUB -R "rusage[mem=2000,ngpus_excl_p=1]"
#BSUB -R "select[model==XeonGold_6150 && gpu_mtotal0>=10240]"
#BSUB -G es_group
#BSUB -J "arr[1-10]%3\"""",
        {"cpu_per_node": 24, "gpu_per_node": 1},
        "#BSUB -n 24 -R 'span[ptile=24]'",
        [],
        ['-J "arr[1-10]%3"'],
    ),
    "LSF in a container": (
        "LSF",
        """
#BSUB -a 'docker(deepmdkit/deepmd-kit:2.2)'
#BSUB -G compute-group -g /me/lim
#BSUB -sla high
#BSUB -M 8GB
#BSUB -R 'select[mem>8000 && tmp>10] rusage[mem=8000] span[hosts=1]'
#BSUB -E "/usr/bin/true"
#BSUB -env "LSF_DOCKER_VOLUMES=/storage:/storage"
#BSUB -L /bin/bash""",
        {"cpu_per_node": 4, "queue_name": "general"},
        "#BSUB -n 4 -q general",
        [],
        [],
    ),
    "LSF by hosts and times": (
        "LSF",
        """
#BSUB -n 40
#BSUB -R "span[ptile=20]"
#BSUB -x
#BSUB -q "large small"
#BSUB -app vasp
#BSUB -w "done(123)"
#BSUB -We 10:00 -W 1440
#BSUB -sp 50
#BSUB -U rsv1
#BSUB -m "hosta hostb"
#BSUB -wt 10 -wa URG
#BSUB -b 22:00
#BSUB -Q "137"
source /opt/intel/oneapi/setvars.sh intel64""",
        {"number_node": 2, "cpu_per_node": 20, "source_list": ["/opt/intel/oneapi/setvars.sh intel64"]},
        "",
        ['-Q "137"'],
        [],
    ),
}


def machine_of(folder, batch_type, resources):
    """The machine of the training that machine.json with these resources describes."""
    machine = {"batch_type": batch_type, "context_type": "LazyLocalContext"}
    given = {"default": {"machine": machine, "resources": {"group_size": 1, **resources}}}
    (folder / "machine.json").write_text(json.dumps(given))
    section = load_machine(folder / "machine.json", machine_trees()).sections["train"]
    return StepMachine(section["machine"], section["resources"])


def asked(options, lines):
    """What directives ask for: options with their values; of Slurm's the last, of PBS's ``-l`` each resource by itself."""
    pairs = [(given.name, given.value or "") for given in read(options, lines)]
    if options is SBATCH:
        return sorted(dict(pairs).items())
    return sorted(
        (name, part)
        for name, value in pairs
        for part in (re.split(r",(?=\w+=)", value) if options is not BSUB and name == "l" else [value])
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_job_asks_for_what_the_script_asks_for(tmp_path, name):
    batch_type, script, keys, ours, unused, refused = SCRIPTS[name]
    flags = [line for line in script.splitlines() if line.startswith("#")]
    commands = [line for line in script.splitlines() if line and not line.startswith("#")]
    if refused:
        with pytest.raises(InputError) as error:
            machine_of(tmp_path, batch_type, {"custom_flags": flags, **keys})
        assert [option for option in refused if f": {option} " not in str(error.value)] == []
        flags = [line for line in flags if not line.endswith(tuple(refused))]
    machine = machine_of(tmp_path, batch_type, {"custom_flags": flags, **keys})
    told = "\n".join(text for _, text in machine.notices({}))
    assert re.findall(r"': (.*) is not used: ", told) == unused
    parts = script_parts(machine, bound_context(machine, str(tmp_path), "batch", "name"), "dname", 1)
    options = machine.scheduler.options
    wanted = [line for line in flags if not line.endswith((*unused, "-r n"))]  # -r n is on the command line
    assert asked(options, parts.header.splitlines()) == asked(options, [*wanted, *ours.splitlines()])
    lines = [shlex.split(line) for line in parts.environment.splitlines()]
    assert [command for command in commands if shlex.split(command) not in lines] == []
