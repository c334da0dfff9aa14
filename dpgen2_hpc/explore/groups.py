"""Task groups: which MD runs a stage asks for (the manual's ExplorationTaskGroup)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import dargs
import numpy as np
from typing_extensions import override

from dpgen2_hpc.kinds import CheckContext, Key, MdRun, Problem, TaskGroup

ENSEMBLES: Mapping[str, str] = {
    "nve": "nve",
    "nvt": "nvt",
    "npt": "npt-iso",
    "npt-i": "npt-iso",
    "npt-iso": "npt-iso",
    "npt-a": "npt-aniso",
    "npt-aniso": "npt-aniso",
    "npt-t": "npt-tri",
    "npt-tri": "npt-tri",
}
"""The ensembles' names, and the one of five that an explorer is told."""

LARGEST_SEED = 900_000_000
"""LAMMPS takes no larger seed."""


MOST_STEPS = 2**31 - 1
"""LAMMPS makes no more steps in one run."""


def velocity_seed(rng: np.random.Generator) -> int:
    """Return a seed for starting velocities, 1 ... 900 000 000."""
    return int(rng.integers(1, LARGEST_SEED, endpoint=True))


@dataclass(frozen=True)
class MdGroup(TaskGroup):
    """MD from each configuration, at each temperature (K) and pressure (bar): the type ``lmp-md``.

    ``conf_idx`` are entries of ``explore.configurations``; the configurations of all of them form the pool. ``dt``,
    ``tau_t`` and ``tau_p`` in ps; ``nsteps`` and ``trj_freq`` in MD steps.
    """

    conf_idx: tuple[int, ...]
    temps: tuple[float, ...]
    press: tuple[float, ...] = ()
    n_sample: int | None = None
    ens: str = "nve"
    dt: float = 0.001
    nsteps: int = 100
    trj_freq: int = 10
    tau_t: float = 0.05
    tau_p: float = 0.5
    neidelay: int | None = None

    fixes_composition = True

    @classmethod
    @override
    def arguments(cls) -> list[dargs.Argument]:
        """Return the keys of a task group."""
        return [*_pool_keys(), *_state_keys(), *_run_keys(), *_later_keys()]

    @classmethod
    @override
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Return the group for checked settings."""
        return cls(
            conf_idx=tuple(settings["conf_idx"]),
            temps=tuple(settings["temps"]),
            press=tuple(settings["press"] or ()),
            n_sample=settings["n_sample"],
            ens=settings["ens"],
            dt=settings["dt"],
            nsteps=settings["nsteps"],
            trj_freq=settings["trj_freq"],
            tau_t=settings["tau_t"],
            tau_p=settings["tau_p"],
            neidelay=settings["neidelay"],
        )

    @override
    def checks(self, context: CheckContext) -> Iterator[Problem]:
        """Yield what is wrong across keys; that ``conf_idx`` is in range only the whole of ``explore`` can tell."""
        for name in ("conf_idx", "temps"):
            if not getattr(self, name):
                yield (name,), "must not be empty: such a group would explore nothing"
        for name in ("temps", "press"):
            yield from (((name, *place), text) for place, text in _repeated(getattr(self, name)))
        if self.trj_freq > self.nsteps:
            yield ("trj_freq",), f"{self.trj_freq} is more than nsteps, {self.nsteps}: only the start would be kept"
        yield from self._pressure_problems()
        yield from self._damping_problems()
        if not self._constant_volume and self.press and False in context.occurring.periodic:
            text = "a pressure, which configurations without periodicity have not: choose 'nvt', or give them a cell"
            yield ("ens",), f"is '{self.ens}', which keeps {text}"

    def _pressure_problems(self) -> Iterator[Problem]:
        if self._constant_volume and len(self.press) > 1:
            text = f"pressures mean nothing at constant volume (ens is '{self.ens}'): remove them, or choose 'npt'"
            yield ("press",), f"has {len(self.press)} values, but {text}"
        elif not self._constant_volume and not self.press:
            yield ("press",), f"is missing: ens is '{self.ens}', which needs pressures in bar, for example [1.0]"

    @override
    def notices(self, _context: CheckContext) -> Iterator[Problem]:
        """Yield a pressure that is not used."""
        if self._constant_volume and self.press:
            yield ("press",), f"is not used: a pressure means nothing at constant volume (ens is '{self.ens}')"

    def _damping_problems(self) -> Iterator[Problem]:
        used = {"tau_t": self.ens != "nve", "tau_p": not self._constant_volume}
        for name, value in (("tau_t", self.tau_t), ("tau_p", self.tau_p)):
            if used[name] and value <= self.dt:
                yield (name,), f"{value} ps is not longer than the timestep, {self.dt} ps"

    @property
    def _constant_volume(self) -> bool:
        """Whether the ensemble keeps the cell."""
        return self.ens in ("nve", "nvt")

    @property
    @override
    def asked(self) -> int:
        """Number of frames that a run is asked to write: that of MD step 0, and one every ``trj_freq`` steps."""
        return self.nsteps // self.trj_freq + 1

    @override
    def states(self) -> list[tuple[float, float | None]]:
        """Return temperature (K) and pressure (bar) of the runs from one configuration, in the written order."""
        pressures: Sequence[float | None] = (None,) if self._constant_volume else self.press
        return [(temperature, pressure) for temperature in self.temps for pressure in pressures]

    @override
    def sample(self, pool: int, turn: int, seed: Sequence[int]) -> list[int]:
        """Return which configurations of the pool iteration number ``turn`` of a stage explores.

        They are elements ``turn * n_sample`` and following of an endless sequence of shuffles of the pool, so that no
        configuration comes again before all have been; nothing has to be remembered. Without ``n_sample`` they are all,
        in their order.

        Parameters
        ----------
        pool
            Number of configurations.
        turn
            Which iteration of the stage this is, from 0 on.
        seed
            What the shuffles depend on: the same for all turns of a stage.
        """
        if self.n_sample is None or pool == 0:
            return list(range(pool))
        start, stop = turn * self.n_sample, (turn + 1) * self.n_sample
        first, last = start // pool, (stop - 1) // pool
        shuffles = [np.random.default_rng([*seed, number]).permutation(pool) for number in range(first, last + 1)]
        drawn: list[int] = np.concatenate(shuffles)[start - first * pool : stop - first * pool].tolist()
        return drawn

    @override
    def run(
        self,
        temperature: float,
        pressure: float | None,
        *,
        models: Sequence[str],
        type_map: Sequence[str],
        masses: Sequence[float],
        rng: np.random.Generator,
    ) -> MdRun:
        """Return one run at a state of :meth:`states`; ``rng`` gives the seed of its velocities."""
        return MdRun(
            ensemble=ENSEMBLES[self.ens],
            steps=self.nsteps,
            temperature=temperature,
            pressure=pressure,
            timestep=self.dt,
            frequency=self.trj_freq,
            tau_t=self.tau_t,
            tau_p=self.tau_p,
            models=tuple(models),
            type_map=tuple(type_map),
            masses=tuple(masses),
            seed=velocity_seed(rng),
            neighbor_delay=self.neidelay,
        )


def _repeated(values: Sequence[float]) -> Iterator[Problem]:
    for place, value in enumerate(values):
        if value in values[:place]:
            yield (place,), f"{value:g} stands here twice: the same runs would be made twice"


# ---- keys -----------------------------------------------------------------------------------------------------------


def _pool_keys() -> list[dargs.Argument]:
    return [
        Key(
            "conf_idx",
            list[int],
            "Which entries of explore.configurations, from 0 on, give the starting configurations.",
            alias=["sys_idx"],
            minimum=0,
        ),
        Key(
            "n_sample",
            [int, None],
            "How many starting configurations an iteration draws; none is drawn again before all have been. "
            "null: all of them.",
            optional=True,
            default=None,
            minimum=1,
            maximum=100_000,
        ),
    ]


def _state_keys() -> list[dargs.Argument]:
    return [
        Key("temps", list[float], "Temperatures, K.", alias=["Ts"], above=0, maximum=1e6),
        Key(
            "press",
            [list[float], None],
            "Pressures, bar: needed by the npt ensembles; one value is allowed, and not used, for nve and nvt.",
            optional=True,
            default=None,
            alias=["Ps"],
            minimum=-1e6,
            maximum=1e8,
        ),
        Key(
            "ens",
            str,
            "The ensemble. npt, npt-i and npt-iso are one: the cell keeps its shape; npt-a (npt-aniso): its three "
            "edges move; npt-t (npt-tri): its angles too.",
            optional=True,
            default="nve",
            alias=["ensemble"],
            choices=list(ENSEMBLES),
        ),
    ]


def _run_keys() -> list[dargs.Argument]:
    return [
        _optional("dt", float, 0.001, "Timestep, ps.", above=0, maximum=0.1),
        _optional("nsteps", int, 100, "MD steps of a run.", minimum=1, maximum=MOST_STEPS),
        _optional(
            "trj_freq",
            int,
            10,
            "MD steps from one frame to the next.",
            minimum=1,
            maximum=MOST_STEPS,
            alias=["t_freq", "traj_freq"],
        ),
        _optional("tau_t", float, 0.05, "Damping time of the thermostat, ps.", above=0, maximum=1e3),
        _optional("tau_p", float, 0.5, "Damping time of the barostat, ps.", above=0, maximum=1e3),
        _optional(
            "neidelay",
            [int, None],
            None,
            "MD steps for which neighbour lists are kept at least.",
            minimum=0,
            maximum=MOST_STEPS,
        ),
    ]


def _later_keys() -> list[dargs.Argument]:
    """Return what DPGEN2 knows and this version does not act on, each with DPGEN2's default."""
    return [
        _optional("pka_e", [float, None], None, "Energy of a primary knock-on atom, eV.", available=False),
        _optional("no_pbc", bool, False, "Open boundaries.", available=False),
        _optional("use_clusters", bool, False, "Deviations of single atoms, for clusters.", available=False),
        _optional("relative_f_epsilon", [float, None], None, "Level of relative force deviations.", available=False),
        _optional("relative_v_epsilon", [float, None], None, "Level of relative virial deviations.", available=False),
        _optional("ele_temp_f", [float, None], None, "Electron temperature of the frame, K.", available=False),
        _optional("ele_temp_a", [float, None], None, "Electron temperature of each atom, K.", available=False),
        _optional("pimd_bead", [str, None], None, "Index of the bead of path-integral MD.", available=False),
        _optional("input_extra_files", list[str], [], "Further files that the run reads.", available=False),
    ]


def _optional(name: str, dtype: Any, default: Any, doc: str, **more: Any) -> Key:
    return Key(name, dtype, doc, optional=True, default=default, **more)
