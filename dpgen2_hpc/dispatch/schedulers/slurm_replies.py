"""What ``sbatch`` answers (Slurm 22.05 unless a source says otherwise)."""

from dpgen2_hpc.dispatch.schedulers.replies import ANYWHERE, SYSTEM, Known, Meaning, Replies, exactly, known

_FAILED = r"sbatch: error: Batch job submission failed: "
_LOADS = r"slurm_load_\w+ error: "
_ERROR = r"sbatch: (?:error: )?"
_POLICY = _FAILED + r"Job violates accounting\b"
_CATALOGUE = "Slurm 22.05, slurm_errno.c"
_SBATCH = "Slurm 22.05, sbatch.c and opt.c"

_LIMITS = (
    # the controller names the limit before its verdict, which is the same for all limits
    Known(
        r"sbatch: error: (?:QOS|Assoc)(?:Max|Grp)(?:Submit)?Jobs?(?:Per(?:User|Account|Acct))?Limit$",
        Meaning.FULL,
        "Slurm 22.05, squeue(1), job reason codes",
        beside=_POLICY,
    ),
    Known(
        r"sbatch: error: (?:QOS|Assoc)\w+$",
        Meaning.REFUSED,
        "Slurm 22.05, squeue(1), and sacctmgr(1), DenyOnLimit: by itself the job exceeds the limit",
        beside=_POLICY,
    ),
    Known(_POLICY, Meaning.FULL, _CATALOGUE),
    Known(_FAILED + r"Unable to create job record, try again$", Meaning.FULL, "Slurm 22.05, sbatch.c: job queue full"),
)

_OUTAGES = exactly(
    "Socket timed out on send/recv operation",
    "Zero Bytes were transmitted or received",
    "Protocol authentication error",
    "Invalid authentication credential",
    "Authentication credential invalid",
    "Failed to connect to authentication agent",
    "Unexpected message received",
    "Unexpected missing socket error",
    "Communication connection failure",
    "Communication shutdown failure",
    "Incompatible versions of client and server code",
    "Slurm backup controller in standby mode",
    "Controller is in standby mode, try a different controller",
    "Slurm internal error, contact system administrator",
    "I/O error writing script/environment to file",
    "Error generating job credential",
    "Unable to connect to database",
    "Requested nodes are busy",
    # closed for maintenance
    "Required partition not available (inactive or drain)",
    "Requested operation is presently disabled",
    "System submissions disabled",
)

_REFUSALS = exactly(
    "Access/permission denied",
    "Access denied to requested reservation",
    "Burst Buffer permission denied",
    "Burst Buffer request invalid",
    "Burst Buffer resource limit exceeded",
    "CPU count specification invalid",
    "Cannot request more threads per core than the job allocation",
    "Circular job dependency",
    "Duplicate generic resource (gres) specification",
    "Duplicate job id",
    "Environment is missing in job",
    "Invalid --nice value",
    "Invalid GRES specification (with and without type identification)",
    "Invalid KNL configuration (MCDRAM or NUMA option)",
    "Invalid Trackable RESource (TRES) specification",
    "Invalid account or account/partition combination specified",
    "Invalid cluster feature specification",
    "Invalid cluster name",
    "Invalid feature specification",
    "Invalid generic resource (gres) specification",
    "Invalid group id",
    "Invalid job array specification",
    "Invalid job id specified",
    "Invalid license specification",
    "Invalid mcs_label specified",
    "Invalid node name specified",
    "Invalid partition name specified",
    "Invalid preferred feature specification",
    "Invalid qos specification",
    "Invalid time specified",
    "Invalid time-min specification (exceeds job's time or other limits)",
    "Invalid user id",
    "Invalid wckey specification",
    "Job --batch option is invalid or not a subset of --constraints",
    "Job dependency problem",
    "Job script not specified",
    "Job size specification needs to be provided",
    "Memory required by task is not available",
    "More processors requested than permitted",
    "Multiple partition job request not supported when a partition is set in the association",
    "No eligible clusters for federated job",
    "No partition specified or system default partition",
    "Node count specification invalid",
    "Only batch jobs are accepted or processed",
    "Pathname of a file, directory or other parameter too long",
    "Requested GRES option unsupported by configured SelectType plugin",
    "Requested account has breached requested QOS usage threshold",
    "Requested more tasks than available processors",
    "Requested node configuration is not available",
    "Requested nodes not in this partition",
    "Requested operation not supported on this system",
    "Requested reservation is invalid",
    "Requested time limit is invalid (missing or exceeds some limit)",
    "Task count specification invalid",
    "Task distribution specification invalid",
    "Time limit specification required, but not provided",
    "User's group not permitted to use this partition",
)

_OPTIONS = (
    # sbatch ends here before it speaks to the controller
    r"Unable to open file ",
    r"Batch script (?:is empty|contains only whitespace|contains DOS line breaks)",
    r"This does not look like a batch script\.",
    r"The Slurm controller does not allow scripts that",
    r"unrecognized option ",
    r"unrecognized --[\w-]+ argument ",
    r"invalid option -- ",
    r"option '?-[^ ]* (?:requires an argument|is ambiguous|doesn't allow an argument)",
    r"Invalid -[\w-]+ specification",
    r"Invalid numeric value ",
    r"Invalid directive found in batch script: ",
    r"Invalid generic resource \(gres\) specification$",
    r"Could not open user environment file ",
    r"Script arguments not permitted with --wrap option",
    r"fatal: -[\w-]+, .*are mutually exclusive",
)

_SERVICE = (
    r"error: Munge encode failed: ",
    r"error: \w+: auth_g_create: \w+ has authentication error",
    r"error: Unable to establish control machine address",
    r"error: Problem talking to (?:the )?database",
    r"error: Slurm temporarily unable to accept job, sleeping and retrying",
    r"error: Unable to contact slurm controller",
    r"(?:error: )?Job creation temporarily disabled, retrying",
    r"fatal: Could not establish a configuration source",
    r"fatal: Unable to process configuration file",
)

SLURM_REPLIES = Replies(
    program="sbatch",
    ids=(r"(?:sbatch: )?Submitted batch job (\d+)(?: on cluster \S+)?", r"(\d+;\S+)", r"(\d+);?"),
    verdict=_FAILED,
    known=(
        *_LIMITS,
        Known(_FAILED + r"Unable to contact slurm controller \(", Meaning.DOWN, _CATALOGUE),
        *known(Meaning.DOWN, _CATALOGUE, _FAILED, _OUTAGES, r"$"),
        *known(Meaning.DOWN, "Linux, errno(3)", _FAILED, SYSTEM, r"$"),
        *known(Meaning.REFUSED, _CATALOGUE, _FAILED, _REFUSALS, r"$"),
        # the verdict is not known; "No error" only says that an earlier line has the reason
        Known(_FAILED + r"(?!No error$)", Meaning.UNSURE, "none"),
        *known(Meaning.DOWN, "Slurm 22.05, sbatch without its services", r"sbatch: ", _SERVICE, r""),
        # a site's wrapper asks the queue before it submits
        Known(_LOADS + r"Unable to contact slurm controller \(", Meaning.DOWN, _CATALOGUE),
        *known(Meaning.DOWN, _CATALOGUE, _LOADS, (*_OUTAGES, *SYSTEM), r"$"),
        Known(r"sbatch: (?:error: )?Slurm job queue full, sleeping and retrying", Meaning.FULL, _SBATCH),
        *known(Meaning.REFUSED, _SBATCH, _ERROR, _OPTIONS, r""),
        *ANYWHERE,
    ),
)
