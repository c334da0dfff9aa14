"""How long ``check`` takes for an input with many data systems: one line of JSON.

python benchmarks/check.py [SYSTEMS]; 1000 by default, must stay below 2 s on an idle core. ``cpu`` is user and system
time, which a busy machine changes less.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from project import Project, write_initial_data


def main() -> None:
    systems = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        project.param["inputs"]["init_data_sys"] = "many/*"
        for number in range(systems):
            write_initial_data(project.folder / f"many/{number:04d}", frames=1)
        project.write()
        runs = [_once(project) for _ in range(3)]
    times, cpu = (list(column) for column in zip(*runs, strict=True))
    best = {"seconds": min(times), "cpu": min(cpu)}
    print(json.dumps({"benchmark": "check", "systems": systems, **best, "runs": times, "cpu_runs": cpu}))


def _once(project: Project) -> tuple[float, float]:
    """Return the time that passes and that of the processor, s."""
    environment = {**project.env, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    start, before = time.perf_counter(), _cpu()
    words = project.command("check", "param.json", "machine.json")
    done = subprocess.run(words, cwd=project.folder, env=environment, capture_output=True, text=True, check=True)
    assert "no fault was found" in done.stdout
    return round(time.perf_counter() - start, 2), round(_cpu() - before, 2)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
