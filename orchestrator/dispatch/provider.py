"""A configured provider in this process: its adapter, rate, connection slots and breaker."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import structlog

from orchestrator.channels import Adapter, LoginAdapter
from orchestrator.core.inputs import Provider
from orchestrator.core.message import Message
from orchestrator.core.outcomes import NotSent, Outcome, Refused
from orchestrator.core.policy import OTP
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address
from orchestrator.core.values import replace
from orchestrator.dispatch.answers import (
    PAUSE_MAX_SECONDS,
    THROTTLES_IN_A_ROW,
    AnswerRule,
    OnBreaker,
    OnBucket,
    rule_for,
)
from orchestrator.dispatch.breakers import Breaker
from orchestrator.dispatch.hosts import HostBreakers
from orchestrator.dispatch.login import Login
from orchestrator.dispatch.suspicions import Suspicions
from orchestrator.stores.rates import Bucket
from orchestrator.stores.rows import ALL_LANES, URGENT, ReadyRow

log = structlog.get_logger()

HINTS_MAX = 1_000
"""Rows of OTPs kept without being claimed; further ones are claimed by the process they fall to."""
WANTED_SECONDS = 1.0
OTP_SHARE = 8
"""One slot in so many is reserved for OTPs, and at least one of two."""


@dataclass(slots=True)
class Cost:
    """The price of one message, or of one part of it, in the installation's currency."""

    amount: Decimal
    per: str = "message"

    def of(self, parts: int | None) -> str:
        """The price of one message in ``parts`` parts, as a decimal string."""
        return str(self.amount * (parts or 1) if self.per == "part" else self.amount)


@dataclass(slots=True)
class ProviderQueue:
    """
    One of the two queues of a provider: OTPs, or everything else. ``lanes`` are its first and last
    lane of the backlog; ``wake`` is set when there may be rows to claim; ``starved`` is True if it
    asked for slots and got none; ``drained`` if its last claim took all that waited and no row has
    come since: a step that leaves at once then overtakes nothing. ``hinted`` are rows that this
    process has just written and sends without claiming them.
    """

    urgent: bool
    lanes: tuple[int, int]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    starved: bool = False
    drained: bool = False
    hinted: deque[ReadyRow] = field(default_factory=deque)


