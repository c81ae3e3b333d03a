"""The wire examples of gateways that are declared in a configuration (adapter ``http``)."""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote_plus

from kaskad_testing.examples import (
    Examples,
    HookExample,
    ReplyExample,
    RequestExample,
    changed,
    hook,
)
from orchestrator import channels as ch
from orchestrator.channels.filled import as_written
from orchestrator.configuration.provider_settings import ProviderSettings
from orchestrator.configuration.reading import Report
from orchestrator.configuration.settings_file import read_settings
from orchestrator.configuration.yaml_file import ConfigError
from orchestrator.declared.adapter import DeclaredHttp, DeclaredSettings
from orchestrator.declared.shape import ExampleKeys, VerifyKeys
from orchestrator.declared.trial import answer_of, message_of, webhook_of

UNREAD = "a webhook that says nothing"


def declared_in(path: Path) -> list[Examples]:
    """
    The examples of every declared gateway of a configuration. Raises ``ConfigError`` with what is
    wrong in it.
    """
    report = Report()
    settings = read_settings(path, os.environ, report, secrets=False)
    report.refuse()
    if settings is None:
        raise ConfigError(report.problems)
    found = settings.providers.values()
    return [examples_of(one) for one in found if one.adapter == DeclaredHttp.name]


def examples_of(provider: ProviderSettings) -> Examples:
    """The table of one declared gateway."""
    own = provider.adapter_settings
    assert isinstance(own, DeclaredSettings)
    adapter = DeclaredHttp(own, provider.provider)
    verify = own.receipts.verify if own.receipts is not None else None
    requests = tuple(requests_of(adapter, own))
    sign, secret, proof = signer(verify) if verify is not None else (None, "", "")
    return Examples(
        adapter=provider.provider,
        kind=DeclaredHttp,
        settings={name: getattr(own, name) for name in own.model_fields_set},
        secrets=own.secrets,
        secret=secret,
        sign=sign,
        proof=proof,
        signs_body=verify is not None and verify.hmac_sha256 is not None,
        requests=requests,
        replies=tuple(replies_of(adapter, own)),
        hooks=tuple(hooks_of(adapter, own)),
        status_decides=any(rule.accepted is True for rule in own.answer),
        receipt_of=echo_of(own) if adapter.supports.echo else None,
        secret_in_url=own.secret_in_url,
    )


def promise(example: ExampleKeys, at: int) -> str:
    return f"example {at + 1}: {as_written(example.expected)}"[:100]


def requests_of(adapter: DeclaredHttp, own: DeclaredSettings) -> Iterator[RequestExample]:
    """The examples of requests, as far as a request comes of them."""
    for at, example in enumerate(own.examples):
        if example.request is None or "refused" in example.expected:
            continue
        message, expected = message_of(example.request), example.expected
        call = adapter.request(message)
        yield RequestExample(
            promise=promise(example, at),
            message=message,
            url=expected.get("url", call.url),
            method=expected.get("method", call.method),
            headers=expected.get("headers", {}),
            json=expected.get("json"),
            form=expected.get("form"),
        )


def replies_of(adapter: DeclaredHttp, own: DeclaredSettings) -> Iterator[ReplyExample]:
    """The examples of answers; what they mean was compared when the configuration was read."""
    for at, example in enumerate(own.examples):
        if example.answer is not None:
            given = answer_of(example.answer)
            name = promise(example, at)
            yield ReplyExample(promise=name, reply=given, outcome=adapter.outcome(given))


def hooks_of(adapter: DeclaredHttp, own: DeclaredSettings) -> Iterator[HookExample]:
    """The examples of receipts, and one more that says nothing."""
    for at, example in enumerate(own.examples):
        if example.receipt is not None:
            given = webhook_of(example.receipt)
            says = tuple(adapter.receipts(given))
            yield HookExample(promise=promise(example, at), hook=given, says=says)
    if own.receipts is not None:
        yield HookExample(promise=UNREAD, hook=hook(json_body={"hello": "there"}), says=())


def echo_of(own: DeclaredSettings) -> Callable[[ch.HttpCall], ch.Webhook] | None:
    """What makes the receipt for a request: an example, with the reference that was sent."""
    for example in own.examples:
        if example.receipt is None:
            continue
        expected = example.expected
        for said in expected if isinstance(expected, list) else [expected]:
            if "reference" in said and (not isinstance(expected, list) or len(expected) == 1):
                return partial(echoed, own, webhook_of(example.receipt), said["reference"])
    return None


def echoed(own: DeclaredSettings, of: ch.Webhook, old: str, call: ch.HttpCall) -> ch.Webhook:
    """An example's receipt with the reference that stands in a request, if one of them does."""
    sent = unquote_plus(call.url) + unquote_plus(call.body.decode("utf-8", "replace"))
    ours = {one.request.reference for one in own.examples if one.request is not None}
    new = next((one for one in sorted(ours) if one in sent), "no reference was sent")
    query = {name: value.replace(old, new) for name, value in of.query.items()}
    return replace(of, query=query, body=of.body.replace(old.encode(), new.encode()))


def signer(
    verify: VerifyKeys,
) -> tuple[Callable[[ch.Webhook, str], ch.Webhook], str, str]:
    """How the gateway proves a webhook, with which secret, and in which header."""
    if verify.hmac_sha256 is not None:
        header = (verify.header or "").lower()

        def signed(given: ch.Webhook, secret: str) -> ch.Webhook:
            digest = hmac.digest(secret.encode(), given.body, "sha256")
            text = digest.hex() if verify.encoding == "hex" else base64.b64encode(digest).decode()
            return changed(given, None, **{header: verify.prefix + text})

        return signed, ch.secrets_of(verify.hmac_sha256)[0], header
    if verify.query is not None:
        ((name, secrets),) = verify.query.items()

        def with_token(given: ch.Webhook, secret: str) -> ch.Webhook:
            url = ch.with_query(given.url, **{name: secret})
            return replace(given, url=url, query={**given.query, name: secret})

        return with_token, ch.secrets_of(secrets)[0], ""
    if verify.basic is not None:
        user = verify.basic.username

        def logged_in(given: ch.Webhook, secret: str) -> ch.Webhook:
            return changed(given, authorization=f"Basic {ch.login(user, secret)}")

        return logged_in, ch.secrets_of(verify.basic.password)[0], "authorization"
    assert verify.bearer is not None

    def bearing(given: ch.Webhook, secret: str) -> ch.Webhook:
        return changed(given, authorization=f"Bearer {secret}")

    return bearing, ch.secrets_of(verify.bearer)[0], "authorization"
