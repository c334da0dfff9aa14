"""The batch: what it decides from the ledger, the claims and the queue's answers, with a queue that a test can lame."""

import hashlib
import json
import socket
from types import SimpleNamespace

import pytest

from dpgen2_hpc.dispatch import batch as module
from dpgen2_hpc.dispatch.attempts import write_attempt
from dpgen2_hpc.dispatch.batch import Batch
from dpgen2_hpc.dispatch.policy import Policy
from dpgen2_hpc.dispatch.schedulers import Entry
from dpgen2_hpc.dispatch.site import Claim, Ended
from dpgen2_hpc.errors import OutputError, QueueDown, QueueFull, StateError, SubmissionRefused
from dpgen2_hpc.state import host
from dpgen2_hpc.state.clock import Moment
from dpgen2_hpc.state.host import Host
from dpgen2_hpc.state.identity import digest_file
from dpgen2_hpc.state.ledger import Ledger, Task, events
from dpgen2_hpc.state.lock import Lock
from dpgen2_hpc.state.words import QueueStatus
from dpgen2_hpc.state.workdir import StepFolder

HERE, LOGIN2 = Host(socket.gethostname()), Host("login2", "another boot", "pid:[1]")


INPUT = hashlib.sha256(b"input").hexdigest()


class Queue:
    """Plays a Site and its queue: what was submitted, what is alive, and what jobs said of themselves."""

    def __init__(self, folder, group_size=1, grace=0.0, own_host=False):
        self.folder, self.queue = folder, self
        self.machine = SimpleNamespace(group_size=group_size, cpu_per_node=1)
        self.scheduler = SimpleNamespace(grace=grace, own_host=own_host, minimum_wait=0.2)
        self.submissions: list[str] = []
        self.attempts: list[list[tuple[int, int]]] = []
        self.entries: list[Entry] = []
        self.claims: dict[str, Claim] = {}
        self.fetched: list[int] = []
        self.questions: list[list[str]] = []
        self.down = False
        self.lose_reply = 0
        self.room = 1000
        self.idle: set[int] = set()
        self.underway: set[str] = set()
        self.words: dict[str, str] = {}
        self.over: set[str] = set()
        self.remembered: dict[str, str] = {}
        self.recalled: list[list[str]] = []
        self.seconds = 1

    def submit(self, job, tasks, policy):
        if len(self.submissions) >= self.room:
            raise QueueFull("job submit limit")
        self.submissions.append(job.name)
        self.attempts.append([(task.index, task.attempt) for task in tasks])
        identifier = str(100 + len(self.submissions))
        self.entries.append(Entry(job.name, identifier, running=False))
        if self.lose_reply:
            self.lose_reply -= 1
            raise QueueDown("the reply was lost")
        return identifier

    def live(self, names):
        if names:
            self.questions.append(list(names))
            if self.down:
                raise QueueDown("no answer")
        return [entry for entry in self.entries if entry.name in names]

    def claim(self, name):
        return self.claims.get(name)

    def withdraw(self, job):
        self.withdrawn = job.name

    def submitting(self, names):
        return self.underway & set(names)

    def is_over(self, job):
        return job.name in self.over or "NODE_FAIL" in (job.history or "")

    def ending(self, job):
        return self.words.get(job.name)

    def history(self, jobs):
        self.recalled.append([job.name for job in jobs])
        return {job.index: self.remembered[job.name] for job in jobs if job.name in self.remembered}

    def began(self, task):
        return task.index not in self.idle

    def fetch(self, tasks):
        self.fetched += [task.index for task in tasks]

    # ---- what a test lets happen

    def start(self, name, host=HERE):
        self.claims[name] = Claim("7", host)
        self.entries = [Entry(e.name, e.id, running=True) if e.name == name else e for e in self.entries]

    def end(self, name, *codes, leave=True):
        """The job ends tasks with these exit codes, in their order, and leaves the queue."""
        claim = self.claims.setdefault(name, Claim("7", HERE))
        tasks = self.attempts[self.submissions.index(name)]
        for task, code in zip(tasks, codes, strict=False):
            claim.ended[task] = Ended(code, self.seconds)
        if leave:
            self.vanish(name)

    def vanish(self, name):
        self.entries = [entry for entry in self.entries if entry.name != name]


class Worker:
    """Judges by a table: what is wrong with the output of a task."""

    def __init__(self):
        self.bad: dict[int, str] = {}
        self.codes: list[int | None] = []
        self.carried: list[tuple[int, str | None]] = []

    command, settings = "cmd", "settings"

    def write(self, task, directory):
        (directory / "in").write_text("input")
        return {"in": digest_file(directory / "in")}

    def judge(self, task, directory, exit_code):
        self.codes.append(exit_code)
        if task in self.bad:
            raise OutputError(self.bad[task])
        return

    def carry_over(self, task, old, new):
        self.carried.append((task.attempt, task.before))


class Clock:
    """Time that only a test moves."""

    def __init__(self):
        self.time = 1_000_000.0

    def now(self):
        return Moment(self.time)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


