"""What a plugin may be, and where the program finds it: the pages that a plugin's author reads.

A *kind* is one way of training, exploring, labelling ...: a frozen dataclass of its settings that inherits from the
class of its family (``Trainer``, ``Explorer``, ``TaskGroup``, ``Configurations``, ``Convergence``, ``Labeler``), each
in a file of this folder. It has

* ``arguments()``: its keys of ``param.json``, as :class:`Key`; checked, documented and spelled out like our own;
* ``from_settings(settings)``: the instance, from a dictionary with every key of ``arguments()`` in it;
* ``checks(context)``: faults that no key shows alone, and ``notices(context)``: what may not be meant;
* the methods of its family. Those that are not abstract have defaults; mark what you override with ``@override``.

A plugin never sees the record, the work directory or the queue: it gets paths and values.

Our own kinds stand in :data:`OWN` (loaded when named); a package of yours offers more by an entry point of the group
``dpgen2_hpc.<kind>``, for example ``dpgen2_hpc.fp``.
"""

from dpgen2_hpc.kinds.base import Cause, CheckContext, Kind, Occurring, Problem
from dpgen2_hpc.kinds.exploration import Configurations, Deviations, Ending, Explorer, MdRun, TaskGroup
from dpgen2_hpc.kinds.key import CHANGES, Key, Rule
from dpgen2_hpc.kinds.labeling import Labeler, NoLabel
from dpgen2_hpc.kinds.registry import ALIASES, LATER, OWN, load, names
from dpgen2_hpc.kinds.selection import ACCURATE, CANDIDATE, FAILED, INVALID, Convergence
from dpgen2_hpc.kinds.training import Trainer, TrainingInput

__all__ = [
    "ACCURATE",
    "ALIASES",
    "CANDIDATE",
    "CHANGES",
    "FAILED",
    "INVALID",
    "LATER",
    "OWN",
    "Cause",
    "CheckContext",
    "Configurations",
    "Convergence",
    "Deviations",
    "Ending",
    "Explorer",
    "Key",
    "Kind",
    "Labeler",
    "MdRun",
    "NoLabel",
    "Occurring",
    "Problem",
    "Rule",
    "TaskGroup",
    "Trainer",
    "TrainingInput",
    "load",
    "names",
]
