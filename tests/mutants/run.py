"""
How many small wrongs in the core would be noticed.

    python -m tests.mutants.run                     every mutant
    python -m tests.mutants.run --sample 400        that many, drawn with --seed
    python -m tests.mutants.run --only cascade/decide.py   of one file
    python -m tests.mutants.run --again FILE        those that survived before, as `--out FILE` wrote them

The tests are collected once. Each mutant is then a process of its own, forked from there: the one
wrong function or table is put into the core, and the tests that come through it are run, the
quickest first, up to the first that fails. A wrong in the body of a class (a word, a default) needs
everything imported anew, which takes longer. A mutant that needs far more CPU time than its tests
do without it counts as killed.

Survivors are printed, and written to a file with `--out`.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.abc
import importlib.util
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.mutants.mutate import Mutant, mutants

ROOT = Path(__file__).parents[2]
CORE = ROOT / "orchestrator" / "core"
TESTS = ("tests/core", "tests/properties")
EXAMPLES_MAX = 40
CPU_SECONDS = 20
SURVIVED, KILLED, CONFUSED = 0, 1, 2
ARGUMENTS = [
    "-qq",
    "-s",
    "-m",
    "not verify",
    "-p",
    "no:cacheprovider",
    "--no-header",
    "--no-summary",
    "--tb=no",
]


def short_properties() -> None:
    """
    Few examples, always the same ones, and no search for the smallest: only whether one fails is
    asked.
    """
    first = settings.__init__

    def init(self: settings, parent: settings | None = None, **given: Any) -> None:
        given |= {
            "phases": (Phase.explicit, Phase.generate),
            "database": None,
            "derandomize": True,
            "deadline": None,
        }
        given |= {
            "max_examples": min(EXAMPLES_MAX, given.get("max_examples", EXAMPLES_MAX)),
            "print_blob": False,
        }
        given["suppress_health_check"] = list(HealthCheck)
        first(self, parent, **given)

    settings.__init__ = init  # type: ignore[method-assign]
    settings.register_profile("mutants", settings())
    settings.load_profile("mutants")


# ---- putting a wrong in


def name_of(path: Path) -> str:
    """``orchestrator.core.cascade.decide`` for the file of that module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def module_of(mutant: Mutant) -> str:
    return name_of(mutant.path)


def made(mutant: Mutant) -> ModuleType:
    """The wrong module, beside the right one. Raises whatever it raises when it is imported."""
    wrong = ModuleType(module_of(mutant))
    exec(compile(mutant.source(), str(mutant.path), "exec"), wrong.__dict__)
    return wrong


def put_into_place(mutant: Mutant, wrong: ModuleType) -> bool:
    """
    Give the mutant's code to the function that everybody already holds; False where it stands in a
    class's body.
    """
    name = module_of(mutant)
    if not mutant.function:
        return replace_value(mutant, name, wrong)
    target, source = (
        outermost(sys.modules[name], mutant.function),
        outermost(wrong, mutant.function),
    )
    if target is None or source is None:
        return False
    forget(sys.modules[name])
    target.__code__, target.__defaults__, target.__kwdefaults__ = (
        source.__code__,
        source.__defaults__,
        source.__kwdefaults__,
    )
    return True


def forget(module: ModuleType) -> None:
    """
    Empty the caches of a module's functions: what they hold was worked out while tests were
    collected.
    """
    for function in vars(module).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


def replace_value(mutant: Mutant, name: str, wrong: ModuleType) -> bool:
    """Give a module's wrong constant or table to every module that has it by name."""
    tree = ast.parse(mutant.path.read_text("utf-8"))
    lines = [s for s in tree.body if s.lineno <= mutant.line <= (s.end_lineno or 0)]
    line = lines[0] if lines else None
    target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
    if not isinstance(target, ast.Name):
        return False
    right = sys.modules[name].__dict__[target.id]
    for module in list(sys.modules.values()):
        if (
            module.__name__.startswith(("orchestrator.", "tests."))
            and module.__dict__.get(target.id) is right
        ):
            module.__dict__[target.id] = wrong.__dict__[target.id]
    return True


def outermost(module: ModuleType, name: str) -> FunctionType | None:
    """The function or method that a dotted name lies in, without its caches and descriptors."""
    found: Any = module
    for part in filter(None, name.split(".")):
        found = found.__dict__.get(part)
        found = getattr(found, "fget", None) or getattr(found, "__wrapped__", None) or found
        if isinstance(found, FunctionType):
            return found
    return None


def in_core(path: Path) -> str:
    """``cascade/decide.py``."""
    return path.relative_to(CORE).as_posix()


FILES = {name_of(path): path for path in sorted(CORE.rglob("*.py"))}
"""The core's files by module name."""


