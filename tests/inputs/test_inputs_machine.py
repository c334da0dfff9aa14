"""machine.json, and the same words in param.json: what they mean together, and what a tired person reads."""

import copy
import json
from pathlib import Path

import pytest
from project import MACHINE, PARAM, write_initial_data

from dpgen2_hpc.dispatch.machine import StepMachine, bound_context, script_parts
from dpgen2_hpc.dispatch.policy import Policy
from dpgen2_hpc.errors import InputError
from dpgen2_hpc.inputs.changes import changes
from dpgen2_hpc.inputs.param import root
from dpgen2_hpc.inputs.policy import RETRIES
from dpgen2_hpc.loop.plan import load_plan

DEFAULT = {
    "machine": {"batch_type": "Slurm", "context_type": "LazyLocalContext"},
    "resources": {"group_size": 1},
}
SECTIONS = ("train", "explore", "fp")


def lines(error, folder):
    """The faults without the name of the folder."""
    return [line.replace(f"{folder}/", "") for line in str(error.value).splitlines()]


@pytest.fixture
def files(tmp_path):
    """A function that reads a param.json and a machine.json, and gives the plan."""
    write_initial_data(tmp_path / "data")

    def plan(machine, **param):
        (tmp_path / "param.json").write_text(json.dumps({**PARAM, **param}, indent=1))
        (tmp_path / "machine.json").write_text(machine if isinstance(machine, str) else json.dumps(machine, indent=1))
        return load_plan(tmp_path / "param.json", tmp_path / "machine.json")

    return plan


def machine(*, default=None, **sections):
    """A machine.json with a default that is enough, and these sections."""
    whole = {"default": {**DEFAULT, **(default or {})}, "train": {}, "explore": {}, "fp": {}, **sections}
    return copy.deepcopy(whole)


def resources(**keys):
    return machine(fp={"resources": keys})


def place(**keys):
    return machine(default={"machine": {**DEFAULT["machine"], **keys}})


# ---- what is wrong

FORWARD = "train.user_forward_files"
OLD = (
    "{}: this is a machine file of DP-GEN from before api_version 1.0, which is not read: give each of train, model_devi "
    "and fp a command, a machine (batch_type, context_type) and resources"
)

