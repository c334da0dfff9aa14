"""Directive lines, read as sbatch, qsub and bsub read them: by their manuals, and for sbatch by what the real one does."""

import json

import pytest

from dpgen2_hpc.dispatch.directives import clusters_of, fate, inherits, kept, read
from dpgen2_hpc.dispatch.environment import activation
from dpgen2_hpc.dispatch.machine import StepMachine, bound_context, faults, resources_arguments, script_parts
from dpgen2_hpc.dispatch.resources import resource_notices
from dpgen2_hpc.dispatch.schedulers import scheduler
from dpgen2_hpc.dispatch.schedulers.bsub_options import BSUB
from dpgen2_hpc.dispatch.schedulers.qsub_options import OPENPBS, TORQUE
from dpgen2_hpc.dispatch.schedulers.sbatch_options import SBATCH

OPTIONS = {"Slurm": SBATCH, "PBS": OPENPBS, "Torque": TORQUE, "LSF": BSUB}
RESOURCES = {"number_node": 2, "cpu_per_node": 4, "gpu_per_node": 1, "queue_name": "normal", "group_size": 5}
NO_VENV: dict[str, str] = {}


def place(batch_type: str) -> dict[str, str]:
    return {"batch_type": batch_type, "context_type": "LazyLocalContext"}


def faults_of(batch_type, *flags, **resources):
    found = faults(place(batch_type), {**RESOURCES, "custom_flags": list(flags), **resources})
    return [text for _, text in found]


def notices_of(batch_type, *flags, environ=NO_VENV, **resources):
    asked = {"kwargs": {"gpu_usage": True}} if batch_type == "LSF" else {}
    given = {**RESOURCES, **asked, "custom_flags": list(flags), **resources}
    return [text for _, text in resource_notices(scheduler(batch_type), batch_type, given, environ)]


# ---- how a line is read


@pytest.mark.parametrize(
    ("batch_type", "text", "expected"),
    [
        ("Slurm", "#SBATCH --array=0-2", [("array", "0-2")]),
        ("Slurm", "#SBATCH --arr=0-2", [("array", "0-2")]),
        ("Slurm", "#SBATCH --ar 0-2", [("array", "0-2")]),
        ("Slurm", "#SBATCH--array=0-2", [("array", "0-2")]),
        ("Slurm", "#SBATCH\t-a0-2", [("array", "0-2")]),
        ("Slurm", "#SBATCH -HJx", [("hold", None), ("job-name", "x")]),
        ("Slurm", "#SBATCH -Wn4", [("wait", None), ("ntasks", "4")]),
        ("Slurm", "#SBATCH -n4 -W", [("ntasks", "4"), ("wait", None)]),
        ("Slurm", "#SBATCH -J --wait", [("job-name", "--wait")]),
        ("Slurm", "#SBATCH --nice --array 0", [("nice", None), ("array", "0")]),
        ("Slurm", "#SBATCH --exclusive=user -t 5", [("exclusive", "user"), ("time", "5")]),
        ("Slurm", "#SBATCH --mem 4G --mem-per-cpu=1G", [("mem", "4G"), ("mem-per-cpu", "1G")]),
        ("Slurm", "#SBATCH --comment='a b' -a 0", [("comment", "a b"), ("array", "0")]),
        ("Slurm", '#SBATCH --comment="it\'s #1" -W', [("comment", "it's #1"), ("wait", None)]),
        ("Slurm", "#SBATCH --comment=a\\ -W", [("comment", "a"), ("wait", None)]),
        ("Slurm", "#SBATCH --comment=a\\#b -W", [("comment", "a#b"), ("wait", None)]),
        ("PBS", "#PBS -A a\\ b -V", [("A", "a b"), ("V", None)]),
        ("Slurm", "#SBATCH --comment=a#b --array=0-1", [("comment", "a")]),
        ("Slurm", "#SBATCH -p gpu # --array=0-1", [("partition", "gpu")]),
        ("Slurm", "#SBATCH -a\n#SBATCH 0-1", [("array", "0-1")]),
        ("Slurm", "#SBATCH -t 5 '' -a 0", [("time", "5")]),
        ("Slurm", " #SBATCH -a0-2", []),
        ("Slurm", "##SBATCH -a0-2", []),
        ("Slurm", "#SBATCH -H\n\n  # why\nmodule load x\n#SBATCH -a0-2", [("hold", None)]),
        ("Slurm", "#SBATCH --cluster=c2", [("clusters", "c2")]),
        ("Slurm", "#SBATCH --spank-thing 5 -W", [("spank-thing", "5"), ("wait", None)]),
        ("PBS", "#PBS -N x -l select=1:ncpus=2", [("N", "x"), ("l", "select=1:ncpus=2")]),
        ("PBS", "  #PBS -joe", [("j", "oe")]),
        ("PBS", "#PBS-J 0-9", [("J", "0-9")]),
        ("PBS", "#PBS -hz", [("h", None), ("z", None)]),
        ("PBS", "#PBS -W 'block=true'", [("W", "block=true")]),
        ("PBS", "#PBS -N x # -z", [("N", "x"), ("", "#"), ("z", None)]),
        ("PBS", "#PBS -N\n#PBS x", [("N", None), ("", "x")]),
        ("PBS", "#PBS -h\necho\n#PBS -J 0-9", [("h", None)]),
        ("Torque", "#PBS -t 1-3 -f -n", [("t", "1-3"), ("f", None), ("n", None)]),
        ("Torque", "#PBS -d /home/me -w .", [("d", "/home/me"), ("w", ".")]),
        ("LSF", '#BSUB -J "name[1-10]%3" -n 4', [("J", "name[1-10]%3"), ("n", "4")]),
        ("LSF", "#BSUB -rn -r -R 'span[ptile=2]'", [("rn", None), ("r", None), ("R", "span[ptile=2]")]),
        ("LSF", "#BSUB -oo a -o b -eo c", [("oo", "a"), ("o", "b"), ("eo", "c")]),
        ("LSF", "#BSUB -Jd text -J x", [("Jd", "text"), ("J", "x")]),
        ("LSF", "#BSUB -q test  # -K", [("q", "test")]),
        ("LSF", "#BSUB -R 'a#b' -K", [("R", "a#b"), ("K", None)]),
        ("LSF", "echo\n #BSUB -K", [("K", None)]),
        ("LSF", "#BSUB is the sign of LSF -K", []),
    ],
)
def test_a_directive_is_read_as_the_command_reads_it(batch_type, text, expected):
    assert [(given.name, given.value) for given in read(OPTIONS[batch_type], text.split("\n"))] == expected


