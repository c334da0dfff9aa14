"""The three dialects of param.json: told apart, translated, and their faults told in the user's own words."""

import copy
import json

import dargs
import numpy as np
import pytest
from labelers import fake_potcar
from project import TEMPLATE, write_initial_data

from dpgen2_hpc.errors import InputError, spelled
from dpgen2_hpc.inputs.param import load_param
from dpgen2_hpc.inputs.read import read_json
from dpgen2_hpc.inputs.step_configs import step_configs

STAGE = {"_idx": 0, "ensemble": "nvt", "nsteps": 20, "press": None, "temps": [50, 100], "trj_freq": 10, "n_sample": 3}
ALLOY = {"lattice": ["fcc", 4.57], "numb_confs": 30, "concentration": [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]}
PSEUDO = {"Al": "vasp/POTCAR.Al", "Cu": "vasp/POTCAR.Cu"}

MANUAL = {
    "dflow_config": {"host": "http://address.of.the.host:port"},
    "dflow_s3_config": {"s3_endpoint": "address.of.the.s3.sever:port"},
    "inputs": {"type_map": ["Al", "Cu"], "mass_map": [27, 64], "init_data_sys": ["data/Al2Cu2"]},
    "train": {"type": "dp", "numb_models": 4, "config": {}, "template_script": TEMPLATE, "_comment": "all"},
    "explore": {
        "type": "lmp",
        "config": {"command": "lmp -var restart 0"},
        "max_numb_iter": 5,
        "conv_accuracy": 0.9,
        "fatal_at_max": False,
        "f_trust_lo": 0.05,
        "f_trust_hi": 0.50,
        "configurations": [{**ALLOY, "replicate": [2, 2, 2]}, {**ALLOY, "replicate": [3, 3, 3]}, ["start.lmp"]],
        "stages": [{**STAGE, "conf_idx": [0]}, {**STAGE, "conf_idx": [1]}],
    },
    "fp": {
        "type": "vasp",
        "config": {"command": "source /opt/intel/oneapi/setvars.sh && mpirun -n 16 vasp_std"},
        "task_max": 2,
        "pp_files": PSEUDO,
        "incar": "vasp/INCAR",
        "_comment": "all",
    },
}
"""Chapter 3 of the manual, its JSON mended, with elements that the tests have data of and one file."""

OLD = {
    "train_style": "dp",
    "explore_style": "lmp",
    "fp_style": "vasp",
    "lmp_config": {"command": "lmp -var restart 0"},
    "fp_config": MANUAL["fp"]["config"],
    "dflow_config": {"host": "x"},
    "upload_python_package": "/path/to/dpgen2",
    "max_numb_iter": 5,
    "conv_accuracy": 0.9,
    "fatal_at_max": False,
    "type_map": ["Al", "Cu"],
    "mass_map": [27, 64],
    "init_data_sys": ["data/Al2Cu2"],
    "sys_configs": MANUAL["explore"]["configurations"],
    "numb_models": 4,
    "default_training_param": TEMPLATE,
    "model_devi_f_trust_lo": 0.05,
    "model_devi_f_trust_hi": 0.50,
    "model_devi_jobs": [{**STAGE, "sys_idx": [0]}, {**STAGE, "sys_idx": [1]}],
    "fp_task_max": 2,
    "fp_pp_files": PSEUDO,
    "fp_incar": "vasp/INCAR",
}

