"""The log adapter has nothing on a wire."""

from __future__ import annotations

from kaskad_testing import Examples

EXAMPLES = Examples(adapter="log", settings={"path": "messages.jsonl"})
