"""What ``qsub`` answers: OpenPBS and PBS Professional, and Torque.

OpenPBS prints ``qsub: MESSAGE``, Torque ``qsub: submit error (MESSAGE MSG=REASON)``; the exit code is the error number
modulo 256. Both tables have the messages of both, each its own first, since sites give Torque's machines the name PBS.
"""

from dpgen2_hpc.dispatch.schedulers.replies import ANYWHERE, ENDS, SYSTEM, Known, Meaning, Replies, exactly, known

_SAYS = r"qsub: (?:submit error \(\s*)?"
_MAYBE = r"(?:qsub: (?:submit error \(\s*)?)?"
_PBS = "OpenPBS 20.0, pbs_messages.c"
_QSUB = "OpenPBS 20.0, qsub.c"
_TORQUE = "Torque 6.1, pbs_error_db.h"
_TORQUE_QSUB = "Torque 6.1, qsub_functions.c"
_ARGUMENT = r"(?:[\s:)].*)?$"
"""The end of a message that may name what it is about."""

_CONNECTION = (
    Known(r"Connection to server timed out\. Trying again", Meaning.DOWN, f"{_TORQUE_QSUB}: an earlier try may count"),
    Known(r"q\w+: cannot connect to server .*\(errno=-?\d+\)", Meaning.DOWN, _QSUB),
    Known(r"qsub: Failed to recv data from background qsub", Meaning.DOWN, f"{_QSUB}: it may have submitted the job"),
    Known(r"(?:qsub: )?Retry to submit a job exhausted", Meaning.DOWN, _QSUB),
    Known(
        _SAYS
        + r"(?:Hook Error: )?request rejected as filter hook '.*' (?:encountered an exception|got an alarm call)\.",
        Meaning.DOWN,
        "OpenPBS 20.0, a site's hook that fails",
    ),
)

_HOOK = (
    Known(r"qsub: ", Meaning.REFUSED, "OpenPBS 20.0, pbs_error.h, PBSE_HOOKERROR: a hook's own words", 15136 % 256),
    Known(_SAYS + r"hook rejected request", Meaning.REFUSED, _PBS),
    Known(r"\[?qsub: submit filter returned an error code, aborting", Meaning.REFUSED, _TORQUE_QSUB),
    Known(r"qsub: Your job has been administratively rejected", Meaning.REFUSED, _TORQUE_QSUB),
)
"""What a site decides itself; these come first, since the words may be any."""

_OUTAGES = exactly(
    "Batch protocol error",
    "Communication failure",
    "End of File",
    "Premature End of File",
    "No free connections",
    "PBS server internal error",
    "Request not allowed: Server shutting down",
    "Invalid credential",
    "Expired credential",
    "Queue is not enabled",
)

_PBS_OUTAGES = exactly(
    "Server connection table full",
    "Failed to save job/resv, refer server logs for details",
    "PBS license is invalid",
    "Floating License unavailable",
)

_TORQUE_OUTAGES = exactly(
    "trqauthd unable to authenticate",
    "munge executable not found, unable to authenticate",
    "could not connect to trqauthd",
    "Too many submit retries",
    "Bad DIS based Request Protocol",
    "Time out",
    "Can not establish connection",
    "Could not connect to batch server",
    "Could not resolve host name",
    "Queue is currently not available",
    "Error in socket select",
    "Unable to get connection to socket",
    "Error writing data to socket",
    "Error reading data from socket",
    "Socket close detected",
    "Error allocating memory - out of memory",
    "Error allocating controling mutex (lock/unlock)",
    "Error setting thread attributes",
    "Error creating thread",
    "Error saving file",
    "Error opening file",
    "Error writing file",
    "socket information is not accessible",
    "data on socket does not process correctly",
    "Job function must be temporarily delayed",
)

_BUSY = (
    Known(_SAYS + r"System error: ?", Meaning.DOWN, _PBS),
    Known(_MAYBE + r"Pbs Server is currently too busy", Meaning.DOWN, "Torque 4, its users"),
    Known(_SAYS + r"Server busy\. (?:Not available|Currently no available) threads", Meaning.DOWN, _TORQUE),
    Known(_MAYBE + r"Client connection not found\. trqauthd", Meaning.DOWN, _TORQUE),
    Known(r"Unable to communicate with \S+\(|parse_daemon_response error", Meaning.DOWN, "Torque 4, its users"),
    Known(_MAYBE + r"This stream has already been closed\. End of File", Meaning.DOWN, "Torque 4, its users"),
    Known(r"munge_get_auth_data: |auth: error returned: ", Meaning.DOWN, "OpenPBS 20.0, its munge tests"),
    Known(r"pbs_iff: (?:cannot|error|file not setuid)", Meaning.DOWN, "OpenPBS 20.0, iff2.c"),
)

_LIMITED = (
    r"Maximum number of jobs (?:in 'Q' state )?(?:for (?:user|group|project) \S+ )?already in (?:queue|complex)\b",
    r"would exceed (?:queue \S+'s|complex's) per-(?:user|group|project) limit\b",
    r"would exceed (?:per-(?:user|group|project) |(?:user|group|project) \S+'s )?limit on resource \S+ in ",
)

