"""What explains the inputs: ``doc``, ``schema`` and ``init``, and the table in docs/arguments.md."""

import json
import shutil
from pathlib import Path

import pytest
from labelers import UPF_1, fake_potcar
from project import FAKES, MACHINE, PARAM, write_initial_data
from test_dialects import MANUAL, OLD
from test_dialects import TODAY as TODAY_VASP

from dpgen2_hpc import kinds
from dpgen2_hpc.cli.main import main
from dpgen2_hpc.inputs.changes import rules
from dpgen2_hpc.inputs.describe import entries
from dpgen2_hpc.inputs.schema import machine_schema, schema
from dpgen2_hpc.inputs.starting import SITES
from dpgen2_hpc.inputs.tree import TO_FILL
from dpgen2_hpc.loop.plan import load_plan
from dpgen2_hpc.loop.survey import survey
from dpgen2_hpc.loop.trees import tree_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
POSCAR = "x\n1\n3.8 0 0\n0 3.8 0\n0 0 3.8\nAl Cu\n2 2\nDirect\n0 0 0\n.5 .5 0\n.5 0 .5\n0 .5 .5\n"


def printed(capsys, *words):
    assert main([*words]) == 0
    return capsys.readouterr().out


# ---- doc


def test_doc_explains_a_key_and_all_below_it(capsys):
    text = printed(capsys, "doc", "explore.convergence")
    assert text.startswith("explore.convergence: an object (required)\n    type: one of fixed-levels")
    assert "explore.convergence[fixed-levels].conv_accuracy: a number; " in text
    assert "(optional, default 0.9)" in text
    assert "Below it a force deviation is accurate, eV/Å." in text
    assert "followed from the next iteration on" in text


def test_doc_finds_a_key_by_its_alias_and_by_its_last_name(capsys):
    assert printed(capsys, "doc", "Ts") == printed(capsys, "doc", "explore.stages.temps")
    assert printed(capsys, "doc", "fp.task_max").startswith(
        "fp.task_max: a whole number; at least 1; at most 1000000 (optional, default 10)"
    )


def test_doc_lists_every_key_and_says_which_are_not_available_yet(capsys):
    lines = printed(capsys, "doc").splitlines()
    assert len(lines) == len(list(rules(tree_of("param"))))
    assert "inputs.do_finetune: (not available yet) Whether the first training fine-tunes init_models_paths." in lines
    assert max(map(len, lines)) <= 110


def test_doc_speaks_each_dialect_and_of_the_machine(capsys):
    assert "explore.f_trust_lo: Below it a force deviation is accurate" in printed(capsys, "doc", "--dialect", "manual")
    assert "model_devi_f_trust_lo: Below it" in printed(capsys, "doc", "--dialect", "old")
    assert "fp.resources.group_size: " in printed(capsys, "doc", "--machine")


def test_doc_asks_back_for_a_key_that_is_none(capsys):
    assert main(["doc", "explore.convergance"]) == 2
    assert "did you mean 'explore.convergence'?" in capsys.readouterr().err


def test_every_argument_is_explained():
    assert [entry.path for entry in entries(tree_of("param")) if not entry.doc()] == []


def test_the_table_in_the_docs_is_up_to_date(capsys):
    """If it is not: dpgen2-hpc doc --markdown > docs/arguments.md."""
    assert printed(capsys, "doc", "--markdown") == (ROOT / "docs/arguments.md").read_text()


# ---- schema


def complaints(value, file="param", dialect="today"):
    validator = pytest.importorskip("jsonschema").Draft202012Validator
    made = {"param": schema, "machine": machine_schema}[file](tree_of(file, dialect), "x")
    validator.check_schema(made)
    return list(validator(made).iter_errors(value))


EXAMPLES = sorted(path for path in ROOT.glob("input_examples/*/*.json") if path.name != "input.json")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_our_inputs_are_valid_under_their_schema(path):
    value = json.loads(path.read_text())
    dialect = {"manual-2022.json": "manual", "older.json": "old"}.get(path.name, "today")
    assert complaints(value, dialect=dialect) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("machine_examples/*.json")), ids=lambda path: path.stem)
def test_our_machines_are_valid_under_their_schema(path):
    value = json.loads(path.read_text())
    assert complaints(value, "machine") == []
    assert complaints({**value, "fp": []}, "machine") != []
    assert complaints({**value, "train": [{"comand": "dp"}]}, "machine") != []


