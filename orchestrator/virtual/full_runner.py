"""
The service in virtual time: the production engine, dispatcher, timers and store; only the providers
are played.

Nothing polls here. Time jumps from one thing that happens to the next, so that a cascade of a day
takes milliseconds. ``grain_ms`` may round everything that happens up to a grid, so that a
simulation's engine finds its work in batches.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from orchestrator.channels import Accepted, Outgoing, Receipt
from orchestrator.configuration.loading import Configuration
from orchestrator.configuration.settings import ProviderSettings, Settings
from orchestrator.core.policy import Policy
from orchestrator.dispatch.breakers import Breaker
from orchestrator.dispatch.dispatcher import IDLE_LOOK_SECONDS, Dispatcher
from orchestrator.dispatch.outgoing import PublicUrls
from orchestrator.dispatch.provider import ActiveProvider, Cost, ProviderQueue
from orchestrator.dispatch.sends import Sender
from orchestrator.engine.batch import Decided
from orchestrator.engine.commands import Command, RecordReceipt
from orchestrator.engine.engine import Engine, Ports
from orchestrator.engine.rules import Rules
from orchestrator.engine.timers import Timers
from orchestrator.primitives.ids import encode
from orchestrator.primitives.tokens import AddressHasher, SigningKeys
from orchestrator.render import TemplateSet
from orchestrator.render.evaluator import Evaluator
from orchestrator.stores.sqlite.schema import connect, migrate
from orchestrator.stores.sqlite.store import SqliteStore
from orchestrator.virtual.loop import VirtualClock, VirtualLoop
from orchestrator.virtual.scripted_provider import Later, React, Reaction, played

PUBLIC_URL = "https://rehearsal.example"
NEVER_SECONDS = 1e9
BARRIER_SECONDS = 5e-6
"""
Virtual time moves only when nothing is left to do, so whoever sleeps this long has let everybody
else finish.
"""
KEY = b"nothing signed in a rehearsal leaves it"

Watch = Callable[[Decided, int], None]
"""Called with each decision and its time (UTC milliseconds) once it is committed."""


class Clock(VirtualClock):
    """Virtual time; ``real_seconds`` ends on the grid."""

    def __init__(self, loop: VirtualLoop, start: int, grain_ms: int) -> None:
        super().__init__(loop, start)
        self._grain_ms = grain_ms

    def real_seconds(self, ms: int) -> float:
        if self._grain_ms <= 1:
            return ms / 1000
        due = self.now() + ms
        return (due + -due % self._grain_ms - self.now()) / 1000


class Pumps(Dispatcher):
    """
    The production dispatcher; in virtual time a pump that has nothing to do waits until it is
    woken.
    """

    async def _rest(self, queue: ProviderQueue, seconds: float) -> None:
        if seconds < IDLE_LOOK_SECONDS:
            await super()._rest(queue, seconds)
            return
        queue.wake.clear()
        await queue.wake.wait()


class BlankStore(SqliteStore):
    """
    The embedded store in memory; its schema is copied from one that was migrated once, which is
    twenty times as fast.
    """

    def __init__(self) -> None:
        super().__init__(":memory:", inline=True)

    async def open(self) -> None:
        self._writer = self._reader = connect(self.path, self)
        blank(os.getpid()).backup(self._writer)


@cache
def blank(process: int) -> sqlite3.Connection:
    """An empty, migrated database of this process."""
    found = connect(":memory:", blank)
    migrate(found)
    return found


class Props:
    """What worlds can share: whatever is expensive to make and never changes."""

    def __init__(self) -> None:
        self.evaluate = Evaluator()
        self.address_hash = AddressHasher(KEY)
        self.outside = PublicUrls(PUBLIC_URL, SigningKeys([(1, KEY, 0)]))


def no_reaction(provider: str, message: Outgoing) -> Reaction:
    """Taken, and silent ever after."""
    return Reaction(Accepted())


class FullRunner:
    """
    One installation from ``start`` (UTC milliseconds) on. ``policies`` are those that events may
    trigger, ``react`` is how the providers take messages; ``reports`` are the instants at which
    receipts are still to come.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        start: int,
        configuration: Configuration,
        policies: Mapping[str, Policy],
        *,
        props: Props | None = None,
        react: React = no_reaction,
        watch: Watch = lambda decided, now: None,
        grain_ms: int = 1,
    ) -> None:
        self.loop = loop
        self.clock = Clock(loop, start, grain_ms)
        self.props = props or Props()
        self.store = BlankStore()
        self._settings = configuration.settings
        self._templates = configuration.templates
        self._watch = watch
        self._react = react
        self._ids = itertools.count(start << 80)
        rules = rules_for(configuration, policies)
        self._policies = {(policy.name, policy.version): policy for policy in policies.values()}
        self.condition_errors = 0
        self.reports: set[int] = set()
        self.engine = Engine(self.store, rules, self._ports())
        self.dispatcher = self._dispatcher(rules)
        self.timers = Timers(
            self.engine, self.store, self.clock, longest_sleep_seconds=NEVER_SECONDS
        )

    async def open(self) -> None:
        await self.store.open()
        await self.engine.start()
        await self.dispatcher.start()
        await self.timers.start()

    async def close(self) -> None:
        """The tasks end with their loop."""
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

    def after(self, ms: int, call: Callable[[], object]) -> None:
        """Have something happen ``ms`` milliseconds from now, on the grid."""
        self.loop.call_later(self.clock.real_seconds(max(0, ms)), call)

    def at(self, instant: int, call: Callable[[], object]) -> None:
        """Have something happen at an instant (UTC milliseconds), or now where that is past."""
        self.after(instant - self.clock.now(), call)

    def _ports(self) -> Ports:
        return Ports(
            now=self.clock.now,
            monotonic=self.clock.monotonic,
            new_id=lambda: encode(next(self._ids)),
            evaluate=self.props.evaluate,
            address_hash=self.props.address_hash,
            view=lambda message, event: {},
            policy=self._policy,
            shut=self._shut,
            observe=self._observe,
        )

    def _dispatcher(self, rules: Rules) -> Dispatcher:
        return Pumps(
            self.engine,
            self.store,
            {name: self._at_work(one, rules) for name, one in self._settings.providers.items()},
            sender_for=no_sender,
            urls=self.props.outside,
            policies=self._book,
            address_hash=self.props.address_hash,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
            entropy=bytes,
        )

    def _at_work(self, one: ProviderSettings, rules: Rules) -> ActiveProvider:
        cost = Cost(one.cost.amount, one.cost.per) if one.cost is not None else None
        adapter = played(one, self._react, self._report)
        return ActiveProvider(
            rules.providers[one.provider],
            adapter,
            None,
            breaker_of(self._settings),
            one.connections,
            cost,
        )

    def _report(self, provider: str, message: Outgoing, later: Later, ms: int) -> None:
        place = self.props.outside.keys.read_reference(message.client_reference)
        if place is not None:
            receipt = Receipt(
                state=later.state, provider_id=message.client_reference, failure=later.failure
            )
            command = RecordReceipt(provider, receipt, *place)
            due = self.clock.now() + ms
            self.reports.add(due)
            self.after(ms, lambda: self._hear(due, command))

    def _hear(self, due: int, command: RecordReceipt) -> None:
        self.reports.discard(due)
        self.engine.submit(command)

    async def _book(self, name: str, version: str) -> tuple[Policy, TemplateSet]:
        return self._policies[name, version], self._templates

    async def _policy(self, name: str, version: str) -> Policy:
        return self._policies[name, version]

    def _shut(self, now: int) -> Mapping[str, int]:
        return self.dispatcher.shut(now)

    def _observe(self, decided: Sequence[Decided], condition_errors: int) -> None:
        """Wake whoever has something to do now, and tell who watches."""
        now = self.clock.now()
        self.condition_errors += condition_errors
        due = [
            one.decision.message.due_at
            for one in decided
            if one.decision.message.due_at is not None
        ]
        for one in decided:
            self.dispatcher.notice(one)
            self._watch(one, now)
        if due:
            self.timers.poke(min(due))


def rules_for(configuration: Configuration, policies: Mapping[str, Policy]) -> Rules:
    """
    The rules of a configuration, with these policies in place of its own; nobody listens to status
    events.
    """
    rules = configuration.rules
    return Rules(
        policies=policies,
        governance=rules.governance,
        providers=rules.providers,
        channels=rules.channels,
        currency=rules.currency,
        limits=rules.limits,
    )


def breaker_of(settings: Settings) -> Breaker:
    """A breaker as the configuration wants it."""
    rules = settings.breaker
    if rules is None:
        return Breaker.never()
    return Breaker(rules.ratio, rules.min_requests, rules.window_ms, rules.open_for_ms)


def no_sender(provider: ActiveProvider) -> Sender:
    """Played providers send by themselves."""
    raise AssertionError(f"{provider.name} is played and has no sender")
