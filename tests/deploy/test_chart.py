"""
The Helm chart: what it makes is valid, drains, runs as nobody, and carries a configuration that
Kaskad takes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from orchestrator.check.judge import judge
from orchestrator.configuration.yaml_file import Problem
from tests.deploy import chart

DRAIN_SECONDS = 25
NAMES = tuple(chart.VALUES)
OWN_KINDS = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, whose schemas are not Kubernetes' own."""

Json = dict[str, Any]


def found(name: str, kind: str) -> list[Json]:
    return [one for one in chart.documents(chart.kept(name)) if one["kind"] == kind]


def only(name: str, kind: str) -> Json:
    objects = found(name, kind)
    assert len(objects) == 1, [one["metadata"]["name"] for one in objects]
    return objects[0]


def pods(name: str) -> Iterator[Json]:
    """The pod templates of everything that runs."""
    for one in chart.documents(chart.kept(name)):
        if one["kind"] in ("Deployment", "Job"):
            yield one["spec"]["template"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_was_rendered_from_the_chart_as_it_is(name: str) -> None:
    assert chart.kept(name).splitlines()[0] == f"# chart: {chart.digest()}", (
        "run: python -m tests.deploy.chart"
    )


@pytest.mark.skipif(
    chart.helm() is None, reason="helm is not installed; the kept manifests stand for it"
)
@pytest.mark.parametrize("name", NAMES)
def test_helm_renders_what_is_kept(name: str) -> None:
    assert chart.kept(name).partition("\n")[2] == chart.render(name)


@pytest.mark.skipif(chart.helm() is None, reason="helm is not installed")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("terminationGracePeriodSeconds=20", "want 30"),
        ("preStopSeconds=30", "at least 25"),
        ("config.kaskad=store: postgresql://db/k", "migrate: manual"),
        ("config.kaskad=migrate: manual", "must name a PostgreSQL"),
        ("replicas=3", "replicas"),
    ],
)
def test_values_that_cannot_work_are_refused_by_helm(value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        chart.render("default", "--set", value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("version", ["1.25.0", "1.31.0", "1.34.0"])
def test_every_object_is_valid_for_kubernetes(name: str, version: str) -> None:
    for one in chart.documents(chart.kept(name)):
        if one["kind"] not in OWN_KINDS:
            kubernetes_validate.validate(one, version, strict=True)


def test_everything_that_can_be_turned_on_is_rendered() -> None:
    kinds = {one["kind"] for one in chart.documents(chart.kept("full"))}
    assert kinds >= OWN_KINDS | {
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "Ingress",
        "PodDisruptionBudget",
        "Job",
    }


@pytest.mark.parametrize("name", NAMES)
def test_nothing_runs_as_root_or_writes_its_own_files(name: str) -> None:
    for pod in pods(name):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", NAMES)
def test_a_pod_has_the_time_to_leave_the_load_balancer_and_to_drain(name: str) -> None:
    spec = only(name, "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    command, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert spec["terminationGracePeriodSeconds"] >= max(30, int(seconds) + DRAIN_SECONDS)
    assert only(name, "Deployment")["spec"]["strategy"]["rollingUpdate"] == {
        "maxSurge": 1,
        "maxUnavailable": 0,
    }


@pytest.mark.parametrize("name", NAMES)
def test_probes_ask_the_listener_that_knows(name: str) -> None:
    (container,) = only(name, "Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = {
        kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")
    }
    assert asked["liveness"] == asked["startup"] == {"path": "/livez", "port": "admin"}
    assert asked["readiness"] == {"path": "/readyz", "port": "http"}
    settings = YAML(typ="safe").load(found(name, "ConfigMap")[0]["data"]["kaskad.yaml"])
    listening = {key: int(settings["http"][key].rpartition(":")[2]) for key in ("listen", "admin")}
    assert ports == {"http": listening["listen"], "admin": listening["admin"]}


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_is_migrated_before_pods_are_replaced_and_by_nobody_else(name: str) -> None:
    job = only(name, "Job")
    hooks = [
        one["metadata"]["annotations"]
        for one in (job, *found(name, "ConfigMap"))
        if "annotations" in one["metadata"]
    ]
    assert len(hooks) == 2
    assert all(one["helm.sh/hook"] == "pre-install,pre-upgrade" for one in hooks)
    weights = [int(one["helm.sh/hook-weight"]) for one in hooks]
    assert weights == sorted(weights, reverse=True)
    spec = job["spec"]["template"]["spec"]
    assert spec["containers"][0]["args"] == ["migrate", "up"]
    assert "serviceAccountName" not in spec  # that one is made only after the hook
    assert all(
        "migrate: manual" in one["data"]["kaskad.yaml"]
        for one in found(name, "ConfigMap")
        if "data" in one
    )


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_selects_pods_selects_those_of_the_service_alone(name: str) -> None:
    deployment = only(name, "Deployment")
    wanted = deployment["spec"]["selector"]["matchLabels"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [one["spec"]["selector"] for one in found(name, "Service")]
    selectors += [
        one["spec"]["selector"]["matchLabels"] for one in found(name, "PodDisruptionBudget")
    ]
    selectors += [one["spec"]["podSelector"]["matchLabels"] for one in found(name, "NetworkPolicy")]
    assert len(selectors) >= 3
    assert all(selector == wanted for selector in selectors)
    assert wanted.items() <= labels.items()
    migration = only(name, "Job")["spec"]["template"]["metadata"]["labels"]
    assert not wanted.items() <= migration.items()


def test_scaling_by_load_leaves_the_number_of_pods_to_the_scaler() -> None:
    deployment, scaler = only("full", "Deployment"), only("full", "HorizontalPodAutoscaler")
    assert "replicas" not in deployment["spec"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert only("default", "Deployment")["spec"]["replicas"] == 2


def test_only_monitoring_reaches_the_admin_port() -> None:
    http, admin = only("full", "NetworkPolicy")["spec"]["ingress"]
    assert admin["ports"] == [{"port": "admin", "protocol": "TCP"}]
    assert admin["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]
    assert http["ports"] == [{"port": "http", "protocol": "TCP"}]


def test_the_chart_brings_the_alerts_and_names_the_job_as_they_expect() -> None:
    alerts = YAML(typ="safe").load((chart.ROOT / "deploy/prometheus/alerts.yaml").read_text())
    assert only("full", "PrometheusRule")["spec"] == alerts
    monitor = only("full", "ServiceMonitor")
    assert monitor["spec"]["jobLabel"] == "app.kubernetes.io/name"
    watched = [
        one
        for one in found("full", "Service")
        if monitor["spec"]["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()
    ]
    assert [one["metadata"]["name"] for one in watched] == ["kaskad-admin"]
    assert watched[0]["metadata"]["labels"]["app.kubernetes.io/name"] == "kaskad"
    endpoint = monitor["spec"]["endpoints"][0]
    assert endpoint["port"] in [port["name"] for port in watched[0]["spec"]["ports"]]


def mounted(folder: Path, pod: Json, config_maps: list[Json]) -> Path:
    """
    The configuration as the kubelet puts it into a pod: in a folder of its own behind two levels of
    links.
    """
    volume = next(one["configMap"] for one in pod["spec"]["volumes"] if one["name"] == "config")
    data = next(one["data"] for one in config_maps if one["metadata"]["name"] == volume["name"])
    real = folder / "..2026_11_25_10_00_00.123456789"
    for item in volume["items"]:
        path = real / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data[item["key"]])
    (folder / "..data").symlink_to(real.name)
    for top in real.iterdir():
        (folder / top.name).symlink_to(f"..data/{top.name}")
    environment = {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}
    inside = next(
        one["mountPath"]
        for one in pod["spec"]["containers"][0]["volumeMounts"]
        if one["name"] == "config"
    )
    return folder / os.path.relpath(str(environment["KASKAD_CONFIG"]), inside)


def errors(config: Path) -> list[Problem]:
    problems = judge(config, {"KASKAD_DB_PASSWORD": "x"}).problems
    return [one for one in problems if one.severity == "error"]


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_is_in_order_where_it_is_mounted(name: str, tmp_path: Path) -> None:
    for number, pod in enumerate(pods(name)):
        folder = tmp_path / str(number)
        folder.mkdir()
        config = mounted(folder, pod, found(name, "ConfigMap"))
        assert config.is_file()
        assert errors(config) == []


def schema() -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for((chart.CHART / "values.schema.json").read_text())


def values() -> Json:
    loaded: Json = YAML(typ="safe").load((chart.CHART / "values.yaml").read_text())
    return loaded


def test_the_default_values_fit_the_schema_and_the_schema_knows_every_one_of_them() -> None:
    assert schema().is_valid(values())
    for key, value in values().items():
        another = 1 if isinstance(value, str) else "a text"
        assert not schema().is_valid({**values(), key: another}), key


@pytest.mark.parametrize(
    "change",
    [
        {"terminationGracePeriodSeconds": 29},
        {"replicaCount": 0},
        {"secretFiles": [{"name": "UPPER", "secretName": "x"}]},
        {"config": {"kaskad": ""}},
        {"config": {"kaskad": "x", "policies": {"a.yml": "x"}}},
        {"networkPolicy": {"adminFrom": []}},
        {"unknown": 1},
    ],
)
def test_values_that_cannot_work_do_not_fit_the_schema(change: Json) -> None:
    assert not schema().is_valid({**values(), **change})


def test_an_image_is_taken_by_its_digest_if_one_is_given() -> None:
    def images(name: str) -> set[str]:
        return {one["image"] for pod in pods(name) for one in pod["spec"]["containers"]}

    [by_tag], [by_digest] = images("default"), images("full")
    assert re.fullmatch(r"kaskad:[\d.]+", by_tag)
    assert re.fullmatch(r"registry\.example\.com/kaskad@sha256:[0-9a-f]{64}", by_digest)
