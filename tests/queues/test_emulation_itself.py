"""The emulations of OpenPBS, Torque and LSF do what documents and sources of these say: a sentence, a test.

`man` is qsub(1B) and its kin of openpbs/openpbs and adaptivecomputing/torque, `source` the C files beside them, `IBM`
the command reference of Spectrum LSF.
"""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from emulated_project import COMMANDS
from project import wait_for

pytestmark = pytest.mark.slow

PBS = ["openpbs-20", "torque-6"]
SELECT = "jobid stat job_name:20 delimiter='|'"


class Site:
    """A user at a terminal of a site."""

    def __init__(self, folder: Path, flavour: str, habits: str = "") -> None:
        self.folder, self.lsf = folder, flavour.startswith("lsf")
        (folder / "home").mkdir()
        self.env = {
            "PATH": f"{COMMANDS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "MINE": "here",
            "QUEUE_DIR": str(folder / "queue"),
            "QUEUE_FLAVOUR": flavour,
            "QUEUE_SITE": habits,
            "QUEUE_HOME": str(folder / "home"),
            "QUEUE_MINUTE": "1",
            "QUEUE_EXIT": "0",
            "QUEUE_FATE": "0.1",
            "QUEUE_KILL_DELAY": "0.2",
        }

    def call(self, *words: str, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess:
        program = str(COMMANDS / words[0])
        return subprocess.run(
            [program, *words[1:]],
            env={**self.env, **env},
            cwd=self.folder,
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=30,
        )

    def submit(self, text: str, *options: str, **env: str) -> subprocess.CompletedProcess:
        """Submit a script: qsub gets its file, bsub its text."""
        (self.folder / "script").write_text(text)
        if self.lsf:
            return self.call("bsub", *options, stdin=text, **env)
        return self.call("qsub", *options, "script", **env)

    def job(self, key: str = "1") -> str:
        return (self.folder / "queue" / f"{key}.json").read_text()

    def ended(self, key: str = "1") -> None:
        wait_for(lambda: '"finished"' in self.job(key), 20)

    def running(self, key: str = "1") -> None:
        wait_for(lambda: '"running"' in self.job(key), 20)

    def order(self, how: str, key: str = "1") -> None:
        (self.folder / "queue" / f"{key}.order").write_text(how)
        keeper = self.job(key).partition('"keeper": ')[2].partition(",")[0].rstrip("}")
        subprocess.run(["kill", "-USR1", keeper], check=True)

    def ran(self, text: str, *options: str, **env: str) -> str:
        """Submit a script, wait for its end, return its output from the file `out`."""
        done = self.submit(text, *options, "-o", "out", **env)
        assert done.returncode == 0, done.stderr
        self.ended()
        return (self.folder / "out").read_text()

    def accepted(self) -> list[str]:
        path = self.folder / "queue" / "submissions"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def site(tmp_path):
    return lambda flavour, habits="": Site(tmp_path, flavour, habits)


def script(*lines: str) -> str:
    return "\n".join(["#!/bin/bash", *lines, ""])


# ---- qsub: what it reads


@pytest.mark.parametrize(("flavour", "seconds"), [("openpbs-20", "60.0"), ("torque-6", "120.0")])
def test_of_two_resources_of_one_name_openpbs_keeps_the_first_and_torque_the_last(site, flavour, seconds):
    here = site(flavour)
    here.submit(script("#PBS -l walltime=60", "#PBS -l walltime=120", "true"))
    assert f'"limit": {seconds}' in here.job()


@pytest.mark.parametrize("flavour", PBS)
def test_of_other_options_the_last_one_counts(site, flavour):
    here = site(flavour)
    here.submit(script("#PBS -q debug", "#PBS -q normal", "#PBS -N first", "#PBS -N second", "true"))
    assert '"queue": "normal"' in here.job()
    assert here.accepted() == ["second"]


@pytest.mark.parametrize("flavour", PBS)
def test_the_command_line_beats_the_script(site, flavour):
    here = site(flavour)
    here.submit(script("#PBS -l walltime=60", "#PBS -N inside", "true"), "-N", "outside", "-l", "walltime=90")
    assert here.accepted() == ["outside"]
    assert '"limit": 90.0' in here.job()


def test_openpbs_refuses_mem_beside_select_with_these_words(site):
    done = site("openpbs-20").submit(script("#PBS -l select=1:ncpus=2", "#PBS -l mem=4gb", "true"))
    assert done.stderr == 'qsub: "-lresource=" cannot be used with "select" or "place", resource is: mem\n'
    assert done.returncode == 15109 % 256


@pytest.mark.parametrize(
    ("flavour", "resources", "lines"),
    [
        ("openpbs-20", "select=1:ncpus=8", 1),
        ("openpbs-20", "select=2:ncpus=8:mpiprocs=4", 8),
        ("torque-6", "nodes=1:ppn=8", 8),
    ],
)
def test_mpiprocs_or_ppn_decide_the_lines_of_the_node_file(site, flavour, resources, lines):
    assert site(flavour).ran(script("wc -l < $PBS_NODEFILE"), "-l", resources, "-j", "oe") == f"{lines}\n"


@pytest.mark.parametrize(("flavour", "longest"), [("openpbs-20", 230), ("torque-6", 15)])
def test_a_name_has_so_many_characters(site, flavour, longest):
    here = site(flavour)
    assert here.submit(script("true"), "-N", "d" * longest).returncode == 0
    assert here.submit(script("true"), "-N", "d" * (longest + 1)).returncode == 2
    assert here.accepted() == ["d" * longest]


def test_torque_wants_a_letter_first(site):
    assert site("torque-6").submit(script("true"), "-N", "1st").returncode == 2


@pytest.mark.parametrize("flavour", PBS)
def test_directives_end_at_the_first_command(site, flavour):
    here = site(flavour)
    here.submit(script("#PBS -N before", "true", "#PBS -N after"))
    assert here.accepted() == ["before"]


@pytest.mark.parametrize("flavour", PBS)
def test_another_prefix_of_directives(site, flavour):
    here = site(flavour)
    text = script("#PBS -N one", "#XX -N two", "true")
    here.submit(text, "-C", "#XX")
    here.submit(text, PBS_DPREFIX="#XX")
    here.submit(text, "-C", "#PBS", PBS_DPREFIX="#XX")
    assert here.accepted() == ["two", "two", "one"]


def test_a_directive_that_is_none_is_refused_by_name(site):
    done = site("openpbs-20").submit(script("#PBS -Q 3", "true"))
    assert "qsub: directive error: -Q 3" in done.stderr
    assert done.returncode == 1


def test_an_array_of_openpbs_is_several_entries_and_one_id(site):
    here = site("openpbs-20")
    assert here.submit(script("#PBS -J 1-3", "#PBS -N x", "true")).stdout == "1[].server\n"
    assert here.accepted() == ["x"] * 3


def test_openpbs_takes_no_array_that_is_not_rerunable(site):
    done = site("openpbs-20").submit(script("#PBS -J 1-3", "true"), "-r", "n")
    assert "cannot submit non-rerunable Array Job" in done.stderr
    assert done.returncode != 0


def test_torque_does(site):
    here = site("torque-6")
    assert here.submit(script("#PBS -t 1-3", "#PBS -N x", "true"), "-r", "n").stdout == "1[].server\n"
    assert here.accepted() == ["x"] * 3


@pytest.mark.parametrize("flavour", PBS)
def test_block_waits_for_the_job_and_ends_as_it_does(site, flavour):
    start = time.monotonic()
    done = site(flavour).submit(script("#PBS -W block=true", "sleep 0.5; exit 7"))
    assert (done.stdout, done.returncode) == ("1.server\n", 7)
    assert time.monotonic() - start > 0.5


@pytest.mark.parametrize("flavour", PBS)
def test_z_prints_no_id(site, flavour):
    here = site(flavour)
    done = here.submit(script("#PBS -z", "#PBS -N x", "true"))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert here.accepted() == ["x"]


@pytest.mark.parametrize("flavour", PBS)
def test_interactive_wants_a_terminal(site, flavour):
    here = site(flavour)
    done = here.submit(script("#PBS -I", "true"))
    assert "must be a terminal" in done.stderr
    assert done.returncode == 1
    assert here.accepted() == []


def test_a_site_without_select_says_so(site):
    done = site("openpbs-20", "no-select").submit(script("#PBS -l select=1:ncpus=2", "true"))
    assert 'The system doesn\'t support the use of "-l select".' in done.stderr
    assert done.returncode != 0


# ---- qsub: the server's refusals


@pytest.mark.parametrize(
    ("flavour", "words", "code"),
    [
        ("openpbs-20", "qsub: Unknown queue\n", 15018 % 256),
        ("torque-6", "qsub: submit error (Unknown queue MSG=cannot locate queue)\n", 15020 % 256),
    ],
)
def test_a_queue_that_there_is_not(site, flavour, words, code):
    done = site(flavour).submit(script("true"), "-q", "nowhere")
    assert (done.stderr, done.returncode) == (words, code)


@pytest.mark.parametrize(
    ("flavour", "words", "code"),
    [
        ("openpbs-18", "qsub: Maximum number of jobs already in queue workq", 38),
        ("openpbs-20", "qsub: would exceed queue workq's per-user limit", 38),
        ("openpbs-23", "qsub: would exceed complex's per-user limit of jobs in 'Q' state", 38),
        ("torque-6", "qsub: submit error (Maximum number of jobs already in queue for user MSG=total number of", 228),
    ],
)
def test_a_full_queue_says_so_until_a_job_is_over(site, flavour, words, code):
    here = site(flavour, "full=1")
    assert here.submit(script("sleep 0.4")).returncode == 0
    done = here.submit(script("true"))
    assert done.stderr.startswith(words)
    assert done.returncode == code
    here.ended()
    assert here.submit(script("true")).returncode == 0


@pytest.mark.parametrize("flavour", ["openpbs-20", "torque-6"])
def test_a_routing_queue_returns_an_id_and_throws_the_job_out(site, flavour):
    here = site(flavour, "routing-drops")
    assert here.submit(script("true")).stdout == "1.server\n"
    here.ended()
    done = here.call("qstat", "-f", "1.server")
    assert done.returncode in (35, 153)
    assert not (here.folder / "script.o1").exists()


def test_the_reason_stands_in_the_comment_of_the_history(site):
    here = site("openpbs-20", "routing-drops")
    here.submit(script("true"))
    here.ended()
    assert "comment = Job rejected by all possible destinations" in here.call("qstat", "-xf", "1").stdout


@pytest.mark.parametrize(("flavour", "code"), [("openpbs-20", 111), ("torque-6", 15096 % 256)])
def test_a_server_that_is_away_is_not_a_refusal(site, flavour, code):
    here = site(flavour)
    (here.folder / "queue").mkdir()
    (here.folder / "queue/down").touch()
    for words in (["qsub", "script"], ["qselect"], ["qstat", "-f"], ["qdel", "1"]):
        done = here.call(*words)
        assert "cannot connect to server" in done.stderr
        assert done.returncode == code


# ---- where a PBS job runs


@pytest.mark.parametrize("flavour", PBS)
def test_a_job_starts_at_home_with_a_few_variables_of_which_some_have_other_names(site, flavour):
    here = site(flavour)
    text = here.ran(script("#PBS -j oe", "pwd; env"))
    assert text.startswith(f"{here.folder}/home\n")
    names = {line.partition("=")[0] for line in text.splitlines()[1:]}
    own = {"HOME", "LANG", "LOGNAME", "PATH", "MAIL", "SHELL", "TZ", "USER", "PWD", "SHLVL", "_"}
    assert {name for name in names if not name.startswith("PBS_")} <= own
    assert f"PBS_O_PATH={here.env['PATH']}" in text
    assert f"PBS_O_WORKDIR={here.folder}" in text
    assert "PBS_JOBID=1.server" in text


@pytest.mark.parametrize("flavour", PBS)
def test_v_and_capital_v_hand_variables_over(site, flavour):
    here = site(flavour)
    here.submit(script("echo $MINE $MORE"), "-v", "MINE,MORE=more", "-o", "one")
    here.submit(script("echo $MINE"), "-V", "-o", "two", DPGEN2_HPC_JOB="d1")
    here.ended("1")
    here.ended("2")
    assert (here.folder / "one").read_text() == "here more\n"
    assert (here.folder / "two").read_text() == "here\n"


@pytest.mark.parametrize("flavour", PBS)
def test_the_first_line_of_the_script_counts(site, flavour):
    text = "#!/bin/bash -l\n#PBS -j oe\nshopt login_shell\n"
    assert site(flavour).ran(text).split() == ["login_shell", "on"]


def test_a_torque_without_shell_pipe_feeds_the_text_to_the_login_shell(site):
    assert site("torque-6", "script-on-stdin").ran("#!/bin/cat\n#PBS -S /bin/bash\necho run\n") == "run\n"


@pytest.mark.parametrize("flavour", PBS)
def test_output_comes_after_the_job_to_where_qsub_was_called(site, flavour):
    here = site(flavour)
    done = here.submit(script("echo hello; sleep 0.6"), "-o", "out", "-j", "oe")
    assert done.stdout == "1.server\n"
    here.running()
    time.sleep(0.2)
    assert not (here.folder / "out").exists()
    here.ended()
    assert (here.folder / "out").read_text() == "hello\n"
    assert stat.S_IMODE((here.folder / "out").stat().st_mode) == 0o600
    assert (
        f"Output_Path = {os.uname().nodename}:"
        in here.call("qstat", *(["-xf"] if "openpbs" in flavour else ["-f"]), "1").stdout
    )


def test_names_of_output_without_o(site):
    here = site("openpbs-20")
    here.submit(script("echo out; echo err >&2"), "-N", "name")
    here.ended()
    assert (here.folder / "name.o1").read_text() == "out\n"
    assert (here.folder / "name.e1").read_text() == "err\n"


def test_k_doe_writes_directly(site):
    here = site("openpbs-20")
    here.submit(script("echo hello; sleep 0.6"), "-o", "out", "-j", "oe", "-k", "doe")
    wait_for(lambda: (here.folder / "out").exists() and (here.folder / "out").read_text() == "hello\n", 10)
    assert '"running"' in here.job()


@pytest.mark.parametrize("flavour", PBS)
def test_k_oe_keeps_the_output_on_the_node(site, flavour):
    here = site(flavour)
    here.submit(script("echo hello"), "-o", "out", "-j", "oe", "-k", "oe", "-N", "name")
    here.ended()
    assert not (here.folder / "out").exists()
    assert (here.folder / "home/name.o1").read_text() == "hello\n"


def test_what_cannot_be_copied_never_comes(site):
    here = site("openpbs-20", "no-delivery")
    here.submit(script("echo hello"), "-o", "out")
    here.ended()
    assert not (here.folder / "out").exists()


def test_openpbs_leaves_a_process_with_the_environment_of_the_first_qsub_unless_f_says_no(site):
    here = site("openpbs-20", "background-qsub")
    here.submit(script("true"), "-f", MARK="zero")
    assert not (here.folder / "queue/background").exists()
    here.submit(script("true"), MARK="one")
    wait_for((here.folder / "queue/background").exists, 10)
    here.submit(script("true"), MARK="two")
    pid = (here.folder / "queue/background").read_text()
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    (here.folder / "queue/last").unlink()  # ends it
    assert b"MARK=one" in environment


def test_torques_f_means_something_else(site):
    here = site("torque-6", "background-qsub")
    here.submit(script("true"), "-f")
    assert '"fault_tolerant": true' in here.job()
    assert not (here.folder / "queue/background").exists()


# ---- qselect, qstat, qdel


@pytest.mark.parametrize("flavour", PBS)
def test_qselect_lists_ids_and_nothing_without_jobs(site, flavour):
    here = site(flavour)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert (here.call("qselect", "-u", user).stdout, here.call("qselect").returncode) == ("", 0)
    here.submit(script("sleep 0.5"))
    assert here.call("qselect", "-u", user).stdout == "1.server\n"
    assert here.call("qselect", "-u", "nobody").stdout == ""
    here.ended()
    assert here.call("qselect", "-u", user).stdout == ("" if flavour.startswith("openpbs") else "1.server\n")


@pytest.mark.parametrize(
    ("flavour", "ids", "code"),
    [
        ("openpbs-20", ["1", "9"], 153),
        ("openpbs-20", ["9", "1"], 35),
        ("openpbs-20", ["2"], 0),
        ("torque-6", ["9", "1"], 153),
        ("torque-6", ["1", "2"], 0),
    ],
)
def test_qstat_of_several_ids_ends_with_one_of_the_errors_and_shows_the_others(site, flavour, ids, code):
    """Job 1 is over, 2 is running, 9 there never was."""
    here = site(flavour)
    here.submit(script("true"))
    here.submit(script("sleep 3"))
    here.ended()
    here.running("2")
    done = here.call("qstat", "-f", *ids, "2.server")
    assert done.returncode == code
    assert "Job Id: 2.server\n" in done.stdout
    unknown = "Unknown Job Id 9.server" if flavour.startswith("openpbs") else "Unknown Job Id Error 9.server"
    assert (unknown in done.stderr) == ("9" in ids)
    over = "1.server Job has finished, use -x or -H to obtain historical job information"
    assert (over in done.stderr) == ("1" in ids and flavour.startswith("openpbs"))
    here.call("qdel", "2")


def test_torque_shows_a_completed_job_for_a_while_and_forgets_it(site):
    here = site("torque-6")
    here.submit(script("exit 3"))
    here.ended()
    done = here.call("qstat", "-f", "1")
    assert "job_state = C" in done.stdout
    assert "exit_status = 3" in done.stdout
    assert here.call("qstat", "-f", "1", QUEUE_KEEP="0").returncode == 153


def test_x_of_torque_is_xml(site):
    here = site("torque-6")
    here.submit(script("true"))
    assert here.call("qstat", "-xf", "1").stdout.startswith("<Data><Job><Job_Id>1.server</Job_Id>")


@pytest.mark.parametrize("flavour", PBS)
def test_long_values_are_folded_and_go_on_after_a_tab(site, flavour):
    here = site(flavour)
    here.submit(script("sleep 0.3"))
    lines = here.call("qstat", "-f", "1").stdout.splitlines()
    assert any(line.startswith("\t") for line in lines)
    assert all(len(line) <= 78 for line in lines)


@pytest.mark.parametrize(
    ("flavour", "unknown", "over", "code"),
    [
        ("openpbs-20", "qdel: Unknown Job Id 9.server\n", "qdel: Job has finished 1.server\n", 35),
        ("torque-6", "qdel: Unknown Job Id Error 9.server\n", "qdel: Request invalid for state of job", 15018 % 256),
    ],
)
def test_qdel_of_what_is_not_there_or_over_is_an_error(site, flavour, unknown, over, code):
    here = site(flavour)
    here.submit(script("true"))
    here.ended()
    done = here.call("qdel", "9.server")
    assert (done.stderr, done.returncode) == (unknown, 153)
    done = here.call("qdel", "1")
    assert done.stderr.startswith(over)
    assert done.returncode == code


# ---- how PBS ends a job


@pytest.mark.parametrize(
    ("flavour", "how", "words", "status"),
    [
        ("openpbs-18", "memory", "=>> PBS: job killed: mem 38427376kb exceeded limit 33554432kb", 271),
        ("openpbs-20", "memory", "=>> PBS: job killed: mem 38427376kb exceeded limit 33554432kb", -27),
        ("openpbs-23", "memory", "Cgroup mem limit exceeded: oom-kill", -27),
        ("torque-6", "memory", "=>> PBS: job killed: vmem 38427376kb exceeded limit 33554432kb", 271),
        ("openpbs-20", "node", "=>> PBS: job killed: node 1 (n2) requested job die, code 15059", 271),
        ("openpbs-20", "cancel", "", 271),
    ],
)
def test_what_pbs_says_when_it_ends_a_job(site, flavour, how, words, status):
    here = site(flavour)
    here.submit(script(f": > {here.folder}/begun", "exec sleep 20"), "-o", "out", "-j", "oe")
    here.running()
    wait_for((here.folder / "begun").exists)  # a shell that starts, or waits for a child, outlives SIGINT
    here.order(how)
    here.ended()
    wait_for(lambda: (here.folder / "out").read_text().startswith(words))  # it is delivered after the end
    text = (here.folder / "out").read_text()
    assert text.startswith(words)
    assert bool(text) == bool(words)
    history = here.call("qstat", "-xf" if flavour.startswith("openpbs") else "-f", "1").stdout
    assert f"xit_status = {status}\n" in history


@pytest.mark.parametrize(("flavour", "status"), [("openpbs-18", 271), ("openpbs-20", -29), ("torque-6", 271)])
def test_a_walltime_is_kept_to_sigterm_first_sigkill_later(site, flavour, status):
    here = site(flavour)
    here.submit(
        script("trap 'echo term' TERM", "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.3; done"),
        "-l",
        "walltime=1",
        "-j",
        "oe",
        "-o",
        "out",
    )
    here.ended()
    text = (here.folder / "out").read_text()
    assert "=>> PBS: job killed: walltime 2 exceeded limit 1\n" in text
    assert "term" in text
    seen = here.call("qstat", "-xf" if flavour.startswith("openpbs") else "-f", "1").stdout
    assert f"xit_status = {265 if status == 271 else status}\n" in seen or f"xit_status = {status}\n" in seen


def test_an_epilogue_of_twelve_lines_follows(site):
    text = site("torque-6", "epilogue").ran(script("#PBS -j oe", "echo hello"))
    lines = text.splitlines()
    assert lines[0] == "hello"
    assert len(lines) == 13
    assert max(map(len, lines)) == 86
    assert "Walltime requested:" in lines[-2]


# ---- bsub


def test_bsub_says_id_and_queue(site):
    here = site("lsf-10")
    assert here.submit(script("true")).stdout == "Job <1> is submitted to default queue <normal>.\n"
    assert here.submit(script("true"), "-q", "short").stdout == "Job <2> is submitted to queue <short>.\n"


def test_with_bsub_quiet_in_the_environment_nothing_is_said(site):
    here = site("lsf-10")
    done = here.submit(script("true"), "-J", "x", BSUB_QUIET="")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert here.accepted() == ["x"]


def test_a_site_may_be_quiet(site):
    assert site("lsf-10", "quiet").submit(script("true")).stdout == ""


def test_bsubs_command_line_beats_the_script(site):
    here = site("lsf-10")
    here.submit(script("#BSUB -J inside", "#BSUB -q short", "true"), "-J", "outside")
    assert here.accepted() == ["outside"]
    assert '"queue": "short"' in here.job()


@pytest.mark.parametrize("option", ["-K", "-I", "-Is"])
def test_bsub_waits_for_the_job_and_ends_as_it_does(site, option):
    start = time.monotonic()
    done = site("lsf-10").submit(script(f"#BSUB {option}", "sleep 0.5; exit 7"))
    assert done.returncode == 7
    assert "Job <1> is submitted" in done.stdout
    assert time.monotonic() - start > 0.5


def test_rn_and_r_exclude_each_other(site):
    here = site("lsf-10")
    done = here.submit(script("#BSUB -r", "true"), "-rn")
    assert done.stderr.endswith("Job not submitted.\n")
    assert done.returncode == 255
    assert here.accepted() == []


def test_an_array_of_lsf_is_several_entries(site):
    here = site("lsf-10")
    assert here.submit(script("true"), "-J", "x[1-3]").stdout.startswith("Job <1> is submitted")
    assert here.accepted() == ["x[1]", "x[2]", "x[3]"]


@pytest.mark.parametrize(
    ("options", "habits", "words"),
    [
        (["-q", "nowhere"], "", "nowhere: No such queue. Job not submitted.\n"),
        ([], "esub", "Request aborted by esub. Job not submitted.\n"),
    ],
)
def test_refusals_of_lsf_end_in_job_not_submitted(site, options, habits, words):
    done = site("lsf-10", habits).submit(script("true"), *options)
    assert (done.stderr, done.returncode) == (words, 255)


def test_bsub_retries_for_ever_inside_of_itself_unless_lsb_ntries_says_how_often(site):
    here = site("lsf-10", "full=1")
    here.submit(script("true"), QUEUE_WAIT="60")
    with pytest.raises(subprocess.TimeoutExpired) as stuck:
        subprocess.run(
            [str(COMMANDS / "bsub"), "-J", "x"],
            env={**here.env, "QUEUE_RETRY": "0.2"},
            input=b"true",
            capture_output=True,
            timeout=1.5,
        )
    assert stuck.value.stderr.count(b": Pending job threshold reached. Retrying in 60 seconds...\n") > 1
    done = here.submit(script("true"), LSB_NTRIES="1")
    assert "Pending job threshold reached" in done.stderr
    assert done.returncode == 255
    here.call("bkill", "1")


def test_lsb_bsub_err_retry_may_submit_a_job_more_than_once(site):
    here = site("lsf-10", "flaky-reply")
    here.submit(script("true"), "-J", "x", LSB_BSUB_ERR_RETRY="RETRY_CNT[3]")
    here.submit(script("true"), "-J", "y")
    assert here.accepted() == ["x", "x", "y"]


def test_bsub_chk_resreq_submits_nothing(site):
    here = site("lsf-10")
    assert here.submit(script("true"), BSUB_CHK_RESREQ="1").returncode == 0
    assert here.accepted() == []


def test_lsf_hands_the_environment_over_but_not_the_mark_of_a_job(site):
    here = site("lsf-10")
    text = here.ran(script("pwd; env"), DPGEN2_HPC_JOB="d1", DPGEN2_HPC_SUBMIT="d2")
    assert f"\n{here.folder}\n" in text
    for line in ("MINE=here", "LSB_JOBID=1", "DPGEN2_HPC_SUBMIT=d2"):
        assert f"\n{line}\n" in text
    assert "DPGEN2_HPC_JOB" not in text


@pytest.mark.parametrize(("options", "env"), [(["-cwd", "elsewhere"], {}), ([], {"LSB_JOB_CWD": "elsewhere"})])
def test_a_relative_o_counts_from_the_working_directory_of_the_job(site, options, env):
    here = site("lsf-10")
    (here.folder / "elsewhere").mkdir()
    here.submit(script("pwd"), *options, "-o", "%J.out", **env)
    here.ended()
    assert f"\n{here.folder}/elsewhere\n" in (here.folder / "elsewhere/1.out").read_text()


# ---- LSF's output and report


def test_o_and_e_of_one_name_give_one_file(site):
    here = site("lsf-10")
    here.submit(script("echo out; echo err >&2"), "-o", "both", "-e", "both")
    here.ended()
    assert (here.folder / "both").read_text().endswith("The output (if any) follows:\n\nout\nerr\n\n")


def test_the_report_is_whole_and_comes_before_the_output(site):
    here = site("lsf-10")
    text = here.ran(script("#BSUB -J name", "echo hello; exit 3"))
    lines = text.splitlines()
    assert lines[0] == "Sender: LSF System <lsfadmin@node1>"
    assert lines[1] == "Subject: Job 1: <name> in cluster <c1> Exited"
    rules = [number for number, line in enumerate(lines) if line == "-" * 60]
    assert lines[rules[0] + 1] == "# LSBATCH: User input"
    assert "echo hello; exit 3" in lines[rules[0] : rules[1]]
    assert text.index("Exited with exit code 3.") < text.index("Resource usage summary:") < text.index("\nhello\n")
    assert len(lines) - lines.index("Exited with exit code 3.") > 14


def test_the_report_follows_the_output_that_is_written_directly(site):
    here = site("lsf-10")
    here.submit(script("echo hello; sleep 0.5"), "-o", "out", LSB_STDOUT_DIRECT="Y")
    wait_for(lambda: (here.folder / "out").exists() and (here.folder / "out").read_text() == "hello\n", 10)
    assert '"running"' in here.job()
    here.ended()
    text = (here.folder / "out").read_text()
    assert text.startswith("hello\n")
    assert text.endswith("The output (if any) is above this job summary.\n\n")
    assert "Successfully completed." in text


def test_n_sends_the_report_by_mail(site):
    assert site("lsf-10").ran(script("echo hello"), "-N") == "hello\n"


@pytest.mark.parametrize(
    ("flavour", "how", "reason", "code"),
    [
        ("lsf-10", "walltime", "TERM_RUNLIMIT: job killed after reaching LSF run time limit.", 140),
        ("lsf-9", "memory", "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit.", 130),
        ("lsf-10", "memory", "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit.", 137),
        ("lsf-10", "external", "TERM_EXTERNAL_SIGNAL: job killed by a signal external to LSF.", 137),
        ("lsf-10", "cancel", "TERM_OWNER: job killed by owner.", 130),
    ],
)
def test_what_the_report_says_when_lsf_ends_a_job(site, flavour, how, reason, code):
    here = site(flavour)
    here.submit(script(f": > {here.folder}/begun", "exec sleep 20"), "-o", "out")
    here.running()
    wait_for((here.folder / "begun").exists)  # a shell that starts, or waits for a child, outlives SIGINT
    here.order(how)
    here.ended()
    assert f"\n{reason}\nExited with exit code {code}.\n" in (here.folder / "out").read_text()


def test_a_run_limit_in_minutes_is_kept_to(site):
    here = site("lsf-10")  # whose minutes have one second
    assert "TERM_RUNLIMIT" in here.ran(script("#BSUB -W 1", "sleep 20"))


# ---- bjobs, bhist, bkill


def test_a_name_that_is_too_long_loses_its_head(site):
    here = site("lsf-10")
    here.submit(script("sleep 1"), "-J", "abcdefghijkl")
    here.running()
    assert here.call("bjobs", "-noheader", "-o", SELECT).stdout == "1|RUN|abcdefghijkl\n"
    assert here.call("bjobs", "-noheader", "-o", "job_name:6").stdout == "*hijkl\n"
    assert here.call("bjobs", "-noheader", "-o", "job_name").stdout == "*cdefghijkl\n"


def test_lsb_bjobs_format_sets_another_default_and_o_beats_it(site):
    here = site("lsf-10")
    here.submit(script("sleep 1"), "-J", "x")
    assert here.call("bjobs", "-noheader", LSB_BJOBS_FORMAT="job_name delimiter='|'").stdout == "x\n"
    assert here.call("bjobs", "-noheader", "-o", "jobid delimiter='|'", LSB_BJOBS_FORMAT="user").stdout == "1\n"


@pytest.mark.parametrize(("flavour", "code"), [("lsf-9", 255), ("lsf-10", 0)])
def test_no_job_is_said_on_standard_error(site, flavour, code):
    """The exit code is not documented: each release of the emulation has another one."""
    here = site(flavour)
    here.submit(script("true"))
    here.ended()
    done = here.call("bjobs", "-noheader", "-o", SELECT)
    assert (done.stdout, done.stderr, done.returncode) == ("", "No unfinished job found\n", code)
    assert here.call("bjobs", "-a", "-noheader", "-o", "jobid stat delimiter='|'").stdout == "1|DONE\n"


def test_openlava_has_no_o(site):
    assert site("lsf-9", "no-format").call("bjobs", "-noheader", "-o", SELECT).returncode == 255


def test_bhist_tells_how_a_job_ended_in_wrapped_lines(site):
    here = site("lsf-10")
    here.submit(script("sleep 20"))
    here.running()
    here.order("walltime")
    here.ended()
    text = here.call("bhist", "-l", "1").stdout
    assert "Exited with exit code 140." in text
    assert "TERM_RUNLIMIT" in text
    assert max(map(len, text.splitlines())) <= 80
    assert here.call("bhist", "-l", "9").stderr == "No matching job found\n"


def test_bkill_of_what_is_not_there_or_over_is_an_error(site):
    here = site("lsf-10")
    here.submit(script("true"))
    here.ended()
    done = here.call("bkill", "9")
    assert (done.stderr, done.returncode) == ("Job <9>: No matching job found\n", 255)
    done = here.call("bkill", "1")
    assert (done.stderr, done.returncode) == ("Job <1>: Job has already finished\n", 255)


def test_a_daemon_that_is_away_is_waited_for_as_often_as_lsb_ntries_says(site):
    here = site("lsf-10")
    (here.folder / "queue").mkdir()
    (here.folder / "queue/down").touch()
    done = here.call("bjobs", LSB_NTRIES="1")
    assert done.stderr.startswith("batch system daemon not responding ... still trying\n")
    assert done.returncode == 255


# ---- the site


@pytest.mark.parametrize("flavour", ["openpbs-20", "torque-6", "lsf-10"])
def test_a_banner_stands_before_the_id(site, flavour):
    lines = site(flavour, "banner").submit(script("true")).stdout.splitlines()
    assert lines[0] == "*** Welcome to the cluster ***"
    assert "1" in lines[-1]


@pytest.mark.parametrize("flavour", ["openpbs-20", "lsf-10"])
@pytest.mark.parametrize("habit", ["mem-kill=1", "node-fail=1"])
def test_a_site_may_end_the_first_job(site, flavour, habit):
    here = site(flavour, habit)
    here.submit(script("sleep 20"))
    here.submit(script("sleep 0.5"))
    here.ended("1")
    here.ended("2")
    assert '"exit": -' in here.job("1")
    assert '"exit": 0' in here.job("2")


@pytest.mark.parametrize("flavour", ["openpbs-20", "torque-6", "lsf-10"])
def test_a_job_that_is_held_waits_until_it_is_cancelled(site, flavour):
    here = site(flavour)
    here.submit(script("true"), "-H" if here.lsf else "-h")
    wait_for(lambda: '"keeper": null' not in here.job(), 10)
    if here.lsf:
        assert here.call("bjobs", "-noheader", "-o", SELECT).stdout.startswith("1|PSUSP|")
    else:
        assert "job_state = H" in here.call("qstat", "-f", "1").stdout
    here.call("bkill" if here.lsf else "qdel", "1")
    here.ended()


def test_commands_of_another_batch_system_are_not_installed(site):
    assert site("lsf-10").call("qstat").returncode == 127


def test_a_call_is_quick(site):
    here = site("openpbs-20")
    here.call("qselect")
    before = os.times()
    for _ in range(5):
        here.call("qselect")
    after = os.times()
    assert (after.children_user + after.children_system - before.children_user - before.children_system) / 5 < 0.06
