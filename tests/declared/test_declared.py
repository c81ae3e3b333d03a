"""Gateways without code: what is wrong with a declaration, and what never leaves it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kaskad_testing import changed, hook, outgoing, reply
from kaskad_testing.finding import brought
from orchestrator import channels as ch
from orchestrator.configuration.reading import Report
from orchestrator.configuration.settings_file import read_settings, view
from orchestrator.declared.adapter import DeclaredHttp

PAGE = Path(__file__).parents[2] / "docs" / "providers" / "http.md"
R = ch.Reason
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
