"""The driver's own work in an iteration, late in a run and early: processor time of the 80th beside the 5th.

Each earlier iteration has collected 20 systems of 50 frames. Measured are prepare and harvest of all five steps, every
commit of the record, and nothing that a job does. Beside it dpgen's `make_train_dp` alone on the same datasets. Bar: 1.2.
"""

from pathlib import Path

from common import ask, cpu, folder, peer, say

EARLY, LATE = 5, 80
SYSTEMS, FRAMES, ATOMS = 20, 50, 32
TYPES = ("Al", "Cu")

PEER = """
import json, sys, time
from pathlib import Path
from dpgen.generator.run import make_train_dp
root, iteration = Path(sys.argv[1]), int(sys.argv[2])
for number in range(iteration):
    place = Path(f"iter.{number:06d}")
    place.mkdir()
    (place / "02.fp").symlink_to(root / f"iter.{number:06d}" / "02.fp")
template = {"model": {"type_map": ["Al", "Cu"], "descriptor": {"type": "se_e2_a", "sel": [60, 60], "rcut": 5.0, "seed": 1},
                      "fitting_net": {"neuron": [16, 16], "seed": 1}},
            "loss": {}, "learning_rate": {"type": "exp", "start_lr": 0.001, "decay_steps": 100},
            "training": {"numb_steps": 100, "seed": 1, "training_data": {"systems": [], "batch_size": "auto"}}}
jdata = {"type_map": ["Al", "Cu"], "numb_models": 4, "init_data_prefix": str(root), "init_data_sys": ["init"],
         "sys_configs": [["x"]] * 20, "default_training_param": template, "mlp_engine": "dp", "train_backend": "tensorflow",
         "fp_task_min": 0, "training_reuse_iter": None, "model_devi_jobs": [{"sys_idx": [0]}] * (iteration + 1)}
mdata = {"deepmd_version": "2.2.0"}
start = time.process_time()
make_train_dp(iteration, jdata, mdata)
print(json.dumps({"cpu": time.process_time() - start}))
"""