BROKEN = {
    "nothing in it": (
        {},
        [
            "train: this key is missing: expected an object",
            "explore: this key is missing: expected an object",
            "fp: this key is missing: expected an object",
        ],
    ),
    "a step without machine and resources": (
        {"train": DEFAULT, "explore": DEFAULT, "fp": {"command": "vasp"}},
        [
            "fp.machine: this key is missing: expected an object",
            "fp.resources: this key is missing: expected an object",
        ],
    ),
    "a default that lacks what all need": (
        {"default": {"machine": DEFAULT["machine"], "resources": {}}, "train": {}, "explore": {}, "fp": {}},
        ["default.resources.group_size: this key is missing: expected a whole number"],
    ),
    "a default that is no object": (
        {"default": 3, "train": DEFAULT, "explore": DEFAULT, "fp": DEFAULT},
        ["default: expected an object, found the number 3"],
    ),
    "an empty list": (
        machine(train=[]),
        ["train: is an empty list: write the machine of the step, as an object"],
    ),
    "a list of a word": (machine(train=["slurm"]), ["train[0]: expected an object, found the string 'slurm'"]),
    "a section that is a number": (machine(fp=3), ["fp: expected an object, found the number 3"]),
    "a section's name misspelt": (machine(trian={}), ["trian: unknown key 'trian'; did you mean 'train'?"]),
    "DP-GEN's name misspelt": (
        machine(model_dev={}),
        ["model_dev: unknown key 'model_dev'; did you mean 'model_devi'?"],
    ),
    "one section under two names": (
        machine(model_devi={}),
        ["model_devi: 'explore' and 'model_devi' are the same key: give only one of them"],
    ),
    "a version that is a list": (
        machine(api_version=[1, 0]),
        ['api_version: expected a string such as "1.0", found a list'],
    ),
    "a version of long ago": (
        machine(api_version="0.9"),
        [
            (
                "api_version: '0.9' is DP-GEN's format before dpdispatcher, which is not read: give each of train, "
                'model_devi and fp a "machine" and a "resources" as in machine_examples/dpgen-slurm.json, then write "1.0"'
            )
        ],
    ),
    "no version": (
        machine(api_version="latest"),
        ["api_version: 'latest' is no version: write \"1.0\", or leave the key out"],
    ),
    "DP-GEN's file of before 1.0": (
        {
            "deepmd_path": "/opt/deepmd",
            "train_machine": {"machine_type": "slurm", "work_path": "/w"},
            "train_resources": {"numb_node": 1, "partition": "gpu"},
            "lmp_command": "lmp",
            "fp_command": "vasp_std",
        },
        [OLD.format("deepmd_path")],
    ),
    "DP-GEN's lists of before 1.0": (
        {
            step: [{"machine": {"batch": "slurm", "work_path": "/w"}, "resources": {"numb_node": 1}, "command": "x"}]
            for step in ("train", "model_devi", "fp")
        },
        [OLD.format("train[0].machine.batch")],
    ),
    "DP-GEN's resources of before 1.0": (
        {"train": {"machine": {}, "resources": {"task_per_node": 4, "exclude_list": []}}, "api_version": "0.9"},
        [OLD.format("train.resources.task_per_node")],
    ),
    "a file of dpdispatcher": (
        DEFAULT,
        [
            (
                "machine: this is a file of dpdispatcher alone, which knows no steps: put machine and resources into "
                "'default', and what one step needs into train, explore or fp"
            )
        ],
    ),
    "the machine of dpdispatcher": (
        DEFAULT["machine"],
        [
            (
                "batch_type: this is a file of dpdispatcher alone, which knows no steps: put batch_type and context_type "
                "into 'default.machine'"
            )
        ],
    ),
    "a machine beside the sections": (
        machine(resources={"group_size": 1}),
        [
            "resources: unknown key 'resources': it belongs in a section: train, explore, fp, or 'default' for all of them"
        ],
    ),
    "keys in the wrong object": (
        machine(
            fp={
                "machine": {"queue_name": "x", "custom_gpu_line": None},
                "resources": {"local_root": "./", "command": "x", "kwargs": {"para_deg": 1}, "parallelism": 4},
                "group_size": 3,
                "context_type": "local",
            }
        ),
        [
            "fp.machine.queue_name: unknown key 'queue_name': it belongs in resources",
            "fp.machine.custom_gpu_line: unknown key 'custom_gpu_line': it belongs in resources.kwargs",
            "fp.resources.local_root: unknown key 'local_root': it belongs in machine",
            "fp.resources.command: unknown key 'command': it belongs beside resources",
            "fp.resources.kwargs.para_deg: unknown key 'para_deg': it belongs in resources",
            "fp.resources.parallelism: unknown key 'parallelism': it belongs beside resources",
            "fp.group_size: unknown key 'group_size' here: it belongs in fp.resources",
            "fp.context_type: unknown key 'context_type' here: it belongs in fp.machine",
        ],
    ),
    "names of long ago": (
        resources(numb_node=1, partition="x", time_limit="1:0:0", nodes=2),
        [
            "fp.resources.numb_node: unknown key 'numb_node': write number_node, in resources",
            "fp.resources.partition: unknown key 'partition': write queue_name, in resources",
            "fp.resources.time_limit: unknown key 'time_limit': write a line of custom_flags, in resources",
            "fp.resources.nodes: unknown key 'nodes': write number_node, in resources",
        ],
    ),
    "an image": (
        resources(image_list=["deepmd"]),
        [
            "fp.resources.image_list: unknown key 'image_list': there are no containers here: start the program in one, as"
        ],
    ),
    "the host of another context": (
        place(context_type="local", remote_root="w", remote_profile={"hostname": "x", "symlnk": False}),
        [
            "default.machine.remote_profile.hostname: unknown key 'hostname': it is for SSHContext, which is not available",
            "default.machine.remote_profile.symlnk: unknown key 'symlnk'; did you mean 'symlink'?",
        ],
    ),
    "a cloud": (
        place(batch_type="Lebesgue", context_type="LebesgueContext", remote_profile={"email": "x", "input_data": {}}),
        ["default.machine.context_type: 'LebesgueContext' is not available yet in this version"],
    ),
    "a variable in remote_root": (
        place(context_type="local", remote_root="$SCRATCH/x"),
        ["default.machine.remote_root: '$SCRATCH/x' has a '$', and no shell reads it: write the path itself"],
    ),
    "modules and scripts that a shell would change": (
        resources(module_list=["gcc/$(uname)", "a;b"], source_list=["env.sh > log", "-x", "a*.sh"]),
        [
            f"fp.resources.{key}: '{entry}' has more than names in it: write '{command} {entry}' into prepend_script"
            for key, command, entry in [
                ("module_list", "module load", "gcc/$(uname)"),
                ("module_list", "module load", "a;b"),
                ("source_list", "source", "env.sh > log"),
            ]
        ]
        + [
            "fp.resources.source_list: '-x' begins with '-': write 'source -x' into prepend_script",
            "fp.resources.source_list: 'a*.sh' has more than names in it: write 'source a*.sh' into prepend_script",
        ],
    ),
    "two lines in a module": (
        resources(module_list=["a\nb"]),
        ["fp.resources.module_list: 'a\\nb' has a line break or a NUL character: write each line as an entry"],
    ),
    "variables that mean others": (
        resources(envs={"PATH": "/opt/bin:$PATH", "LIST": ["~/x", "y"], "NOW": "$(date) x"}),
        [
            (
                "fp.resources.envs.PATH: '/opt/bin:$PATH' is set as it is, nothing in it is replaced: write 'export "
                "PATH=/opt/bin:$PATH' into prepend_script"
            ),
            (
                "fp.resources.envs.LIST: '~/x' is set as it is, nothing in it is replaced: write 'export LIST=~/x' into "
                "prepend_script"
            ),
            (
                "fp.resources.envs.NOW: '$(date) x' is set as it is, nothing in it is replaced: write 'export "
                'NOW="$(date) x"\' into prepend_script'
            ),
        ],
    ),
    "a GPU for each task, and none": (
        resources(strategy={"if_cuda_multi_devices": True}, number_node=2),
        [
            (
                "fp.resources.strategy.if_cuda_multi_devices: gives each task one of a node's GPUs: set gpu_per_node to how "
                "many a node has"
            ),
            (
                "fp.resources.strategy.if_cuda_multi_devices: gives each task one of a node's GPUs: number_node must be 1"
            ),
        ],
    ),
    "a header with braces of a shell": (
        resources(strategy={"customized_script_header_template_file": "braces.txt"}),
        [
            (
                "fp.resources.strategy.customized_script_header_template_file: cannot be filled in ('USER'): only keys of "
                "resources stand in braces; a shell's are doubled: ${{X}}"
            )
        ],
    ),
    "a batch system misspelt": (
        place(batch_type="Slrum"),
        [
            (
                "default.machine.batch_type: 'Slrum' is unknown; did you mean 'Slurm'? There "
                "is: Shell, Slurm, PBS, Torque, LSF"
            )
        ],
    ),
    "a batch system that is said twice, and not alike": (
        resources(batch_type="PBS"),
        ["fp.resources.batch_type: is 'PBS', but machine.batch_type is 'Slurm': leave it out here"],
    ),
    "a batch system that is not there": (
        place(batch_type="Bohrium"),
        [
            (
                "default.machine.batch_type: 'Bohrium' is not available yet in this version; there is: Shell, Slurm, PBS, "
                "Torque, LSF"
            )
        ],
    ),
    "a context that is not there": (
        place(context_type="SSHContext"),
        ["default.machine.context_type: 'SSHContext' is not available yet in this version"],
    ),
    "a context misspelt": (
        place(context_type="LazyLocalContex"),
        [
            (
                "default.machine.context_type: unknown context_type 'LazyLocalContex'; did you mean 'LazyLocalContext'? "
                "Known here: LazyLocalContext, LocalContext."
            )
        ],
    ),
    "a copy without a place": (
        place(context_type="local"),
        [
            "default.machine.remote_root: is missing: the folder in which the jobs of LocalContext run (LazyLocalContext needs"
        ],
    ),
    "a key of the machine misspelt": (
        place(bacth_type="Slurm"),
        ["default.machine.bacth_type: unknown key 'bacth_type'; did you mean 'batch_type'?"],
    ),
    "fewer retries than none": (
        place(retry_count=-1),
        ["default.machine.retry_count: must be at least 0, found -1"],
    ),
    "no node": (resources(number_node=0), ["fp.resources.number_node: must be at least 1, found 0"]),
    "no core": (resources(cpu_per_node=0), ["fp.resources.cpu_per_node: must be at least 1, found 0"]),
    "cores in quotes": (
        resources(cpu_per_node="4"),
        ["fp.resources.cpu_per_node: expected a whole number, found the string '4'"],
    ),
    "half a node too many": (
        resources(number_node=1.5),
        ["fp.resources.number_node: expected a whole number, found the number 1.5"],
    ),
    "fewer GPUs than none": (resources(gpu_per_node=-1), ["fp.resources.gpu_per_node: must be at least 0, found -1"]),
    "groups of fewer than none": (resources(group_size=-5), ["fp.resources.group_size: must be at least 0, found -5"]),
    "none at a time": (resources(para_deg=0), ["fp.resources.para_deg: must be at least 1, found 0"]),
    "a wait of less than no time": (resources(wait_time=-1), ["fp.resources.wait_time: must be at least 0, found -1"]),
    "a key of the resources misspelt": (
        resources(queue_nam="gpu"),
        ["fp.resources.queue_nam: unknown key 'queue_nam'; did you mean 'queue_name'?"],
    ),
    "a queue with a space": (
        resources(queue_name="my queue"),
        ["fp.resources.queue_name: 'my queue' cannot be a queue: a name has no spaces, quotes or shell characters"],
    ),
    "a queue in quotes": (
        resources(queue_name="'gpu'"),
        ["fp.resources.queue_name: \"'gpu'\" cannot be a queue: a name has no spaces, quotes or shell characters"],
    ),
    "a queue that brings its own line": (
        resources(queue_name="gpu\n#SBATCH --array=1-9"),
        ["fp.resources.queue_name: 'gpu\\n#SBATCH --array=1-9' cannot be a queue: a name has no spaces, quotes"],
    ),
    "a module that is no list": (
        resources(module_list="deepmd-kit"),
        ["fp.resources.module_list: expected a list of strings, found the string 'deepmd-kit'"],
    ),
    "flags that are no list": (
        resources(custom_flags="#SBATCH --time=1:00:00"),
        ["fp.resources.custom_flags: expected a list of strings, found the string '#SBATCH --time=1:00:00'"],
    ),
    "a flag that makes an array": (
        resources(custom_flags=["#SBATCH --time=1:00:00", "#SBATCH -a 0-9"]),
        [
            (
                "fp.resources.custom_flags: '#SBATCH -a 0-9': -a 0-9 makes one job several: remove it (group_size says how "
                "many tasks run in one job)"
            )
        ],
    ),
    "a flag that makes an array, abbreviated": (
        resources(custom_flags=["#SBATCH --arr=0-2"]),
        ["fp.resources.custom_flags: '#SBATCH --arr=0-2': --arr=0-2 makes one job several: remove it"],
    ),
    "a flag that makes sbatch wait": (
        resources(custom_flags=["#SBATCH --mem=1G --wait"]),
        ["fp.resources.custom_flags: '#SBATCH --mem=1G --wait': --wait makes sbatch wait until the job has ended: rem"],
    ),
    "an array on the second line of a flag": (
        resources(custom_flags=["#SBATCH --time=1\n#SBATCH --array=0-9"]),
        ["fp.resources.custom_flags: '#SBATCH --array=0-9': --array=0-9 makes one job several"],
    ),
    "a flag without its beginning": (
        resources(custom_flags=["--time=1:00:00"]),
        ["fp.resources.custom_flags: '--time=1:00:00' would run as a command: begin it with #SBATCH"],
    ),
    "a command among the flags": (
        resources(custom_flags=["#SBATCH --exclusive\nexport A=1"]),
        [
            "fp.resources.custom_flags: 'export A=1' is not a #SBATCH line and would run as a command: move it to prepend"
        ],
    ),
    "a command before its comment": (
        resources(custom_flags=["ulimit -s unlimited # -J"]),
        [
            "fp.resources.custom_flags: 'ulimit -s unlimited # -J' is not a #SBATCH line and would run as a command: move"
        ],
    ),
    "a GPU line that is a command": (
        resources(kwargs={"custom_gpu_line": "module load cuda"}),
        [
            "fp.resources.kwargs.custom_gpu_line: 'module load cuda' is not a #SBATCH line and would run as a command: mo"
        ],
    ),
    "a flag of another batch system": (
        resources(custom_flags=["#PBS -t 0-9"]),
        ["fp.resources.custom_flags: '#PBS -t 0-9' is not for Slurm, whose lines begin with '#SBATCH '"],
    ),
    "a flag that the queue takes for a comment": (
        resources(custom_flags=["# SBATCH --time=1:00:00"]),
        ["fp.resources.custom_flags: '# SBATCH --time=1:00:00' is not for Slurm, whose lines begin with '#SBATCH '"],
    ),
    "a GPU line that makes an array": (
        resources(kwargs={"custom_gpu_line": "#SBATCH --gres=gpu:1 -a 0-1"}),
        ["fp.resources.kwargs.custom_gpu_line: '#SBATCH --gres=gpu:1 -a 0-1': -a 0-1 makes one job several"],
    ),
    "a GPU line in the wrong place": (
        resources(custom_gpu_line="#SBATCH --gres=dcu:4"),
        ["fp.resources.custom_gpu_line: unknown key 'custom_gpu_line' here: it belongs in resources.kwargs"],
    ),
    "a strategy in the wrong place": (
        resources(if_cuda_multi_devices=False),
        [
            "fp.resources.if_cuda_multi_devices: unknown key 'if_cuda_multi_devices' here: it belongs in resources.strategy"
        ],
    ),
    "an option of sbatch as a key of kwargs": (
        resources(kwargs={"qos": "short"}),
        [
            (
                "fp.resources.kwargs.qos: unknown key 'qos': it is an option of sbatch; write it into custom_flags as "
                "'#SBATCH --qos=short'"
            )
        ],
    ),
    "an option of sbatch as a key of resources": (
        resources(time="1:00:00"),
        [
            "fp.resources.time: unknown key 'time': it is an option of sbatch; write it into custom_flags as '#SBATCH --ti"
        ],
    ),
    "a key of the batch system's own misspelt": (
        resources(kwargs={"custom_gpu_lin": "x"}),
        ["fp.resources.kwargs.custom_gpu_lin: unknown key 'custom_gpu_lin'; did you mean 'custom_gpu_line'?"],
    ),
    "a key of a batch system that has none": (
        {**resources(kwargs={"gpu_usage": True}), "default": {**DEFAULT, "machine": {**MACHINE["default"]["machine"]}}},
        ["fp.resources.kwargs: Shell has no keys of its own here: leave kwargs empty, or out"],
    ),
    "a strategy misspelt": (
        resources(strategy={"if_cuda_multi_device": True}),
        ["fp.resources.strategy.if_cuda_multi_device: unknown key 'if_cuda_multi_device'; did you mean 'if_cuda_multi"],
    ),
    "a strategy that is a word": (
        resources(strategy="cuda"),
        ["fp.resources.strategy: expected an object, found the string 'cuda'"],
    ),
    "dpdispatcher's own ratio": (
        resources(strategy={"ratio_unfinished": 0.1}),
        [
            "fp.resources.strategy.ratio_unfinished: has no meaning here; use continue_on_success_ratio: 0.9, beside resour"
        ],
    ),
    "a variable's name": (
        resources(envs={"OMP-THREADS": 1}),
        [
            "fp.resources.envs.OMP-THREADS: is not a valid name of a variable: use letters, digits and _, and no digit first"
        ],
    ),
    "a variable that is true": (
        resources(envs={"DEBUG": True}),
        ["fp.resources.envs.DEBUG: expected a number or a string or a list of numbers or strings, found true"],
    ),
    "a quote that is open": (
        resources(source_list=["/opt/it's/env.sh"]),
        ['fp.resources.source_list: "/opt/it\'s/env.sh" has a quote that is not closed'],
    ),
    "a ratio in percent": (
        machine(fp={"continue_on_success_ratio": 80}),
        ["fp.continue_on_success_ratio: must be at most 1, found 80"],
    ),
    "a truth in quotes": (
        machine(fp={"continue_on_failed": "yes"}),
        ["fp.continue_on_failed: expected true or false or null, found the string 'yes'"],
    ),
    "no job at once": (machine(fp={"parallelism": 0}), ["fp.parallelism: must be at least 1, found 0"]),
    "a key of the policy misspelt": (
        machine(fp={"continue_on_sucess_ratio": 0.9}),
        [
            "fp.continue_on_sucess_ratio: unknown key 'continue_on_sucess_ratio'; did you mean 'continue_on_success_ratio'"
        ],
    ),
    "a key of the default that every step replaces": (
        machine(default={"poll_interval": "often"}, **{name: {"poll_interval": 5} for name in SECTIONS}),
        ["default.poll_interval: expected a number or null, found the string 'often'"],
    ),
    "a time with a unit": (
        machine(fp={"template_config": {"timeout": "1h"}}),
        ["fp.template_config.timeout: expected a whole number or null, found the string '1h'"],
    ),
    "a key of the template misspelt": (
        machine(fp={"template_config": {"time_out": 60}}),
        ["fp.template_config.time_out: unknown key 'time_out'; did you mean 'timeout'?"],
    ),
    "a variable that is null": (
        machine(fp={"template_config": {"envs": {"A": None}}}),
        ["fp.template_config.envs.A: expected a number or a string, found null"],
    ),
    "a variable that no shell could export": (
        machine(fp={"template_config": {"envs": {"A=1; rm": "x", "1A": 2, "_A1": 3}}}),
        [
            "fp.template_config.envs.A=1; rm: is not a valid name of a variable: use letters, digits and _, and no digit first",
            "fp.template_config.envs.1A: is not a valid name of a variable: use letters, digits and _, and no digit first",
        ],
    ),
    "a variable that would lose itself": (
        machine(fp={"resources": {"envs": {"PATH": "/x:$PATH"}}, "template_config": {"envs": {"LD": "${LD}:/x"}}}),
        [
            "fp.resources.envs.PATH: '/x:$PATH' is set as it is, nothing in it is replaced: write 'export PATH=/x:$PATH'",
            "fp.template_config.envs.LD: '${LD}:/x' is set as it is, nothing in it is replaced: write 'export LD=${LD}:/x'",
        ],
    ),
    "two numbers of retries": (
        machine(fp={"retry_count": 2, "template_config": {"retry_on_transient_error": True}}),
        [
            (
                "fp.template_config.retry_on_transient_error: is true, but fp.retry_count on line 14, which means the same, "
                "is 2: remove one of them, or make them equal"
            )
        ],
    ),
    "DP-GEN's place for retries and ours": (
        machine(fp={"retry_count": 2, "machine": {"retry_count": 5}}),
        [
            (
                "fp.machine.retry_count: is 5, but fp.retry_count on line 14, which means the same, is 2: remove one of "
                "them, or make them equal"
            )
        ],
    ),
    "whatever is usable, and most of it": (
        machine(fp={"continue_on_failed": True, "continue_on_success_ratio": 0.8}),
        [
            (
                "fp.continue_on_failed: true goes on with whatever is usable, but fp.continue_on_success_ratio on line 15 "
                "asks for 0.8: remove one of them"
            )
        ],
    ),
    "one variable with two values": (
        machine(fp={"template_config": {"envs": {"T": 4}}, "resources": {"envs": {"T": "8"}}}),
        [
            (
                'fp.template_config.envs.T: is 4, but fp.resources.envs.T on line 21, which means the same, is "8": remove '
                "one of them, or make them equal"
            )
        ],
    ),
    "a blank command": (
        machine(fp={"command": " "}),
        ["fp.command: is blank: write the command, or leave the key out to have param.json's"],
    ),
    "a blank to notify": (machine(notify=" "), ["notify: is blank: write the command, or leave the key out"]),
    "a list to notify": (machine(notify=["mail"]), ["notify: expected a string or null, found a list"]),
    "a file that is no list": (
        machine(train={"user_forward_files": "x"}),
        [f"{FORWARD}: expected a list of strings, found the string 'x'"],
    ),
    "files that are not there": (
        machine(train={"user_forward_files": ["no.txt", "*.no"]}),
        [
            f"{FORWARD}[0]: 'no.txt' is not there: looked for 'no.txt'",
            f"{FORWARD}[1]: '*.no' is not there: looked for '*.no'",
        ],
    ),
    "two files of one name": (
        machine(train={"user_forward_files": ["a/x", "b/x"]}),
        [f"{FORWARD}[1]: 'b/x' and 'a/x' have the same name, and a task can have only one of them: rename one"],
    ),
    "two files of one name in a pattern": (
        machine(train={"user_forward_files": ["?/x"]}),
        [f"{FORWARD}[0]: 'b/x' and 'a/x' have the same name, and a task can have only one of them: rename one"],
    ),
    "files with names of ours": (
        machine(train={"user_forward_files": [".hidden", "attempt", "task.log"]}),
        [
            f"{FORWARD}[{index}]: '{name}' cannot be in a task's folder under the name '{name}': that is the program's; "
            "rename it"
            for index, name in enumerate([".hidden", "attempt", "task.log"])
        ],
    ),
    "the folder above": (
        machine(train={"user_forward_files": [".."]}),
        [f"{FORWARD}[0]: '..' cannot be in a task's folder under the name '..': that is the program's; rename it"],
    ),
    "files to bring back from elsewhere": (
        machine(train={"user_backward_files": ["/etc/passwd", "../x", "a/../../x", ""]}),
        [
            "train.user_backward_files[0]: '/etc/passwd' is no path inside of a task's folder",
            "train.user_backward_files[1]: '../x' is no path inside of a task's folder",
            "train.user_backward_files[2]: 'a/../../x' is no path inside of a task's folder",
            "train.user_backward_files[3]: '' is no path inside of a task's folder",
        ],
    ),
    "a header that is not there": (
        resources(strategy={"customized_script_header_template_file": "head.txt"}),
        ["fp.resources.strategy.customized_script_header_template_file: there is no file 'head.txt'"],
    ),
    "faults of several kinds in several steps": (
        machine(train={"parallelism": 0}, explore={"resources": {"custom_flags": ["-t 1"]}}, api_version="0.1"),
        [
            "train.parallelism: must be at least 1, found 0",
            "explore.resources.custom_flags: '-t 1' would run as a command",
            "api_version: '0.1' is DP-GEN's format before dpdispatcher",
        ],
    ),
}


