"""The text of ``in.lammps`` for an MD run."""

from collections.abc import Mapping

from dpgen2_hpc.kinds import MdRun

CONFIGURATION, DEVIATIONS, TRAJECTORY, PREDICTED = "conf.lmp", "model_devi.out", "traj.dump", "predicted.out"

BAROSTATS: Mapping[str, str] = {"npt": "iso", "npt-iso": "iso", "npt-aniso": "aniso", "npt-tri": "tri"}
"""How the cell moves in each ensemble that moves it."""


def input_text(run: MdRun, *, periodic: bool = True) -> str:
    """Return the input of a run from ``conf.lmp``: first frame at step 0, then one every ``run.frequency`` steps.

    The dump's lines are sorted by atom, and its numbers stand in fields of fixed width, so that nearly all frames are
    of one length in bytes and can be found by seeking. What the driving model predicts costs nothing here and is kept:
    forces in the dump, energy and the virial's part of the pressure in ``predicted.out``.
    """
    every = run.frequency
    lines = [
        "units metal",
        f"boundary {'p p p' if periodic else 'f f f'}",
        "atom_style atomic",
        "neighbor 1.0 bin",
        *([] if run.neighbor_delay is None else [f"neigh_modify delay {run.neighbor_delay}"]),
        "box tilt large",
        f"read_data {CONFIGURATION}",
        *(f"mass {number} {mass:.10g}" for number, mass in enumerate(run.masses, 1)),
        f"pair_style deepmd {' '.join(run.models)} out_freq {every} out_file {DEVIATIONS}",
        f"pair_coeff * * {' '.join(run.type_map)}",
        "thermo_style custom step temp pe ke etotal press vol lx ly lz xy xz yz",
        f"thermo {every}",
        "compute virial all pressure NULL virial",
        f'fix predicted all ave/time {every} 1 {every} c_thermo_pe c_virial[*] file {PREDICTED} format " %.15g"',
        f"dump frames all custom {every} {TRAJECTORY} id type x y z fx fy fz",
        'dump_modify frames sort id format float "%14.10f"',
        *(f'dump_modify frames format {column} "%10.6f"' for column in (6, 7, 8)),
        f"velocity all create {run.temperature:.10g} {run.seed} mom yes dist gaussian",
        f"fix motion all {_motion(run)}",
        f"timestep {run.timestep:.10g}",
        f"run {run.steps}",
    ]
    return "\n".join(lines) + "\n"


def _motion(run: MdRun) -> str:
    """Return the style and the arguments of the fix that moves the atoms."""
    if run.ensemble == "nve":
        return "nve"
    thermostat = f"temp {run.temperature:.10g} {run.temperature:.10g} {run.tau_t:.10g}"
    if run.ensemble == "nvt":
        return f"nvt {thermostat}"
    return f"npt {thermostat} {BAROSTATS[run.ensemble]} {run.pressure:.10g} {run.pressure:.10g} {run.tau_p:.10g}"
