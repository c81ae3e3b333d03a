"""The contract of every adapter, run over the wire examples that each of them brings."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace

import pydantic
import pytest

from orchestrator import channels as ch
from orchestrator.core.status import FAILURES, WAITABLE
from tests.adapters import adapter_conformance as suite
from tests.adapters.adapter_conformance import Examples, HookExample, ReplyExample, RequestExample

EVERY = suite.all_examples()
SIGNED = [one for one in EVERY if one.sign is not None]
BODY_SIGNED = [
    replace(one, hooks=tuple(case for case in one.hooks if case.hook.method == "POST"))
    for one in SIGNED
    if one.signs_body
]
HTTP = [one for one in EVERY if issubclass(suite.adapter_type(one.adapter), ch.HttpAdapter)]


def named(found: list[Examples]) -> pytest.MarkDecorator:
    """One run of a test for each adapter."""
    return pytest.mark.parametrize("examples", found, ids=lambda one: one.adapter)


def each(part: str, found: list[Examples] = EVERY) -> pytest.MarkDecorator:
    """One run of a test for each example of each adapter."""
    cases = [
        pytest.param(one, case, id=f"{one.adapter}: {case.promise}")
        for one in found
        for case in getattr(one, part)
    ]
    return pytest.mark.parametrize(("examples", "case"), cases)


def items_of(examples: Examples, hook: ch.Webhook) -> list[suite.Said]:
    return list(examples.build().receipts(hook))


def forged(examples: Examples, hook: ch.Webhook) -> bool:
    """Whether ``verify`` refuses a webhook, and keeps its secrets to itself while it does."""
    try:
        examples.build().verify(hook)
    except ch.Forged as refused:
        assert not [secret for secret in examples.secrets if secret in str(refused)]
        return True
    return False


# what is registered


@pytest.mark.parametrize("name", sorted(suite.entry_points()))
def test_every_built_in_adapter_brings_wire_examples(name: str) -> None:
    assert [one.adapter for one in EVERY].count(name) == 1
    assert suite.adapter_type(name).name == name


@named(EVERY)
def test_an_unknown_setting_is_refused_by_its_name(examples: Examples) -> None:
    with pytest.raises(pydantic.ValidationError, match="surprise"):
        examples.build(surprise=1)


@named(EVERY)
def test_secrets_are_in_no_representation(examples: Examples) -> None:
    adapter = examples.build()
    shown = (
        f"{adapter.settings!r} {adapter.settings} {adapter!r} {adapter.settings.model_dump_json()}"
    )
    assert not [secret for secret in examples.secrets if secret in shown]


@named(EVERY)
def test_the_settings_have_a_schema_for_editors(examples: Examples) -> None:
    schema = suite.adapter_type(examples.adapter).settings_type.model_json_schema(by_alias=True)
    assert set(examples.settings) <= set(schema["properties"])


# requests


@each("requests")
def test_a_message_becomes_the_documented_request(examples: Examples, case: RequestExample) -> None:
    call = examples.http().request(case.message)
    assert (call.method, call.url) == (case.method, case.url)
    assert {name: call.headers.get(name) for name in case.headers} == dict(case.headers)
    if case.json is not None:
        assert json.loads(call.body) == case.json
    if case.form is not None:
        assert dict(urllib.parse.parse_qsl(call.body.decode(), keep_blank_values=True)) == dict(
            case.form
        )
    if case.body is not None:
        assert call.body == case.body


@each("requests")
def test_the_same_message_is_the_same_request_twice(
    examples: Examples, case: RequestExample
) -> None:
    adapter = examples.http()
    first = adapter.request(case.message)
    assert adapter.request(case.message) == first
    assert examples.http().request(case.message) == first


@each("requests")
def test_a_request_keeps_secrets_out_of_its_address(
    examples: Examples, case: RequestExample
) -> None:
    url = urllib.parse.unquote(str(examples.http().request(case.message).url))
    assert not [secret for secret in examples.secrets if secret in url]


@each("requests")
@pytest.mark.parametrize(
    "text", ["\ud800", "a\x00b", "x\r\nX-Injected: yes", '"}]}', "<b>&amp;", "=?UTF-8?Q?=0A?="]
)
def test_hostile_content_stays_content(examples: Examples, case: RequestExample, text: str) -> None:
    for content in suite.leaves_replaced(dict(case.message.content), text):
        fields = {name: getattr(case.message, name) for name in ch.Outgoing.__dataclass_fields__}
        try:
            call = examples.http().request(ch.Outgoing(**{**fields, "content": content}))
        except ch.Unsendable as refused:
            suite.check_outcome(refused.outcome)
            continue
        assert isinstance(call.body, bytes)
        assert call.url.isascii() and call.url.isprintable() and " " not in call.url
        assert not [value for value in call.headers.values() if "\r" in value or "\n" in value]


# replies


@each("replies")
def test_a_wire_reply_means_what_the_table_says(examples: Examples, case: ReplyExample) -> None:
    outcome = examples.http().outcome(case.reply)
    assert type(outcome) is type(case.outcome)
    assert suite.bare(outcome) == suite.bare(case.outcome)
    if not isinstance(case.outcome, ch.Accepted) and case.outcome.detail:
        assert outcome == case.outcome
    suite.check_outcome(outcome)


def allowed(status: int, retry_after: str | None) -> tuple[type, ...]:
    """The outcomes an unreadable answer may have, by its HTTP status alone."""
    if status == 429 or (status == 503 and retry_after):
        return (ch.NotSent,)
    if status < 400:
        return (ch.Refused,)
    if status == 408 or status >= 500:
        return (ch.Unknown,)
    return (ch.Refused, ch.Unknown)


@named(HTTP)
@pytest.mark.parametrize(
    "retry_after", [None, "7", "Wed, 21 Oct 2099 07:28:00 GMT"], ids=["no pause", "7 s", "a date"]
)
def test_an_unreadable_answer_is_judged_by_its_status(
    examples: Examples, retry_after: str | None
) -> None:
    adapter = examples.http()
    headers = {"retry_after": retry_after} if retry_after else {}
    for status in range(300, 600):
        for body in suite.JUNK_BODIES:
            outcome = adapter.outcome(suite.reply(status, body, **headers))
            assert isinstance(outcome, allowed(status, retry_after)), (status, body[:40], outcome)
            suite.check_outcome(outcome)
            if status < 400:
                assert (
                    isinstance(outcome, ch.Refused)
                    and outcome.reason is ch.Reason.REFUSED_RECIPIENT
                )
            if isinstance(outcome, ch.NotSent) and retry_after == "7":
                assert outcome.retry_after_ms == 7000
            if isinstance(outcome, ch.NotSent) and retry_after and retry_after != "7":
                assert outcome.retry_after_ms is not None and outcome.retry_after_ms > 10**9


@named(HTTP)
def test_a_good_status_with_a_strange_body_may_have_been_sent(examples: Examples) -> None:
    adapter = examples.http()
    for status in (200, 201, 202, 204, 299):
        for body in (*suite.JUNK_BODIES, *suite.HOSTILE_BODIES):
            outcome = adapter.outcome(suite.reply(status, body))
            suite.check_outcome(outcome)
            assert isinstance(
                outcome, (ch.Unknown, ch.Accepted) if examples.status_decides else ch.Unknown
            ), body[:40]


def accepted(examples: Examples) -> Iterator[tuple[ch.HttpReply, ch.Accepted]]:
    """
    The replies that take a message; "already had it" is a refusal by its form, and bent it may well
    become one.
    """
    for case in examples.replies:
        if isinstance(case.outcome, ch.Accepted) and not case.outcome.duplicate:
            yield case.reply, case.outcome


@named([one for one in HTTP if not one.status_decides])
def test_an_accepted_reply_that_was_cut_or_bent_is_never_a_refusal(examples: Examples) -> None:
    adapter = examples.http()
    assert list(accepted(examples))
    for original, meant in accepted(examples):
        for end in range(len(original.body)):
            cut = suite.reply(original.status, original.body[:end])
            assert isinstance(adapter.outcome(cut), ch.Unknown)
        for variant in suite.mutations(original.json()):
            outcome = adapter.outcome(suite.reply(original.status, variant))
            suite.check_outcome(outcome)
            same_id = isinstance(outcome, ch.Accepted) and outcome.provider_id == meant.provider_id
            assert same_id or isinstance(outcome, ch.Unknown), (variant, outcome)


@named(HTTP)
def test_no_bent_reply_crashes_an_adapter(examples: Examples) -> None:
    adapter = examples.http()
    for case in examples.replies:
        for variant in suite.mutations(case.reply.json()):
            suite.check_outcome(adapter.outcome(suite.reply(case.reply.status, variant)))


@named(HTTP)
def test_a_secret_that_the_provider_repeats_is_masked(examples: Examples) -> None:
    adapter = examples.http()
    for case in examples.replies:
        for secret in examples.secrets:
            for variant in suite.leaves_replaced(case.reply.json(), f"token {secret} is malformed"):
                outcome = adapter.outcome(suite.reply(case.reply.status, variant))
                assert isinstance(outcome, ch.Accepted) or secret not in repr(outcome)


# webhooks


@each("hooks")
def test_a_webhook_says_what_the_table_says(examples: Examples, case: HookExample) -> None:
    hook = examples.signed(case.hook)
    examples.build().verify(hook)
    said = items_of(examples, hook)
    assert [suite.bare(item) for item in said] == [suite.bare(item) for item in case.says]
    for item, expected in zip(said, case.says, strict=True):
        suite.check_said(item)
        if isinstance(expected, ch.Receipt) and expected.detail:
            assert isinstance(item, ch.Receipt) and item.detail == expected.detail
    assert examples.build().answer(hook).status == 200


def flips(body: bytes) -> Iterator[bytes]:
    """The body with one bit of one byte turned over."""
    for place in range(0, len(body), max(1, len(body) // 200)):
        yield body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


@each("hooks", BODY_SIGNED)
def test_a_signed_webhook_with_one_bit_changed_is_forged(
    examples: Examples, case: HookExample
) -> None:
    hook = examples.signed(case.hook)
    assert all(forged(examples, suite.changed(hook, body)) for body in flips(hook.body))


@each("hooks", BODY_SIGNED)
def test_a_signature_does_not_vouch_for_another_body(examples: Examples, case: HookExample) -> None:
    hook = examples.signed(case.hook)
    others = [other.hook.body for other in examples.hooks if other.hook.body != hook.body]
    assert others
    assert all(
        forged(examples, suite.changed(hook, body)) for body in (*others, b"", b"{}", hook.body * 2)
    )


@each("hooks", SIGNED)
def test_a_webhook_without_the_right_proof_is_forged(examples: Examples, case: HookExample) -> None:
    assert forged(examples, examples.signed(case.hook, "not the secret"))
    assert forged(examples, case.hook)
    if case.hook.method != "POST":
        return
    hook = examples.signed(case.hook)
    proof = hook.headers[examples.proof]
    for given in (
        None,
        "",
        " ",
        proof[:-1],
        proof + "0",
        proof.upper() + "x",
        "\udcff\ud800",
        "ї" * 20,
        "x" * 8000,
    ):
        assert forged(examples, suite.changed(hook, hook.body, **{examples.proof: given}))


@named([one for one in EVERY if one.forged])
def test_the_forgeries_an_adapter_knows_of_are_refused(examples: Examples) -> None:
    assert all(forged(examples, hook) for hook in examples.forged)


@named([one for one in EVERY if one.rotates])
def test_a_webhook_signed_with_either_secret_is_taken_while_they_rotate(examples: Examples) -> None:
    assert examples.rotates is not None
    adapter = examples.build(**{examples.rotates: ["the next secret", examples.secret]})
    for case in examples.hooks:
        if case.hook.method == "POST":
            adapter.verify(examples.signed(case.hook))
            adapter.verify(examples.signed(case.hook, "the next secret"))
            with pytest.raises(ch.Forged):
                adapter.verify(examples.signed(case.hook, "the last secret but one"))


@named([one for one in EVERY if one.hooks])
def test_no_webhook_crashes_an_adapter(examples: Examples) -> None:
    adapter = examples.build()
    for case in examples.hooks:
        for hook in suite.hostile_hooks(case.hook):
            forged(examples, hook)
            try:
                said = list(adapter.receipts(hook))
            except ch.Forged:
                continue
            for item in said:
                suite.check_said(item)
            assert adapter.answer(hook).status in (200, 403)


@named([one for one in EVERY if one.hooks])
def test_capabilities_promise_exactly_the_states_that_webhooks_report(examples: Examples) -> None:
    supports = examples.build().supports
    said = [item for case in examples.hooks for item in case.says]
    reported = {state for item in said for state in suite.states_of(item)} & set(WAITABLE)
    assert reported | examples.elsewhere == supports.receipts
    fails = any(isinstance(item, ch.Receipt) and item.state in FAILURES for item in said)
    assert fails == supports.failure_receipts


@named([one for one in HTTP if suite.adapter_type(one.adapter).supports.echo])
def test_the_reference_that_was_sent_comes_back_in_the_receipt(examples: Examples) -> None:
    assert examples.receipt_of is not None and examples.requests
    for case in examples.requests:
        hook = examples.signed(examples.receipt_of(examples.http().request(case.message)))
        examples.build().verify(hook)
        references = [
            item.client_reference
            for item in items_of(examples, hook)
            if isinstance(item, ch.Receipt)
        ]
        assert references == [case.message.client_reference]
