"""Wait out what passes: a file server that restarts (ESTALE, timeouts), too many open files."""

import logging
from dataclasses import dataclass

from dpgen2_hpc.state.files import TRANSIENT

log = logging.getLogger(__name__)


@dataclass
class Patience:
    """Longer and longer pauses after errors that pass, up to a limit; a move that succeeds ends the series."""

    pause: float = 0.0
    waited: float = 0.0

    SHORTEST, LONGEST, LIMIT = 1.0, 60.0, 1800.0
    """Seconds: the first pause, the longest one, and all pauses together."""

    def next_pause(self, where: str, error: OSError) -> float:
        """Return how long to wait before the move is repeated, s.

        Raises
        ------
        OSError
            It is not an error that passes, or it has lasted too long.
        """
        if error.errno not in TRANSIENT or self.waited >= self.LIMIT:
            raise error
        self.pause = min(self.LONGEST, max(self.SHORTEST, 2 * self.pause))
        self.waited += self.pause
        file = f"'{error.filename}': " if error.filename else ""
        log.warning("%s: %s%s; trying again in %g s", where, file, error.strerror, self.pause)
        return self.pause

    def over(self) -> None:
        """Note that a move has succeeded."""
        self.pause = self.waited = 0.0
