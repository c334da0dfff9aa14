"""What submission commands answer, and how it is sorted: real messages in ``replies/*.tsv``, and what no table has."""

import re
from pathlib import Path
from re import _parser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpgen2_hpc.dispatch.schedulers import Reply, lsf_replies, pbs_replies, scheduler, slurm_replies
from dpgen2_hpc.errors import QueueDown, QueueFull, SubmissionRefused

SYSTEMS = {name: scheduler(name) for name in ("Slurm", "PBS", "Torque", "LSF")}
SLURM, PBS, TORQUE, LSF = SYSTEMS.values()
FILES = {"slurm.tsv": ["Slurm"], "pbs.tsv": ["PBS"], "torque.tsv": ["Torque", "PBS"], "lsf.tsv": ["LSF"]}
"""By file: the batch types under which users run that product; PBS is a usual name for Torque's machines."""

TABLES = [
    slurm_replies.SLURM_REPLIES,
    pbs_replies.PBS_REPLIES,
    pbs_replies.TORQUE_REPLIES,
    lsf_replies.LSF_REPLIES,
]
FAILED = "sbatch: error: Batch job submission failed: "
NOT = ". Job not submitted."


def rows():
    for file, names in FILES.items():
        lines = (Path(__file__).parent / "replies" / file).read_text().splitlines()[1:]
        for line in lines:
            product, code, stream, text, wanted, source = line.split("\t")
            text = text.replace("\\n", "\n")
            err, out = text.split(" || ") if stream == "err+out" else (text, "")
            reply = Reply(int(code), text, "") if stream == "out" else Reply(int(code), out, err)
            for name in names:
                title = f"{name}: {' '.join(text.split()[-8:])[-50:] or 'silence'} ({code})"
                yield pytest.param(name, reply, wanted, source, id=title)


def sort(system, reply: Reply) -> str:
    """The class of an answer, as the files write it; an exception of another kind fails the test."""
    try:
        return f"accepted {system.submitted_id(reply)}"
    except QueueFull:
        return "full"
    except QueueDown:
        return "down"
    except SubmissionRefused as error:
        return "refused" if error.certain else "unsure"


@pytest.mark.parametrize(("name", "reply", "wanted", "source"), rows())
def test_a_real_answer_is_what_its_source_says(name, reply, wanted, source):
    assert source
    assert sort(SYSTEMS[name], reply) == wanted


def test_there_are_more_than_two_hundred_real_answers_of_each_class_several():
    classes = [row.values[2].split()[0] for row in rows()]
    assert len(classes) > 200
    assert {name for name in classes if classes.count(name) > 9} == {"accepted", "full", "down", "refused", "unsure"}


@pytest.mark.parametrize("system", [SLURM, PBS, TORQUE, LSF])
@pytest.mark.parametrize(("code", "wanted"), [(0, "down"), (-9, "down"), (129, "down"), (137, "down"), (1, "unsure")])
def test_silence_is_a_quiet_command_or_a_killed_one_and_else_unexplained(system, code, wanted):
    assert sort(system, Reply(code, " \n", "\n")) == wanted


IDS = [
    (SLURM, "4242"),
    (PBS, "1234.pbs01"),
    (TORQUE, "1234.server.example.org"),
    (LSF, "Job <930> is submitted to queue <q>."),
]


@pytest.mark.parametrize(("system", "line"), IDS)
def test_an_id_with_an_exit_code_or_with_another_id_beside_it_is_looked_for_by_name(system, line):
    assert sort(system, Reply(0, line, "")).startswith("accepted ")
    assert sort(system, Reply(1, line, "")) == "down"
    assert sort(system, Reply(-15, line, "")) == "down"
    assert sort(system, Reply(0, f"{line}\n{line.replace('0', '1').replace('2', '3')}\n", "")) == "down"


@pytest.mark.parametrize(("system", "line"), IDS)
def test_banners_before_and_after_an_id_and_words_of_all_classes_do_not_hide_it(system, line):
    banner = "*** 12 users, 98 % full ***\n\nLast login: 10.0.0.1, 2.4 hours left, timed out\n"
    words = f"{FAILED}Socket timed out on send/recv operation\nqsub: Unknown queue\nq: No such queue{NOT}\n"
    assert sort(system, Reply(0, f"{banner}  {line}\r\n{banner}", words)) == sort(system, Reply(0, line, ""))


def test_a_clearer_form_of_an_id_wins_over_a_bare_number_of_a_banner():
    assert sort(SLURM, Reply(0, "4242;c1\nYour jobs:\n12\n", "")) == "accepted 4242;c1"
    assert sort(SLURM, Reply(0, "12\nSubmitted batch job 4242 on cluster c1\n", "")) == "accepted 4242"
    assert sort(PBS, Reply(0, "1234.pbs01\n12\n", "")) == "accepted 1234.pbs01"
    assert sort(SLURM, Reply(0, "4242\nYour jobs:\n12\n", "")) == "down"


