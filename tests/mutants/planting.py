"""Puts a mutant in the place of the code it was made from, and notes which code a test runs."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.util
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from tests.mutants.mutate import Mutant

ROOT = Path(__file__).parents[2]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


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
    if target.__code__.co_freevars != source.__code__.co_freevars:
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
    for function in list(vars(module).values()):
        if not isinstance(function, type) and hasattr(function, "cache_clear"):
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
            module.__name__.startswith(("orchestrator.", "adapters.", "tests."))
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


def relative(path: Path) -> str:
    """``orchestrator/core/cascade/decide.py``."""
    return path.relative_to(ROOT).as_posix()


def give_sql(mutant: Mutant) -> None:
    """Replace the text of the mutant's file for every later read."""
    read, text = Path.read_text, mutant.text()

    def read_text(self: Path, *args: Any, **named: Any) -> str:
        return text if self == mutant.path else read(self, *args, **named)

    Path.read_text = read_text  # type: ignore[method-assign]


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


SEEN: set[str] = set()


class Seen(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The modules as they are, but that each function notes that somebody came through it."""

    def __init__(self, files: Iterable[Path]) -> None:
        self.files = {name_of(path): path for path in files if path.suffix == ".py"}

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self.files.get(name)
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
            if isinstance(child, (*FUNCTIONS, ast.ClassDef))
            else name
        )
        noting(child, stem, inner)
        if isinstance(child, FUNCTIONS):
            note = ast.Call(ast.Name("__seen__", ast.Load()), [ast.Constant(stem + inner)], [])
            first = 1 if ast.get_docstring(child) is not None else 0
            child.body.insert(first, ast.copy_location(ast.Expr(note), child.body[0]))
