"""Bugs in what protects people from the same thing twice, and in whom an opt-out is of."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.message import Message
from orchestrator.engine.handlers import receipts
from tests.simulation.mutations.registry import Replacement, bug


@bug
def dedupe_key_freed_although_something_left() -> Sequence[Replacement]:
    """Whatever has ended frees its key, also if somebody got it."""
    return [(Message, "left_nothing", property(lambda self: self.terminal))]


@bug
def dedupe_key_never_freed() -> Sequence[Replacement]:
    """A message that nobody got keeps its successors away until the window ends."""
    return [(Message, "left_nothing", property(lambda self: False))]


@bug
def hand_off_of_what_had_not_left() -> Sequence[Replacement]:
    """The wait of a step that is sent again counts from the try that did not leave."""
    from orchestrator.core.cascade import answers

    return [(answers, "hand_off_again", lambda run, attempts: None)]


@bug
def early_receipts_dropped() -> Sequence[Replacement]:
    """A receipt whose reference is not known yet is acknowledged and forgotten."""
    return [(receipts, "references_of", lambda rules, command: [])]