class Bench:
    """A batch of ``size`` tasks that a test may lose and read again, as a killed driver does."""

    def __init__(self, root, monkeypatch):
        self.folder = StepFolder(root / "00.train", "train")
        self.clock = Clock()
        self.lock = Lock.acquire(root / "lock")
        self.lock.clock = self.clock
        self.worker = Worker()

    def open(self, size, policy=None, **queue):
        self.folder.path.mkdir()
        for number in range(size):
            self.folder.task(number).mkdir()
            (self.folder.task(number) / "in").write_text("input")
            write_attempt(self.folder.task(number), 1)
        Ledger.create(self.folder.ledger, [Task(f"sha{n}", {"in": INPUT}) for n in range(size)])
        self.policy = policy or Policy()
        self.queue = Queue(self.folder, **queue)
        batch = self.again()
        batch.open()
        return batch

    def again(self):
        """A new driver takes the batch up."""
        return Batch(self.queue, self.worker, self.policy, "dname{}".format, lambda: None, lock=self.lock)

    def submitted(self, size, **more):
        """A batch all of whose first jobs are in the queue."""
        batch = self.open(size, **more)
        for _ in range(2 if batch.ledger.jobs else 1):
            batch.advance()
        return batch

    def new_round(self, batch):
        """What a person's second call does to the broken tasks."""
        broken = [task.index for task in batch.ledger.tasks if task.verdict == "broken"]
        batch.ledger.append([{"event": "round", "round": batch.ledger.rounds + 1, "tasks": broken}])

    def events(self, kind):
        lines = self.folder.ledger.read_text().splitlines()
        return [line for line in lines if f'"event": "{kind}"' in line]


def states(batch):
    return [task.verdict for task in batch.ledger.tasks]


# ---- opening and submitting


def test_the_intents_of_a_batch_are_one_write(bench, monkeypatch):
    written, real = [], module.Ledger.append
    monkeypatch.setattr(
        module.Ledger, "append", lambda self, events: written.append(rows := list(events)) or real(self, rows)
    )
    bench.open(5, group_size=2)
    assert [[event["tasks"] for event in rows] for rows in written] == [[[[0, 1], [1, 1]], [[2, 1], [3, 1]], [[4, 1]]]]


def test_a_group_size_of_zero_puts_all_tasks_into_one_job(bench):
    assert [job.tasks for job in bench.open(3, group_size=0).ledger.jobs] == [((0, 1), (1, 1), (2, 1))]


def test_each_job_is_submitted_once_and_its_id_is_written_down(bench):
    batch = bench.submitted(3)
    assert bench.queue.submissions == ["dname0", "dname1", "dname2"]
    assert [(job.id, job.host.name) for job in Ledger.read(bench.folder.ledger).jobs] == [
        ("101", HERE.name), ("102", HERE.name), ("103", HERE.name),
    ]  # fmt: skip
    for _ in range(5):
        batch.advance()
    assert len(bench.queue.submissions) == 3


def test_an_id_is_durable_before_the_next_job_is_submitted(bench):
    bench.open(3)
    seen, real = [], bench.queue.submit
    bench.queue.submit = lambda *job: seen.append(len(bench.events("id"))) or real(*job)
    batch = bench.again()
    batch.advance()
    batch.advance()
    assert seen == [0, 1, 2]


def test_no_more_jobs_than_parallelism_are_in_the_queue_at_once(bench):
    batch = bench.submitted(5, policy=Policy(parallelism=2))
    most = 0
    for number in range(5):
        most = max(most, len(bench.queue.entries))
        bench.queue.end(f"dname{number}", 0)
        batch.advance()
    assert (most, batch.finished, len(bench.queue.submissions)) == (2, True, 5)


def test_a_queue_without_a_limit_gets_all_jobs_and_this_host_gets_as_many_as_it_has_cores(bench, monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 3)
    bench.submitted(7, own_host=True)
    assert len(bench.queue.submissions) == 3


def test_a_signal_between_two_submissions_leaves_the_rest_for_the_next_driver(bench):
    bench.open(3)

    class Signal(Exception):
        pass

    def stop():
        if bench.queue.submissions:
            raise Signal

    batch = Batch(bench.queue, bench.worker, bench.policy, "dname{}".format, stop, lock=bench.lock)
    batch.advance()
    with pytest.raises(Signal):
        batch.advance()
    again = bench.again()
    again.advance()
    again.advance()
    assert bench.queue.submissions == ["dname0", "dname1", "dname2"]


def test_a_ledger_that_knows_fewer_tasks_than_there_are_is_refused(bench):
    bench.open(2)
    bench.folder.task(2).mkdir()
    with pytest.raises(StateError, match="was cut"):
        bench.again()


# ---- doubts


def test_a_submitted_job_whose_id_was_lost_is_adopted_from_the_queue(bench):
    bench.open(1)
    bench.queue.entries = [Entry("dname0", "77", running=False)]
    batch = bench.again()
    batch.advance()
    assert (bench.queue.submissions, batch.ledger.jobs[0].id) == ([], "77")


