"""
The engine, the dispatcher and the timers of one process, wired to each other.

The service, the fault simulator, ``FullRunner`` and the tests of the engine all construct a
``Runtime``. They differ only in the ``Edges`` they hand in, so what is tested is what runs. A new
port of the engine or the dispatcher is wired here and nowhere else.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from orchestrator.configuration.loading import PolicyVersion
from orchestrator.configuration.settings import ReceiptOutage
from orchestrator.core.journey.journey import Journey
from orchestrator.core.message import Message
from orchestrator.core.outcomes import Outcome
from orchestrator.core.policy import OTP, Policy
from orchestrator.dispatch.answers import AnswerRule
from orchestrator.dispatch.dispatcher import IDLE_LOOK_SECONDS, Dispatcher
from orchestrator.dispatch.outage import DAY_MINUTES, OutageDetector
from orchestrator.dispatch.outgoing import PublicUrls
from orchestrator.dispatch.provider import ActiveProvider
from orchestrator.dispatch.running import Sender
from orchestrator.engine.batch import Decided, JourneyDecided, Observe, View
from orchestrator.engine.engine import Engine, Ports
from orchestrator.engine.journeys import no_journey
from orchestrator.engine.open_attempts import open_attempts
from orchestrator.engine.reexamination import Reexamination
from orchestrator.engine.rules import Evaluate, Rules
from orchestrator.engine.timers import LONGEST_SLEEP_SECONDS, Timers
from orchestrator.primitives.clock import Clock
from orchestrator.primitives.ids import random_bytes
from orchestrator.recipients.document import AddressHash
from orchestrator.stores.port import URGENT_WORD, Store
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.tracing import Tracing

log = structlog.get_logger()

RECENT_MINUTES = 30
"""How far back receipt counts are shared while the process runs; a start reads a whole day."""


def no_sender(provider: ActiveProvider) -> Sender:
    """For a runtime whose adapters send by themselves."""
    raise AssertionError(f"{provider.name} is scripted and has no sender")


def ignore(decided: Sequence[Decided], condition_errors: Mapping[str, int]) -> None:
    """The observer of a runtime that has none."""


@dataclass(slots=True, kw_only=True)
class Edges:
    """
    What a runtime is given of the world around it.

    ``policy_version`` finds a policy and its templates by name and version, ``journey_version`` a
    journey; ``urls`` holds the
    public address and the signing keys; ``observe`` is called after each committed batch; without
    ``tracing`` there are no traces. The two ``…_look_seconds`` are how long timers and provider
    queues sleep when nothing wakes them.
    """

    clock: Clock
    store: Store
    metrics: Metrics
    policy_version: Callable[[str, str], Awaitable[PolicyVersion]]
    journey_version: Callable[[str, str], Awaitable[Journey]] = no_journey
    address_hash: AddressHash
    urls: PublicUrls
    evaluate: Evaluate
    view: View
    new_id: Callable[[], str]
    entropy: Callable[[int], bytes] = random_bytes
    sender_for: Callable[[ActiveProvider], Sender] = no_sender
    observe: Observe = ignore
    tracing: Tracing | None = None
    receipt_outage: ReceiptOutage = field(default_factory=ReceiptOutage)
    timers_look_seconds: float = LONGEST_SLEEP_SECONDS
    queues_look_seconds: float = IDLE_LOOK_SECONDS


class Runtime:
    """
    ``providers`` may be empty in a process that only takes commands. The engine starts first and
    stops last; ``works`` is true while the dispatcher and the timers run.
    """

    def __init__(
        self, edges: Edges, rules: Rules, providers: Mapping[str, ActiveProvider] | None = None
    ) -> None:
        self.edges = edges
        self.works = False
        self.receipt_outage = edges.receipt_outage
        self.outages = OutageDetector(self.receipt_outage.min_sends, self.receipt_outage.ratio)
        clock, store, metrics = edges.clock, edges.store, edges.metrics
        if edges.tracing is not None:
            metrics.trace_id = edges.tracing.trace_id
        self.engine = Engine(
            store,
            rules,
            Ports(
                now=clock.now,
                monotonic=clock.monotonic,
                new_id=edges.new_id,
                evaluate=edges.evaluate,
                address_hash=edges.address_hash,
                view=edges.view,
                policy=self._policy,
                journey=edges.journey_version,
                shut=lambda now: self.dispatcher.shut(now),  # noqa: PLW0108 - it is made below
                outages=self._outages,
                observe=self._observe,
                observe_journeys=self._observe_journeys,
                committed=metrics.batch_committed,
                express=lambda *step: self.dispatcher.express(*step),  # noqa: PLW0108 - as above
                slots=lambda: self.dispatcher.slots(),  # noqa: PLW0108 - as above
                dead_lettered=lambda reason: metrics.dead_letters.labels(reason).inc(),
            ),
        )
        self.dispatcher = Dispatcher(
            self.engine,
            store,
            providers or {},
            sender_for=edges.sender_for,
            urls=edges.urls,
            policies=edges.policy_version,
            address_hash=edges.address_hash,
            now=clock.now,
            monotonic=clock.monotonic,
            entropy=edges.entropy,
            on_answer=self._on_answer,
            tracing=edges.tracing,
            idle_look_seconds=edges.queues_look_seconds,
        )
        self.reexamination = Reexamination(self.engine, store, clock.monotonic)
        self.timers = Timers(
            self.engine, store, clock, metrics.timer_fired, edges.timers_look_seconds
        )

    # ---- starting and stopping

    async def start(self, *, works: bool = True) -> None:
        """Start the engine and, if this process ``works``, whatever serves the store's backlog."""
        await self.engine.start()
        if works:
            await self.start_work()

    async def start_work(self) -> None:
        """Send what is ready and fire what is due; the engine is running already."""
        await self.dispatcher.start()
        await self.timers.start()
        self.reexamination.start()
        self.works = True

    async def stop_work(self, within_seconds: float) -> None:
        """Fire and claim nothing more; calls under way have ``within_seconds`` to end."""
        self.works = False
        await self.reexamination.stop()
        await asyncio.gather(self.timers.stop(), self.dispatcher.stop(within_seconds))

    async def replace(
        self,
        rules: Rules,
        providers: Mapping[str, ActiveProvider],
        unchanged: Callable[[ActiveProvider], bool],
        receipt_outage: ReceiptOutage,
    ) -> None:
        """Take another configuration into use; ``unchanged`` providers keep their connections."""
        before = self.engine.rules
        self.engine.rules = dataclasses.replace(
            rules, former_goals=before.goals, former_journey_events=before.journey_events
        )
        self.receipt_outage = receipt_outage
        if self.works:
            await self.dispatcher.replace(providers, unchanged)
            self.reexamination.ask()
        else:
            self.dispatcher.use(providers)

    async def left_open(self, rest: Callable[[], float] = lambda: 0.0) -> dict[str, int]:
        """
        The open attempts of each provider that the configuration no longer has, and say so in the
        log. A retired one that has none takes no more receipts. Raises ``StoreBusy``.
        """
        retired = list(self.dispatcher.retired)
        counts = await open_attempts(self.edges.store, rest)
        known = self.engine.rules.known_names
        left = {name: count for name, count in sorted(counts.items()) if name not in known}
        self.dispatcher.forget([name for name in retired if name not in left])
        for name, count in left.items():
            taken = name in self.dispatcher.retired
            log.warning(
                "providers.attempts_left_open",
                provider=name,
                open_attempts=count,
                receipts="taken until they end or the service restarts" if taken else "refused",
                fix=f"write aliases: [{name}] in the provider that it has become",
            )
        return left

    async def let_go(self) -> None:
        """Close the replaced adapters that send nothing and take no receipts any more."""
        dispatcher = self.dispatcher
        for one in list(dispatcher.replaced):
            if one.free == one.slots and dispatcher.retired.get(one.name) is not one:
                kept = [other for other in dispatcher.replaced if other is not one]
                dispatcher.replaced = kept
                await one.adapter.close()

    # ---- between the parts

    def wake(self, what: str) -> None:
        """
        Another process left work for this one: ``timers``, ``members``, ``pauses`` or a provider's
        name.
        """
        if what == "pauses":
            self.reexamination.ask()
            return
        if what in ("timers", "members"):
            now = self.edges.clock.now()
            self.timers.poke(now)
            self.timers.poke(now, urgent=True)
        if what == "members":
            self.dispatcher.poke_all()
        else:
            self.dispatcher.poke(what.removeprefix(URGENT_WORD), what.startswith(URGENT_WORD))

    async def share_receipt_counts(self, minutes: int = DAY_MINUTES) -> None:
        """Store what this process counted of sends and deliveries, and read what all counted."""
        deltas, store = self.outages.take_deltas(), self.edges.store
        try:
            if deltas:
                await store.count_receipts(deltas)
            if store.shared or minutes > RECENT_MINUTES:
                since = self.edges.clock.now() // 60_000 - minutes
                self.outages.set_totals(await store.receipt_counts(since))
        except BaseException:
            self.outages.restore_deltas(deltas)
            raise

    def _observe(self, decided: Sequence[Decided], condition_errors: Mapping[str, int]) -> None:
        """Wake the loops that have work now, and count."""
        now = self.edges.clock.now()
        due: dict[bool, int] = {}
        for one in decided:
            if one.decision.message.attempts:
                self.outages.learn(one.before, one.decision.message, now)
        # of several decisions about a message, the last one says what waits
        for one in {one.decision.message.id: one for one in decided}.values():
            message: Message = one.decision.message
            self.dispatcher.notice(one)
            if message.due_at is not None:
                urgent = message.message_class == OTP
                due[urgent] = min(message.due_at, due.get(urgent, message.due_at))
        self.edges.metrics.decided(decided, condition_errors)
        if self.edges.tracing is not None:
            self.edges.tracing.observe(decided)
        for urgent, at in due.items():
            self.timers.poke(at, urgent)
        self.edges.observe(decided, condition_errors)

    def _observe_journeys(self, decided: Sequence[JourneyDecided]) -> None:
        """Wake the timers if a journey waits for less long than they sleep, and count."""
        runs = {one.decision.run.id: one.decision.run for one in decided}
        due = [run.due_at for run in runs.values() if run.due_at is not None]
        if due:
            self.timers.poke(min(due))
        self.edges.metrics.journeys_decided(decided)

    def _outages(self, now: int) -> tuple[str, ...]:
        return self.outages.outages(now) if self.receipt_outage.hold else ()

    async def _policy(self, name: str, version: str) -> Policy:
        return (await self.edges.policy_version(name, version))[0]

    def _on_answer(
        self,
        provider: ActiveProvider,
        rule: AnswerRule,
        outcome: Outcome,
        seconds: float,
        trace_id: str | None,
    ) -> None:
        channel, metrics = provider.definition.channel, self.edges.metrics
        metrics.answered(channel, provider.name, outcome, rule.counters, seconds, trace_id)
