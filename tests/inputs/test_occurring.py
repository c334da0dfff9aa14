"""What depends on the atoms that occur: files by element, lists of INCAR, codes for molecules; in every dialect."""

import copy

import pytest
from test_dialects import MANUAL, OLD, TODAY, changed, folder, load, refused  # noqa: F401

DIALECTS = {
    "today": (TODAY, ("explore", "configurations"), ("fp", "inputs_config", "incar_lists"), {}),
    "manual": (MANUAL, ("explore", "configurations"), ("fp", "incar_lists"), {}),
    "old": (OLD, ("sys_configs",), ("fp_incar_lists",), {"old_compatible": True}),
}
"""An input, where its configurations are, where lists by element go, and what it needs to be read."""


@pytest.fixture(params=DIALECTS)
def dialect(request):
    return DIALECTS[request.param]


def of_one_composition(content, configurations):
    """The input with a file instead of the alloys that its stages explore."""
    *above, last = configurations
    result = copy.deepcopy(content)
    part = result
    for step in above:
        part = part[step]
    part[last] = [part[last][2]] * 2
    return result


def with_elements(content, elements, masses):
    result = copy.deepcopy(content)
    section = result.get("inputs", result)
    section["type_map"], section["mass_map"] = elements, masses
    return result


def incar(folder, text):  # noqa: F811
    (folder / "vasp/INCAR").write_text(f"ENCUT = 400\nKSPACING = 0.16\nKGAMMA = F\n{text}\n")


def test_files_are_asked_for_of_elements_that_are_explored_alone(dialect, folder):  # noqa: F811
    content, configurations, _, options = dialect
    elements, masses = ["Al", "Cu", "H", "Zr"], [27, 64, 1, 91]
    load(folder, of_one_composition(with_elements(content, elements, masses), configurations), **options)


def test_an_alloy_has_the_elements_of_its_concentrations(folder):  # noqa: F811
    content = with_elements(TODAY, ["Al", "Cu", "H"], [27, 64, 1])
    for number in range(2):
        content["explore"]["configurations"][number]["concentration"] = [[0.5, 0.5, 0], [0, 1, 0]]
    load(folder, content)
    content["explore"]["configurations"][1]["concentration"] = [0.5, 0.4, 0.1]
    (fault,) = refused(folder, content)
    assert fault.endswith("fp.inputs_config.pp_files: has no file for H, which the configurations have")


def test_a_configuration_that_no_stage_explores_does_not_count(folder):  # noqa: F811
    content = with_elements(TODAY, ["Al", "Cu", "H"], [27, 64, 1])
    for number in range(2):
        content["explore"]["configurations"][number]["concentration"] = [0.5, 0.5, 0]
    content["explore"]["configurations"][2] = {"type": "alloy", "lattice": ["fcc", 4.0]}
    load(folder, content)


def test_a_plain_list_is_taken_where_all_frames_have_one_composition(dialect, folder):  # noqa: F811
    content, configurations, _, options = dialect
    incar(folder, "MAGMOM = 1 -1 2*0.5\nLDAUU = 0.0 4.0")
    found = load(folder, of_one_composition(content, configurations), **options)
    assert [notice.message for notice in found.notices] == [
        "MAGMOM in the INCAR is taken in the order of type_map: Al2 Cu2",
        "LDAUU in the INCAR is taken in the order of type_map: Al2 Cu2",
    ]
    incar(folder, "MAGMOM = 1 -1 0.5")
    (fault,) = refused(folder, of_one_composition(content, configurations), **options)
    assert fault.endswith("the INCAR has MAGMOM with 3 values; Al2 Cu2 needs 4")


def test_where_compositions_differ_the_message_names_the_key_of_the_dialect(dialect, folder):  # noqa: F811
    content, _, lists, options = dialect
    incar(folder, "MAGMOM = 4*1.0")
    (fault,) = refused(folder, content, **options)
    named = ".".join(lists).removeprefix("fp.inputs_config")
    assert fault.endswith(
        f'take it out and give {"inputs_config" if named[0] == "." else ""}{named}: {{"MAGMOM": {{element: value}}}}'
    )
    incar(folder, "")
    given = {"MAGMOM": {"Al": 0, "Cu": 1.5}, "LDAUU": {"Al": 0, "Cu": 4}}
    labeler = load(folder, changed(content, *lists, value=given), **options).settings.labeler
    assert labeler.incar_lists == given
    (fault,) = refused(folder, changed(content, *lists, value={"MAGMOM": {"Al": 0}}), **options)
    assert fault.endswith(f"{'.'.join(lists)}.MAGMOM: has no value for Cu")


