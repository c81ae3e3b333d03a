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
from orchestrator.channels.registry import GROUP, adapter_points, load_adapter

PASSED_OVER = frozenset({"build", "dist", "node_modules", "venv", "__pycache__"})


class NothingToTest(Exception):
    """There are no adapters or examples; the text says where they were looked for."""


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
        name: load_adapter(name)
        for name, point in adapter_points().items()
        if f"{point.module}.".startswith(inside)
    }
    return together(target, adapters, in_package(target))


def together(
    target: str, adapters: Mapping[str, type[Adapter[Any]]], modules: list[Any]
) -> Brought:
    """Examples with the classes of their adapters, which they may know by name alone."""
    found = [module.EXAMPLES for module in modules if isinstance(module.EXAMPLES, Examples)]
    if not found:
        raise NothingToTest(
            f"{target} brings no wire examples: write a module examples_<adapter>.py with"
            " EXAMPLES = kaskad_testing.Examples(…), as docs/adapters.md shows"
        )
    kinds = [replace(one, kind=one.kind or adapters.get(one.adapter)) for one in found]
    return Brought(adapters, tuple(kinds))


def registered(root: Path) -> dict[str, type[Adapter[Any]]]:
    """The adapters that a project's ``pyproject.toml`` registers."""
    file = root / "pyproject.toml"
    project = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    points = project.get("project", {}).get("entry-points", {}).get(GROUP, {})
    with_path(root)
    return {name: EntryPoint(name, value, GROUP).load() for name, value in sorted(points.items())}


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
    return importlib.import_module(name)


def with_path(root: Path) -> None:
    """Let modules of a directory be imported, as an editable installation would."""
    for path in (str(root / "src"), str(root)):
        if Path(path).is_dir() and path not in sys.path:
            sys.path.insert(0, path)


def in_package(name: str) -> list[Any]:
    """The modules of examples of an installed package."""
    module = importlib.import_module(name)
    names = [name] if not hasattr(module, "__path__") else list(names_below(name))
    found = [importlib.import_module(one) for one in names]
    return [one for one in found if hasattr(one, "EXAMPLES")]


def names_below(package: str) -> Iterator[str]:
    """The modules in a package whose own names begin with ``examples``."""
    spec = importlib.util.find_spec(package)
    for root in map(Path, (spec and spec.submodule_search_locations) or ()):
        for file in sorted(root.rglob("examples*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            yield ".".join((package, *parts))