def test_a_submitted_job_that_the_queue_has_forgotten_is_adopted_from_its_claim(bench):
    bench.open(1)
    bench.queue.claims["dname0"] = Claim("77", Host("node5"), {(0, 1): Ended(0, 9)})
    batch = bench.again()
    batch.advance()
    assert bench.queue.submissions == []
    assert (batch.ledger.jobs[0].id, batch.ledger.jobs[0].host, states(batch)) == ("77", Host("node5"), ["done"])


def test_the_claim_decides_between_two_entries_of_one_name(bench):
    bench.open(1)
    bench.queue.entries = [Entry("dname0", "77", running=True), Entry("dname0", "78", running=False)]
    bench.queue.claims["dname0"] = Claim("77", HERE)
    batch = bench.again()
    batch.advance()
    assert (bench.queue.submissions, batch.ledger.jobs[0].id) == ([], "77")


def test_a_job_that_may_have_been_submitted_is_looked_for_twice_and_then_submitted_under_the_same_name(bench):
    bench.open(1)
    batch = bench.again()
    batch.advance()
    assert (bench.queue.submissions, batch.unsure) == ([], True)
    batch.advance()
    assert bench.queue.questions[:2] == [["dname0"], ["dname0"]]
    assert (bench.queue.submissions, batch.ledger.jobs[0].id) == (["dname0"], "101")


def test_a_job_that_shows_itself_at_the_second_look_is_not_submitted_again(bench):
    bench.open(1)
    batch = bench.again()
    batch.advance()
    bench.queue.entries = [Entry("dname0", "77", running=False)]
    batch.advance()
    batch.advance()
    assert (bench.queue.submissions, batch.ledger.jobs[0].id) == ([], "77")


def test_a_lost_reply_is_a_doubt_and_the_job_is_adopted_not_submitted_again(bench):
    bench.open(2)
    bench.queue.lose_reply = 1
    batch = bench.again()
    batch.advance()
    with pytest.raises(QueueDown):
        batch.advance()
    batch.advance()
    batch.advance()
    assert (bench.queue.submissions, [job.id for job in batch.ledger.jobs]) == (["dname0", "dname1"], ["101", "102"])


def test_a_job_in_doubt_counts_as_one_that_is_in_the_queue(bench):
    bench.open(2, policy=Policy(parallelism=1))
    bench.queue.lose_reply = 1
    batch = bench.again()
    batch.advance()
    with pytest.raises(QueueDown):
        batch.advance()
    bench.queue.entries.clear()  # accepted, and not shown yet
    batch.advance()
    assert bench.queue.submissions == ["dname0"]


def test_a_queue_that_does_not_answer_settles_no_doubt(bench):
    bench.open(1)
    bench.queue.down = True
    batch = bench.again()
    for _ in range(5):
        with pytest.raises(QueueDown):
            batch.advance()
    assert bench.queue.submissions == []
    bench.queue.down = False
    batch.advance()
    assert bench.queue.submissions == []
    batch.advance()
    assert bench.queue.submissions == ["dname0"]


# ---- what jobs say


def test_a_line_of_a_job_that_still_runs_is_believed_at_once(bench):
    batch = bench.submitted(2, group_size=2)
    bench.queue.start("dname0")
    bench.queue.end("dname0", 0, leave=False)
    batch.advance()
    assert (states(batch), batch.ledger.jobs[0].state) == (["done", None], "running")
    assert batch.ledger.counts()["running"] == 1


def test_a_job_all_of_whose_tasks_have_ended_is_gone_without_a_question_to_the_queue(bench):
    batch = bench.submitted(1)
    bench.queue.end("dname0", 0, leave=False)
    bench.queue.questions.clear()
    batch.advance()
    assert (batch.finished, batch.ledger.jobs[0].state, bench.queue.questions) == (True, "gone", [])


def test_a_verdict_is_durable_and_not_given_again_by_the_next_driver(bench):
    batch = bench.submitted(2)
    bench.queue.end("dname0", 0)
    batch.advance()
    again = bench.again()
    again.advance()
    assert (states(again), bench.worker.codes) == (["done", None], [0])


def test_what_a_task_wrote_is_fetched_before_it_is_judged(bench):
    batch = bench.submitted(1)
    order = []
    bench.queue.fetch = lambda tasks: order.append("fetched")
    bench.worker.judge = lambda *_: order.append("judged")
    bench.queue.end("dname0", 0)
    batch.advance()
    assert order == ["fetched", "judged"]


def test_a_line_about_an_older_attempt_is_no_verdict_on_the_newest(bench):
    batch = bench.submitted(1)
    bench.worker.bad[0] = "no output"
    bench.queue.end("dname0", 1)
    batch.advance()
    bench.worker.bad.clear()
    bench.queue.claims["dname1"] = Claim("8", HERE, {(0, 1): Ended(0, 9)})
    batch.advance()
    assert states(batch) == [None]


