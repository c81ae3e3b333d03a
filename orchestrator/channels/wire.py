"""What goes over the wire between an adapter and its provider: calls, replies, webhooks."""

from __future__ import annotations

import email.utils
import hmac
import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, dataclass_transform

import msgspec

RETRY_AFTER_SECONDS_MAX = 30 * 86_400
FORM_FIELDS_MAX = 1_000

V = TypeVar("V")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def named(kind: type[V]) -> type[V]:
    """
    A value whose fields are given by their names; frozen for the type checker alone, because that
    costs nothing.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(kind)


@named
class HttpCall:
    """
    One HTTP request. ``guarded`` marks a URL that a user supplied: it passes the egress guard and
    its address is pinned.

    ``http2_only``: the server speaks nothing else, even without TLS. ``ca``, with ``http2_only``:
    PEM of the only authorities to trust; empty: the system's. Redirects are never followed.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    guarded: bool = False
    http2_only: bool = False
    ca: str = ""


def parse_retry_after(value: str | None, now: float) -> int | None:
    """
    Milliseconds that a ``Retry-After`` header asks for (RFC 9110 10.2.3: seconds or an HTTP-date),
    None without.
    """
    value = (value or "").strip()[:64]
    if value.isascii() and value.isdigit():
        return min(int(value), RETRY_AFTER_SECONDS_MAX) * 1000
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return max(0, int((moment - now) * 1000))


def json_of(body: bytes) -> Any:
    """
    The value of a body as Python's own parser reads it, None if it is no JSON. What msgspec
    reads it reads as that one does, many times as fast; what it refuses (a byte order mark, half a
    surrogate, NaN) is left to that one.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


@named
class HttpReply:
    """
    A complete answer to ``request``. Header names are lower case; ``now`` is UTC seconds.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    now: float
    request: HttpCall | None = None

    def json(self) -> Any:
        """The parsed body, or None if it is not JSON."""
        return json_of(self.body)

    @property
    def retry_after_ms(self) -> int | None:
        """What ``Retry-After`` asks for."""
        return parse_retry_after(self.headers.get("retry-after"), self.now)


def any_reference(reference: str) -> bool:
    """Take every client reference for ours, where nobody can tell."""
    return True


@named
class Webhook:
    """
    A request that claims to come from a provider.

    ``url`` is the public one that the provider called, with its query. ``query`` is looked up by
    names as they were sent, ``headers`` by lower-case names; of what came twice both give the
    first. ``body`` is raw: signatures are over bytes. ``is_ours`` tells whether a client reference
    is one that we have signed. ``evidence`` is what ``Adapter.evidence`` asked for.
    """

    method: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    now: float
    is_ours: Callable[[str], bool] = any_reference
    evidence: bytes = b""

    def json(self) -> Any:
        """The parsed body, or None if it is not JSON."""
        return json_of(self.body)

    def form(self) -> dict[str, str]:
        """The body as a form; the last of repeated fields counts."""
        try:
            text = self.body.decode("utf-8")
            return dict(urllib.parse.parse_qsl(text, True, max_num_fields=FORM_FIELDS_MAX))
        except ValueError:
            return {}


class Intake(Protocol):
    """Takes a body in pieces, and gives what is left of it at the end."""

    def feed(self, piece: bytes) -> None: ...
    def result(self) -> bytes: ...


class Forged(Exception):
    """The webhook is not the provider's: answered 403, counted, and nothing of it is stored."""


@named
class Answer:
    """How a webhook is answered once what it said is durable."""

    status: int = 200
    body: str = ""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)


@named
class ApprovedTemplate:
    """
    A template as the provider's account has it. ``status`` is the provider's word; ``body``,
    ``header`` and ``buttons`` count its parameters.
    """

    name: str
    language: str
    status: str
    usable: bool
    body: int = 0
    header: int = 0
    buttons: int = 0


def same(given: str | bytes, expected: str | bytes) -> bool:
    """Compare two signatures in constant time."""
    left = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
    right = expected.encode("utf-8", "surrogatepass") if isinstance(expected, str) else expected
    return hmac.compare_digest(left, right)
