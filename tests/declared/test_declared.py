"""Gateways without code: what is wrong with a declaration, and what never leaves it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from kaskad_testing import changed, hook, outgoing, reply
from kaskad_testing.finding import brought
from orchestrator import channels as ch
from orchestrator.check.judge import judge
from orchestrator.configuration.loading import digest_of
from orchestrator.configuration.reading import Report
from orchestrator.configuration.settings_file import read_settings, view
from orchestrator.core.policy import Governance
from orchestrator.declared.adapter import DeclaredHttp

PAGE = Path(__file__).parents[2] / "docs" / "providers" / "http.md"
R = ch.Reason
PAGES_HEADERS = 'headers: {Authorization: "Bearer ${env:SMSCLUB}"}'
SECRETS = {"SMSCLUB": "top-{{secret", "HOOK": "hook-secret"}


def written() -> str:
    """The declaration of the documentation's page."""
    found = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


class Place:
    """A configuration on disk, and what is said about it."""

    def __init__(self, root: Path) -> None:
        self.path = root / "kaskad.yaml"

    def problems(self, text: str, env: dict[str, str] | None = SECRETS) -> list[str]:
        self.path.write_text(text)
        report = Report()
        self.settings = read_settings(self.path, env or {}, report, secrets=env is not None)
        return [f"{one.line}: {one.what}; {one.fix}" for one in report.problems]

    def adapter(self, text: str) -> DeclaredHttp:
        assert self.problems(text) == []
        assert self.settings is not None
        made = self.settings.providers["smsclub"].build()
        assert isinstance(made, DeclaredHttp)
        return made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_pages_example_is_sent_and_understood(place: Place) -> None:
    adapter = place.adapter(written())
    call = adapter.request(outgoing())
    assert call.headers["Authorization"] == "Bearer top-{{secret"
    assert json.loads(call.body)["phone"] == ["380501234567"]
    assert adapter.outcome(reply(200, {"success_request": {"info": {"9": "x"}}})) == ch.Accepted(
        "9"
    )
    assert isinstance(adapter.outcome(reply(200, b"<p>hello")), ch.Unknown)
    refused = adapter.outcome(reply(200, {"error": "no money"}))
    assert refused == ch.Refused(R.REFUSED_CONFIGURATION, "200", "no money")
    assert adapter.reports() == {"delivered"}
    with pytest.raises(ch.Forged):
        adapter.verify(hook(json_body={"statuses": []}))


def test_the_pages_example_passes_the_conformance_suite_with_secrets_missing(place: Place) -> None:
    assert place.problems(written(), None) == []
    (examples,) = brought(str(place.path)).examples
    assert [one.promise[:10] for one in examples.replies] == [
        f"example {n}:"[:10] for n in (2, 3, 4, 5, 6)
    ]


def test_secrets_are_in_no_view_message_or_history(place: Place) -> None:
    adapter = place.adapter(written())
    assert place.settings is not None
    shown = json.dumps(view(place.settings)) + repr(adapter.settings) + str(adapter.settings)
    assert "${env:SMSCLUB}" in shown
    outcome = adapter.outcome(reply(402, {"error": "no money"}))
    repeated = adapter.outcome(reply(200, {"error": "no money"}))
    assert not [one for one in SECRETS.values() if one in shown + repr((outcome, repeated))]
    wrong = written().replace("message: Привіт,", 'message: "${env:SMSCLUB}!",')
    said = " ".join(place.problems(wrong))
    assert "gives" in said and "top-" not in said


