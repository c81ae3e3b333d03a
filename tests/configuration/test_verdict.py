"""One function judges a configuration; without secrets it only forgives secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.check.judge import judge, load_configuration
from orchestrator.configuration.yaml_file import ConfigError
from tests.configuration.place import CONFIG, INFOBIP, POLICY, TWILIO, Place

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def said(place: Place, *, secrets: bool) -> list[str]:
    verdict = judge(place.folder / "config/kaskad.yaml", {}, secrets=secrets)
    return [str(one).replace(f"{place.folder}/config/", "") for one in verdict.problems]


def test_without_secrets_a_configuration_in_order_is_in_order(place: Place) -> None:
    assert said(place, secrets=False) == []
    assert {one.split("; ")[1] for one in said(place, secrets=True)} == {"set it before starting"}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (
            POLICY + "  - {channel: viber, wait: {clicked: 1h}}\n  - {channel: sms}",
            "policies/p.yaml:4:38: infobip never reports `clicked`, so this wait always runs out; "
            "set track_clicks: true on infobip, or wait for something else",
        ),
        (
            POLICY + "  - {channel: sms, on_unknown: resend}",
            "policies/p.yaml:4:32: warning: `on_unknown: resend` may send twice, because twilio"
            " does not recognise a repeat; write on_unknown: wait, or accept it knowingly",
        ),
        (
            POLICY + "  - {channel: sms, providers: [twillio]}",
            "policies/p.yaml:4:32: sms has no provider 'twillio'; did you mean 'twilio'?",
        ),
    ],
)
def test_without_secrets_policies_are_checked_all_the_same(
    place: Place, policy: str, expected: str
) -> None:
    place.write("config/policies/p.yaml", policy)
    assert expected in said(place, secrets=False)


def test_without_secrets_the_other_settings_of_a_provider_are_checked(place: Place) -> None:
    wrong = TWILIO.replace("from: Shop", "from: 5, allow_unsigned: perhaps, connections: 0")
    place.write("config/kaskad.yaml", CONFIG.replace(TWILIO, wrong))
    assert [one.split(": ", 1)[1].split(";")[0] for one in said(place, secrets=False)] == [
        "`from` is not a text in quotes",
        "`allow_unsigned` is not true or false",
        "`connections` cannot be 0",
    ]
    half = INFOBIP.replace("sender: Shop", "sender: Shop, webhook_username: '${env:NAME}'")
    place.write("config/kaskad.yaml", CONFIG.replace(INFOBIP, half))
    (problem,) = said(place, secrets=False)
    assert "`webhook_username` and `webhook_password` go together" in problem


def test_without_secrets_a_url_or_a_number_may_be_missing_too(place: Place) -> None:
    infobip = INFOBIP.replace("https://x.api.infobip.com", "${env:URL}")
    text = CONFIG.replace(
        INFOBIP, infobip.replace("sender: Shop", "sender: Shop, rate: '${env:R}'")
    )
    kafka = (
        "sources: {kafka: {bootstrap_servers: '${env:KAFKA}', topics: [a]}}\n"
        "statuses: {kafka: {}, webhooks: [{url: '${env:HOOK}', secret: '${env:KEY}'}]}\n"
        "http: {listen: '0.0.0.0:80', public_url: '${env:URL}'}\n"
        "store: ${env:STORE}\nsigning_key: ${file:nowhere}\n"
    )
    place.write("config/kaskad.yaml", text + kafka)
    assert said(place, secrets=False) == []


def test_a_reference_that_is_none_is_an_error_with_and_without_secrets(place: Place) -> None:
    place.write("config/kaskad.yaml", CONFIG + "signing_key: ${vault:x}\n")
    assert said(place, secrets=False) == [
        "kaskad.yaml:4:14: ${vault:x} is not a reference; write ${env:NAME} or ${file:path}"
    ]


def test_the_worked_configuration_is_in_order_without_secrets() -> None:
    config = ROOT / "config" / "kaskad.yaml"
    verdict = judge(config, {}, secrets=False)
    assert [str(one) for one in verdict.problems] == []


def test_a_configuration_with_an_error_is_not_loaded(place: Place) -> None:
    place.write("config/policies/p.yaml", POLICY + "  - {channel: email}")
    with pytest.raises(ConfigError, match="no provider is configured for 'email'") as refused:
        load_configuration(place.folder / "config/kaskad.yaml", {}, secrets=False)
    assert (
        refused.value.problems
        == judge(place.folder / "config/kaskad.yaml", {}, secrets=False).errors
    )
