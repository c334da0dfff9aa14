"""Which machine this is: whether a process that a file names can be looked up from here, and whether it must be dead.

A host name is not enough: cloned machines and containers share one, and hosts are renamed. A process can be looked up
where the same kernel runs (``boot``) in the same pid namespace. It is dead for certain where the same machine
(``hardware``) has been restarted since.
"""

import functools
import hashlib
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override


@dataclass(frozen=True)
class Host:
    """A machine as one boot of it: its name, and what identifies kernel, pid namespace and hardware (or ``""``)."""

    name: str
    boot: str = ""
    namespace: str = ""
    hardware: str = ""

    @classmethod
    def me(cls) -> "Host":
        """Return the machine that this process runs on."""
        return cls(socket.gethostname(), *_identifiers())

    @property
    def is_here(self) -> bool:
        """Whether its processes can be looked up from here."""
        me = Host.me()
        if not self.boot:  # written by an older version
            return self.name == me.name
        return (self.boot, self.namespace) == (me.boot, me.namespace)

    @property
    def has_restarted(self) -> bool:
        """Whether it is this machine before a restart: none of its processes can be alive."""
        me = Host.me()
        return bool(self.boot and self.hardware) and self.boot != me.boot and self.hardware == me.hardware

    @override
    def __str__(self) -> str:
        me = Host.me()
        alike = self.name == me.name and not self.is_here
        return f"{self.name} (another machine or container of that name)" if alike else self.name


@functools.cache
def _identifiers() -> tuple[str, str, str]:
    """Return boot id, pid namespace and hardware of this machine; they do not change while this process lives."""
    return _text("/proc/sys/kernel/random/boot_id"), _namespace(), _hardware()


def _namespace() -> str:
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115  (a word, not a path)
    return ""


def _hardware() -> str:
    """Return a digest of the machine's id and the addresses of its network cards, ``""`` where it has no card.

    Containers have no card of their own; clones of a virtual machine share the id and differ in the addresses.
    """
    with suppress(OSError):
        cards = [path for path in Path("/sys/class/net").iterdir() if (path / "device").exists()]
        addresses = sorted(_text(path / "address") for path in cards)
        if addresses:
            return hashlib.sha256(" ".join([_text("/etc/machine-id"), *addresses]).encode()).hexdigest()[:16]
    return ""


def _text(path: str | Path) -> str:
    with suppress(OSError):
        return Path(path).read_text().strip()
    return ""
