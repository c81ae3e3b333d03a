"""
The service in virtual time: the production runtime and store; only the providers are scripted.

Nothing polls here. Time jumps from one thing that happens to the next, so that a cascade of a day
takes milliseconds.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from orchestrator.channels import Accepted, Outgoing
from orchestrator.configuration.loading import Configuration, PolicyVersion
from orchestrator.configuration.settings import ReceiptOutage
from orchestrator.core.journey.journey import Journey
from orchestrator.core.policy import Policy
from orchestrator.engine.batch import Decided, View
from orchestrator.engine.commands import Command, RecordReceipt
from orchestrator.engine.free_codes import InventedCodes
from orchestrator.primitives.ids import encode
from orchestrator.runtime.providers import active_provider
from orchestrator.runtime.runtime import Edges, Runtime
from orchestrator.stores.code_rows import FreeCode
from orchestrator.stores.sqlite.schema import connect, migrate
from orchestrator.stores.sqlite.store import SqliteStore
from orchestrator.virtual.loop import VirtualClock, VirtualLoop
from orchestrator.virtual.scripted_provider import (
    Later,
    React,
    Reaction,
    ScriptedProvider,
    scripted_type,
)
from orchestrator.virtual.shared_tools import NO_JOURNEYS, SharedTools, no_view, rules_for

NEVER_SECONDS = 1e9
BARRIER_SECONDS = 5e-6
"""
Virtual time moves only when no task is ready, so all others have run when this sleep ends.
"""

Watch = Callable[[Decided, int], None]
"""Called with each decision and its time (UTC milliseconds) once it is committed."""


class BlankStore(SqliteStore):
    """
    The embedded store in memory; its schema is copied from one that was migrated once, which is
    twenty times as fast.
    """

    def __init__(self) -> None:
        super().__init__(":memory:", inline=True)
        self._codes = InventedCodes()

    async def open(self) -> None:
        self._writer = self._reader = connect(self.path, self)
        blank(os.getpid()).backup(self._writer)

    async def load_codes(self, wanted: Mapping[str, int]) -> dict[str, list[FreeCode]]:
        """As many invented ones as are wanted."""
        return {
            pool: [code for _ in range(count) if (code := self._codes.take(pool)) is not None]
            for pool, count in wanted.items()
        }


@cache
def blank(process: int) -> sqlite3.Connection:
    """An empty, migrated database of this process."""
    found = connect(":memory:", blank)
    migrate(found)
    return found


def no_reaction(provider: str, message: Outgoing) -> Reaction:
    """Accepted, and no receipt ever follows."""
    return Reaction(Accepted())


class FullRunner:
    """
    One installation from ``start`` (UTC milliseconds) on. ``policies`` and ``journeys`` are those
    that events may start, ``react`` is how the providers answer; ``reports`` are the instants of
    receipts still to come; ``store`` is one in memory if none is given. A step is never held for a
    receipt outage, as in ``FastRunner``.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        start: int,
        configuration: Configuration,
        policies: Mapping[str, Policy],
        *,
        tools: SharedTools | None = None,
        react: React = no_reaction,
        watch: Watch = lambda decided, now: None,
        store: SqliteStore | None = None,
        view: View = no_view,
        journeys: Mapping[str, Journey] = NO_JOURNEYS,
    ) -> None:
        self.loop = loop
        self._journeys = {(one.name, one.version): one for one in journeys.values()}
        self.clock = VirtualClock(loop, start)
        self.tools = tools or SharedTools()
        self.store = store or BlankStore()
        self.reports: set[int] = set()
        self._configuration = configuration
        self._view = view
        self._policies = {(policy.name, policy.version): policy for policy in policies.values()}
        self._watch = watch
        self._react = react
        settings = configuration.settings
        providers = {
            name: active_provider(
                one,
                settings,
                self._scripted(scripted_type(one.adapter_type)(one.adapter_settings, name)),
                slots=one.connections,
            )
            for name, one in settings.providers.items()
        }
        self.runtime = Runtime(
            self._edges(start), rules_for(configuration, policies, journeys), providers
        )
        self.engine = self.runtime.engine

    def _edges(self, start: int) -> Edges:
        ids = itertools.count(start << 80)
        return Edges(
            clock=self.clock,
            store=self.store,
            metrics=self.tools.metrics,
            policy_version=self._policy_version,
            journey_version=self._journey_version,
            address_hash=self.tools.address_hash,
            urls=self.tools.urls,
            evaluate=self.tools.evaluate,
            view=self._view,
            new_id=lambda: encode(next(ids)),
            entropy=bytes,
            observe=self._observe,
            receipt_outage=ReceiptOutage(hold=False),
            timers_look_seconds=NEVER_SECONDS,
            queues_look_seconds=NEVER_SECONDS,
        )

    async def open(self) -> None:
        await self.store.open()
        await self.runtime.start()

    async def close(self) -> None:
        """Close the store; the tasks end with their loop."""
        await self.store.close()

    async def sleep_until(self, instant: int) -> None:
        """
        Let time pass until an instant (UTC milliseconds), and let what happens then by itself
        happen first.
        """
        await asyncio.sleep(self.clock.real_seconds(max(0, instant - self.clock.now())))
        await asyncio.sleep(BARRIER_SECONDS)

    async def submit(self, command: Command) -> Any:
        """The engine's answer to a command."""
        return await self.engine.submit(command)

    def _scripted(self, adapter: ScriptedProvider) -> ScriptedProvider:
        adapter.follow(self._react, self._report)
        return adapter

    def _report(self, provider: str, message: Outgoing, later: Later, ms: int) -> None:
        """Have a receipt come ``ms`` milliseconds from now."""
        place = self.tools.urls.keys.read_reference(message.client_reference)
        if place is None:
            return
        due = self.clock.now() + ms
        receipt = later.receipt(due, message.client_reference)
        self.reports.add(due)
        self.loop.call_later(
            self.clock.real_seconds(max(0, ms)),
            self._record_receipt,
            due,
            RecordReceipt(provider, receipt, *place),
        )

    def _record_receipt(self, due: int, command: RecordReceipt) -> None:
        self.reports.discard(due)
        self.engine.submit(command)

    async def _policy_version(self, name: str, version: str) -> PolicyVersion:
        return self._policies[name, version], self._configuration.templates

    async def _journey_version(self, name: str, version: str) -> Journey:
        return self._journeys[name, version]

    def _observe(self, decided: Sequence[Decided], condition_errors: Mapping[str, int]) -> None:
        now = self.clock.now()
        for one in decided:
            self._watch(one, now)
