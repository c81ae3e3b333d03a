"""
A scripted provider: the production dispatcher calls it like any other, and it answers as its script
says.

Its capabilities are those of the adapter it stands for, so rendering, addresses and decisions are
the real ones. Only the request itself is not made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.channels import (
    Accepted,
    Adapter,
    Delivery,
    Engagement,
    Outcome,
    Outgoing,
    Receipt,
    Refused,
)
from orchestrator.core.values import replace


@dataclass(frozen=True, slots=True)
class Later:
    """
    A receipt that comes ``after_ms`` after the provider's answer. ``dated_ms`` is the time that it
    states, counted likewise: None is no time, a negative one a clock that is slow.
    """

    after_ms: int
    state: Delivery | Engagement
    failure: Refused | None = None
    dated_ms: int | None = None

    def receipt(self, due: int, provider_id: str | None = None) -> Receipt:
        """The same as an adapter would give it, where it comes at ``due`` (UTC milliseconds)."""
        stated = None if self.dated_ms is None else (due - self.after_ms + self.dated_ms) / 1000
        return Receipt(state=self.state, provider_id=provider_id, at=stated, failure=self.failure)


@dataclass(frozen=True, slots=True)
class Reaction:
    """A provider's reaction to a message: its answer, the milliseconds it takes, later receipts."""

    outcome: Outcome
    takes_ms: int = 0
    receipts: tuple[Later, ...] = ()


React = Callable[[str, Outgoing], Reaction]
"""The reaction of a provider, by its name, to one message."""
Report = Callable[[str, Outgoing, Later, int], None]
"""Have a receipt come ``ms`` milliseconds from now: provider, message, receipt, ms."""


class ScriptedProvider(Adapter[Any]):
    """``follow`` must be called before the first send."""

    _react: React
    _report: Report

    def follow(self, react: React, report: Report) -> None:
        """Take up a script."""
        self._react = react
        self._report = report

    async def send(self, message: Outgoing) -> Outcome:
        reaction = self._react(self.provider, message)
        for later in reaction.receipts:
            self._report(self.provider, message, later, reaction.takes_ms + later.after_ms)
        if reaction.takes_ms:
            await asyncio.sleep(reaction.takes_ms / 1000)
        outcome = reaction.outcome
        return (
            replace(outcome, provider_id=message.client_reference)
            if isinstance(outcome, Accepted)
            else outcome
        )


SCRIPTED: dict[type[Adapter[Any]], type[ScriptedProvider]] = {}


def scripted_type(adapter: type[Adapter[Any]]) -> type[ScriptedProvider]:
    """A type of adapter that has another's capabilities and sends nothing; made once for each."""
    if adapter not in SCRIPTED:
        members = {"name": adapter.name, "supports": adapter.supports}
        SCRIPTED[adapter] = type(f"Scripted{adapter.__name__}", (ScriptedProvider,), members)
    return SCRIPTED[adapter]
