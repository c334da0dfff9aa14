"""Directives read as the scheduler reads them: what is refused, what is dropped, what is passed on, and the whole head."""

import pytest

from dpgen2_hpc.dispatch.head import header, notices
from dpgen2_hpc.dispatch.machine import StepMachine, bound_context, script_parts
from dpgen2_hpc.dispatch.schedulers import scheduler

RESOURCES = {"number_node": 2, "cpu_per_node": 8, "gpu_per_node": 1, "queue_name": "q", "group_size": 1, "kwargs": {}}


def options(name):
    return scheduler(name).options


def refused(name, line):
    return " ".join(options(name).refusals(line))


# ---- refused


@pytest.mark.parametrize(
    "line",
    [
        "#SBATCH --array=0-2",
        "#SBATCH --array 0-2",
        "#SBATCH --arr=0-2",
        "#SBATCH --ar 0-2",
        "#SBATCH -a 0-2",
        "#SBATCH -a0-2",
        "#SBATCH -n 4 -a 0-2",
        "#SBATCH -Ha 0-2",
        "#SBATCH --exclusive --array=1",
        "#SBATCH\t--array=1",
    ],
)
def test_an_array_is_one_however_it_is_written(line):
    assert "makes one job several" in refused("Slurm", line)


@pytest.mark.parametrize("line", ["#SBATCH --wait", "#SBATCH -W", "#SBATCH -HW", "#SBATCH -n4 -W", "#SBATCH --wai"])
def test_a_submission_that_waits_is_refused(line):
    assert "lets the submission wait" in refused("Slurm", line)


@pytest.mark.parametrize(
    "line", ["#SBATCH --test-only", "#SBATCH --test", "#SBATCH --help", "#SBATCH -V", "#SBATCH -h"]
)
def test_a_submission_that_submits_nothing_is_refused(line):
    assert "submits no job" in refused("Slurm", line)


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [
        ("PBS", "#PBS -J 0-9", "makes one job several"),
        ("PBS", "#PBS -J0-9:2", "makes one job several"),
        ("Torque", "#PBS -t 0-9", "makes one job several"),
        ("PBS", "#PBS -W block=true", "lets the submission wait"),
        ("PBS", "#PBS -W group_list=chem,block=TRUE", "lets the submission wait"),
        ("PBS", "#PBS -Wblock=y", "lets the submission wait"),
        ("PBS", "#PBS -W block = 1", ""),
        ("PBS", "#PBS -W block=false", ""),
        ("PBS", "#PBS -I", "interactive"),
        ("PBS", "#PBS -z", "print no job id"),
        ("Torque", "#PBS -VI", "interactive"),
        ("PBS", "#PBS -C '##'", "what a directive looks like"),
        ("LSF", '#BSUB -J "md[1-10]"', "makes one job several"),
        ("LSF", '#BSUB -J "md[1-10]%2" -n 4', "makes one job several"),
        ("LSF", "#BSUB -K", "lets the submission wait"),
        ("LSF", "#BSUB -n 4 -K", "lets the submission wait"),
        ("LSF", "#BSUB -Is", "interactive"),
        ("LSF", "#BSUB -I", "interactive"),
        ("LSF", "#BSUB -V", "submits no job"),
        ("Slurm", "#SBATCH --clusters=all", "Name the clusters"),
        ("Slurm", "#SBATCH -M all", "Name the clusters"),
    ],
)
def test_what_would_break_the_run_is_refused_by_name(name, line, says):
    found = refused(name, line)
    assert says in found
    assert bool(found) == bool(says)


# ---- passed on

HEADS = {
    "Slurm": """
#SBATCH -p normal # the partition
#SBATCH --time=2-00:00:00
#SBATCH -t 30
#SBATCH -A project_x --qos=high
#SBATCH --mem=64G --mem-per-cpu=4G
#SBATCH --gres=gpu:a100:2
#SBATCH -C "[haswell|knl]"
#SBATCH --nodelist=n[1-4]
#SBATCH -N 2 -n 64 -c 1
#SBATCH --exclusive
#SBATCH --mail-type=END,FAIL --mail-user=me@example.org
#SBATCH --reservation=winter
#SBATCH -d singleton
#SBATCH --export=ALL,OMP_NUM_THREADS=1
#SBATCH --signal=B:USR1@120
#SBATCH --begin=now+1hour
#SBATCH --wait-all-nodes=1
#SBATCH --comment="array and wait"
#SBATCH --hint=nomultithread
#SBATCH --site-plugin=7
#SBATCH -w n1
#SBATCH --ntasks-per-node=32 --cpus-per-task=2
#SBATCH --get-user-env
#SBATCH --clusters=c1
#SBATCH --account=a --constraint=cpu --licenses=scratch
""",
    "PBS": """
#PBS -q workq
#PBS -l walltime=24:00:00
#PBS -l place=scatter:excl
#PBS -P project
#PBS -A account -m abe -M me@example.org
#PBS -W group_list=chem
#PBS -W umask=022 -p 10
#PBS -V
#PBS -v OMP_NUM_THREADS=1,LANG=C
#PBS -S /bin/bash
#PBS -k doe
#PBS -l software=lammps
#PBS -h
""",
    "Torque": """
#PBS -q batch
#PBS -l walltime=24:00:00,mem=16gb
#PBS -l pmem=2gb
#PBS -W x=GRES:gpfs
#PBS -d /home/a/run
#PBS -n -V
#PBS -T prologue.sh
#PBS -S /bin/bash
""",
    "LSF": """
#BSUB -q normal
#BSUB -W 24:00
#BSUB -n 32 -R "span[ptile=16]"
#BSUB -R "rusage[mem=4000] select[type==any]"
#BSUB -P project -G group
#BSUB -M 4GB
#BSUB -gpu "num=1:mode=shared:j_exclusive=yes"
#BSUB -x
#BSUB -B -N -u me@example.org
#BSUB -app gromacs
#BSUB -cwd /scratch/a
#BSUB -m "host1 host2"
#BSUB -nnodes 2 -alloc_flags smt4
#BSUB -L /bin/bash
#BSUB -E "prepare -K -I"
""",
}
"""Lines after the documentation of computing centres."""


@pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name, text in HEADS.items() for line in text.strip().splitlines()]
)
def test_what_users_write_is_passed_on_as_it_is(name, line):
    assert refused(name, line) == ""
    assert list(options(name).notices(line)) == []
    assert options(name).kept([line]) == [line]


# ---- dropped


@pytest.mark.parametrize(
    ("name", "line", "left", "told"),
    [
        ("Slurm", "#SBATCH --job-name=md", None, "--job-name md is not followed"),
        ("Slurm", "#SBATCH -J md -n 4", "#SBATCH -n 4", "--job-name md"),
        ("Slurm", "#SBATCH --job md", None, "--job-name md"),
        ("Slurm", "#SBATCH -o %j.out -e %j.err", None, "--output %j.out"),
        ("Slurm", "#SBATCH --requeue", None, "--requeue is not followed"),
        ("Slurm", "#SBATCH --no-requeue", None, ""),
        ("Slurm", "#SBATCH -D /scratch", None, "--chdir /scratch"),
        ("Slurm", '#SBATCH --comment="a b" -J md', "#SBATCH '--comment=a b'", "--job-name md"),
        ("PBS", "#PBS -N md", None, "-N md is not followed"),
        ("PBS", "#PBS -r y", None, "-r y is not followed"),
        ("PBS", "#PBS -r n", None, ""),
        ("PBS", "#PBS -j oe -o log -q long", "#PBS -q long", "-o log"),
        ("PBS", "#PBS -k oe", None, "-k doe"),
        ("Torque", "#PBS -N md -l walltime=1:00", "#PBS -l walltime=1:00", "-N md"),
        ("LSF", "#BSUB -J md", None, "-J md is not followed"),
        ("LSF", "#BSUB -r", None, "-r is not followed"),
        ("LSF", "#BSUB -rn", None, ""),
        ("LSF", "#BSUB -o %J.out -e %J.err -n 4", "#BSUB -n 4", "-o %J.out"),
    ],
)
def test_names_outputs_and_requeue_are_dropped_and_told(name, line, left, told):
    assert refused(name, line) == ""
    assert options(name).kept([line]) == ([left] if left else [])
    said = " ".join(options(name).notices(line))
    assert told in said
    assert bool(said) == bool(told)


def test_a_quote_that_is_not_closed_is_an_error_of_the_line():
    with pytest.raises(ValueError, match="quotation"):
        options("Slurm").given('#SBATCH --comment="a')


def test_what_is_no_directive_has_no_options():
    for line in ("echo --array=1", "# SBATCH --array=1", "##SBATCH --array=1", "#SBATCHX --array=1", ""):
        assert options("Slurm").given(line) == []


def test_the_last_clusters_are_asked():
    system = scheduler("Slurm").configured(["#SBATCH -M c1 -n 4", "#SBATCH --clusters=c2,c3"])
    assert system.clusters == "c2,c3"
    assert scheduler("Slurm").configured(["#SBATCH -n 4"]).clusters == ""


# ---- the whole head


def head_of(name, tmp_path, **more):
    machine = StepMachine(
        {"batch_type": name, "context_type": "LazyLocalContext"}, {**RESOURCES, "strategy": {}, **more}
    )
    context = bound_context(machine, str(tmp_path), "batch", "name")
    return script_parts(machine, context, "dname", 1).header.splitlines()


def test_the_users_select_takes_the_place_of_ours_on_pbs(tmp_path):
    select = "#PBS -l select=1:ncpus=8:mpiprocs=8:mem=32gb"
    assert head_of("PBS", tmp_path, custom_flags=[select, "#PBS -l walltime=1:00:00"]) == [
        "#!/bin/bash -l",
        select,
        "#PBS -l walltime=1:00:00",
        "#PBS -q q",
    ]


