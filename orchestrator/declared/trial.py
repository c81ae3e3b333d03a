"""
Tries a declaration: on its own examples, and on answers that prove nothing. An adapter without an
example for each rule is refused, and so is one that would take "it may have been sent" for a no.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Protocol

from orchestrator import channels as ch
from orchestrator.channels.filled import as_written
from orchestrator.channels.registry import kinds_like
from orchestrator.declared.compiling import REASONS, STATES, VERDICTS, Faults
from orchestrator.declared.shape import (
    ExampleKeys,
    ExchangeKeys,
    MessageKeys,
    ReceiptKeys,
    RuleKeys,
)

R = ch.Reason
NOW = 1_795_600_000.0
URL = "https://kaskad.example.com/v1/receipts/example"
SHOWN_MAX = 400
WANTED = {
    "request": "what is sent: json, form, body, url, query, headers or method",
    "answer": f"one of {', '.join(VERDICTS)}",
    "receipt": "the `state` of each receipt, or [] where there is none",
}
UNCERTAIN = (*range(200, 300), 408, *range(500, 600))
"""Statuses of answers that may belong to a message that was sent."""
NOTHING_SAID = (b"", b"{}", b"[]", b"null", b'{"error": "down"}', b"<html>Bad Gateway</html>", b"0")


class Tried(Protocol):
    """The declared adapter, as far as it is tried."""

    @property
    def settings(self) -> Any: ...
    def request(self, message: ch.Outgoing) -> ch.HttpCall: ...
    def decided(self, reply: ch.HttpReply) -> tuple[ch.Outcome, RuleKeys | None]: ...
    def receipts(self, hook: ch.Webhook) -> Iterator[Any]: ...


def look_at_receipts(
    receipts: ReceiptKeys | None, unsigned: bool, reports: Any, faults: Faults
) -> None:
    """Whether webhooks prove themselves, name their message, and report what is promised."""
    if receipts is None:
        if reports:
            fix = "declare `receipts`, or remove `reports`"
            faults.add(("reports",), "is promised, but there are no `receipts`", fix)
        return
    if receipts.id is None and receipts.reference is None:
        fix = 'write id: "{{ item.… }}" for the gateway\'s id, or reference: for ours'
        faults.add(("receipts",), "does not say which message a receipt is of", fix)
    missing = [name for name in reports or () if not getattr(receipts.state, name)]
    if missing:
        fix = f"add {missing[0]}: [WORD] to `receipts.state`, or remove it from `reports`"
        faults.add(("reports",), f"names {missing[0]}, for which `state` has no word", fix)
    verify = receipts.verify
    if verify is None:
        if not unsigned:
            fix = "declare `verify`; if the gateway proves nothing, set allow_unsigned: true"
            faults.add(("receipts",), "has no `verify`, so anyone could forge receipts", fix)
        return
    given = ("hmac_sha256", "bearer", "basic", "query")
    named = [name for name in given if getattr(verify, name) is not None]
    path = ("receipts", "verify")
    if len(named) != 1:
        what = f"has {' and '.join(named) or 'no proof'}"
        faults.add(path, what, f"give exactly one of {', '.join(given)}")
    elif (verify.hmac_sha256 is not None) != (verify.header is not None):
        fix = "write hmac_sha256: ${env:…} and header: X-… together"
        faults.add(path, "has only one of `hmac_sha256` and `header`", fix)
    elif verify.query is not None and len(verify.query) != 1:
        faults.add((*path, "query"), "is not one parameter", "write query: {token: ${env:…}}")


def try_examples(adapter: Tried, examples: tuple[ExampleKeys, ...], faults: Faults) -> None:
    """Report every example that comes out differently, and what has no example."""
    trial = Trial(adapter, faults)
    for at, example in enumerate(examples):
        trial.one(example, at)
    trial.look_for_gaps()
    trial.look_for_guesses()


class Trial:
    """One trial. ``seen`` is what the examples have shown so far."""

    def __init__(self, adapter: Tried, faults: Faults) -> None:
        self.adapter, self.faults = adapter, faults
        self.seen: set[str] = set()
        self.decided: list[RuleKeys] = []

    def one(self, example: ExampleKeys, at: int) -> None:
        """Try one example."""
        kinds = ("request", "answer", "receipt")
        given = [kind for kind in kinds if getattr(example, kind) is not None]
        path = ("examples", at)
        if len(given) != 1:
            what = f"example {at + 1} is of {' and '.join(given) or 'nothing'}"
            self.faults.add(path, what, f"give exactly one of {', '.join(kinds)}")
            return
        (kind,), expected = given, example.expected
        if not says_enough(kind, expected):
            what = f"example {at + 1} ({kind}) does not say what it expects"
            self.faults.add((*path, "expected"), what, f"write {WANTED[kind]}")
            return
        if example.request is not None:
            self.seen.add("request")
            came = self.request(example.request, expected)
        elif example.answer is not None:
            outcome, rule = self.adapter.decided(answer_of(example.answer))
            self.decided += [rule] if rule is not None else []
            came = compared(meaning_of(outcome), expected)
        elif example.receipt is not None:
            said = [said_by(one) for one in self.adapter.receipts(webhook_of(example.receipt))]
            self.seen |= {f"state {one['state']}" for one in said}
            self.seen |= {f"reason {one['reason']}" for one in said if "reason" in one}
            wanted = expected if isinstance(expected, list) else [expected]
            same = len(said) == len(wanted) and all(map(none_differs, said, wanted))
            came = None if same else said
        if came is not None:
            shown, wanted_text = self.shown(came), self.shown(expected)
            what = f"example {at + 1} ({kind}) gives {shown}, not {wanted_text}"
            if kind == "answer":
                what += f": {self.which(rule)}"
            fix = "correct the declaration, or the example if the gateway does otherwise"
            self.faults.add((*path, "expected"), what, fix)

    def which(self, rule: RuleKeys | None) -> str:
        """The rule that decided, for people."""
        if rule is None:
            return "no rule was true, so its HTTP status decided"
        number = self.adapter.settings.answer.index(rule) + 1
        return f"rule {number} was the first that was true (when: {rule.when})"

    def request(self, keys: MessageKeys, expected: Any) -> Any:
        """The request of a message, as far as something else was expected; None if it is right."""
        try:
            call = self.adapter.request(message_of(keys))
        except ch.Unsendable as refused:
            came: dict[str, Any] = {"refused": "message", "detail": str(refused)}
        else:
            came = parts_of(call)
            came["headers"] = {name: call.headers.get(name) for name in expected.get("headers", {})}
        return compared(came, expected)

    def shown(self, value: Any) -> str:
        """A value as a message shows it, without secrets."""
        shown = masked(as_written(value), self.adapter.settings.secrets)
        text = json.dumps(shown, ensure_ascii=False, default=str)
        return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"

    def look_for_gaps(self) -> None:
        """Report each part of the declaration that no example shows."""
        settings = self.adapter.settings
        if "request" not in self.seen:
            fix = "add {request: {to: …, text: …}, expected: {…}} to `examples`"
            self.faults.add(("request",), "has no example", fix)
        for at, rule in enumerate(settings.answer):
            if not any(rule is one for one in self.decided):
                what = f"rule {at + 1} (when: {rule.when}) has no example that it decides"
                fix = "add {answer: {status: …, json: …}, expected: {…}} to `examples`"
                self.faults.add(("answer", at), what, fix)
        if settings.receipts is None:
            return
        tables = (
            ("state", settings.receipts.state, STATES),
            ("reason", settings.receipts.reason, REASONS),
        )
        for kind, keys, words in tables:
            for name in words if keys is not None else ():
                if getattr(keys, name) and f"{kind} {name}" not in self.seen:
                    fix = "add {receipt: {json: …}, expected: {…}} to `examples`"
                    path = ("receipts", kind, name)
                    self.faults.add(path, "has no example of a receipt", fix)

    def look_for_guesses(self) -> None:
        """Report each rule that takes an answer that proves nothing for "not sent" or "refused"."""
        found: set[int] = set()
        for status in UNCERTAIN:
            for body in NOTHING_SAID:
                reply = ch.HttpReply(status=status, headers={}, body=body, now=NOW)
                outcome, rule = self.adapter.decided(reply)
                taken = isinstance(outcome, ch.Accepted) and status < 300
                if rule is None or taken or isinstance(outcome, ch.Unknown):
                    continue
                at = next(n for n, one in enumerate(self.adapter.settings.answer) if one is rule)
                if at in found:
                    continue
                found.add(at)
                shown = body.decode() or "nothing"
                what = (
                    f"rule {at + 1} takes an answer with status {status} that says {shown} for"
                    f" {self.shown(meaning_of(outcome))}, but the message may have been sent or not"
                )
                fix = "let `when` ask for something in the body that proves it"
                self.faults.add(("answer", at, "when"), what, fix)


def says_enough(kind: str, expected: Any) -> bool:
    """Whether an example says what it expects, so that it can come out differently."""
    several = expected if kind == "receipt" and isinstance(expected, list) else [expected]
    if not all(isinstance(one, dict) for one in several):
        return False
    if kind == "request":
        headers = expected.get("headers", {})
        return isinstance(headers, dict) and bool(headers or expected.keys() - {"headers"})
    if kind == "answer":
        return sum(expected.get(word) is not None for word in VERDICTS) == 1
    return all("state" in one for one in several)


def masked(value: Any, secrets: Iterable[str]) -> Any:
    """A tree without secrets, also where they stand encoded in a URL, a form or JSON."""
    if isinstance(value, dict):
        return {key: masked(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner, secrets) for inner in value]
    if not isinstance(value, str):
        return value
    for secret in secrets:
        in_json = json.dumps(secret, ensure_ascii=False)[1:-1]
        quoted = urllib.parse.quote(secret, safe="", errors="replace")
        in_form = urllib.parse.quote_plus(secret, errors="replace")
        for form in (secret, in_json, quoted, in_form):
            value = value.replace(form, "***")
    return value


def none_differs(came: Any, expected: Any) -> bool:
    return compared(came, expected) is None


def compared(came: dict[str, Any], expected: Any) -> Any:
    """What came, as far as something else was expected; None if all that was expected came."""
    missing = [key for key in expected if came.get(key) != plain_of(expected[key])]
    return ({key: came[key] for key in missing if key in came} or came) if missing else None


def plain_of(value: Any) -> Any:
    """An expected value as it is compared: numbers of forms are texts there."""
    if isinstance(value, dict):
        return {key: plain_of(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_of(inner) for inner in value]
    return str(value) if isinstance(value, str) else value


def parts_of(call: ch.HttpCall) -> dict[str, Any]:
    """A request in the words of an example. ``headers`` compare by the names that are expected."""
    body = call.body.decode("utf-8", "replace")
    parts = urllib.parse.urlsplit(call.url)
    found: dict[str, Any] = {"method": call.method, "url": call.url, "body": body}
    found["query"] = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
    kind = call.headers.get("Content-Type", "")
    if kind.startswith("application/json"):
        with suppress(ValueError):
            found["json"] = json.loads(call.body)
    if kind.startswith(ch.FORM):
        found["form"] = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
    return found


def meaning_of(outcome: ch.Outcome) -> dict[str, Any]:
    """An outcome in the words of a rule."""
    if isinstance(outcome, ch.Accepted):
        return {"accepted": outcome.provider_id if outcome.provider_id is not None else True}
    said = {"code": outcome.code, "detail": outcome.detail}
    if isinstance(outcome, ch.Refused):
        word = next(word for word, reason in REASONS.items() if reason is outcome.reason)
        return {"refused": word, **said}
    if isinstance(outcome, ch.NotSent):
        pause = outcome.retry_after_ms
        after: dict[str, Any] = {} if pause is None else {"retry_after": pause / 1000}
        return {"not_sent": "throttled", **after, **said}
    return {"unknown": True, **said}


def said_by(receipt: ch.Receipt) -> dict[str, Any]:
    """A receipt in the words of an example."""
    state = next(word for word, state in STATES.items() if state is receipt.state)
    found: dict[str, Any] = {"state": state}
    if receipt.provider_id is not None:
        found["id"] = receipt.provider_id
    if receipt.client_reference is not None:
        found["reference"] = receipt.client_reference
    if receipt.at is not None:
        found["at"] = receipt.at
    failure = receipt.failure
    if failure is not None and failure.code is not None:
        found["reason"] = next(word for word, one in REASONS.items() if one is failure.reason)
    return found


def message_of(keys: MessageKeys) -> ch.Outgoing:
    """The message of an example."""
    content: dict[str, Any] = {str(name): part for name, part in keys.parts.items()}
    if keys.text is not None:
        content["text"] = keys.text
    kind = ch.PHONE.name if ch.e164(keys.to) and keys.to.startswith("+") else kinds_like(keys.to)[0]
    return ch.Outgoing(
        message_id="0192f0c1-7d3c-7000-8000-000000000001",
        client_reference=keys.reference,
        idempotency_key="0123456789abcdef0123456789abcdef",
        address=ch.Address(kind, keys.to, "hash"),
        content=content,
        message_class=keys.message_class,
        topic=keys.topic,
        locale=keys.locale,
        ttl_seconds=keys.ttl_seconds,
        receipt_url=URL,
        receipt_token="token",
        unsubscribe_url=None,
        one_click=False,
        in_session=False,
        now=NOW,
        entropy=bytes(64),
    )


def body_of(keys: ExchangeKeys) -> tuple[bytes, str]:
    """The body of an answer or webhook, and its content type."""
    if keys.json_body is not None:
        return json.dumps(keys.json_body, ensure_ascii=False).encode(), "application/json"
    if keys.form is not None:
        return urllib.parse.urlencode(keys.form).encode(), ch.FORM
    return (keys.text or "").encode(), "text/plain"


def headers_of(keys: ExchangeKeys, kind: str) -> dict[str, str]:
    return {"content-type": kind, **{name.lower(): one for name, one in keys.headers.items()}}


def answer_of(keys: ExchangeKeys) -> ch.HttpReply:
    """The answer of an example."""
    body, kind = body_of(keys)
    return ch.HttpReply(status=keys.status, headers=headers_of(keys, kind), body=body, now=NOW)


def webhook_of(keys: ExchangeKeys) -> ch.Webhook:
    """The webhook of an example, without its proof."""
    body, kind = body_of(keys)
    query = f"?{urllib.parse.urlencode(keys.query)}" if keys.query else ""
    return ch.Webhook(
        method="POST" if body else "GET",
        url=URL + query,
        query=dict(keys.query),
        headers=headers_of(keys, kind),
        body=body,
        now=NOW,
    )
