"""Task groups: which runs a stage asks for."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpgen2_hpc.explore.groups import ENSEMBLES, MdGroup, velocity_seed
from dpgen2_hpc.kinds import CheckContext

CONTEXT = CheckContext(("Al", "Cu"), (26.98, 63.55), 4)
SEED = (0, 1, 2)


def group(**more):
    return MdGroup(**{"conf_idx": (0,), "temps": (300.0, 600.0), **more})


def problems(**more):
    return {".".join(map(str, path)): text for path, text in group(**more).checks(CONTEXT)}


def normalized(**settings):
    """Return the settings as the argument tree spells them out."""
    import dargs

    return dargs.Argument("group", dict, MdGroup.arguments()).normalize_value(
        {"conf_idx": [0], "temps": [300], **settings}
    )


# ---- settings -------------------------------------------------------------------------------------------------------


def test_defaults_are_those_of_dpgen2():
    assert MdGroup.from_settings(normalized()) == MdGroup((0,), (300,))
    later = {key.name: key.default for key in MdGroup.arguments() if not key.available}
    assert later == {
        "pka_e": None, "no_pbc": False, "use_clusters": False, "relative_f_epsilon": None, "relative_v_epsilon": None,
        "ele_temp_f": None, "ele_temp_a": None, "pimd_bead": None, "input_extra_files": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("alias", "name", "value"),
    [("sys_idx", "conf_idx", [1]), ("Ts", "temps", [5]), ("Ps", "press", [1.0]), ("ensemble", "ens", "npt"),
     ("t_freq", "trj_freq", 5), ("traj_freq", "trj_freq", 5)],
)  # fmt: skip
def test_other_names_of_a_key_are_understood(alias, name, value):
    import dargs

    settings = {"conf_idx": [0], "temps": [300], alias: value}
    settings = {key: value for key, value in settings.items() if key == alias or key != name}
    found = dargs.Argument("group", dict, MdGroup.arguments()).normalize_value(settings)
    wanted = tuple(value) if isinstance(value, list) else value
    assert getattr(MdGroup.from_settings(found), name) == wanted


def test_a_pressure_of_null_is_no_pressure():
    assert MdGroup.from_settings(normalized(press=None, ens="nvt")).press == ()
    assert problems(ens="nvt") == {}


@pytest.mark.parametrize("ensemble", [name for name in ENSEMBLES if name.startswith("npt")])
def test_every_npt_needs_pressures(ensemble):
    assert "needs pressures in bar" in problems(ens=ensemble)["press"]
    assert problems(ens=ensemble, press=(1.0,)) == {}


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
def test_pressures_at_constant_volume_are_a_fault_and_a_single_one_is_not_used(ensemble):
    assert "mean nothing at constant volume" in problems(ens=ensemble, press=(1.0, 2.0))["press"]
    assert problems(ens=ensemble, press=(1.0,)) == {}
    one = group(ens=ensemble, press=(1.0,))
    assert one.states() == [(300.0, None), (600.0, None)]
    ((place, text),) = one.notices(CONTEXT)
    assert place == ("press",)
    assert "is not used" in text


def test_a_pressure_that_is_used_has_no_notice():
    assert list(group(ens="npt", press=(1.0,)).notices(CONTEXT)) == []


@pytest.mark.parametrize("name", ["conf_idx", "temps"])
def test_an_empty_list_is_a_fault(name):
    assert "must not be empty" in problems(**{name: ()})[name]


def test_frames_farther_apart_than_the_run_is_long_are_a_fault():
    assert "more than nsteps" in problems(nsteps=10, trj_freq=11)["trj_freq"]
    assert problems(nsteps=10, trj_freq=10) == {}


def test_damping_times_within_a_timestep_are_a_fault_where_they_are_used():
    assert set(problems(ens="npt", press=(1.0,), dt=0.1, tau_t=0.05, tau_p=0.1)) == {"tau_t", "tau_p"}
    assert set(problems(ens="nvt", dt=0.1, tau_t=0.05, tau_p=0.1)) == {"tau_t"}
    assert problems(ens="nve", dt=0.1, tau_t=0.05, tau_p=0.1) == {}


# ---- states and runs ------------------------------------------------------------------------------------------------


def test_states_are_temperatures_times_pressures_in_the_written_order():
    assert group(ens="npt", press=(1.0, -5.0)).states() == [(300.0, 1.0), (300.0, -5.0), (600.0, 1.0), (600.0, -5.0)]
    assert group().states() == [(300.0, None), (600.0, None)]


def test_a_run_has_the_settings_of_its_group():
    made = group(ens="npt-a", press=(1.0,), neidelay=5, nsteps=7, trj_freq=3).run(
        300.0, 1.0, models=["a", "b"], type_map=["Al"], masses=[26.98], rng=np.random.default_rng(1)
    )
    assert (made.ensemble, made.steps, made.frequency, made.neighbor_delay) == ("npt-aniso", 7, 3, 5)
    assert (made.temperature, made.pressure, made.models, made.masses) == (300.0, 1.0, ("a", "b"), (26.98,))
    assert made.seed == velocity_seed(np.random.default_rng(1))


def test_velocity_seeds_are_such_as_lammps_takes():
    rng = np.random.default_rng(0)
    seeds = [velocity_seed(rng) for _ in range(2000)]
    assert min(seeds) >= 1
    assert 0.95 * 900_000_000 < max(seeds) <= 900_000_000


# ---- the sample -----------------------------------------------------------------------------------------------------


def test_without_a_sample_all_configurations_are_explored_in_their_order():
    assert group().sample(4, 3, SEED) == [0, 1, 2, 3]


@given(pool=st.integers(1, 12), size=st.integers(1, 30), turns=st.integers(1, 8))
def test_no_configuration_comes_again_before_all_have_been(pool, size, turns):
    drawn = [index for turn in range(turns) for index in group(n_sample=size).sample(pool, turn, SEED)]
    assert len(drawn) == size * turns
    for start in range(0, len(drawn) - pool + 1, pool):
        assert sorted(drawn[start : start + pool]) == list(range(pool))
    counts = Counter(drawn)
    assert max(counts.values()) - min(counts[index] for index in range(pool)) <= 1


@given(pool=st.integers(1, 12), turn=st.integers(0, 20))
def test_a_sample_twice_as_large_is_two_turns_of_the_smaller(pool, turn):
    small, large = group(n_sample=3), group(n_sample=6)
    assert large.sample(pool, turn, SEED) == small.sample(pool, 2 * turn, SEED) + small.sample(pool, 2 * turn + 1, SEED)


def test_shuffles_differ_and_hang_on_the_seed():
    whole = group(n_sample=50)
    assert whole.sample(50, 0, SEED) != whole.sample(50, 1, SEED)
    assert whole.sample(50, 0, SEED) != whole.sample(50, 0, (0, 1, 3))
    assert whole.sample(50, 0, SEED) == whole.sample(50, 0, list(SEED))


def test_an_empty_pool_gives_nothing():
    assert group(n_sample=3).sample(0, 0, SEED) == []
