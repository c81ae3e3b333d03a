"""
Effects carried out: from the backlog to the provider, and its answer back as a fact.

    claim ─► render ─► token and slot in hand ─► Prepared ─► intent committed ─► call ─► Answered ─►
    slot given back

Two pumps a provider, one for codes and one for everything else, so that no code waits for what is
being done about others. What waits, waits in the store; a pump takes no more than it has slots for,
the most urgent first. The order matters: by the time the engine is asked, nothing stands between
its yes and the first byte, so no opt-out can slip in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from orchestrator.core.facts import Shut
from orchestrator.core.message import Message
from orchestrator.core.outcomes import Outcome
from orchestrator.core.policy import OTP, Policy
from orchestrator.core.reasons import Reason
from orchestrator.dispatch.outgoing import Outside, Ready
from orchestrator.dispatch.provider import HINTS_MAX, ProviderAtWork, ProviderQueue
from orchestrator.dispatch.rates import Rate, Token
from orchestrator.dispatch.recent_decisions import RecentDecisions
from orchestrator.dispatch.sends import Send, Sender, Sends
from orchestrator.engine.batch import Decided
from orchestrator.engine.commands import ApplyFact
from orchestrator.engine.engine import Engine, Stopped
from orchestrator.primitives.ids import random_bytes
from orchestrator.recipients.document import AddressHash, Person
from orchestrator.render import TemplateSet
from orchestrator.stores.port import URGENT, ReadyRow, Store, StoreBusy, Wanted

log = structlog.get_logger()

CLAIM_MAX = 64
SHUT_LOOK_SECONDS = 1.0
IDLE_LOOK_SECONDS = 5.0
LONG_PAUSE_SECONDS = 5.0
GATHER_TOKENS_SECONDS = 0.05
"""
Where a rate gives less than there is to send, tokens are let gather for so long: each look at the
backlog costs.
"""


Gathered = tuple[ReadyRow, Ready | None]
"""A row with what its send needs; None where there is nothing to send any more."""


@dataclass(slots=True)
class Whole:
    """
    A message, its event, its recipient, and documents of addresses, those of the recipient among
    them.
    """

    message: Message
    event: Mapping[str, Any]
    person: Person
    addresses: Mapping[str, Mapping[str, Any]]


class Dispatcher:
    """
    ``books`` gives the policy and templates of a name and version; ``now`` is UTC milliseconds,
    ``monotonic`` seconds.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        providers: Mapping[str, ProviderAtWork],
        sender_for: Callable[[ProviderAtWork], Sender],
        outside: Outside,
        books: Callable[[str, str], Awaitable[tuple[Policy, TemplateSet]]],
        address_hash: AddressHash,
        now: Callable[[], int],
        monotonic: Callable[[], float],
        entropy: Callable[[int], bytes] = random_bytes,
        answered: Callable[
            [ProviderAtWork, Outcome, float], None
        ] = lambda provider, outcome, seconds: None,
        idle_look_seconds: float = IDLE_LOOK_SECONDS,
    ) -> None:
        self.engine = engine
        self.store = store
        self.providers = providers
        self._sends = Sends(engine, sender_for, outside, now, monotonic, entropy, answered)
        self._books = books
        self._hash = address_hash
        self._now = now
        self._monotonic = monotonic
        self._idle_look_seconds = idle_look_seconds
        self._pumps: dict[str, list[asyncio.Task[None]]] = {}
        self._rates: dict[str, Rate] = {}
        self._lately = RecentDecisions(monotonic)
        self._retired: list[ProviderAtWork] = []
        self._stopping = False

    async def start(self) -> None:
        for provider in self.providers.values():
            await self._put_to_work(provider)

    async def _put_to_work(self, provider: ProviderAtWork) -> None:
        await provider.adapter.open()
        self._rates[provider.name] = Rate(provider.bucket, self._monotonic)
        self._pumps[provider.name] = [
            asyncio.create_task(self._pump(provider, line), name=f"pump:{provider.name}")
            for line in provider.lines
        ]

    async def stop(self, within_seconds: float) -> None:
        """Take nothing more from the backlog, and let what is under way finish."""
        self._stopping = True
        for provider in self.providers.values():
            provider.wake_all()
        await asyncio.gather(
            *(pump for pumps in self._pumps.values() for pump in pumps), return_exceptions=True
        )
        await self._sends.stop(within_seconds)
        for provider in (*self.providers.values(), *self._retired):
            await provider.adapter.close()

    async def replace(
        self, providers: Mapping[str, ProviderAtWork], unchanged: Callable[[ProviderAtWork], bool]
    ) -> None:
        """
        Take new providers into work and let go of old ones; those that are ``unchanged`` keep their
        connections, rate and breaker. What is being sent by an old one ends as it would have.
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
                self._retired.append(old)
        self.providers = {name: kept.get(name, new) for name, new in providers.items()}
        for name, new in self.providers.items():
            if name not in kept:
                await self._put_to_work(new)

    def poke(self, queue: str, urgent: bool = False) -> None:
        """Something new waits for this provider; ``urgent`` where it is a code."""
        provider = self.providers.get(queue)
        if provider is not None:
            (provider.otp if urgent else provider.others).wake.set()

    def notice(self, decided: Decided) -> None:
        """
        This process has just committed a decision: see to what of its message is ready. A code is
        sent by whoever has decided that it is ready, without asking the store for it or waiting for
        whom it falls to; should this process die, that one finds it.
        """
        message = decided.decision.message
        waiting = message.ready()
        if not waiting:
            self._lately.forget(message.id)
            return
        if self._pumps:
            self._lately.note(decided)
        for run in waiting:
            provider = self.providers.get(run.provider or "")
            if provider is None:
                continue
            if message.message_class == OTP:
                row = ReadyRow(
                    provider.name,
                    URGENT,
                    run.ready_since or 0,
                    message.id,
                    run.step,
                    message.recipient,
                )
                self._hint(provider, provider.otp, [row])
                provider.otp.wake.set()
            else:
                provider.others.wake.set()

    def _hint(
        self, provider: ProviderAtWork, line: ProviderQueue, rows: Sequence[ReadyRow]
    ) -> None:
        """
        Keep codes in mind that were not claimed, where that is of use and this process sends at
        all.
        """
        if line.urgent and self.store.shared and provider.name in self._pumps:
            line.hinted.extend(rows[: max(0, HINTS_MAX - len(line.hinted))])

    def poke_all(self) -> None:
        """Anything may wait for anybody."""
        for provider in self.providers.values():
            provider.wake_all()

    def shut(self, now: int) -> dict[str, int]:
        """The providers with an open breaker, and until when."""
        found = {
            name: provider.breaker.shut_until(now) for name, provider in self.providers.items()
        }
        return {name: until for name, until in found.items() if until is not None}

    @property
    def in_flight(self) -> int:
        return len(self._sends.under_way)

    # ---- the pump

    async def _pump(self, provider: ProviderAtWork, line: ProviderQueue) -> None:
        while not self._stopping:
            line.wake.clear()  # what comes while we look is looked at again
            try:
                pause = await self._turn(provider, line)
            except Stopped:
                return
            except StoreBusy as error:
                log.info("dispatch.store_busy", provider=provider.name, why=str(error))
                pause = SHUT_LOOK_SECONDS
            except Exception:
                log.exception("dispatch.pump_failed", provider=provider.name)
                pause = SHUT_LOOK_SECONDS
            if pause and not self._stopping:
                await self._rest(line, pause)

    async def _rest(self, line: ProviderQueue, seconds: float) -> None:
        try:
            await asyncio.wait_for(line.wake.wait(), seconds)
        except TimeoutError:
            return

    async def _turn(self, provider: ProviderAtWork, line: ProviderQueue) -> float:
        """Move as much as there are slots and tokens for; how long to rest then (0: not at all)."""
        shut = self._shut_fact(provider)
        if shut is not None:
            return await self._turn_away(provider, line, *shut)
        if not line.urgent:
            await self.engine.hurry.passed()
        admitted = provider.breaker.admits(self._now())
        if admitted == 0:
            return SHUT_LOOK_SECONDS
        held = provider.hold(
            line, min(CLAIM_MAX, admitted)
        )  # before anything is awaited: the other line holds some, too
        if held == 0:
            return self._idle_look_seconds
        sends: list[Send] = []
        try:
            rows = provider.take_hinted(line, held)
            rows = rows or await self.store.claim(provider.name, held, provider.taken, line.lanes)
            if not rows:
                return self._idle_look_seconds
            sends = await self._begin(provider, line, rows)
            self._hint(provider, line, rows[len(sends) :])
        finally:
            provider.release_cap(held - len(sends))
        rate = self._rates[provider.name]
        for send in sends:
            send.begin(rate)
        if len(sends) < len(rows) and provider.bucket is not None:
            least = 0.0 if line.urgent else GATHER_TOKENS_SECONDS
            await asyncio.sleep(max(rate.next_in(), least))
        return 0

    async def _begin(
        self, provider: ProviderAtWork, line: ProviderQueue, rows: Sequence[ReadyRow]
    ) -> list[Send]:
        """
        The sends of as many rows as there are tokens for; from here on their slots are theirs.
        """
        tokens, gathered = await (self._hurried if line.urgent else self._unhurried)(provider, rows)
        tokens = tokens[: provider.breaker.admits(self._now())]
        if not tokens:
            return []
        provider.breaker.probing(self._now())
        sends = list(zip(gathered, tokens, strict=False))
        provider.taken.update((row.message, row.step) for (row, _), _ in sends)
        return [
            Send(self._sends, provider, line, row, ready, token) for (row, ready), token in sends
        ]

    async def _hurried(
        self, provider: ProviderAtWork, rows: Sequence[ReadyRow]
    ) -> tuple[list[Token], list[Gathered]]:
        """Tokens for codes, and what their sends need, both asked for at once."""
        with self.engine.hurry:
            taking = self._rates[provider.name].take(len(rows), urgent=True)
            tokens, gathered = await asyncio.gather(taking, self._gather(provider, rows))
        return tokens, gathered

    async def _unhurried(
        self, provider: ProviderAtWork, rows: Sequence[ReadyRow]
    ) -> tuple[list[Token], list[Gathered]]:
        """Tokens, and what so many sends need: where a rate gives few, nothing is read in vain."""
        tokens = await self._rates[provider.name].take(len(rows), urgent=False)
        return tokens, await self._gather(provider, rows[: len(tokens)]) if tokens else []

    def _shut_fact(self, provider: ProviderAtWork) -> tuple[Reason, int] | None:
        """Whether what waits must be told not to wait here, and why."""
        now = self._now()
        until = provider.breaker.shut_until(now)
        if until is not None:
            return Reason.BREAKER_OPEN, until
        paused = provider.bucket.paused_for() if provider.bucket is not None else 0.0
        if paused > LONG_PAUSE_SECONDS:
            return Reason.THROTTLED, now + int(paused * 1000)
        return None

    async def _turn_away(
        self, provider: ProviderAtWork, line: ProviderQueue, reason: Reason, until: int
    ) -> float:
        """Tell what waits for a shut provider, so that the core finds it another way."""
        rows = await self.store.claim(provider.name, CLAIM_MAX, provider.taken, line.lanes)
        facts = [
            ApplyFact(row.message, Shut(row.step, provider.name, reason, until), line.urgent)
            for row in rows
        ]
        await self.engine.submit_many(facts)
        return SHUT_LOOK_SECONDS if len(rows) < CLAIM_MAX else 0

    async def _gather(self, provider: ProviderAtWork, rows: Sequence[ReadyRow]) -> list[Gathered]:
        """What a claim's messages need; None for a message that is gone, or whose step has left."""
        books: dict[tuple[str, str], tuple[Policy, TemplateSet]] = {}
        whole = await self._known(rows)
        gathered: list[Gathered] = []
        for row in rows:
            found = whole.get(row.message)
            if found is None or all([run.step != row.step for run in found.message.ready()]):
                gathered.append((row, None))
                continue
            key = (found.message.policy, found.message.policy_version)
            book = books.get(key)
            if book is None:
                book = books[key] = await self._books(*key)
            gathered.append((row, ready_of(provider, found, book, row.step)))
        return gathered

    async def _known(self, rows: Sequence[ReadyRow]) -> dict[str, Whole]:
        """
        The messages of a claim: those decided about a moment ago as they were then, the others from
        the store.
        """
        whole: dict[str, Whole] = {}
        unknown: list[ReadyRow] = []
        for row in rows:
            decided = self._lately.find(row.message)
            if decided is None:
                unknown.append(row)
            else:
                whole[row.message] = Whole(
                    decided.decision.message, decided.event, decided.person, decided.addresses
                )
        if unknown:
            whole.update(await self._load(unknown))
        return whole

    async def _load(self, rows: Sequence[ReadyRow]) -> dict[str, Whole]:
        """Messages, their people and those people's addresses, in two queries."""
        known = {row.recipient for row in rows if row.recipient}
        loaded = await self.store.load(
            Wanted(messages={row.message for row in rows}, recipients=known)
        )
        people = {row.message.recipient for row in loaded.messages.values()}
        persons = {id: Person(id, loaded.recipients.get(id), self._hash) for id in people}
        hashes = {address.hash for person in persons.values() for address in person.addresses}
        addresses = await self.store.addresses(hashes)
        return {
            id: Whole(row.message, row.event, persons[row.message.recipient], addresses)
            for id, row in loaded.messages.items()
        }


def ready_of(
    provider: ProviderAtWork, found: Whole, book: tuple[Policy, TemplateSet], step: int
) -> Ready:
    """A step with what its provider can use of its recipient's addresses."""
    policy, templates = book
    channel = policy.plan[step].channel
    targets = tuple(
        [address for address in found.person.addresses if address.kind in provider.facts.kinds]
    )
    heard = [
        found.addresses.get(address.hash, {}).get("inbound", {}).get(channel) for address in targets
    ]
    inbound_at = max([at for at in heard if at is not None], default=None)
    return Ready(
        found.message, found.event, found.person, policy, templates, step, targets, inbound_at
    )
