"""What would happen: the next tasks, jobs and scripts, without a trace in the work directory."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dpgen2_hpc.loop import begin, follow
from dpgen2_hpc.loop.contents import refuse_other_contents
from dpgen2_hpc.loop.plan import Plan
from dpgen2_hpc.loop.prepare import prepare
from dpgen2_hpc.loop.step import Step
from dpgen2_hpc.state.ledger import JobState, Ledger
from dpgen2_hpc.state.record import Record, read_record
from dpgen2_hpc.state.words import Phase
from dpgen2_hpc.state.workdir import Place, WorkDir, iteration_name


def describe_next(workdir: WorkDir, plan: Plan) -> str:
    """Return what ``run`` would do next."""
    if not workdir.record.exists():
        begin.refuse_strange(workdir)
        with tempfile.TemporaryDirectory() as folder:
            aside = WorkDir(Path(folder).resolve())
            follow.write_inputs(aside, plan)
            return _next_step(aside, plan, Record.begin(aside.root, plan.param.settings.seed))
    record = read_record(workdir.record)
    if workdir.inputs.exists():
        refuse_other_contents(workdir, note=False)
    changed = list(_changes(workdir, plan, record))
    if record.phase == Phase.PENDING:
        with _mirror(workdir, record) as aside:
            return "\n".join([*changed, _next_step(aside, plan, record)])
    ledger = Ledger.read(workdir.step(record.iteration, record.step).ledger)
    counts = ", ".join(f"{number} {name}" for name, number in ledger.counts().items())
    waiting = len(ledger.waiting())
    lines = [f"{iteration_name(record.iteration)}, {record.step} is {record.phase}: tasks: {counts}"]
    if waiting:
        lines.append(f"would submit jobs for {waiting} tasks that wait")
    lines.append(f"would go on with {len(ledger.open_jobs())} jobs that are not known to have ended")
    return "\n".join([*changed, *lines])


def _changes(workdir: WorkDir, plan: Plan, record: Record) -> Iterator[str]:
    """Yield what would become of each change of ``param.json``."""
    for change in follow.pending_changes(workdir, plan):
        if not follow.is_allowed(change, record):
            yield f"would refuse the change: {change}"
        elif follow.is_for_later(change, record):
            yield f"would follow the change from the next iteration on: {change}"
        else:
            yield f"would follow the change: {change}"


def _next_step(workdir: WorkDir, plan: Plan, record: Record) -> str:
    """Prepare the step in ``workdir``, which is not the real one, and tell what came out."""
    step = plan.steps()[record.step]
    place = Place(workdir, record.seed, record.iteration, record.stage, record.index_in_stage)
    prepare(step, place, plan.forward_files(record.step))
    folder = place.folder(record.step)
    tasks = Ledger.read(folder.ledger).tasks
    where = f"{folder.path.parent.name}/{folder.path.name}"
    if not tasks:
        return f"would do {where}, which has no tasks"
    site = plan.site(workdir, record)
    size = site.machine.group_size or len(tasks)
    first = tasks[:size]
    job = JobState(0, "JOB-NAME", tuple((task.index, 1) for task in first), step.command)
    for task in first:
        task.attempt = 1
    script = _without_secrets(site.script(job, first, plan.policies[record.step]), plan, step)
    return (
        f"would prepare {len(tasks)} tasks in {where} and submit {-(-len(tasks) // size)} jobs of at most {size} tasks "
        f"to {site.machine.machine['batch_type']}; the first task runs:\n  {step.command}\n"
        f"the first job's script:\n\n{script}"
    )


def _without_secrets(script: str, plan: Plan, step: Step) -> str:
    """Return a script without the values of the variables that ``machine.json`` sets: they may be tokens."""
    names = {*plan.policies[step.name].envs, *plan.machines[step.name].resources["envs"]}
    for name in names:
        script = re.sub(rf"^(export {re.escape(name)})=.*$", r"\1=***", script, flags=re.MULTILINE)
    return script


@contextmanager
def _mirror(workdir: WorkDir, record: Record) -> Iterator[WorkDir]:
    """Yield a stand-in of the directory: links to all there is, and a folder of its own for the next step."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        current = iteration_name(record.iteration)
        (root / current).mkdir()
        for source, target in ((workdir.root, root), (workdir.root / current, root / current)):
            for entry in source.iterdir() if source.is_dir() else ():
                if entry.name != current:
                    (target / entry.name).symlink_to(entry)
        next_step = WorkDir(root).step(record.iteration, record.step).path
        next_step.unlink(missing_ok=True)
        yield WorkDir(root)
