"""A corpus of ``param.json`` that must be understood, beside the one of what must be refused.

The files are written after those that DPGEN2's users share: comments that stand twice, keys that say nothing, aliases,
words of a cloud, three dialects. Each is understood up to what this version refuses by name.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from labelers import UPF_1, fake_potcar
from project import TEMPLATE

from dpgen2_hpc.data.dataset import write_labels
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.errors import InputError, spelled
from dpgen2_hpc.inputs.dialects import understood
from dpgen2_hpc.inputs.param import load_param
from dpgen2_hpc.inputs.read import read_json
from dpgen2_hpc.inputs.step_configs import step_configs
from dpgen2_hpc.inputs.tree import NOT_YET

FILES = Path(__file__).parent / "accepted/params"


@dataclass(frozen=True)
class Expected:
    """What a file must mean: values by their paths in today's dialect, what is refused by name, what is told."""

    values: dict
    later: list = field(default_factory=list)
    notices: list = field(default_factory=list)
    ratios: dict = field(default_factory=dict)


def init_model(*names):
    """The keys of a training that begins with the last models, refused by name."""
    return [f"train.config.init_model_{name}" for name in names]


EXPECTED = {
    "alloy-vasp": Expected(
        {
            "inputs.type_map": ["Al", "Mg"],
            "inputs.mass_map": [27.0, 24.0],
            "inputs.init_data_prefix": None,
            "inputs.init_data_sys": ["data/al-mg/start", "data/al-mg/more"],
            "train.numb_models": 4,
            "train.template_script": "template.json",
            "explore.config.command": "lmp -var restart 0",
            "explore.convergence.level_f_lo": 0.06,
            "explore.convergence.level_f_hi": 0.40,
            "explore.convergence.conv_accuracy": 0.92,
            "explore.max_numb_iter": 6,
            "explore.fatal_at_max": False,
            "explore.configurations.0.lattice": ["fcc", 4.2],
            "explore.configurations.0.replicate": [2, 2, 2],
            "explore.configurations.0.numb_confs": 12,
            "explore.configurations.0.concentration": [[1.0, 0.0], [0.25, 0.75]],
            "fp.task_max": 3,
            "fp.inputs_config.kspacing": 0.28,
            "fp.inputs_config.kgamma": True,
            "fp.inputs_config.incar": "vasp/INCAR",
            "fp.inputs_config.pp_files": {"Al": "vasp/POTCAR.Al", "Mg": "vasp/POTCAR.Mg"},
            "fp.run_config.command": "source /opt/vars.sh && mpirun -n 8 vasp_std",
        },
        later=["explore.stages[0][1].type"],
        ratios={"explore": 0.75, "fp": 0.85},
    ),
    "alloy-abacus": Expected(
        {
            "name": "alloy-lcao",
            "inputs.init_data_prefix": "data",
            "train.numb_models": 3,
            "train.template_script": ["template.json"] * 3,
            "explore.config.shuffle_models": True,
            "explore.configurations.0.prefix": "start",
            "explore.configurations.0.fmt": "vasp/poscar",
            "explore.configurations.1.files": "al-mg.lmp",
            "explore.configurations.2": {
                "type": "file",
                "files": ["POSCAR"],
                "prefix": "start",
                "fmt": "auto",
                "remove_pbc": False,
            },
            "explore.stages.0.0.conf_idx": [0, 2],
            "explore.stages.0.0.temps": [300.0, 500.0],
            "explore.stages.0.0.press": [1.0, 5000.0],
            "explore.stages.0.0.ens": "npt-aniso",
            "explore.stages.0.0.trj_freq": 25,
            "explore.stages.1.0.press": None,
            "explore.stages.1.0.trj_freq": 25,
            "fp.inputs_config.element_mass": None,
            "fp.inputs_config.orb_files": {"Al": "abacus/Al.orb", "Mg": "abacus/Mg.orb"},
            "fp.run_config.command": "OMP_NUM_THREADS=4 abacus",
        },
        ratios={"fp": 0.5},
    ),
    "alloy-first-stages": Expected(
        {
            "train.config.command": "dp",
            "train.template_script.training.numb_steps": 1500,
            "explore.convergence": {
                "type": "fixed-levels",
                "level_f_lo": 0.07,
                "level_f_hi": 0.45,
                "level_v_lo": None,
                "level_v_hi": None,
                "conv_accuracy": 0.95,
            },
            "explore.configurations.0.type": "alloy",
            "explore.configurations.0.lattice": ["fcc", 4.3],
            "fp.task_max": 4,
            "fp.inputs_config.kspacing": 0.2,
            "fp.inputs_config.kgamma": True,
            "fp.inputs_config.pp_files": {"Al": "vasp/POTCAR.Al", "Mg": "vasp/POTCAR.Mg"},
            "fp.run_config.command": "source /opt/vars.sh && mpirun -n 8 vasp_std",
        },
        later=["explore.stages[0][1].type"],
    ),
    "alloy-before-0.0.6": Expected(
        {
            "inputs.init_data_prefix": None,
            "explore.max_numb_iter": 8,
            "explore.convergence.conv_accuracy": 0.93,
            "explore.convergence.level_f_lo": 0.08,
            "explore.convergence.level_f_hi": 0.48,
            "explore.configurations.0.lattice": ["fcc", 4.25],
            "explore.configurations.0.numb_confs": 15,
            "explore.stages.0.0.ens": "nvt",
            "explore.stages.0.0.press": [2.0],
            "explore.stages.0.0.temps": [70.0, 140.0],
            "explore.stages.0.0.n_sample": 5,
            "explore.stages.1.0.press": [1.0, 2.0],
            "explore.stages.1.0.conf_idx": [0],
            "train.template_script.training.numb_steps": 1600,
            "fp.task_max": 5,
        },
        notices=["model_devi_jobs[0].press"],
    ),
    "methane-before-0.0.6": Expected(
        {
            "explore.max_numb_iter": 90,
            "explore.fatal_at_max": True,
            "explore.configurations.0.files": ["CH4.*/0000*/POSCAR"],
            "explore.configurations.0.prefix": "start",
            "explore.configurations.1.files": ["CH4.*/0001*/POSCAR"],
            "explore.stages.1.0.nsteps": 2000,
            "fp.task_max": 12,
            "fp.inputs_config.pp_files": {"H": "vasp/POTCAR.H", "C": "vasp/POTCAR.C"},
        },
        notices=[
            *("model_devi_dt", "model_devi_skip", "model_devi_clean_traj"),
            *("model_devi_jobs[0].press", "model_devi_jobs[1].press"),
        ],
    ),
    "molecules-gaussian": Expected(
        {
            "inputs.mixed_type": True,
            "inputs.init_data_sys": "data/molecules",
            "explore.max_numb_iter": 11,
            "explore.configurations.0.files": ["data/molecule[s]/*"],
            "explore.configurations.0.remove_pbc": True,
            "fp.task_max": 4000,
            "fp.inputs_config.nproc": 8,
            "fp.inputs_config.keywords": "b3lyp/6-31g* nosymm force",
        },
        later=[
            "train.init_models_paths",
            *init_model("policy", "old_ratio", "numb_steps", "start_pref_e"),
            "explore.convergence.type",
            "explore.output_nopbc",
            "explore.stages[0][0].type",
        ],
        ratios={"explore": 0.7, "fp": 0.6},
    ),
    "methane-distilled": Expected(
        {
            "inputs.mass_map": [4.0, 12.0],
            "fp.run_config.teacher_model_path": "teacher.pb",
            "explore.config.command": "lmp -var restart 0",
            "explore.stages.0.0.press": [1.0],
            "explore.stages.0.0.trj_freq": 8,
        },
        later=["train.type", "explore.config.teacher_model_path"],
    ),
    "crystals-calypso": Expected(
        {
            "inputs.mixed_type": True,
            "train.numb_models": 4,
            "explore.convergence.level_f_hi": 0.6,
            "explore.max_numb_iter": 3,
            "explore.configurations.0.fmt": "deepmd/npy",
            "fp.task_max": 250,
            "fp.inputs_config.kgamma": False,
        },
        later=[
            "inputs.do_finetune",
            "train.init_models_paths",
            "train.config.impl",
            "train.config.finetune_args",
            *init_model("policy", "numb_steps", "start_lr", "start_pref_e"),
            "explore.type",
        ],
        ratios={"fp": 0.0},
    ),
    "crystals-diffcsp": Expected(
        {
            "name": "generated",
            "inputs.init_data_sys": ["data/al-mg/*"],
            "train.optional_files": None,
            "explore.max_numb_iter": 5,
            "explore.fatal_at_max": False,
            "fp.inputs_config.kspacing": 0.2,
        },
        later=[
            "train.config.impl",
            "train.config.init_model_policy",
            "explore.type",
            "explore.convergence.type",
            "explore.filters",
        ],
    ),
    "water": Expected(
        {
            "inputs.valid_data_sys": None,
            "inputs.multi_init_data": None,
            "train.init_models_paths": None,
            "explore.config.command": "mpirun -n 1 lmp",
            "explore.convergence.level_v_lo": None,
            "explore.configurations.0.files": ["start/water.vasp"],
            "explore.stages.0.0.press": None,
            "explore.stages.0.0.dt": 0.0005,
            "explore.stages.0.0.n_sample": 1,
            "explore.filters": [],
            "fp.inputs_config.kgamma": None,
            "fp.run_config.command": "mpirun -n 16 vasp_gam",
        },
        notices=["training.validation_data"],
    ),
    "water-multitask": Expected(
        {
            "inputs.init_data_sys": None,
            "explore.config.command": "lmp",
            "explore.stages.0.0.ens": "npt",
            "explore.stages.0.0.press": [1.0],
            "fp.task_max": 7,
        },
        later=[
            "inputs.multitask",
            "inputs.head",
            "inputs.multi_init_data",
            "inputs.multi_valid_data",
            "train.config.impl",
            *init_model("policy", "old_ratio"),
            "train.config.multitask",
            "train.config.head",
            "train.init_models_paths",
            "explore.config.head",
            "explore.config.model_frozen_head",
            "explore.convergence.type",
        ],
    ),
    "water-finetuned": Expected(
        {
            "inputs.init_data_sys": None,
            "train.numb_models": 2,
            "explore.convergence.conv_accuracy": 0.9,
            "fp.task_max": 10,
            "fp.run_config.command": "vasp",
        },
        later=[
            "inputs.do_finetune",
            "inputs.init_data_uri",
            "inputs.valid_data_uri",
            "train.init_models_uri",
            "train.config.backend",
            "train.config.finetune_args",
            "train.config.init_model_with_finetune",
            "train.config.split_last_iter_valid_ratio",
            "explore.config.use_hdf5",
            "explore.stages[0][0].type",
        ],
    ),
    "alloy-ase": Expected(
        {
            "explore.configurations.0.numb_confs": 20,
            "explore.configurations.1.files": ["data/al-mg/st*/*"],
            "explore.max_numb_iter": 5,
            "fp.task_max": 25,
        },
        later=["explore.type"],
    ),
}