def made(folder):
    """The files that the table speaks of."""
    for name in ("a/x", "b/x", ".hidden", "attempt", "task.log"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "braces.txt").write_text("#!/bin/bash\n#SBATCH --comment=${USER}\n")


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_in_these_words(files, tmp_path, case):
    given, expected = BROKEN[case]
    made(tmp_path)
    with pytest.raises(InputError) as error:
        files(given)
    found = [line.split(": ", 1)[1].replace(str(tmp_path), "HERE") for line in lines(error, tmp_path)]
    assert [line[: len(begin)] for line, begin in zip(found, expected, strict=True)] == expected


def test_the_table_is_long_enough():
    assert len(BROKEN) >= 40


def test_a_fault_has_the_line_and_the_path_of_the_file_in_the_list_form(files, tmp_path):
    text = """{
"default": {"machine": {"batch_type": "Slurm", "context_type": "local"},
  "resources": {"group_size": 1}},
"train": [
  {"machine": {"context_type": "LazyLocal"}, "resources": {"cpu_per_node": 0}}],
"model_devi": [
  {"resources": {"queue_name": "a b"},
   "template_config": {"retry_on_transient_error": 1}, "retry_count": 2}],
"fp": [{}]
}"""
    with pytest.raises(InputError) as error:
        files(text)
    assert [line.split(": ")[:2] for line in lines(error, tmp_path)] == [
        ["machine.json:2:13", "default.machine.remote_root"],
        ["machine.json:5:60", "train[0].resources.cpu_per_node"],
        ["machine.json:7:18", "model_devi[0].resources.queue_name"],
        ["machine.json:8:24", "model_devi[0].template_config.retry_on_transient_error"],
    ]


