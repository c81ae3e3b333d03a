"""
Carries out what was decided: from the backlog to the provider, and its answer back as a fact.

    claim ─► render ─► token and slot taken ─► Prepared ─► intent committed ─► call ─► Answered ─►
    slot released

A provider has two pumps, one for OTPs and one for everything else, so that no OTP waits for other
messages. Waiting rows stay in the store: a pump claims no more than it has slots for, the most
urgent first. Token and slot come before the intent: once the engine has said yes, nothing delays
the first byte, so no opt-out can slip in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress

import structlog

from orchestrator.core.effects import Effect, ShutProvider
from orchestrator.core.facts import ReceiptReceived, Shut
from orchestrator.core.message import Run
from orchestrator.core.policy import Policy
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.loading import Loader, loaded, ready_step, row_of
from orchestrator.dispatch.outgoing import PublicUrls, ReadyStep
from orchestrator.dispatch.provider import HINTS_MAX, ActiveProvider, ProviderQueue, slots_now
from orchestrator.dispatch.rates import Rate, Token
from orchestrator.dispatch.recent_decisions import RecentDecisions
from orchestrator.dispatch.running import OnAnswer, Sender, Sends, SendTracing
from orchestrator.dispatch.sends import Send
from orchestrator.engine.batch import Decided
from orchestrator.engine.commands import ApplyFact
from orchestrator.engine.engine import Engine, Stopped
from orchestrator.engine.failing import delay_seconds
from orchestrator.primitives.ids import random_bytes
from orchestrator.primitives.waiting import set_within
from orchestrator.recipients.document import AddressHash
from orchestrator.render import TemplateSet, Unrenderable
from orchestrator.stores.port import Store, StoreBusy
from orchestrator.stores.rows import ReadyRow, StepKey

log = structlog.get_logger()

CLAIM_MAX = 64
SHUT_LOOK_SECONDS = 1.0
IDLE_LOOK_SECONDS = 5.0
LONG_PAUSE_SECONDS = 5.0
RESTING_LOOK_SECONDS = 1.0
"""How soon a pump looks again if rows of it rest after a failure."""
GATHER_TOKENS_SECONDS = 0.05
"""A pump that ran out of tokens lets some gather before its next claim: each claim costs."""

Gathered = tuple[ReadyRow, ReadyStep | Unrenderable | None]
"""A row with what its send needs, or why it cannot be sent; None if nothing is left to send."""


class Dispatcher:
    """
    ``policies`` gives the policy and templates of a name and version. ``now`` is UTC milliseconds,
    ``monotonic`` seconds. ``on_answer`` is called after each provider call.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        providers: Mapping[str, ActiveProvider],
        sender_for: Callable[[ActiveProvider], Sender],
        urls: PublicUrls,
        policies: Callable[[str, str], Awaitable[tuple[Policy, TemplateSet]]],
        address_hash: AddressHash,
        now: Callable[[], int],
        monotonic: Callable[[], float],
        entropy: Callable[[int], bytes] = random_bytes,
        on_answer: OnAnswer = lambda provider, rule, outcome, seconds, trace_id: None,
        tracing: SendTracing | None = None,
        idle_look_seconds: float = IDLE_LOOK_SECONDS,
    ) -> None:
        self.engine = engine
        self.store = store
        self.providers = providers
        self._sends = Sends(engine, sender_for, urls, now, monotonic, entropy, on_answer, tracing)
        self._policies = policies
        self._now = now
        self._monotonic = monotonic
        self._idle_look_seconds = idle_look_seconds
        self._pumps: dict[str, list[asyncio.Task[None]]] = {}
        self._rates: dict[str, Rate] = {}
        self._recent = RecentDecisions(monotonic)
        self._loader = Loader(store, self._recent, address_hash, self._sends.failing)
        self.retired: dict[str, ActiveProvider] = {}
        self.replaced: list[ActiveProvider] = []
        self._versions: dict[tuple[str, str], tuple[Policy, TemplateSet]] = {}
        self._stopping = False

    async def start(self) -> None:
        for provider in self.providers.values():
            await self._start_pumps(provider)

    async def _start_pumps(self, provider: ActiveProvider) -> None:
        await provider.adapter.open()
        self._sends.log_in(provider)
        self._rates[provider.name] = Rate(provider.bucket, self._monotonic)
        self._pumps[provider.name] = [
            asyncio.create_task(self._pump(provider, queue), name=f"pump:{provider.name}")
            for queue in provider.queues
        ]

    async def stop(self, within_seconds: float) -> None:
        """Claim nothing more, and let running sends finish."""
        self._stopping = True
        for provider in self.providers.values():
            provider.wake_all()
        await asyncio.gather(
            *(pump for pumps in self._pumps.values() for pump in pumps), return_exceptions=True
        )
        await self._sends.stop(within_seconds)
        for provider in (*self.providers.values(), *self.replaced):
            await provider.adapter.close()

    async def replace(
        self, providers: Mapping[str, ActiveProvider], unchanged: Callable[[ActiveProvider], bool]
    ) -> None:
        """
        Start new providers and retire old ones. Those that are ``unchanged`` keep their
        connections, rate and breaker; running sends of a retired one end as usual.
        """
        kept = {
            name: old
            for name, old in self.providers.items()
            if name in providers and unchanged(old)
        }
        for name, old in self.providers.items():
            if name not in kept:
                for pump in self._pumps.pop(name):
                    pump.cancel()
                self.replaced.append(old)
        self._versions.clear()  # it fills with what is in flight
        self.use({name: kept.get(name, new) for name, new in providers.items()})
        for name, new in self.providers.items():
            if name not in kept:
                await self._start_pumps(new)

    def use(self, providers: Mapping[str, ActiveProvider]) -> None:
        """
        Take other providers into use. One that is gone stays in ``retired``, and its receipts are
        taken, until ``forget`` is told that none of its attempts is open.
        """
        known = {**self.retired, **self.providers}
        self.retired = {name: one for name, one in known.items() if name not in providers}
        self.providers = providers

    def forget(self, retired: Collection[str]) -> None:
        """Take no more receipts of these."""
        self.retired = {name: one for name, one in self.retired.items() if name not in retired}

    def poke(self, queue: str, urgent: bool = False) -> None:
        """Wake the pump of a provider that has a new row; ``urgent`` for an OTP."""
        provider = self.providers.get(queue)
        if provider is not None:
            waiting = provider.otp if urgent else provider.others
            waiting.drained = False
            waiting.wake.set()

    def notice(self, decided: Decided) -> None:
        """
        Wake the pumps for what a committed decision left ready. The process that made an OTP ready
        sends it without claiming it; should it die, the process that the row falls to claims it.
        """
        message = decided.decision.message
        if isinstance(decided.fact, ReceiptReceived):
            self._carry_out(decided.decision.effects)
        waiting = message.ready()
        if not waiting:
            self._recent.forget(message.id)
            return
        if self._pumps:
            self._recent.note(decided)
        for run in waiting:
            provider = self.providers.get(run.provider or "")
            if provider is None:
                continue
            queue = provider.queue_of(message)
            if queue.urgent:
                self._hint(provider, queue, [row_of(message, run)])
            queue.drained = False
            queue.wake.set()

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        """Shut providers of which a receipt says what an answer would have shut them for."""
        for effect in effects:
            provider = self.providers.get(getattr(effect, "provider", ""))
            if isinstance(effect, ShutProvider) and provider is not None:
                provider.refuses_us(effect.code, self._now())

    def express(self, decided: Decided, run: Run) -> Send | None:
        """
        Prepare a step that its batch has just made ready to leave with that batch; None if it has
        to wait in the backlog. Never overtakes what waits there already.
        """
        message = decided.decision.message
        provider = self.providers.get(run.provider or "")
        if provider is None:
            return None
        provider.wanted_at = self._monotonic()
        version = self._versions.get((message.policy, message.policy_version))
        if version is None or self._stopping or run.tries or message.joined:
            return None
        queue, rate = provider.queue_of(message), self._rates.get(provider.name)
        waits = not queue.urgent and self.engine.otp_priority.in_progress
        if rate is None or waits or not queue.drained or not provider.breaker.closed:
            return None
        ready = ready_step(provider, loaded(decided), *version, run.step)
        if len(ready.targets) != 1 or not provider.acquire(queue, 1):
            return None
        token = rate.take_now(queue.urgent)
        if token is not None:
            with suppress(Exception):  # whatever fails is reported from the backlog
                row = row_of(message, run)
                return Send.at_once(self._sends, provider, queue, row, ready, token)
        provider.release(1)
        return None

    def slots(self) -> int | None:
        """How many steps could leave at once; None if none came lately."""
        return slots_now(self.providers.values(), self._monotonic())

    def _hint(
        self, provider: ActiveProvider, queue: ProviderQueue, rows: Sequence[ReadyRow]
    ) -> None:
        """Keep rows of OTPs that need no claim, if the store is shared and this process sends."""
        if queue.urgent and self.store.shared and provider.name in self._pumps:
            queue.hinted.extend(rows[: max(0, HINTS_MAX - len(queue.hinted))])

    def poke_all(self) -> None:
        """Wake every pump."""
        for provider in self.providers.values():
            provider.wake_all()

    def shut(self, now: int) -> dict[str, int]:
        """The providers with an open breaker, and until when (UTC milliseconds)."""
        found = {
            name: provider.breaker.shut_until(now) for name, provider in self.providers.items()
        }
        return {name: until for name, until in found.items() if until is not None}

    @property
    def in_flight(self) -> int:
        return len(self._sends.running)

    # ---- the pump

    async def _pump(self, provider: ActiveProvider, queue: ProviderQueue) -> None:
        failures = 0
        while not self._stopping:
            queue.wake.clear()  # before the claim: a row written during it wakes the pump again
            try:
                pause = await self._turn(provider, queue)
                failures = 0
            except Stopped:
                return
            except StoreBusy as error:
                log.info("dispatch.store_busy", provider=provider.name, why=str(error))
                pause = SHUT_LOOK_SECONDS
            except Exception:
                log.exception("dispatch.pump_failed", provider=provider.name)
                failures += 1
                pause = delay_seconds(failures, provider.name)
                queue.wake.clear()  # more rows are no reason to try sooner
            if pause and not self._stopping:
                await self._rest(queue, pause)
            else:
                await asyncio.sleep(0)  # a turn on an embedded store may wait for nothing at all

    async def _rest(self, queue: ProviderQueue, seconds: float) -> None:
        await set_within(queue.wake, seconds)

    async def _turn(self, provider: ActiveProvider, queue: ProviderQueue) -> float:
        """Send what there are slots and tokens for. Returns the seconds to rest afterwards."""
        pause = self._long_pause(provider)
        if pause is not None:
            return await self._turn_away(provider, queue, *pause)
        if not queue.urgent:
            await self.engine.otp_priority.give_way()
        admitted = provider.breaker.admits(self._now())
        if admitted == 0:
            return SHUT_LOOK_SECONDS
        # before anything is awaited: the other queue takes slots, too
        held = provider.acquire(queue, min(CLAIM_MAX, admitted))
        if held == 0:
            return self._idle_look_seconds
        resting = self._sends.failing.resting()
        sends: list[Send] = []
        try:
            rows = provider.take_hinted(queue, held, resting)
            rows = rows or await self._claim(provider, queue, held, resting)
            if not rows:
                return min(self._idle_look_seconds, RESTING_LOOK_SECONDS if resting else 3600)
            sends = await self._begin(provider, queue, rows)
            self._hint(provider, queue, rows[len(sends) :])
        finally:
            provider.release(held - len(sends))
        rate = self._rates[provider.name]
        for send in sends:
            send.begin(rate)
        if len(sends) < len(rows) and provider.bucket is not None:
            least = 0.0 if queue.urgent else GATHER_TOKENS_SECONDS
            await asyncio.sleep(max(rate.next_in(), least))
        if self._sends.failing.full:
            await asyncio.sleep(SHUT_LOOK_SECONDS)
        return 0

    async def _claim(
        self, provider: ActiveProvider, queue: ProviderQueue, most: int, resting: set[StepKey]
    ) -> list[ReadyRow]:
        queue.drained = True  # unless a row comes during the claim, or there are more
        left_out = provider.taken | resting
        rows = await self.store.claim(provider.name, most, left_out, queue.lanes)
        queue.drained = queue.drained and len(rows) < most
        return rows

    async def _begin(
        self, provider: ActiveProvider, queue: ProviderQueue, rows: Sequence[ReadyRow]
    ) -> list[Send]:
        """The sends of as many rows as there are tokens for; each owns its slot from here on."""
        prepare = self._prepare_otp if queue.urgent else self._prepare_others
        tokens, gathered = await prepare(provider, rows)
        tokens = tokens[: provider.breaker.admits(self._now())]
        if not tokens:
            return []
        provider.breaker.probing(self._now())
        sends = list(zip(gathered, tokens, strict=False))
        provider.taken.update((row.message, row.step) for (row, _), _ in sends)
        return [
            Send(self._sends, provider, queue, row, ready, token) for (row, ready), token in sends
        ]

    async def _prepare_otp(
        self, provider: ActiveProvider, rows: Sequence[ReadyRow]
    ) -> tuple[list[Token], list[Gathered]]:
        """Tokens for OTPs and what their sends need, loaded at the same time."""
        with self.engine.otp_priority:
            taking = self._rates[provider.name].take(len(rows), urgent=True)
            tokens, gathered = await asyncio.gather(taking, self._gather(provider, rows))
        return tokens, gathered

    async def _prepare_others(
        self, provider: ActiveProvider, rows: Sequence[ReadyRow]
    ) -> tuple[list[Token], list[Gathered]]:
        """Tokens first, then what that many sends need: nothing is loaded in vain."""
        tokens = await self._rates[provider.name].take(len(rows), urgent=False)
        return tokens, await self._gather(provider, rows[: len(tokens)]) if tokens else []

    def _long_pause(self, provider: ActiveProvider) -> tuple[Reason, int] | None:
        """The reason and end of a pause that is too long to wait for; None if there is none."""
        now = self._now()
        until = provider.breaker.shut_until(now)
        if until is not None:
            return Reason.BREAKER_OPEN, until
        paused = provider.bucket.paused_for() if provider.bucket is not None else 0.0
        if paused > LONG_PAUSE_SECONDS:
            return Reason.THROTTLED, now + int(paused * 1000)
        return None

    async def _turn_away(
        self, provider: ActiveProvider, queue: ProviderQueue, reason: Reason, until: int
    ) -> float:
        """Report the shut provider for each waiting row; the core then decides anew."""
        rows = await self.store.claim(provider.name, CLAIM_MAX, provider.taken, queue.lanes)
        facts = [
            ApplyFact(row.message, Shut(row.step, provider.name, reason, until), queue.urgent)
            for row in rows
        ]
        results = await self.engine.submit_many(facts)
        failed = any(isinstance(result, BaseException) for result in results)
        return SHUT_LOOK_SECONDS if len(rows) < CLAIM_MAX or failed else 0

    async def _gather(self, provider: ActiveProvider, rows: Sequence[ReadyRow]) -> list[Gathered]:
        """The data for the sends of a claim; None if the message is gone or its step was sent."""
        found_by_id = await self._loader.messages(rows)
        gathered: list[Gathered] = []
        for row in rows:
            found = found_by_id.get(row.message)
            if found is None or all([run.step != row.step for run in found.message.ready()]):
                gathered.append((row, None))
                continue
            key = (found.message.policy, found.message.policy_version)
            try:
                if key not in self._versions:
                    self._versions[key] = await self._policies(*key)
                gathered.append((row, ready_step(provider, found, *self._versions[key], row.step)))
            except StoreBusy:
                raise
            except Exception as error:
                log.exception("dispatch.step_unreadable", provider=provider.name, policy=key[0])
                what = f"{type(error).__name__} while its policy and templates were read"
                gathered.append((row, Unrenderable(Reason.TEMPLATE_ERROR, what, key[0])))
        return gathered