class Wrong(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the mutant instead of the module that it was made from."""

    def __init__(self, mutant: Mutant) -> None:
        self.name, self.path = module_of(mutant), mutant.path
        self.code: CodeType = compile(mutant.source(), str(mutant.path), "exec")

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.name:
            return None
        within = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            name, self.path, loader=self, submodule_search_locations=within
        )

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


def all_anew(mutant: Mutant, wanted: set[str], seconds: dict[str, float]) -> int:
    """Import the core and the tests again, with the wrong in them."""
    for name in [
        name for name in sys.modules if name.split(".")[0] in ("orchestrator", "adapters", "tests")
    ]:
        if not name.startswith("tests.mutants"):
            del sys.modules[name]
    sys.meta_path.insert(0, Wrong(mutant))
    files = sorted({test.split("::")[0] for test in wanted})
    code = pytest.main([*ARGUMENTS, "-x", *files], plugins=[Quickest(wanted, seconds)])
    return SURVIVED if code == pytest.ExitCode.OK else KILLED


SEEN: set[str] = set()


class Seen(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The core as it is, but that each function notes that somebody came through it."""

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = FILES.get(name)
        if file is None:
            return None
        within = [str(file.parent)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            name, file, loader=self, submodule_search_locations=within
        )

    def exec_module(self, module: ModuleType) -> None:
        path = Path(str(module.__file__))
        tree = ast.parse(path.read_text("utf-8"))
        noting(tree, f"{name_of(path)}:", "")
        module.__dict__["__seen__"] = SEEN.add
        exec(compile(ast.fix_missing_locations(tree), str(path), "exec"), module.__dict__)


def noting(node: ast.AST, stem: str, name: str) -> None:
    """Put the note at the top of every function, below its docstring."""
    for child in ast.iter_child_nodes(node):
        inner = (
            f"{name}.{child.name}".lstrip(".")
            if isinstance(child, ast.FunctionDef | ast.ClassDef)
            else name
        )
        noting(child, stem, inner)
        if isinstance(child, ast.FunctionDef):
            note = ast.Call(ast.Name("__seen__", ast.Load()), [ast.Constant(stem + inner)], [])
            first = 1 if ast.get_docstring(child) is not None else 0
            child.body.insert(first, ast.copy_location(ast.Expr(note), child.body[0]))


class Quickest:
    """Of what was collected, the tests that matter, the quickest first."""

    def __init__(self, wanted: set[str], seconds: dict[str, float]) -> None:
        self.wanted, self.seconds = wanted, seconds

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (i for i in items if i.nodeid in self.wanted),
            key=lambda item: self.seconds[item.nodeid],
        )


# ---- trying


class Trial:
    """
    Takes the place of pytest's own loop over the tests: looks at them once, then tries one mutant
    after another.
    """

    def __init__(self, chosen: Sequence[Mutant], jobs: int) -> None:
        self.chosen, self.jobs = chosen, jobs
        self.items: list[pytest.Item] = []
        self.through: dict[str, set[str]] = defaultdict(set)
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []
        self.stop_at_failure = False
        self.survivors: list[Mutant] = []
        self.timed_out = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = list(session.items)
        with tempfile.TemporaryDirectory() as directory:
            notes = Path(directory) / "seen.json"
            os.waitpid(apart(lambda: self.look(notes)), 0)
            seen = json.loads(notes.read_text())
        self.seconds, self.failed = seen["seconds"], seen["failed"]
        self.through = {name: set(tests) for name, tests in seen["through"].items()}
        if not self.failed:
            self.try_all()
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)
            if self.stop_at_failure:
                os._exit(KILLED)

    def run(self, item: pytest.Item) -> None:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)

    def look(self, out: Path) -> int:
        """
        In a child: which functions of the core each test comes through, and the CPU time that it
        takes.
        """
        for name in [name for name in sys.modules if name.startswith("orchestrator.core.")]:
            forget(sys.modules[name])
        for item in self.items:
            SEEN.clear()
            started = time.process_time()
            self.run(item)
            self.seconds[item.nodeid] = time.process_time() - started
            for name in SEEN:
                self.through[name].add(item.nodeid)
        through = {name: sorted(tests) for name, tests in self.through.items()}
        out.write_text(
            json.dumps({"through": through, "seconds": self.seconds, "failed": self.failed})
        )
        return 0

    def tests_for(self, mutant: Mutant) -> set[str]:
        """
        The tests that come through the mutant's function; everything for what stands outside of
        functions.
        """
        parts = mutant.function.split(".")
        for length in range(len(parts), 0, -1):
            found = self.through.get(f"{module_of(mutant)}:{'.'.join(parts[:length])}")
            if found:
                return found
        inside_a_function = outermost(sys.modules[module_of(mutant)], mutant.function) is not None
        return set() if inside_a_function else set(self.seconds)

    def try_one(self, mutant: Mutant) -> int:
        """In a child: KILLED where a test fails, or the wrong cannot even be imported."""
        wanted = self.tests_for(mutant)
        limit = int(CPU_SECONDS + 4 * sum(self.seconds[test] for test in wanted))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        if not wanted:
            return SURVIVED
        try:
            wrong = made(mutant)
        except Exception:  # whatever it is: such a wrong is noticed at once
            return KILLED
        if not put_into_place(mutant, wrong):
            return all_anew(mutant, wanted, self.seconds)
        self.stop_at_failure = True
        for item in sorted(
            (i for i in self.items if i.nodeid in wanted),
            key=lambda item: self.seconds[item.nodeid],
        ):
            self.run(item)
        if not mutant.function:  # a test may have taken the right value along when it was collected
            return all_anew(mutant, wanted, self.seconds)
        return SURVIVED

    def try_all(self) -> None:
        """Every mutant, ``jobs`` at a time; shows how far it is."""
        waiting, done = list(reversed(self.chosen)), 0
        running: dict[Any, Any] = {}
        while waiting or running:
            while waiting and len(running) < self.jobs:
                mutant = waiting.pop()
                running[apart(lambda mutant=mutant: self.try_one(mutant))] = mutant  # type: ignore[misc]
            child, status = os.wait()
            mutant = running.pop(child)
            done += 1
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
                self.timed_out += 1
            elif os.WIFEXITED(status) and os.WEXITSTATUS(status) == CONFUSED:
                raise RuntimeError(f"{named(mutant)} could not be tried")
            elif os.WIFEXITED(status) and os.WEXITSTATUS(status) == SURVIVED:
                self.survivors.append(mutant)
                print(f"survives: {named(mutant)}", flush=True)
            print(
                f"\r{done} of {len(self.chosen)}, {len(self.survivors)} survive ",
                end="",
                file=sys.stderr,
                flush=True,
            )
        self.survivors.sort(key=lambda one: (one.path, one.line, one.index))