def test_the_older_dialects_have_schemas_of_their_own():
    assert complaints(MANUAL, dialect="manual") == []
    assert complaints(OLD, dialect="old") == []
    assert complaints(MANUAL) != []
    assert complaints(TODAY_VASP, dialect="manual") != []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("inputs", "type_map"), "Al"),
        (("inputs", "mass_map"), [-1]),
        (("train", "numb_models"), 1),
        (("train", "nub_models"), 4),
        (("train", "type"), "pd"),
        (("explore", "max_numb_iter"), 0),
        (("explore", "convergence"), {"type": "fixed-levels", "level_f_lo": 0.1}),
        (("explore", "stages"), [{"temps": [1]}]),
        (("explore", "stages"), [[{"conf_idx": [0], "temps": [300], "ens": "nvp"}]]),
        (("explore", "stages"), [[{"conf_idx": [0]}]]),
        (("explore", "configurations"), [{"lattice": ["fcc", 4]}]),
        (("fp", "task_max"), 0.5),
        (("inputs", "do_finetune"), True),
    ],
)
def test_the_schema_refuses_what_check_refuses(path, value):
    content = json.loads(json.dumps(PARAM))
    assert complaints(content) == []
    content[path[0]][path[1]] = value
    assert complaints(content) != []


@pytest.mark.parametrize(
    "group",
    [
        {"sys_idx": [0], "Ts": [300], "_comment": "aliases"},
        {"type": "lmp-md", "conf_idx": [0], "temps": [300], "press": None},
    ],
)
def test_the_schema_takes_aliases_comments_and_types_left_out(group):
    content = json.loads(json.dumps(PARAM))
    content["explore"]["stages"] = [[group]]
    content["_note"] = {"anything": [1]}
    assert complaints(content) == []


def test_the_machine_of_the_tests_is_valid():
    assert complaints(MACHINE, "machine") == []
    assert complaints({**MACHINE, "trian": {}}, "machine") != []


def test_the_command_prints_the_schema(capsys):
    assert json.loads(printed(capsys, "schema", "param")) == schema(tree_of("param"), "param.json of dpgen2_hpc")
    assert json.loads(printed(capsys, "schema", "machine"))["title"] == "machine.json of dpgen2_hpc"


# ---- init

FILLED = {
    "ase": {"calculator": "ase.calculators.emt.EMT"},
    "vasp": {"incar": "INCAR", "pp_files": {"Al": "POTCAR.Al", "Cu": "POTCAR.Cu"}},
    "qe": {"template": "pw.in", "pp_files": {"Al": "Al.UPF", "Cu": "Cu.UPF"}},
    "cp2k": {"inp_file": "cp2k.inp"},
    "fpop_cp2k": {"inp_file": "cp2k.inp"},
    "abacus": {"input_file": "INPUT", "kpt_file": "KPT", "pp_files": {"Al": "Al.UPF", "Cu": "Cu.UPF"}},
    "fpop_abacus": {"input_file": "INPUT", "kpt_file": "KPT", "pp_files": {"Al": "Al.UPF", "Cu": "Cu.UPF"}},
    "gaussian": {"keywords": "force b3lyp/6-31g**", "multiplicity": 1},
    "deepmd": {"teacher_model_path": "teacher.pb"},
    "custom": {
        "input_fmt": "vasp/poscar",
        "input_fn": "POSCAR",
        "output_fmt": "deepmd/npy",
        "output_fn": "out",
        "command": "label",
    },
}
"""What stands in the place of the marks of each labeler, by key."""

FILES = {
    "INCAR": "ENCUT = 300\nKSPACING = 0.5\nKGAMMA = .TRUE.\n",
    "POTCAR.Al": fake_potcar("Al"),
    "POTCAR.Cu": fake_potcar("Cu"),
    "Al.UPF": UPF_1.format("Al"),
    "Cu.UPF": UPF_1.format("Cu"),
    "pw.in": "&control\n/\n&system\n ecutwfc = 30\n/\n&electrons\n/\nK_POINTS gamma\n",
    "cp2k.inp": "&GLOBAL\n&END GLOBAL\n&FORCE_EVAL\n  METHOD QS\n  &SUBSYS\n"
    + "".join(
        f"    &KIND {name}\n      BASIS_SET SZV\n      POTENTIAL GTH-PBE\n    &END KIND\n" for name in ("Al", "Cu")
    )
    + "  &END SUBSYS\n&END FORCE_EVAL\n",
    "INPUT": "INPUT_PARAMETERS\nbasis_type pw\necutwfc 60\n",
    "KPT": "K_POINTS\n0\nGamma\n2 2 2 0 0 0\n",
    "teacher.pb": "a model",
}
"""The files that they name."""

