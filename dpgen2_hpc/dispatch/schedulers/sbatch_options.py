"""The options of ``sbatch``, Slurm 20.11 to 25.05, and what becomes of those that users give."""

from dpgen2_hpc.dispatch.schedulers.options import (
    ARRAY,
    FOLDER,
    NAME,
    NO_JOB,
    OUTPUT,
    REQUEUE,
    WAIT,
    Options,
    Style,
    Yielding,
    refused,
    unused,
)

_VALUED = """
account acctg-freq array batch bb bbf begin chdir cluster-constraint clusters comment constraint container container-id
context core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency distribution error
exclude export export-file extra extra-node-info gid gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task
gres gres-flags hint input job-name kill-on-invalid-dep licenses mail-type mail-user mcs-label mem mem-bind mem-per-cpu
mem-per-gpu mincpus network nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-gpu ntasks-per-node
ntasks-per-socket open-mode output partition power prefer priority profile qos reservation segment signal
sockets-per-node switches thread-spec threads-per-core time time-min tmp tres-bind tres-per-task uid wait-all-nodes
wckey wrap
"""

_PLAIN = """
consolidate-segments contiguous help hold ignore-pbs no-requeue overcommit oversubscribe parsable quiet reboot requeue
spread-job spread-segments stepmgr test-only usage use-min-nodes verbose version wait
"""

_GPUS = "gres gpus gpus-per-node gpus-per-socket gpus-per-task"

_OPTIONAL = "exclusive get-user-env nice no-kill oom-kill-step propagate resv-ports"

_LETTERS = """
a=array A=account b=begin B=extra-node-info c=cpus-per-task C=constraint d=dependency D=chdir e=error F=nodefile G=gpus
h=help H=hold i=input J=job-name k=no-kill L=licenses m=distribution M=clusters n=ntasks N=nodes o=output O=overcommit
p=partition q=qos Q=quiet s=oversubscribe S=core-spec t=time v=verbose V=version w=nodelist W=wait x=exclude
"""

SBATCH = Options(
    command="sbatch",
    directive="#SBATCH",
    style=Style.LONG,
    begin="#SBATCH",
    quoted=r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""",
    comment="#",
    valued=frozenset(_VALUED.split()),
    plain=frozenset(_PLAIN.split()),
    optional=frozenset(_OPTIONAL.split()),
    letters={pair[0]: pair[2:] for pair in _LETTERS.split()},
    aliases={"cluster": "clusters", "tasks-per-node": "ntasks-per-node", "ntasks-per-tres": "ntasks-per-gpu"},
    one_list=True,
    strict=True,
    separators=frozenset({"hetjob", "packjob"}),
    environment=(("export", r"^(?!(.*,)?ALL(,|$))", False), ("export", r"^(.*,)?ALL(,|$)", True)),
    yielding=(
        # beside --ntasks-per-node 1, Slurm refuses --ntasks 12: "Requested node configuration is not available"
        Yielding("#SBATCH --ntasks-per-node ", {"ntasks": ""}, "cpu_per_node is"),
        Yielding(r"#SBATCH --gres=gpu:\d+$", dict.fromkeys(_GPUS.split(), "")),
    ),
    fates={
        "array": refused(ARRAY),
        "wait": refused(WAIT),
        **dict.fromkeys(("test-only", "help", "usage", "version"), refused(NO_JOB)),
        "job-name": unused(NAME),
        "requeue": unused(REQUEUE),
        "no-requeue": unused(""),
        "clusters": refused("does not say where the jobs are: name the clusters, as in --clusters=c1,c2", r"(?i)^all$"),
        **dict.fromkeys(("output", "error"), unused(OUTPUT)),
        "chdir": unused(FOLDER),
    },
)