def test_the_faults_of_both_files_come_at_once(files, tmp_path):
    with pytest.raises(InputError) as error:
        files(
            machine(fp={"parallelism": 0}),
            fp={"type": "ase"},
            default_step_config={"continue_on_failed": True, "continue_on_num_success": 3},
        )
    text = "\n".join(lines(error, tmp_path))
    assert "param.json" in text
    assert "fp.inputs_config: this key is missing" in text
    assert "default_step_config.continue_on_failed: true goes on with whatever is usable" in text
    assert "fp.parallelism: must be at least 1" in text


# ---- the two forms


def test_dp_gens_lists_mean_what_the_objects_mean(files):
    sections = {
        "train": {"command": "dp", "resources": {"cpu_per_node": 4}},
        "explore": {"command": "lmp -sf omp", "parallelism": 3},
        "fp": {"resources": {"group_size": 5}, "machine": {"retry_count": 7}},
    }
    objects = files(machine(**sections))
    listed = files(
        {
            "api_version": "1.0",
            "deepmd_version": "2.2.7",
            "default": copy.deepcopy(DEFAULT),
            "train": [sections["train"]],
            "model_devi": [sections["explore"]],
            "fp": [sections["fp"]],
        }
    )
    assert listed.machine_value == objects.machine_value
    assert listed.policies == objects.policies
    assert (objects.policies["fp"].retry_count, objects.policies["train"].retry_count) == (7, 3)
    assert objects.meaningless == ()
    assert listed.meaningless == ("machine.json: 'deepmd_version'",)


