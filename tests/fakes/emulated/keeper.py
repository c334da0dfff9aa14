"""Runs one job of an emulated queue: waits, starts it where the real one does, ends it, brings its output.

    python3 -S keeper.py KEY

It sleeps until something happens: its job ends, an order comes (SIGUSR1), or a time is over.
"""

import os
import signal
import sys
import time

import lsf_job
import pbs_job
import spool
from node import session

FAMILY = lsf_job if spool.FAMILY == "lsf" else pbs_job
SIGNALS = {signal.SIGCHLD, signal.SIGUSR1}
LONGEST_LIFE = 900
"""Seconds after which a job that waits is given up: a test that failed must leave no process for ever."""


class Keeper:
    """One job's life."""

    def __init__(self, key: str) -> None:
        self.key, self.job, self.pid, self.status = key, spool.load(key), 0, None

    def note(self, **fields) -> None:
        self.job.update(fields)
        spool.save(self.job)

    def order(self) -> str:
        """Return what somebody wants of this job, once."""
        name = f"{self.key}.order"
        word = spool.read_text(name)
        if word:
            os.unlink(spool.path(name))
        return word

    # ---- before it runs

    def wait_for_turn(self) -> str:
        """Wait until the job may begin; return the order that came instead."""
        while True:
            how = self.order()
            if how == "release":
                self.note(state="queued", begin=time.time())
            elif how in ("memory", "node"):  # it meets its fate when it runs
                self.fate = how
            elif how:
                time.sleep(spool.seconds("QUEUE_FATE", 0.3) if how == "drop" else 0)
                return how
            if time.time() > self.job["created"] + LONGEST_LIFE:
                return "cancel"
            left = self.job["begin"] - time.time() if self.job["state"] == "queued" else 60
            if left <= 0:
                return ""
            signal.sigtimedwait(SIGNALS, left)

    fate = ""

    # ---- while it runs

    def launch(self) -> None:
        """Start the job in a session of its own, with its output going to the spool, or to where it shall be at last.

        It counts as running from when its program has begun: who ends it must find its session, and its open output.
        """
        streams = FAMILY.streams(self.job)
        start = FAMILY.start(self.job)
        begun, mark = os.pipe()  # the job's end of it closes when its program begins, or could not
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                os.umask(start["umask"])
                os.dup2(os.open(start["stdin"], os.O_RDONLY), 0)
                out = os.open(streams["out"], os.O_WRONLY | os.O_CREAT | streams["mode"], 0o666)
                err = out if streams["err"] == streams["out"] else os.open(
                    streams["err"], os.O_WRONLY | os.O_CREAT | streams["mode"], 0o666
                )  # fmt: skip
                os.dup2(out, 1)
                os.dup2(err, 2)
                os.chdir(start["cwd"])
                for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_DFL)  # a run in the background ignores some, and a job hears all
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
                os.execve(start["program"], start["words"], start["env"])
            except OSError as error:
                os.write(2, f"{start['program']}: {error}\n".encode())
            os._exit(127)
        os.close(mark)
        os.read(begun, 1)
        os.close(begun)
        self.note(state="running", started=time.time())

    def watch(self) -> None:
        """Wait until the job has ended, by itself or because it was ended."""
        deadline = self.job["started"] + self.job["limit"] if self.job["limit"] else None
        moment = time.time() + spool.seconds("QUEUE_FATE", 0.3) if self.fate else None
        while self.status is None:
            now = time.time()
            how = self.order()
            if deadline and now >= deadline:
                how = how or "walltime"
            if moment and now >= moment:
                how, moment = how or self.fate, None
            if how:
                self.end(how)
                return
            times = [end - now for end in (deadline, moment) if end]
            signal.sigtimedwait(SIGNALS, max(0.0, min(times, default=3600)))
            self.reap()

    def reap(self) -> bool:
        """See whether the job's own process is over."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None

    def end(self, how: str) -> None:
        """End the job as the queue does: some signals, one after the other, to all of its processes."""
        self.note(reason=how)
        text = FAMILY.last_words(self.job, how)
        if text:
            streams = FAMILY.streams(self.job)
            with open(streams["err"], "a") as file:
                file.write(text)
        delay = spool.seconds("QUEUE_KILL_DELAY", 0.3)
        for number in FAMILY.signals(how):
            for pid in session(self.pid):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            until = time.time() + delay
            while time.time() < until and (not self.reap() or session(self.pid)):
                time.sleep(0.02)
            if self.status is not None and not session(self.pid):
                return
        while not self.reap():
            time.sleep(0.02)

    # ---- afterwards

    def finish(self) -> None:
        """Clear up what the job left running, bring its output, and let the queue forget it, or remember."""
        code = os.waitstatus_to_exitcode(self.status)
        self.note(state="exiting", exit=code, ended=time.time())
        for pid in session(self.pid):
            os.kill(pid, signal.SIGKILL)
        time.sleep(spool.seconds("QUEUE_EXIT", 0.1))
        FAMILY.deliver(self.job)
        self.note(state="finished")

    def keep(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self.note(keeper=os.getpid())
        how = self.wait_for_turn()
        if how:
            self.note(state="finished", ended=time.time(), reason=how, shown=how != "drop")
            return
        self.launch()
        self.watch()
        self.finish()


if __name__ == "__main__":
    Keeper(sys.argv[1]).keep()
