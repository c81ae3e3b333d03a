"""
Keyed tokens: client references, receipt tokens, unsubscribe links, tracked links, links
to messengers, pixels; and keyed
hashes of addresses.

A token is its payload, the id of its key and a truncated HMAC-SHA256, in base64url. Each purpose
signs under its own name, so no token passes for another. Nobody without the key can make or change
one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from orchestrator.primitives.ids import decode, encode

KEY_BYTES = 32
TAG_BYTES = 12
SIGN_DAYS = 365
"""A key signs for a year; then the service makes the next one."""
VERIFY_DAYS = 400
"""A key verifies for so long after another one has replaced it."""
DAY_MS = 86_400_000
STANDARD = bytes.maketrans(b"-_", b"+/")

FULL_STOP = "0"
"""
Stands behind a token that would end in ``-`` or ``_``, because mail programs leave those out of the
link. Only a token of whole quartets can end so; the length of one and a character more is never
that of another token.
"""

INBOX_TOKEN = "ki_"
"""Stands before the tokens of inboxes, to tell them from API keys."""

FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
"""What a mail program took into the link from the text behind it: a bracket, a full stop."""


def new_key() -> bytes:
    """A fresh secret of 256 bits."""
    return os.urandom(KEY_BYTES)


class SigningKeys:
    """
    ``keys`` are ``(id, secret, created_at ms)``, newest first. The first signs, and verifies
    however old it is; each other one verifies for 400 days after the next newer one replaced it.
    """

    def __init__(
        self, keys: Sequence[tuple[int, bytes, int]], now: Callable[[], int] = lambda: 0
    ) -> None:
        self._now = now
        self.replace(keys)

    def replace(self, keys: Sequence[tuple[int, bytes, int]]) -> None:
        """Use other keys, after a rotation."""
        self._keys = list(keys)
        # a token names its key by one byte, which keys may share
        self._by_id: dict[int, list[tuple[bytes, int | None]]] = {}
        replaced_at: int | None = None
        for id, secret, created_at in self._keys:
            self._by_id.setdefault(id & 0xFF, []).append((secret, replaced_at))
            replaced_at = created_at

    def verifying(self) -> int:
        """How many keys verify now, the one that signs included."""
        now = self._now()
        return sum(still_verifies(at, now) for keys in self._by_id.values() for _, at in keys)

    def reference(self, message: str, attempt: int) -> str:
        """The client reference of an attempt: 42 characters of ``[A-Za-z0-9_-]``."""
        return self._sign(b"ref", place(message, attempt))

    def read_reference(self, token: str) -> tuple[str, int] | None:
        """``(message id, attempt)``; None if the token is not ours."""
        return read_place(self._verify(b"ref", token))

    def receipt_token(self, message: str, attempt: int) -> str:
        """The token with which a browser reports on an attempt."""
        return self._sign(b"rt", place(message, attempt))

    def read_receipt_token(self, token: str) -> tuple[str, int] | None:
        return read_place(self._verify(b"rt", token))

    def pixel(self, message: str, attempt: int) -> str:
        """The token of an attempt in the URL of its open-tracking image."""
        return self._sign(b"px", place(message, attempt))

    def read_pixel(self, token: str) -> tuple[str, int] | None:
        return read_place(self._verify(b"px", token))

    def link(self, message: str, attempt: int, url: str) -> str:
        """A tracked link. Its target is signed, so nobody can redirect it."""
        return self._sign(b"ln", place(message, attempt) + url.encode())

    def read_link(self, token: str) -> tuple[str, int, str] | None:
        payload = self._verify(b"ln", token)
        found = read_place(payload[:18] if payload is not None else None)
        if payload is None or found is None:
            return None
        return (*found, payload[18:].decode("utf-8", "replace"))

    def answer(self, message: str, attempt: int, choice: str) -> str:
        """The token of a link that answers a question."""
        return self._sign(b"an", place(message, attempt) + choice.encode())

    def read_answer(self, token: str) -> tuple[str, int, str] | None:
        """The message, the attempt's number, and the choice's id."""
        payload = self._verify(b"an", token)
        found = read_place(payload[:18] if payload is not None else None)
        if payload is None or found is None:
            return None
        return (*found, payload[18:].decode("utf-8", "replace"))

    def medium(self, provider: str, reference: str) -> str:
        """The id of a medium in a reply: its provider, and what the provider knows it by."""
        return self._sign(b"md", f"{provider}\0{reference}".encode())

    def read_medium(self, token: str) -> tuple[str, str] | None:
        payload = self._verify(b"md", token)
        parts = payload.decode("utf-8", "replace").split("\0") if payload is not None else []
        return (parts[0], parts[1]) if len(parts) == 2 else None

    def messenger_link(self, link: bytes) -> str:
        """
        The token of a link that connects a messenger: 39 or 40 characters of ``[A-Za-z0-9_-]``,
        because Telegram takes 64. ``link`` are the 16 bytes that it is stored under.
        """
        return self._sign(b"ml", link)

    def read_messenger_link(self, token: str) -> bytes | None:
        return self._verify(b"ml", token)

    def link_to(self, message: str, channel: str) -> str:
        """The token of a message's own link to a messenger."""
        return self._sign(b"lt", place(message, 0) + channel.encode())

    def read_link_to(self, token: str) -> tuple[str, str] | None:
        """The message and the channel."""
        payload = self._verify(b"lt", token)
        found = read_place(payload[:18] if payload is not None else None)
        if payload is None or found is None:
            return None
        return found[0], payload[18:].decode("utf-8", "replace")

    def unsubscribe(self, recipient: str, channel: str, topic: str, message: str) -> str:
        """The token of an unsubscribe link: its recipient and the scope."""
        return self._sign(b"un", "\0".join((recipient, channel, topic, message)).encode())

    def read_unsubscribe(self, token: str) -> tuple[str, str, str, str] | None:
        payload = self._verify(b"un", token)
        parts = payload.decode("utf-8", "replace").split("\0") if payload is not None else []
        return (parts[0], parts[1], parts[2], parts[3]) if len(parts) == 4 else None

    def inbox_token(self, recipient: str, expires_at: int) -> str:
        """The token of a person's own browser or app, until ``expires_at`` (UTC milliseconds)."""
        return INBOX_TOKEN + self._sign(b"in", expires_at.to_bytes(8, "big") + recipient.encode())

    def read_inbox_token(self, token: str) -> tuple[str, int] | None:
        """``(recipient, expires_at)``, also of a token that has expired."""
        if not token.startswith(INBOX_TOKEN):
            return None
        payload = self._verify(b"in", token.removeprefix(INBOX_TOKEN))
        if payload is None or len(payload) <= 8:
            return None
        return payload[8:].decode("utf-8", "replace"), int.from_bytes(payload[:8], "big")

    def _sign(self, purpose: bytes, payload: bytes) -> str:
        id, secret, _ = self._keys[0]
        signed = bytes([id & 0xFF]) + payload + tag(secret, purpose, payload)
        text = base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
        return text + FULL_STOP if text.endswith(("-", "_")) else text

    def _verify(self, purpose: bytes, token: str) -> bytes | None:
        token = FOREIGN.split(token, maxsplit=1)[0]
        if len(token) % 4 == 1:
            token = token.removesuffix(FULL_STOP)
        try:
            text = token.encode("ascii").translate(STANDARD) + b"=" * (-len(token) % 4)
            raw = binascii.a2b_base64(text, strict_mode=True)
        except (ValueError, UnicodeEncodeError):
            return None
        if len(raw) <= TAG_BYTES + 1:
            return None
        payload, now = raw[1:-TAG_BYTES], self._now()
        for secret, replaced_at in self._by_id.get(raw[0], ()):
            good = hmac.compare_digest(raw[-TAG_BYTES:], tag(secret, purpose, payload))
            if good and still_verifies(replaced_at, now):
                return payload
        return None