@pytest.mark.parametrize("version", ["1.0", "1.1", "2", "10.3.1", 1.0, 1, None, ""])
def test_a_version_from_1_on_is_read(files, version):
    files(machine(api_version=version))


@pytest.mark.parametrize("flag", ["", " ", "# longer runs", "##SBATCH --time=1", "# not -J mine", "#SBATCH --time=1"])
def test_flags_may_be_directives_comments_and_empty_lines(files, flag):
    assert files(resources(custom_flags=[flag])).machine_value["fp"]["resources"]["custom_flags"] == [flag]


@pytest.mark.parametrize(
    ("flag", "advice"), [("ulimit -s unlimited", "move it to prepend_script"), ("-t 1", "remove it"), ("# why", None)]
)
def test_a_shell_has_no_flags_but_comments(files, flag, advice):
    given = machine(
        default={"machine": {**DEFAULT["machine"], "batch_type": "Shell"}}, fp={"resources": {"custom_flags": [flag]}}
    )
    if advice is None:
        files(given)
        return
    with pytest.raises(InputError) as error:
        files(given)
    assert f"fp.resources.custom_flags: '{flag}' would run as a command: {advice}" in str(error.value)


@pytest.mark.parametrize("root", [".", "./", "", None, "/home/me/run"])
def test_only_another_local_root_than_the_work_directory_is_told(files, root):
    found = files(place(local_root=root)).meaningless
    assert found == (("machine.json: 'default.machine.local_root'",) if root == "/home/me/run" else ())


