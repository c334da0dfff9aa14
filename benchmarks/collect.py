"""Collect labels of 100 atoms from deepmd/npy, one frame each, beside dpgen2's CollectData; and how the time grows.

Ours is the harvest of fp with `fp: custom` (every label read, passed through the gate, written with its digest) and the
whole of collect.
Bars: 15 at 1000, 40 at 8000; exponent at most 1.1.
"""

from math import log

from common import ask, cpu, folder, number, peer, say

SMALL, LARGE = 1000, 8000
"""Between these the time must not grow faster than the number of labels, but for the exponent's bar."""

PEER = """
import json, sys, time
from pathlib import Path
from dflow.python import OPIO
from dpgen2.op.collect_data import CollectData
given = {"name": "iter-000000", "type_map": ["Al", "Cu"], "optional_parameter": {"mixed_type": False},
         "labeled_data": sorted(Path(sys.argv[1]).glob("task.*/Al50Cu50")), "iter_data": []}
start = time.process_time()
CollectData().execute(OPIO(given))
print(json.dumps({"cpu": time.process_time() - start, "tasks": len(given["labeled_data"])}))
"""


def ours(n: int, root) -> float:
    import numpy as np

    from dpgen2_hpc.collect.step import CollectStep
    from dpgen2_hpc.data.dataset import write_frames, write_labels
    from dpgen2_hpc.data.frame import Frame
    from dpgen2_hpc.data.labels import Labels
    from dpgen2_hpc.fp.custom import CustomLabeler
    from dpgen2_hpc.fp.step import FpStep
    from dpgen2_hpc.state.files import write_lines
    from dpgen2_hpc.state.ledger import TaskState
    from dpgen2_hpc.state.words import Verdict
    from dpgen2_hpc.state.workdir import Place, WorkDir

    labeler = CustomLabeler("vasp/poscar", "POSCAR", "deepmd/npy", "Al50Cu50", "a-code", has_virial=True)
    rng, types = np.random.default_rng(0), ("Al", "Cu")
    symbols = ("Al",) * 50 + ("Cu",) * 50
    frames = [Frame(symbols, rng.random((100, 3)) * 11, np.eye(3) * 11) for _ in range(n)]
    place = Place(WorkDir(root), 0, 0, 0, 0)
    selected, fp = place.folder("select").path, place.folder("fp")
    rows = write_frames(selected / "selected", frames, types)
    line = {"task": 0, "md_step": 0, "digest": "0"}
    write_lines(selected / "selected.jsonl", [{"system": system, "index": index, **line} for system, index in rows])
    for index, frame in enumerate(frames):
        labels = Labels(frame, -1.0, rng.normal(size=(100, 3)), np.eye(3))
        write_labels(fp.task(index), [labels], types)
    place.folder("collect").path.mkdir()
    tasks = [TaskState(index, "identity", "command", (), verdict=Verdict.DONE) for index in range(n)]
    step = FpStep(labeler, "custom", types)
    return cpu(lambda: (step.harvest(place, tasks), CollectStep(types).harvest(place, [])))


def main() -> None:
    n = number(1000)
    python = peer("dpgen2==0.1.0")
    with folder() as root:
        mine = ours(n, root / "work")
        found = ask(python, PEER, root / "work" / "iter-000000" / "03.fp", cwd=root / "peer")
    grown = {}
    for many in (SMALL, LARGE):
        with folder() as root:
            grown[many] = ours(many, root / "work")
    say("collect", n=n, ours_cpu_s=mine, dpgen2_cpu_s=found["cpu"], ratio=found["cpu"] / mine, bar=15 if n < 8000 else 40,
        exponent=log(grown[LARGE] / grown[SMALL]) / log(LARGE / SMALL), exponent_bar=1.1)  # fmt: skip


if __name__ == "__main__":
    main()
