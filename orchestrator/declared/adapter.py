"""
Any gateway without code: request, answers and receipts are declared in the configuration.

Reference: docs/providers/http.md.
Quirk: an answer that no rule is true of, and one whose rule cannot be evaluated, is judged by its
HTTP status, so what does not prove "not sent" is unknown.
"""

from __future__ import annotations

import base64
import hmac
import html
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

from pydantic import Field, model_validator

from orchestrator import channels as ch
from orchestrator.channels.filled import secrets_in
from orchestrator.core.status import WAITABLE
from orchestrator.declared import scope
from orchestrator.declared.compiling import (
    FAILING,
    REASONS,
    STATES,
    XML,
    Compiler,
    DeclaredGateway,
    Faults,
    Rule,
    as_text,
    tried,
    value_of,
)
from orchestrator.declared.shape import (
    ExampleKeys,
    ReceiptKeys,
    RequestKeys,
    RuleKeys,
    StateWord,
    VerifyKeys,
    Word,
)
from orchestrator.declared.trial import look_at_receipts, try_examples
from orchestrator.render import ConditionError

R = ch.Reason
ITEMS_MAX = 10_000
CODE_CHARS_MAX = 64
PAUSE_SECONDS_MAX = 86_400


class DeclaredSettings(ch.AdapterSettings):
    """
    ``request`` is sent for a message; the first rule of ``answer`` whose ``when`` is true decides;
    ``receipts`` reads webhooks. ``examples`` show each of them, and are tried whenever the
    configuration is read. ``sender`` is a name for expressions.
    """

    request: RequestKeys
    answer: tuple[RuleKeys, ...] = Field(min_length=1)
    receipts: ReceiptKeys | None = None
    reports: tuple[StateWord, ...] | None = None
    sender: Word | None = None
    examples: tuple[ExampleKeys, ...] = ()

    @cached_property
    def declaration(self) -> DeclaredGateway:
        """
        The declaration, compiled. It is no part of the settings: those of the same file are equal.
        """
        faults = Faults()
        made = Compiler(faults).declaration(self.request, self.answer, self.receipts)
        look_at_receipts(self.receipts, self.allow_unsigned, self.reports, faults)
        faults.refuse()
        return made

    @model_validator(mode="after")
    def _try_examples(self) -> Self:
        faults = Faults()
        try_examples(DeclaredHttp(self, "example"), self.examples, faults)
        faults.refuse()
        return self

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """Everything that must not be shown, also as it is sent."""
        basic = self.request.auth.basic if self.request.auth is not None else None
        if basic is None:
            return super().secrets
        sent = (ch.login(basic.username, one) for one in ch.secrets_of(basic.password))
        return (*sent, *super().secrets)

    @property
    def secret_in_url(self) -> bool:
        """Whether a secret stands in the URLs of requests."""
        return bool(secrets_in([self.request.url, self.request.query]))