GROUP = {"ens": "nvt", "nsteps": 20, "temps": [50, 100], "trj_freq": 10, "n_sample": 3, "tau_t": 0.1}
TODAY = {
    "inputs": MANUAL["inputs"],
    "train": MANUAL["train"],
    "explore": {
        "type": "lmp",
        "config": {"command": "lmp -var restart 0"},
        "max_numb_iter": 5,
        "fatal_at_max": False,
        "convergence": {"type": "fixed-levels", "level_f_lo": 0.05, "level_f_hi": 0.5, "conv_accuracy": 0.9},
        "configurations": [
            {"type": "alloy", **ALLOY, "replicate": [2, 2, 2]},
            {"type": "alloy", **ALLOY, "replicate": [3, 3, 3]},
            {"type": "file", "files": ["start.lmp"]},
        ],
        "stages": [[{"type": "lmp-md", **GROUP, "conf_idx": [0]}], [{"type": "lmp-md", **GROUP, "conf_idx": [1]}]],
    },
    "fp": {
        "type": "vasp",
        "task_max": 2,
        "inputs_config": {"incar": "vasp/INCAR", "pp_files": PSEUDO, "kspacing": 0.16, "kgamma": False},
        "run_config": MANUAL["fp"]["config"],
    },
}
"""What the others mean, by hand: tau_t and the k-points are no defaults of today's."""

LAMMPS = """a file of LAMMPS

4 atoms
2 atom types
0 3.8 xlo xhi
0 3.8 ylo yhi
0 3.8 zlo zhi

Atoms # atomic

1 1 0.0 0.0 0.0
2 1 0.0 1.9 1.9
3 2 1.9 0.0 1.9
4 2 1.9 1.9 0.0
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder, the current one, with all the files that the inputs name."""
    monkeypatch.chdir(tmp_path)
    write_initial_data(tmp_path / "data")
    (tmp_path / "start.lmp").write_text(LAMMPS)
    (tmp_path / "vasp").mkdir()
    (tmp_path / "vasp/INCAR").write_text("! spacing\nENCUT = 400\nKSPACING=0.16 ; KGAMMA = .FALSE. # meshes\n")
    for name in ("Al", "Cu"):
        (tmp_path / f"vasp/POTCAR.{name}").write_text(fake_potcar(name))
    return tmp_path


def load(folder, content, **options):
    path = folder / "param.json"
    path.write_text(json.dumps(content, indent=1))
    return load_param(type(path)("param.json"), {}, **options)


def refused(folder, content, **options):
    """The faults of an input, one a line."""
    with pytest.raises(InputError) as caught:
        load(folder, content, **options)
    return str(caught.value).splitlines()


def line_of(folder, text):
    lines = (folder / "param.json").read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if text in line]
    return number


def changed(content, *path, value):
    result = copy.deepcopy(content)
    *above, last = path
    part = result
    for step in above:
        part = part[step]
    part[last] = value
    return result


# ---- one meaning


def test_the_three_dialects_of_one_input_mean_the_same(folder):
    expected = load(folder, TODAY)
    for content, options in ((MANUAL, {}), (OLD, {"old_compatible": True})):
        found = load(folder, content, **options)
        assert found.value == expected.value
        assert found.settings == expected.settings


def test_what_an_older_dialect_leaves_out_has_the_manuals_default_not_todays(folder):
    content = changed(MANUAL, "explore", "stages", value=[{"conf_idx": [0], "temps": [50], "press": [1.0]}])
    group = load(folder, content).value["explore"]["stages"][0][0]
    expected = {"ens": "npt", "nsteps": 1000, "trj_freq": 10, "dt": 0.001, "tau_t": 0.1, "tau_p": 0.5}
    assert {name: group[name] for name in expected} == expected
    content = changed(TODAY, "explore", "stages", value=[[{"conf_idx": [0], "temps": [50]}]])
    group = load(folder, content).value["explore"]["stages"][0][0]
    assert (group["ens"], group["nsteps"], group["tau_t"]) == ("nve", 100, 0.05)


def test_what_speaks_of_argo_is_known_in_every_dialect_and_kept_for_a_notice(folder):
    assert load(folder, MANUAL).meaningless == ("dflow_config", "dflow_s3_config")
    assert load(folder, OLD, old_compatible=True).meaningless == ("dflow_config", "upload_python_package")