def test_a_queue_that_does_not_answer_is_no_reason_to_conclude_anything_of_a_silent_job(bench):
    batch = bench.submitted(2)
    bench.queue.start("dname0")
    batch.advance()
    bench.queue.down = True
    before = bench.folder.ledger.read_text()
    for _ in range(4):
        bench.clock.time += 1000
        with pytest.raises(QueueDown):
            batch.advance()
    noted = bench.folder.ledger.read_text().removeprefix(before).splitlines()
    assert [json.loads(line)["event"] for line in noted] == ["queue"]


# ---- silence


def test_a_silent_job_is_given_up_after_two_looks_and_the_grace_and_not_before(bench):
    batch = bench.submitted(1, grace=90)
    bench.queue.vanish("dname0")
    for waited in (0, 30, 59):
        bench.clock.time += waited
        batch.advance()
        assert states(batch) == [None]
    assert len(bench.queue.submissions) == 1
    bench.clock.time += 1
    batch.advance()
    assert (batch.ledger.jobs[0].state, bench.queue.submissions) == ("gone", ["dname0", "dname1"])


def test_without_a_grace_two_looks_are_still_needed(bench):
    batch = bench.submitted(1)
    bench.queue.vanish("dname0")
    batch.advance()
    assert (batch.ledger.tasks[0].lost, batch.unsure) == (0, True)
    batch.advance()
    assert batch.ledger.tasks[0].lost == 1


def test_the_first_look_in_vain_is_remembered_by_the_next_driver(bench):
    batch = bench.submitted(1, grace=90)
    bench.queue.vanish("dname0")
    batch.advance()
    bench.clock.time += 91
    again = bench.again()
    again.advance()
    assert again.ledger.tasks[0].lost == 1


def test_a_job_that_comes_back_into_view_starts_its_grace_again(bench):
    batch = bench.submitted(1, grace=90)
    entries = list(bench.queue.entries)
    bench.queue.vanish("dname0")
    batch.advance()
    bench.clock.time += 80
    bench.queue.entries = entries
    batch.advance()
    bench.queue.vanish("dname0")
    bench.clock.time += 80
    batch.advance()
    bench.clock.time += 80
    batch.advance()
    assert (states(batch), len(bench.queue.submissions)) == ([None], 1)


def test_a_line_that_arrives_with_the_second_look_is_believed_and_the_task_is_not_lost(bench):
    batch = bench.submitted(2, group_size=2)
    bench.queue.start("dname0")
    batch.advance()
    bench.queue.vanish("dname0")
    batch.advance()
    looks, real = [], bench.queue.live

    def live(names):  # the file arrives between our reading it and the queue's answer
        looks.append(names)
        answer = real(names)
        bench.queue.end("dname0", 0, 3)
        return answer

    bench.queue.live = live
    bench.worker.bad[1] = "no output"
    batch.advance()
    assert looks
    assert [(task.verdict, task.lost, task.failed) for task in batch.ledger.tasks[:1]] == [("done", 0, 0)]
    assert (batch.ledger.tasks[1].lost, batch.ledger.tasks[1].failed) == (0, 1)
    assert bench.worker.codes == [0, 3]


def test_only_the_tasks_that_a_vanished_job_did_not_end_are_lost(bench):
    batch = bench.submitted(3, group_size=3)
    bench.queue.end("dname0", 0)
    batch.advance()
    batch.advance()
    assert [(task.verdict, task.lost) for task in batch.ledger.tasks] == [("done", 0), (None, 1), (None, 1)]
    assert bench.queue.attempts == [[(0, 1), (1, 1), (2, 1)], [(1, 2), (2, 2)]]


def test_the_silence_of_a_job_of_another_host_proves_nothing_and_its_lines_are_believed(bench):
    batch = bench.open(1, own_host=True)
    batch.ledger.append(
        [
            {
                "event": "id",
                "job": 0,
                "id": "9",
                "host": "login2",
                "boot": "another boot",
                "namespace": "pid:[1]",
                "hardware": "",
            }
        ]
    )
    batch = bench.again()
    for _ in range(4):
        bench.clock.time += 1000
        batch.advance()
    assert (states(batch), bench.queue.submissions) == ([None], [])
    bench.queue.claims["dname0"] = Claim("9", LOGIN2, {(0, 1): Ended(0, 9)})
    batch.advance()
    assert states(batch) == ["done"]


# ---- attempts


def drive(bench, batch, act):
    """Let ``act`` happen to each new job until the batch is finished; return how many jobs it took."""
    for _ in range(100):
        if batch.finished:
            return len(bench.queue.submissions)
        for entry in list(bench.queue.entries):
            act(entry.name)
        batch.advance()
    raise AssertionError("it does not end")


def test_a_task_that_the_queue_loses_has_three_more_attempts(bench):
    bench.worker.bad[0] = "no model"
    batch = bench.submitted(1)
    assert drive(bench, batch, bench.queue.vanish) == 4
    assert (states(batch), bench.worker.codes) == (["broken"], [None])


def test_a_task_that_the_queue_ends_may_be_usable_when_its_attempts_are_used_up(bench):
    batch = bench.submitted(1, policy=Policy(retry_count=1))
    assert drive(bench, batch, bench.queue.vanish) == 2
    assert (states(batch), bench.worker.codes) == (["done"], [None])


