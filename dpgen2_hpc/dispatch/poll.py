"""How long to wait before the next look: a short job is seen at once, a long one costs the queue nothing."""

import time
from dataclasses import dataclass, field


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