# ---- what is refused


@pytest.mark.parametrize(
    ("batch_type", "line", "option", "reason"),
    [
        *(
            (
                "Slurm",
                f"#SBATCH {text}",
                text,
                "makes one job several: remove it (group_size says how many tasks run in",
            )
            for text in ("--array=0-2", "--arr=0-2", "--ar 1,2", "-a 0-9", "-a0-9%2")
        ),
        *(
            ("Slurm", f"#SBATCH {text}", text, "makes sbatch wait until the job has ended: remove it, the driver waits")
            for text in ("--wait", "-W", "--wai", "--wa")
        ),
        ("Slurm", "#SBATCH -Wn4", "-W", "makes sbatch wait"),
        ("Slurm", "#SBATCH --test-only", "--test-only", "makes sbatch print something instead of submitting a job"),
        ("Slurm", "#SBATCH --te", "--te", "makes sbatch print something instead"),
        ("Slurm", "#SBATCH --he", "--he", "makes sbatch print something instead"),
        ("Slurm", "#SBATCH --usage", "--usage", "makes sbatch print something instead"),
        ("Slurm", "#SBATCH --ve", "--ve", "makes sbatch print something instead"),
        ("Slurm", "#SBATCH -V", "-V", "makes sbatch print something instead"),
        ("Slurm", "#SBATCH -t 5 fast", "fast", "is not an option, and sbatch refuses the whole script for it"),
        ("Slurm", '#SBATCH --comment "a b', '--comment "a b', "has a quote that is not closed"),
        ("Slurm", "#SBATCH --time", "--time", "has no value"),
        ("PBS", "#PBS -J 0-9", "-J 0-9", "makes one job several"),
        ("PBS", "#PBS -t 0-9", "-t 0-9", "makes one job several"),
        ("Torque", "#PBS -t 0-9%2", "-t 0-9%2", "makes one job several"),
        *(
            ("PBS", f"#PBS -W {text}", f"-W {text}", "makes qsub wait until the job has ended: remove it, the driver")
            for text in (
                "block=true",
                "block=True",
                "block=TRUE",
                '"block=true"',
                'block="true"',
                "depend=afterok:1,block=true",
                "'block = true'",
            )
        ),
        ("PBS", "#PBS -Wblock=true", "-Wblock=true", "makes qsub wait"),
        ("PBS", "#PBS -W interactive=true", "-W interactive=true", "makes the job interactive"),
        *((name, "#PBS -I", "-I", "makes the job interactive, with nobody there") for name in ("PBS", "Torque")),
        *((name, "#PBS -X", "-X", "makes the job interactive, with nobody there") for name in ("PBS", "Torque")),
        *((name, "#PBS -z", "-z", "keeps qsub from printing the id of the job") for name in ("PBS", "Torque")),
        ("PBS", "#PBS -C '#!!'", "-C '#!!'", "changes what directive lines begin with"),
        ("PBS", "#PBS --version", "--version", "makes qsub print something"),
        ("Torque", "#PBS -S /bin/tcsh", "-S /bin/tcsh", "is not bash, for which the job's script is written"),
        ("PBS", "#PBS select=4:ncpus=32", "select=4:ncpus=32", "is not an option, and qsub refuses the whole script"),
        ("PBS", "#PBS -N x # my job", "#", "is not an option, and qsub refuses the whole script"),
        ("PBS", "#PBS -N 'x", "-N 'x", "has a quote that is not closed"),
        ("LSF", '#BSUB -J "md[1-10]%3"', '-J "md[1-10]%3"', "makes one job several"),
        ("LSF", '#BSUB -J"md[1-10]"', '-J"md[1-10]"', "makes one job several"),
        ("LSF", "#BSUB -K", "-K", "makes bsub wait"),
        *(("LSF", f"#BSUB -q x {text}", text, "makes the job interactive") for text in ("-I", "-Is", "-Ip", "-IS")),
        ("LSF", "#BSUB -pack jobs.txt", "-pack jobs.txt", "makes bsub submit other jobs"),
        ("LSF", "#BSUB -V", "-V", "makes bsub print something"),
    ],
)
def test_what_would_break_a_run_is_refused_by_name(batch_type, line, option, reason):
    (text,) = [text for text in faults_of(batch_type, "# why", line) if option in text][:1]
    assert text.startswith(f"'{line}': {option} {reason}")


