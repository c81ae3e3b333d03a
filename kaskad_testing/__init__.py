"""
The conformance suite for adapters, for authors to run over their own::

    pip install 'kaskad[testing]'
    kaskad adapter test PACKAGE                               # or
    pytest --pyargs kaskad_testing -p kaskad_testing.plugin --adapters PACKAGE

An author writes a table of wire examples (``Examples``). The suite compares it with what the
adapter does, and sends every status from 300 to 599, strange bodies, forged, replayed and hostile
webhooks, secrets that the provider repeats, and requests twice.
"""

# ruff: isort: skip_file
# One statement a module: the sorter would write one for every re-exported name.

from kaskad_testing.examples import (
    NOW as NOW,
    RECEIPT_URL as RECEIPT_URL,
    REFERENCE as REFERENCE,
    Examples as Examples,
    HookExample as HookExample,
    ReplyExample as ReplyExample,
    RequestExample as RequestExample,
    changed as changed,
    hook as hook,
    outgoing as outgoing,
    reply as reply,
)
