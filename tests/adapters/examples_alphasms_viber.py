"""AlphaSMS on the wire: Viber alone, without its own fallback."""

from __future__ import annotations

from kaskad_testing import Examples, HookExample, RequestExample, outgoing
from orchestrator import channels as ch
from tests.adapters.examples_alphasms_sms import COMMON, HEADERS, HOOKS, URL, request, says, status

BUTTON = {"title": "Кошик", "url": "https://shop.example/cart"}
RICH = {"text": "Знижка", "yaml": {"image": "https://shop.example/p.jpg", "button": BUTTON}}

EXAMPLES = Examples(
    adapter="alphasms_viber",
    **COMMON,
    requests=(
        RequestExample(
            promise="a text",
            message=outgoing(ttl_seconds=5),
            url=URL,
            headers=HEADERS,
            json=request("viber", 60, viber_type="text", viber_message="Ваш кошик чекає"),
        ),
        RequestExample(
            promise="text, image and button",
            message=outgoing(content=RICH, ttl_seconds=10**6),
            url=URL,
            json=request(
                "viber",
                86_400,
                viber_type="text+image+link",
                viber_message="Знижка",
                viber_image="https://shop.example/p.jpg",
                viber_link="https://shop.example/cart",
                viber_button="Кошик",
            ),
        ),
    ),
    hooks=(
        *HOOKS,
        HookExample(promise="read", hook=status("READ"), says=says(ch.Engagement.READ)),
    ),
)
