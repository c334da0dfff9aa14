"""For each explorer a real run that ended well and one that crashed, for the contract tests.

Those of ``lmp``: LAMMPS 22 Jul 2025 (Update 2) and DeePMD-kit 3.2.0, 16 atoms, two models; ``lost`` with 1e6 K and 0.1 ps.
``log.lammps`` without its beginning.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

OUTPUTS = Path(__file__).resolve().parent / "outputs"


@dataclass(frozen=True)
class Sample:
    """``outputs`` are the files that a run writes, of which all but those in ``dispensable`` are needed."""

    folder: Path
    type_map: tuple[str, ...]
    outputs: tuple[str, ...]
    dispensable: tuple[str, ...]
    asked: int
    md_steps: tuple[int, ...]
    lost_step: int
    lost_exit_code: int
    lost_reason: str

    def leave(self, which: str, directory: Path) -> Path:
        """Leave the files of the run ``good`` or ``lost`` in a directory."""
        return Path(shutil.copytree(self.folder / which, directory))


SAMPLES = {
    "lmp": Sample(
        folder=OUTPUTS / "lmp",
        type_map=("Al", "Cu"),
        outputs=("traj.dump", "model_devi.out", "predicted.out", "log.lammps"),
        dispensable=("predicted.out", "log.lammps"),
        asked=6,
        md_steps=(0, 10, 20, 30, 40, 50),
        lost_step=0,
        lost_exit_code=1,
        lost_reason="ERROR: Lost atoms: original 16 current 1",
    ),
}