@pytest.mark.parametrize("spacing", ["0", "0.0", "-0.2", "auto", "25"])
def test_a_spacing_that_is_none_is_told_once_and_by_its_tag(dialect, spacing, folder):  # noqa: F811
    content, _, _, options = dialect
    (folder / "vasp/INCAR").write_text(f"ENCUT = 400\nKSPACING = {spacing}\nKGAMMA = .FALSE.\n")
    (fault,) = refused(folder, content, **options)
    key = {True: "fp_incar", False: "fp.incar"}["fp_incar" in content] if content is not TODAY else "kspacing"
    assert fault.endswith(f"{key}: KSPACING in the INCAR is {spacing}; it is a distance in 1/Å, above 0 and at most 10")


def test_a_missing_spacing_is_told_once(dialect, folder):  # noqa: F811
    content, _, _, options = dialect
    (folder / "vasp/INCAR").write_text("ENCUT = 400\n")
    content = copy.deepcopy(content)
    content.get("fp", {}).get("inputs_config", {}).pop("kspacing", None)
    (fault,) = refused(folder, content, **options)
    more = ", or give inputs_config.kspacing" if "inputs_config" in fault else ""
    assert fault.endswith(f": no k-points are given: add KSPACING (1/Å) to the INCAR{more}")
    assert ("inputs_config" in fault) == ("inputs_config" in content.get("fp", {}))


def test_a_code_for_molecules_does_not_label_crystals(folder):  # noqa: F811
    gaussian = {"type": "gaussian", "task_max": 1, "inputs_config": {"keywords": "force hf/sto-3g", "multiplicity": 1}}
    content = of_one_composition(changed(TODAY, "fp", value=gaussian), ("explore", "configurations"))
    (fault,) = refused(folder, content)
    assert fault.endswith(
        "fp.type: computes molecules, and configurations are periodic: set remove_pbc there, or another type"
    )
    content["explore"]["configurations"] = [{**content["explore"]["configurations"][0], "remove_pbc": True}] * 2
    load(folder, content)


def test_what_an_input_of_cp2k_says_in_vain_is_told(folder):  # noqa: F811
    (folder / "cp2k.inp").write_text(
        "@SET METHOD xTB\n&GLOBAL\n  RUN_TYPE MD\n&END\n&FORCE_EVAL\n  &DFT\n    &QS\n      METHOD ${METHOD}\n"
        "    &END\n  &END\n  &SUBSYS\n    @include all.inc\n  &END\n&END\n"
    )
    fp = {"type": "cp2k", "task_max": 1, "inputs_config": {"inp_file": "cp2k.inp"}}
    found = load(folder, changed(TODAY, "fp", value=fp))
    assert [notice.message for notice in found.notices] == [
        "RUN_TYPE MD: labels are computed with ENERGY_FORCE",
        "@include all.inc in &SUBSYS is left out: the file is not there; each frame has its own cell and coordinates",
    ]
    assert "METHOD xTB" in found.value["fp"]["inputs_config"]["inp_file"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("@SET A\n", "line 1: @SET needs a name (letters, digits, _) and a value, found '@SET A'"),
        ("\n@SET A-B 3\n", "line 2: @SET needs a name"),
        ("@IF ${A} == 1\n@ENDIF\n", "line 1: @IF ${A} == 1 asks for a variable that has no value"),
        ("@IF 1\n@ELSE\n@ENDIF\n", "line 2: CP2K has no @ELSE; write a second @IF"),
        ("@INCLUDE 'cp2k.inp'\n", "line 1 of 'cp2k.inp': 'cp2k.inp' includes itself"),
        ("@INCLUDE bytes.inc\n", "cannot be read: it is not text"),
    ],
)
def test_a_directive_that_cp2k_does_not_know_is_told_with_its_line(text, says, folder):  # noqa: F811
    (folder / "cp2k.inp").write_text(text)
    (folder / "bytes.inc").write_bytes(b"\xff\xfe\x00")
    fp = {"type": "cp2k", "task_max": 1, "inputs_config": {"inp_file": "cp2k.inp"}}
    (fault,) = refused(folder, changed(TODAY, "fp", value=fp))
    assert "fp.inputs_config.inp_file: 'cp2k.inp': " in fault
    assert says in fault