def test_a_file_of_lsf_is_read_to_its_end():
    assert faults_of("LSF", prepend_script=["module load x", "#BSUB -K"]) == [
        "'#BSUB -K': -K makes bsub wait until the job has ended: remove it, the driver waits by itself"
    ]


# ---- what is not used, with a notice, and really removed


@pytest.mark.parametrize(
    ("batch_type", "line", "left", "notice"),
    [
        ("Slurm", "#SBATCH -J md", [], "'#SBATCH -J md': -J md is not used: jobs get names of their own"),
        ("Slurm", "#SBATCH --job-name=md -t 5", ["#SBATCH -t 5"], "--job-name=md is not used: jobs get names"),
        ("Slurm", '#SBATCH -J "my job" -t 5 # x', ["#SBATCH -t 5"], '-J "my job" is not used: jobs get names'),
        ("Slurm", "#SBATCH -HJ md", ["#SBATCH -H"], "-J md is not used"),
        ("Slurm", "#SBATCH --requeue", [], "--requeue is not used: a job that the queue lost is submitted again"),
        ("Slurm", "#SBATCH --no-requeue", [], None),
        ("Slurm", "#SBATCH --no-req", [], None),
        ("Slurm", "#SBATCH -o slurm-%j.out", [], "-o slurm-%j.out is not used: output and errors of a job go to jobs/"),
        ("Slurm", "#SBATCH --err=x --mem=1G", ["#SBATCH --mem=1G"], "--err=x is not used: output and errors"),
        ("Slurm", "#SBATCH -D /scratch", [], "-D /scratch is not used: a job runs in the folder of its step"),
        ("Slurm", "#SBATCH --chdir /scratch", [], "--chdir /scratch is not used: a job runs in the folder"),
        ("PBS", "#PBS -N md", [], "-N md is not used: jobs get names"),
        ("PBS", "#PBS -r y", [], "-r y is not used: a job that the queue lost"),
        ("PBS", "#PBS -r n", [], None),
        ("PBS", "#PBS -joe -m abe", ["#PBS -m abe"], "-joe is not used: output and errors"),
        ("PBS", "#PBS -o out.txt -e err.txt", [], "-o out.txt is not used"),
        ("PBS", "#PBS -k oe", [], "-k oe is not used: output and errors"),
        ("PBS", "#PBS -R oe", [], "-R oe is not used: output and errors"),
        ("Torque", "#PBS -k eo", [], "-k eo is not used"),
        ("Torque", "#PBS -d /home/me", [], "-d /home/me is not used: a job runs in the folder of its step"),
        ("LSF", "#BSUB -J md", [], "-J md is not used: jobs get names"),
        ("LSF", "#BSUB -r -q x", ["#BSUB -q x"], "-r is not used: a job that the queue lost"),
        ("LSF", "#BSUB -rn", [], None),
        ("LSF", "#BSUB -Q 'all ~0'", [], "-Q 'all ~0' is not used: a job that the queue lost"),
        ("LSF", "#BSUB -oo %J.out -eo %J.err", [], "-oo %J.out is not used: output and errors"),
        ("LSF", "#BSUB -cwd /scratch", [], "-cwd /scratch is not used: a job runs in the folder"),
        ("LSF", "#BSUB -N -u me@here", ["#BSUB -u me@here"], "-N is not used: the report of a job goes to jobs/"),
    ],
)
def test_what_the_program_sets_itself_is_removed_with_a_notice(batch_type, line, left, notice):
    assert faults_of(batch_type, line) == []
    assert kept(["#!/bin/bash", line, "# end"], OPTIONS[batch_type]) == ["#!/bin/bash", *left, "# end"]
    found = notices_of(batch_type, line)
    assert (notice in found[0]) if notice else (found == [])


def test_a_value_on_the_next_line_goes_with_its_option():
    lines = ["#SBATCH -t 5 -o", "#SBATCH out.txt -N 2", "#SBATCH --mem=1G"]
    assert kept(lines, SBATCH) == ["#SBATCH -t 5", "#SBATCH -N 2", "#SBATCH --mem=1G"]
    lines = ["#SBATCH -J x --comment", "#SBATCH text -w", "#SBATCH n1 -N 2", "#SBATCH  --mem=1G"]
    assert kept(lines, SBATCH) == ["#SBATCH --comment text", "#SBATCH -w n1", "#SBATCH -N 2", "#SBATCH  --mem=1G"]


@pytest.mark.parametrize(
    ("batch_type", "line"),
    [
        ("Slurm", "#SBATCH --wait-all-nodes=1 --some-plugin --other=x   # a comment"),
        ("Slurm", "#SBATCH -H --begin=now+1hour -d afterok:1 --signal=B:USR1@60 --open-mode=append"),
        ("Slurm", "#SBATCH hetjob"),
        ("Slurm", "#SBATCH --e=x"),  # --error, or --exclude: sbatch itself refuses it
        ("Slurm", "# PBS nodes are slow"),
        ("Slurm", "#SBATCH --ignore-pbs --parsable -Q -v"),
        ("PBS", "#PBS -W block=false -W umask=022 -W group_list=g"),
        ("PBS", "#PBS -koed -h -V -q long -l place=scatter"),
        ("PBS", "#PBS -W 'block= false'"),
        ("PBS", "#PBS -S /bin/bash"),
        ("Torque", "#PBS -n -f -k n -F 'a b' -l mem=4gb # a word too many is not an error here"),
        ("LSF", '#BSUB -P x -R "rusage[mem=4GB] span[hosts=1]" -W 1:00 -B -x -Jd "about it" -gpu num=1'),
    ],
)
def test_everything_else_is_passed_as_it_is(batch_type, line):
    assert faults_of(batch_type, line) == []
    assert kept([line], OPTIONS[batch_type]) == [line]
    assert notices_of(batch_type, line) == []


