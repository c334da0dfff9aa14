"""The command line without the second that its imports take, for the tests that start it some five hundred times.

A process with all modules loaded forks one that gets the words, the folder, the environment and the outputs of each call.
So it is a process of its own with a number of its own, that signals reach and that may be killed; what Python itself makes
of its environment at its start is not seen, which is why tests of that (and `tests/cli/`) start the real program.
"""

import atexit
import json
import os
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import IO

import coverage

NUMBER = struct.Struct("!i")
"""How process numbers and exit statuses are told."""

# ---- the tests' side


class Driver:
    """A started command line, with what the tests use of `subprocess.Popen`; outputs are files, which never fill up."""

    def __init__(self, words: list[str], cwd: Path, env: dict[str, str], *, apart: bool) -> None:
        """Start it; ``apart``: standard error is a file of its own."""
        self.args, self.returncode = words, None
        self._out, self._err = _file(), _file() if apart else None
        outputs = [self._out, self._err or self._out]
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._line.connect(_server())
        call = json.dumps({"words": words, "cwd": str(cwd), "env": env}).encode()
        socket.send_fds(self._line, [len(call).to_bytes(8, "big")], [output.fileno() for output in outputs])
        self._line.sendall(call)
        self.pid = self._number()

    def poll(self) -> int | None:
        if self.returncode is None:
            self._receive(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not self._receive(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str | None]:
        self.wait(timeout)
        return _content(self._out), _content(self._err) if self._err else None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def _receive(self, timeout: float | None) -> bool:
        """Take the exit status if it comes in time."""
        self._line.settimeout(timeout)
        try:
            self.returncode = self._number()
        except (TimeoutError, BlockingIOError):
            return False
        self._line.close()
        return True

    def _number(self) -> int:
        return NUMBER.unpack(self._line.recv(NUMBER.size))[0]


def run(words: list[str], cwd: Path, env: dict[str, str], timeout: float) -> subprocess.CompletedProcess:
    """Run a command line to its end, as `subprocess.run` with captured text does."""
    driver = Driver(words, cwd, env, apart=True)
    try:
        out, err = driver.communicate(timeout)
    except subprocess.TimeoutExpired:
        driver.kill()
        raise
    return subprocess.CompletedProcess(words, driver.returncode, out, err)


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _content(file: IO[bytes]) -> str:
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()


_STARTED: list[str] = []


def _server() -> str:
    """The address of this process' server, which is started by the first who asks."""
    if not _STARTED:
        address = f"{tempfile.mkdtemp(prefix='preloaded-')}/socket"
        env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        server = subprocess.Popen([sys.executable, __file__, address, str(os.getpid())], env=env)
        atexit.register(_end, server, Path(address).parent)
        while not Path(address).exists():
            assert server.poll() is None, "the server of preloaded command lines has ended"
            time.sleep(0.01)
        _STARTED.append(address)
    return _STARTED[0]


def _end(server: subprocess.Popen, folder: Path) -> None:
    server.kill()
    server.wait()
    shutil.rmtree(folder)


# ---- the server's side


def serve(address: str, parent: int) -> None:
    """Fork a process for each call, and tell its exit status, until the tests' process is gone."""
    for module in (
        "cli.run",
        "cli.check",
        "cli.status",
        "cli.why",
        "cli.stop",
        "cli.retry",
        "cli.rewind",
        "cli.export",
    ):
        __import__(f"dpgen2_hpc.{module}")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"{address}.new")
    listener.listen(64)
    os.rename(f"{address}.new", address)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while os.getppid() == parent:
        for key, _ in selector.select(timeout=5):
            if key.fileobj is listener:
                line, _ = listener.accept()
                pid = _started(line)
                line.sendall(NUMBER.pack(pid))
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, line))
            else:
                pid, line = key.data
                selector.unregister(key.fileobj)
                os.close(key.fd)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(line, status)


def _tell(line: socket.socket, status: int) -> None:
    try:
        line.sendall(NUMBER.pack(status))
    except BrokenPipeError:
        pass  # the test did not wait for it
    line.close()


def _started(line: socket.socket) -> int:
    """Read a call and fork the process that answers it."""
    size, outputs, _, _ = socket.recv_fds(line, 8, 2)
    call = b""
    while len(call) < int.from_bytes(size, "big"):
        call += line.recv(1 << 20)
    pid = os.fork()
    if pid == 0:
        line.close()
        _answer(json.loads(call), outputs)
    for output in outputs:
        os.close(output)
    return pid


def _answer(call: dict, outputs: list[int]) -> None:
    """Be the command line."""
    os.dup2(outputs[0], 1)
    os.dup2(outputs[1], 2)
    os.closerange(3, 1 << 10)
    os.chdir(call["cwd"])
    os.environ.clear()
    os.environ.update(call["env"])
    sys.path[0:1] = [call["cwd"], *(part for part in call["env"].get("PYTHONPATH", "").split(":") if part)]
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 1
    try:
        code = _command_line(call["words"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        atexit._run_exitfuncs()
        os._exit(code)


def _command_line(words: list[str]) -> int:
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        coverage.process_startup()
    from dpgen2_hpc.cli.main import main

    sys.argv = ["dpgen2-hpc", *words]
    try:
        return main(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
