"""A file of the run that was emptied is not "there is nothing": the run stops with its name, and goes on when restored."""

import pytest
from project import wait_for

pytestmark = pytest.mark.slow

FILES = [
    "iter-000000/00.train/batch.jsonl",
    "inputs/init_digests.txt",
    "inputs/init_data.jsonl",
    "iter-000000/02.select/selected.jsonl",
    "iter-000000/04.collect/digests.txt",
]


def stand_where_it_is_read(project, name: str) -> None:
    """Bring a run to where the file is read next."""
    if "collect" in name:
        project.param["explore"]["max_numb_iter"] = 1
        assert project.run().returncode == 4
        project.param["explore"]["max_numb_iter"] = 5
    elif "select" in name:
        (project.folder / "broken").touch()
        project.env["FAKE_LABEL_FAIL"] = f"task.000000@{project.folder / 'broken'}"
        assert project.run().returncode == 4
        (project.folder / "broken").unlink()
    else:
        assert project.run("--once").returncode == 3
        wait_for(lambda: project.ended() == 2)


@pytest.mark.parametrize("name", FILES)
def test_an_emptied_file_is_named_and_the_run_goes_on_with_what_was_restored(project, name):
    stand_where_it_is_read(project, name)
    path = project.work / name
    kept = path.read_bytes()
    path.write_bytes(b"")
    done = project.run()
    assert done.returncode == 4, done.stdout + done.stderr
    assert path.name in done.stdout + done.stderr
    assert "cut or edited" in done.stdout + done.stderr
    path.write_bytes(kept)
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