def test_a_directive_after_a_command_has_no_effect_and_that_is_said():
    after = "has no effect: sbatch reads no options after the first command. Move it to custom_flags"
    assert notices_of("Slurm", prepend_script=["#SBATCH --mem=9G"]) == [f"'#SBATCH --mem=9G' {after}"]


def test_the_last_clusters_count():
    assert clusters_of(["#!/bin/bash", "#SBATCH -M c1 -t 5", "#SBATCH --cluster=c2,c3", "# -M c4"]) == "c2,c3"
    assert clusters_of(["#!/bin/bash", "#SBATCH -t 5", "ls", "#SBATCH -M c1"]) is None


# ---- files of the field


@pytest.mark.parametrize(
    ("batch_type", "flag"), [("LSF", "#BSUB -J md"), ("PBS", "#PBS -N md"), ("Slurm", "#SBATCH -J md")]
)
def test_a_name_among_the_flags_is_passed_over(batch_type, flag):
    assert faults_of(batch_type, flag) == []
    assert len(notices_of(batch_type, flag)) == 1


# ---- headers of real users: (batch type, source, header, what is left, what is told)

REAL = [
    (
        "Slurm",  # github.com/xlliu98/vasp-amorphous, slurm_scripts/run_kepler_cpu.sh
        (
            "#!/bin/bash\n#SBATCH --time=144:00:00\n#SBATCH --ntasks=1\n#SBATCH --nodes=1\n#SBATCH --ntasks-per-node=16\n"
            "#SBATCH --mem=30GB\n#SBATCH -J test\n#SBATCH -o slurm_%j.out\n#SBATCH -e slurm_%j.err"
        ),
        "--time=144:00:00 --ntasks=1 --nodes=1 --ntasks-per-node=16 --mem=30GB",
        ["-J test", "-o slurm_%j.out", "-e slurm_%j.err", "'--ntasks=1'"],
    ),
    (
        "Slurm",  # github.com/xuzhiping/multiscale_winterschool_2021, .../graphene/lda/pri-lattice/isif3/2d-job.sh
        (
            "#!/bin/bash\n#BATCH -J vasp                     # job name \n#SBATCH -p course       # queue  --cnall,  course\n"
            "#SBATCH -N 1                       # number of nodes requested\n#SBATCH -n 12                       # \n"
            "#SBATCH -o stdout.%j\n#SBATCH -e stderr.%j\n#SBATCH --no-requeue"
        ),
        "-p course -N 1 -n 12",
        ["-o stdout.%j", "-e stderr.%j", "#BATCH -J vasp", "'-n 12'"],
    ),
    (
        "Slurm",  # github.com/mstapelberg/structure_maker, Archived_Vasp_Jobs/VCrTiWZr_PostMCMC/job_23/job.slurm
        (
            "#!/bin/bash\n#SBATCH --job-name=job_23\n#SBATCH --output=std-out\n#SBATCH --time=24:00:00\n#SBATCH --nodes=1\n"
            "#SBATCH --ntasks-per-node=1\n#SBATCH --constraint=v100s\n#SBATCH --gres=gpu:1"
        ),
        "--time=24:00:00 --nodes=1 --ntasks-per-node=1 --constraint=v100s --gres=gpu:1",
        ["--job-name=job_23", "--output=std-out"],
    ),
    (
        "Slurm",  # github.com/CristianVillazhannay/ME470, HW1/HardScaling2.sh
        (
            '#!/bin/bash\n#SBATCH --job-name="lammps_lj_example"\n#SBATCH -A e31958\n#SBATCH -p short             ## partition\n'
            "#SBATCH -N 2                 ## number of nodes\n#SBATCH --ntasks-per-node=16  ## number of procs per node\n"
            "#SBATCH -t 02:00:00"
        ),
        "-A e31958 -p short -N 2 --ntasks-per-node=16 -t 02:00:00",
        ['--job-name="lammps_lj_example"'],
    ),
    (
        "Slurm",  # github.com/GodJh1n/gra_ablation, 6_out/006_2km_opt/1000_temp_changebox_0.010/lamps.sh
        (
            "#!/bin/bash\n#SBATCH -N 1  \n#SBATCH -n 64     \n#SBATCH -w compute-0-12   \n#SBATCH -p CLUSTER   \n"
            "#SBATCH -t 1000:00:00  \n#SBATCH -J JHY\n"
        ),
        "-N 1 -n 64 -w compute-0-12 -p CLUSTER -t 1000:00:00",
        ["-J JHY", "'-n 64'"],
    ),
    (
        "PBS",  # github.com/hariharan-devarajan/jobspec-database, data/ssmabuza/palmetto-examples/LAMMPS/job.sh
        "#PBS -N lammps_example\n#PBS -l select=1:ncpus=10:mpiprocs=10:ngpus=1:mem=32gb,walltime=1:00:00\n#PBS -j oe",
        "-l select=1:ncpus=10:mpiprocs=10:ngpus=1:mem=32gb,walltime=1:00:00",
        ["-N lammps_example", "-j oe", "'-l select=...'"],
    ),
    (
        "PBS",  # github.com/jedwards4b/CESM2-Realtime-Forecast, ecflow/include/multinode.h
        (
            "#!/bin/bash  \n#PBS -N %TASK%\n#PBS -r n\n#PBS -j oe\n#PBS -o %LOGDIR%/%TASK%.out\n#PBS -S /bin/bash\n"
            "#PBS -l select=9:ncpus=128:mpiprocs=128:ompthreads=1:mem=230GB\n#PBS -q main\n#PBS -A %PROJECT%\n"
            "#PBS -l walltime=04:00:00\n#PBS -V"
        ),
        (
            "-S /bin/bash -l select=9:ncpus=128:mpiprocs=128:ompthreads=1:mem=230GB -q main -A %PROJECT% "
            "-l walltime=04:00:00 -V"
        ),
        ["-N %TASK%", "-j oe", "-o %LOGDIR%/%TASK%.out", "'-l select=...'"],
    ),
    (
        "PBS",  # github.com/DieNasos/nsu-parallel-programming-labs, sh_files/opp2_w2.sh
        "#!/bin/bash\n#PBS -l select=2:ncpus=8:mpiprocs=8\n#PBS -l walltime=00:05:00",
        "-l select=2:ncpus=8:mpiprocs=8 -l walltime=00:05:00",
        ["'-l select=...'"],
    ),
    (
        "PBS",  # github.com/PanUnsw/satellite_selection, job.sh
        (
            "#!/bin/bash\n#PBS -q gpupascal\n#PBS -l walltime=5:00:00\n#PBS -l mem=20GB\n#PBS -l jobfs=0GB\n#PBS -l ngpus=1\n"
            "#PBS -l ncpus=6\n## For licensed software, you have to specify it to get the job running.\n"
            "#PBS -l software=tensorflow/1.8-cudnn7.1-python2.7\n#PBS -l wd \n#PBS -r y\n##PBS -M y.xu@unsw.edu.au"
        ),
        (
            "-q gpupascal -l walltime=5:00:00 -l mem=20GB -l jobfs=0GB -l ngpus=1 -l ncpus=6 "
            "-l software=tensorflow/1.8-cudnn7.1-python2.7 -l wd"
        ),
        ["-r y", "'-l mem=...' and '-l ngpus=...' and '-l ncpus=...'"],
    ),
    (
        "PBS",  # github.com/TintinWuNTUEE/SSCNet, Try_Try/train_first_part.sh
        "#!/bin/bash\n#PBS -l select=1:ncpus=8:ngpus=1 \n#PBS -q ee ",
        "-l select=1:ncpus=8:ngpus=1 -q ee",
        ["'-l select=...'"],
    ),
    (
        "Torque",  # github.com/iamkbatra/CompChem, VASP/AIMD/VASP.sh
        (
            "#!/bin/bash\n#PBS -l nodes=1:ppn=20\n#PBS -q damp\n#PBS -r n\n#PBS -m e\n#PBS -j oe\n"
            "#PBS -l walltime=99999:00:00\n#PBS -N vasp_t"
        ),
        "-l nodes=1:ppn=20 -q damp -m e -l walltime=99999:00:00",
        ["-j oe", "-N vasp_t", "'-l nodes=...'"],
    ),
    (
        "Torque",  # github.com/luowh35/dpgen_Cu, run/dppbs.sh
        (
            "#!/bin/bash\n#PBS -N dpgen_run_cu\n#PBS -l nodes=cn5:ncpus=64\n#PBS -j n\n#PBS -e ${PBS_JOBNAME}.err\n"
            "#PBS -o ${PBS_JOBNAME}.out"
        ),
        "-l nodes=cn5:ncpus=64",
        ["-N dpgen_run_cu", "-j n", "-e ${PBS_JOBNAME}.err", "-o ${PBS_JOBNAME}.out", "'-l nodes=...'"],
    ),
    (
        "Torque",  # github.com/uw-cmg/MAST, MAST/test/workflow_test/savedoff/FiveFreq_.../submit.sh
        (
            "#!/bin/bash\n#PBS -N defect_purefin_q=p0_opt2\n#PBS -l nodes=1:ppn=1,pvmem=1000mb\n#PBS -l walltime=4:00:00\n"
            "##export all environment variables. \n#PBS -V"
        ),
        "-l nodes=1:ppn=1,pvmem=1000mb -l walltime=4:00:00 -V",
        ["-N defect_purefin_q=p0_opt2", "'-l nodes=...'"],
    ),
    (
        "Torque",  # github.com/lawmurray/Resampling, qsub_gpu.sh
        "#!/bin/sh\n#PBS -l walltime=08:00:00,nodes=1:ppn=16,vmem=32gb\n#PBS -j oe",
        "-l walltime=08:00:00,nodes=1:ppn=16,vmem=32gb",
        ["-j oe", "'-l nodes=...'"],
    ),
    (
        "Torque",  # github.com/desanchezrosales/Big-Data-Analytics, .../pbs_run_full_data_trial_32_layers_gpu.sh
        "#PBS -N full_data_trial_32_layers_gpu\n#PBS -l walltime=12:30:00\n#PBS -l nodes=1:ppn=40:gpus=1\n#PBS -j oe",
        "-l walltime=12:30:00 -l nodes=1:ppn=40:gpus=1",
        ["-N full_data_trial_32_layers_gpu", "-j oe", "'-l nodes=...'"],
    ),
    (
        "LSF",  # github.com/kaihsin/FirstPrinciple, course/Hands-on-0925/Au_fcc/1-band/job.vasp.sh
        (
            "#!/bin/sh\n#BSUB -a mvapich\n#BSUB -n 2 \n#BSUB -J vasp\n#BSUB -o %J.out\n#BSUB -e %J.err\n"
            "#BSUB -q  test              # depend on -n\n#BSUB -R 'span[ptile=48]' # uncomment when multi-nodes\n"
            '#BSUB -R "ipathavail==0"  # uncomment when multi-nodes'
        ),
        "-a mvapich -n 2 -q test -R 'span[ptile=48]' -R \"ipathavail==0\"",
        ["-J vasp", "-o %J.out", "-e %J.err", "'-n 2'"],
    ),
    (
        "LSF",  # github.com/psn417/nep_maker, example_Na/input/job/job_vasp.sh
        "#!/bin/bash\n#BSUB -J vasp\n#BSUB -n 4\n#BSUB -q 6230r\n#BSUB -e err.txt\n#BSUB -o out.txt",
        "-n 4 -q 6230r",
        ["-J vasp", "-e err.txt", "-o out.txt", "'-n 4'"],
    ),
    (
        "LSF",  # github.com/choderalab/gimlet, tonic/scripts/lipo_gru.sh
        (
            '#BSUB -q gpuqueue\n#BSUB -J lipo_gru\n#BSUB -m "ld-gpu ls-gpu lt-gpu lp-gpu lg-gpu lv-gpu lu-gpu"\n'
            '#####BSUB -m "lu-gpu"\n#BSUB -q gpuqueue -n 12 -gpu "num=4:j_exclusive=yes"\n'
            '#BSUB -R "rusage[mem=4] span[hosts=1]"\n######BSUB -R V100\n#BSUB -W 24:00\n#BSUB -o %J.stdout\n#BSUB -eo %J.stderr'
        ),
        (
            '-q gpuqueue -m "ld-gpu ls-gpu lt-gpu lp-gpu lg-gpu lv-gpu lu-gpu" -q gpuqueue -n 12 -gpu '
            '"num=4:j_exclusive=yes" -R "rusage[mem=4] span[hosts=1]" -W 24:00'
        ),
        ["-J lipo_gru", "-o %J.stdout", "-eo %J.stderr", "'-n 12'"],
    ),
    (
        "LSF",  # github.com/StanfordLegion/psana-legion, simtbx/summitdev/bsub_test.sh
        (
            "#!/bin/bash\n#BSUB -P CSC103SUMMITDEV\n#BSUB -W 0:30\n#BSUB -nnodes 1\n#BSUB -o lsf-%J.out\n"
            "#BSUB -e lsf-%J.err\n#BSUB -N"
        ),
        "-P CSC103SUMMITDEV -W 0:30 -nnodes 1",
        ["-o lsf-%J.out", "-e lsf-%J.err", "-N", "'-nnodes 1'"],
    ),
    (
        "LSF",  # github.com/philipnickel/02613_HPC_project, Bjobs/gpu_job.sh
        (
            '#!/bin/sh\n#BSUB -q c02613\n#BSUB -J gpujob\n#BSUB -n 4\n#BSUB -R "span[hosts=1]"\n#BSUB -R "rusage[mem=1GB]"\n'
            '#BSUB -gpu "num=1:mode=exclusive_process"\n#BSUB -W 01:00\n#BSUB -o batch_output/gpujob_%J.out'
        ),
        '-q c02613 -n 4 -R "span[hosts=1]" -R "rusage[mem=1GB]" -gpu "num=1:mode=exclusive_process" -W 01:00',
        ["-J gpujob", "-o batch_output/gpujob_%J.out", "'-n 4'"],
    ),
]