@pytest.mark.parametrize("name", ["local", "Local", "LocalContext", "localcontext"])
def test_a_copy_may_be_spelled_in_these_ways(files, name):
    value = files(place(context_type=name, remote_root="/scratch", clean_asynchronously=True)).machine_value
    assert value["fp"]["machine"]["context_type"] == "LocalContext"
    assert value["fp"]["machine"]["clean_asynchronously"] is True


@pytest.mark.parametrize("batch_type", ["Shell", "Slurm", "PBS", "Torque", "LSF"])
def test_what_was_understood_makes_a_script(files, tmp_path, batch_type):
    section = files(place(batch_type=batch_type)).machine_value["fp"]
    step = StepMachine(section["machine"], section["resources"])
    (tmp_path / "batch").mkdir()
    context = bound_context(step, str(tmp_path), "batch", "name")
    assert script_parts(step, context, "dname", 1).header.startswith("#!/bin/bash")


def test_the_users_own_header_is_found_beside_the_file(files, tmp_path):
    (tmp_path / "head.txt").write_text("#!/bin/sh\n#SBATCH --time=1\n")
    given = resources(strategy={"customized_script_header_template_file": "head.txt"})
    strategy = files(given).machine_value["fp"]["resources"]["strategy"]
    assert strategy["customized_script_header_template_file"] == str(tmp_path / "head.txt")
    (tmp_path / "head.txt").write_text("#!/bin/sh\n#SBATCH --array=1-3\n")
    with pytest.raises(InputError, match="'#SBATCH --array=1-3': --array=1-3 makes one job several"):
        files(given)


def test_what_is_kept_is_json_and_has_all_that_finds_a_job(files):
    value = json.loads(json.dumps(files(machine(fp={"retry_count": 1})).machine_value))
    assert list(value) == list(SECTIONS)
    for section in value.values():
        assert section["machine"]["batch_type"] == "Slurm"
        assert section["machine"]["context_type"] == "LazyLocalContext"
        assert section["resources"]["group_size"] == 1
        assert section["resources"]["kwargs"] == {"custom_gpu_line": None}
        assert "retry_count" not in section["machine"]
    assert value["fp"]["retry_count"] == 1


def test_null_gives_nothing_over_what_is_inherited(files):
    queue = {"resources": {"group_size": 2, "queue_name": "normal"}}
    null = {"command": None, "resources": {"queue_name": None}, "machine": {"batch_type": None}}
    value = files(machine(default={"command": "vasp", **queue}, fp=null)).machine_value["fp"]
    assert (value["command"], value["machine"]["batch_type"]) == ("vasp", "Slurm")
    assert (value["resources"]["queue_name"], value["resources"]["group_size"]) == ("normal", 2)


def test_what_is_kept_are_the_words_that_hold(files):
    own = {"continue_on_success_ratio": 0.7, "machine": {"retry_count": 1}}
    kept = files(machine(default={"continue_on_failed": True, "retry_count": 9}, fp=own)).machine_value
    assert (kept["fp"]["continue_on_failed"], kept["fp"]["retry_count"]) == (None, 1)
    assert (kept["train"]["continue_on_failed"], kept["train"]["retry_count"]) == (True, 9)


# ---- the policy


def given(policy):
    """A policy as a dictionary of what differs from the default of the fp step."""
    usual = Policy(success_ratio=0.9)
    return {name: value for name, value in vars(policy).items() if value != getattr(usual, name)}


ONE_FILE = [
    ({}, {}, {}),
    ({"parallelism": 3}, {}, {"parallelism": 3}),
    ({"parallelism": 3}, {"parallelism": 5}, {"parallelism": 5}),
    ({"parallelism": 3}, {"parallelism": None}, {"parallelism": 3}),
    ({"retry_count": 0}, {}, {"retry_count": 0}),
    ({"machine": {"retry_count": 9}}, {}, {"retry_count": 9}),
    ({"machine": {"retry_count": 9}}, {"retry_count": 1}, {"retry_count": 1}),
    ({"retry_count": 9}, {"machine": {"retry_count": 1}}, {"retry_count": 1}),
    ({"retry_count": 9}, {"template_config": {"retry_on_transient_error": False}}, {"retry_count": 0}),
    ({"retry_count": 9}, {"template_config": {"retry_on_transient_error": True}}, {}),
    ({"retry_count": 9}, {"template_config": {"retry_on_transient_error": 1}}, {"retry_count": 1}),
    ({}, {"retry_count": 1, "template_config": {"retry_on_transient_error": 1}}, {"retry_count": 1}),
    ({}, {"retry_count": 3, "template_config": {"retry_on_transient_error": True}}, {}),
    ({}, {"retry_count": 0, "template_config": {"retry_on_transient_error": False}}, {"retry_count": 0}),
    ({"template_config": {"timeout": 60}}, {"template_config": {"envs": {"A": 1}}}, {"timeout": 60, "envs": {"A": "1"}}),
    ({"template_config": {"timeout": 60}}, {"template_config": {"timeout": None}}, {"timeout": 60}),
    ({"template_config": {"timeout": 60}}, {"template_config": None}, {"timeout": 60}),
    ({"template_config": {"timeout_as_transient_error": True}}, {}, {"timeout_is_transient": True}),
    (
        {"template_config": {"timeout_as_transient_error": True}},
        {"template_config": {"timeout_as_transient_error": False}},
        {},
    ),
    ({"template_config": {"envs": {"A": 1.5, "B": "x"}}}, {}, {"envs": {"A": "1.5", "B": "x"}}),
    ({"template_config": {"envs": {"A": 1}}}, {"resources": {"envs": {"A": "1", "B": 2}}}, {"envs": {"A": "1"}}),
    ({"continue_on_failed": True}, {}, {"success_ratio": 0.0}),
    ({"continue_on_failed": True}, {"continue_on_failed": False}, {}),
    ({"continue_on_failed": True}, {"continue_on_success_ratio": 0.7}, {"success_ratio": 0.7}),
    ({"continue_on_success_ratio": 0.7}, {"continue_on_failed": True}, {"success_ratio": 0.0}),
    ({"continue_on_success_ratio": 0.7}, {"continue_on_failed": False}, {"success_ratio": 0.7}),
    ({"continue_on_num_success": 7}, {"continue_on_failed": True}, {"success_ratio": 0.0}),
    (
        {"continue_on_num_success": 7},
        {"continue_on_success_ratio": 0.6},
        {"success_ratio": 0.6, "success_number": 7},
    ),
    ({}, {"continue_on_failed": True, "continue_on_num_success": 1}, {"success_ratio": 0.0}),
    ({}, {"continue_on_failed": True, "continue_on_success_ratio": 0}, {"success_ratio": 0.0}),
    ({"poll_interval": 5, "grace": 0}, {}, {"poll_interval": 5.0, "grace": 0.0}),
]  # fmt: skip


