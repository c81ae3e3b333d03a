"""Bugs in what protects people from the same thing twice, and in whom an opt-out is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core.message import Message
from orchestrator.core.values import replace
from orchestrator.engine import intake_warnings
from orchestrator.engine.commands import OptOut
from orchestrator.engine.handlers import events, receipts, recipients
from orchestrator.events.event import Event
from orchestrator.recipients.document import AddressHash
from tests.simulation.mutations.registry import Replacement, bug


@bug(seed=12)
def dedupe_key_freed_although_something_left() -> Sequence[Replacement]:
    """Whatever has ended frees its key, also if somebody got it."""
    return [(Message, "left_nothing", property(lambda self: self.terminal))]


@bug()
def dedupe_key_never_freed() -> Sequence[Replacement]:
    """A message that nobody got keeps its successors away until the window ends."""
    return [(Message, "left_nothing", property(lambda self: False))]


@bug(seed=112)
def hand_off_of_what_had_not_left() -> Sequence[Replacement]:
    """The wait of a step that is sent again counts from the try that did not leave."""
    from orchestrator.core.cascade import answers

    return [(answers, "hand_off_again", lambda run, attempts: None)]


@bug(seed=12)
def early_receipts_dropped() -> Sequence[Replacement]:
    """A receipt whose reference is not known yet is acknowledged and forgotten."""
    return [(receipts, "references_of", lambda rules, command: [])]


@bug(seed=144)
def opt_out_by_another_spelling_ignored() -> Sequence[Replacement]:
    """An opt-out holds for the address only as it was written."""
    original = recipients.opt_out_hashes

    def hashes(command: OptOut, address_hash: AddressHash) -> list[str]:
        written = command.address or ""
        if written != written.strip().lower():
            command = replace(command, address=f"other-{written.strip()}")
        return original(command, address_hash)

    return [(recipients, "opt_out_hashes", hashes)]


@bug()
def warning_of_a_fan_out_dropped() -> Sequence[Replacement]:
    """Only an event for one recipient keeps what could not be read of it."""
    original = intake_warnings.by_recipient

    def by_recipient(event: Event) -> Any:
        return original(event) if len(event.recipients) == 1 else {}

    return [(events, "by_recipient", by_recipient)]
