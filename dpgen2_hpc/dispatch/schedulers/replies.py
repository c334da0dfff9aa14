"""What the schedulers' submission commands answer: one table for each, and the rule for what is in none.

The texts are those of the schedulers' own sources and manuals, named beside them. Each is matched where a line begins,
after the program's own prefix, because the words of a site's hook or plugin may be anything.

An answer without a job id that no table knows has rejected the job, but not surely: the job is looked for by its name
before it is submitted once more.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dpgen2_hpc.dispatch.schedulers import Reply
from dpgen2_hpc.errors import QueueDown, QueueFull, SubmissionRefused


class Known(NamedTuple):
    """Answers of one meaning: how the line begins (pattern, any case), and the document that says so."""

    source: str
    beginnings: tuple[str, ...]


@dataclass(frozen=True)
class Replies:
    """The answers of one submission command.

    ``accepted`` is the pattern of a line with the job's id: its groups, joined with ``;`` where there are several, and
    ``prefix`` what the program puts before a message. ``refused`` jobs will never be accepted as they are, ``full``
    ones later; ``down`` is said of the scheduler or the site and not of the job, which may exist.
    """

    accepted: str
    prefix: str
    refused: tuple[Known, ...]
    full: tuple[Known, ...]
    down: tuple[Known, ...]

    def submitted_id(self, reply: Reply) -> str:
        """Return the id of the job that was accepted: the last one, since sites print lines of their own.

        Raises
        ------
        QueueDown
            It cannot be told whether the job was accepted.
        QueueFull
            It was surely not, and will be later.
        SubmissionRefused
            It was not; ``certain`` if the answer is documented.
        """
        ids = [";".join(filter(None, found.groups())) for found in re.finditer(self.accepted, reply.out, re.MULTILINE)]
        if ids and reply.code == 0:
            return ids[-1]
        words = reply.err.strip() or reply.out.strip()
        if ids or not words:
            raise QueueDown(words or f"the submission command said nothing (exit code {reply.code})")
        messages = list(self._messages(f"{reply.err}\n{reply.out}"))
        if _any_begins(self.refused, messages):
            raise SubmissionRefused(words)
        if _any_begins(self.full, messages):
            raise QueueFull(words)
        if _any_begins(self.down, messages):
            raise QueueDown(words)
        raise SubmissionRefused(words, certain=False)

    def _messages(self, text: str) -> Iterator[str]:
        for line in text.splitlines():
            yield re.sub(rf"^(?:{self.prefix})+", "", line.strip())


def _any_begins(known: Sequence[Known], messages: Sequence[str]) -> bool:
    patterns = [re.compile(text, re.IGNORECASE) for entry in known for text in entry.beginnings]
    return any(pattern.match(message) for message in messages for pattern in patterns)


SYSTEM = Known(
    "errno(3), as the clients print it",
    (
        r"Connection (refused|reset by peer|timed out)",
        r"No route to host",
        r"Network is unreachable",
        r"Resource temporarily unavailable",
        r"Transport endpoint is not connected",
        r"Broken pipe",
        r"Cannot allocate memory",
        r"Temporary failure in name resolution",
    ),
)
"""What a client says that did not reach its server."""

SLURM = Replies(
    accepted=r"^(?:Submitted batch job )?(\d+)(?:;(\S+)| on cluster (\S+))?\s*$",
    prefix=r"sbatch: (?:error: |fatal: )?|slurm_\w+ error: |Batch job submission failed: ",
    refused=(
        Known(
            "Slurm 22.05, slurm_errno.c",
            (
                r"Unspecified error",  # a site's plugin has said its own words before
                r"Access/permission denied",
                r"Access denied to requested reservation",
                r"Burst Buffer (request invalid|permission denied|resource limit exceeded)",
                r"Circular job dependency",
                r"Container (support|runtime) (is )?not configured",
                r"Core count for reservation",
                r"CPU count specification invalid",
                r"Duplicate generic resource",
                r"Environment is missing in job",
                r"Incompatible versions of client and server code",
                r"Invalid (partition name|account or account/partition combination|qos specification|user id|group id)",
                r"Invalid (wckey|license|feature|generic resource|GRES|Trackable RESource|mcs_label|time-min|cluster)",
                r"Invalid (preferred feature|cluster feature|job array|node name|--nice value|time specified|job id)",
                r"Invalid (JobDefaults|TRESBillingWeights|KNL configuration|accounting frequency)",
                r"Job --batch option is invalid",
                r"Job dependency problem",
                r"Job script not specified",
                r"Job size specification needs to be provided",
                r"Memory required by task is not available",
                r"More processors requested than permitted",
                r"Multiple partition job request not supported",
                r"No (eligible clusters for federated job|partition specified or system default partition)",
                r"Node count specification invalid",
                r"Only batch jobs are accepted",
                r"Pathname of a file, directory or other parameter too long",
                r"Requested account has breached requested QOS usage threshold",
                r"Requested (GRES option|operation not supported|node configuration is not available)",
                r"Requested (more tasks than|nodes not in this partition|partition configuration not available)",
                r"Requested (reservation is invalid|time limit is invalid)",
                r"Requires more ports than can be reserved",
                r"Task (count|distribution) specification invalid",
                r"Time limit specification required",
                r"User's group not permitted to use this partition",
            ),
        ),
        Known(
            "Slurm 22.05, squeue(1), job reason codes: limits of one job's size or time",
            (r"(QOS|Assoc)\w*(Wall|PerJob|PerNode|MinCPU|MinGRES|MinMemory|MinNode|MinBB|MinBilling)\w*",),
        ),
        Known(
            "Slurm 22.05, sbatch: what it says of the script and of options",
            (
                r"(unrecognized|invalid|ambiguous) option",
                r"option '.*' (requires|is ambiguous)",
                r"This does not look like a batch script",
                r"Batch script contains DOS line breaks",
                r"Unable to open (batch script|file)",
                r"Invalid --\S+ specification",
                r"Invalid (directive|numeric value|time limit)",
            ),
        ),
    ),
    full=(
        Known(
            "Slurm 22.05, slurm_errno.c, and squeue(1), job reason codes",
            (
                r"(QOS|Assoc)\w*Submit\w*Limit",
                r"(QOS|Assoc)(Grp|Max)Jobs\w*Limit",
                r"Job violates accounting/QOS policy \(job submit limit",
            ),
        ),
    ),
    down=(
        SYSTEM,
        Known(
            "Slurm 22.05, slurm_errno.c",
            (
                r"Unable to contact slurm controller",
                r"Socket timed out on send/recv operation",
                r"Zero Bytes were transmitted or received",
                r"Communication (connection|shutdown) failure",
                r"Unexpected (message received|missing socket error)",
                r"Message (send|receive) failure",
                r"Insane message length",
                r"Received (zero length message|message length < 0)",
                r"Failed to send entire message",
                r"Header lengths are longer than data received",
                r"Slurm backup controller in standby mode",
                r"Controller is in standby mode",
                r"Protocol authentication error",
                r"Invalid authentication credential",
                r"Authentication credential invalid",
                r"Failed to (connect to authentication agent|open authentication public key)",
                r"Error generating job credential",
                r"Can't find an address, check slurm\.conf",
                r"Unable to create job record, try again",
                r"I/O error writing script/environment to file",
                r"Unable to connect to database",
                r"System submissions disabled",
                r"Required partition not available \(inactive or drain\)",
                r"Job update not available right now",
                r"Job locked by another sibling",
                r"Slurm temporarily unable to accept job",
            ),
        ),
        Known(
            "Slurm 22.05, sbatch and its libraries, on the way to the controller",
            (
                r"Munge (encode|decode) failed",
                r"If munged is up",
                r"auth_g_(pack|unpack|create)",
                r"authentication:",
                r"slurm_(receive|send)_\w+",
                r"slurm_unpack_received_msg",
                r"fetch_config|_establish_config_source|resolve_ctls_from_dns_srv",
                r"Could not establish a configuration source",
            ),
        ),
    ),
)

_PBS_REFUSED = (
    r"Unknown (queue|resource|node|request)",
    r"Undefined attribute",
    r"Access to queue is denied",
    r"Access from host not allowed",
    r"Unauthorized Request",
    r"Illegal (attribute or resource value|value for)",
    r"Illegal -[A-Za-z]\b",
    r"Cannot set attribute",
    r"Invalid (request|Account|Job Dependency|provisioning request)",
    r"Bad (UID|GID) for job execution",
    r"Job (exceeds queue resource limits|violates queue and/or server resource limits)",
    r"Job rejected by all possible destinations",
    r"Job routing over too many hops",
    r"No (default queue|server) specified",
    r"No support for requested service",
    r"Resource limit exceeds allowable",
    r"Mutually exclusive values for",
    r"Queue name too long",
    r"Duplicate entry in list",
    r"Cannot execute at specified host",
    r"node\(s\) specification error",
)
"""Of OpenPBS and Torque, which have the same origin."""

_PBS_DOWN = (
    r"cannot connect to server",
    r"Request not allowed: Server shutting down",
    r"(Premature )?End of File",
    r"No free connections",
    r"Batch protocol error",
    r"Queue is not enabled",  # a site's maintenance
    r"pbs_iff:",
    r"Communication failure",
)

PBS = Replies(
    accepted=r"^(\d+(?:\.[\w.-]+)?)\s*$",
    prefix=r"qsub: |submit error \(|Error: ",
    refused=(
        Known(
            "OpenPBS 23.06, pbs_messages.c",
            (
                *_PBS_REFUSED,
                r"hook (rejected request|error)",
                r"jobscript (max )?size exceed",
                r"name is too long",
                r'"-lresource=" cannot be used with "select" or "place"',
                r'Resource invalid in "select" specification',
                r"Cannot (be used with select or place|have \"\w+\" without)",
                r"duplicated resource within a section of a select",
                r"Array job exceeds server or queue size limit",
                r"PBS license is invalid",
                r"Exceeded number of licensed cpus",
                r"job and reservation have conflicting specification",
                r"attribute value is out of range",
                r"job has bad password",
            ),
        ),
        Known(
            "OpenPBS 23.06, qsub(1B): usage and its reading of the script",
            (r"usage: qsub", r"illegal -[A-Za-z] value", r"invalid option", r"script file:: ", r"directive error"),
        ),
    ),
    full=(
        Known(
            "OpenPBS 23.06, pbs_messages.c: limits of users, groups, projects and queues",
            (
                r"Maximum number of jobs (in 'Q' state )?(for (user|group|project) \S+ )?already in (queue|complex)",
                r"would exceed (queue \S+'s|complex's) per-(user|group|project) limit",
                r"would exceed ((per-|(user|group|project) \S+'s )?(user |group |project )?)limit on resource",
                r"would exceed queue \S+'s \S+ limit",
            ),
        ),
    ),
    down=(
        SYSTEM,
        Known(
            "OpenPBS 23.06, pbs_messages.c",
            (
                *_PBS_DOWN,
                r"Server connection table full",
                r"Floating License unavailable",
                r"PBS server internal error",
                r"Failed to save job/resv",
                r"request rejected as filter hook '.*' encountered an exception",
            ),
        ),
    ),
)

TORQUE = Replies(
    accepted=PBS.accepted,
    prefix=PBS.prefix,
    refused=(
        Known(
            "Torque 6.1, pbs_error_db.h",
            (
                *_PBS_REFUSED,
                r"Queue does not allow (batch|rerunable|nonrerunable|fault)",
                r"\(qsub\) cannot access script file",
                r"Bad (Job Array Request|attribute list structure)",
                r"Command syntax invalid",
                r"Wrong job type",
                r"munge executable not found",
                r"client is not allowed/trusted",
                r"submit filter returned an error code",
            ),
        ),
    ),
    full=(
        Known(
            "Torque 6.1, pbs_error_db.h",
            (r"Maximum number of jobs already in queue", *PBS.full[0].beginnings),
        ),
    ),
    down=(
        SYSTEM,
        Known(
            "Torque 6.1, pbs_error_db.h",
            (
                *_PBS_DOWN,
                r"Pbs Server is currently too busy",
                r"Server busy\. Not available threads",
                r"Client connection not found\. trqauthd",
                r"trqauthd unable to authenticate",
                r"Time out",
                r"Too many submit retries",
                r"Error (in socket|writing data to|reading data from|listening on|creating thread|saving file)",
                r"Unable to get connection to socket",
                r"Socket close detected",
                r"Can not establish connection",
                r"Could not connect to batch server",
                r"Queue is currently not available",
                r"PBS server internal error",
            ),
        ),
    ),
)

LSF = Replies(
    accepted=r"^Job <(\d+)> is submitted to (?:default )?queue <",
    prefix=r"bsub: ",
    refused=(
        Known(
            "IBM Spectrum LSF 10.1, bsub, and lsbatch.h: these end in 'Job not submitted.'",
            (
                r".*: No such (queue|host|user|(user|host) group|project|application|resource)\b.*not submitted",
                r"No such (queue|host|user|project|application|resource)\b.*not submitted",
                r"Request aborted by esub",
                r"User (cannot|not permitted to|is not permitted to) use",
                r"User permission denied",
                r"(Bad|Illegal|Invalid|Unknown|Undefined) .*not submitted",
                r"(Too many|Too few|Not enough) (processors|hosts|slots|tasks)",
                r"(CPU|RUN|MEM|Memory|Run|Requested|Specified|Job)\b.*(limit|exceed).*not submitted",
                r"Cannot exceed (queue|application)",
                r"Queue (does not|only) accept",
                r"Host or host group",
                r"Interactive jobs? ",
                r"Resource requirement",
                r"Job was already|Job dependency|Dependency condition",
            ),
        ),
    ),
    full=(
        Known(
            "IBM Spectrum LSF 10.1, lsb.params: MAX_PEND_JOBS, MAX_PEND_SLOTS; lsb.users",
            (
                r"(User <.*>: |Usergroup <.*>: )?Pending job (slot )?threshold reached",
                r"(User|Queue|Cluster|Application)\S* .*pending job (slot )?(limit|threshold)",
            ),
        ),
    ),
    down=(
        SYSTEM,
        Known(
            "IBM Spectrum LSF 10.1, error messages of the commands",
            (
                r"LSF is (down|processing|retrying)",
                r"LSF daemon .*not responding",
                r"(LIM|mbatchd|batch daemon|LSF) (is )?(down|not responding)",
                r"Batch (daemon|system) (not responding|concurrent job query limit exceeded|is down)",
                r"Failed in an LSF library call",
                r"Cannot (open|contact|connect)",
                r"Queue has been closed",
                r"Communication (time ?out|failure)",
                r".*Communication time ?out",
                r".*(still trying|please wait|try (again )?later)",
                r"(Slave|Local|Master) LIM",
                r"System call failed|Internal library error",
            ),
        ),
    ),
)