@pytest.mark.parametrize(("batch_type", "header", "left", "told"), REAL)
def test_headers_of_real_users_are_understood(batch_type, header, left, told):
    options, lines = OPTIONS[batch_type], header.splitlines()
    assert faults_of(batch_type, *lines) == []
    given = read(options, kept(lines, options))
    assert " ".join(" ".join(one.written.split()) for one in given) == left
    assert all(one.name in options.valued | options.plain for one in given), "an option that no manual has"
    found = notices_of(batch_type, *lines)
    assert len(found) == len(told)
    for text, words in zip(found, told, strict=True):
        own = f"has its own {words}: " in text or f"'{words}" in text and "is a comment" in text
        assert own or f": {words} is not used: " in text


# ---- the head of the whole script


def head(tmp_path, batch_type, *flags, template=None, **resources):
    """The lines of a script before the guard, without empty ones."""
    (tmp_path / "batch").mkdir()
    strategy = {}
    if template is not None:
        (tmp_path / "head.txt").write_text(template)
        strategy = {"strategy": {"customized_script_header_template_file": str(tmp_path / "head.txt")}}
    step = StepMachine(place(batch_type), {**RESOURCES, "custom_flags": list(flags), **strategy, **resources})
    parts = script_parts(step, bound_context(step, str(tmp_path), "batch", "name"), "dname", 1)
    return [line for line in parts.header.splitlines() if line]


