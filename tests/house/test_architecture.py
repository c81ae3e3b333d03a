"""The architecture page, the guided tour and the import contract describe the same packages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import orchestrator

ROOT = Path(__file__).parents[2]
PACKAGES = {
    path.parent.name
    for path in (ROOT / "orchestrator").glob("*/__init__.py")
    if any(path.parent.glob("*.py"))
}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]


def test_no_module_stands_loose_beside_the_packages() -> None:
    assert [path.name for path in (ROOT / "orchestrator").glob("*.py")] == ["__init__.py"]


def test_the_contract_names_every_package_and_separates_neighbours() -> None:
    (layers,) = [contract for contract in CONTRACTS if contract["type"] == "layers"]
    assert layers["containers"] == ["orchestrator"]
    assert layers["exhaustive"] is True
    named = [name for layer in layers["layers"] for name in layer.split(" | ")]
    assert sorted(named) == sorted(PACKAGES)
    assert not any(":" in layer for layer in layers["layers"])


def test_the_contract_keeps_every_package_but_one_from_adapters() -> None:
    (forbidden,) = [one for one in CONTRACTS if one.get("source_modules") == ["adapters"]]
    kept = PACKAGES - {"channels"}
    assert set(forbidden["forbidden_modules"]) == {f"orchestrator.{name}" for name in kept}


def test_the_contract_allows_no_exception() -> None:
    assert not [contract for contract in CONTRACTS if "ignore_imports" in contract]
    (circles,) = [contract for contract in CONTRACTS if contract["type"] == "acyclic_siblings"]
    assert circles["ancestors"] == ["orchestrator"]


def test_the_architecture_page_says_what_every_package_is() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \| ", page, re.M)) == PACKAGES


def test_the_guided_tour_leads_to_packages_that_exist() -> None:
    tour = re.findall(r"``(\w+)[\w.]*``", orchestrator.__doc__ or "")
    assert {name for name in tour if name not in ("adapters", "decide", "Event")} <= PACKAGES