JSON = (
    'json: {phone: ["{{ to.digits }}"], message: "{{ text }}", src_addr: "{{ sender }}",'
    ' ref: "{{ reference }}"}'
)
MISTAKES = {
    "there is no 'txt' here: did you mean 'text'?": ("{{ text }}", "{{ txt }}"),
    "No filter named 'frist'": ("info | first", "info | frist"),
    "rule 2 (when: body.error == 'nobody') has no example that it decides": (
        "body.error == 'invalid phone'",
        "body.error == 'nobody'",
    ),
    'gives {"refused": "message"}, not {"refused": "address"}: rule 2 was the first': (
        "'invalid phone'\", refused: address",
        "'invalid phone'\", refused: message",
    ),
    "rule 4 takes an answer with status 500": ("status == 420", "status >= 420"),
    "`receipts.state.expired`: has no example": (", {id: 109, status: EXPIRED}", ""),
    "the word 'DELIVRD' is both delivered and failed": ("[UNDELIV, REJECTD]", "[DELIVRD]"),
    "has no `verify`, so anyone could forge receipts": (
        '        verify: {hmac_sha256: "${env:HOOK}", header: X-Signature}\n',
        "",
    ),
    "names read, for which `state` has no word": ("reports: [delivered]", "reports: [read]"),
    "`request` has no key 'jsn'": ("        json: {phone", "        jsn: {phone"),
    "rule 2 says nothing": (
        ", refused: address}\n        - {when: \"body.error == 'no",
        "}\n        - {when: \"body.error == 'no",
    ),
    "must begin with the address of the gateway": ("https://im.example", "https://{{ to.digits }}"),
    "there are only {{ expressions }} here": ("{{ sender }}", "{% set a = 1 %}"),
    "rule 4 takes an answer with status 524": ("status == 420", "status in [420, 524]"),
    "rule 4 takes an answer with status 201": (
        'status == 420", not_sent: throttled, retry_after: "{{ body.wait }}"',
        'status in [420, 201]", refused: message',
    ),
    "takes no reference such as ${env:NAME}": ("'no money'", "'${env:SMSCLUB}'"),
    "there is no 'query' here": ("{{ item.id }}", "{{ query.id }}"),
    "there is no 'headers' here": ("{{ item.status }}", "{{ headers.status }}"),
    "example 3 (answer) does not say what it expects": (
        "expected: {refused: address}",
        "expected: {code: '200'}",
    ),
    "example 1 (request) does not say what it expects": (
        "expected: {json: {phone",
        "expected: {headers: 5, json: {phone",
    ),
    "example 4 (answer) does not say what it expects": (
        "expected: {refused: configuration}",
        "expected: {accepted: null}",
    ),
    "example 1 (request) does not say what it expects; write": (
        "expected: {json: {phone",
        "expected: {headers: {}} # {json: {phone",
    ),
    "example 7 (receipt) does not say what it expects": (
        'expected: [{id: "106", state: delivered, at: 1795600800.0}, {id',
        'expected: [{id: "106"}, {id',
    ),
    "is JSON, and a value in it could add keys": (JSON, """body: '{"text": "{{ text }}"}'"""),
    "has values beside other text": (JSON, 'body: "{{ to.digits }};{{ text }}"'),
    "is no text": (JSON, "body: {text: hello}"),
}


@pytest.mark.parametrize("said", MISTAKES)
@pytest.mark.parametrize("env", [SECRETS, None], ids=["secrets", "no secrets"])
def test_a_mistake_is_named_with_its_line(
    place: Place, said: str, env: dict[str, str] | None
) -> None:
    old, new = MISTAKES[said]
    assert old in written()
    wrong = written().replace(old, new, 1)
    problems = place.problems(wrong, env)
    found = [one for one in problems if said in one]
    assert found, problems
    assert 0 < int(found[0].partition(":")[0]) <= len(wrong.splitlines())


def test_what_a_request_needs_and_a_message_lacks_is_not_sent(place: Place) -> None:
    adapter = place.adapter(written())
    with pytest.raises(ch.Unsendable, match=r"'\{\{ text \}\}' has no value"):
        adapter.request(outgoing(content={"html": "<b>x</b>"}))
    with pytest.raises(ch.Unsendable, match=r"to\.digits"):
        adapter.request(outgoing("email", "a@example.com"))


def test_an_expression_cannot_take_long(place: Place) -> None:
    adapter = place.adapter(
        written()
        .replace("body.error == 'no money'", "body.error | sort | join == 'no money'")
        .replace("json: {error: no money}", "json: {error: [no money]}")
    )
    outcome = adapter.outcome(reply(200, {"error": ["x" * 500] * 5_000}))
    assert isinstance(outcome, ch.Unknown)


