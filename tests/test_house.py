"""The house: who may import whom, and what is done in one place alone. Reads the source, runs nothing."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import dpgen2_hpc
from dpgen2_hpc.kinds import OWN

ROOT = Path(dpgen2_hpc.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TREES = {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

LEVELS = [
    {"__main__"},
    {"cli"},
    {"loop", "report"},
    {"train", "explore", "select", "fp", "collect"},
    {"dispatch", "inputs"},
    {"runs"},
    {"plugins"},
    {"kinds"},
    {"data", "state"},
    {"errors"},
]
"""From top to bottom: a folder imports what is below it, and itself."""

LONGEST = 60
"""Lines of code in a function, without its docstring, from which on it is too long."""


def home(path: Path) -> str:
    """The folder, or the module, at the top of the package: ``state`` for ``state/files.py``."""
    return path.parts[0].removesuffix(".py")


def level(name: str) -> int:
    return next(number for number, names in enumerate(LEVELS) if name in names)


def imports(tree: ast.AST, path: Path) -> Iterator[tuple[str, int]]:
    """The full names that a module imports, those inside of functions too, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ("dpgen2_hpc", *path.parts[:-1])
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def calls(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The names of what is called, as they are written: ``print``, ``os.chdir``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def body_lines(function) -> int:
    """Lines with code on them, without the docstring."""
    start = function.lineno
    first = function.body[0]
    doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    docstring = (first.end_lineno - first.lineno + 1) if doc else 0
    return function.end_lineno - start + 1 - docstring


def everywhere(find, *, but=()) -> list[str]:
    """The places that ``find(tree, path)`` yields lines of, in all modules but those of some folders."""
    return [f"{path}:{line}" for path, tree in TREES.items() if home(path) not in but for line in find(tree, path)]


def called(*names):
    return lambda tree, path: [line for name, line in calls(tree) if name in names]


def imported(*names):
    return lambda tree, path: [
        line for name, line in imports(tree, path) if any(name == one or name.startswith(f"{one}.") for one in names)
    ]


# ---- who imports whom


def test_every_module_has_its_level():
    strange = {home(path) for path in TREES if path != Path("__init__.py")} - set().union(*LEVELS)
    assert strange == set()


@pytest.mark.parametrize("path", [path for path in TREES if path != Path("__init__.py")], ids=str)
def test_imports_run_downwards_only(path):
    mine = home(path)
    wrong = []
    for name, line in imports(TREES[path], path):
        package, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if package != "dpgen2_hpc" or other in {"__version__", mine}:
            continue
        if not other or level(other) <= level(mine):
            wrong.append(f"{path}:{line} imports {name}")
    assert wrong == []


def test_the_package_itself_holds_its_version_and_nothing_else():
    body = TREES[Path("__init__.py")].body
    assert [ast.unparse(node).partition(" = ")[0] for node in body[1:]] == ["__version__"]
    assert isinstance(body[0], ast.Expr)


def test_dpdispatcher_is_imported_in_dispatch_alone():
    assert everywhere(imported("dpdispatcher"), but={"dispatch"}) == []


def test_dpdispatcher_is_nowhere_asked_to_submit():
    words = {"do_submit", "run_submission", "submit_submission", "gen_script", "check_status", "Submission"}
    assert everywhere(lambda tree, path: [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in words
    ]) == []  # fmt: skip


# ---- what is done in one place alone


def test_only_the_command_line_prints():
    assert everywhere(called("print", "sys.stdout.write", "sys.stderr.write"), but={"cli", "__main__"}) == []


def test_the_current_directory_is_never_changed():
    assert everywhere(called("os.chdir", "os.fchdir", "chdir")) == []


def test_state_is_renamed_linked_and_synced_where_the_design_says_so():
    """``os.replace`` and ``fsync`` by hand are how state gets torn."""
    places = everywhere(called("os.replace", "os.fsync", "os.ftruncate"))
    assert {place.partition(":")[0] for place in places} <= {"state/files.py"}


def test_only_the_registry_looks_a_type_up_by_its_name():
    """A ladder over types would have to know each plugin."""
    types = {name for kind in OWN.values() for name in kind} - {"file"}

    def compared(tree, path):
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare) and any(
                isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops
            ):
                constants = [entry for side in (node.left, *node.comparators) for entry in ast.walk(side)]
                if any(isinstance(entry, ast.Constant) and entry.value in types for entry in constants):
                    yield node.lineno

    assert everywhere(compared) == []


# ---- what is done nowhere


def test_nothing_is_evaluated_or_unpickled():
    assert everywhere(called("eval", "exec", "compile", "builtins.eval", "builtins.exec")) == []
    assert everywhere(imported("pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib")) == []


def test_arrays_are_loaded_without_pickles():
    def unsafe(tree, path):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"np.load", "numpy.load"}:
                words = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if words.get("allow_pickle") != "False":
                    yield node.lineno

    assert everywhere(unsafe) == []


def test_no_except_is_bare_and_none_swallows_everything_in_silence():
    def bare(tree, path):
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
                silent = all(isinstance(entry, ast.Pass | ast.Continue) for entry in node.body)
                if node.type is None or (broad and silent):
                    yield node.lineno

    assert everywhere(bare) == []


def test_no_input_is_checked_by_an_assert():
    """They vanish under ``python -O``."""
    assert everywhere(lambda tree, path: [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]) == []


def test_the_global_generators_of_random_numbers_are_left_alone():
    def drawn(tree, path):
        good = {"np.random.default_rng", "np.random.Generator", "random.Random"}
        return [
            line for name, line in calls(tree) if re.fullmatch(r"((np|numpy)\.)?random\.\w+", name) and name not in good
        ]

    assert everywhere(drawn) == []


def test_no_function_is_long():
    long = {
        f"{path}:{function.name}": body_lines(function)
        for path, tree in TREES.items()
        for function in functions(tree)
        if body_lines(function) >= LONGEST
    }
    assert long == {}


def test_functions_are_short_as_a_rule():
    sizes = sorted(body_lines(function) for tree in TREES.values() for function in functions(tree))
    assert sizes[len(sizes) // 2] <= 12
    assert sizes[len(sizes) * 9 // 10] < 30


STATES = frozenset({"phase", "verdict", "before", "cause", "state", "action", "rule"})
"""Attributes whose values are enumerations."""


def test_a_state_is_never_compared_with_a_word_in_quotes():
    """mypy sees a slip in a member's name, and none in a string."""

    def quoted(tree, path):
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                attributes = {side.attr for side in sides if isinstance(side, ast.Attribute)}
                words = [inner for side in sides for inner in ast.walk(side) if isinstance(inner, ast.Constant)]
                if attributes & STATES and any(isinstance(word.value, str) for word in words):
                    yield node.lineno

    assert everywhere(quoted) == []


BENCHMARKS = sorted((ROOT.parent / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.name)
def test_what_a_benchmark_imports_is_there(path):
    """They are seldom run, and no other tool reads them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dpgen2_hpc"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
