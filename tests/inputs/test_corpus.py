"""A corpus of broken inputs, each with what it must be answered: read each line as the tired person who gets it.

A row is the dialect of a good input, the path whose value is exchanged (``GONE``: taken out), the value, and the faults
in their order, without file, line and column of ``param.json``. ``...`` at the end stands for anything.
"""

import copy
import json
import re

import pytest
from project import PARAM, TEMPLATE
from test_dialects import MANUAL, OLD, folder  # noqa: F401  (a fixture)

from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.param import load_param

GONE = object()


TODAY = {
    **PARAM,
    "train": {**PARAM["train"], "template_script": "good.json"},
    "explore": {
        **PARAM["explore"],
        "configurations": [
            *PARAM["explore"]["configurations"],
            {"type": "file", "files": "start.lmp", "fmt": "lammps/lmp"},
        ],
    },
}
INPUTS = {"today": TODAY, "manual": MANUAL, "old": OLD}

CORPUS = [
    ("today", ("inputs",), GONE, ["inputs: this key is missing: expected an object"]),
    ("today", ("inputs", "type_map"), GONE, ["inputs.type_map: this key is missing: expected a list of strings"]),
    ("today", ("inputs", "type_map"), [], ["inputs.type_map: must not be empty"]),
    ("today", ("inputs", "type_map"), "Al", ["inputs.type_map: expected a list of strings, found the string 'Al'"]),
    ("today", ("inputs", "type_map"), ["Al", "Al"], ["inputs.type_map: has 'Al' more than once"]),
    ("today", ("inputs", "type_map"), ["Al", 29], ["inputs.type_map[1]: expected a string, found the number 29"]),
    ("today", ("inputs", "type_map"), ["Al", "Cu Zn"], ["inputs.type_map[1]: 'Cu Zn' is no name of an element: letters, digits and '_' alone go through all the programs"]),
    ("today", ("inputs", "type_map"), ["Cu"], ["inputs.mass_map: needs one mass for each of Cu; there are 2"]),
    ("today", ("inputs", "mass_map"), [26.98], ["inputs.mass_map: needs one mass for each of Al, Cu; there are 1"]),
    ("today", ("inputs", "mass_map"), [26.98, 0], ["inputs.mass_map[1]: must be more than 0 u, found 0"]),
    ("today", ("inputs", "mass_map"), [26.98, -3], ["inputs.mass_map[1]: must be more than 0 u, found -3"]),
    ("today", ("inputs", "mass_map"), [26.98, 63550], ["inputs.mass_map[1]: must be at most 400 u, found 63550"]),
    ("today", ("inputs", "mass_map"), [0.02698, 63.55], ["inputs.mass_map[0]: 0.02698 u for Al, whose atoms weigh 26.982 u: give masses in u (g/mol), not in kg/mol"]),
    ("today", ("inputs", "mass_map"), ["27", 64], ["inputs.mass_map[0]: expected a number, found the string '27'"]),
    ("today", ("inputs", "mass_map"), [True, 64], ["inputs.mass_map[0]: expected a number, found true"]),
    ("today", ("inputs", "mass_map"), 27, ["inputs.mass_map: expected a list of numbers, found the number 27"]),
    ("today", ("inputs", "mas_map"), [27, 64], ["inputs.mas_map: unknown key 'mas_map'; did you mean 'mass_map'? Known here: type_map, mass_map, init_data_prefix, init_data_sys, mixed_type."]),
    ("today", ("inputs", "init_data_sys"), GONE, ["inputs.init_data_sys: this key is missing: expected a folder of labelled frames, a pattern, or a list of them"]),
    ("today", ("inputs", "init_data_sys"), [], ["inputs.init_data_sys: this key is missing: expected a folder of labelled frames, a pattern, or a list of them"]),
    ("today", ("inputs", "init_data_sys"), "dat/*", ["inputs.init_data_sys: 'HERE/dat/*' matches no folder"]),
    ("today", ("inputs", "init_data_sys"), ["data/*", "more/*"], ["inputs.init_data_sys[1]: 'HERE/more/*' matches no folder"]),
    ("today", ("inputs", "init_data_sys"), ["data/Al2Cu2", "data/*"], ["inputs.init_data_sys[1]: 'HERE/data/Al2Cu2' is already among the systems: it would count twice"]),
    ("today", ("inputs", "init_data_sys"), "start.lmp", ["inputs.init_data_sys: 'HERE/start.lmp' is a file; a system of deepmd/npy is a folder with type.raw"]),
    ("today", ("inputs", "init_data_sys"), "vasp", ["inputs.init_data_sys: 'HERE/vasp' is not a system of deepmd/npy: it has no type.raw, and no folder below it has one"]),
    ("today", ("inputs", "init_data_sys"), 3, ["inputs.init_data_sys: expected a string or a list of strings or null, found the number 3"]),
    ("today", ("inputs", "init_data_prefix"), "elsewhere", ["inputs.init_data_sys: 'HERE/elsewhere/data/*' matches no folder"]),
    ("today", ("inputs", "init_data_prefix"), 7, ["inputs.init_data_prefix: expected a string or null, found the number 7"]),
    ("today", ("inputs", "do_finetune"), True, ["inputs.do_finetune: 'do_finetune' is not available yet in this version: leave it out (its default is false)"]),
    ("today", ("inputs", "do_finetune"), True, ["inputs.do_finetune: 'do_finetune' is not available yet in this version: leave it out (its default is false)"]),
    ("today", ("inputs", "multitask"), True, ["inputs.multitask: 'multitask' is not available yet in this version: leave it out (its default is false)"]),
    ("today", ("inputs", "valid_data_sys"), ["data/*"], ["inputs.valid_data_sys: 'valid_data_sys' is not available yet in this version: leave it out (its default is null)"]),
    ("today", ("inputs", "use_ele_temp"), 1, ["inputs.use_ele_temp: 'use_ele_temp' is not available yet in this version: leave it out (its default is 0)"]),
    ("today", ("inputs", "init_data_uri"), "s3://x", ["inputs.init_data_uri: 'init_data_uri' is not available yet in this version: leave it out (its default is null)"]),
    ("today", ("inputs", "init_data_sys"), None, ["inputs.init_data_sys: this key is missing: expected a folder of labelled frames, a pattern, or a list of them"]),
    ("today", ("seed",), -1, ["seed: must be at least 0, found -1"]),
    ("today", ("seed",), 1.5, ["seed: expected a whole number, found the number 1.5"]),
    ("today", ("seed",), 2147483648, ["seed: must be at most 2147483647, found 2147483648"]),
    ("today", ("sed",), 1, ["sed: unknown key 'sed'; did you mean 'seed'? Known here: ..."]),
    ("today", ("parallelism",), 4, ["parallelism: 'parallelism' is not available yet in this version: leave it out (its default is null)"]),
    ("today", ("name",), 5, ["name: expected a string or null, found the number 5"]),
    ("today", ("step_config",), {}, ["step_config: unknown key 'step_config'; did you mean 'step_configs'? Known here: ..."]),
    ("today", ("train",), GONE, ["train: this key is missing: expected an object"]),
    ("today", ("train", "type"), GONE, ["train.type: this key is missing: choose from dp"]),
    ("today", ("train", "type"), "deepmd", ["train.type: unknown type 'deepmd'. Known here: dp."]),
    ("today", ("train", "type"), "dp-dist", ["train.type: 'dp-dist' is not available yet in this version: choose from dp"]),
    ("today", ("train", "type"), 3, ["train.type: expected a string, found the number 3"]),
    ("today", ("train", "numb_models"), 1, ["train.numb_models: must be at least 2, found 1"]),
    ("today", ("train", "numb_models"), 4.0, ["train.numb_models: expected a whole number, found the number 4.0: write 4"]),
    ("today", ("train", "numb_models"), True, ["train.numb_models: expected a whole number, found true"]),
    ("today", ("train", "numb_model"), 4, ["train.numb_model: unknown key 'numb_model'; did you mean 'numb_models'? Known here: type, numb_models, template_script, config."]),
    ("today", ("train", "template_script"), GONE, ["train.template_script: this key is missing: expected a string or a list or an object"]),
    ("today", ("train", "template_script"), "inptu.json", ["train.template_script: 'inptu.json' cannot be read: No such file or directory"]),
    ("today", ("train", "template_script"), "broken.json", ["broken.json: a comma with nothing behind it: remove it before '}'"]),
    ("today", ("train", "template_script"), "swapped.json", ["swapped.json: model.type_map: is ['Cu', 'Al'], inputs.type_map is ['Al', 'Cu']: elements would be mixed up"]),
    ("today", ("train", "template_script"), ["good.json", "good.json", "good.json"], ["train.template_script: is a list of 3; there are 2 models: give one each, or no list"]),
    ("today", ("train", "template_script"), ["good.json"], ["train.template_script: is a list of 1; there are 2 models: give one each, or no list"]),
    ("today", ("train", "template_script"), ["good.json", 5], ["train.template_script[1]: must be an object, the input of dp train"]),
    ("today", ("train", "template_script"), {**TEMPLATE, "model": {}}, ["train.template_script.model.descriptor: is missing: an input of dp train has it, as an object", "train.template_script.model.fitting_net: is missing: an input of dp train has it, as an object"]),
    ("today", ("train", "template_script"), {**TEMPLATE, "learning_rate": 0.001}, ["train.template_script.learning_rate: expected an object, as dp train has it, found the number 0.001"]),
    ("today", ("train", "template_script"), {**TEMPLATE, "training": {}}, ["train.template_script.training.numb_steps: is missing: how many steps a training has"]),
    ("today", ("train", "template_script"), {**TEMPLATE, "training": {"numb_steps": 0}}, ["train.template_script.training.numb_steps: expected a whole number, at least 1, found the number 0"]),
    ("today", ("train", "template_script"), {**TEMPLATE, "training": {"numb_steps": 1e6}}, ["train.template_script.training.numb_steps: expected a whole number, at least 1, found the number 1000000.0"]),
    ("today", ("explore", "max_numb_iter"), 10**30, ["explore.max_numb_iter: must be at most 1000000, found 1000000000000000000000000000000"]),
    ("today", ("explore", "configurations", 0, "replicate"), 300, ["explore.configurations[0].replicate: 27000000 unit cells in each of 3 configurations are too many atoms: more than 10000000 in all"]),
    ("today", ("explore", "configurations", 0, "numb_confs"), 10**30, ["explore.configurations[0].numb_confs: must be at most 100000, found 1000000000000000000000000000000"]),
    ("today", ("explore", "stages", 0, 0, "n_sample"), 10**30, ["explore.stages[0][0].n_sample: must be at most 100000, found 1000000000000000000000000000000"]),
    ("today", ("explore", "stages", 0, 0, "nsteps"), 10**10, ["explore.stages[0][0].nsteps: must be at most 2147483647, found 10000000000"]),
    ("today", ("explore", "config"), {"command": "lmp\0"}, ["explore.config.command: 'lmp\\x00' has the character NUL in it, which no path and no command can have"]),
    ("today", ("train", "template_script"), {}, ["train.template_script.model: is missing: an input of dp train has it, as an object", "train.template_script.training: is missing: an input of dp train has it, as an object"]),
    ("today", ("train", "template_script"), {"model": {"type_map": ["Cu", "Al"], "descriptor": {}, "fitting_net": {}}, "training": {"numb_steps": 1}}, ["train.template_script.model.type_map: is ['Cu', 'Al'], inputs.type_map is ['Al', 'Cu']: elements would be mixed up"]),
    ("today", ("train", "template_script"), [], ["train.template_script: is a list of 0; there are 2 models: give one each, or no list"]),
    ("today", ("train", "config"), {"comand": "dp"}, ["train.config.comand: unknown key 'comand'; did you mean 'command'? Known here: command, impl, train_args."]),
    ("today", ("train", "config"), {"command": ""}, ["train.config.command: must not be empty"]),
    ("today", ("train", "config"), {"impl": "pytorch"}, ["train.config.impl: 'pytorch' is not available yet in this version: choose from tensorflow"]),
    ("today", ("train", "config"), {"impl": "tensorflw"}, ["train.config.impl: unknown value 'tensorflw'; did you mean 'tensorflow'? Known here: tensorflow."]),
    ("today", ("train", "config"), {"backend": "tensorflow", "impl": "tensorflow"}, ["train.config.impl: 'backend' and 'impl' are the same key: give only one of them"]),
    ("today", ("train", "config"), {"init_model_policy": "yes"}, ['train.config.init_model_policy: \'init_model_policy\' is not available yet in this version: leave it out (its default is "no")']),
    ("today", ("train", "config"), {"init_model_stop_batch": 1000}, ["train.config.init_model_stop_batch: 'init_model_stop_batch' is not available yet in this version: leave it out (its default is 400000)"]),
    ("today", ("train", "init_models_paths"), ["a.pb"], ["train.init_models_paths: 'init_models_paths' is not available yet in this version: leave it out (its default is null)"]),
    ("today", ("train", "training_iter0_model_path"), ["a.pb"], ["train.training_iter0_model_path: 'training_iter0_model_path' is not available yet in this version: leave it out (its default is null)"]),
    ("today", ("explore", "type"), "lammps", ["explore.type: unknown type 'lammps'; did you mean 'lmp'? Known here: lmp."]),
    ("today", ("explore", "type"), "calypso", ["explore.type: 'calypso' is not available yet in this version: choose from lmp"]),
    ("today", ("explore", "max_num_iter"), 5, ["explore.max_num_iter: unknown key 'max_num_iter'; did you mean 'max_numb_iter'? Known here: ..."]),
    ("today", ("explore", "max_numb_iter"), 0, ["explore.max_numb_iter: must be at least 1, found 0"]),
    ("today", ("explore", "max_numb_iter"), "5", ["explore.max_numb_iter: expected a whole number, found the string '5'"]),
    ("today", ("explore", "fatal_at_max"), "false", ["explore.fatal_at_max: expected true or false, found the string 'false'"]),
    ("today", ("explore", "fatal_at_max"), 0, ["explore.fatal_at_max: expected true or false, found the number 0"]),
    ("today", ("explore", "convergence"), GONE, ["explore.convergence: this key is missing: expected an object"]),
    ("today", ("explore", "convergence"), {}, ["explore.convergence.type: this key is missing: choose from fixed-levels"]),
    ("today", ("explore", "convergence", "type"), "fixed_levels", ["explore.convergence.type: unknown type 'fixed_levels'; did you mean 'fixed-levels'? Known here: fixed-levels."]),
    ("today", ("explore", "convergence", "type"), "adaptive-lower", ["explore.convergence.type: 'adaptive-lower' is not available yet in this version: choose from fixed-levels"]),
    ("today", ("explore", "convergence", "level_f_lo"), GONE, ["explore.convergence.level_f_lo: this key is missing: expected a number"]),
    ("today", ("explore", "convergence", "level_f_lo"), 0.6, ["explore.convergence.level_f_lo: must be below level_f_hi (0.5), found 0.6"]),
    ("today", ("explore", "convergence", "level_f_lo"), -0.1, ["explore.convergence.level_f_lo: must be at least 0 eV/Å, found -0.1"]),
    ("today", ("explore", "convergence", "level_f_hi"), 0, ["explore.convergence.level_f_hi: must be more than 0 eV/Å, found 0"]),
    ("today", ("explore", "convergence", "level_v_lo"), 0.1, ["explore.convergence.level_v_hi: is missing: level_v_lo is given"]),
    ("today", ("explore", "convergence", "level_v_hi"), 0.1, ["explore.convergence.level_v_lo: is missing: level_v_hi is given"]),
    ("today", ("explore", "convergence", "conv_acuracy"), 0.9, ["explore.convergence.conv_acuracy: unknown key 'conv_acuracy'; did you mean 'conv_accuracy'? Known here: ..."]),
    ("today", ("explore", "convergence", "conv_accuracy"), 95, ["explore.convergence.conv_accuracy: must be at most 1, found 95"]),
    ("today", ("explore", "convergence", "conv_accuracy"), 0, ["explore.convergence.conv_accuracy: must be more than 0, found 0"]),
    ("today", ("explore", "configurations"), GONE, ["explore.configurations: this key is missing: expected a list of objects or lists of strings"]),
    ("today", ("explore", "configurations"), [], ["explore.configurations: must not be empty: exploration starts from these configurations"]),
    ("today", ("explore", "configurations"), {}, ["explore.configurations: expected a list of objects or lists of strings, found an object"]),
    ("today", ("explore", "configurations", 0, "type"), GONE, ["explore.configurations[0].type: this key is missing: choose from alloy, file"]),
    ("today", ("explore", "configurations", 0, "type"), "aloy", ["explore.configurations[0].type: unknown type 'aloy'; did you mean 'alloy'? Known here: alloy, file."]),
    ("today", ("explore", "configurations", 0, "lattice"), GONE, ["explore.configurations[0].lattice: this key is missing: expected a list"]),
    ("today", ("explore", "configurations", 0, "lattice"), ["fc", 3.8], ["explore.configurations[0].lattice: there is no lattice 'fc'; there are bcc, fcc, hcp, sc, diamond, or [file, format]"]),
    ("today", ("explore", "configurations", 0, "lattice"), ["fcc"], ["explore.configurations[0].lattice: expected is [name, constant in Å] or [file, format]"]),
    ("today", ("explore", "configurations", 0, "lattice"), ["fcc", "3.8"], ["explore.configurations[0].lattice: the constant stands in quotes, which makes it the format of a file: write 3.8, a number in Å"]),
    ("today", ("explore", "configurations", 0, "lattice"), ["fcc", -3.8], ["explore.configurations[0].lattice: the constant, -3.8 Å, must be above 0 and at most 100"]),
    ("today", ("explore", "configurations", 0, "lattice"), ["start.lmp", "poscar"], ["explore.configurations[0].lattice: 'HERE/start.lmp' could not be read in the format 'poscar': line 3 must have 3 numbers, found '4 atoms'"]),
    ("today", ("explore", "configurations", 0, "replicate"), [2, 2], ["explore.configurations[0].replicate: expected is one number, or one for each of the three directions"]),
    ("today", ("explore", "configurations", 0, "replicate"), [2, 2, 0], ["explore.configurations[0].replicate[2]: must be at least 1, found 0"]),
    ("today", ("explore", "configurations", 0, "concentration"), [0.5, 0.6], ["explore.configurations[0].concentration: [0.5, 0.6] adds up to 1.1, not to 1"]),
    ("today", ("explore", "configurations", 0, "concentration"), [[0.5, 0.5], [1.0]], ["explore.configurations[0].concentration: [1.0] needs one number for each of Al, Cu"]),
    ("today", ("explore", "configurations", 0, "concentration"), ["a"], ["explore.configurations[0].concentration: ['a'] must be numbers, none negative"]),
    ("today", ("explore", "configurations", 0, "cell_pert_frac"), 0.5, ["explore.configurations[0].cell_pert_frac: must be less than 0.5, found 0.5"]),
    ("today", ("explore", "configurations", 0, "atom_pert_dist"), -1, ["explore.configurations[0].atom_pert_dist: must be at least 0 Å, found -1"]),
    ("today", ("explore", "configurations", 0, "numb_confs"), 0, ["explore.configurations[0].numb_confs: must be at least 1, found 0"]),
    ("today", ("explore", "configurations", 0, "fmt"), "lammps/lmp", ["explore.configurations[0].fmt: unknown key 'fmt'. Known here: type, lattice, numb_confs, replicate, concentration, cell_pert_frac, atom_pert_dist."]),
    ("today", ("explore", "configurations", 1, "files"), "strt.lmp", ["explore.configurations[1].files[0]: 'HERE/strt.lmp' matches no file"]),
    ("today", ("explore", "configurations", 1, "files"), [], ["explore.configurations[1].files: must not be empty"]),
    ("today", ("explore", "configurations", 1, "fmt"), "vasp/poscar", ["explore.configurations[1].files[0]: 'HERE/start.lmp' could not be read in the format 'vasp/poscar': line 3 must have 3 numbers, found '4 atoms'"]),
    ("today", ("explore", "configurations", 1, "fmt"), "lmp/lammps", ["explore.configurations[1].files[0]: dpdata reads no format 'lmp/lammps'; is one of these meant: lammps/lmp, lammps/dump?"]),
    ("today", ("explore", "configurations", 1, "prefix"), "nowhere", ["explore.configurations[1].files[0]: 'HERE/nowhere/start.lmp' matches no file"]),
    ("today", ("explore", "configurations", 1), ["gone.lmp"], ["explore.configurations[1][0]: 'HERE/gone.lmp' matches no file"]),
    ("today", ("explore", "stages"), GONE, ["explore.stages: this key is missing: expected a list of lists of objects"]),
    ("today", ("explore", "stages"), [], ["explore.stages: must not be empty: there would be nothing to explore"]),
    ("today", ("explore", "stages"), [[]], ["explore.stages[0]: must not be empty: the stage would explore nothing"]),
    ("today", ("explore", "stages"), [{"conf_idx": [0], "temps": [1]}], ["explore.stages[0]: expected a list of objects, found an object"]),
    ("today", ("explore", "stages", 0, 0, "conf_idx"), GONE, ["explore.stages[0][0].conf_idx: this key is missing: expected a list of whole numbers"]),
    ("today", ("explore", "stages", 0, 0, "conf_idx"), [99], ["explore.stages[0][0].conf_idx[0]: is 99, but explore.configurations has 2 entries, which count from 0"]),
    ("today", ("explore", "stages", 0, 0, "conf_idx"), [0, 0], ["explore.stages[0][0].conf_idx[1]: 0 stands here twice: its configurations would be explored twice as often"]),
    ("today", ("explore", "stages", 0, 0, "conf_idx"), [-1], ["explore.stages[0][0].conf_idx[0]: must be at least 0, found -1"]),
    ("today", ("explore", "stages", 0, 0, "conf_idx"), 0, ["explore.stages[0][0].conf_idx: expected a list of whole numbers, found the number 0"]),
    ("today", ("explore", "stages", 0, 0, "conf_idx"), [], ["explore.stages[0][0].conf_idx: must not be empty: such a group would explore nothing"]),
    ("today", ("explore", "stages", 0, 0, "sys_idx"), [0], ["explore.stages[0][0].sys_idx: 'conf_idx' and 'sys_idx' are the same key: give only one of them"]),
    ("today", ("explore", "stages", 0, 0, "temps"), [], ["explore.stages[0][0].temps: must not be empty: such a group would explore nothing"]),
    ("today", ("explore", "stages"), {"conf_idx": [0], "temps": [300]}, ["explore.stages: expected a list of lists of objects, found an object"]),
    ("today", ("explore", "stages", 0, 0, "temps"), [300, 600, 300.0], ["explore.stages[0][0].temps[2]: 300 stands here twice: the same runs would be made twice"]),
    ("today", ("explore", "stages", 0, 0, "temps"), 300, ["explore.stages[0][0].temps: expected a list of numbers, found the number 300"]),
    ("today", ("explore", "stages", 0, 0, "temps"), [-300], ["explore.stages[0][0].temps[0]: must be more than 0 K, found -300"]),
    ("today", ("explore", "stages", 0, 0, "temps"), ["300K"], ["explore.stages[0][0].temps[0]: expected a number, found the string '300K'"]),
    ("today", ("explore", "stages", 0, 0, "tempz"), [300], ["explore.stages[0][0].tempz: unknown key 'tempz'; did you mean 'temps'? Known here: ..."]),
    ("today", ("explore", "stages", 0, 0, "press"), [1.0, 2.0], ["explore.stages[0][0].press: has 2 values, but pressures mean nothing at constant volume (ens is 'nvt'): remove them, or choose 'npt'"]),
    ("today", ("explore", "stages", 0, 0, "ens"), "npt", ["explore.stages[0][0].press: is missing: ens is 'npt', which needs pressures in bar, for example [1.0]"]),
    ("today", ("explore", "stages", 0, 0, "ens"), "nvt-langevin", ["explore.stages[0][0].ens: unknown value 'nvt-langevin'. Known here: nve, nvt, npt, npt-i, npt-iso, npt-a, npt-aniso, npt-t, npt-tri."]),
    ("today", ("explore", "stages", 0, 0, "nstep"), 10, ["explore.stages[0][0].nstep: unknown key 'nstep'; did you mean 'nsteps'? Known here: ..."]),
    ("today", ("explore", "stages", 0, 0, "nsteps"), 5, ["explore.stages[0][0].trj_freq: 10 is more than nsteps, 5: only the start would be kept"]),
    ("today", ("explore", "stages", 0, 0, "nsteps"), 1000000.0, ["explore.stages[0][0].nsteps: expected a whole number, found the number 1000000.0: write 1000000"]),
    ("today", ("explore", "stages", 0, 0, "trj_freq"), 0, ["explore.stages[0][0].trj_freq: must be at least 1, found 0"]),
    ("today", ("explore", "stages", 0, 0, "n_sample"), 0, ["explore.stages[0][0].n_sample: must be at least 1, found 0"]),
    ("today", ("explore", "stages", 0, 0, "dt"), 2, ["explore.stages[0][0].dt: must be at most 0.1 ps, found 2"]),
    ("today", ("explore", "stages", 0, 0, "dt"), 0.06, ["explore.stages[0][0].tau_t: 0.05 ps is not longer than the timestep, 0.06 ps"]),
    ("today", ("explore", "stages", 0, 0, "type"), "lmp-template", ["explore.stages[0][0].type: 'lmp-template' is not available yet in this version: choose from lmp-md"]),
    ("today", ("explore", "stages", 0, 0, "type"), "lmp-mdd", ["explore.stages[0][0].type: unknown type 'lmp-mdd'; did you mean 'lmp-md'? Known here: lmp-md."]),
    ("today", ("explore", "stages", 0, 0, "pka_e"), 10.0, ["explore.stages[0][0].pka_e: 'pka_e' is not available yet in this version: leave it out (its default is null)"]),
    ("today", ("explore", "stages", 0, 0, "no_pbc"), True, ["explore.stages[0][0].no_pbc: 'no_pbc' is not available yet in this version: leave it out (its default is false)"]),
    ("today", ("explore", "stages", 0, 0, "tau_t"), 0, ["explore.stages[0][0].tau_t: must be more than 0 ps, found 0"]),
    ("today", ("explore", "config"), {"command": " "}, ["explore.config.command: must not be empty"]),
    ("today", ("explore", "config"), {"teacher_model_path": "t.pb"}, ["explore.config.teacher_model_path: 'teacher_model_path' is not available yet in this version: leave it out (its default is null)"]),
    ("today", ("explore", "config"), "lmp", ["explore.config: expected an object, found the string 'lmp'"]),
    ("today", ("explore", "filters"), [{"type": "distance"}], ["explore.filters: 'filters' is not available yet in this version: leave it out (its default is [])"]),
    ("today", ("explore", "output_nopbc"), True, ["explore.output_nopbc: 'output_nopbc' is not available yet in this version: leave it out (its default is false)"]),
    ("today", ("fp",), GONE, ["fp: this key is missing: expected an object"]),
    ("today", ("fp", "type"), "vsap", ["fp.type: unknown type 'vsap'; did you mean 'vasp'? Known here: ..."]),
    ("today", ("fp", "type"), GONE, ["fp.type: this key is missing: choose from ..."]),
    ("today", ("fp", "task_mx"), 5, ["fp.task_mx: unknown key 'task_mx'; did you mean 'task_max'? Known here: type, task_max, max_force, max_pressure, extra_output_files, inputs_config, run_config."]),
    ("today", ("fp", "task_max"), 0, ["fp.task_max: must be at least 1, found 0"]),
    ("today", ("fp", "task_max"), "all", ["fp.task_max: expected a whole number, found the string 'all'"]),
    ("today", ("fp", "inputs_config"), GONE, ["fp.inputs_config: this key is missing: expected an object"]),
    ("today", ("fp", "inputs_config"), {}, ["fp.inputs_config.calculator: this key is missing: expected a string"]),
    ("today", ("fp", "inputs_config", "calculator"), "EMT", ["fp.inputs_config.calculator: must be an import path, as ase.calculators.emt.EMT; found 'EMT'"]),
    ("today", ("fp", "inputs_config", "calculater"), "x", ["fp.inputs_config.calculater: unknown key 'calculater'; did you mean 'calculator'? Known here: calculator, kwargs."]),
    ("today", ("fp", "inputs_config", "kwargs"), [], ["fp.inputs_config.kwargs: expected an object, found a list"]),
    ("today", ("fp", "run_config"), {"comand": "x"}, ["fp.run_config.comand: unknown key 'comand'; did you mean 'command'? Known here: ..."]),
    ("today", ("fp", "incar"), "INCAR", ["fp.incar: is a key of the manual's dialect of 2022, 'explore.convergence' on line 21 one of today's dialect: they do not go together, write the whole file in one of them"]),
    ("manual", ("explore", "f_trust_lo"), GONE, ["explore.f_trust_lo: this key is missing: expected a number"]),
    ("manual", ("explore", "f_trust_hi"), "0.5", ["explore.f_trust_hi: expected a number, found the string '0.5'"]),
    ("manual", ("explore", "v_trust_hi"), 0.2, ["explore.v_trust_lo: is missing: v_trust_hi is given"]),
    ("manual", ("explore", "stages", 0, "ensemble"), "nvp", ["explore.stages[0].ensemble: unknown value 'nvp'; did you mean 'nvt'? Known here: nve, nvt, npt, npt-i, npt-iso, npt-a, npt-aniso, npt-t, npt-tri."]),
    ("manual", ("explore", "stages", 0, "type"), "lmp-template", ["explore.stages[0].type: 'lmp-template' is not available yet in this version: choose from lmp-md"]),
    ("manual", ("explore", "configurations", 0, "fmt"), "poscar", ['explore.configurations[0].fmt: \'fmt\' is not available yet in this version: leave it out (its default is "lammps/lmp")']),
    ("manual", ("explore", "convergence"), {"type": "fixed-levels"}, ["explore.convergence: is a key of today's dialect, 'explore.conv_accuracy' on line 74 one of the manual's dialect of 2022: they do not go together, write the whole file in one of them"]),
    ("manual", ("fp", "pp_files"), ["a"], ["fp.pp_files: expected an object of strings, found a list"]),
    ("manual", ("fp", "kspacing"), 0.2, ["fp.kspacing: unknown key 'kspacing'. Known here: type, task_max, max_force, max_pressure, config, pp_files, incar, incar_lists."]),
    ("manual", ("fp", "config"), {"cmd": "vasp"}, ["fp.config.cmd: unknown key 'cmd'; did you mean 'command'? Known here: command, log, out."]),
    ("manual", ("fp", "incar"), GONE, ["fp.incar: this key is missing: expected a string"]),
    ("old", ("model_devi_f_trust_lo",), GONE, ["model_devi_f_trust_lo: this key is missing: expected a number"]),
    ("old", ("numb_models",), GONE, ["numb_models: this key is missing: expected a whole number"]),
    ("old", ("model_devi_jobs", 0, "tempz"), [1], ["model_devi_jobs[0].tempz: unknown key 'tempz'; did you mean 'temps'? Known here: ..."]),
    ("old", ("inputs",), {}, ["inputs: unknown key 'inputs'. Known here: ..."]),
    ("old", ("sys_configs",), [], ["sys_configs: must not be empty: exploration starts from these configurations"]),
    ("old", ("fp_pp_files",), "POTCAR", ["fp_pp_files: expected an object of strings, found the string 'POTCAR'"]),
    ("old", ("model_devi_skp",), 0, ["model_devi_skp: unknown key 'model_devi_skp'; did you mean 'model_devi_skip'? Known here: ..."]),
    ("old", ("explore_style",), "calypso", ["explore_style: unknown value 'calypso'. Known here: lmp."]),
]  # fmt: skip