def test_a_number_of_a_banner_does_not_turn_a_refusal_into_an_outage():
    assert sort(SLURM, Reply(1, "Your jobs:\n12\n", FAILED + "Invalid partition name specified")) == "unsure"
    assert sort(PBS, Reply(170, "Your jobs:\n12\n", "qsub: Unknown queue")) == "unsure"
    assert sort(PBS, Reply(170, "1234.pbs01\n", "qsub: Unknown queue")) == "down"


@pytest.mark.parametrize("line", ["1234[].server", "1234[]", "1234[7].server.example.org"])
def test_a_job_array_is_not_one_job(line):
    assert sort(PBS, Reply(0, f"12\n{line}\n", "")) == "unsure"
    assert sort(TORQUE, Reply(0, line, "")) == "unsure"


@pytest.mark.parametrize("line", ["12.05.2024", "10.0.0.1", "98.5", "1234.", "-3", "1 2", "job 1234.pbs01", "1234.a b"])
def test_dates_addresses_and_sentences_are_not_ids(line):
    wanted = "accepted 1234" if line == "1234." else "unsure"
    assert sort(PBS, Reply(0, line, "")) == wanted


# ---- precedence: words of several classes in one answer


@pytest.mark.parametrize(
    ("system", "code", "words", "wanted"),
    [
        # the scheduler's own verdict counts, not what a hook says before it
        (SLURM, 1, f"sbatch: error: {FAILED}Socket timed out\n{FAILED}Invalid qos specification", "refused"),
        (SLURM, 1, f"{FAILED}Socket timed out on send/recv operation\n{FAILED}Invalid qos specification", "refused"),
        (SLURM, 1, f"sbatch: error: Munge encode failed: x\n{FAILED}Unspecified error", "unsure"),
        (SLURM, 1, f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{FAILED}Socket timed out on send/recv operation", "down"),
        (SLURM, 1, f"sbatch: error: QOS of yours\n{FAILED}Job violates accounting/QOS policy (job submit limit)", "full"),
        (SLURM, 1, "sbatch: error: Unable to open file jobs/Socket timed out/MaxSubmitJobLimit.sub", "refused"),
        (SLURM, 1, "sbatch: error: Invalid directive found in batch script: timeout --connection=refused", "refused"),
        # a hook's words may be any; its exit code says that they are its own
        (PBS, 32, "qsub: Queue is not enabled", "refused"),
        (PBS, 32, "qsub: cannot connect to server", "refused"),
        (PBS, 1, "qsub: connection limit: Server busy, would exceed limits, timed out", "unsure"),
        (TORQUE, 32, "qsub: connection limit of project p", "unsure"),
        (PBS, 32, "qsub: cannot connect to server s (errno=32) Broken pipe", "down"),
        (TORQUE, 192, "Connection to server timed out. Trying again\nqsub: submit error (Maximum number of jobs already in queue)", "down"),
        (TORQUE, 1, "qsub: submit error (Unknown queue MSG=Connection refused, server busy)", "refused"),
        (TORQUE, 1, "qsub: submit error (Batch protocol error MSG=Unknown queue)", "down"),
        (TORQUE, 1, "qsub: cannot connect to server s (errno=15013)\nqsub: submit filter returned an error code, aborting", "down"),
        (TORQUE, 1, "qsub: script file 'Pbs Server is currently too busy' cannot be loaded - Connection timed out", "refused"),
        # bsub waits by itself and then refuses
        (LSF, 255, f"LSF is down. Please wait ...\nq: No such queue{NOT}", "refused"),
        (LSF, 255, f"Pending job threshold reached. Retrying in 60 seconds...\nConnection refused by server{NOT}", "down"),
        (LSF, 255, f"LSF is down. Please wait ...\nOur own reason{NOT}", "unsure"),
        (LSF, 255, f"Failed in an LSF library call: No such queue{NOT}", "down"),
        (LSF, 255, f"Our esub: LSF is down, Connection refused by server{NOT}", "unsure"),
        # a site's wrapper asks the queue first
        (SLURM, 1, "slurm_load_jobs error: Unable to contact slurm controller (connect failure)", "down"),
        (SLURM, 1, "slurm_load_partitions error: Zero Bytes were transmitted or received", "down"),
        (PBS, 111, "Connection refused\nqstat: cannot connect to server login1 (errno=111)", "down"),
        # what a shell says
        (SLURM, 137, "Killed", "down"),
        (SLURM, 137, "bash: line 1: 4242 Killed                  sbatch --parsable x", "down"),
        (LSF, 254, "sh: 1: Cannot fork", "down"),
        (PBS, 255, "ssh: connect to host login2 port 22: Connection refused", "down"),
    ],
)  # fmt: skip
def test_the_structure_of_an_answer_decides_not_its_words(system, code, words, wanted):
    assert sort(system, Reply(code, "", words)) == wanted
    assert sort(system, Reply(code, words, "")) == wanted


def test_exit_code_zero_with_known_words_and_no_id_is_what_the_words_say():
    assert sort(LSF, Reply(0, f"q: No such queue{NOT}", "")) == "refused"
    assert sort(LSF, Reply(0, "", "LSF is down. Please wait ...")) == "down"
    assert sort(SLURM, Reply(0, "Welcome to the cluster", "")) == "unsure"


def test_the_exception_has_the_schedulers_words_those_of_stderr_first():
    with pytest.raises(SubmissionRefused) as caught:
        SLURM.submitted_id(Reply(1, "Welcome\n", FAILED + "Invalid qos specification\n"))
    assert str(caught.value) == FAILED + "Invalid qos specification\nWelcome"
    with pytest.raises(QueueDown, match=r"qsub ended with exit code 0 and without a message"):
        PBS.submitted_id(Reply(0, "", ""))


@pytest.mark.parametrize("table", TABLES)
def test_every_known_answer_has_a_pattern_and_a_source(table):
    for answer in table.known:
        re.compile(answer.pattern)
        assert answer.source
        assert not re.match(answer.pattern, ""), answer


# ---- what no table has

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
LETTERS = st.text("abz -:.,()<>'/\n", min_size=1, max_size=300).filter(str.strip)


@pytest.mark.parametrize("system", [SLURM, PBS, TORQUE, LSF])
@settings(deadline=None, database=None)
@given(code=st.integers(-64, 255), out=WORDS, err=WORDS)
def test_no_text_raises_anything_but_the_four_answers(system, code, out, err):
    assert sort(system, Reply(code, out, err)).split()[0] in {"accepted", "full", "down", "refused", "unsure"}


@pytest.mark.parametrize("system", [SLURM, PBS, TORQUE, LSF])
@pytest.mark.parametrize("before", ["", "qsub: submit error (", FAILED, "bsub: "])
@settings(deadline=None, database=None)
@given(code=st.integers(-64, 255), words=LETTERS)
def test_a_text_without_an_id_and_without_a_known_message_is_an_uncertain_refusal(system, before, code, words):
    if (code, before[:4]) != (32, "qsub"):  # a hook of OpenPBS
        assert sort(system, Reply(code, "", before + words)) == "unsure"


KINDS = ["timeout", "connection refused", "server busy", "job limit", "socket", "unknown queue", "invalid partition"]


@pytest.mark.parametrize("system", [SLURM, PBS, TORQUE, LSF])
@settings(deadline=None, database=None)
@given(words=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6).map(" ".join))
def test_words_of_an_outage_in_a_sites_own_sentence_are_not_an_outage(system, words):
    assert sort(system, Reply(1, "", f"Our site says: {words}")) == "unsure"


