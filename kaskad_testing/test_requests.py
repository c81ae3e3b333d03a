"""Every adapter that speaks HTTP: the requests it makes."""

from __future__ import annotations

import json
import urllib.parse

import pytest

from kaskad_testing.cases import each, runs
from kaskad_testing.checks import check_outcome, expect, short
from kaskad_testing.examples import Examples, RequestExample
from kaskad_testing.hostile import leaves_replaced
from orchestrator import channels as ch

pytest_generate_tests = runs


HOSTILE_TEXTS = ("\ud800", "a\x00b", "x\r\nX-Injected: yes", '"}]}', "<b>&amp;", "=?UTF-8?Q?=0A?=")
FIX_TABLE = "correct `request`, or the table if it is wrong about the provider"


@each("requests")
def test_a_message_becomes_the_documented_request(examples: Examples, case: RequestExample) -> None:
    call = examples.http().request(case.message)
    line = f"{call.method} {call.url}"
    expect(
        (call.method, call.url) == (case.method, case.url),
        f"the request is {line}, not {case.method} {case.url}",
        FIX_TABLE,
    )
    for name, value in case.headers.items():
        given = call.headers.get(name)
        expect(given == value, f"{name} is {short(given)}, not {short(value)}", FIX_TABLE)
    if case.json is not None:
        body = json.loads(call.body)
        expect(body == case.json, f"the JSON is {short(body)}, not {short(case.json)}", FIX_TABLE)
    if case.form is not None:
        form = dict(urllib.parse.parse_qsl(call.body.decode(), keep_blank_values=True))
        expect(
            form == dict(case.form),
            f"the form is {short(form)}, not {short(dict(case.form))}",
            FIX_TABLE,
        )
    if case.body is not None:
        expect(
            call.body == case.body,
            f"the body is {short(call.body)}, not {short(case.body)}",
            FIX_TABLE,
        )


@each("requests")
def test_the_same_message_is_the_same_request_twice(
    examples: Examples, case: RequestExample
) -> None:
    adapter = examples.http()
    first = adapter.request(case.message)
    for again in (adapter.request(case.message), examples.http().request(case.message)):
        differs = [
            name for name in ("url", "headers", "body") if value(again, name) != value(first, name)
        ]
        expect(
            again == first,
            f"the same message gives another request the second time: its {', '.join(differs)}",
            "take time and chance from the message (`now`, `entropy`, `idempotency_key`), and keep"
            " nothing between two requests",
        )


def value(call: ch.HttpCall, name: str) -> object:
    return getattr(call, name)


@each("requests")
def test_a_request_keeps_secrets_out_of_its_address(
    examples: Examples, case: RequestExample
) -> None:
    url = urllib.parse.unquote(str(examples.http().request(case.message).url))
    leaked = [secret for secret in examples.secrets if secret in url]
    expect(
        not leaked or examples.secret_in_url,
        "a secret stands in the URL, which proxies and the provider write into their logs",
        "send it in a header or in the body; if the provider takes it only there, say"
        " secret_in_url=True in the examples",
    )


@each("requests")
@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_content_stays_content(examples: Examples, case: RequestExample, text: str) -> None:
    for content in leaves_replaced(dict(case.message.content), text):
        fields = {name: getattr(case.message, name) for name in ch.Outgoing.__dataclass_fields__}
        try:
            call = examples.http().request(ch.Outgoing(**{**fields, "content": content}))
        except ch.Unsendable as refused:
            check_outcome(refused.outcome)
            continue
        expect(
            isinstance(call.body, bytes),
            f"the body is {type(call.body).__name__}",
            "give bytes: ch.json_bytes(…)",
        )
        expect(
            call.url.isascii() and call.url.isprintable() and " " not in call.url,
            f"the text {text!r} makes a URL that is none",
            "encode what goes into a URL with urllib.parse",
        )
        expect(
            not [one for one in call.headers.values() if "\r" in one or "\n" in one],
            f"the text {text!r} writes a header of its own",
            "keep content out of headers, or refuse line ends in it with ch.Unsendable",
        )
