"""What the wire examples of the built-in adapters are written with."""

from kaskad_testing import (
    FORM,
    NOW,
    RECEIPT_URL,
    REFERENCE,
    Examples,
    HookExample,
    ReplyExample,
    RequestExample,
    changed,
    hook,
    outgoing,
    reply,
)

__all__ = [
    "FORM",
    "NOW",
    "RECEIPT_URL",
    "REFERENCE",
    "Examples",
    "HookExample",
    "ReplyExample",
    "RequestExample",
    "changed",
    "hook",
    "outgoing",
    "reply",
]