@pytest.mark.parametrize(
    "flag", ["#PBS -l ncpus=8 -l mem=4gb", "#PBS -l walltime=1:00,nodes=1:ppn=4", "#PBS -lmem=4gb"]
)
def test_what_pbs_refuses_beside_a_select_replaces_ours(tmp_path, flag):
    assert not any("select" in line for line in head_of("PBS", tmp_path, custom_flags=[flag]))


def test_without_a_request_of_the_users_ours_stands(tmp_path):
    assert "#PBS -l select=2:ncpus=8:ngpus=1" in head_of("PBS", tmp_path, custom_flags=["#PBS -l place=scatter"])
    assert "#PBS -l nodes=2:ppn=8:gpus=1" in head_of("Torque", tmp_path, custom_flags=["#PBS -l mem=4gb"])


def test_the_users_queue_takes_the_place_of_ours_whatever_comes_first(tmp_path):
    for name in ("PBS", "Torque"):
        lines = head_of(name, tmp_path, custom_flags=["#PBS -q long -A me"])
        assert [line for line in lines if "-q" in line] == ["#PBS -q long -A me"]


def test_the_users_nodes_replace_ours_on_torque(tmp_path):
    lines = head_of("Torque", tmp_path, custom_flags=["#PBS -l nodes=1:ppn=4:fast"])
    assert [line for line in lines if "nodes=" in line] == ["#PBS -l nodes=1:ppn=4:fast"]


def test_dpdispatchers_own_output_lines_are_dropped_on_lsf(tmp_path):
    lines = head_of("LSF", tmp_path, custom_flags=["#BSUB -J md", "#BSUB -W 24:00"])
    assert not any(line.startswith(("#BSUB -o", "#BSUB -e", "#BSUB -J")) for line in lines)
    assert {"#BSUB -n 16", "#BSUB -q q", "#BSUB -W 24:00"} <= set(lines)


def test_on_slurm_the_users_lines_come_last_since_the_last_one_wins(tmp_path):
    lines = head_of("Slurm", tmp_path, custom_flags=["#SBATCH --nodes=4 --job-name=md"])
    assert lines[-1] == "#SBATCH --nodes=4"
    assert lines[0] == "#!/bin/bash -l"


def test_a_template_is_read_in_the_same_way(tmp_path):
    template = tmp_path / "head"
    template.write_text("#!/bin/bash -l\n#SBATCH --job-name=md\n#SBATCH -M c7\n#SBATCH --nodes=1\n")
    strategy = {"customized_script_header_template_file": str(template)}
    assert head_of("Slurm", tmp_path, strategy=strategy) == ["#!/bin/bash -l", "#SBATCH -M c7", "#SBATCH --nodes=1"]
    machine = StepMachine({"batch_type": "Slurm"}, {"strategy": strategy})
    assert machine.scheduler.clusters == "c7"
    assert machine.names_clusters


def test_a_head_without_directives_stays_as_it_is():
    assert header(scheduler("Shell"), ["#!/bin/bash -l", ""], ["# a remark"]) == "#!/bin/bash -l\n\n# a remark\n"


# ---- notices


@pytest.fixture
def no_environment(monkeypatch):
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def told(name, **resources):
    return [text for _, text in notices(scheduler(name), name, resources)]


def test_a_select_of_the_users_is_told(no_environment):
    [text] = told("PBS", custom_flags=["#PBS -l select=1:ncpus=8:mem=4gb"])
    assert text == (
        "'#PBS -l select=1:ncpus=8:mem=4gb' asks for select by itself: number_node, cpu_per_node and gpu_per_node are "
        "not used for it"
    )


def test_an_active_environment_that_pbs_jobs_do_not_get_is_told_with_what_to_write(no_environment):
    no_environment.setenv("VIRTUAL_ENV", "/home/a/dp")
    [text] = told("PBS")
    assert text.endswith('"/home/a/dp\' is not active in them: add "source_list": ["/home/a/dp/bin/activate"]'[1:])
    assert told("Torque")
    for name in ("Slurm", "LSF", "Shell"):
        assert told(name) == []
    assert told("Slurm", custom_flags=["#SBATCH --export=NONE"])


def test_a_conda_environment_is_told_too(no_environment):
    no_environment.setenv("CONDA_PREFIX", "/opt/conda/envs/dp")
    assert 'add "prepend_script": ["export PATH=/opt/conda/envs/dp/bin:$PATH"]' in told("PBS")[0]


@pytest.mark.parametrize(
    "resources",
    [
        {"source_list": ["a"]},
        {"module_list": ["a"]},
        {"prepend_script": ["a"]},
        {"envs": {"PATH": "/bin"}},
        {"custom_flags": ["#PBS -V"]},
        {"custom_flags": ["#PBS -q long -V"]},
    ],
)
def test_an_environment_that_jobs_get_is_not_told(no_environment, resources):
    no_environment.setenv("VIRTUAL_ENV", "/home/a/dp")
    assert told("PBS", **resources) == []