class DeclaredHttp(ch.HttpAdapter[DeclaredSettings]):
    """A gateway that is declared, on any channel."""

    name = "http"
    settings_type = DeclaredSettings
    supports = ch.Capabilities(
        channel="*",
        receipts=frozenset(STATES) & frozenset(WAITABLE),
        parts=(),
        echo=True,
        failure_receipts=True,
    )

    def __init__(self, settings: DeclaredSettings, provider: str) -> None:
        super().__init__(settings, provider)
        self._made, self._secrets = settings.declaration, settings.secrets
        # what this gateway can do is less than what any can, so it has a value of its own
        vars(self)["supports"] = replace(
            type(self).supports,
            receipts=frozenset(states_of(settings.receipts)) & frozenset(WAITABLE),
            echo=self._made.parts.get("reference") is not None,
            failure_receipts=bool(FAILING.intersection(states_of(settings.receipts))),
        )

    def reports(self) -> frozenset[str]:
        """The states that the declared receipts can report."""
        declared = self.settings.reports
        found = states_of(self.settings.receipts) if declared is None else declared
        return frozenset(found) & frozenset(WAITABLE)

    def request(self, message: ch.Outgoing) -> ch.HttpCall:
        """The declared request. Raises ``Unsendable`` where something it names is absent."""
        found = scope.of_message(message, self.settings.sender)
        try:
            return self._call(found)
        except ConditionError as error:
            words = ch.said(f"the request cannot be made: {error}", self._secrets)
            raise ch.Unsendable(ch.Refused(R.REFUSED_CONTENT, None, words)) from None

    def _call(self, found: dict[str, Any]) -> ch.HttpCall:
        keys, made = self._made.request, self._made
        headers = {"Accept": "application/json", **self._login()}
        body = b""
        if keys.json_body is not None:
            headers["Content-Type"] = "application/json"
            body = ch.json_bytes(value_of(made.content, found))
        elif keys.form is not None:
            headers["Content-Type"] = ch.FORM
            pairs = pairs_of(made.content, found)
            body = urllib.parse.urlencode(pairs, errors="replace").encode("ascii")
        elif keys.body is not None:
            headers["Content-Type"] = made.body_type
            text = made.content.text(found, ENCODINGS.get(made.body_type))
            body = text.encode("utf-8", "replace")
        named = {name.lower(): name for name in headers}
        for name, value in made.headers.items():
            given = as_text(value, found)
            if not given.isprintable() or not given.isascii():
                raise ConditionError(f"the header {name} would hold more than printable ASCII")
            headers.pop(named.get(name.lower(), ""), None)
            headers[name] = given
        url = made.url.text(found, quoted)
        if made.query:
            url = ch.with_query(url, *pairs_of(made.query, found))
        method = keys.method or ("POST" if body else "GET")
        return ch.HttpCall(method=method, url=url, headers=headers, body=body)

    def _login(self) -> dict[str, str]:
        auth = self._made.request.auth
        if auth is None:
            return {}
        if auth.basic is not None:
            password = ch.secrets_of(auth.basic.password)[0]
            return {"Authorization": f"Basic {ch.login(auth.basic.username, password)}"}
        return {"Authorization": f"Bearer {ch.secrets_of(auth.bearer)[0] if auth.bearer else ''}"}

    def outcome(self, reply: ch.HttpReply) -> ch.Outcome:
        """What the first rule that is true says, else what the status says."""
        return self.decided(reply)[0]

    def decided(self, reply: ch.HttpReply) -> tuple[ch.Outcome, RuleKeys | None]:
        """The outcome, and the rule that decided it."""
        found = scope.of_answer(reply)
        for rule in self._made.rules:
            try:
                true = bool(rule.when.evaluate(found))
            except ConditionError:
                break  # nothing is known of the answer, so no later rule is believed either
            if true:
                return self._meant(rule, reply, found), rule.keys
        return ch.by_http_status(reply), None

    def _meant(self, rule: Rule, reply: ch.HttpReply, found: dict[str, Any]) -> ch.Outcome:
        given = ch.id_text(tried(rule.code, found)) or str(reply.status)
        code = ch.said(given, self._secrets)[:CODE_CHARS_MAX]
        detail = ch.said(ch.text_of(tried(rule.detail, found)), self._secrets)
        if rule.verdict == "accepted":
            id = None if rule.id is True else ch.id_text(tried(rule.id, found))
            if id is None and rule.id is not True:
                return ch.Unknown(R.RESPONSE_UNREADABLE, code, detail)
            return ch.Accepted(id)
        if rule.verdict == "refused":
            return ch.Refused(REASONS[str(rule.keys.refused)], code, detail)
        if rule.verdict == "not_sent":
            pause = pause_of(tried(rule.retry_after, found))
            return ch.NotSent(
                R.THROTTLED, reply.retry_after_ms if pause is None else pause, code, detail
            )
        return ch.Unknown(R.SERVER_ERROR, code, detail)

    def verify(self, hook: ch.Webhook) -> None:
        """Check the declared proof."""
        receipts = self.settings.receipts
        if receipts is None or receipts.verify is None:
            raise ch.Forged(f"{self.provider} declares no proof of its webhooks")
        given, expected = proof(receipts.verify, hook)
        if not ch.matches(given, *expected):
            raise ch.Forged("the webhook's proof is missing or wrong; see `receipts.verify`")

    def receipts(self, hook: ch.Webhook) -> Iterator[ch.Receipt | ch.Inbound | ch.Preference]:
        """One receipt for each item whose state's word is known."""
        if self._made.state is None:
            return
        receipts, parts = self.settings.receipts, self._made.parts
        found = scope.of_webhook(hook, receipts is not None and receipts.body_signed)
        items = [found["item"]]
        if parts["items"] is not None:
            several = tried(parts["items"], found)
            items = several if isinstance(several, list) else [several]
        for item in items[:ITEMS_MAX]:
            if item is not None:
                yield from self._receipt({**found, "item": item})

    def _receipt(self, found: dict[str, Any]) -> Iterator[ch.Receipt]:
        made, parts = self._made, self._made.parts
        try:
            _, word = made.state.meaning(found) if made.state else ("", "")
        except ConditionError:
            return
        if not word:
            return
        at = tried(parts["at"], found)
        yield from ch.receipts_for(
            STATES[word],
            provider_id=tried(parts["id"], found),
            reference=tried(parts["reference"], found),
            at=ch.unix_seconds(at) or ch.iso_seconds(at),
            failure=self._failure(found) if word in FAILING else None,
        )

    def _failure(self, found: dict[str, Any]) -> ch.Refused:
        said = meant = ""
        if self._made.reason is not None:
            try:
                said, meant = self._made.reason.meaning(found)
            except ConditionError:
                said = ""
        if meant:
            return ch.Refused(REASONS[meant], ch.said(said, self._secrets)[:CODE_CHARS_MAX])
        return ch.Refused(R.REFUSED_RECIPIENT)

    def answer(self, hook: ch.Webhook) -> ch.Answer:
        """200 with the declared text."""
        receipts = self.settings.receipts
        return ch.Answer(body=receipts.answer if receipts is not None else "")


