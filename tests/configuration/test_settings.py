"""
kaskad.yaml is read into typed settings; what is wrong has a position and a fix, and secrets never
show.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from orchestrator.check.judge import load_configuration
from orchestrator.configuration import settings as s
from orchestrator.configuration import trace_settings
from orchestrator.configuration.settings_file import find_config, load_settings, read_settings, view
from orchestrator.configuration.yaml_file import ConfigError
from orchestrator.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, Retry
from tests.certificates import make_certificates
from tests.configuration import place as well
from tests.configuration.bad_settings import BAD, SID, SMS, TWILIO

HOOK = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ENV = {"HOOK": HOOK, "TOKEN": "s3cr3t-token"}


def write(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "config"
    folder.mkdir(exist_ok=True)
    path = folder / "k.yaml"
    path.write_text(text)
    return path


def load(tmp_path: Path, text: str, env: dict[str, str] | None = None) -> s.Settings:
    return load_settings(write(tmp_path, text), ENV if env is None else env)


def problems(tmp_path: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text, env)
    return [str(problem).removeprefix(f"{tmp_path}/config/") for problem in refused.value.problems]


def warnings(tmp_path: Path, text: str) -> list[str]:
    from orchestrator.configuration.reading import Report

    report = Report()
    read_settings(write(tmp_path, text), ENV, report)
    return [str(problem).removeprefix(f"{tmp_path}/config/") for problem in report.problems]


def test_one_channel_is_enough_and_every_number_has_a_default(tmp_path: Path) -> None:
    settings = load(tmp_path, SMS)
    folder = tmp_path / "config"
    assert settings.store.kind == "sqlite"
    assert settings.store.path == folder / "../data/kaskad.db"
    assert settings.http == s.HttpSettings(
        s.ListenAddress("127.0.0.1", 8080),
        s.ListenAddress("127.0.0.1", 9464),
        "http://127.0.0.1:8080",
        "keys",
    )
    assert settings.sources == s.Sources(http=True, kafka=None)
    assert settings.statuses == s.Statuses(kafka=None, webhooks=())
    assert (settings.policies, settings.templates) == (folder / "policies", folder / "../templates")
    assert settings.governance is None
    assert settings.receipt_outage == s.ReceiptOutage(True, 200, 0.5)
    assert settings.limits == s.LimitSettings((5, HOUR_MS), (50, 10 * MINUTE_MS))
    assert settings.breaker == s.BreakerSettings(0.5, 20, 30_000, 30_000)
    assert settings.defaults == s.Defaults(10 * MINUTE_MS, Retry(3, 60_000))
    assert settings.migrate == "auto"
    assert settings.retention == s.Retention(90 * DAY_MS, 30 * DAY_MS, 30 * DAY_MS, 30 * DAY_MS)
    assert settings.log == s.LogSettings("info", "json")
    assert settings.signing_key is None
    provider = settings.providers["twilio"]
    assert (provider.timeout_ms, provider.rate_per_second, provider.cost, provider.connections) == (
        10_000,
        None,
        None,
        64,
    )
    assert provider.build().provider == "twilio"


def test_a_governance_file_beside_it_is_used_without_being_named(tmp_path: Path) -> None:
    path = write(tmp_path, SMS)
    (path.parent / "governance.yaml").write_text("")
    assert load_settings(path, ENV).governance == path.parent / "governance.yaml"


def test_every_key_is_read(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    text = f"""
store: postgresql://kaskad:${{env:TOKEN}}@db/kaskad
sources:
  kafka: {{bootstrap_servers: ["a:9092", "b:9092"], topics: [one, two], group: g,
          auto_offset_reset: latest, dead_letters: off,
          security: {{protocol: SASL_SSL, sasl_mechanism: SCRAM-SHA-512, username: u,
          password: ${{env:TOKEN}}, ca: ../ca.pem, cert: ../client.pem, key: ../client.key}}}}