@pytest.mark.parametrize(
    ("kind", "body", "sent"),
    [
        (ch.FORM, "to={{ to.digits }}&text={{ text }}", b"to=380501234567&text=%22%26to%3D1%27%3C"),
        (ch.FORM, "<m>={{ text }}", b"<m>=%22%26to%3D1%27%3C"),
        ("application/xml", "{{ text }}</m>", b"&quot;&amp;to=1&#x27;&lt;</m>"),
        ("text/plain", "{{ text }}", b"\"&to=1'<"),
    ],
)
def test_a_text_cannot_break_out_of_a_written_body(
    place: Place, kind: str, body: str, sent: bytes
) -> None:
    text = written().replace(JSON, f"body: '{body}'").replace(PAGES_HEADERS, typed(kind))
    adapter = place.adapter(
        re.sub(r"expected: \{json: \{phone.*", "expected: {method: POST}", text)
    )
    assert adapter.request(outgoing(content={"text": "\"&to=1'<"})).body == sent


def typed(kind: str) -> str:
    return PAGES_HEADERS.replace("{A", "{" + f"Content-Type: {kind}, A")


def test_a_reload_keeps_the_gateway_and_a_new_secret_makes_another_digest(place: Place) -> None:
    read = []
    for hook_secret in ("hook-secret", "hook-secret", "another"):
        place.problems(written(), {**SECRETS, "HOOK": hook_secret})
        assert place.settings is not None
        read.append(place.settings)
    same, again, changed_one = (one.providers["smsclub"].adapter_settings for one in read)
    assert same == again and same != changed_one
    digests = [digest_of(one, Governance()) for one in read]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    "text",
    [
        written().replace("{{ text }}", "${env:SMSCLUB}!"),
        written().replace(JSON, 'query: {key: "${env:SMSCLUB}!"}'),
        written().replace(JSON, 'form: {key: "${env:SMSCLUB}!"}'),
        written().replace("message: Привіт,", 'message: "${env:SMSCLUB}?",'),
        written().replace("id: 106", 'id: "${env:SMSCLUB}"'),
        written()
        .replace('detail: "{{ body.error }}"', 'detail: "${env:SMSCLUB}"')
        .replace("expected: {refused: configuration}", "expected: {refused: message}"),
    ],
)
def test_a_secret_is_in_no_problem_in_any_form(place: Place, text: str) -> None:
    secret = 'p/s+w"d&x y'
    said = " ".join(place.problems(text, {**SECRETS, "SMSCLUB": secret}))
    assert " gives " in said
    for shown in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote_plus(secret)):
        assert shown not in said


def test_a_secret_in_a_url_is_warned_of(place: Place) -> None:
    def warned(text: str) -> bool:
        place.path.write_text(text)
        said = [str(one) for one in judge(place.path, {}, secrets=False).problems]
        return any("warning: a secret stands in the URLs of smsclub" in one for one in said)

    assert not warned(written())
    assert warned(written().replace(JSON, f'query: {{key: "${{env:SMSCLUB}}!"}}\n        {JSON}'))
    assert warned(written().replace("example/sms/send", "example/${env:SMSCLUB}/send"))


def test_what_an_hmac_does_not_cover_is_not_believed(place: Place) -> None:
    text = written().replace(
        'items: "{{ body.statuses }}"', 'items: "{{ body.statuses if body else item }}"'
    )
    adapter = place.adapter(text)
    given = hook(json_body=[], query={"id": "106", "status": "DELIVRD"})
    assert list(adapter.receipts(given)) == []


def test_a_reason_may_have_the_word_of_its_state(place: Place) -> None:
    text = (
        written().replace("address: [1]", "address: [failed]").replace("code: 1}", "code: failed}")
    )
    adapter = place.adapter(text)
    (failed,) = adapter.receipts(
        hook(json_body={"statuses": [{"id": 1, "status": "UNDELIV", "code": "failed"}]})
    )
    assert isinstance(failed, ch.Receipt)
    assert failed.failure == ch.Refused(R.REFUSED_ADDRESS, "failed")


def test_a_rule_that_cannot_be_evaluated_ends_the_rules(place: Place) -> None:
    adapter = place.adapter(written())
    rules: Any = place.problems(
        written().replace(
            "body.error == 'invalid phone'", "body.code > 5 or body.error == 'invalid phone'"
        )
    )
    assert any("no rule was true" in one for one in rules)
    assert isinstance(adapter.outcome(reply(200, {"wait": 1})), ch.Unknown)


def test_a_webhook_of_another_body_is_forged(place: Place) -> None:
    place.problems(written())
    (examples,) = brought(str(place.path)).examples
    signed = examples.signed(examples.hooks[0].hook)
    adapter = examples.built
    adapter.verify(signed)
    with pytest.raises(ch.Forged):
        adapter.verify(changed(signed, b"{}"))