DATA = {
    "data/al-mg/start": ("Al", "Mg"),
    "data/al-mg/more": ("Al", "Mg"),
    "data/methane": ("H", "C"),
    "data/molecules": ("H", "C", "N", "O"),
    "data/water": ("O", "H"),
}

CELL = "a cell\n1\n4.1 0 0\n0 4.1 0\n0 0 4.1\n{0} {1}\n2 2\nDirect\n0 0 0\n0 .5 .5\n.5 0 .5\n.5 .5 0\n"
LAMMPS = (
    "a cell\n\n2 atoms\n2 atom types\n0 4 xlo xhi\n0 4 ylo yhi\n0 4 zlo zhi\n\nAtoms # atomic\n\n1 1 0 0 0\n2 2 2 2 2\n"
)
VALIDATED = {**TEMPLATE, "training": {**TEMPLATE["training"], "validation_data": {"systems": ["v"], "numb_btch": 3}}}

TEXTS = {
    "template.json": json.dumps(TEMPLATE),
    "template-validated.json": json.dumps(VALIDATED),
    "vasp/INCAR": "ENCUT = 420\n",
    "vasp/INCAR.spaced": "ENCUT = 420\nKSPACING = 0.2\n",
    **{f"vasp/POTCAR.{name}": fake_potcar(name) for name in ("Al", "Mg", "O", "H", "C")},
    "abacus/INPUT": "INPUT_PARAMETERS\nbasis_type lcao\necutwfc 60\n",
    "abacus/KPT": "K_POINTS\n0\nGamma\n2 2 2 0 0 0\n",
    **{f"abacus/{name}.upf": UPF_1.format(name) for name in ("Al", "Mg")},
    **{f"abacus/{name}.orb": "an orbital" for name in ("Al", "Mg")},
    "teacher.pb": "a model",
    "start/al-mg.vasp": CELL.format("Al", "Mg"),
    "start/POSCAR": CELL.format("Mg", "Al"),
    "start/al-mg.lmp": LAMMPS,
    "start/water.vasp": CELL.format("O", "H"),
    "start/CH4.1/00000/POSCAR": CELL.format("C", "H"),
    "start/CH4.1/00012/POSCAR": CELL.format("C", "H"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with all that the files name."""
    folder = tmp_path_factory.mktemp("accepted")
    rng = np.random.default_rng(2)
    for path, elements in DATA.items():
        symbols = elements * 2
        frame = Frame(symbols, rng.random((len(symbols), 3)) * 5, np.eye(3) * 5)
        (folder / path).mkdir(parents=True)
        write_labels(folder / path, [Labels(frame, -1.0, rng.random(frame.coords.shape), np.eye(3))], elements)
    for path, text in TEXTS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    for path in FILES.glob("*.json"):
        (folder / path.name).write_text(path.read_text())
    return folder


def at(value, path):
    for step in path.split("."):
        value = value[int(step) if step.isdecimal() else step]
    return value


def test_every_file_of_the_corpus_is_expected():
    assert {path.stem for path in FILES.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_accepted_file_has_its_values_where_they_belong(project, name):
    value, _, _ = understood(read_json(project / f"{name}.json"), old_compatible=True)
    wanted = EXPECTED[name].values
    assert {path: at(value, path) for path in wanted} == wanted


@pytest.mark.parametrize("name", EXPECTED)
def test_an_accepted_file_has_no_fault_but_what_is_not_available_yet(project, name):
    path, expected = project / f"{name}.json", EXPECTED[name]
    if not expected.later:
        found = load_param(path, {}, old_compatible=True)
        assert [spelled(notice.path) for notice in found.notices] == expected.notices
        assert found.settings.initial_systems
        return
    with pytest.raises(InputError) as caught:
        load_param(path, {}, old_compatible=True)
    assert [str(fault) for fault in caught.value.faults if NOT_YET not in fault.message] == []
    assert sorted(spelled(fault.path) for fault in caught.value.faults) == sorted(expected.later)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_policy_of_an_accepted_file_is_understood_too(project, name):
    configs = step_configs(read_json(project / f"{name}.json"))
    word = "continue_on_success_ratio"
    ratios = {step: said[word].value for step, said in configs.said.items() if word in said}
    assert (configs.faults, ratios) == ((), EXPECTED[name].ratios)


def test_what_the_corpus_is_about_stands_in_it():
    """Else a tidied file would test nothing."""
    texts = "".join(path.read_text() for path in FILES.glob("*.json"))
    twice = re.compile(r'"_comment": [^{}]*"_comment": ')
    assert all(twice.search((FILES / f"{name}.json").read_text()) for name in ("alloy-vasp", "alloy-ase"))
    assert (FILES / "alloy-before-0.0.6.json").read_text().count('"fp_style": "vasp"') == 2
    for word in ('"configuration_prefix": null', '"init_data_prefix": ""', '"lmp-npt"', '"_type": "calypso"'):
        assert word in texts
