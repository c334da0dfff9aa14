"""The options of ``sbatch``, ``qsub`` and ``bsub`` that a user may write into the head of a job's script."""

from dpgen2_hpc.dispatch.directives import Getopt, Grammar, Rule, Words


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARRAYS = "makes one job several: tasks are distributed over jobs by group_size. Remove it"
WAITS = "lets the submission wait until the job has ended, and the run with it. Remove it"
SUBMITS_NOTHING = "submits no job. Remove it"
INTERACTIVE = "makes the job interactive. Remove it"

NAME = "each job has a name by which the run finds it again"
OUTPUT = "the output of a job goes into the jobs folder, where the run reads how the job ended"
REQUEUE = "a job that the queue loses is replaced by a new one; the same one must not run twice"
FOLDER = "jobs start in their step's folder"

# ---- Slurm: sbatch(1) of 20.11 to 24.11 -----------------------------------------------------------------------------

_SBATCH = Getopt(
    short={
        "A": "--account",
        "a": "--array",
        "b": "--begin",
        "B": "--extra-node-info",
        "C": "--constraint",
        "c": "--cpus-per-task",
        "D": "--chdir",
        "d": "--dependency",
        "e": "--error",
        "F": "--nodefile",
        "G": "--gpus",
        "H": "--hold",
        "h": "--help",
        "i": "--input",
        "J": "--job-name",
        "k": "--no-kill",
        "L": "--licenses",
        "M": "--clusters",
        "m": "--distribution",
        "N": "--nodes",
        "n": "--ntasks",
        "O": "--overcommit",
        "o": "--output",
        "P": "--dependency",
        "p": "--partition",
        "Q": "--quiet",
        "q": "--qos",
        "S": "--core-spec",
        "s": "--oversubscribe",
        "t": "--time",
        "u": "--usage",
        "V": "--version",
        "v": "--verbose",
        "W": "--wait",
        "w": "--nodelist",
        "x": "--exclude",
    },
    valued="AaBbCcDdeFGiJLMmNnoPpqStwx",
    long=_names(
        """
        --account --acctg-freq --array --batch --bb --bbf --begin --chdir --cluster-constraint --clusters --comment
        --constraint --container --container-id --core-spec --cores-per-socket --cpu-freq --cpus-per-gpu
        --cpus-per-task --deadline --delay-boot --dependency --distribution --error --exclude --export --export-file
        --extra --extra-node-info --gid --gpu-bind --gpu-freq --gpus --gpus-per-node --gpus-per-socket --gpus-per-task
        --gres --gres-flags --hint --input --job-name --licenses --mail-type --mail-user --mcs-label --mem --mem-bind
        --mem-per-cpu --mem-per-gpu --mincpus --network --nodefile --nodelist --nodes --ntasks --ntasks-per-core
        --ntasks-per-gpu --ntasks-per-node --ntasks-per-socket --open-mode --output --partition
        --power --prefer --priority --profile --qos --reservation --segment --signal
        --sockets-per-node --switches --thread-spec --threads-per-core --time --time-min --tmp --tres-bind
        --tres-per-task --uid --wait-all-nodes --wckey --workdir --wrap
        """
    ),
    flags=_names(
        """
        --contiguous --exclusive --get-user-env --help --hold --ignore-pbs --kill-on-invalid-dep --nice --no-kill
        --no-requeue --oom-kill-step --overcommit --oversubscribe --parsable --propagate --quiet --reboot --requeue
        --resv-ports --share --spread-job --stepmgr --test-only --usage --use-min-nodes --verbose --version --wait
        """
    ),
    dangerous=("--array", "--wait", "--test-only", "--help", "--usage", "--version"),
)

SLURM = Grammar(
    "#SBATCH",
    _SBATCH,
    refused=(
        Rule(("--array",), ARRAYS),
        Rule(("--wait",), WAITS),
        Rule(("--test-only", "--help", "--usage", "--version"), SUBMITS_NOTHING),
        Rule(("--clusters",), "does not say where the jobs are. Name the clusters, as in --clusters=c1,c2", r"^all$"),
    ),
    dropped=(
        Rule(("--job-name",), NAME),
        Rule(("--output", "--error"), OUTPUT),
        Rule(("--requeue",), REQUEUE),
        Rule(("--chdir", "--workdir"), FOLDER),
        Rule(("--no-requeue", "--parsable", "--quiet"), ""),
    ),
)

# ---- PBS and Torque: qsub(1B) ---------------------------------------------------------------------------------------

_PBS_REFUSED = (
    Rule(("-I", "-G"), INTERACTIVE),
    Rule(("-z",), "lets qsub print no job id, so that the run cannot follow the job. Remove it"),
    Rule(("-C",), "changes what a directive looks like. Remove it, and begin directives with #PBS"),
)
_PBS_DROPPED = (
    Rule(("-N",), NAME),
    Rule(("-o", "-e", "-j"), OUTPUT),
    Rule(("-r",), REQUEUE, r"^y"),
    Rule(("-r",), ""),
    Rule(("-k",), "the output would stay in the home directory of the node; -k doe writes it in its place", r"^[^d]*$"),
)
WAITS_BLOCK = Rule(("-W",), WAITS, r"\bblock\s*=\s*(t|y|1)")

CHUNKS = _names("select nodes ncpus mem vmem mpiprocs ngpus host arch")
"""What OpenPBS does not allow beside a ``select``, and what a user's own one is."""

PBS = Grammar(
    "#PBS",
    Getopt(short={}, valued="AaCcejJklMmNopPqRrSuvW"),
    refused=(Rule(("-J",), ARRAYS), WAITS_BLOCK, *_PBS_REFUSED),
    dropped=_PBS_DROPPED,
    replaces=CHUNKS,
)
TORQUE = Grammar(
    "#PBS",
    Getopt(short={}, valued="aAbcCdDeFjkKlLmMNopPqrStTuvwW"),
    refused=(Rule(("-t",), ARRAYS), WAITS_BLOCK, *_PBS_REFUSED),
    dropped=_PBS_DROPPED,
    replaces=_names("nodes procs select ncpus"),
)

# ---- LSF: bsub of 9.1 to 10.1 ---------------------------------------------------------------------------------------

LSF = Grammar(
    "#BSUB",
    Words(
        _names(
            """
        -C -Cwd -D -E -Ep -F -G -J -Jd -L -Lp -M -P -Q -R -S -T -U -W -We -a -alloc_flags -app -b -c -cwd -data
        -datachk -datagrp -e -env -eo -ext -f -freq -g -gpu -hostfile -i -is -jobgroup -jsdl -jsdl_strict -k -m -mig
        -n -network -nnodes -o -oo -outdir -p -pack -q -rcacct -rnc_mem -s -sla -smt -sp -stage -step_cgroup -t
        -timeout -u -v -w -wa -wt
        """
        )
    ),
    refused=(
        Rule(("-J",), ARRAYS, r"\["),
        Rule(("-K",), WAITS),
        Rule(("-I", "-Ip", "-Is", "-IS", "-ISp", "-ISs", "-IX"), INTERACTIVE),
        Rule(("-pack", "-h", "-V"), SUBMITS_NOTHING),
    ),
    dropped=(
        Rule(("-J",), NAME),
        Rule(("-o", "-oo", "-e", "-eo", "-outdir"), OUTPUT),
        Rule(("-r",), REQUEUE),
        Rule(("-rn",), ""),
    ),
)

NONE = Grammar("", Words(frozenset()), (), ())
"""Where there are no directives."""