@pytest.mark.parametrize(("default", "step", "expected"), ONE_FILE)
def test_what_a_step_says_comes_before_what_it_inherits(files, default, step, expected):
    """machine.json: a section and ``default``."""
    merged = {
        key: {**DEFAULT.get(key, {}), **entry} if isinstance(entry, dict) else entry for key, entry in default.items()
    }
    plan = files(machine(default=merged, fp=step))
    assert given(plan.policies["fp"]) == expected


IN_PARAM = [case for case in ONE_FILE if not {"retry_count", "machine", "resources", "grace"} & {*case[0], *case[1]}]


@pytest.mark.parametrize(("default", "step", "expected"), IN_PARAM)
def test_the_same_holds_in_param_json(files, default, step, expected):
    plan = files(machine(), default_step_config=default, step_configs={"run_fp_config": step})
    assert given(plan.policies["fp"]) == expected
    assert {name: plan.policies[name] for name in ("train", "explore")} == {
        name: files(machine(), default_step_config=default).policies[name] for name in ("train", "explore")
    }


def test_most_words_can_stand_in_either_file():
    assert len(IN_PARAM) >= 15


def test_each_member_of_step_configs_speaks_of_its_own_step(files):
    members = {f"run_{step}_config": {"parallelism": number} for number, step in enumerate(SECTIONS, start=1)}
    assert {step: policy.parallelism for step, policy in files(machine(), step_configs=members).policies.items()} == {
        "train": 1,
        "explore": 2,
        "fp": 3,
    }


def test_the_two_files_complete_each_other(files):
    plan = files(
        machine(default={"parallelism": 4}, fp={"template_config": {"timeout": 60}}),
        default_step_config={"template_config": {"retry_on_transient_error": 1}},
        step_configs={"run_fp_config": {"continue_on_num_success": 2}},
    )
    assert given(plan.policies["fp"]) == {
        "parallelism": 4,
        "timeout": 60,
        "retry_count": 1,
        "success_ratio": 0.0,
        "success_number": 2,
    }


def test_the_two_files_may_say_the_same(files):
    plan = files(
        machine(fp={"retry_count": 3, "template_config": {"envs": {"A": "1"}}}),
        step_configs={"run_fp_config": {"template_config": {"retry_on_transient_error": True, "envs": {"A": 1}}}},
    )
    assert given(plan.policies["fp"]) == {"envs": {"A": "1"}}