OWN = {
    "Slurm": [
        "#SBATCH --nodes 2",
        "#SBATCH --ntasks-per-node 4",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --partition normal",
    ],
    "PBS": ["#PBS -l select=2:ncpus=4:ngpus=1", "#PBS -q normal"],
    "Torque": ["#PBS -l nodes=2:ppn=4:gpus=1", "#PBS -q normal"],
    "LSF": ["#BSUB -n 8", "#BSUB -R 'span[ptile=4]'", "#BSUB -q normal"],
}


@pytest.mark.parametrize("batch_type", OWN)
def test_without_flags_a_head_has_dpdispatchers_lines_and_no_output_of_its_own(tmp_path, batch_type):
    assert head(tmp_path, batch_type) == ["#!/bin/bash -l", *OWN[batch_type]]


@pytest.mark.parametrize(
    ("batch_type", "flags", "expected"),
    [
        ("Slurm", ["#SBATCH --mem=4G -J x"], [*OWN["Slurm"], "#SBATCH --mem=4G"]),
        ("Slurm", ["#SBATCH -n 12"], [OWN["Slurm"][0], *OWN["Slurm"][2:], "#SBATCH -n 12"]),
        ("Slurm", ["#SBATCH -G 2"], [*OWN["Slurm"][:2], OWN["Slurm"][3], "#SBATCH -G 2"]),
        ("Slurm", ["#SBATCH --gres=gpu:a:1"], [*OWN["Slurm"][:2], OWN["Slurm"][3], "#SBATCH --gres=gpu:a:1"]),
        ("LSF", ["#BSUB -W 1:00", "#BSUB -o x"], [*OWN["LSF"], "#BSUB -W 1:00"]),
        ("LSF", ["#BSUB -n 4"], [OWN["LSF"][2], "#BSUB -n 4"]),
        ("LSF", ["#BSUB -nnodes 1"], [OWN["LSF"][2], "#BSUB -nnodes 1"]),
        ("LSF", ["#BSUB -R 'rusage[mem=1]'"], [*OWN["LSF"], "#BSUB -R 'rusage[mem=1]'"]),
        ("LSF", ["#BSUB -R 'a span[hosts=1]'"], [OWN["LSF"][0], OWN["LSF"][2], "#BSUB -R 'a span[hosts=1]'"]),
        ("LSF", ["#BSUB -R '2*{a}+{b}'"], [OWN["LSF"][0], OWN["LSF"][2], "#BSUB -R '2*{a}+{b}'"]),
        ("PBS", ["#PBS -l walltime=1:00:00"], ["#PBS -l walltime=1:00:00", *OWN["PBS"]]),
        (
            "PBS",
            ["#PBS -l walltime=1:00:00 -N x", "#PBS -l select=1:ncpus=8:mpiprocs=8:mem=32gb"],
            ["#PBS -l walltime=1:00:00", "#PBS -l select=1:ncpus=8:mpiprocs=8:mem=32gb", "#PBS -q normal"],
        ),
        ("PBS", ["#PBS -l walltime=1:00:00,mem=4gb"], ["#PBS -l walltime=1:00:00,mem=4gb", "#PBS -q normal"]),
        ("PBS", ["#PBS -lncpus=4"], ["#PBS -lncpus=4", "#PBS -q normal"]),
        ("PBS", ["#PBS -l place=scatter", "#PBS -q big"], ["#PBS -l place=scatter", "#PBS -q big", OWN["PBS"][0]]),
        ("Torque", ["#PBS -l mem=4gb"], ["#PBS -l mem=4gb", *OWN["Torque"]]),
        ("Torque", ["#PBS -l nodes=1:ppn=8,mem=4gb"], ["#PBS -l nodes=1:ppn=8,mem=4gb", "#PBS -q normal"]),
        ("Torque", ["#PBS -l procs=8"], ["#PBS -l procs=8", "#PBS -q normal"]),
        ("Torque", ["#PBS -L tasks=2:lprocs=4"], ["#PBS -L tasks=2:lprocs=4", "#PBS -q normal"]),
    ],
)
def test_the_users_lines_hold_in_the_whole_head(tmp_path, batch_type, flags, expected):
    """OpenPBS keeps the first ``-l`` of a resource, and refuses others beside a select; Torque keeps the last.

    Slurm refuses tasks by node that contradict ``--ntasks``; two spans of LSF contradict each other.
    """
    assert head(tmp_path, batch_type, *flags) == ["#!/bin/bash -l", *expected]


