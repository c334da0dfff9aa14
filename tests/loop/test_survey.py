"""``check``: what the file system and the machine tell, against hand calculations."""

import json
import shutil
from itertools import product
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from project import FAKES, TEMPLATE, write_initial_data

from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.explore.configurations.geometry import density, nearest_distance
from dpgen2_hpc.loop.commands import programs
from dpgen2_hpc.loop.plan import load_plan
from dpgen2_hpc.loop.survey import survey

pytestmark = pytest.mark.slow

SLURM = {"machine": {"batch_type": "Slurm", "context_type": "LazyLocalContext"}, "resources": {"group_size": 3}}


@pytest.fixture
def look(project, monkeypatch):
    """Return a function that surveys the project on a host with our stand-in programs alone."""
    monkeypatch.setenv("PATH", f"{FAKES}:/usr/bin:/bin")

    def at():
        project.write()
        monkeypatch.chdir(project.folder)
        return survey(load_plan(Path("param.json"), Path("machine.json")))

    return at


def fcc(constant, symbol="Al"):
    coords = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]) * constant
    return Frame((symbol,) * 4, coords, np.eye(3) * constant)


# ---- geometry


def test_aluminium_has_its_nearest_neighbours_and_its_density():
    assert nearest_distance(fcc(4.05)) == pytest.approx(4.05 / sqrt(2))
    assert density(fcc(4.05), {"Al": 26.98}) == pytest.approx(2.70, abs=0.01)


def test_the_nearest_neighbour_of_a_lone_atom_is_its_image_or_nothing():
    lone = Frame(("Al",), np.zeros((1, 3)), np.diag([3.0, 2.0, 4.0]))
    assert nearest_distance(lone) == pytest.approx(2.0)
    assert nearest_distance(Frame(lone.symbols, lone.coords, lone.cell, periodic=False)) == np.inf


def test_distances_go_over_the_edge_of_a_skewed_cell():
    cell = np.array([[4.0, 0, 0], [1.5, 4, 0], [0, 1.0, 4]])
    coords = np.random.default_rng(3).random((7, 3)) @ cell + 9.0
    shifts = [np.array(image) @ cell for image in product(range(-3, 4), repeat=3)]
    by_hand = min(
        float(np.linalg.norm(one - other + shift))
        for i, one in enumerate(coords)
        for j, other in enumerate(coords)
        for shift in shifts
        if i != j or shift.any()
    )
    assert nearest_distance(Frame(("Al",) * 7, coords, cell)) == pytest.approx(by_hand)


def test_atoms_without_periodicity_have_no_images():
    coords = np.array([[0.1, 0, 0], [3.9, 0, 0]])
    assert nearest_distance(Frame(("H", "H"), coords, np.eye(3) * 4)) == pytest.approx(0.2)
    assert nearest_distance(Frame(("H", "H"), coords, np.eye(3) * 4, periodic=False)) == pytest.approx(3.8)


# ---- programs


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("lmp -i in.lammps", {"lmp"}),
        ("if [ -f a ]; then dp train x --restart a; else dp train x; fi && dp freeze -o y", {"dp"}),
        ("source /opt/intel/setvars.sh && mpirun -n 16 vasp_std", {"mpirun", "vasp_std"}),
        ("OMP_NUM_THREADS=1 mpirun -np 4 --bind-to none /opt/cp2k.psmp -i in > out", {"mpirun", "/opt/cp2k.psmp"}),
        ("srun --mpi pmix -n $SLURM_NTASKS dp train", {"srun", "dp"}),
        ("mpirun --mca btl ^openib -x PATH -machinefile $PBS_NODEFILE lmp", {"mpirun", "lmp"}),
        ("mpiexec -n 4 --ppn 4 --depth=8 --cpu-bind depth -genv A 1 vasp_std", {"mpiexec", "vasp_std"}),
        ("env -u A B=1 pw.x -in 'a;b' | tee log", {"env", "pw.x", "tee"}),
        ("$PROGRAM x", set()),
        ("echo 'never closed", set()),
    ],
)
def test_the_programs_of_a_command_are_found(command, expected):
    assert {name for name, _ in programs(command)} == expected


def test_a_missing_program_is_a_fault_where_nothing_could_bring_it(look, project):
    project.machine["explore"] = {"command": "lmp_mpi"}
    (fault,) = look().faults
    assert str(fault) == (
        "machine.json:18:3: explore.command: there is no program 'lmp_mpi' on this host, and resources names no module "
        "or script"
    )


def test_a_missing_program_is_told_where_its_command_stands(look, project):
    project.param["explore"]["config"] = {"command": "lmp_mpi"}
    project.machine["default"]["command"] = None
    (fault,) = look().faults
    assert str(fault).startswith("param.json:105:4: explore.config.command: there is no program 'lmp_mpi' on this host")
    del project.param["explore"]["config"]
    project.machine["default"]["command"] = "lmp_mpi"
    assert [str(fault).partition(": there")[0] for fault in look().faults] == ["machine.json:10:3: default.command"]


