"""Names of queue entries: short enough for PBS, and found again whatever was lost."""

import base64
import hashlib


def job_name(identity: str, iteration: int, step: str, job: int) -> str:
    """Return the name of a job: 15 characters, a letter first, unique to the run, the step and the job's number."""
    digest = hashlib.sha256(f"{identity}/{iteration}/{step}/{job}".encode()).digest()
    return "d" + base64.b32encode(digest).decode().lower()[:14]
