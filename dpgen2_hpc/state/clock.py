"""Time that neither a jump of the wall clock nor a difference between the clocks of hosts disturbs.

Within one boot of a host the time since boot counts. Between hosts it is the clock of the file server, which all see:
the time of a file that this process has just written, and what has passed since.
"""

import time
from dataclasses import dataclass, field

from dpgen2_hpc.state.host import Host


def _uptime() -> float:
    """Return the seconds since this host was booted, those in which it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Moment:
    """A point in time: by the file server's clock (``at``, s since the epoch) and since the boot of a host (s)."""

    at: float
    boot: str = ""
    uptime: float = 0.0

    def since(self, earlier: "Moment") -> float:
        """Return the seconds that have passed since another moment, never less than zero."""
        if self.boot and self.boot == earlier.boot:
            return max(0.0, self.uptime - earlier.uptime)
        return max(0.0, self.at - earlier.at)


@dataclass(frozen=True)
class Clock:
    """Tells the time from a known one on, without asking the wall clock again."""

    start: float
    uptime: float = field(default_factory=_uptime)

    @classmethod
    def of_this_host(cls) -> "Clock":
        """Return a clock that begins at the wall clock's time: where nothing depends on another host."""
        return cls(time.time())

    def now(self) -> Moment:
        """Return the present moment."""
        uptime = _uptime()
        return Moment(self.start + uptime - self.uptime, Host.me().boot, uptime)
