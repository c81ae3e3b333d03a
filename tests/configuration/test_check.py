"""
`kaskad check` finds what only shows when everything is known together, and says where and how to
fix it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.check.judge import judge
from orchestrator.sandbox.app_push import FcmStandIn
from tests.configuration.place import (
    BOT,
    CONFIG,
    GOVERNANCE,
    HEAD,
    INFOBIP,
    POLICY,
    TWILIO,
    WELL,
    Place,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_minimal_installation_is_in_order(place: Place) -> None:
    assert place.said() == []


POLICIES = [
    (
        POLICY + "  - {channel: email}",
        [
            "policies/p.yaml:4:15: no provider is configured for 'email'; "
            "add a provider under channels.email, or remove the step"
        ],
    ),
    (
        POLICY + "  - {channel: smss}",
        ["policies/p.yaml:4:15: no provider is configured for 'smss'; did you mean 'sms'?"],
    ),
    (
        POLICY + "  - {channel: sms, providers: [twillio]}",
        ["policies/p.yaml:4:32: sms has no provider 'twillio'; did you mean 'twilio'?"],
    ),
    (
        POLICY + "  - {channel: sms, providers: [infobip]}",
        ["policies/p.yaml:4:32: sms has no provider 'infobip'; sms has twilio"],
    ),
    (
        POLICY + "  - {channel: viber}\n  - {channel: sms}",
        [
            "policies/p.yaml:4:5: warning: the step has no `wait` and is not the last: "
            "what follows is only sent where it fails at once; add wait: {delivered: 10m}"
        ],
    ),
    (
        HEAD + "deadline: 1h\ncascade:\n  - {channel: viber, wait: 1h}\n  - {channel: sms}",
        [
            "policies/p.yaml:6:5: the steps before this one wait 1h, longer than the deadline of"
            " 1h; shorten their waits, or lengthen the deadline"
        ],
    ),
    (
        HEAD + "deadline: 1h\ncascade:\n  - {channel: viber, wait: {delivered: 1m, read: 2h}}\n  -"
        " {channel: sms}",
        [
            "policies/p.yaml:6:5: warning: the steps before this one may wait 2h, longer than the"
            " deadline of 1h; shorten their waits, or lengthen the deadline"
        ],
    ),
    (
        HEAD + "deadline: 1h\ncascade:\n  - {channel: sms, wait: 2h}",
        [
            "policies/p.yaml:5:26: warning: the step waits 2h, longer than the deadline of 1h;"
            " shorten it"
        ],
    ),
    (
        POLICY + "  - {channel: sms, wait: {clicked: 1h}}",
        [
            "policies/p.yaml:4:36: twilio never reports `clicked`, so this wait always runs out; "
            "wait for sent, delivered, read or replied"
        ],
    ),
    (
        POLICY + '  - {channel: viber, wait: 1m, when: "1 > 2"}\n  - {channel: sms}',
        [
            "policies/p.yaml:4:38: warning: the condition '1 > 2' is never true; "
            "remove what depends on it, or fix the condition"
        ],
    ),
    (
        POLICY + '  - {channel: viber, wait: 1m, when: "false"}\n  - {channel: sms}',
        [
            "policies/p.yaml:4:38: warning: the condition 'false' is never true; "
            "remove what depends on it, or fix the condition"
        ],
    ),
    (
        POLICY + "  - {channel: sms, on_unknown: resend}",
        [
            "policies/p.yaml:4:32: warning: `on_unknown: resend` may send twice, because twilio"
            " does not recognise a repeat; write on_unknown: wait, or accept it knowingly"
        ],
    ),
    (
        POLICY + '  - {channel: sms, max_cost: "1"}',
        [
            "policies/p.yaml:4:30: warning: `max_cost` limits nothing, because no provider of this"
            " step has a `cost`; give the provider a cost"
        ],
    ),
    (
        HEAD + "order: cheapest\ncascade: [{channel: sms}]",
        [
            "policies/p.yaml:3:8: warning: `order: cheapest` knows no costs, so the order is as"
            " written; give the providers a cost"
        ],
    ),
    (
        HEAD + "template: q\ncascade: [{channel: sms}]",
        ["policies/p.yaml:3:11: there is no template 'q'; write templates/q/"],
    ),
    (
        "policy: q\ntrigger: {event: e}\ntemplate: p\ncascade: [{channel: sms}]",
        [
            "policies/p.yaml:1:9: warning: the policy 'q' is in a file named p.yaml; rename the"
            " file to q.yaml"
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), POLICIES)
def test_a_policy_that_does_not_fit_the_installation_is_reported(
    place: Place, text: str, expected: list[str]
) -> None:
    place.write("config/policies/p.yaml", text)
    assert place.said() == expected


@pytest.mark.parametrize(
    ("expression", "at"),
    [
        ('trigger: {event: e, when: "event.a >"}', "2:27"),
        ('trigger: {event: e}\ndedupe: {key: "a b", window: 1h}', "3:15"),
        ('trigger: {event: e}\ngoal: {event: g, match: "goal.a == ("}', "3:25"),
    ],
)
def test_a_syntax_error_in_an_expression_is_reported_where_the_expression_stands(
    place: Place, expression: str, at: str
) -> None:
    place.write("config/policies/p.yaml", f"policy: p\n{expression}\ncascade: [{{channel: sms}}]")
    (said,) = place.said()
    assert said.startswith(f"policies/p.yaml:{at}: the expression ")
    assert "cannot be read" in said


def test_a_wait_that_nothing_can_end_is_an_error(place: Place) -> None:
    place.write("config/kaskad.yaml", f"channels:\n  viber: [{BOT}]\n")
    place.write(
        "config/policies/p.yaml", POLICY + "  - {channel: viber, wait: {sent: 1m, clicked: 1h}}"
    )
    assert place.said() == [
        "policies/p.yaml:4:48: bot never reports `clicked`, so this wait always runs out; "
        "wait for delivered, read or replied"
    ]


def test_a_wait_for_receipts_that_would_be_refused_is_an_error(place: Place) -> None:
    """Infobip's webhooks log in, and without a login of theirs each of them is refused."""
    silent = INFOBIP.replace(", webhook_token: '${env:T}'", "")
    place.write("config/kaskad.yaml", f"channels:\n  viber: [{silent}]\n")
    place.write("config/policies/p.yaml", POLICY + "  - {channel: viber, wait: {read: 1m}}")
    proof = "give infobip `webhook_token` or `webhook_password`, without which its webhooks are"
    assert place.said() == [
        "policies/p.yaml:4:35: infobip never reports `read`, so this wait always runs out; "
        f"{proof} refused, or wait for something else"
    ]
    place.write("config/policies/p.yaml", POLICY + "  - {channel: viber}")
    assert place.said() == [
        "policies/p.yaml:4:5: warning: nothing ever confirms the last step, because infobip has"
        f" neither receipts nor idempotency; {proof} refused",
    ]