def quoted(text: str) -> str:
    """A value within a URL or a form."""
    return urllib.parse.quote(text, safe="", errors="replace")


ENCODINGS = {XML: html.escape, ch.FORM: quoted}
"""How a value is kept inside a hand-written body, by its content type."""


def pairs_of(fields: Mapping[str, Any], found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The fields of a form or query; one with a list is repeated."""
    return [
        (name, as_text(one, found))
        for name, value in fields.items()
        for one in (value if isinstance(value, list) else [value])
    ]


def pause_of(seconds: Any) -> int | None:
    """A pause in milliseconds, None for what is no number of seconds."""
    if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit() and len(seconds) < 10:
        seconds = int(seconds)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return int(min(seconds, PAUSE_SECONDS_MAX) * 1000) if seconds >= 0 else None


def states_of(receipts: ReceiptKeys | None) -> tuple[str, ...]:
    """The states that receipts have words for."""
    if not isinstance(receipts, ReceiptKeys):
        return ()
    return tuple(name for name in STATES if getattr(receipts.state, name))


def proof(keys: VerifyKeys, hook: ch.Webhook) -> tuple[str | None, tuple[str, ...]]:
    """What a webhook brings as its proof, and what would be right."""
    if keys.hmac_sha256 is not None:
        digests = [
            hmac.digest(secret.encode(), hook.body, "sha256")
            for secret in ch.secrets_of(keys.hmac_sha256)
        ]
        shown = [
            one.hex() if keys.encoding == "hex" else base64.b64encode(one).decode("ascii")
            for one in digests
        ]
        given = hook.headers.get((keys.header or "").lower())
        return given, tuple(keys.prefix + one for one in shown)
    if keys.query is not None:
        ((name, secrets),) = keys.query.items()
        return hook.query.get(name), ch.secrets_of(secrets)
    if keys.basic is not None:
        return ch.login_of(hook, (), keys.basic.username, ch.secrets_of(keys.basic.password))
    return ch.login_of(hook, ch.secrets_of(keys.bearer) if keys.bearer else (), None, ())
