"""What both batch systems do where a job runs."""

import os
import pwd

import spool


def session(leader: int) -> list[int]:
    """The living processes of a session: `timeout` makes a group of its own, so a group is not enough."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX" and int(fields[3]) == leader:
                found.append(int(name))
    return found


def home() -> str:
    return os.environ.get("QUEUE_HOME") or pwd.getpwuid(os.getuid()).pw_dir


def bring(source: str, target: str, *, append: bool = False) -> None:
    """Copy spooled output to where it shall be; what cannot be copied never comes."""
    try:
        if "no-delivery" in spool.HABITS:
            raise OSError("no way to copy")
        with open(source, "rb") as file, open(target, "ab" if append else "wb") as end:
            while piece := file.read(1 << 20):
                end.write(piece)
        os.unlink(source)
    except OSError as error:
        os.makedirs(spool.path("undelivered"), exist_ok=True)
        os.rename(source, spool.path(f"undelivered/{os.path.basename(source)}"))
        print(f"{target}: {error}", flush=True)