@dataclass(slots=True)
class ActiveProvider:
    """
    ``definition`` is the provider as decisions see it. ``free`` counts connection slots; ``taken``
    are the ``(message, step)`` pairs of its backlog that are being sent. The two queues are served
    side by side and the last slots are for OTPs only, so that no OTP waits for other messages.
    """

    definition: Provider
    adapter: Adapter[Any]
    bucket: Bucket | None
    breaker: Breaker
    slots: int
    cost: Cost | None = None
    free: int = 0
    wanted_at: float = float("-inf")
    """When a step asked last to leave at once (monotonic seconds)."""
    taken: set[tuple[str, int]] = field(default_factory=set)
    otp: ProviderQueue = field(default_factory=lambda: ProviderQueue(True, (URGENT, URGENT)))
    others: ProviderQueue = field(
        default_factory=lambda: ProviderQueue(False, (URGENT + 1, ALL_LANES[1]))
    )
    throttled_in_a_row: int = 0
    suspicions: Suspicions = field(default_factory=Suspicions)
    hosts: HostBreakers = field(init=False)
    login: Login | None = field(init=False)

    def __post_init__(self) -> None:
        self.free = self.slots
        self.hosts = HostBreakers(self.breaker.like)
        adapter = self.adapter
        self.login = Login(adapter) if isinstance(adapter, LoginAdapter) else None

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def queues(self) -> tuple[ProviderQueue, ProviderQueue]:
        return self.otp, self.others

    def queue_of(self, message: Message) -> ProviderQueue:
        """The queue in which a message waits."""
        return self.otp if message.message_class == OTP else self.others

    @property
    def reserved(self) -> int:
        """The number of slots that are for OTPs only."""
        return min(self.slots - 1, max(1, self.slots // OTP_SHARE))

    def take_hinted(
        self, queue: ProviderQueue, most: int, resting: Collection[tuple[str, int]] = ()
    ) -> list[ReadyRow]:
        """Rows that need no claim; those that are being sent already, or rest, stay for later."""
        left_out = self.taken.union(resting)
        rows = [row for row in queue.hinted if (row.message, row.step) not in left_out][:most]
        for row in rows:
            queue.hinted.remove(row)
        return rows

    def room(self, queue: ProviderQueue) -> int:
        """The number of slots that a queue may take now."""
        return self.free if queue.urgent else self.free - self.reserved

    def wake_all(self) -> None:
        for queue in self.queues:
            queue.wake.set()

    def acquire(self, queue: ProviderQueue, most: int) -> int:
        """Take up to ``most`` slots and return how many; a queue that got none is woken later."""
        acquired = max(0, min(self.room(queue), most))
        self.free -= acquired
        queue.starved = acquired == 0
        return acquired

    def release(self, slots: int) -> None:
        """Free slots again, and wake a queue that waits for one."""
        self.free += slots
        for queue in self.queues:
            if queue.starved and self.room(queue) > 0:
                queue.starved = False
                queue.wake.set()

    def judge(self, outcome: Outcome, recipient: str, address: Address) -> Outcome:
        """
        The outcome as it counts. A personal refusal is the recipient's, unless several recipients
        in a row show that it is our configuration's; a personal failure then counts against the
        provider.
        """
        _, at, domain = address.value.rpartition("@")
        group = domain if at else recipient
        if self.suspicions.ours(outcome, recipient, group):
            if isinstance(outcome, Refused):
                return Refused(Reason.REFUSED_CONFIGURATION, outcome.code, outcome.detail)
            return replace(outcome, personal=False)
        if isinstance(outcome, Refused) and outcome.reason is Reason.REFUSED_CONFIGURATION:
            return (
                replace(outcome, reason=Reason.REFUSED_RECIPIENT) if outcome.personal else outcome
            )
        return outcome

    def refuses_us(self, code: str | None, now: int) -> None:
        """An answer or a receipt refuses our configuration: open the breaker, and say so."""
        self.breaker.record(OnBreaker.OPENS, now)
        log.error("provider.configuration_refused", provider=self.name, code=code)

    async def apply(self, outcome: Outcome, now: int, host: str | None = None) -> AnswerRule:
        """
        Apply what an answer says about the provider, and return its row of the table. ``host`` is
        the one that answered if a user supplied it: failures and throttling are its own.
        """
        rule = rule_for(outcome)
        personal = getattr(outcome, "personal", False)
        effect = OnBreaker.IGNORED if personal else rule.breaker
        if host is not None and rule.breaker is not OnBreaker.OPENS:
            if not personal:
                self.hosts.of(host).record(rule.breaker, now)
            if effect is not OnBreaker.SUCCESS:
                effect = OnBreaker.IGNORED
        if effect is OnBreaker.OPENS:
            self.refuses_us(getattr(outcome, "code", None), now)
        else:
            self.breaker.record(effect, now)
        if host is not None and rule.bucket is OnBucket.THROTTLED:
            return rule
        if rule.bucket is OnBucket.RESET:
            self.throttled_in_a_row = 0
        elif rule.bucket is OnBucket.THROTTLED and isinstance(outcome, NotSent):
            self.throttled_in_a_row += 1
            if self.bucket is not None and self.throttled_in_a_row >= THROTTLES_IN_A_ROW:
                seconds = (outcome.retry_after_ms or 1_000) / 1000
                await self.bucket.pause(min(seconds, PAUSE_MAX_SECONDS))
        return rule


def slots_now(providers: Iterable[ActiveProvider], now: float) -> int | None:
    """
    How many steps, of no OTPs, could leave at once, by the fullest of the providers that steps were
    for in the last second; None if there were none. ``now`` is in monotonic seconds.
    """
    found = [
        max(0, one.room(one.others)) if one.others.drained and one.breaker.closed else 0
        for one in providers
        if one.wanted_at > now - WANTED_SECONDS
    ]
    return min(found, default=None)
