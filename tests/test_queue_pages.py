"""The pages about queues: their machine.json is understood, and makes the lines that they show."""

import json
import re
from pathlib import Path

import pytest

from dpgen2_hpc.dispatch.machine import StepMachine, bound_context, script_parts
from dpgen2_hpc.inputs.machine import load_machine
from dpgen2_hpc.loop.plan import machine_trees

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = ("slurm", "pbs", "torque", "lsf")


def parts_of(text, folder):
    """The parts of a training job's script with the machine.json of a page."""
    (folder / "machine.json").write_text(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    section = load_machine(folder / "machine.json", machine_trees()).sections["train"]
    machine = StepMachine(section["machine"], section["resources"])
    return script_parts(machine, bound_context(machine, str(folder), "batch", "name"), "dname", 1)


def head_of(text, folder):
    return parts_of(text, folder).header.splitlines()


def environment_of(text, folder):
    return parts_of(text, folder).environment.splitlines()


@pytest.mark.parametrize("page", PAGES)
def test_the_lines_that_a_page_shows_are_those_of_its_machine_json(page, tmp_path):
    text = (DOCS / f"{page}.md").read_text()
    table = re.search(r"\| key \| line in the script \|\n(.*?)\n\n", text, re.DOTALL)[1]
    shown = re.findall(r"`(#[A-Z]+ [^`]*)`", table)
    assert shown
    assert set(shown) <= set(head_of(text, tmp_path))


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_tells_users_to_write_is_followed_as_it_is(page, tmp_path):
    text = (DOCS / f"{page}.md").read_text()
    base = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    table = re.search(r"\| the site says \| write \|\n(.*?)\n\n", text, re.DOTALL)
    lines = [line for line in (table[1] if table else "").splitlines() if "custom_flags" in line or "kwargs" in line]
    for line in lines:
        for words in re.findall(r'`("(?:custom_flags|kwargs)": .*?[\]}])`', line):
            given = json.loads(f"{{{words}}}")
            base["default"]["resources"].update(given)
            (tmp_path / "machine.json").write_text(json.dumps(base))
            load_machine(tmp_path / "machine.json", machine_trees())
            flags = given.get("custom_flags", [given.get("kwargs", {}).get("custom_gpu_line")])
            written = json.dumps(base)
            assert {*flags} - {None} <= {*head_of(f"```json\n{written}\n```", tmp_path)}


def test_what_the_page_about_job_scripts_says_makes_the_lines_that_it_shows(tmp_path):
    page = (DOCS / "jobs.md").read_text()
    rows = re.findall(r"^\| (.*?) \| (.*`\".*) \|$", page, re.MULTILINE)
    assert len(rows) > 10
    for shown, written in rows:
        given = {}
        for words in re.findall(r'`("\w+": .*?)`', written):
            given.update(json.loads(f"{{{words}}}"))
        section = {key: given.pop(key) for key in ("train", "fp") if key in given}
        machine = {"batch_type": "PBS", "context_type": "LazyLocalContext"}
        text = json.dumps({"default": {"machine": machine, "resources": {"group_size": 1, **given}}, **section})
        lines = environment_of(f"```json\n{text}\n```", tmp_path)
        commands = re.findall(r"`((?:module|source|export|ulimit) [^`]*)`", shown)
        assert [line for line in commands if line not in lines] == []


def test_the_pages_say_what_has_met_a_real_queue():
    for page in PAGES[1:]:
        assert "has not met a real" in (DOCS / f"{page}.md").read_text()