def test_where_dpgen2_puts_a_labels_output_is_no_question_here(folder):
    run = {"command": "vasp", "log": "fp.log", "out": "data"}
    today = changed(TODAY, "fp", "run_config", value=run)
    assert load(folder, today).meaningless == ("fp.run_config.out", "fp.run_config.log")
    assert load(folder, changed(MANUAL, "fp", "config", value=run)).meaningless[2:] == (
        "fp.config.out",
        "fp.config.log",
    )
    old = load(folder, changed(OLD, "fp_config", value=run), old_compatible=True)
    assert old.meaningless[2:] == ("fp_config.out", "fp_config.log")


def test_the_text_of_a_file_takes_the_place_of_its_name(folder):
    found = load(folder, MANUAL).value["fp"]["inputs_config"]["incar"]
    assert found == (folder / "vasp/INCAR").read_text()


def test_a_text_that_is_not_there_is_told_once(folder):
    (fault,) = refused(folder, changed(TODAY, "fp", "inputs_config", "incar", value="gone"))
    assert fault.endswith("fp.inputs_config.incar: 'gone' cannot be read: No such file or directory")
    (folder / "vasp/INCAR").unlink()
    (fault,) = refused(folder, MANUAL)
    assert fault.endswith("fp.incar: 'vasp/INCAR' cannot be read: No such file or directory")


def test_a_prefix_leads_to_the_configurations_files(folder):
    (folder / "start").mkdir()
    (folder / "start.lmp").rename(folder / "start/start.lmp")
    content = changed(MANUAL, "explore", "configuration_prefix", value="start")
    assert len(load(folder, content).settings.configurations) == 3
    (fault,) = refused(folder, MANUAL)
    assert fault.endswith(f"explore.configurations[2][0]: '{folder}/start.lmp' matches no file")


@pytest.mark.parametrize("name", ["sys_prefix", "sys_configs_prefix"])
def test_the_older_dialect_has_dpgen2s_word_for_that_prefix_and_dpgens(folder, name):
    (folder / "start").mkdir()
    (folder / "start.lmp").rename(folder / "start/start.lmp")
    assert len(load(folder, {**OLD, name: "start"}, old_compatible=True).settings.configurations) == 3


def test_a_list_of_names_is_a_source_of_files_in_todays_dialect_too(folder):
    content = changed(TODAY, "explore", "configurations", 2, value=["POSCAR"])
    (folder / "POSCAR").write_text(
        "x\n1\n3.8 0 0\n0 3.8 0\n0 0 3.8\nAl Cu\n2 2\nDirect\n" + "0 0 0\n.5 .5 0\n.5 0 .5\n0 .5 .5\n"
    )
    entry = load(folder, content).value["explore"]["configurations"][2]
    assert entry == {"type": "file", "files": ["POSCAR"], "prefix": None, "fmt": "auto", "remove_pbc": False}


POSCAR = "x\n1\n3.8 0 0\n0 3.8 0\n0 0 3.8\nAl Cu\n2 2\nDirect\n0 0 0\n.5 .5 0\n.5 0 .5\n0 .5 .5\n"


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR", "cell.vasp", "CH4.POSCAR.01x01x01", "start"])
@pytest.mark.parametrize(("text", "second"), [(POSCAR, [1.9, 1.9, 0]), (LAMMPS, [0, 1.9, 1.9])], ids=["vasp", "lammps"])
@pytest.mark.parametrize(("content", "path"), [(MANUAL, ("explore", "configurations")), (OLD, ("sys_configs",))])
def test_lists_of_files_in_the_older_dialects_are_poscars_or_lammps_data(folder, name, text, second, content, path):
    (folder / name).write_text(text)
    found = load(folder, changed(content, *path, 2, value=[name]), old_compatible=content is OLD)
    (frame,) = found.settings.configurations[2].generate(("Al", "Cu"), np.random.default_rng(1))
    assert frame.symbols == ("Al", "Al", "Cu", "Cu")
    np.testing.assert_allclose(frame.coords[1], second, atol=1e-12)


