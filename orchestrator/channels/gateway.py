"""
What most gateways have in common: requests in JSON or as a form, webhooks that log in instead of
being signed, receipts found by a reference of ours or the provider's id.
"""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from orchestrator.channels.adapter_api import AdapterSettings, Outgoing
from orchestrator.channels.readers import (
    Secrets,
    id_of,
    json_bytes,
    known_as,
    matches,
    said,
    secrets_of,
    text_of,
    whole,
)
from orchestrator.channels.reports import Receipt
from orchestrator.channels.wire import Forged, HttpCall, Webhook
from orchestrator.core.outcomes import Refused
from orchestrator.core.status import Delivery, Engagement

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
REFERENCE, TOKEN = "ref", "token"


class LoginSettings(AdapterSettings):
    """
    The settings of a provider that signs nothing: its webhooks log in, with ``webhook_username``
    and ``webhook_password`` (basic), or with ``webhook_token`` (bearer, or ``?token=`` in the URL).
    Each may be a list while it is changed. Without either, webhooks are refused unless
    ``allow_unsigned``.
    """

    webhook_username: str | None = Field(default=None, min_length=1)
    webhook_password: Secrets | None = None
    webhook_token: Secrets | None = None
    proofs: ClassVar[tuple[str, ...]] = ("webhook_token", "webhook_password")

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if (self.webhook_username is None) != (self.webhook_password is None):
            raise ValueError(
                "`webhook_username` and `webhook_password` go together: give both or neither"
            )
        return self

    def check_login(self, hook: Webhook) -> None:
        """Raises ``Forged`` unless the webhook logs in as configured."""
        tokens = secrets_of(self.webhook_token) if self.webhook_token is not None else ()
        passwords = secrets_of(self.webhook_password) if self.webhook_password is not None else ()
        given, expected = login_of(hook, tokens, self.webhook_username, passwords)
        if "authorization" not in hook.headers and TOKEN in hook.query:
            given, expected = hook.query[TOKEN].strip(), tokens
        if not matches(given, *expected):
            raise Forged(
                "the login is missing or wrong; give the provider `webhook_token`, or"
                " `webhook_username` and `webhook_password`, and the account's webhook the same"
            )

    def callback(self, message: Outgoing) -> str:
        """The receipt URL of one message, with our reference and the token in its query."""
        token = secrets_of(self.webhook_token)[0] if self.webhook_token is not None else None
        added = {REFERENCE: message.client_reference, **({TOKEN: token} if token else {})}
        return with_query(message.receipt_url, **added)


def login(username: str, password: str) -> str:
    """Base64 of a name and a password, as HTTP Basic has it (RFC 7617)."""
    return base64.b64encode(f"{username}:{password}".encode("utf-8", "replace")).decode("ascii")


def login_of(
    hook: Webhook, tokens: tuple[str, ...], username: str | None, passwords: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    """What a webhook logs in with (bearer or basic), and what would be right; nothing is."""
    scheme, _, given = hook.headers.get("authorization", "").partition(" ")
    expected: tuple[str, ...] = ()
    if scheme.lower() == "bearer":
        expected = tokens
    elif scheme.lower() == "basic" and username is not None:
        expected = tuple(login(username, password) for password in passwords)
    return given.strip(), expected


def with_query(url: str, *pairs: tuple[str, str], **added: str) -> str:
    """``url`` with more query parameters."""
    query = urllib.parse.urlencode([*pairs, *added.items()], errors="replace")
    return f"{url}{'&' if '?' in url else '?'}{query}"


def json_call(url: str, body: Any, **headers: str) -> HttpCall:
    """A POST of JSON. ``_`` in the names of headers stands for ``-``."""
    return HttpCall(method="POST", url=url, headers=sent(JSON, headers), body=json_bytes(body))


def get_call(url: str, **headers: str) -> HttpCall:
    """A GET. ``_`` in the names of headers stands for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpCall(method="GET", url=url, headers={"Accept": JSON, **named}, body=b"")


def form_call(url: str, fields: Mapping[str, str], **headers: str) -> HttpCall:
    """A POST of a form in UTF-8. ``_`` in the names of headers stands for ``-``."""
    body = urllib.parse.urlencode(fields, errors="replace").encode("ascii")
    return HttpCall(method="POST", url=url, headers=sent(FORM, headers), body=body)


def sent(kind: str, headers: Mapping[str, str]) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"Content-Type": kind, "Accept": JSON, **named}


def fields_of(hook: Webhook) -> dict[str, Any]:
    """
    What a webhook says in one flat object: its JSON object, its form, and what stands in its query
    beside them.
    """
    body = hook.json() if hook.body.lstrip()[:1] in (b"{", b"[") else None
    found = body if isinstance(body, dict) else hook.form() if body is None else {}
    return {**hook.query, **found}


def id_text(value: Any) -> str | None:
    """An identifier that may also be a whole number; None for anything else."""
    number = whole(value)
    return str(number) if number is not None and 0 < number < 10**20 else id_of(value)


def receipts_for(
    state: Delivery | Engagement | None,
    *,
    provider_id: Any = None,
    reference: Any = None,
    at: float | None = None,
    failure: Refused | None = None,
    detail: Any = "",
    phone: Any = None,
) -> Iterator[Receipt]:
    """One receipt, none without a state or anything that names the message."""
    id, ours = id_text(provider_id), id_of(reference)
    if state is None or (id is None and ours is None):
        return
    words = said(text_of(detail)) if failure is None else failure.detail
    yield Receipt(
        state=state,
        provider_id=id,
        client_reference=ours,
        at=at,
        failure=failure,
        detail=words,
        known_as=known_as(("phone", phone)),
    )
