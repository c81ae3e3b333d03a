"""Alerts and dashboards ask only for what Kaskad says of itself, and each says what to do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML

from deploy.grafana.make import ALL
from orchestrator.core.reasons import Reason
from orchestrator.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
PROMETHEUS, DASHBOARDS = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana" / "dashboards"
FROM_SCRAPING = {"instance", "job"}
NAME = re.compile(r"\bkaskad_[a-z_]+")
SELECTOR = re.compile(r"\b(kaskad_[a-z_]+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\bby\s*\(([^)]*)\)")
LEGEND = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")
GRID = 24


def samples() -> dict[str, set[str]]:
    """Every name that can be asked for, with its labels."""
    metrics = Metrics()
    found = {
        family.name + ("_total" if family.type == "counter" else ""): set[str]()
        for family in metrics.registry.collect()
    }
    for metric in (
        metrics.registry._collector_to_names
    ):  # the only place where the labels of unused metrics stand
        if not isinstance(metric, MetricWrapperBase):
            continue
        labels = set(metric._labelnames)
        name = metric._name
        match metric._type:
            case "counter":
                found[f"{name}_total"] = labels
            case "histogram":
                found |= {
                    f"{name}_sum": labels,
                    f"{name}_count": labels,
                    f"{name}_bucket": labels | {"le"},
                }
            case _:
                found[name] = labels
    return found


SAMPLES = samples()


def alerts() -> list[dict[str, Any]]:
    groups = YAML(typ="safe").load((PROMETHEUS / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every panel that asks something, with its dashboard's name."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            if panel["type"] != "row":
                yield path.stem, panel


EXPRESSIONS = [pytest.param(rule["expr"], id=rule["alert"]) for rule in alerts()]
EXPRESSIONS += [
    pytest.param(target["expr"], id=f"{name}: {panel['title']} {target['refId']}")
    for name, panel in panels()
    for target in panel["targets"]
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_asked_for_exists_with_these_labels(expression: str) -> None:
    names = set(NAME.findall(re.sub(r'"[^"]*"', '""', expression)))
    assert names <= set(SAMPLES), names - set(SAMPLES)
    for name, matchers in SELECTOR.findall(expression):
        for label, value in MATCHER.findall(matchers):
            assert label in SAMPLES[name] | FROM_SCRAPING, f"{name} has no label {label}"
            if label == "reason" and value:
                assert value in set(Reason), value
    known = set().union(*(SAMPLES[name] for name in names)) | FROM_SCRAPING
    for grouped in GROUPED.findall(expression):
        wanted = {label.strip() for label in grouped.split(",")}
        assert wanted <= known, wanted - known


def left_over(expression: str) -> set[str]:
    """The labels that a result still has."""
    grouped = [
        {label.strip() for label in one.split(",")} - {"le"} for one in GROUPED.findall(expression)
    ]
    if grouped:
        return set.intersection(*grouped)
    return set().union(*(SAMPLES[name] for name in NAME.findall(expression))) | FROM_SCRAPING


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_what_happened_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "fix"}
    for label in LEGEND.findall(rule["annotations"]["summary"]):
        assert label in left_over(rule["expr"]), label


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_is_explained(rule: dict[str, Any]) -> None:
    assert (
        f"| `{rule['alert']}` | {rule['labels']['severity']} | "
        in (ROOT / "docs" / "dashboards.md").read_text()
    )


def test_alerts_and_their_names_are_unique_and_each_is_tried() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))
    tests = YAML(typ="safe").load((PROMETHEUS / "alerts.test.yaml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    fired |= {
        name
        for test in tests
        for case in test.get("promql_expr_test", ())
        for name in names
        if f'"{name}"' in case["expr"]
    }
    assert fired == set(names)


@pytest.mark.skipif(
    shutil.which(os.environ.get("PROMTOOL", "promtool")) is None, reason="promtool is not installed"
)
def test_alerts_fire_on_what_they_are_for() -> None:
    tool = os.environ.get("PROMTOOL", "promtool")
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts.test.yaml"]):
        done = subprocess.run(
            [tool, *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(ALL))
def test_dashboards_are_what_their_source_makes(name: str) -> None:
    assert (DASHBOARDS / f"{name}.json").read_text() == ALL[name].text(), (
        "run: python3 -m deploy.grafana.make"
    )


def test_dashboards_have_names_of_their_own() -> None:
    made = [json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")]
    assert {path.stem for path in DASHBOARDS.glob("*.json")} == set(ALL)
    assert len({one["uid"] for one in made}) == len({one["title"] for one in made}) == len(made)


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.stem)
def test_panels_have_ids_of_their_own_and_do_not_overlap(path: Path) -> None:
    every = json.loads(path.read_text())["panels"]
    ids = [panel["id"] for panel in every]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in every:
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert place["x"] + place["w"] <= GRID
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    ("name", "panel"), list(panels()), ids=lambda one: one if isinstance(one, str) else one["title"]
)
def test_a_panel_says_why_to_look_at_it_and_its_legend_names_what_is_there(
    name: str, panel: dict[str, Any]
) -> None:
    assert panel["description"]
    for target in panel["targets"]:
        for label in LEGEND.findall(target["legendFormat"]):
            assert label in left_over(target["expr"]), f"{panel['title']}: {label}"


def test_every_metric_of_kaskad_is_looked_at_somewhere() -> None:
    asked = " ".join(str(parameter.values[0]) for parameter in EXPRESSIONS)
    families = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in Metrics().registry.collect()
        if not family.name.startswith("kaskad_process_")
    }
    unseen = {
        name for name in families if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", asked)
    }
    assert unseen == {"kaskad_config_last_reload_success_timestamp_seconds"}


def test_the_provisioned_paths_are_those_that_compose_mounts() -> None:
    yaml = YAML(typ="safe")
    compose = yaml.load((ROOT / "deploy/compose.yaml").read_text())["services"]
    mounts = [volume.split(":")[1] for volume in compose["grafana"]["volumes"]]
    provider = yaml.load((ROOT / "deploy/grafana/provisioning/dashboards/kaskad.yaml").read_text())[
        "providers"
    ][0]
    assert provider["options"]["path"] in mounts
    home = compose["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DASHBOARDS / Path(home).name).is_file()
    source = yaml.load(
        (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yaml").read_text()
    )["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    scraped = yaml.load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"][0]
    services = [target.partition(":")[0] for target in scraped["static_configs"][0]["targets"]]
    assert (scraped["job_name"], services) == (
        "kaskad",
        [name for name in compose if name.startswith("kaskad-")],
    )
