"""A real Slurm of one node on loopback, in a folder of its own, without systemd: munge, slurmctld, slurmd.

    python slurm_cluster.py start FOLDER [SLOTS]     prints the line that a shell needs: export SLURM_CONF=...
    python slurm_cluster.py stop FOLDER              ends exactly the processes that this folder's pid files name

``jobcomp.log`` in the folder is the truth about what was run: the scheduler writes a line for each job that ended.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
SBIN = "/usr/sbin"

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobcomp.log
MinJobAge={forget}
ReturnToService=2
SlurmctldTimeout=30
InactiveLimit=0
KillWait=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 Port={daemon} CPUs={slots} RealMemory=16000 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=f"{SBIN}:{os.environ['PATH']}") is None]


class Cluster:
    """One cluster; ``start`` and ``stop`` may be called again."""

    def __init__(self, folder: Path, slots: int = 4, forget: int = 300) -> None:
        self.folder, self.slots, self.forget = folder, slots, forget
        self.conf = folder / "slurm.conf"
        self.env = {"SLURM_CONF": str(self.conf), "PATH": f"{os.environ['PATH']}:{SBIN}"}

    def start(self) -> "Cluster":
        """Start what does not run, and wait until the node takes jobs."""
        for name in ("run", "state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if not self.conf.exists():
            self._write_conf()
        if not self._alive("munged"):
            self._munge()
        self.start_controller()
        if not self._alive("slurmd"):
            self._call("slurmd")
        self._wait(self.resume, 60)
        return self

    def start_controller(self) -> None:
        """Start slurmctld, if it does not run."""
        if not self._alive("slurmctld"):
            self._call("slurmctld")

    def resume(self) -> bool:
        """Take back the drain that a controller may give a node whose jobs it forgot; whether the node takes jobs.

        It comes when the next job starts, seconds after the controller was killed and started again.
        """
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=False,
        )
        state = done.stdout.strip()
        if state.startswith("drain"):
            self._call("scontrol", "update", f"NodeName={socket.gethostname().split('.')[0]}", "State=RESUME")
        return state in ("idle", "mixed", "allocated")

    def kill_controller(self) -> None:
        """End slurmctld as an accident would, once it has written down the jobs that it knows; jobs go on.

        One that dies before forgets them, hands their ids out again, and its node refuses to run a second job of an id.
        """
        pid, now = self._alive("slurmctld"), time.time()
        if pid:
            state = self.folder / "state" / "job_state"  # written within 5 s of a change
            self._wait(lambda: state.stat().st_mtime > now or time.time() > now + 7)
        if pid:
            os.kill(pid, signal.SIGKILL)
            self._wait(lambda: not _lives(pid))

    def stop(self) -> None:
        """End the jobs and the three daemons."""
        if self._alive("slurmctld"):
            subprocess.run(["scancel", "--user", "root"], env={**os.environ, **self.env}, check=False, timeout=30)
        for name in ("slurmd", "slurmctld", "munged"):
            pid = self._alive(name)
            if pid:
                os.kill(pid, signal.SIGTERM)
                self._wait(lambda pid=pid: not _lives(pid))

    def accepted(self) -> list[dict[str, str]]:
        """Every job that the controller ever accepted and that has ended, from its own completion log."""
        log = self.folder / "jobcomp.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]

    def queue(self) -> list[list[str]]:
        """The live jobs: id, name, state."""
        words = ["squeue", "--noheader", "--format=%i %j %t"]
        done = subprocess.run(words, env={**os.environ, **self.env}, capture_output=True, text=True, check=True)
        return [line.split() for line in done.stdout.splitlines()]

    def wait_until_idle(self, seconds: float = 60) -> None:
        """Wait until no job is left."""
        self._wait(lambda: not self.queue(), seconds)

    def _write_conf(self) -> None:
        controller, daemon = _free_ports(2)
        text = CONF.format(
            host=socket.gethostname().split(".")[0],
            folder=self.folder,
            controller=controller,
            daemon=daemon,
            slots=self.slots,
            forget=self.forget,
        )
        self.conf.write_text(text)

    def _munge(self) -> None:
        key = self.folder / "munge.key"
        if not key.exists():
            key.write_bytes(os.urandom(128))
            key.chmod(0o400)
        run = self.folder / "run"
        words = ["--force", f"--key-file={key}", f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid"]
        self._call("munged", *words, f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/munge.seed")

    def _call(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [program, *words], env={**os.environ, **self.env}, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} did not start: {done.stderr}")

    def _alive(self, program: str) -> int | None:
        """The pid of a daemon of this folder, if it lives and is what its pid file says."""
        try:
            pid = int((self.folder / "run" / f"{program}.pid").read_text())
            comm = Path(f"/proc/{pid}/comm").read_text().strip()
        except (OSError, ValueError):
            return None
        return pid if comm == program and _lives(pid) else None

    @staticmethod
    def _wait(condition, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError("the cluster did not follow in time; see its logs")
            time.sleep(0.1)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


if __name__ == "__main__":
    verb, folder, *rest = sys.argv[1:]
    cluster = Cluster(Path(folder).resolve(), int(rest[0]) if rest else 4)
    if verb == "start":
        cluster.start()
        print(f"export SLURM_CONF={cluster.conf}")
    else:
        cluster.stop()
