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
    """A webhook and its one receipt, none without a state."""
    receipt = (
        ch.Receipt(state=state, provider_id=id, client_reference=REFERENCE, at=at, failure=failure)
        if state is not None
        else None
    )
    return HookExample(promise=promise, hook=hook, says=(receipt,) if receipt else ())