@pytest.fixture
def files(folder):  # noqa: F811
    swapped = {**TEMPLATE, "model": {**TEMPLATE["model"], "type_map": ["Cu", "Al"]}}
    (folder / "good.json").write_text(json.dumps(TEMPLATE, indent=1))
    (folder / "swapped.json").write_text(json.dumps(swapped, indent=1))
    (folder / "broken.json").write_text('{"model": {},}')
    return folder


def broken(name, path, value):
    content = copy.deepcopy(INPUTS[name])
    part = content
    for step in path[:-1]:
        part = part[step]
    if value is GONE:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return content


def answers(folder, name, text):  # noqa: F811
    """The faults of an input; each must have a line and a column."""
    path = folder / "param.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_param(type(path)("param.json"), {}, old_compatible=name == "old")
    assert all(fault.line and fault.column for fault in caught.value.faults)
    lines = str(caught.value).replace(str(folder), "HERE").splitlines()
    return [
        re.sub(r"^(param.json|(\w+.json)):\d+:\d+: ", lambda match: f"{match[2]}: " if match[2] else "", line)
        for line in lines
    ]


def test_the_good_inputs_are_good(files):
    for name, content in INPUTS.items():
        (files / "param.json").write_text(json.dumps(content))
        load_param(files / "param.json", {}, old_compatible=name == "old")