def test_a_wait_that_another_provider_of_the_step_can_end_is_none(place: Place) -> None:
    place.write(
        "config/kaskad.yaml",
        CONFIG.replace(
            INFOBIP,
            f"{BOT}, {INFOBIP}".replace("sender: Shop, b", "sender: Shop, track_clicks: true, b"),
        ),
    )
    place.write("config/policies/p.yaml", POLICY + "  - {channel: viber, wait: {clicked: 1h}}")
    assert place.said() == []


def test_a_template_without_the_channel_is_reported_at_the_step(place: Place) -> None:
    (place.folder / "templates/p/sms.text.j2").unlink()
    assert place.said() == [
        "policies/p.yaml:5:15: the template 'p' has nothing for sms; write p/sms.text.j2, or"
        " remove the step"
    ]


def test_a_locale_that_lacks_a_part_is_reported(place: Place) -> None:
    place.write("templates/p/viber.yaml.j2", 'image: "https://shop.example/a.png"\n')
    (place.folder / "templates/p/viber.text.j2").unlink()
    place.write("templates/p/viber.uk.text.j2", "Привіт")
    assert place.said() == [
        "policies/p.yaml:4:15: the template 'p' has no viber.text, which infobip_viber needs; write"
        " p/viber.text.j2"
    ]