def test_the_names_of_resources_that_a_value_holds_are_not_taken_for_resources(tmp_path):
    flag = """#PBS -l "software='a,mem=4,b',walltime=1" """.rstrip()
    assert head(tmp_path, "PBS", flag)[1:] == [flag, *OWN["PBS"]]


def test_flags_stand_before_the_first_command_of_a_header_of_the_users_own(tmp_path):
    template = "#!/bin/bash\n#SBATCH -N {number_node} -J x\nmodule load a\n#SBATCH --mem=1G\n"
    flags = ["#SBATCH --time=5"]
    found = head(tmp_path, "Slurm", *flags, template=template)
    assert found == ["#!/bin/bash", "#SBATCH -N 2", "#SBATCH --time=5", "module load a", "#SBATCH --mem=1G"]
    strategy = {"customized_script_header_template_file": str(tmp_path / "head.txt")}
    assert [text.partition(":")[0] for text in notices_of("Slurm", *flags, strategy=strategy)] == [
        "'#SBATCH -N {number_node} -J x'",
        "'#SBATCH --mem=1G' has no effect",
    ]


def test_a_size_of_the_users_own_is_told_with_what_is_missing_in_it():
    own = "number_node, cpu_per_node and gpu_per_node are not used for it"
    assert notices_of("PBS", "#PBS -l select=1:ncpus=8") == [f"has its own '-l select=...': {own}"]
    assert notices_of("PBS", "#PBS -l mem=32gb") == [
        (
            f"has its own '-l mem=...': {own}, and the job gets the cores of the site's default. Write one line instead: "
            "#PBS -l select=2:ncpus=4:ngpus=1:mem=..."
        )
    ]
    assert notices_of("Torque", "#PBS -l mem=32gb") == []
    assert notices_of("Torque", "#PBS -l nodes=1:ppn=2") == [f"has its own '-l nodes=...': {own}"]