def test_a_file_that_is_neither_is_refused_in_words_about_the_file(folder):
    (folder / "POSCAR").write_text("nothing\nof a structure\n")
    (fault,) = refused(folder, changed(MANUAL, "explore", "configurations", 2, value=["POSCAR"]))
    assert "POSCAR' could not be read in the format 'poscar', which is a guess" in fault
    assert "Error" not in fault


@pytest.mark.parametrize("prefix", [None, "", "start", "{folder}/start"])
def test_a_common_prefix_is_understood_beside_todays_keys(folder, prefix):
    prefix = prefix and prefix.format(folder=folder)
    (folder / "start").mkdir()
    (folder / "POSCAR").write_text(POSCAR)
    (folder / "start/POSCAR").write_text(POSCAR)
    (folder / "start/other.lmp").write_text(LAMMPS)
    content = changed(TODAY, "explore", "configuration_prefix", value=prefix)
    content["explore"]["configurations"] = [
        {"type": "file", "files": "POSCAR"},
        {"type": "file", "files": ["other.lmp"], "prefix": "start"},
        ["POSCAR"],
    ]
    content["explore"]["stages"][0][0]["conf_idx"] = [2]
    found = load(folder, content)
    common = folder / "start" if prefix else folder
    assert [source.files for source in found.settings.configurations] == [
        (f"{common}/POSCAR",),
        (f"{folder}/start/other.lmp",),
        (f"{common}/POSCAR",),
    ]
    assert "configuration_prefix" not in found.value["explore"]


def test_mixed_data_may_stand_in_the_manuals_dialect(folder):
    assert load(folder, changed(MANUAL, "inputs", "mixed_type", value=True)).value["inputs"]["mixed_type"] is True


# ---- DP-GEN's own file

DPGEN = {
    "type_map": ["Al", "Cu"],
    "mass_map": [27, 64],
    "init_data_prefix": "./",
    "init_data_sys": ["data/Al2Cu2"],
    "sys_configs_prefix": "./",
    "sys_configs": [["POSCAR"]],
    "numb_models": 4,
    "default_training_param": TEMPLATE,
    "model_devi_dt": 0.002,
    "model_devi_f_trust_lo": 0.05,
    "model_devi_f_trust_hi": 0.25,
    "model_devi_jobs": [{"sys_idx": [0], "temps": [300], "press": [1.0], "nsteps": 100, "ensemble": "npt"}],
    "fp_style": "vasp",
    "fp_task_max": 20,
    "fp_pp_path": "./",
    "fp_pp_files": ["POTCAR.Al", "POTCAR.Cu"],
    "fp_incar": "INCAR",
}


@pytest.mark.parametrize("options", [{}, {"old_compatible": True}])
@pytest.mark.parametrize("gone", [None, "sys_configs", "model_devi_jobs", "model_devi_dt", "fp_style", "mass_map"])
def test_a_param_json_of_dpgen_is_named_as_what_it_is_and_nothing_else_is_told(folder, gone, options):
    content = {key: value for key, value in DPGEN.items() if key != gone}
    (fault,) = refused(folder, content, **options)
    assert fault.startswith("param.json:1:1: this is a param.json of DP-GEN, which dpgen2-hpc cannot read: write ")
    assert "dpgen2-hpc init" in fault
    assert "input_examples/" in fault
    assert "docs/arguments.md" in fault


UNREAD = {
    "model_devi_dt": (0.0005, "write dt (ps) in each entry of model_devi_jobs"),
    "model_devi_skip": (20, "every frame of a run counts"),
    "model_devi_clean_traj": (True, "all that a run wrote is kept"),
    "shuffle_poscar": (False, "configurations are taken as they are"),
    "sys_batch_size": ([1, 1], "batch_size stands in default_training_param"),
    "init_batch_size": (["auto"], "batch_size stands in default_training_param"),
    "fp_task_min": (3, "an iteration labels what it has selected"),
}
"""Keys that users carry over from DP-GEN, and that DPGEN2's ``-o`` passes over."""


