"""How long ``check`` takes for an input with many data systems: one line of JSON.

python benchmarks/check.py [SYSTEMS]; 1000 by default, must stay below 2 s on an idle core.
"""

import json
import os
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
        times = [_once(project) for _ in range(3)]
    print(json.dumps({"benchmark": "check", "systems": systems, "seconds": min(times), "runs": times}))


def _once(project: Project) -> float:
    environment = {**project.env, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    start = time.perf_counter()
    words = project.command("check", "param.json", "machine.json")
    done = subprocess.run(words, cwd=project.folder, env=environment, capture_output=True, text=True, check=True)
    assert "no fault was found" in done.stdout
    return round(time.perf_counter() - start, 2)


if __name__ == "__main__":
    main()