def test_there_are_enough_of_them():
    assert len({(name, path, repr(value)) for name, path, value, _ in CORPUS}) >= 150


@pytest.mark.parametrize(
    ("name", "path", "value", "expected"),
    CORPUS,
    ids=[f"{row[0]}-{'.'.join(map(str, row[1]))}-{n}" for n, row in enumerate(CORPUS)],
)
def test_a_broken_input_is_answered_with_what_is_wrong_and_what_helps(files, name, path, value, expected):
    found = answers(files, name, json.dumps(broken(name, path, value), indent=1))
    shown = [
        line[: len(want) - 3] + "..." if want.endswith("...") else line
        for line, want in zip(found, expected, strict=False)
    ]
    assert [*shown, *found[len(expected) :]] == expected


def test_many_faults_are_told_at_once_and_in_the_order_of_the_file(files):
    content = broken("today", ("inputs", "mass_map"), [26.98])
    content["train"]["numb_models"] = 1
    content["explore"]["convergence"]["level_f_lo"] = 0.9
    content["explore"]["stages"][0][0]["conf_idx"] = [5]
    content["explore"]["stages"][0][0]["press"] = [1.0, 2.0]
    content["fp"]["task_mx"] = 5
    lines = answers(files, "today", json.dumps(content, indent=1))
    assert [line.partition(":")[0] for line in lines] == [
        "inputs.mass_map",
        "train.numb_models",
        "explore.convergence.level_f_lo",
        "explore.stages[0][0].conf_idx[0]",
        "explore.stages[0][0].press",
        "fp.task_mx",
    ]