# ---- the environment

VENV = {"VIRTUAL_ENV": "/home/me/ve nv"}


@pytest.mark.parametrize(
    ("batch_type", "flag", "inherited"),
    [
        ("Slurm", "", True),
        ("Slurm", "#SBATCH --export=ALL,A=1", True),
        ("Slurm", "#SBATCH --export=NONE", False),
        ("Slurm", "#SBATCH --export=A=1", False),
        ("Slurm", "#SBATCH --export=NONE --export=ALL", True),
        ("PBS", "", False),
        ("PBS", "#PBS -V", True),
        ("PBS", "#PBS -v PATH,LD_LIBRARY_PATH", True),
        ("PBS", "#PBS -v OMP_NUM_THREADS=1", False),
        ("Torque", "#PBS -hV", True),
        ("LSF", "", True),
        ("LSF", '#BSUB -env "none"', False),
        ("LSF", '#BSUB -env "A=1, PATH_all"', False),
        ("LSF", '#BSUB -env "all, A=1"', True),
    ],
)
def test_jobs_inherit_the_environment_or_not(batch_type, flag, inherited):
    assert inherits(OPTIONS[batch_type], [flag]) is inherited
    assert (notices_of(batch_type, flag, environ=VENV) == []) is inherited


def test_what_to_write_for_an_environment_that_does_not_reach_the_jobs(tmp_path):
    (text,) = notices_of("PBS", environ=VENV)
    assert text == (
        "jobs on PBS do not inherit the environment '/home/me/ve nv' that is active here; to activate it in them, write "
        'into resources: "source_list": ["\'/home/me/ve nv/bin/activate\'"]'
    )
    written = json.loads("{" + text.partition("resources: ")[2] + "}")
    (tmp_path / "batch").mkdir()
    step = StepMachine(place("PBS"), {**RESOURCES, **written})
    parts = script_parts(step, bound_context(step, str(tmp_path), "batch", "name"), "dname", 1)
    assert "source '/home/me/ve nv/bin/activate'" in parts.environment.splitlines()


@pytest.mark.parametrize(
    "resources",
    [{"source_list": ["x"]}, {"module_list": ["x"]}, {"prepend_script": ["x"]}, {"envs": {"PATH": "/x"}}],
)
def test_an_environment_that_resources_load_is_not_told(resources):
    assert notices_of("PBS", environ=VENV, **resources) == []


def test_a_conda_environment_is_activated_by_condas_own_script_or_by_its_path(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "activate").touch()
    conda = {"CONDA_PREFIX": "/c/envs/x", "CONDA_EXE": str(tmp_path / "bin" / "conda")}
    assert activation(conda) == ("source_list", f"{tmp_path}/bin/activate /c/envs/x")
    assert activation({"CONDA_PREFIX": "/c/envs/x"}) == ("prepend_script", 'export PATH=/c/envs/x/bin:"$PATH"')
    assert activation({**conda, **VENV}) == ("source_list", "'/home/me/ve nv/bin/activate'")
    assert activation({}) is None
    assert '"export PATH=/c/envs/x/bin:\\"$PATH\\""' in notices_of("PBS", environ={"CONDA_PREFIX": "/c/envs/x"})[0]


# ---- what the tables say


@pytest.mark.parametrize("batch_type", OPTIONS)
def test_a_table_knows_each_option_once_and_no_fate_is_of_an_unknown_one(batch_type):
    options = OPTIONS[batch_type]
    names = options.valued | options.plain | options.optional
    assert len(names) == len(options.valued) + len(options.plain) + len(options.optional)
    assert {*options.letters.values(), *options.aliases.values()} <= names
    assert {name for name in options.fates if name != "-"} <= names
    assert scheduler(batch_type).options is options


@pytest.mark.parametrize("batch_type", ["Slurm", "PBS", "Torque", "LSF"])
def test_the_lines_of_our_own_submit_command_need_no_fault(batch_type):
    """What dpdispatcher's own templates say is dropped or passed."""
    for line in OWN[batch_type]:
        assert all(fate(OPTIONS[batch_type], given) is None for given in read(OPTIONS[batch_type], [line]))


def test_an_option_that_is_written_as_a_key_is_told_where_it_belongs():
    tree = resources_arguments("Slurm")
    assert tree.hint("qos", "short") == (
        "it is an option of sbatch; write it into custom_flags as '#SBATCH --qos=short'"
    )
    assert tree.hint("mem_per_cpu", True).endswith("'#SBATCH --mem-per-cpu'")
    assert tree.hint("partition", "x") is tree.hint("array", "0-1") is tree.hint("nonsense", 1) is None
    assert resources_arguments("LSF").hint("qos", "short") is None