@pytest.mark.parametrize("system", [SLURM, PBS, TORQUE, LSF])
@pytest.mark.parametrize(
    "text", ["a", "1", " ", "sh: ", "qsub: ", "a\n", "1.", "<", "Job <1> is submitted to queue <", "[0"]
)
def test_a_long_answer_is_compared_in_part(system, text, monkeypatch):
    compared: list[int] = []
    real = {name: getattr(re, name) for name in ("match", "fullmatch")}
    for name, function in real.items():
        monkeypatch.setattr(
            re, name, lambda pattern, line, function=function: (compared.append(len(line)), function(pattern, line))[1]
        )
    sort(system, Reply(1, text * (100_000 // len(text)), text * (100_000 // len(text))))
    assert max(compared, default=0) <= 1000
    assert sum(compared) < 2_000_000


def unbounded(parsed) -> int:
    """How deep repetitions without an upper bound are nested in a parsed pattern."""
    deepest = 0
    for operator, argument in parsed:
        own = str(operator) in ("MAX_REPEAT", "MIN_REPEAT") and argument[1] > 1000
        parts = argument if isinstance(argument, (tuple, list)) else (argument,)
        parts = [part for group in parts for part in (group if isinstance(group, list) else (group,))]
        inner = max((unbounded(part) for part in parts if isinstance(part, _parser.SubPattern)), default=0)
        deepest = max(deepest, own + inner)
    return deepest


def test_the_measure_sees_a_catastrophic_pattern():
    assert unbounded(_parser.parse(r"(?:a+b?)*c")) == 2
    assert unbounded(_parser.parse(r"x(?:y|(z|(?:a*)*))")) == 2
    assert unbounded(_parser.parse(r"(?:a{1,3}b?)*c.*")) == 1


@pytest.mark.parametrize("table", TABLES)
def test_no_pattern_repeats_a_repetition(table):
    patterns = [*table.ids, table.verdict, table.arrays, *(answer.pattern for answer in table.known)]
    assert [pattern for pattern in patterns if unbounded(_parser.parse(pattern)) > 1] == []
