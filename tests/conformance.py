"""Every kind of ours is one of its family: read by mypy alone, which compares the signatures of all methods."""

from dpgen2_hpc.explore.configurations.alloy import Alloy
from dpgen2_hpc.explore.configurations.file import Files
from dpgen2_hpc.explore.groups import MdGroup
from dpgen2_hpc.explore.lammps.run import LammpsExplorer
from dpgen2_hpc.fp.abacus import AbacusLabeler
from dpgen2_hpc.fp.ase import AseLabeler
from dpgen2_hpc.fp.cp2k import Cp2kLabeler
from dpgen2_hpc.fp.custom import CustomLabeler
from dpgen2_hpc.fp.deepmd import DeepmdLabeler
from dpgen2_hpc.fp.gaussian import GaussianLabeler
from dpgen2_hpc.fp.qe import QeLabeler
from dpgen2_hpc.fp.vasp import VaspLabeler
from dpgen2_hpc.kinds import Configurations, Convergence, Explorer, Labeler, TaskGroup, Trainer
from dpgen2_hpc.select.fixed_levels import FixedLevels
from dpgen2_hpc.train.deepmd import DeepmdTrainer

TRAINERS: list[type[Trainer]] = [DeepmdTrainer]
EXPLORERS: list[type[Explorer]] = [LammpsExplorer]
GROUPS: list[type[TaskGroup]] = [MdGroup]
CONFIGURATIONS: list[type[Configurations]] = [Alloy, Files]
CONVERGENCE: list[type[Convergence]] = [FixedLevels]
LABELERS: list[type[Labeler]] = [
    AseLabeler,
    VaspLabeler,
    QeLabeler,
    Cp2kLabeler,
    AbacusLabeler,
    GaussianLabeler,
    DeepmdLabeler,
    CustomLabeler,
]
