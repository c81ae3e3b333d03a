"""What is still stored of a person who was erased, and why."""

from __future__ import annotations

from orchestrator.core.values import Value


class Remains(Value):
    """Words for people: ``kept`` is how long."""

    what: str
    why: str
    kept: str


REMAINS = (
    Remains(
        "of each message: the recipient's id, source and id of its event, policy, times, outcomes,"
        " cost, masked addresses and their keyed hashes",
        "reports, caps of a shared phone, and what you were billed for",
        "`retention.messages`",
    ),
    Remains(
        "`provider_references`: the provider's id of each attempt",
        "a late complaint or STOP finds its address by it",
        "as long as the message",
    ),
    Remains(
        "`addresses`: keyed hashes of addresses with an opt-out or a bounce",
        "so that an erased person is not written to again",
        "for ever",
    ),
    Remains(
        "`events`, `dedupes`: source and id of an event, keyed hashes",
        "so that a repeat does not start a message",
        "`retention.events`, the window",
    ),
    Remains(
        "`audit`: that you looked at, exported or erased somebody, by the keyed hash of the"
        " recipient's id",
        "so that the chain of the audit log holds",
        "`retention.audit`",
    ),
    Remains(
        "`outbox`: status events that a sink has not taken yet, with the recipient's id and masked"
        " addresses",
        "your systems wait for them",
        "a week at most",
    ),
)
"""The table in docs/operations.md, Personal data."""