def test_a_channel_without_a_default_locale_is_warned_of(place: Place) -> None:
    for locale in ("uk", "pl"):
        place.write(f"templates/p/sms.{locale}.text.j2", "Hello")
    (place.folder / "templates/p/sms.text.j2").unlink()
    assert place.said() == [
        "policies/p.yaml:5:15: warning: the template 'p' has sms only in pl and uk, so nobody else"
        " gets this step; add files without a locale, such as p/sms.text.j2"
    ]


def test_a_name_that_conditions_do_not_know_is_reported(place: Place) -> None:
    place.write(
        "config/policies/p.yaml", WELL.replace("{event: e}", '{event: e, when: "evnt.total > 1"}')
    )
    (said,) = place.said()
    assert said.startswith("policies/p.yaml:2:27: there is no 'evnt' here")


def test_a_template_that_is_broken_is_reported_where_it_is(place: Place) -> None:
    place.write("templates/p/sms.text.j2", "Hello\n{{ event. }}")
    (problem,) = place.problems()
    assert (Path(problem.path).name, problem.line, problem.severity) == ("sms.text.j2", 2, "error")


def test_sms_has_no_default_countries(place: Place) -> None:
    place.write("config/governance.yaml", "time_zone: UTC\n")
    assert place.said() == [
        "governance.yaml:1:1: an SMS provider is configured, but not where SMS may go; "
        "write sms_countries: [UA] in the governance file"
    ]
    (place.folder / "config/governance.yaml").unlink()
    assert place.said()[0].startswith("kaskad.yaml:3:8: an SMS provider is configured")


def test_one_currency_in_the_whole_installation(place: Place) -> None:
    place.write(
        "config/kaskad.yaml",
        CONFIG.replace("from: Shop", "from: Shop, cost: {amount: 1, currency: UAH}"),
    )
    place.write(
        "config/governance.yaml", GOVERNANCE + "budget: {sms: {per_day: 5, currency: EUR}}\n"
    )
    (said,) = place.said()
    assert said.startswith("governance.yaml:2:38: the currency EUR is not UAH, which ")
    assert said.endswith("kaskad.yaml:3 uses; use one currency in the whole installation")


@pytest.mark.parametrize(
    ("governance", "expected"),
    [
        (
            "budget: {sms: {per_day: 5, currency: UAH}}",
            (
                "governance.yaml:2:15: warning: the budget of sms counts nothing, because none of"
                " its providers has a `cost`; give its providers a cost"
            ),
        ),
        (
            "budget: {smss: {per_day: 5, currency: UAH}}",
            "governance.yaml:2:16: there is no channel 'smss'; did you mean 'sms'?",
        ),
        (
            "min_gaps: {g: {gap: 1h, channels: [vibre]}}",
            "governance.yaml:2:36: there is no channel 'vibre'; did you mean 'viber'?",
        ),
        (
            'quiet_hours: {q: {window: "21:00-09:00", classes: [otp]}}',
            (
                "governance.yaml:2:51: warning: one-time codes are held in these quiet hours;"
                " remove otp from `classes`"
            ),
        ),
    ],
)
def test_rules_that_fit_nothing_are_reported(place: Place, governance: str, expected: str) -> None:
    place.write("config/governance.yaml", GOVERNANCE + governance)
    assert place.said() == [expected]


def test_receipts_that_anyone_can_forge_are_warned_of(place: Place) -> None:
    place.write(
        "config/kaskad.yaml", CONFIG.replace("from: Shop", "from: Shop, allow_unsigned: true")
    )
    (said,) = place.said()
    assert said.startswith("kaskad.yaml:3:9: warning: anyone can forge receipts of twilio")


