"""TurboSMS on the wire: Viber alone, without its own fallback."""

from __future__ import annotations

from kaskad_testing import Examples, HookExample, RequestExample, outgoing
from orchestrator import channels as ch
from tests.adapters.examples_turbosms_sms import (
    COMMON,
    HEADERS,
    HOOKS,
    URL,
    callback,
    request,
    says,
)

R = ch.Reason
BUTTON = {"title": "Кошик", "url": "https://shop.example/cart"}
RICH = {"text": "Знижка", "yaml": {"image": "https://shop.example/p.jpg", "button": BUTTON}}


def rejected(reason: str, why: R) -> HookExample:
    return HookExample(
        promise=reason,
        hook=callback("Rejected", reject_reason=reason),
        says=says(ch.Delivery.REJECTED, ch.Refused(why, reason)),
    )


EXAMPLES = Examples(
    adapter="turbosms_viber",
    **COMMON,
    requests=(
        RequestExample(
            promise="a transactional text, worth a minute at least",
            message=outgoing(ttl_seconds=5),
            url=URL,
            headers=HEADERS,
            json=request("viber", ttl=60, text="Ваш кошик чекає", is_transactional=1),
        ),
        RequestExample(
            promise="a promotion with image and button, worth a day at most",
            message=outgoing(message_class="promotional", content=RICH, ttl_seconds=10**6),
            url=URL,
            json=request(
                "viber",
                ttl=86_400,
                text="Знижка",
                image_url="https://shop.example/p.jpg",
                caption="Кошик",
                action="https://shop.example/cart",
            ),
        ),
    ),
    hooks=(
        *HOOKS,
        *(
            HookExample(promise=f"{word} is read", hook=callback(word), says=says(state))
            for word, state in (("Read", ch.Engagement.READ), ("READ", ch.Engagement.READ))
        ),
        rejected("SRVC_NOT_VIBER_USER", R.REFUSED_ADDRESS),
        rejected("SRVC_USER_BLOCKED", R.REFUSED_OPTED_OUT),
        rejected("SRVC_NO_SUITABLE_DEVICE", R.REFUSED_RECIPIENT),
    ),
)
