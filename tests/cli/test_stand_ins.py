"""`kaskad run --sandbox` runs the stand-ins that a configuration points to, or says why not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.cli.stand_ins import callbacks_of, ports_of
from orchestrator.configuration.settings_file import load_settings
from tests.support.ports import free_port

CONFIG = """\
store: sqlite:///./k.db
channels:
  sms:
    - provider: main
      adapter: twilio_sms
      base_url: "{twilio}"
      account_sid: AC1
      auth_token: "{secret}"
      from: Shop
    - provider: over_smpp
      adapter: smpp
      host: localhost
      port: 12775
      system_id: s
      password: "{secret}"
      from: Shop
    - provider: elsewhere
      adapter: smpp
      host: smsc.example.com
      system_id: s
      password: "{secret}"
      from: Shop
  viber:
    - provider: infobip
      adapter: infobip_viber
      base_url: "{infobip}"
      api_key: "{secret}"
      sender: Shop
  email:
    - {{provider: relay, adapter: smtp, host: 127.0.0.1, port: 18025, tls: none, from: a@b.example}}
http: {{listen: "127.0.0.1:{port}", admin: "127.0.0.1:{admin}", auth: off}}
policies: ./policies
templates: ./templates
governance: ./governance.yaml
"""
HERE, THERE = "http://127.0.0.1:18090", "http://localhost:18091"


def lay_out(folder: Path, twilio: str = HERE, infobip: str = HERE, text: str = CONFIG) -> Path:
    for name in ("policies", "templates"):
        (folder / name).mkdir()
    (folder / "governance.yaml").write_text("sms_countries: [UA]\n")
    config = folder / "kaskad.yaml"
    ports = {"port": free_port(), "admin": free_port()}
    config.write_text(text.format(twilio=twilio, infobip=infobip, secret="${env:SECRET}", **ports))
    return config


def run(config: Path) -> Result:
    words = ["run", "--sandbox", "--config", str(config)]
    return CliRunner(env={"SECRET": "secret"}).invoke(app, words)


def test_they_listen_where_the_accounts_point_and_report_to_their_providers(tmp_path: Path) -> None:
    settings = load_settings(lay_out(tmp_path), {"SECRET": "secret"})
    assert ports_of(settings) == {"http": 18090, "smtp": 18025, "smsc": 12775}
    receipts = f"{settings.http.public_url}/v1/receipts"
    assert callbacks_of(settings) == {
        "twilio": f"{receipts}/main",
        "infobip": f"{receipts}/infobip",
    }


def test_a_real_account_gets_no_stand_in(tmp_path: Path) -> None:
    config = lay_out(tmp_path, twilio="https://api.twilio.com")
    assert set(callbacks_of(load_settings(config, {"SECRET": "secret"}))) == {"infobip"}


def test_accounts_over_http_that_point_to_two_ports_are_refused(tmp_path: Path) -> None:
    ran = run(lay_out(tmp_path, infobip=THERE))
    assert ran.exit_code == 2
    assert "infobip points to port 18091, and another to 18090: give them one port" in ran.stderr


def test_a_configuration_without_stand_ins_is_refused(tmp_path: Path) -> None:
    text = CONFIG.partition("channels:")[0]
    text += 'channels: {{sms: [{{provider: paper, adapter: log, path: "./sent.jsonl"}}]}}\n'
    text += CONFIG[CONFIG.index("http:") :]
    ran = run(lay_out(tmp_path, text=text))
    assert ran.exit_code == 2
    assert "no provider points to a stand-in; give one `base_url:" in ran.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        here = f"http://127.0.0.1:{port}"
        ran = run(lay_out(tmp_path, twilio=here, infobip=here))
    assert ran.exit_code == 3
    assert f"cannot listen on 127.0.0.1:{port}" in ran.stderr
    assert "give the accounts in" in ran.stderr


def test_who_has_no_project_is_led_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KASKAD_CONFIG", raising=False)
    assert "kaskad init" in CliRunner().invoke(app, ["run"]).stderr
    assert "Start with `kaskad init`" in CliRunner().invoke(app, ["--help"]).stdout