_REFUSALS = exactly(
    "Access from host not allowed, or unknown host",
    "Access to queue is denied",
    "Bad GID for job execution",
    "Bad UID for job execution",
    "Invalid Account",
    "Invalid Job Dependency",
    "Invalid request",
    "Unknown request",
    "Job routing over too many hops",
    "No default queue specified",
    "No server specified",
    "No support for requested service",
    "Queue name too long",
    "Server has no node list",
    "Unauthorized Request",
    "Unknown queue",
)

_NAMING = exactly(
    "Illegal attribute or resource value",
    "Cannot set attribute, read only or insufficient permission",
    "Undefined attribute",
    "Unknown resource",
    "Unknown node",
    "Duplicate entry in list",
    "Resource limit exceeds allowable",
    "Job rejected by all possible destinations",
)
"""Refusals that may name an attribute or a resource."""

_PBS_REFUSALS = exactly(
    "Job violates queue and/or server resource limits",
    "Array job exceeds server or queue size limit",
    "Bad time specification(s)",
    "Cannot be used with select or place",
    'Cannot have "place" without "select"',
    'Cannot have "max_walltime" without "min_walltime"',
    '"min_walltime" can not be greater than "max_walltime"',
    "attribute value is out of range",
    "job and reservation have conflicting specification",
    "jobscript size exceeded the jobscript_max_size",
    "node(s) specification error",
)

_PBS_NAMING = exactly(
    'Resource invalid in "select" specification',
    '"-lresource=" cannot be used with "select" or "place", resource is',
    "duplicated resource within a section of a select specification, resource is",
)

_PBS_OPTIONS = (
    r"qsub: illegal -",
    r"qsub: Job name is too long",
    r"qsub: script not a file",
    r"qsub: (?:script|opening script) file:",
    r"qsub: illegally formed destination: ",
)

_TORQUE_REFUSALS = exactly(
    "Job exceeds queue resource limits",
    "(qsub) cannot access script file",
    "Bad Job Array Request",
    "Wrong job type",
    "client is not allowed/trusted",
    "Queue does not allow batch jobs",
    "Queue does not allow fault intolerant jobs",
    "Queue does not allow fault tolerant jobs",
    "Queue does not allow interactive jobs",
    "Queue does not allow job arrays",
    "Queue does not allow nonrerunable jobs",
    "Queue does not allow rerunable jobs",
)

_TORQUE_OPTIONS = (
    r"qsub can not be run as root",
    r"qsub: script file '.*' cannot be loaded - ",
    r"qsub: cannot form a valid job name from the script name",
    r"qsub: file must be an ascii script",
    r"qsub: invalid submit filter: ",
    r"qsub: error parsing -\w value",
)

_OWN_PBS = (
    *known(Meaning.DOWN, _PBS, _SAYS, (*_OUTAGES, *_PBS_OUTAGES)),
    *known(Meaning.REFUSED, _PBS, _SAYS, (*_REFUSALS, *_PBS_REFUSALS)),
    *known(Meaning.REFUSED, _PBS, _SAYS, (*_NAMING, *_PBS_NAMING), _ARGUMENT),
    *known(Meaning.REFUSED, _QSUB, "", _PBS_OPTIONS, ""),
)

_OWN_TORQUE = (
    *known(Meaning.DOWN, _TORQUE, _SAYS, (*_OUTAGES, *_TORQUE_OUTAGES)),
    *known(Meaning.REFUSED, _TORQUE, _SAYS, (*_REFUSALS, *_TORQUE_REFUSALS)),
    *known(Meaning.REFUSED, _TORQUE, _SAYS, _NAMING, _ARGUMENT),
    *known(Meaning.REFUSED, _TORQUE_QSUB, "", _TORQUE_OPTIONS, ""),
)

_SHARED = (
    *_BUSY,
    *known(Meaning.FULL, f"{_PBS}; {_TORQUE}", _SAYS, _LIMITED, ""),
    *known(Meaning.DOWN, "Linux, errno(3)", _SAYS, SYSTEM, ENDS),
    *ANYWHERE,
)

_LATE = r"(?:Connection to server timed out\. Trying again)*"
"""What Torque's qsub prints, without a line break, before it asks the server once more."""

_IDS = (_LATE + r"(\d+\.[\w-]*[A-Za-z][\w.-]*)", _LATE + r"(\d+)\.?")
_ARRAY = r"\d+\[\d*\](?:\.[\w.-]+)?"

PBS_REPLIES = Replies("qsub", _IDS, (*_CONNECTION, *_HOOK, *_OWN_PBS, *_OWN_TORQUE, *_SHARED), arrays=_ARRAY)
TORQUE_REPLIES = Replies("qsub", _IDS, (*_CONNECTION, *_HOOK[1:], *_OWN_TORQUE, *_OWN_PBS, *_SHARED), arrays=_ARRAY)
