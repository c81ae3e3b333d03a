"""
Reports of recipients' devices: ``{"mid", "rt", "ev", "action"}``, posted by a service worker or an
app to the ``report`` address that came with the message.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.channels.readers import id_of, member, text_of
from orchestrator.channels.reports import Inbound, Receipt
from orchestrator.channels.wire import Forged, Webhook
from orchestrator.core.status import Delivery, Engagement

ACTION_CHARS_MAX = 100
EVENTS: dict[str, Delivery | Engagement] = {
    "delivered": Delivery.DELIVERED,
    "clicked": Engagement.CLICKED,
    "dismissed": Engagement.DISMISSED,
}


def verify_device_report(hook: Webhook) -> None:
    """
    Check the shape of a report only. Its token proves it; the service checks that later, because a
    receipt's ``client_reference`` is the token.
    """
    if id_of(member(hook.json(), "rt")) is None:
        raise Forged('a report without its token: the device posts {"mid", "rt", "ev"}')


def device_receipts(hook: Webhook) -> Iterator[Receipt | Inbound]:
    """
    The event of a report; unknown ones are ignored. A click on one of the actions is an answer;
    its token names what it answers, and no address is needed.
    """
    report = hook.json()
    event, token = member(report, "ev"), id_of(member(report, "rt"))
    state = EVENTS.get(event) if isinstance(event, str) else None
    action = text_of(member(report, "action"), ACTION_CHARS_MAX)
    if token is not None and state is Engagement.CLICKED and action:
        yield Inbound(kind="", value="", text=action, answers=(token,), clicked=True, choice=action)
    elif state is not None and token is not None:
        yield Receipt(state=state, client_reference=token)