NOT_THE_SAME = [
    (
        {"parallelism": 4},
        {"step_configs": {"run_fp_config": {"parallelism": 5}}},
        ["fp.parallelism: is 4, but step_configs.run_fp_config.parallelism on line"],
    ),
    (
        {"retry_count": 2},
        {"default_step_config": {"template_config": {"retry_on_transient_error": True}}},
        ["fp.retry_count: is 2, but default_step_config.template_config.retry_on_transient_error on line"],
    ),
    (
        {"continue_on_failed": False},
        {"default_step_config": {"continue_on_failed": True}},
        ["fp.continue_on_failed: is false, but default_step_config.continue_on_failed on line"],
    ),
    (
        {"continue_on_failed": True},
        {"default_step_config": {"continue_on_success_ratio": 0.8}},
        [("fp.continue_on_failed: true goes on with whatever is usable, but default_step_config.continue_on_success_ratio"
         " on line")],
    ),
    (
        {"template_config": {"envs": {"A": 1}}},
        {"default_step_config": {"template_config": {"envs": {"A": 2}}}},
        ['fp.template_config.envs: is {"A": 1}, but default_step_config.template_config.envs on line'],
    ),
    (
        {"resources": {"envs": {"A": 1}}},
        {"default_step_config": {"template_config": {"envs": {"A": 2}}}},
        ["default_step_config.template_config.envs.A: is 2, but fp.resources.envs.A on line 16 of machine.json, which"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("machines", "params", "expected"), NOT_THE_SAME)
def test_the_two_files_must_not_contradict_each_other(files, tmp_path, machines, params, expected):
    with pytest.raises(InputError) as error:
        files(machine(fp=machines), **params)
    found = [line.split(": ", 1)[1].replace(str(tmp_path), "HERE") for line in lines(error, tmp_path)]
    assert [line[: len(begin)] for line, begin in zip(found, expected, strict=True)] == expected


def test_a_fault_across_the_files_names_both_places_and_values(files, tmp_path):
    text = json.dumps(PARAM)[:-1] + ',\n"step_configs": {\n "run_fp_config": {\n "parallelism": 5}}}'
    files(machine())
    (tmp_path / "param.json").write_text(text)
    (tmp_path / "machine.json").write_text(json.dumps(machine(fp={"parallelism": 4})))
    with pytest.raises(InputError) as error:
        load_plan(tmp_path / "param.json", tmp_path / "machine.json")
    (line,) = lines(error, tmp_path)
    assert line.startswith("machine.json:1:")
    assert line.endswith(
        "fp.parallelism: is 4, but step_configs.run_fp_config.parallelism on line 4 of param.json, which means the same, "
        "is 5: remove one of them, or make them equal"
    )


def test_what_both_defaults_say_differently_is_one_fault(files, tmp_path):
    with pytest.raises(InputError) as error:
        files(machine(default={"parallelism": 4}), default_step_config={"parallelism": 5})
    assert len(lines(error, tmp_path)) == 1
    assert "default.parallelism: is 4, but default_step_config.parallelism" in str(error.value)


def test_true_is_as_many_retries_as_there_are_without_a_word():
    assert Policy().retry_count == RETRIES


BAD_STEP_CONFIGS = [
    ({"run_fp_confg": {}}, "step_configs.run_fp_confg: unknown key 'run_fp_confg'; did you mean 'run_fp_config'?"),
    ({"run_fp_config": {"retry_count": 2}}, "step_configs.run_fp_config.retry_count: unknown key 'retry_count'"),
    ({"run_fp_config": {"parallelism": -1}}, "step_configs.run_fp_config.parallelism: must be at least 1, found -1"),
    ({"prep_fp_config": {"parallelism": "all"}}, "step_configs.prep_fp_config.parallelism: expected a whole number"),
    ({"run_fp_config": [{}]}, "step_configs.run_fp_config: expected an object or null, found a list"),
    (
        {"run_fp_config": {"template_config": {"envs": {"A B": 1}}}},
        "step_configs.run_fp_config.template_config.envs.A B: is not a valid name of a variable",
    ),
    (
        {"run_fp_config": {"continue_on_failed": True, "continue_on_num_success": 2}},
        "step_configs.run_fp_config.continue_on_failed: true goes on with whatever is usable, but",
    ),
]


@pytest.mark.parametrize(("configs", "expected"), BAD_STEP_CONFIGS)
def test_step_configs_are_checked_by_the_same_tree(files, tmp_path, configs, expected):
    with pytest.raises(InputError) as error:
        files(machine(), step_configs=configs)
    (line,) = lines(error, tmp_path)
    assert line.split(": ", 1)[1].startswith(expected)


# ---- what has no meaning here


def test_keys_of_argo_are_accepted_and_named_once_each(files):
    argo = {
        "template_config": {"image": "dptechnology/dpgen2:latest", "timeout": None},
        "executor": {"type": "dispatcher"},
        "template_slice_config": {"group_size": 4},
        "continue_on_failed": False,
    }
    plan = files(
        machine(default={"executor": {}, "template_config": {"image": "x"}}, fp={"executor": {"type": "dispatcher"}}),
        default_step_config=argo,
        step_configs={
            "run_fp_config": {"executor": None, "template_config": {"_note": "x", "image": "y"}},
            "select_confs_config": {"_note": 1, "parallelism": 3, "template_config": {"timeout": 5, "envs": None}},
            "cl_step_config": {"executor": {"type": "lebesgue_v2"}, "continue_on_failed": False},
        },
    )
    assert plan.meaningless == (
        "param.json: 'default_step_config.executor'",
        "param.json: 'default_step_config.template_slice_config'",
        "param.json: 'default_step_config.template_config.image'",
        "param.json: 'step_configs.run_fp_config.template_config.image'",
        "param.json: 'step_configs.select_confs_config.parallelism'",
        "param.json: 'step_configs.select_confs_config.template_config.timeout'",
        "param.json: 'step_configs.cl_step_config.executor'",
        "machine.json: 'default.template_config.image'",
        "machine.json: 'fp.executor'",
    )
    assert given(plan.policies["fp"]) == {}


def test_what_only_dpdispatchers_own_submission_follows_is_told(files):
    place = {"clean_asynchronously": True, "remote_root": "/scratch/x", "remote_profile": {"symlink": True}}
    plan = files(
        machine(
            default={"machine": {**DEFAULT["machine"], **place}},
            train={"resources": {"wait_time": 3}},
            explore={"resources": {"wait_time": 0}, "machine": {"context_type": "LocalContext", "remote_root": "/y"}},
        )
    )
    assert plan.meaningless == (
        "machine.json: 'default.machine.clean_asynchronously'",
        "machine.json: 'default.machine.remote_root'",
        "machine.json: 'default.machine.remote_profile'",
        "machine.json: 'train.resources.wait_time'",
    )


def test_the_command_line_says_what_is_not_followed(project):
    project.machine["deepmd_version"] = "2.0"
    project.param["dflow_config"] = {"host": "x"}
    executor = {"machine_dict": {"batch_type": "Slurm"}, "resources_dict": {"queue_name": "gpu"}}
    project.param["step_configs"] = {"run_train_config": {"executor": executor}}
    project.write()
    done = project.verb("check", "param.json", "machine.json")
    assert done.returncode == 0, done.stderr
    told = next(line for line in done.stdout.splitlines() if "run_train_config.executor" in line)
    assert "write its machine_dict and resources_dict into machine.json, as machine and resources" in told
    assert "param.json: 'dflow_config' has no meaning here and is not followed" in done.stdout
    assert "machine.json: 'deepmd_version' has no meaning here and is not followed" in done.stdout


def test_policy_in_param_json_may_change_at_any_time(files):
    old = files(machine()).param.value
    config = {"parallelism": 2, "template_config": {"envs": {"A": 1}}}
    new = files(machine(), default_step_config=config, step_configs={"run_fp_config": config}).param.value
    found = changes(root(), old, new)
    assert found
    assert {change.rule for change in found} == {"now"}
    assert changes(root(), {**old, "step_configs": {}, "default_step_config": {}}, old) == []


# ---- files of the user's own, and who is told


def test_files_are_found_beside_the_machine_file_and_kept_with_their_whole_paths(files, tmp_path):
    for name in ("plumed.dat", "tables/a.table", "tables/b.table", "odd[1].txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    outside = tmp_path / "outside"
    outside.mkdir()
    value = files(
        machine(
            default={"user_forward_files": ["plumed.dat"], "user_backward_files": ["COLVAR", "out/*.xyz"]},
            explore={
                "user_forward_files": ["tables/*.table", "tables/a.table", "odd[1].txt", "./tables", str(outside)]
            },
        )
    ).machine_value
    assert value["train"]["user_forward_files"] == [str(tmp_path / "plumed.dat")]
    assert value["explore"]["user_forward_files"] == [
        str(tmp_path / name) for name in ("tables/a.table", "tables/b.table", "odd[1].txt", "tables", "outside")
    ]
    assert value["fp"]["user_backward_files"] == ["COLVAR", "out/*.xyz"]


def test_a_relative_path_to_the_machine_file_gives_absolute_paths(files, tmp_path, monkeypatch):
    (tmp_path / "x").touch()
    files(machine(fp={"user_forward_files": ["x"]}))
    monkeypatch.chdir(tmp_path)
    plan = load_plan(Path("param.json"), Path("machine.json"))
    assert plan.machine_value["fp"]["user_forward_files"] == [str(tmp_path / "x")]


def test_who_is_told(files):
    assert files(machine(notify="mail me")).notify == "mail me"
    assert files(machine(notify=None)).notify is None
    assert files(machine()).notify is None
