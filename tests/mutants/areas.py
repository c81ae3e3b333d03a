"""What is mutated together, and the tests that are asked to notice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.planting import ROOT


@dataclass(frozen=True, slots=True)
class Area:
    """Folders or files under the root: of the product, and of the tests."""

    mutated: tuple[str, ...]
    tests: tuple[str, ...]

    def files(self) -> Iterator[Path]:
        """The area's Python and SQL files."""
        for folder in self.mutated:
            yield from sorted((ROOT / folder).rglob("*.py"))
            yield from sorted((ROOT / folder).rglob("*.sql"))


AREAS = {
    "core": Area(("orchestrator/core",), ("tests/core", "tests/properties")),
    "engine": Area(
        ("orchestrator/engine", "orchestrator/runtime"),
        ("tests/engine", "tests/runtime", "tests/acceptance", "tests/simulation/test_seeds.py"),
    ),
    "stores": Area(("orchestrator/stores",), ("tests/stores", "tests/engine")),
    "dispatch": Area(
        ("orchestrator/dispatch",), ("tests/dispatch", "tests/acceptance", "tests/engine")
    ),
    "events": Area(("orchestrator/events",), ("tests/events", "tests/api")),
    "recipients": Area(
        ("orchestrator/recipients",), ("tests/recipients", "tests/events", "tests/api")
    ),
    "api": Area(("orchestrator/api",), ("tests/api", "tests/app")),
    "render": Area(("orchestrator/render",), ("tests/render", "tests/acceptance")),
    "statuses": Area(("orchestrator/statuses",), ("tests/statuses", "tests/app")),
    "adapters": Area(("adapters", "orchestrator/channels"), ("tests/adapters", "tests/channels")),
    "configuration": Area(("orchestrator/configuration",), ("tests/configuration",)),
    "simulate": Area(("orchestrator/simulate", "orchestrator/virtual"), ("tests/simulate",)),
    "history": Area(("orchestrator/history", "orchestrator/primitives"),
        ("tests/primitives", "tests/engine")),
}  # fmt: skip