def still_verifies(replaced_at: int | None, now: int) -> bool:
    """Whether a key that was replaced at this time, or never, is still believed."""
    return replaced_at is None or now - replaced_at <= VERIFY_DAYS * DAY_MS


def tag(secret: bytes, purpose: bytes, payload: bytes) -> bytes:
    made = begun(secret, purpose).copy()
    made.update(payload)
    return made.digest()[:TAG_BYTES]


@lru_cache(maxsize=64)
def begun(secret: bytes, purpose: bytes) -> hmac.HMAC:
    """The HMAC state that all tokens of a purpose start from."""
    return hmac.new(secret, purpose + b"\0", hashlib.sha256)


def place(message: str, attempt: int) -> bytes:
    """An attempt's message and number in 18 bytes."""
    return decode(message).to_bytes(16, "big") + attempt.to_bytes(2, "big")


def read_place(payload: bytes | None) -> tuple[str, int] | None:
    if payload is None or len(payload) != 18:
        return None
    return encode(int.from_bytes(payload[:16], "big")), int.from_bytes(payload[16:], "big")


class AddressHasher:
    """
    The keyed hash under which an address's opt-outs and suppressions are stored, 32 hex characters.

    Its key never changes: another key would lose every opt-out. ``identities`` has, by kind, what
    makes one text of all spellings of an address.
    """

    def __init__(self, pepper: bytes, identities: Mapping[str, Callable[[str], str]]) -> None:
        self._pepper = pepper
        self._identities = identities
        self._hash = lru_cache(maxsize=65_536)(self._compute)

    def __call__(self, kind: str, value: str) -> str:
        return self._hash(kind, value)

    def _compute(self, kind: str, value: str) -> str:
        identity = self._identities.get(kind, str.strip)(value)
        text = f"{kind}\0{identity}".encode("utf-8", "surrogatepass")
        return hmac.new(self._pepper, text, hashlib.sha256).hexdigest()[:32]
