"""INT, TERM and HUP: the first one asks the driver to leave at the next safe place, a second one ends it at once."""

import os
import select
import signal
from types import FrameType
from typing import Self

from dpgen2_hpc.errors import Interrupted

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """The signals of this process; used as a context manager in its main thread."""

    def __init__(self) -> None:
        self._received: int | None = None
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        heard = [number for number in HANDLED if signal.getsignal(number) != signal.SIG_IGN]  # `nohup` means it
        self._old = {number: signal.signal(number, self._handle) for number in heard}
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._old.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)

    def check(self) -> None:
        """Leave here if a signal has come.

        Raises
        ------
        Interrupted
            It has.
        """
        if self._received is not None:
            raise Interrupted(self._received)

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond a signal; raises :class:`Interrupted` then."""
        self.check()
        select.select([self._reader], [], [], seconds)
        self.check()

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._received is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._received = number