def test_a_slip_in_a_section_hides_nothing_else_in_it(files):
    content = broken("today", ("explore", "max_num_iter"), 5)
    content["explore"]["convergence"]["level_f_lo"] = 0.9
    content["explore"]["stages"][0][0] |= {"conf_idx": [5], "ensamble": "npt", "press": [1.0], "temps": ["300"]}
    content["explore"]["stages"][0][0].pop("ens")
    content["explore"]["configurations"][0]["numb_confs"] = 0
    content["explore"]["configurations"][1]["files"] = "gone.lmp"
    content["fp"]["task_mx"] = 5
    content["fp"]["inputs_config"]["calculator"] = "EMT"
    lines = answers(files, "today", json.dumps(content, indent=1))
    assert sorted(line.partition(":")[0] for line in lines) == [
        "explore.configurations[0].numb_confs",
        "explore.configurations[1].files[0]",
        "explore.convergence.level_f_lo",
        "explore.max_num_iter",
        "explore.stages[0][0].ensamble",
        "explore.stages[0][0].temps[0]",
        "fp.inputs_config.calculator",
        "fp.task_mx",
    ]


@pytest.mark.parametrize(
    ("name", "slip", "low", "stages"),
    [
        ("manual", ("explore", "conv_acuracy"), ("explore", "f_trust_lo"), ("explore", "stages")),
        ("old", ("conv_acuracy",), ("model_devi_f_trust_lo",), ("model_devi_jobs",)),
    ],
)
def test_nor_does_it_in_an_older_dialect(files, name, slip, low, stages):
    content = broken(name, slip, 0.9)
    part = content
    for step in low[:-1]:
        part = part[step]
    part[low[-1]] = 0.9
    part[stages[-1]][1]["trj_freq"] = 0
    part[stages[-1]][0]["trj_freq"] = 1000
    lines = answers(files, name, json.dumps(content, indent=1))
    spelled = [".".join(path) for path in (low, stages, stages, slip)]
    assert sorted(line.partition(":")[0] for line in lines) == sorted(
        [spelled[0], f"{spelled[1]}[0].trj_freq", f"{spelled[1]}[1].trj_freq", spelled[3]]
    )
