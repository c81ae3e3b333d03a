"""
The adapters and wire examples of an author's package.

It may be a directory with a ``pyproject.toml`` (installed or not), the name of an installed
package, one Python file with ``EXAMPLES``, or a configuration with declared gateways. Examples are
modules whose names begin with ``examples``, wherever they are in it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from kaskad_testing.declared import declared_in
from kaskad_testing.examples import Examples
from orchestrator.channels import Adapter
from orchestrator.channels.registry import GROUP, BrokenAdapter, adapter_points, loaded

PASSED_OVER = frozenset({"build", "dist", "node_modules", "venv", "__pycache__"})


class NothingToTest(Exception):
    """There are no adapters or examples that can be loaded; the text says where and why."""


@dataclass(frozen=True)
class Brought:
    """What a package brings: ``adapters`` by name, and the ``examples`` of all of them."""

    adapters: Mapping[str, type[Adapter[Any]]]
    examples: tuple[Examples, ...]


@cache
def brought(target: str) -> Brought:
    """The adapters and examples of a target. Raises ``NothingToTest``."""
    path = Path(target)
    if path.is_dir():
        return together(target, registered(path), in_directory(path.resolve()))
    if path.suffix in (".yaml", ".yml") and path.is_file():
        found = declared_in(path)
        if not found:
            raise NothingToTest(f"{target} declares no gateway: no provider has `adapter: http`")
        return Brought({}, tuple(found))
    if path.suffix == ".py" and path.is_file():
        return together(target, {}, [imported(path.resolve().parent, path.stem)])
    if not all(part.isidentifier() for part in target.split(".")) or not (
        importlib.util.find_spec(target.partition(".")[0])
    ):
        raise NothingToTest(
            f"{target} is neither a directory, nor a Python file, nor an installed package"
        )
    inside = f"{target}."
    adapters = {
        name: adapter_at(point)
        for name, point in adapter_points().items()
        if f"{point.module}.".startswith(inside)
    }
    return together(target, adapters, in_package(target))


def together(
    target: str, adapters: Mapping[str, type[Adapter[Any]]], modules: list[Any]
) -> Brought:
    """Examples with the classes of their adapters, which they may know by name alone."""
    named = [getattr(module, "EXAMPLES", None) for module in modules]
    found = [one for one in named if isinstance(one, Examples)]
    if not found:
        raise NothingToTest(
            f"{target} brings no wire examples: write a module examples_<adapter>.py with"
            " EXAMPLES = kaskad_testing.Examples(…), as docs/adapters.md shows"
        )
    kinds = [one.kind or adapters.get(one.adapter) or elsewhere(target, one) for one in found]
    return Brought(
        adapters, tuple(replace(one, kind=kind) for one, kind in zip(found, kinds, strict=True))
    )


def elsewhere(target: str, examples: Examples) -> type[Adapter[Any]]:
    """The adapter of some examples, which another package registers."""
    point = adapter_points().get(examples.adapter)
    if point is None:
        raise NothingToTest(
            f"{target} has examples of {examples.adapter!r}, which nothing registers: add it under"
            f' [project.entry-points."{GROUP}"], or give the class as kind=… to the examples'
        )
    return adapter_at(point)


def adapter_at(point: EntryPoint) -> type[Adapter[Any]]:
    """The adapter that an entry point names."""
    try:
        return loaded(point)
    except BrokenAdapter as error:
        raise NothingToTest(f"the adapter {point.name}: {error}") from error


def registered(root: Path) -> dict[str, type[Adapter[Any]]]:
    """The adapters that a project's ``pyproject.toml`` registers."""
    file = root / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise NothingToTest(f"{file} cannot be read: {error}") from error
    points = project.get("project", {}).get("entry-points", {}).get(GROUP, {})
    with_path(root)
    named = [EntryPoint(name, value, GROUP) for name, value in sorted(points.items())]
    return {point.name: adapter_at(point) for point in named}


def in_directory(root: Path) -> list[Any]:
    """The modules of examples below a directory."""
    found = []
    for folder, below, files in os.walk(root):
        below[:] = sorted(
            name for name in below if name not in PASSED_OVER and not name.startswith(".")
        )
        for name in sorted(files):
            if name.startswith("examples") and name.endswith(".py"):
                found.append(imported(*place_of(Path(folder) / name, root)))
    return [module for module in found if hasattr(module, "EXAMPLES")]


def place_of(file: Path, root: Path) -> tuple[Path, str]:
    """The directory that a file is imported from, and its name from there."""
    base = root / "src" if (root / "src") in file.parents else root
    if not (file.parent / "__init__.py").is_file():
        return file.parent, file.stem
    return base, ".".join(file.relative_to(base).with_suffix("").parts)


def imported(base: Path, name: str) -> Any:
    """A module of a directory."""
    with_path(base)
    return module_of(name, f"{base.joinpath(*name.split('.'))}.py")


def module_of(name: str, shown: str) -> Any:
    """A module, ``shown`` where it cannot be imported."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        what = f"{shown} cannot be imported ({type(error).__name__}: {error})"
        raise NothingToTest(what) from error


def with_path(root: Path) -> None:
    """Let modules of a directory be imported, as an editable installation would."""
    for path in (str(root / "src"), str(root)):
        if Path(path).is_dir() and path not in sys.path:
            sys.path.insert(0, path)


def in_package(name: str) -> list[Any]:
    """The modules of examples of an installed package."""
    module = module_of(name, name)
    below = names_below(name) if hasattr(module, "__path__") else ()
    return [module_of(one, one) for one in below] or [module]


def names_below(package: str) -> Iterator[str]:
    """The modules in a package whose own names begin with ``examples``."""
    spec = importlib.util.find_spec(package)
    for root in map(Path, (spec and spec.submodule_search_locations) or ()):
        for file in sorted(root.rglob("examples*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            yield ".".join((package, *parts))
