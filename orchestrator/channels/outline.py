"""
The outline of a webhook: its keys, small numbers and the words that providers use for states. That
is all of it that the store keeps, because the rest may be an address, a name or a message.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

import orjson

from orchestrator.primitives.masking import HIDDEN

OUTLINE_BYTES_MAX = 4 * 1024
PARSED_BYTES_MAX = 64 * 1024
KEY = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
SMALL = 1_000_000
WORDS_OF_PROVIDERS = """
accepted blocked bounce button clicked complaint contacts conversation_started deleted delivered
delivery dismissed enroute expired failed failure hard image interactive message messages ok
opened pending processed queued read received rejected replied seen sending sent soft status
statuses submitted subscribed success text undeliverable undelivered unsubscribed
user_preferences webhook
"""
VOCABULARY = frozenset(WORDS_OF_PROVIDERS.split())
"""The words of providers' webhooks that say nothing of a person."""


def outline(body: bytes) -> bytes:
    """
    The outline as JSON. Every other text and number is ``***``; of a body that is neither JSON nor
    a form, or is large, only the size stays.
    """
    size = orjson.dumps({"bytes": len(body)})
    if len(body) > PARSED_BYTES_MAX:
        return size
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = fields_of(body)
    if found is None:
        return size
    kept = orjson.dumps(outline_of(found))
    return kept if len(kept) <= OUTLINE_BYTES_MAX else size


def fields_of(body: bytes) -> dict[str, str] | None:
    """The fields of a form, None for anything else."""
    if b"=" not in body or b"\n" in body or not body.isascii():
        return None
    return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True)) or None


def outline_of(value: Any) -> Any:
    if isinstance(value, str):
        return value if not value or value.casefold() in VOCABULARY else HIDDEN
    if isinstance(value, dict):
        return {
            name if KEY.fullmatch(name) else HIDDEN: outline_of(one) for name, one in value.items()
        }
    if isinstance(value, list):
        return [outline_of(one) for one in value]
    if isinstance(value, int) and abs(value) < SMALL:
        return value
    return value if value is None else HIDDEN
