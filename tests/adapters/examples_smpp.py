"""SMPP has no HTTP: only its settings are for the conformance suite."""

from __future__ import annotations

from kaskad_testing import Examples

EXAMPLES = Examples(
    adapter="smpp",
    settings={
        "host": "smsc.example",
        "system_id": "shop",
        "password": "smpp-password-canary",
        "from": "Shop",
    },
    secrets=("smpp-password-canary",),
    elsewhere=frozenset({"sent", "delivered", "replied"}),
)