def test_a_task_whose_program_fails_has_one_more_attempt(bench):
    bench.worker.bad[0] = "no model"
    batch = bench.submitted(1)
    assert drive(bench, batch, lambda name: bench.queue.end(name, 1)) == 2
    assert (states(batch), batch.ledger.tasks[0].why) == (["broken"], "no model")


def test_what_the_queue_lost_does_not_count_as_the_programs_own_failure(bench):
    bench.worker.bad[0] = "no model"
    batch = bench.submitted(1)
    acts = iter(["lost", "failed", "lost", "failed"])
    jobs = drive(
        bench, batch, lambda name: bench.queue.vanish(name) if next(acts) == "lost" else bench.queue.end(name, 1)
    )
    assert (jobs, states(batch)) == (4, ["broken"])
    assert (batch.ledger.tasks[0].lost, batch.ledger.tasks[0].failed) == (2, 1)


def test_a_new_round_gives_broken_tasks_their_attempts_again_and_leaves_the_others_alone(bench):
    bench.worker.bad[1] = "no model"
    batch = bench.submitted(2)
    drive(bench, batch, lambda name: bench.queue.end(name, 1))
    assert states(batch) == ["done", "broken"]
    bench.new_round(batch)
    batch.advance()
    assert bench.queue.attempts[-1] == [(1, 3)]
    assert drive(bench, batch, lambda name: bench.queue.end(name, 1)) == 5
    assert batch.ledger.tasks[0].attempt == 1


def test_the_next_attempt_learns_how_the_last_one_ended(bench):
    bench.worker.bad[0] = "no model"
    batch = bench.submitted(1, policy=Policy(retry_count=1))
    acts = iter(["lost", "failed", "failed"])
    drive(bench, batch, lambda name: bench.queue.vanish(name) if next(acts) == "lost" else bench.queue.end(name, 1))
    assert bench.worker.carried == [(2, "lost"), (3, "failed")]


def test_a_training_that_only_the_queue_has_ended_is_not_taken_for_a_failed_one_in_the_next_round(bench):
    """It would throw a week's checkpoint away and start anew with other seeds."""
    bench.worker.bad[0] = "exit code None"
    batch = bench.submitted(1, policy=Policy(retry_count=1))
    drive(bench, batch, bench.queue.vanish)
    assert states(batch) == ["broken"]
    bench.new_round(batch)
    batch.advance()
    assert bench.worker.carried[-1] == (3, "lost")


def test_a_task_whose_turn_never_came_in_its_job_loses_no_attempt(bench):
    """A job of fifty tasks and a walltime for ten: the last one must not be broken before it ever ran."""
    bench.open(2, group_size=2)
    batch = bench.again()
    for _ in range(3):
        batch.advance()
    bench.queue.idle = {1}
    bench.queue.end("dname0", 0)
    batch.advance()
    bench.clock.time += 100
    batch.advance()
    assert (states(batch)[0], batch.ledger.tasks[1].lost, batch.ledger.tasks[1].attempt) == ("done", 0, 2)


def test_a_retried_task_gets_a_folder_of_its_own_before_its_job_is_submitted(bench):
    batch = bench.submitted(1)
    (bench.folder.task(0) / "log").write_text("evidence")
    bench.queue.vanish("dname0")
    batch.advance()
    batch.advance()
    assert (bench.folder.attempt(0, 1) / "log").read_text() == "evidence"
    assert sorted(path.name for path in bench.folder.task(0).iterdir()) == ["attempt", "in"]


def test_advance_says_whether_anything_changed(bench):
    batch = bench.submitted(1)
    assert not batch.advance()
    bench.queue.start("dname0")
    assert batch.advance()
    assert not batch.advance()
    bench.queue.end("dname0", 0)
    assert batch.advance()


def test_one_look_asks_the_queue_once_however_many_jobs_there_are(bench):
    batch = bench.submitted(20)
    bench.queue.questions.clear()
    batch.advance()
    assert len(bench.queue.questions) == 1


# ---- a queue in trouble


def test_an_outage_is_noted_once_with_its_words_and_ends_with_the_first_answer(bench):
    batch = bench.submitted(1)
    bench.queue.down = True
    began = bench.clock.time
    for _ in range(3):
        with pytest.raises(QueueDown):
            batch.advance()
        bench.clock.time += 100
    trouble = bench.again().ledger.trouble
    assert (trouble.state, trouble.since, trouble.words) == ("down", began, "no answer")
    bench.queue.down = False
    batch.advance()
    assert bench.again().ledger.trouble is None
    assert len(bench.events("queue")) == 2


def test_a_queue_that_is_full_gets_the_next_job_later_and_what_runs_is_seen_meanwhile(bench):
    bench.open(3)
    batch = bench.again()
    bench.queue.room = 2
    for _ in range(3):
        batch.advance()
    assert (bench.queue.submissions, batch.ledger.trouble.state) == (["dname0", "dname1"], "full")
    bench.queue.end("dname0", 0)
    batch.advance()
    assert states(batch) == ["done", None, None]
    bench.queue.room = 3
    batch.advance()
    assert (bench.queue.submissions[2:], batch.ledger.trouble) == (["dname2"], None)
    assert len(bench.events("queue")) == 2


