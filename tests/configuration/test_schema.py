"""
The JSON Schemas know what the readers know: neither refuses what the other takes, as far as keys
go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from orchestrator.configuration.governance_file import read_governance
from orchestrator.configuration.journey_file import parse_journey
from orchestrator.configuration.policy_file import parse_policy
from orchestrator.configuration.reading import Report
from orchestrator.configuration.schema import schema
from orchestrator.configuration.settings_file import read_settings
from orchestrator.configuration.yaml_file import load

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
FILES = [
    *(
        ("policy", path)
        for path in sorted((CONFIG / "policies").glob("*.yaml"))
        if not path.name.endswith(".test.yaml")
    ),
    *(
        ("journey", path)
        for path in sorted((CONFIG / "journeys").glob("*.yaml"))
        if not path.name.endswith(".test.yaml")
    ),
    ("governance", CONFIG / "governance.yaml"),
    ("kaskad", CONFIG / "kaskad.yaml"),
]

EMPTY: dict[str, Any] = {
    "policy": {
        "policy": "p",
        "trigger": {},
        "dedupe": {},
        "digest": {},
        "send_at": {},
        "experiment": {"arms": {"a": {}}},
        "convert": {},
        "goal": {},
        "also": [{"retry": {}}],
        "cascade": [{"retry": {}, "wait": "1m"}],
    },
    "journey": {
        "journey": "j",
        "enter": {},
        "exit": [{}],
        "goal": {},
        "steps": [
            {"until": {"at": "09:00"}},
            {"until": {}},
            {"branch": [{}]},
            {"repeat": {}},
            {"publish": {}},
        ],
    },
    "governance": {
        "quiet_hours": {"a": {}},
        "frequency_caps": {"a": {}},
        "min_gaps": {"a": {}},
        "budget": {"a": {}},
        "consent": {},
        "replies": {},
    },
    "kaskad": {
        "sources": {"http": {}, "kafka": {"security": {}}},
        "statuses": {"kafka": {"security": {}}, "webhooks": [{}]},
        "http": {},
        "egress": {},
        "receipt_outage": {},
        "limits": {},
        "breaker": {},
        "defaults": {"retry": {}},
        "retention": {},
        "log": {},
        "telemetry": {"traces": {}},
    },
}


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda value: getattr(value, "name", value))
def test_the_worked_files_fit_their_schemas(kind: str, path: Path) -> None:
    validator = jsonschema_rs.validator_for(schema(kind))
    assert [error.message for error in validator.iter_errors(load(path).plain())] == []


def with_stranger(value: Any) -> Any:
    """The document with an unknown key in every mapping, deepest ones included."""
    if isinstance(value, dict):
        return {key: with_stranger(inner) for key, inner in value.items()} | {"zzzzqqqq": 1}
    if isinstance(value, list):
        return [with_stranger(inner) for inner in value]
    return value


def known_by_reader(kind: str, tmp_path: Path) -> list[set[str]]:
    path = tmp_path / "file.yaml"
    named = ("quiet_hours", "frequency_caps", "min_gaps", "budget")
    document = with_stranger(EMPTY[kind])
    if "experiment" in document:
        del document["experiment"]["arms"]["zzzzqqqq"]
    for key in named:
        if key in document:
            del document[key]["zzzzqqqq"]  # any name is a rule's
    path.write_text(json.dumps(document))
    report = Report()
    if kind == "policy":
        parse_policy(path, report, templates=lambda template: "")
    elif kind == "journey":
        parse_journey(path, report)
    elif kind == "governance":
        read_governance(path, report)
    else:
        read_settings(path, {}, report)
    fixes = [problem.fix for problem in report.problems if "zzzzqqqq" in problem.what]
    return [
        set(re.sub(r"^(did you mean .*\? )?known are: ", "", fix).split(", ")) - {""}
        for fix in fixes
    ]


def known_by_schema(node: Any) -> Iterator[set[str]]:
    if isinstance(node, dict):
        if node.get("type") == "object" and node.get("additionalProperties") is False:
            yield set(node["properties"])
        for inner in node.values():
            yield from known_by_schema(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from known_by_schema(inner)


@pytest.mark.parametrize("kind", sorted(EMPTY))
def test_every_key_that_is_read_is_in_the_schema_and_no_other(kind: str, tmp_path: Path) -> None:
    described = [
        keys
        for keys in known_by_schema(schema(kind))
        if not {"provider", "delivered", "amount"} & keys
    ]
    assert {frozenset(keys) for keys in known_by_reader(kind, tmp_path)} == {
        frozenset(keys) for keys in described
    }


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("policy", "{policy: p, trigger: {event: e}, cascade: []}"),
        ("policy", "{policy: p, trigger: {event: e}, cascade: [{channel: sms, wait: 10}]}"),
        ("policy", "{policy: p, trigger: {event: e}, cascade: [{channel: sms, wait: {seen: 1h}}]}"),
        (
            "policy",
            (
                "{policy: p, trigger: {event: e}, also: [{channel: sms, wait: 1h}], cascade:"
                " [{channel: sms}]}"
            ),
        ),
        ("governance", "{consent: {otp: maybe}}"),
        ("governance", "{frequency_caps: {a: {limit: 0, per: 7d}}}"),
        ("kaskad", "{channels: {sms: [{provider: a, adapter: twilio_sms, account_sid: x}]}}"),
        (
            "kaskad",
            (
                "{channels: {sms: [{provider: a, adapter: twilio_sms, account_sid: x, auth_token:"
                " y, nonsense: 1}]}}"
            ),
        ),
        ("kaskad", "{channels: {sms: []}}"),
    ],
)
def test_an_editor_underlines_what_is_wrong(kind: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    assert not jsonschema_rs.validator_for(schema(kind)).is_valid(load(path).plain())


def test_there_is_no_schema_of_anything_else() -> None:
    with pytest.raises(KeyError):
        schema("poem")