def test_a_store_in_memory_is_warned_of(place: Place) -> None:
    place.write("config/kaskad.yaml", CONFIG + "store: 'sqlite:///:memory:'\n")
    assert place.said() == [
        "kaskad.yaml:4:8: warning: the store is in memory and forgets everything at the end; name a"
        " file"
    ]


def test_one_click_without_https_is_warned_of_where_mail_is_sent(place: Place) -> None:
    relay = (
        "{provider: relay, adapter: smtp, host: localhost, port: 25, tls: none, from:"
        " a@example.com}"
    )
    place.write(
        "config/kaskad.yaml",
        CONFIG + f"  email: [{relay}]\nhttp: {{public_url: 'http://kaskad.internal.example'}}\n",
    )
    said = [one for one in place.said() if "one-click" in one]
    assert said == [
        "kaskad.yaml:5:20: warning: mails go out without the one-click unsubscribe header, "
        "because `public_url` is not https; write https://…"
    ]


def test_mail_is_read_only_where_a_pixel_says_so(place: Place) -> None:
    relay = (
        "{provider: relay, adapter: smtp, host: localhost, port: 25, tls: none, from:"
        " a@example.com}"
    )
    place.write(
        "config/policies/p.yaml",
        POLICY + "  - {channel: email, wait: {read: 12h}}\n  - {channel: sms}",
    )
    place.write("templates/p/email.subject.j2", "Hello")
    place.write("templates/p/email.text.j2", "Hello")
    place.write("templates/p/email.html.j2", "<p>Hello</p>")
    place.write("config/kaskad.yaml", CONFIG + f"  email: [{relay}]\n")
    before = [one for one in place.problems() if one.severity == "error"]
    place.write(
        "config/kaskad.yaml",
        CONFIG + f"  email: [{relay.replace('port', 'open_pixel: true, port')}]\n",
    )
    assert [one for one in place.problems() if one.severity == "error"] == []
    assert [one.what for one in before] == [
        "relay never reports `read`, so this wait always runs out"
    ]
    assert "open_pixel" in before[0].fix


def test_files_that_are_not_read_are_reported(place: Place) -> None:
    place.write("config/policies/q.yml", WELL)
    place.write("config/policies/p.test.yaml", "tests: []")
    assert place.said() == [
        "policies/q.yml:1:1: warning: this file is not read, because it ends in .yml; rename it to"
        " q.yaml"
    ]


def test_no_policy_at_all_is_a_warning(place: Place) -> None:
    (place.folder / "config/policies/p.yaml").unlink()
    assert place.said() == [
        "policies:1:1: warning: there is no policy here; write one: policies/order_shipped.yaml"
    ]


def test_directories_that_do_not_exist_are_reported(place: Place) -> None:
    place.write(
        "config/kaskad.yaml",
        CONFIG + "policies: nowhere\ntemplates: nothing\ngovernance: none.yaml\n",
    )
    assert [problem.what for problem in place.problems() if problem.severity == "error"] == [
        f"there is no such directory of policies: {place.folder}/config/nowhere",
        f"there is no such directory of templates: {place.folder}/config/nothing",
        f"there is no such file: {place.folder}/config/none.yaml",
    ]


def test_one_broken_provider_does_not_make_its_steps_wrong(place: Place) -> None:
    place.write("config/kaskad.yaml", CONFIG.replace("twilio_sms", "twilio_smss"))
    (said,) = place.said()
    assert "did you mean 'twilio_sms'?" in said


def test_problems_of_all_files_are_reported_together_in_order(place: Place) -> None:
    place.write("config/kaskad.yaml", CONFIG + "migrate: x\n")
    place.write("config/governance.yaml", GOVERNANCE + "nonsense: 1\n")
    place.write("config/policies/p.yaml", WELL + "nonsense: 1\n")
    assert [said.split(":")[0] for said in place.said()] == [
        "governance.yaml",
        "kaskad.yaml",
        "policies/p.yaml",
    ]


