"""Bugs in what gathers, and in when it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core.cascade import decide
from orchestrator.engine import windows
from orchestrator.engine.handlers import events
from tests.simulation.mutations.registry import Replacement, bug


@bug(seed=28)
def joined_event_not_kept() -> Sequence[Replacement]:
    """An event joins a digest, and its data is nowhere."""
    original = events.join

    def join(context: Any, *rest: Any) -> None:
        original(context, *rest)
        context.work.changes.joined.clear()

    return [(events, "join", join)]


@bug(seed=28)
def started_digest_still_joined() -> Sequence[Replacement]:
    """Events join a digest that has started already."""
    return [(windows, "is_open", lambda message, now: message.gathers and not message.terminal)]


@bug(seed=28)
def second_digest_opened_beside() -> Sequence[Replacement]:
    """Nothing finds the digest that is open, so each event opens another."""
    return [(events, "open_for_more", lambda *anything: None)]


@bug(seed=28)
def event_joins_twice() -> Sequence[Replacement]:
    """An event joins its digest, and joins it once more."""
    original = events.join

    def join(*anything: Any) -> None:
        original(*anything)
        original(*anything)

    return [(events, "join", join)]


@bug(seed=78)
def hours_not_waited_for() -> Sequence[Replacement]:
    """`send_at` is decided and not waited for."""
    return [(decide, "wait_for_hour", lambda builder, send_at: None)]
