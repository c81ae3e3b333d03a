"""
A scripted stand-in. It knows its provider's wire format and nothing of the adapter
that it faces.

What happens to a request is drawn elsewhere (``network.py``); a stand-in only puts it into the
provider's own words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.channels import HttpCall, SecretStr


@dataclass(frozen=True, slots=True)
class Request:
    """The content of a request: our reference, the address it is for, and its text."""

    reference: str
    address: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer; header names are lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Post:
    """
    A webhook as the provider posts it: ``query`` is appended to our URL with its question mark.
    """

    body: bytes
    headers: Mapping[str, str]
    query: str = ""


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def iso(ms: int) -> str:
    """A time as JSON APIs write it."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


class StandIn:
    """
    ``adapter`` is the name that the adapter is registered under, ``kind`` the recipient's field
    that it is sent to. ``states`` are the receipts it can report; ``url`` the public address of its
    webhooks.
    """

    adapter: str
    channel: str
    kind: str
    states: tuple[str, ...]
    refusals: tuple[str, ...] = ("recipient",)
    """Refusals a script can ask for: address, recipient, opted_out, content, configuration."""

    def __init__(self, provider: str, url: str) -> None:
        self.provider = provider
        self.url = url

    def settings(self) -> dict[str, Any]:
        """The settings that the adapter is configured with."""
        raise NotImplementedError

    def new_id(self, number: int) -> str:
        """The provider's id of its n-th message."""
        return str(number)

    def read(self, call: HttpCall) -> Request:
        """Read a request. Raises if it is not as the provider documents."""
        raise NotImplementedError

    def accept(self, request: Request, id: str) -> Reply:
        raise NotImplementedError

    def refuse(self, why: str) -> Reply:
        raise NotImplementedError

    def fail(self, status: int, retry_after: int | None = None) -> Reply:
        """An answer that says nothing but its status."""
        headers = {"retry-after": str(retry_after)} if retry_after is not None else {}
        return Reply(status, b"", headers)

    def unreadable(self) -> Reply:
        """A good status with a body that nobody can read."""
        return Reply(200, b"<html>it works</html>")

    def receipt(self, request: Request, id: str, state: str, now_ms: int) -> Post | None:
        """The webhook that reports a state; None where the provider never does."""
        raise NotImplementedError

    def inbound(self, address: str, text: str, now_ms: int) -> Post | None:
        """The webhook of a reply; None if the provider takes none."""
        return None

    def preference(self, address: str, state: str, now_ms: int) -> Post | None:
        """
        The webhook of an opt-out (out) or opt-in (in) by the provider's own means.
        """
        return None


def secret(value: str) -> SecretStr:
    return SecretStr(value)