def build(root: Path, iterations: int):
    """Return a work directory that has finished so many iterations, and the rows of their reports."""
    from dpgen2_hpc.state import results
    from dpgen2_hpc.state.files import write_atomic, write_json, write_lines
    from dpgen2_hpc.state.results import CollectResult
    from dpgen2_hpc.state.workdir import WorkDir

    workdir = WorkDir(root)
    workdir.inputs.mkdir(parents=True)
    write_lines(workdir.initial_data, [{"path": "data/Al16Cu16", "frames": 10, "digest": "0" * 64}])
    workdir.initial_digests.write_text("".join(f"{n:016x}\n" for n in range(10)))
    configurations = workdir.configurations / "000"
    configurations.mkdir(parents=True)
    names = [f"000/{n:06d}.lmp" for n in range(100)]
    for name in names:
        (workdir.configurations / name).write_text("a starting configuration\n0.0 4.0 xlo xhi\n0 0 0 xy xz yz\n")
    write_json(workdir.pools, [names])
    systems = [f"Al{n}Cu{ATOMS - n}" for n in range(SYSTEMS)]
    for iteration in range(iterations):
        collect = workdir.step(iteration, "collect")
        collect.path.mkdir(parents=True)
        digests = [f"{iteration:08x}{n:08x}" for n in range(SYSTEMS * FRAMES)]
        rows = [
            {"iteration": iteration, "key": f"iter-{iteration:06d}--run-fp-{n:06d}", "code": "ase", "identity": "0" * 64,
             "explored_by": f"iter-{iteration:06d}--run-lmp-{n % 100:06d}", "md_step": 10 * n, "digest": digest,
             "deviation_f": 0.2, "deviation_v": None, "system": systems[n // FRAMES], "index": n % FRAMES}
            for n, digest in enumerate(digests)
        ]  # fmt: skip
        write_lines(collect.path / "manifest.jsonl", rows)
        write_atomic(collect.digests, "".join(f"{digest}\n" for digest in digests))
        results.save(collect, CollectResult(len(rows), systems, "0" * 64))
    report = {
        "stage": 0, "converged": False, "explored": 5100, "accurate": 4000, "candidate": 1000, "failed": 100, "invalid": 0,
        "selected": 1000, "filtered": 0, "duplicate": 0, "not_drawn": 0, "labelled": 1000, "dropped": 0,
        "level_f_lo": 0.05, "level_f_hi": 0.5,
        "error": {"frames": 1000, "rmse_e": 0.001, "rmse_f": 0.1, "rmse_v": 0.01, "error_f": 0.2, "deviation_f": 0.1},
    }  # fmt: skip
    return workdir, tuple({"index": n, "index_in_stage": n, **report} for n in range(iterations))


def frames():
    """Return the frames that every iteration selects: 20 formulas, 50 of each."""
    import numpy as np

    from dpgen2_hpc.data.frame import Frame

    rng = np.random.default_rng(0)
    kinds = [("Al",) * n + ("Cu",) * (ATOMS - n) for n in range(SYSTEMS) for _ in range(FRAMES)]
    return [Frame(kind, rng.random((ATOMS, 3)) * 8, np.eye(3) * 8) for kind in kinds]


def stand_ins():
    """Return the five steps; what trainings, runs and codes would have left is in memory, everything else is real."""
    import numpy as np

    from dpgen2_hpc.collect.step import CollectStep
    from dpgen2_hpc.data.labels import Labels
    from dpgen2_hpc.explore.groups import MdGroup
    from dpgen2_hpc.explore.lammps.run import LammpsExplorer
    from dpgen2_hpc.explore.step import ExploreStep
    from dpgen2_hpc.fp.ase import AseLabeler
    from dpgen2_hpc.fp.step import FpStep, read_selected
    from dpgen2_hpc.kinds import Deviations, Ending
    from dpgen2_hpc.select.fixed_levels import FixedLevels
    from dpgen2_hpc.select.step import SelectStep
    from dpgen2_hpc.train.deepmd import DeepmdTrainer
    from dpgen2_hpc.train.step import TrainStep

    explored = frames()

    def labels_of(frame):
        return Labels(frame, -1.0, np.zeros((ATOMS, 3)), np.eye(3))

    class Trainer(DeepmdTrainer):
        def finish(self, directory):
            return {"steps": 100, "continued_from": None}

    class Explorer(LammpsExplorer):
        def finish(self, directory, exit_code):
            return Ending(early=False, halted=False, last_step=90, frames=10)

        def read_configuration(self, path, type_map):
            (one,) = self.frames(path.parent, [0], type_map)
            return one

        def deviations(self, directory):
            return Deviations(np.arange(10) * 10, np.full(10, 0.2), np.full(10, np.nan))

        def frames(self, directory, md_steps, type_map):
            return [explored[10 * int(directory.name[-6:]) + step // 10] for step in md_steps]

        def predictions(self, directory, md_steps, type_map):
            return [labels_of(frame) for frame in self.frames(directory, md_steps, type_map)]

    class Labeler(AseLabeler):
        def read_labels(self, directory):
            selected = read_selected(directory.parent.parent / "02.select")
            return labels_of(selected[int(directory.name[-6:])][1])

    template = {"model": {"descriptor": {"type": "se_e2_a"}, "fitting_net": {}}, "training": {"numb_steps": 100}}
    group, explorer = MdGroup((0,), (300.0,), n_sample=SYSTEMS * FRAMES // 10, ens="nvt"), Explorer()
    return [
        TrainStep(Trainer(4, (template,)), TYPES), ExploreStep(explorer, ((group,),), TYPES, (26.98, 63.55)),
        SelectStep(explorer, FixedLevels(0.05, 0.5), TYPES, SYSTEMS * FRAMES),
        FpStep(Labeler("ase.calculators.emt.EMT"), "ase", TYPES), CollectStep(TYPES),
    ]  # fmt: skip


def iteration(root: Path, number: int) -> float:
    """Return the processor time (s) of the driver's own work in iteration ``number``."""
    from dpgen2_hpc.fp.step import read_selected
    from dpgen2_hpc.loop.prepare import prepare
    from dpgen2_hpc.state import results
    from dpgen2_hpc.state.ledger import Ledger
    from dpgen2_hpc.state.lock import Lock
    from dpgen2_hpc.state.record import Home, Record, RecordFile
    from dpgen2_hpc.state.words import Verdict
    from dpgen2_hpc.state.workdir import Place

    workdir, rows = build(root, number)
    place, steps = Place(workdir, 0, number, 0, number), stand_ins()
    first = Record("0" * 16, Home.of(root), 0, iteration=number, index_in_stage=number, iterations=rows)

    def before() -> None:
        workdir.record.unlink(missing_ok=True)
        read_selected.cache_clear()

    def work() -> None:
        record = file.commit(first)
        for step in steps:
            prepare(step, place)
            for _ in range(3):  # prepared, submitted, finished
                record = file.commit(record.advanced())
            tasks = Ledger.read(place.folder(step.name).ledger).tasks
            for task in tasks:
                task.verdict = Verdict.DONE
            step.harvest(place, tasks)
            record = file.commit(record.advanced())
            record = record if step.name == "collect" else file.commit(record.advanced())
        results.report(workdir, number, 0, number)

    lock = Lock.acquire(workdir.lock)
    file = RecordFile(workdir.record, lock)
    try:
        return cpu(work, before)
    finally:
        lock.release()


def datasets(root: Path) -> None:
    """Write what dpgen asks for: the same systems, with their arrays."""
    import numpy as np

    from dpgen2_hpc.data.dataset import write_labels
    from dpgen2_hpc.data.labels import Labels

    labels = [Labels(frame, -1.0, np.zeros((ATOMS, 3)), np.eye(3)) for frame in frames()]
    write_labels(root / "init" / "data", labels[:10], TYPES)
    for number in range(LATE):
        fp = root / f"iter.{number:06d}" / "02.fp"
        for kind in range(SYSTEMS):
            write_labels(fp, labels[kind * FRAMES : (kind + 1) * FRAMES], TYPES)
            next(path for path in fp.iterdir() if not path.name.startswith("data.")).rename(fp / f"data.{kind:03d}")


def main() -> None:
    python = peer("dpgen==0.14.0")
    mine: list[float] = []
    theirs: list[float] = []
    for number in (EARLY, LATE):
        with folder() as root:
            mine.append(iteration(root / "work", number))
    with folder() as root:
        datasets(root)
        theirs.extend(ask(python, PEER, root, number, cwd=root / "peer")["cpu"] for number in (EARLY, LATE))
    say("growth", early=EARLY, late=LATE, labels_each=SYSTEMS * FRAMES, ours_cpu_s=mine, ratio=mine[1] / mine[0], bar=1.2,
        dpgen_make_train_cpu_s=theirs, dpgen_ratio=theirs[1] / theirs[0])  # fmt: skip


if __name__ == "__main__":
    main()