def test_a_full_queue_has_surely_not_taken_the_job_so_that_no_look_is_lost_on_it(bench):
    bench.open(1)
    bench.queue.room = 0
    batch = bench.again()
    for _ in range(2):
        batch.advance()
    bench.queue.room = 1
    batch.advance()
    assert bench.queue.submissions == ["dname0"]


def test_a_job_is_in_doubt_for_as_long_as_a_dead_drivers_submit_command_lives(bench):
    bench.open(1)
    bench.queue.underway = {"dname0"}
    batch = bench.again()
    for _ in range(5):
        batch.advance()
    assert bench.queue.submissions == []
    bench.queue.entries = [Entry("dname0", "77", running=False)]
    bench.queue.underway = set()
    batch.advance()
    assert (bench.queue.submissions, batch.ledger.jobs[0].id) == ([], "77")


# ---- who ended an attempt


@pytest.mark.parametrize("code", [137, 143, 129])
def test_a_program_that_was_killed_is_lost_and_not_its_own_failure(bench, code):
    """Out of memory, a walltime: a training goes on from its checkpoint instead of getting other seeds."""
    bench.worker.bad[0] = "no model"
    batch = bench.submitted(1)
    drive(bench, batch, lambda name: bench.queue.end(name, code))
    task = batch.ledger.tasks[0]
    assert (task.lost, task.failed, len(bench.queue.submissions)) == (3, 0, 4)
    assert task.why == f"killed by signal {code - 128}: by the user, or out of memory; no model"
    assert bench.worker.codes == [None]


@pytest.mark.parametrize("code", [139, 134, 1])
def test_a_crash_is_the_programs_own_failure(bench, code):
    bench.worker.bad[0] = "no model"
    batch = bench.submitted(1)
    drive(bench, batch, lambda name: bench.queue.end(name, code))
    assert (batch.ledger.tasks[0].lost, len(bench.queue.submissions)) == (0, 2)


@pytest.mark.parametrize("end", [lambda queue: queue.vanish("dname0"), lambda queue: queue.end("dname0", 143)])
def test_the_queues_own_words_say_why_an_attempt_was_lost(bench, end):
    batch = bench.submitted(1)
    bench.queue.words["dname0"] = "the queue ended its job at the walltime"
    end(bench.queue)
    batch.advance()
    batch.advance()
    assert json.loads(bench.events("verdict")[0])["why"] == "the queue ended its job at the walltime"


def verdicts(bench):
    return [(event["task"], event["why"]) for event in map(json.loads, bench.events("verdict"))]


def test_a_killed_job_is_judged_when_the_queue_no_longer_lists_it_and_has_said_why(bench):
    """The program's end stands in the claim before PBS and LSF deliver the report."""
    batch = bench.submitted(1)
    bench.queue.start("dname0")
    bench.queue.end("dname0", 143, leave=False)
    for _ in range(3):
        batch.advance()
    assert verdicts(bench) == []
    bench.queue.vanish("dname0")
    bench.queue.words["dname0"] = "the queue ended its job at the walltime"
    batch.advance()
    assert verdicts(bench) == [(0, "the queue ended its job at the walltime")]


def test_a_killed_process_of_another_host_is_judged_at_once_for_no_queue_will_say_more(bench):
    batch = bench.submitted(1, own_host=True)
    bench.queue.start("dname0", host=LOGIN2)
    batch.ledger.jobs[0].host = LOGIN2
    bench.queue.end("dname0", 143, leave=False)
    batch.advance()
    assert [task for task, _ in verdicts(bench)] == [0]


def test_a_killed_task_after_which_its_job_went_on_is_judged_at_once(bench):
    batch = bench.submitted(3, group_size=3)
    bench.queue.idle = {1, 2}
    bench.queue.start("dname0")
    bench.queue.end("dname0", 137, leave=False)
    batch.advance()
    assert verdicts(bench) == []
    bench.queue.idle = {2}
    batch.advance()
    assert [task for task, _ in verdicts(bench)] == [0]


def test_a_task_over_its_timeout_is_the_programs_own_failure_unless_it_is_said_to_be_transient(bench):
    bench.worker.bad[0] = "no model"
    batch = bench.submitted(1, policy=Policy(timeout=60))
    bench.queue.seconds = 60
    drive(bench, batch, lambda name: bench.queue.end(name, 124))
    task = batch.ledger.tasks[0]
    assert (task.why, len(bench.queue.submissions)) == ("it took longer than its timeout of 60 s; no model", 2)


def test_a_transient_timeout_is_lost_to_the_queue(bench):
    bench.worker.bad[0] = "no model"
    batch = bench.submitted(1, policy=Policy(timeout=60, timeout_is_transient=True, retry_count=2))
    bench.queue.seconds = 61
    drive(bench, batch, lambda name: bench.queue.end(name, 137))
    assert (batch.ledger.tasks[0].lost, len(bench.queue.submissions)) == (2, 3)


