"""The inbox adapter has nothing on a wire; what pages report comes by the API of inboxes."""

from __future__ import annotations

from kaskad_testing import Examples

EXAMPLES = Examples(
    adapter="inbox", settings={}, elsewhere=frozenset({"delivered", "read", "clicked"})
)
