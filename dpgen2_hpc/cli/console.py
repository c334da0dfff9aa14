"""What a run says while it works: a log for the directory, plain lines or a live line for whoever watches."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from typing_extensions import override

from dpgen2_hpc.data.outputs import printable

LIVE = 15
"""Log level of lines that a terminal overwrites and a file does not get."""

FORMAT = "%(asctime)s %(message)s"


class TerminalHandler(logging.StreamHandler[TextIO]):
    """Writes progress in place, and everything else on lines of its own."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        end = "" if record.levelno == LIVE else "\n"
        self.stream.write(f"\r\x1b[K{self.format(record)}{end}")
        self.flush()


def shown(text: str) -> str:
    """Return a text whose lines a terminal shows and does not obey."""
    return "\n".join(map(printable, text.splitlines()))


class Printable(logging.Formatter):
    """Escapes control characters: messages quote what programs, schedulers and file names say."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the record as lines that a terminal shows and does not obey."""
        return shown(super().format(record))


@contextmanager
def logging_to(log: Path | None) -> Iterator[None]:
    """Send the program's log to standard output and, if given, to the end of ``log``."""
    logger = logging.getLogger("dpgen2_hpc")
    terminal = sys.stdout.isatty()
    handlers: list[logging.Handler] = [TerminalHandler(sys.stdout) if terminal else logging.StreamHandler(sys.stdout)]
    handlers[0].setLevel(LIVE if terminal else logging.INFO)
    if log is not None:
        handlers.append(logging.FileHandler(log, encoding="utf-8"))
        handlers[-1].setLevel(logging.INFO)
    logger.setLevel(LIVE)
    for handler in handlers:
        handler.setFormatter(Printable(FORMAT, "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