def test_an_exit_code_like_that_of_a_timeout_before_its_time_is_the_programs_own(bench):
    bench.worker.bad[0] = "no model"
    batch = bench.submitted(1, policy=Policy(timeout=60, timeout_is_transient=True))
    drive(bench, batch, lambda name: bench.queue.end(name, 124))
    assert (batch.ledger.tasks[0].lost, batch.ledger.tasks[0].why) == (0, "no model")


# ---- what the user changes, and hosts that are dead


def test_a_job_gets_the_command_of_the_moment_of_its_submission(bench):
    batch = bench.open(2, policy=Policy(parallelism=1))
    batch.advance()
    bench.worker.command = "corrected"
    bench.queue.end(batch.ledger.jobs[0].name, 0) if bench.queue.submissions else None
    for _ in range(4):
        batch.advance()
    assert Ledger.read(bench.folder.ledger).jobs[-1].command == "corrected"


# ---- a queue that rejects a job


def replies(bench, monkeypatch, *answers):
    """Let the next submissions be answered so; later ones are accepted."""
    coming, accept = list(answers), bench.queue.submit
    asked = []

    def submit(*arguments):
        asked.append(arguments[0].name)
        if coming:
            raise coming.pop(0)
        return accept(*arguments)

    monkeypatch.setattr(bench.queue, "submit", submit)
    return asked


def test_a_job_is_submitted_once_more_and_the_same_words_again_are_an_answer(bench, monkeypatch):
    batch = bench.open(2)
    asked = replies(bench, monkeypatch, *[SubmissionRefused("invalid qos")] * 3)
    assert batch.advance()
    assert batch.unsure
    assert bench.queue.withdrawn == "dname0"
    with pytest.raises(SubmissionRefused, match="invalid qos"):
        batch.advance()
    assert asked == ["dname0", "dname0"]
    assert bench.queue.questions == []  # a rejected job is not looked for as one in doubt would be


def test_a_rejection_that_passes_costs_nothing(bench, monkeypatch):
    batch = bench.open(1)
    replies(bench, monkeypatch, SubmissionRefused("invalid account"))
    batch.advance()
    assert batch.ledger.trouble.state == QueueStatus.REFUSED
    batch.advance()
    assert (bench.queue.submissions, batch.ledger.trouble, batch.ledger.refusals) == (["dname0"], None, set())


def test_times_and_numbers_in_the_words_do_not_make_them_others(bench, monkeypatch):
    batch = bench.open(1)
    replies(bench, monkeypatch, SubmissionRefused("12:03 job 17: no"), SubmissionRefused("12:04 job 18: no"))
    batch.advance()
    with pytest.raises(SubmissionRefused):
        batch.advance()


def test_words_in_turn_are_an_answer_too(bench, monkeypatch):
    batch = bench.open(1)
    replies(bench, monkeypatch, *[SubmissionRefused(word) for word in ("a", "b", "a")])
    batch.advance()
    batch.advance()
    with pytest.raises(SubmissionRefused, match="a"):
        batch.advance()


def test_an_outage_in_between_does_not_make_a_rejection_forgotten(bench, monkeypatch):
    batch = bench.open(1)
    replies(bench, monkeypatch, SubmissionRefused("no"), QueueDown("timeout"), SubmissionRefused("no"))
    batch.advance()
    with pytest.raises(QueueDown):
        batch.advance()
    batch.advance()
    with pytest.raises(SubmissionRefused):
        batch.advance()


def test_a_rejection_that_nobody_documents_is_looked_for_by_name_before_it_is_tried_again(bench, monkeypatch):
    batch = bench.open(1)
    odd = SubmissionRefused("Zut alors", certain=False)
    asked = replies(bench, monkeypatch, odd, odd)
    batch.advance()
    assert batch.unsure
    batch.advance()
    assert asked == ["dname0"]
    assert bench.queue.questions == [["dname0"]]
    with pytest.raises(SubmissionRefused):
        batch.advance()
    assert asked == ["dname0", "dname0"]
    assert not hasattr(bench.queue, "withdrawn")


def test_a_job_that_was_accepted_with_odd_words_is_found(bench, monkeypatch):
    batch = bench.open(1)
    replies(bench, monkeypatch, SubmissionRefused("Zut alors", certain=False))
    batch.advance()
    bench.queue.entries.append(Entry("dname0", "77", running=False))
    batch.advance()
    assert batch.ledger.jobs[0].id == "77"
    assert not batch.in_doubt


def test_a_rejection_is_remembered_by_the_next_driver(bench, monkeypatch):
    batch = bench.open(1)
    replies(bench, monkeypatch, SubmissionRefused("no"))
    batch.advance()
    again = bench.again()
    replies(bench, monkeypatch, SubmissionRefused("no"))
    again.advance()
    with pytest.raises(SubmissionRefused):
        again.advance()


