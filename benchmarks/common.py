"""What the benchmarks share: a peer in a virtual environment of its own, processor time, and one line of JSON."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / ".peers"
MEMORY = Path("/dev/shm")

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "fp")]


def number(default: int) -> int:
    """Return N of the command line."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("-n", type=int, default=default, help=f"how many (default: {default})")
    return parser.parse_args().n


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a new folder in memory, where the system has such a place: disks are noise."""
    path = Path(tempfile.mkdtemp(prefix="dpgen2-hpc-benchmark-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        yield path
    finally:
        shutil.rmtree(path)


TIMES = 5
"""The best of so many is told: other people's work on the machine only ever makes it slower."""


def cpu(work, before=lambda: None) -> float:
    """Return the least processor time of a call, user and system, in s; ``before`` each is not counted."""
    found = []
    for _ in range(TIMES):
        before()
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def peer(requirement: str) -> Path:
    """Return the Python of a virtual environment that has a peer from PyPI; made once."""
    place = PEERS / requirement.replace("==", "-")
    if not (place / ".done").exists():
        print(f"installing {requirement} into {place.relative_to(ROOT)} (once)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        subprocess.run([str(place / "bin" / "python"), "-m", "pip", "install", "-q", requirement], check=True)
        (place / ".done").touch()
    return place / "bin" / "python"


def ask(python: Path, script: str, *words: object, cwd: Path) -> dict:
    """Run a script with the peer's Python, in an empty folder each time; return the JSON line of its best run."""
    return min((_asked(python, script, words, cwd) for _ in range(TIMES)), key=lambda found: found["cpu"])


def _asked(python: Path, script: str, words: tuple[object, ...], cwd: Path) -> dict:
    shutil.rmtree(cwd, ignore_errors=True)
    cwd.mkdir(parents=True)
    command = [str(python), "-W", "ignore", "-c", script, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    if done.returncode:
        raise SystemExit(f"the peer failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def size(path: Path) -> int:
    """Return the bytes of all files below a folder; a file with several names counts once, a link nothing."""
    files = {(entry.stat().st_dev, entry.stat().st_ino): entry.stat().st_size
             for entry in path.rglob("*") if entry.is_file() and not entry.is_symlink()}  # fmt: skip
    return sum(files.values())


def say(name: str, **values: object) -> None:
    """Print the result: one line of JSON, ratios with three digits."""
    rounded = {key: _rounded(value) for key, value in values.items()}
    print(json.dumps({"benchmark": name, **rounded}))


def _rounded(value: object) -> object:
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.3g}") if isinstance(value, float) else value