def test_a_file_that_is_no_yaml_is_one_problem(place: Place) -> None:
    place.write("config/kaskad.yaml", "channels: [")
    (said,) = place.said()
    assert said.startswith("kaskad.yaml:1:12: this is not YAML")


def vapid_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def environment_for(config: Path) -> dict[str, str]:
    """A value that fits for every variable that a configuration names."""
    named = re.findall(r"\$\{env:([A-Z_]+)\}", config.read_text())
    return {name: f"secret-of-{name}" for name in named} | {
        "TWILIO_ACCOUNT_SID": "ACcafe",
        "META_PHONE_NUMBER_ID": "1234567890",
        "INFOBIP_BASE_URL": "https://x.api.infobip.com",
        "SMTP_HOST": "localhost",
        "VAPID_PRIVATE_KEY": vapid_key(),
        "APNS_KEY": vapid_key(),
        "FCM_SERVICE_ACCOUNT": FcmStandIn.account_text(),
    }


def test_the_worked_configuration_is_in_order() -> None:
    config = ROOT / "config" / "kaskad.yaml"
    assert [str(problem) for problem in judge(config, environment_for(config)).problems] == []


def test_an_adapter_that_cannot_be_imported_is_a_problem_and_not_a_crash(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.metadata import EntryPoint

    from orchestrator.channels import registry as plugins
    from orchestrator.configuration import provider_settings

    broken = EntryPoint("twilio_sms", "no_such_module_anywhere:Nothing", plugins.GROUP)
    monkeypatch.setattr(plugins, "adapter_points", lambda: {"twilio_sms": broken})
    monkeypatch.setattr(provider_settings, "load_adapter", plugins.load_adapter.__wrapped__)
    place.write("config/kaskad.yaml", f"channels:\n  sms: [{TWILIO}]\n")
    (said,) = [one for one in place.said() if "broken" in one]
    assert (
        said
        == "kaskad.yaml:2:37: the adapter 'twilio_sms' is broken: no_such_module_anywhere:Nothing"
        " cannot be imported (ModuleNotFoundError: No module named 'no_such_module_anywhere');"
        " fix or reinstall the package it is in"
    )


def test_a_text_that_no_provider_of_its_channel_takes_is_an_error(place: Place) -> None:
    place.write("templates/p/viber.text.j2", "д" * 1_000)
    assert place.said() == []
    place.write("templates/p/viber.text.j2", "д" * 1_001)
    (said,) = place.said()
    assert "viber.text.j2:1" in said
    assert "text has 1001 characters, and infobip takes 1000" in said
    place.write("config/kaskad.yaml", CONFIG.replace("viber: [", f"viber: [{BOT}, "))
    assert not any("too long" in one for one in place.said())


def test_a_link_to_a_messenger_needs_a_provider_that_makes_links(place: Place) -> None:
    place.write("templates/p/sms.text.j2", "Answer us: {{ 'viber' | link_to }}")
    place.write("config/kaskad.yaml", CONFIG.replace(INFOBIP, f"{INFOBIP}, {BOT}"))
    (said,) = place.said()
    assert "sms.text.j2:1" in said and "no provider of viber makes links" in said
    linked = BOT.replace("sender: Shop", "sender: Shop, chat_uri: shopbot")
    place.write("config/kaskad.yaml", CONFIG.replace(INFOBIP, f"{INFOBIP}, {linked}"))
    assert place.said() == []
    assert not any("link_to" in one.what for one in place.problems({}))


def test_a_link_is_not_said_to_be_missing_where_the_provider_is_wrong(place: Place) -> None:
    place.write("templates/p/sms.text.j2", "Answer us: {{ 'viber' | link_to }}")
    wrong = BOT.replace("sender: Shop", "sender: Shop, char_uri: shopbot")
    place.write("config/kaskad.yaml", CONFIG.replace(INFOBIP, f"{INFOBIP}, {wrong}"))
    (said,) = place.said()
    assert "has no setting 'char_uri'" in said
