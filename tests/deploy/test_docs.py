"""The pages about deploying describe what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.deploy.test_compose import SERVICES

ROOT = Path(__file__).parents[2]
PAGES = ("deploying.md", "sizing.md", "dashboards.md")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("name", PAGES)
def test_files_that_a_page_names_exist(name: str) -> None:
    for path in re.findall(r"\bdeploy/[\w./*-]+", page(name)):
        found = path.rstrip(".")
        if found == "deploy/.env":
            found = "deploy/.env.example"
        assert list(ROOT.glob(found.rstrip("/"))), path


def test_the_addresses_of_the_compose_installation_are_those_it_publishes() -> None:
    published = {
        port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", ())
    }
    section = page("deploying.md").partition("## Try it: compose")[2].partition("\n## ")[0]
    assert set(re.findall(r":(\d{4,5})\b", section)) == published


def test_every_object_that_the_chart_can_make_is_named() -> None:
    values = YAML(typ="safe").load((ROOT / "deploy/helm/kaskad/values.yaml").read_text())
    text = page("deploying.md")
    for word in (
        "Deployment",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
        "ServiceMonitor",
        "NetworkPolicy",
    ):
        assert word in text
    assert f"preStop {values['preStopSeconds']} s" in text
    assert f"terminationGracePeriodSeconds: {values['terminationGracePeriodSeconds']}" in text


def test_the_figures_that_the_arithmetic_needs_are_there_with_their_command() -> None:
    table = page("sizing.md").partition("## Measured")[2].partition("\nThen:")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("| ")
    ]
    found = {row[0]: row[1:] for row in rows[1:]}
    for figure in (
        "CPU µs per message, Kaskad",
        "CPU µs per message, database",
        "WAL bytes per message",
    ):
        sqlite, postgres, command = found[figure]
        assert any(re.fullmatch(r"[\d ]+(\.\d+)?", cell) for cell in (sqlite, postgres)), figure
        assert "kaskad bench --only" in command or command == "the same"