statuses: {{kafka: {{topic: t}}, webhooks: [{{url: https://a.example/h, secret: ${{env:HOOK}}}}]}}
channels:
  sms: [{{{TWILIO}, auth_token: ${{env:TOKEN}}, timeout: 5s, rate: 90/1m, connections: 3,
         cost: {{amount: "1.20", currency: UAH, per: part}}}}]
http: {{listen: "0.0.0.0:80", admin: "[::1]:81", public_url: "https://k.example/base/", auth: keys}}
egress: {{allow: ["http://127.0.0.1:8443"]}}
policies: p
templates: /abs/t
governance: g.yaml
receipt_outage: {{hold: false}}
limits: {{sms_per_recipient: 2/30m}}
breaker: off
defaults: {{wait: 1m, retry: {{max: 1, within: 2s}}}}
migrate: manual
retention: {{messages: 1d, events: 2d, receipts: 3d, dead_letters: 4d}}
log: {{level: debug, format: console}}
signing_key: ${{env:KEY}}
"""
    settings = load(tmp_path, text, ENV | {"KEY": "k" * 32})
    folder = tmp_path / "config"
    assert (settings.store.kind, settings.store.path) == ("postgresql", None)
    assert settings.store.url.get_secret_value() == "postgresql://kaskad:s3cr3t-token@db/kaskad"
    assert not settings.sources.http
    assert settings.sources.kafka is not None
    assert (settings.sources.kafka.bootstrap_servers, settings.sources.kafka.topics) == (
        "a:9092,b:9092",
        ("one", "two"),
    )
    assert (settings.sources.kafka.group, settings.sources.kafka.auto_offset_reset) == (
        "g",
        "latest",
    )
    assert settings.sources.kafka.dead_letters is None
    assert settings.sources.kafka.security.sasl_mechanism == "SCRAM-SHA-512"
    assert settings.sources.kafka.security.ca == folder / "../ca.pem"
    assert (settings.sources.kafka.security.cert, settings.sources.kafka.security.key) == (
        folder / "../client.pem",
        folder / "../client.key",
    )
    assert settings.statuses.kafka == s.KafkaStatuses(
        "a:9092,b:9092", "t", settings.sources.kafka.security
    )
    assert settings.statuses.webhooks[0].secret.get_secret_value() == HOOK
    provider = settings.providers["twilio"]
    assert (provider.timeout_ms, provider.rate_per_second, provider.connections) == (5_000, 1.5, 3)
    assert provider.cost == s.CostSettings(Decimal("1.20"), "UAH", "part")
    assert settings.currency == "UAH"
    assert settings.http == s.HttpSettings(
        s.ListenAddress("0.0.0.0", 80), s.ListenAddress("::1", 81), "https://k.example/base", "keys"
    )
    assert settings.egress.allow == ("http://127.0.0.1:8443",)
    assert (settings.policies, settings.templates, settings.governance) == (
        folder / "p",
        Path("/abs/t"),
        folder / "g.yaml",
    )
    assert settings.receipt_outage == s.ReceiptOutage(False, 200, 0.5)
    assert settings.limits == s.LimitSettings((2, 30 * MINUTE_MS), None)
    assert settings.breaker is None
    assert settings.defaults == s.Defaults(MINUTE_MS, Retry(1, 2_000))
    assert settings.migrate == "manual"
    assert settings.retention == s.Retention(DAY_MS, 2 * DAY_MS, 3 * DAY_MS, 4 * DAY_MS)
    assert settings.log == s.LogSettings("debug", "console")
    assert settings.signing_key is not None


def test_empty_limits_are_no_limits(tmp_path: Path) -> None:
    assert load(tmp_path, SMS + "limits: {}").limits == s.LimitSettings(None, None)


def test_the_kafka_options_are_what_aiokafka_takes() -> None:
    security = s.KafkaSecurity("SASL_PLAINTEXT", "PLAIN", "u", SecretStr("p"))
    assert security.options() == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


def test_a_number_may_come_from_the_environment(tmp_path: Path) -> None:
    text = SMS.replace("from: Shop", "from: Shop, connections: '${env:SLOTS}'")
    assert load(tmp_path, text, ENV | {"SLOTS": "7"}).providers["twilio"].connections == 7


def test_a_file_gives_its_content_without_the_last_line_end(tmp_path: Path) -> None:
    path = write(tmp_path, SMS.replace("${env:TOKEN}", "${file:token.txt}"))
    (path.parent / "token.txt").write_text("from-file\n")
    provider: Any = load_settings(path, {}).providers["twilio"].adapter_settings
    assert provider.auth_token.get_secret_value() == "from-file"


@pytest.mark.parametrize(("text", "expected"), BAD)
def test_bad_settings_are_refused_with_place_and_fix(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    assert problems(tmp_path, text, ENV) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            SMS.replace("'${env:TOKEN}'", "plain"),
            (
                "k.yaml:1:103: warning: the secret `auth_token` is written in clear; "
                "write ${env:AUTH_TOKEN} or ${file:…} and keep it elsewhere"
            ),
        ),
        (
            SMS.replace("from: Shop", "base_url: http://a.example, from: Shop"),
            (
                "k.yaml:1:89: warning: `base_url` is plain http, which anyone on the way can read;"
                " write https://"
            ),
        ),
        (
            SMS + "store: postgresql://u:pw@db/k",
            (
                "k.yaml:2:8: warning: the password of `store` is written in clear; "
                "write postgresql://user:${env:DB_PASSWORD}@host/name"
            ),
        ),
        (
            SMS + "statuses: {webhooks: [{url: https://a.example, secret: " + HOOK + "}]}",
            (
                "k.yaml:2:56: warning: the secret `secret` is written in clear; "
                "write ${env:SECRET} or ${file:…} and keep it elsewhere"
            ),
        ),
    ],
)
def test_what_works_but_should_not_stay_so_is_warned_of(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert warnings(tmp_path, text) == [expected]
    load(tmp_path, text)


def test_plain_http_to_this_machine_is_nobodys_business(tmp_path: Path) -> None:
    assert (
        warnings(tmp_path, SMS.replace("from: Shop", "base_url: http://127.0.0.1:9, from: Shop"))
        == []
    )


@pytest.mark.parametrize(
    "secret",
    [
        "abc",
        "a-long-secret-without-the-prefix-of-the-standard",
        "whsec_",
        "whsec_c2VjcmV0",
        "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=",  # 20 bytes
        "whsec_not base64 but long enough to be some of it",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwї",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "x whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ],
)
def test_a_webhook_secret_that_libraries_refuse_is_an_error_with_a_ready_one(
    tmp_path: Path, secret: str
) -> None:
    text = SMS + "statuses: {webhooks: [{url: https://a.example, secret: '${env:WEAK}'}]}"
    [problem] = problems(tmp_path, text, {**ENV, "WEAK": secret})
    assert secret == "whsec_" or secret not in problem
    ready = problem.rpartition(" ")[2]
    assert len(base64.b64decode(ready.removeprefix("whsec_"), validate=True)) >= 24
    load(tmp_path, text, {**ENV, "WEAK": ready})


def test_traces_without_opentelemetry_are_an_error_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SMS + 'telemetry: {traces: {endpoint: "http://collector:4318"}}'
    traces = load(tmp_path, text).telemetry.traces
    assert traces is not None and (traces.sample, traces.service_name) == (1.0, "kaskad")
    monkeypatch.setattr(trace_settings, "EXPORTER", "opentelemetry.nowhere.at.all")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    [problem] = caught.value.problems
    assert "pip install 'kaskad[otel]'" in str(problem)


def test_several_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, SMS + "migrate: x\nlog: {level: y}\nnonsense: z")) == 3


SECRET_TEXT = """
store: postgresql://kaskad:${env:S1}@db/kaskad
sources: {kafka: {bootstrap_servers: "${env:S2}:9092", topics: [a],
  security: {protocol: SASL_SSL, username: ${env:S3}, password: ${env:S4}}}}
statuses: {webhooks: [{url: "https://a.example/${env:S5}",
  secret: whsec_CLEARSECRETCLEARCLEARSECRETCLEAR}]}
channels:
  sms: [{provider: twilio, adapter: twilio_sms, account_sid: ${env:S6},
         auth_token: [${env:S7}, CLEARSECRETCLEAR], from: ${env:S8}}]
signing_key: ${file:key}
"""
CANARIES = {f"S{n}": f"ACcanary{n}canary{n}canary" for n in range(1, 9)}


def test_secrets_and_whatever_came_from_a_reference_never_show(tmp_path: Path) -> None:
    path = write(tmp_path, SECRET_TEXT)
    (path.parent / "key").write_text("ACcanary9canary9canary")
    settings = load_settings(path, CANARIES)
    effective = view(settings)
    provider = settings.providers["twilio"]
    shown = "\n".join(
        [repr(settings), str(settings), json.dumps(effective), repr(provider), str(provider)]
    )
    shown += repr(settings.store) + repr(settings.statuses.webhooks)
    for secret in [*(f"canary{n}canary" for n in (1, 4, 6, 7, 8, 9)), "CLEARSECRET"]:
        assert secret not in shown
    assert "canary" not in json.dumps(effective)
    assert effective["store"] == "postgresql://kaskad:${env:S1}@db/kaskad"
    assert effective["channels"]["sms"][0]["account_sid"] == "${env:S6}"
    assert effective["channels"]["sms"][0]["auth_token"] == ["${env:S7}", "***"]
    assert effective["signing_key"] == "${file:key}"


@pytest.mark.parametrize(
    "key",
    ["account_sid", "auth_token", "from", "base_url", "timeout", "rate", "connections", "adapter"],
)
def test_an_error_never_shows_what_a_reference_stands_for(tmp_path: Path, key: str) -> None:
    own = {"account_sid": SID, "auth_token": "x", "from": "Shop"} | {key: "${env:CANARY}"}
    inner = ", ".join(
        f"{name}: '{value}'"
        for name, value in ({"provider": "p", "adapter": "twilio_sms"} | own).items()
    )
    text = f"channels: {{sms: [{{{inner}}}]}}\nsigning_key: ${{env:CANARY}}"
    found = problems(tmp_path, text, {"CANARY": "~canary~"})
    assert found
    assert not any("canary" in one.replace("env:CANARY", "") for one in found)


def test_the_effective_configuration_is_a_configuration(tmp_path: Path) -> None:
    settings = load(tmp_path, SMS + "breaker: off\nlimits: {sms_per_prefix: 9/1h}")
    again = write(tmp_path, json.dumps(view(settings), ensure_ascii=False))
    assert view(load_settings(again, ENV)) == view(settings)


def test_the_file_is_found_by_option_then_environment_then_default(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml", "config/kaskad.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    env = {"KASKAD_CONFIG": "b.yaml"}
    assert find_config("a.yaml", env, tmp_path) == tmp_path / "a.yaml"
    assert find_config(None, env, tmp_path) == tmp_path / "b.yaml"
    assert find_config(None, {}, tmp_path) == tmp_path / "config/kaskad.yaml"


@pytest.mark.parametrize(
    ("arg", "env", "fix"),
    [
        ("none.yaml", {}, "check the path in --config"),
        (None, {"KASKAD_CONFIG": "none.yaml"}, "check the path in KASKAD_CONFIG"),
        (None, {}, "name the file with --config or KASKAD_CONFIG"),
    ],
)
def test_a_file_that_is_not_there_is_reported_with_where_it_was_named(
    tmp_path: Path, arg: str | None, env: dict[str, str], fix: str
) -> None:
    with pytest.raises(ConfigError, match=f"there is no such configuration file; {fix}"):
        find_config(arg, env, tmp_path)


def test_the_digest_of_a_configuration_changes_with_whatever_may_hold_a_message(
    tmp_path: Path,
) -> None:
    place = well.Place(tmp_path)

    def digest(env: Mapping[str, str] = well.ENV) -> str:
        return load_configuration(tmp_path / "config/kaskad.yaml", env).rules.digest

    before = digest()
    assert digest() == before != ""
    place.write("config/kaskad.yaml", "# a comment\n" + well.CONFIG)
    place.write("config/policies/p.yaml", well.WELL.replace("10m", "20m"))
    assert digest() == before
    found = {before, digest({**well.ENV, "T": "a-new-token"})}
    place.write("config/governance.yaml", "sms_countries: [UA, PL]\n")
    found.add(digest())
    place.write("config/kaskad.yaml", well.CONFIG + "breaker: {open_for: 1m}\n")
    found.add(digest())
    assert len(found) == 4