def test_keys_of_dpgen_that_dpgen2_passes_over_are_told_and_change_nothing(folder):
    (folder / "param.json").write_text(json.dumps(OLD))
    plain = load_param(folder / "param.json", {}, old_compatible=True)
    given = {key: value for key, (value, _) in UNREAD.items()}
    (folder / "param.json").write_text(json.dumps({**OLD, **given}))
    found = load_param(folder / "param.json", {}, old_compatible=True)
    assert (found.value, found.settings.stages) == (plain.value, plain.settings.stages)
    told = {spelled(notice.path): notice.message for notice in found.notices if notice not in plain.notices}
    assert set(told) == set(UNREAD)
    assert all(UNREAD[key][1] in message for key, message in told.items())


def test_what_only_resembles_it_is_not_taken_for_it(folder):
    lines = refused(folder, {key: OLD[key] for key in OLD if key != "conv_accuracy"}, old_compatible=True)
    assert [line.split(": ")[1] for line in lines] == ["conv_accuracy"]
    (line,) = refused(folder, {**TODAY, "numb_models": 4, "model_devi_jobs": []})[:1]
    assert "DP-GEN" not in line
    assert "DP-GEN" not in refused(folder, {"numb_models": 4})[0]


# ---- told apart


def test_keys_of_two_dialects_are_refused_and_both_are_named(folder):
    content = changed(TODAY, "explore", "f_trust_lo", value=0.05)
    (fault,) = refused(folder, content)
    first, second = line_of(folder, '"convergence"'), line_of(folder, '"f_trust_lo"')
    assert fault == (
        f"param.json:{second}:3: explore.f_trust_lo: is a key of the manual's dialect of 2022, 'explore.convergence' on "
        f"line {first} one of today's dialect: they do not go together, write the whole file in one of them"
    )


def test_the_older_dialect_wants_its_option(folder):
    (fault,) = refused(folder, OLD)
    assert fault.startswith("param.json:2:2: train_style: 'train_style' at the top level is of the older dialect of -o")


def test_the_option_does_no_harm_to_another_dialect(folder):
    assert load(folder, TODAY, old_compatible=True).value == load(folder, TODAY).value


# ---- faults in the user's words