COMMON = {
    "type_map": ["Al", "Cu"],
    "mass_map": [26.98, 63.55],
    "init_data_sys": ["data/*"],
    "files": ["POSCAR.*"],
    "fmt": "vasp/poscar",
    "queue_name": "normal",
}


def filled(value, words, key=""):
    """The value with its marked places filled in."""
    if TO_FILL in json.dumps(value) and key in words:
        return words[key]
    if isinstance(value, dict):
        return {name: filled(item, words, name) for name, item in value.items()}
    return [filled(item, words, key) for item in value] if isinstance(value, list) else value


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with stand-ins for all programs, and a folder with data and a structure."""
    tools = tmp_path / "tools"
    tools.mkdir()
    queue = ("sbatch", "squeue", "scancel", "qsub", "qselect", "qstat", "qdel", "bsub", "bjobs", "bkill")
    for name in (*queue, "pw.x", "cp2k", "abacus", "g16"):
        (tools / name).symlink_to(shutil.which("true"))
    monkeypatch.setenv("PATH", f"{tools}:{FAKES}:/usr/bin:/bin")
    folder = tmp_path / "project"
    folder.mkdir()
    write_initial_data(folder / "data")
    for number in range(5):
        (folder / f"POSCAR.{number}").write_text(POSCAR)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("scheduler", SITES)
@pytest.mark.parametrize("fp", FILLED)
def test_a_starting_point_passes_check_once_its_places_are_filled_in(host, capsys, fp, scheduler):
    assert main(["init", "-C", str(host), "--fp", fp, "--scheduler", scheduler]) == 0
    assert f"wrote {host}/param.json, with " in capsys.readouterr().out
    assert main(["check", str(host / "param.json"), str(host / "machine.json")]) == 2
    faults = capsys.readouterr().err.splitlines()
    assert [fault for fault in faults if "is still to be filled in:" not in fault] == []
    for name in ("param.json", "machine.json"):
        value = filled(json.loads((host / name).read_text()), {**COMMON, **FILLED[fp]})
        (host / name).write_text(json.dumps(value))
    found = survey(load_plan(host / "param.json", host / "machine.json"))
    assert (found.faults, found.notices) == ([], [])
    assert found.lines[2].startswith("explore.configurations[0]: 5 configurations of 4 atoms, nearest two 2.69 Å apart")


def test_there_is_a_starting_point_for_each_labeler():
    assert set(FILLED) == set(kinds.OWN["fp"])


def test_init_overwrites_nothing(tmp_path, capsys):
    (tmp_path / "machine.json").write_text("mine")
    assert main(["init", "-C", str(tmp_path)]) == 2
    assert "has machine.json already; nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["machine.json"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--fp", "ASE"], "did you mean 'ase'?"),
        (["--scheduler", "slurm"], "did you mean 'Slurm'?"),
        (["--fp", "siesta"], "unknown fp type 'siesta'"),
    ],
)
def test_init_knows_its_choices(tmp_path, capsys, words, expected):
    assert main(["init", "-C", str(tmp_path / "new"), *words]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("scheduler", "written"),
    [("PBS", ["/home/me/venv/bin/activate"]), ("Torque", ["/home/me/venv/bin/activate"]), ("Slurm", []), ("LSF", [])],
)
def test_init_activates_a_virtual_environment_where_jobs_do_not_inherit_it(tmp_path, monkeypatch, scheduler, written):
    monkeypatch.setenv("VIRTUAL_ENV", "/home/me/venv")
    assert main(["init", "-C", str(tmp_path), "--scheduler", scheduler]) == 0
    resources = json.loads((tmp_path / "machine.json").read_text())["default"]["resources"]
    assert resources["source_list"] == written


def test_init_activates_a_conda_environment_by_its_path_where_conda_is_not_found(tmp_path, monkeypatch):
    for name in ("VIRTUAL_ENV", "CONDA_EXE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONDA_PREFIX", "/opt/conda/envs/dp")
    assert main(["init", "-C", str(tmp_path), "--scheduler", "PBS"]) == 0
    resources = json.loads((tmp_path / "machine.json").read_text())["default"]["resources"]
    assert resources["prepend_script"] == ['export PATH=/opt/conda/envs/dp/bin:"$PATH"']