def apart(work: Callable[[], int]) -> int:
    """The process id of a child that does ``work`` in silence and exits with what it returns."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = CONFUSED
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        code = work()
    finally:
        os._exit(code)


def named(mutant: Mutant) -> str:
    return (
        f"{mutant.path.relative_to(ROOT)}:{mutant.line}  {mutant.function or 'module'}:"
        f" {mutant.what}"
    )


def choose(
    only: str | None, again: Path | None, sample: int | None, seed: int
) -> tuple[list[Mutant], int]:
    """What is tried, and out of how many."""
    everything = [
        mutant
        for path in FILES.values()
        if only in (None, in_core(path))
        for mutant in mutants(path)
    ]
    if again is not None:
        survivors = set(again.read_text("utf-8").splitlines())
        return [mutant for mutant in everything if named(mutant) in survivors], len(everything)
    if sample is None or sample >= len(everything):
        return everything, len(everything)
    return random.Random(seed).sample(everything, sample), len(everything)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Mutation tests of orchestrator/core.")
    parser.add_argument(
        "--sample", type=int, help="how many mutants, drawn at random; all where left out"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one file of the core, such as cascade/decide.py")
    parser.add_argument("--again", type=Path, help="a file of survivors: try those once more")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a file for the survivors, one a line")
    parser.add_argument("--at-least", type=float, default=0.9, help="the share that must be killed")
    return parser.parse_args()


def main() -> int:
    """0 where enough are killed, 1 where not, 2 where the tests fail without any wrong."""
    options = arguments()
    out = options.out.resolve() if options.out is not None else None
    chosen, among = choose(options.only, options.again, options.sample, options.seed)
    os.chdir(ROOT)
    print(f"{len(chosen)} of {among} mutants (seed {options.seed})", flush=True)
    short_properties()
    sys.meta_path.insert(0, Seen())
    trial = Trial(chosen, options.jobs)
    pytest.main([*ARGUMENTS, *TESTS], plugins=[trial])
    if trial.failed or not trial.seconds:
        print(f"without any wrong these fail: {', '.join(trial.failed) or 'all'}", file=sys.stderr)
        return 2
    killed = len(chosen) - len(trial.survivors)
    print(
        f"\n{killed} of {len(chosen)} killed: {killed / max(1, len(chosen)):.1%} ({trial.timed_out}"
        " by taking too long)"
    )
    tried = Counter(in_core(one.path) for one in chosen)
    for file, count in sorted(Counter(in_core(one.path) for one in trial.survivors).items()):
        print(f"  {file}: {count} of {tried[file]} survive")
    if out is not None:
        out.write_text("".join(f"{named(one)}\n" for one in trial.survivors))
    return 0 if killed >= options.at_least * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
