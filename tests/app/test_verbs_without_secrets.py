"""A verb needs only what it touches: those that work on the store run without anybody's secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from tests.app.site import put_policy

CONFIG = """\
store: {store}
channels:
  sms:
    - provider: twilio
      adapter: twilio_sms
      account_sid: ${{env:TWILIO_ACCOUNT_SID}}
      auth_token: ${{file:/nowhere/token}}
      from: Shop
sources:
  kafka:
    bootstrap_servers: localhost:9
    topics: [events]
    group: kaskad
    security: {{protocol: SASL_SSL, sasl_mechanism: PLAIN, username: k, password: "${{env:KAFKA}}"}}
statuses: {{webhooks: [{{url: "{hook}", secret: "${{env:HOOK_SECRET}}"}}]}}
signing_key: ${{env:SIGNING_KEY}}
policies: ./policies
templates: ./templates
"""
HOOK = "https://shop.example.com/kaskad"
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "shop",
    "type": "shop.order",
    "data": {"n": 1, "recipient": {"id": "p1", "phone": "+380501234567"}},
}


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return "sqlite:///./k.db"
    return str(request.getfixturevalue("empty_postgres_url"))


def lay_out(folder: Path, store: str, hook: str = HOOK) -> Path:
    put_policy(folder, "order", "Order {{ event.n }}")
    (folder / "governance.yaml").write_text("sms_countries: [UA]\n")
    (folder / "event.json").write_text(json.dumps(EVENT))
    config = folder / "kaskad.yaml"
    config.write_text(CONFIG.format(store=store, hook=hook))
    return config


def kaskad(config: Path, *words: str) -> Result:
    return CliRunner(env={"KASKAD_CONFIG": str(config)}).invoke(app, list(words))


def test_the_verbs_of_the_store_run_without_the_providers_secrets(
    tmp_path: Path, store: str
) -> None:
    config = lay_out(tmp_path, store)
    assert kaskad(config, "check").exit_code == 1
    assert kaskad(config, "migrate", "up").exit_code == 0
    sent = kaskad(config, "send", str(tmp_path / "event.json"), "-o", "json")
    [message] = json.loads(sent.stdout)["results"][0]["messages"]
    for words in (
        ("migrate", "status"),
        ("keys", "create", "--scope", "events"),
        ("keys", "list"),
        ("keys", "rotate"),
        ("dlq", "list"),
        ("optout", "p1"),
        ("explain", message),
        ("subject", "export", "p1"),
    ):
        ran = kaskad(config, *words)
        assert ran.exit_code == 0, (words, ran.output)


@pytest.mark.parametrize(
    ("store", "hook", "missing"),
    [
        ("postgresql://k:${env:DB_PASSWORD}@localhost/k", HOOK, "DB_PASSWORD"),
        ("sqlite:///./k.db", "https://shop.example.com/${env:HOOK_PATH}", "HOOK_PATH"),
    ],
)
def test_what_the_store_itself_needs_must_be_there(
    tmp_path: Path, store: str, hook: str, missing: str
) -> None:
    config = lay_out(tmp_path, store, hook)
    for verb in (("keys", "list"), ("migrate", "status")):
        ran = kaskad(config, *verb)
        assert ran.exit_code == 2
        assert f"the environment variable {missing} is not set" in ran.stderr
        assert "TWILIO" not in ran.stderr
    assert not (tmp_path / "k.db").exists()