CASES = [
    (MANUAL, ("explore", "f_trust_lo"), 0.7, '"f_trust_lo"',
     "explore.f_trust_lo: must be below f_trust_hi (0.5), found 0.7"),
    (OLD, ("model_devi_f_trust_lo",), 0.7, '"model_devi_f_trust_lo"',
     "model_devi_f_trust_lo: must be below model_devi_f_trust_hi (0.5), found 0.7"),
    (MANUAL, ("explore", "v_trust_lo"), 0.7, '"explore"', "explore.v_trust_hi: is missing: v_trust_lo is given"),
    (MANUAL, ("explore", "stages", 1, "conf_idx"), [7], "7",
     "explore.stages[1].conf_idx[0]: is 7, but explore.configurations has 3 entries, which count from 0"),
    (OLD, ("model_devi_jobs", 1, "sys_idx"), [7], "7",
     "model_devi_jobs[1].sys_idx[0]: is 7, but sys_configs has 3 entries, which count from 0"),
    (TODAY, ("explore", "stages", 1, 0, "conf_idx"), [7], "7",
     "explore.stages[1][0].conf_idx[0]: is 7, but explore.configurations has 3 entries, which count from 0"),
    (MANUAL, ("explore", "stages", 0, "ensemble"), "npt", '"press"',
     "explore.stages[0].press: is missing: ens is 'npt', which needs pressures in bar, for example [1.0]"),
    (MANUAL, ("explore", "stages", 0), {"temps": [1], "conf_idx": [0], "Ps": [1.0, 2.0], "ensemble": "nvt"}, '"Ps"',
     "explore.stages[0].Ps: has 2 values, but pressures mean nothing at constant volume"),
    (MANUAL, ("explore", "configurations", 1, "concentration"), [[1.0]], '"concentration"',
     "explore.configurations[1].concentration: [1.0] needs one number for each of Al, Cu"),
    (MANUAL, ("explore", "configurations", 1, "type_map"), ["Cu", "Al"], '"type_map"',
     "explore.configurations[1].type_map: is ['Cu', 'Al'], inputs.type_map is ['Al', 'Cu']: leave it out"),
    (MANUAL, ("explore", "conv_acuracy"), 0.9, '"conv_acuracy"',
     "explore.conv_acuracy: unknown key 'conv_acuracy'; did you mean 'conv_accuracy'? Known here: "),
    (OLD, ("fp_task_mx",), 2, '"fp_task_mx"',
     "fp_task_mx: unknown key 'fp_task_mx'; did you mean 'fp_task_max'? Known here: "),
    (MANUAL, ("fp", "incar"), "vasp/INCA", '"incar"',
     "fp.incar: 'vasp/INCA' cannot be read: No such file or directory"),
    (OLD, ("fp_incar",), "start.lmp", '"fp_incar"',
     "fp_incar: no k-points are given: add KSPACING (1/Å) to the INCAR"),
    (OLD, ("mass_map",), [27], '"mass_map"', "mass_map: needs one mass for each of Al, Cu; there are 1"),
    (OLD, ("init_data_sys", 0), "dat", '"dat"', "init_data_sys[0]: '"),
    (OLD, ("training_iter0_model_path",), ["a.pb"], '"training_iter0_model_path"',
     "training_iter0_model_path: 'training_iter0_model_path' is not available yet in this version: leave it out"),
    (OLD, ("fp_style",), "vsap", '"fp_style"',
     "fp_style: unknown value 'vsap'; did you mean 'vasp'? Known here: vasp."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "path", "value", "shown", "expected"), CASES, ids=[case[4].partition(" ")[0] for case in CASES]
)
def test_a_fault_is_told_in_the_users_words_at_the_users_place(folder, content, path, value, shown, expected):
    first = refused(folder, changed(content, *path, value=value), old_compatible=content is OLD)[0]
    place, _, text = first.partition(": ")
    assert text.startswith(expected)
    line = (folder / "param.json").read_text().splitlines()[int(place.split(":")[1]) - 1]
    assert line.strip().startswith(shown)


def test_every_fault_of_an_older_file_is_told_at_once_in_the_order_of_the_file(folder):
    content = changed(OLD, "mass_map", value=[27])
    content = changed(content, "model_devi_f_trust_lo", value=0.7)
    content = changed(content, "model_devi_jobs", 0, "sys_idx", value=[9])
    lines = refused(folder, content, old_compatible=True)
    assert [line.split(": ")[1] for line in lines] == [
        "mass_map",
        "model_devi_f_trust_lo",
        "model_devi_jobs[0].sys_idx[0]",
    ]


def test_the_trees_have_no_key_without_a_word_on_it():
    from dpgen2_hpc.inputs.dialects import tree

    def keys(argument, path):
        for member in argument.sub_fields.values():
            yield (*path, member.name), member
            yield from keys(member, (*path, member.name))
        for variant in argument.sub_variants.values():
            for choice in variant.choice_dict.values():
                yield from keys(choice, (*path, f"[{choice.name}]"))

    for name in ("today", "manual", "old"):
        bare = [path for path, key in keys(tree(name), ()) if not key.doc]
        assert bare == []
    assert isinstance(tree("old"), dargs.Argument)


def test_the_policy_of_the_older_dialect_is_followed(folder):
    """There it stands at the top level: ``run_fp_config`` for ``step_configs.run_fp_config``."""
    content = {**OLD, "run_fp_config": {"continue_on_success_ratio": 0.7}, "default_config": {"parallelism": 3}}
    assert (
        load(folder, content, old_compatible=True).value["step_configs"]["run_fp_config"]["continue_on_success_ratio"]
        == 0.7
    )
    configs = step_configs(read_json(folder / "param.json"))
    assert configs.faults == ()
    assert configs.said["fp"]["continue_on_success_ratio"].value == 0.7
    assert configs.said["train"]["parallelism"].value == 3
