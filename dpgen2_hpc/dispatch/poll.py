"""How long to wait before the next look: a short job is seen at once, a long one costs the queue nothing."""

import logging
import time
from dataclasses import dataclass, field

from dpgen2_hpc.errors import QueueDown

log = logging.getLogger(__name__)


@dataclass
class Pace:
    """The wait grows with the time since the last change: a tenth of it, at least a minimum, at most a maximum (s)."""

    minimum: float
    maximum: float
    last_change: float = field(default_factory=time.monotonic)

    def changed(self) -> None:
        """Note that something happened."""
        self.last_change = time.monotonic()

    def wait(self) -> float:
        """Return the seconds to wait now."""
        quiet = time.monotonic() - self.last_change
        return min(self.maximum, max(self.minimum, quiet / 10))


@dataclass
class Outage:
    """A queue that does not answer: waited out with longer and longer pauses, for as long as it lasts."""

    where: str
    pause: float = 0.0

    SHORTEST, LONGEST = 1.0, 300.0

    def lasts(self, error: QueueDown) -> None:
        """Note that the queue did not answer (again)."""
        if not self.pause:
            log.warning("%s: degraded, the queue does not answer: %s", self.where, error)
        self.pause = min(self.LONGEST, max(self.SHORTEST, 2 * self.pause))

    def over(self) -> None:
        """Note that the queue has answered."""
        if self.pause:
            log.info("%s: the queue answers again", self.where)
        self.pause = 0.0
