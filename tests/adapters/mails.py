"""What the wire examples of the mail gateways have in common."""

from __future__ import annotations

from typing import Any

from kaskad_testing import REFERENCE, HookExample, outgoing
from orchestrator import channels as ch

R = ch.Reason
TO = "olena@example.com"
SENDER = "Крамниця <hello@shop.example.com>"
WRITTEN = '"Крамниця" <hello@shop.example.com>'
SUBJECT, TEXT, HTML = "Ваш кошик чекає", "Привіт, Олено!", "<p>Привіт, Олено!</p>"
UNSUBSCRIBE = "https://kaskad.example.com/u/token"
MACHINE = "Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)"
PERSON = "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"
HEADERS = {
    "Message-ID": f"<{REFERENCE}@shop.example.com>",
    "Auto-Submitted": "auto-generated",
    "Feedback-ID": "orders:transactional:kaskad",
}
PROMOTED = {
    "Message-ID": f"<{REFERENCE}@shop.example.com>",
    "List-Unsubscribe": f"<{UNSUBSCRIBE}>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    "Precedence": "bulk",
    "Feedback-ID": "news:promotional:kaskad",
}


def mail(**changed: Any) -> ch.Outgoing:
    """A transactional mail with text and HTML."""
    content = {"subject": SUBJECT, "text": TEXT, "html": HTML}
    return outgoing("email", TO, **{"content": content, **changed})


def promotion() -> ch.Outgoing:
    """A promotional mail with one-click unsubscribing, of text alone."""
    return mail(
        content={"subject": SUBJECT, "text": TEXT},
        message_class="promotional",
        topic="news",
        unsubscribe_url=UNSUBSCRIBE,
        one_click=True,
    )


def says(
    promise: str,
    hook: ch.Webhook,
    state: ch.Delivery | ch.Engagement | None,
    failure: ch.Refused | None = None,
    *,
    id: str,
    at: float | None,
) -> HookExample:
    """
    A webhook and its one receipt, none without a state; an opt-out holds for the address, too.
    """
    receipt = (
        ch.Receipt(state=state, provider_id=id, client_reference=REFERENCE, at=at, failure=failure)
        if state is not None
        else None
    )
    said: tuple[ch.Receipt | ch.Preference, ...] = (receipt,) if receipt else ()
    if state in (ch.Engagement.COMPLAINED, ch.Engagement.UNSUBSCRIBED):
        out = ch.Preference(kind="email", value=TO, state="out", source=str(state), at=at)
        said = (*said, out)
    return HookExample(promise=promise, hook=hook, says=said)


BLAMELESS = (
    ("5.7.26", "550-5.7.26 This mail is unauthenticated, which poses a risk"),
    ("5.7.1", "554 5.7.1 blocked by zen.spamhaus.org"),
    ("5.7.606", "550 5.7.606 Access denied, banned sending IP"),
    ("5.4.7", "554 5.4.7 delivery expired"),
)
"""Codes and words of bounces that a gateway calls hard, though the address is good."""