def test_a_queue_that_lists_but_does_not_accept_is_not_said_to_answer_again(bench, monkeypatch):
    batch = bench.open(1)
    replies(bench, monkeypatch, *[QueueDown("no connection")] * 2)
    for _ in range(2):
        with pytest.raises(QueueDown):
            batch.advance()
        batch.advance()
        assert batch.ledger.trouble.state == QueueStatus.DOWN
    states = [event["state"] for event in events(bench.folder.ledger) if event["event"] == "queue"]
    assert states == [QueueStatus.DOWN]


# ---- how jobs have ended


def test_the_queues_last_words_in_the_output_need_no_second_look(bench):
    batch = bench.submitted(1, grace=90.0)
    bench.queue.over.add("dname0")
    batch.advance()
    assert batch.ledger.tasks[0].lost == 0  # the queue still lists it
    bench.queue.vanish("dname0")
    batch.advance()
    assert batch.ledger.tasks[0].lost == 1


def test_a_queue_that_remembers_the_end_of_a_job_is_believed_at_once(bench):
    batch = bench.submitted(1, grace=90.0)
    bench.queue.vanish("dname0")
    bench.queue.remembered["dname0"] = "JobState=NODE_FAIL"
    batch.advance()
    assert batch.ledger.tasks[0].lost == 1


def test_the_queue_is_asked_in_one_call_how_all_jobs_of_a_look_have_ended(bench):
    batch = bench.submitted(3)
    for name in ("dname0", "dname1"):
        bench.queue.vanish(name)
    bench.queue.remembered["dname1"] = "JobState=NODE_FAIL"
    batch.advance()
    assert bench.queue.recalled == [["dname0", "dname1"]]
    batch.advance()  # the accounting may be late
    assert bench.queue.recalled == [["dname0", "dname1"], ["dname0"]]
    assert [job.history for job in Ledger.read(bench.folder.ledger).jobs[:3]] == [None, "JobState=NODE_FAIL", None]


def test_the_queue_is_not_asked_about_jobs_that_have_said_everything(bench):
    batch = bench.submitted(1)
    bench.queue.end("dname0", 0)
    batch.advance()
    assert bench.queue.recalled == []


def test_jobs_of_a_dead_host_are_given_up_when_the_user_says_so(bench):
    batch = bench.open(1, own_host=True)
    batch.ledger.append([{"event": "id", "job": 0, "id": "9", "host": "login2", "boot": "x", "namespace": "y"}])
    assert batch.elsewhere() == {"login2"}
    assert batch.declare_dead() == ["dname0"]
    assert states(batch) == ["lost"]
    assert batch.elsewhere() == set()


def test_an_attempt_is_not_judged_by_the_files_of_another_one(bench):
    """A driver that was slower than its successor, or files that the user has moved."""
    batch = bench.submitted(1)
    write_attempt(bench.folder.task(0), 7)
    bench.queue.end("dname0", 0)
    batch.advance()
    assert batch.ledger.tasks[0].why == "the folder 'task.0000' is not that of attempt 1"
    assert bench.worker.codes == []


def test_an_attempt_whose_folder_was_removed_is_not_judged_either(bench):
    batch = bench.submitted(1)
    bench.folder.task(0).rename(bench.folder.path / "away")
    bench.queue.end("dname0", 0)
    with pytest.raises(StateError, match="task.0000' is missing, and its task is not done.*dpgen2-hpc rewind train"):
        batch.advance()
    (verdict,) = (json.loads(line) for line in bench.events("verdict"))
    assert (verdict["state"], verdict["why"]) == ("failed", "the folder 'task.0000' is missing")
    assert bench.worker.codes == []


def test_jobs_of_this_machine_before_its_restart_are_not_waited_for(bench, monkeypatch):
    """Nothing of them lives, and nobody has to say so."""
    batch = bench.open(1, own_host=True)
    monkeypatch.setattr(host, "_identifiers", lambda: ("boot", "pid:[1]", "hardware"))
    before = {"host": "renamed", "boot": "the boot before", "namespace": "pid:[9]", "hardware": "hardware"}
    batch.ledger.append([{"event": "id", "job": 0, "id": "9", **before}])
    assert batch.elsewhere() == set()
    batch = bench.again()
    for _ in range(3):
        batch.advance()
    assert (batch.ledger.tasks[0].attempt, batch.ledger.tasks[0].lost) == (2, 1)


def test_a_jump_of_the_wall_clock_gives_up_no_job(bench, monkeypatch):
    """Within one boot the time since boot counts, whatever the clock says."""
    batch = bench.submitted(1, grace=90.0)
    bench.queue.vanish("dname0")
    uptime = [50.0]
    bench.clock.now = lambda: Moment(bench.clock.time, "boot", uptime[0])
    batch.advance()
    bench.clock.time += 1e6
    uptime[0] += 10
    batch.advance()
    bench.again().advance()
    assert states(batch) == [None]
    assert batch.ledger.tasks[0].attempt == 1
    uptime[0] += 81
    batch = bench.again()
    batch.advance()
    assert (batch.ledger.tasks[0].attempt, batch.ledger.tasks[0].lost) == (2, 1)
