"""Prepare VASP tasks of 100 atoms beside dpgen2's PrepVasp: processor time, and bytes written. Bars: 8 and 20."""

from common import ask, cpu, folder, number, peer, say, size

PEER = """
import json, sys, time
from pathlib import Path
from dflow.python import OPIO
from dpgen2.fp.vasp import PrepVasp, VaspInputs
inputs = VaspInputs(0.3, "vasp/INCAR", {"Al": "vasp/POTCAR.Al", "Cu": "vasp/POTCAR.Cu"})
start = time.process_time()
PrepVasp().execute(OPIO({"config": {"inputs": inputs, "run": {}}, "type_map": ["Al", "Cu"], "confs": [Path(sys.argv[1])]}))
print(json.dumps({"cpu": time.process_time() - start, "tasks": len(list(Path().glob("task.*")))}))
"""


def main() -> None:
    n = number(1000)
    import numpy as np
    import test_vasp_labels as vasp
    from labelers import made

    from dpgen2_hpc.data.dataset import write_frames
    from dpgen2_hpc.data.frame import Frame
    from dpgen2_hpc.fp.step import FpStep
    from dpgen2_hpc.state.files import fresh_folder, write_lines
    from dpgen2_hpc.state.workdir import Place, WorkDir

    rng, types = np.random.default_rng(0), ("Al", "Cu")
    frames = [Frame(("Al",) * 50 + ("Cu",) * 50, rng.random((100, 3)) * 11, np.eye(3) * 11) for _ in range(n)]
    python = peer("dpgen2==0.1.0")
    with folder() as root, folder() as theirs:
        for one in (root, theirs):
            given = vasp.settings(one, kspacing=0.3)
            for element in types:  # as large as a real POTCAR
                with (one / "vasp" / f"POTCAR.{element}").open("r+") as file:
                    text = file.read()
                    file.seek(0)
                    file.write("   0.123456789E-01\n" * 10500 + text)
        place = Place(WorkDir(root / "work"), 0, 0, 0, 0)
        selected = place.folder("select").path
        places = write_frames(selected / "selected", frames, types)
        write_lines(selected / "selected.jsonl", [{"system": system, "index": index} for system, index in places])
        labeler = made("vasp", given, root)
        place.workdir.fp_files.mkdir(parents=True)
        for name, source in labeler.shared().items():
            (place.workdir.fp_files / name).write_bytes(source.read_bytes())
        step = FpStep(labeler, "vasp", types)
        ours = cpu(lambda: step.prepare(place), lambda: fresh_folder(place.folder("fp").path))
        written = size(place.folder("fp").path)
        found = ask(python, PEER.replace("vasp/", f"{theirs}/vasp/"), selected / "selected", cwd=theirs / "tasks")
        copied = size(theirs / "tasks")
    if found["tasks"] != n:
        raise SystemExit(f"the peer has made {found['tasks']} tasks of {n}")
    say("prepare_vasp", n=n, ours_cpu_s=ours, dpgen2_cpu_s=found["cpu"], ratio=found["cpu"] / ours, bar=8,
        ours_bytes=written, dpgen2_bytes=copied, bytes_ratio=copied / written, bytes_bar=20)  # fmt: skip


if __name__ == "__main__":
    main()