def test_a_missing_program_is_a_notice_where_a_module_may_bring_it(look, project):
    project.machine["explore"] = {"command": "lmp_mpi", "resources": {"module_list": ["lammps"]}}
    found = look()
    assert found.faults == []
    assert found.notices == [
        "explore.command: 'lmp_mpi' is not on this host's PATH; the modules and scripts of resources must bring it"
    ]


def test_what_a_launcher_starts_is_a_guess_and_so_a_notice(look, project):
    project.machine["explore"] = {"command": "env lmp_mpi"}
    found = look()
    assert found.faults == []
    assert "'lmp_mpi' is not on this host's PATH" in found.notices[0]


def test_a_host_that_cannot_submit_is_told_once_for_each_command(look, project, monkeypatch, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("env", "sbatch", "squeue"):
        (tools / name).symlink_to(shutil.which("true"))
    monkeypatch.setenv("PATH", f"{FAKES}:{tools}")
    project.machine = {"default": SLURM, "fp": {"command": "label"}}
    assert [str(fault) for fault in look().faults] == [
        "machine.json:4:4: default.machine.batch_type: not on this host: scancel; jobs cannot be submitted from here"
    ]


def test_a_rehearsal_needs_no_batch_system(project, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(FAKES))
    project.machine = {"default": SLURM, "fp": {"command": "label"}}
    project.write()
    monkeypatch.chdir(project.folder)
    plan = load_plan(Path("param.json"), Path("machine.json"))
    assert any("not on this host: sbatch, scancel, squeue; jobs" in str(fault) for fault in survey(plan).faults)
    found = survey(plan, submits=False)
    assert found.faults == []
    assert any("not on this host: sbatch, scancel, squeue; jobs" in notice for notice in found.notices)


@pytest.fixture
def queue(project, monkeypatch, tmp_path):
    """A project on a host with the commands of all queues; its default section is changed by the test."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sbatch", "squeue", "scancel", "qsub", "qselect", "qstat", "qdel", "bsub", "bjobs", "bkill", "xargs"):
        (tools / name).symlink_to(shutil.which("true"))
    monkeypatch.setenv("PATH", f"{FAKES}:{tools}:/usr/bin:/bin")
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "SLURM_CLUSTERS", "SBATCH_CLUSTERS"):
        monkeypatch.delenv(name, raising=False)

    def of(batch_type, **resources):
        machine = {"batch_type": batch_type, "context_type": "LazyLocalContext"}
        project.machine = {"default": {"machine": machine, "resources": {"group_size": 3, **resources}}}
        project.machine["fp"] = {"command": "label"}
        project.write()
        monkeypatch.chdir(project.folder)
        return survey(load_plan(Path("param.json"), Path("machine.json")))

    return of


@pytest.mark.parametrize(
    ("batch_type", "flag", "told"),
    [
        ("Slurm", "#SBATCH -J md", "-J md is not used"),
        ("Slurm", "#SBATCH --requeue", "--requeue is not used"),
        ("PBS", "#PBS -N md", "-N md is not used"),
        ("LSF", "#BSUB -J md", "-J md is not used"),
    ],
)
def test_a_name_or_requeue_of_the_users_is_told_once_for_all_sections(queue, batch_type, flag, told):
    found = queue(batch_type, custom_flags=[flag])
    assert found.faults == []
    assert [notice for notice in found.notices if told in notice] == [
        notice for notice in found.notices if "is not used" in notice
    ]
    [notice] = [notice for notice in found.notices if told in notice]
    assert notice.startswith("default.resources.custom_flags: '")


def test_an_environment_that_jobs_do_not_get_is_told(queue, monkeypatch):
    monkeypatch.setenv("VIRTUAL_ENV", "/opt/dp")
    assert any("source_list" in notice for notice in queue("PBS").notices)
    assert not any("source_list" in notice for notice in queue("Slurm").notices)


@pytest.mark.parametrize("name", ["SLURM_CLUSTERS", "SBATCH_CLUSTERS"])
def test_clusters_that_only_this_shell_knows_are_a_fault_that_says_what_to_write(queue, monkeypatch, name):
    monkeypatch.setenv(name, "c1,c2")
    found = queue("Slurm")
    assert any(f"{name}=c1,c2 is set here: add '#SBATCH --clusters=c1,c2'" in str(fault) for fault in found.faults)
    assert queue("Slurm", custom_flags=["#SBATCH -M c1"]).faults == []
    assert queue("PBS").faults == []


# ---- configurations, data, numbers


def test_overlapping_atoms_are_a_fault_at_their_source(look, project):
    project.param["explore"]["configurations"][0]["lattice"] = ["fcc", 0.38]
    (fault,) = look().faults
    assert fault.path == ("explore", "configurations", 0)
    assert fault.line
    assert "atoms overlap: two are 0.27 Å apart" in fault.message


def test_what_is_merely_strange_is_a_notice(look, project):
    project.param["explore"]["configurations"][0]["lattice"] = ["fcc", 0.9]
    found = look()
    assert found.faults == []
    assert [text.partition(", closer")[0] for text in found.notices[:1]] == [
        "explore.configurations[0]: two atoms are 0.64 Å apart"
    ]
    assert "denser than any matter" in found.notices[1]


def test_a_lattice_too_wide_is_thin_and_unlike_the_data(look, project):
    project.param["explore"]["configurations"][0]["lattice"] = ["fcc", 8.1]
    found = look()
    assert found.faults == []
    thin, unlike = found.notices
    assert "explore.configurations[0]: 0.451 g/cm³ is thin: these elements have 3.9 g" in thin  # Al3Cu, by hand
    assert "133 Å³ per atom, while the initial data have 13.7" in unlike  # 8.1³ / 4, 3.8³ / 4


def test_a_wide_lattice_like_the_data_or_of_no_known_element_is_only_thin_or_nothing(look, project):
    (box,) = project.folder.rglob("box.npy")
    np.save(box, np.load(box) * 2)
    project.param["explore"]["configurations"][0]["lattice"] = ["fcc", 8.1]
    (thin,) = look().notices
    assert "is thin" in thin
    project.param["inputs"]["type_map"] = ["dummy", "Cu"]
    (box.parent.parent / "type_map.raw").write_text("dummy\nCu\n")
    assert [text for text in look().notices if "thin" in text] == []


def test_data_that_nothing_can_be_learned_from_are_faults(look, project):
    (forces,) = project.folder.rglob("force.npy")
    array = np.load(forces)
    array[1, 4] = np.nan
    np.save(forces, array)
    with pytest.raises(InputError, match=r"force.npy' has nan in frame 1 \(counted from 0\)"):
        look()


def test_masses_in_the_wrong_order_are_strange(look, project):
    project.param["inputs"]["mass_map"] = [63.55, 26.98]
    assert look().notices == [
        "inputs.mass_map[0]: 63.55 u for Al (26.982 u) is nearer to Cu (63.546 u): are the masses in order?",
        "inputs.mass_map[1]: 26.98 u for Cu (63.546 u) is nearer to Al (26.982 u): are the masses in order?",
    ]


def test_a_name_that_is_no_element_has_any_mass(look, project):
    project.param["inputs"] |= {"type_map": ["Al", "Cu", "dummy"], "mass_map": [27, 64, 1]}
    project.param["explore"]["configurations"][0]["concentration"] = [[0.5, 0.5, 0]]
    assert look().notices == []


def test_what_is_given_and_not_used_is_told_with_its_place(look, project):
    template = project.param["train"]["template_script"]
    template["training"]["validation_data"] = {"systems": ["v"], "batch_size": 1}
    project.param["explore"]["stages"][0][0]["press"] = [1.0]
    where = "train.template_script.training.validation_data"
    assert look().notices == [
        f"{where}: is not used in this version: models are trained without validation",
        "explore.stages[0][0].press: is not used: a pressure means nothing at constant volume (ens is 'nvt')",
    ]
    (project.folder / "input.json").write_text(json.dumps(template))
    project.param["train"]["template_script"] = "input.json"
    assert look().notices[0].startswith("input.json: training.validation_data: is not used")


def test_masses_of_the_neighbours_are_strange(look, project):
    project.param["inputs"] |= {"type_map": ["Al", "Cu", "Mg"], "mass_map": [24.31, 63.55, 26.98]}
    project.param["explore"]["configurations"][0]["concentration"] = [[0.5, 0.5, 0]]
    assert look().notices == [
        "inputs.mass_map[0]: 24.31 u for Al (26.982 u) is nearer to Mg (24.305 u): are the masses in order?",
        "inputs.mass_map[2]: 26.98 u for Mg (24.305 u) is nearer to Al (26.982 u): are the masses in order?",
    ]


def test_more_draws_than_configurations_are_strange(look, project):
    project.param["explore"]["stages"][0][0]["n_sample"] = 4
    assert look().notices == [
        "explore.stages[0][0].n_sample: 4 are drawn from 3 configurations: some run more than once in an iteration"
    ]


def test_each_input_file_is_read_once(project, monkeypatch):
    project.param["train"]["template_script"] = "input.json"
    (project.folder / "input.json").write_text(json.dumps(TEMPLATE))
    project.write()
    names, read = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: names.append(path.name) or read(path))
    load_plan(project.folder / "param.json", project.folder / "machine.json")
    assert sorted(name for name in names if name.endswith(".json")) == ["input.json", "machine.json", "param.json"]


def test_the_name_of_the_run_is_shown(look, project):
    project.param["name"] = "alloys"
    assert look().lines[0] == "name: alloys"


XYZ = "2\n{}\nAl 0 0 0\nCu 2.5 0 0\n"
MOLECULE, CRYSTAL = XYZ.format("no cell"), XYZ.format('Lattice="5 0 0 0 4 0 0 0 4"')


def test_configurations_without_a_cell_are_told_where_the_data_are_periodic(look, project):
    (project.folder / "start.xyz").write_text(MOLECULE)
    project.param["explore"]["configurations"] = [{"type": "file", "files": "start.xyz"}]
    found = look()
    assert (
        "explore.configurations[0]: 1 configuration of 2 atoms, nearest two 2.50 Å apart, without periodicity"
        in found.lines
    )
    (told,) = [notice for notice in found.notices if "no cell" in notice]
    assert "open boundaries" in told
    assert 'Lattice="..."' in told


@pytest.mark.parametrize(
    ("conf_idx", "more", "refused"),
    [([0], {}, True), ([1], {}, False), ([0, 1], {}, True), ([0], {"ens": "nvt", "press": None}, False)],
)
def test_no_pressure_is_kept_without_periodicity(look, project, conf_idx, more, refused):
    (project.folder / "molecule.xyz").write_text(MOLECULE)
    (project.folder / "crystal.xyz").write_text(CRYSTAL)
    explore = project.param["explore"]
    explore["configurations"] = [{"type": "file", "files": f"{name}.xyz"} for name in ("molecule", "crystal")]
    explore["stages"] = [[{**explore["stages"][0][0], "conf_idx": conf_idx, "ens": "npt", "press": [1.0], **more}]]
    if not refused:
        look()
        return
    with pytest.raises(InputError) as caught:
        look()
    (fault,) = caught.value.faults
    assert fault.path == ("explore", "stages", 0, 0, "ens")
    assert "choose 'nvt', or give them a cell" in fault.message


def test_tasks_and_jobs_of_the_first_iteration_are_counted(look, project):
    group = project.param["explore"]["stages"][0][0]
    group |= {"temps": [300, 600, 900], "n_sample": 2}
    project.param["explore"]["stages"].append([{**group, "n_sample": None}, group])
    project.machine["explore"] = {"resources": {"group_size": 4}}
    lines = look().lines
    assert "train: 2 tasks in 2 jobs on Shell (LazyLocalContext)" in lines
    assert "explore: 6 tasks in 2 jobs on Shell (LazyLocalContext)" in lines
    assert "fp: at most 3 tasks in at most 2 jobs on Shell (LazyLocalContext)" in lines
    assert "stages: 2, with 6, 15 runs in an iteration; each stage has at most 5 iterations" in lines


def test_every_pattern_of_the_data_is_counted(look, project):
    write_initial_data(project.folder / "more/deep/one", frames=2)
    write_initial_data(project.folder / "more/two", frames=4)
    project.param["inputs"] |= {"init_data_sys": ["data/*", "more"], "init_data_prefix": str(project.folder)}
    lines = look().lines
    assert lines[1] == "inputs.init_data_sys[0]: 'data/*': 1 system, 3 frames of 4 atoms, all with virials"
    assert lines[2] == "inputs.init_data_sys[1]: 'more': 2 systems, 6 frames of 4 atoms, all with virials"


# ---- the command


def test_check_prints_what_it_saw_and_says_when_nothing_is_wrong(project):
    project.write()
    done = project.verb("check", "param.json", "machine.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nearest two 2.69 Å apart" in done.stdout
    assert done.stdout.endswith("no fault was found\n")


def test_check_ends_with_two_and_still_prints_what_it_saw(project):
    project.machine["fp"]["command"] = "lable"
    project.write()
    done = project.verb("check", "param.json", "machine.json")
    assert done.returncode == 2
    assert "elements: Al (26.98 u), Cu (63.55 u)" in done.stdout
    assert "there is no program 'lable'" in done.stderr
    assert "no fault" not in done.stdout


def test_run_looks_before_it_begins_and_leaves_nothing_behind_when_something_is_wrong(project):
    project.machine["fp"]["command"] = "lable"
    done = project.run()
    assert done.returncode == 2
    assert "there is no program 'lable'" in done.stderr
    assert not project.work.exists()


def test_run_tells_its_notices_into_the_log(project):
    project.param["dflow_config"] = {"host": "x"}
    assert project.run("--once").returncode == 3
    assert "'dflow_config' has no meaning here" in (project.work / "dpgen2_hpc.log").read_text()
