"""What ``bsub`` answers. A refusal ends in ``Job not submitted.``; the name of the queue may come before the reason."""

from dpgen2_hpc.dispatch.schedulers.replies import ANYWHERE, SYSTEM, Known, Meaning, Replies, exactly, known

_NAMED = r"(?:[^\s:]+: )?"
_NOT = r"\.?(?: Job not submitted\.?)?$"
_CATALOGUE = "LSF 7 and OpenLava, lsb.err.c"
_IBM = "IBM, Spectrum LSF 10.1, bsub and lsb.params"

_FULL = exactly(
    "Pending job threshold reached",
    "Pending job slot threshold reached",
    "The destination queue has reached its job limit",
    "Queue does not have enough per-user job slots",
    "Queue does not have enough per-processor job slots",
    "Queue does not have enough per-host job slots",
    "User or one of user's groups does not have enough job slots",
    "No job Id can be used now",
)

_OUTAGES = exactly(
    "Request from non-LSF host rejected",
    "Master batch daemon internal error",
    "Slave batch daemon internal error",
    "Batch library internal error",
    "System call failed",
    "Batch service not registered",
    "Batch daemon cannot fork",
    "Batch protocol error",
    "XDR encode/decode error",
    "Fail to bind to an appropriate port number",
    "Contacting batch daemon: Communication timeout",
    "Communication time out",
    "Timeout on connect call to server",
    "Connection refused by server",
    "Server connection already exists",
    "Server is not connected",
    "Unable to contact execution host",
    "Operation is in progress",
    "End of file",
    "Child process died",
    "Not enough host(s) currently eligible",
    "Cannot create job info file",
    # closed for maintenance, or for the time of day
    "Queue has been closed",
    "Not activated because queue windows are closed",
)

_REFUSALS = exactly(
    "Bad argument",
    "Bad host name, host group name or cluster name",
    "Bad host specification",
    "Bad job name",
    "Bad CPU limit specification",
    "Bad resource name",
    "Bad resource requirement syntax",
    "Bad time specification",
    "Bad user group name",
    "Bad user priority",
    "Bad/empty job group name",
    "Cannot exceed queue's hard limit(s)",
    "Cannot exceed queue's resource reservation",
    "Dependency condition syntax error",
    "Empty job",
    "Host or host group is not used by the queue",
    "Invoker is not in specified project group",
    "Job array index error",
    "Job array index too large",
    "Job group does not exist",
    "Job priority control undefined",
    "No command is specified",
    "No command is specified in the script file",
    "No matching job found",
    "No resource defined",
    "No such queue",
    "No such user/host group",
    "Queue does not accept EXCLUSIVE jobs",
    "Queue does not accept interactive jobs",
    "Queue name must be specified",
    "Queue only accepts interactive jobs",
    "Root job submission is disabled",
    "Start time is later than termination time",
    "Too few processors requested",
    "Too many processors requested",
    "Unknown user",
    "User cannot use the queue",
    "User not in the specified user group",
    "User permission denied",
)

_SYNTAX = (
    r"Error near \".*\" ?: .*Job not submitted",
    r"Error (?:in|with) .*Job not submitted",
)

_WAITING = (
    r"LSF is down\. Please wait",
    r"Cannot connect to LSF\. Please wait",
    r"LSF daemon \(LIM\) not responding",
    r"[Bb]atch system daemon not responding",
    r"Batch system concurrent (?:job )?query limit exceeded",
    r"(?:[\w()]+: )?(?:[\w()]+ failed: )?(?:Master |Slave )?LIM is down; try later",
)

LSF_REPLIES = Replies(
    program="bsub",
    ids=(r".*\bJob <(\d+)> is submitted to (?:default )?queue <[^>]*>.*", r"Job <(\d+)> is submitted\b.*"),
    known=(
        Known(r"Request aborted by esub\b", Meaning.REFUSED, _IBM),
        Known(r"(?:[\w()]+: )?Failed in an LSF library call\b", Meaning.DOWN, _CATALOGUE),
        Known(r"(?:User|Group) <.*>: Pending job (?:slot )?threshold reached\. Job not", Meaning.FULL, _IBM),
        *known(Meaning.FULL, _CATALOGUE, _NAMED, _FULL, _NOT),
        *known(Meaning.DOWN, _CATALOGUE, _NAMED, _OUTAGES, _NOT),
        *known(Meaning.DOWN, "Linux, errno(3)", _NAMED, SYSTEM, _NOT),
        *known(Meaning.REFUSED, _CATALOGUE, _NAMED, _REFUSALS, _NOT),
        *known(Meaning.REFUSED, "equinor/ert, answers of a real bsub", "", _SYNTAX, ""),
        # the reason is not known, or a line break is in it
        Known(r".*Job not submitted\.?$", Meaning.UNSURE, "none"),
        # bsub waits by itself; it was stopped while it did
        Known(r"(?:(?:User|Group) <.*>: )?Pending job (?:slot )?threshold reached\. Retrying", Meaning.FULL, _IBM),
        *known(Meaning.DOWN, "LSF 7 and OpenLava, lsb.comm.c, and its users", "", _WAITING, ""),
        *ANYWHERE,
    ),
)
