"""
How providers and people behave, as shares and lags, and the reaction to one message drawn from it.

A message's draws depend on the seed, the run, the event, the recipient and the address, never on
the order of calls. Two versions of a policy therefore meet the same people: who reads Viber under
one reads it under the other, so all differences come from the policies (common random numbers).
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from statistics import NormalDist

from orchestrator.channels import (
    Accepted,
    Assumed,
    Delivery,
    Engagement,
    Likelihood,
    NotSent,
    Outcome,
    Reason,
    Refused,
    Unknown,
)
from orchestrator.channels.registry import channels
from orchestrator.simulate.hours import Hours
from orchestrator.simulate.outcomes import MessageOutcome, OutcomeKey
from orchestrator.simulate.tendencies import Spread, Tendency
from orchestrator.virtual.scripted_provider import Later, Reaction

P95_SIGMAS = NormalDist().inv_cdf(0.95)
NORMAL = NormalDist()
DRAWS = 10
DIGEST_BYTES = 8 * DRAWS
UNIT = 1 / 2**64
SPREADS = {
    "refused": Spread(0.5, 4.0),
    "delivered": Spread(0.5, 1.5),
    "read": Spread(1.0, 0.5),
    "clicked": Spread(1.0, 0.5),
    "replied": Spread(1.0, 0.5),
    "unsubscribed": Spread(0.0, 0.0),
}
"""
The tendencies that people have, and how much they are assumed to differ in them: a provider refuses
mostly the same people, and who reads on one channel reads on the others. Nobody unsubscribes often
enough to show a tendency.
"""


@dataclass(frozen=True, slots=True)
class Lag:
    """
    A delay: a log-normal by its median and 95th percentile (ms), or measured ``quantiles``, evenly
    spaced from the shortest to the longest. With ``hours`` it is waking time.
    """

    median_ms: float = 0
    p95_ms: float = 0
    quantiles: tuple[float, ...] = ()
    hours: Hours | None = None

    def after(self, chance: float, start: int) -> int:
        """The same as ``at`` in milliseconds of the clock after ``start`` (UTC milliseconds)."""
        lag = self.at(chance)
        return lag if self.hours is None else self.hours.span_ms(start, lag)

    def at(self, chance: float) -> int:
        """The lag (ms) below which a share of ``chance`` lies."""
        if self.quantiles:
            place = chance * (len(self.quantiles) - 1)
            low = int(place)
            high = min(low + 1, len(self.quantiles) - 1)
            return round(
                self.quantiles[low] + (self.quantiles[high] - self.quantiles[low]) * (place - low)
            )
        if self.median_ms <= 0 or self.p95_ms <= self.median_ms:
            return round(self.median_ms)
        sigma = math.log(self.p95_ms / self.median_ms) / P95_SIGMAS
        return round(
            self.median_ms * math.exp(sigma * NORMAL.inv_cdf(min(max(chance, 1e-9), 1 - 1e-9)))
        )


@dataclass(frozen=True, slots=True)
class Share:
    """The share of cases in which something happens, and its delay after what it follows from."""

    share: float
    lag: Lag


@dataclass(frozen=True, slots=True)
class ChannelBehaviour:
    """
    One channel or provider. ``answers`` are outcomes that are no yes, with their shares; the rest
    is accepted. ``delivered`` and ``failed`` are shares of what was accepted, ``read`` of what was
    delivered, ``clicked`` and ``replied`` of what was read, or of what was delivered where nothing
    reports that it was read. ``unsubscribed`` is a share of what was delivered.
    """

    answers: tuple[tuple[float, Outcome], ...] = ()
    delivered: Share | None = None
    failed: Share | None = None
    read: Share | None = None
    clicked: Share | None = None
    replied: Share | None = None
    unsubscribed: Share | None = None


def tendencies_assumed() -> dict[str, Tendency]:
    return {name: Tendency(spread) for name, spread in SPREADS.items()}


@dataclass(frozen=True)
class Behaviour:
    """
    ``by_name``: providers and channels; a provider's own come first. ``source`` says in words where
    they are from. ``tendencies`` are how people differ, by their names in ``SPREADS``. ``said`` are
    the names that it speaks of itself; ``assumed_like`` says in words what any other provider, or
    those of a channel, are taken to be like. ``past``: what really became of the simulated
    messages, None if it was not looked for.
    """

    by_name: Mapping[str, ChannelBehaviour] = field(default_factory=dict)
    source: str = ""
    tendencies: Mapping[str, Tendency] = field(default_factory=tendencies_assumed)
    said: frozenset[str] | None = None
    assumed_like: Mapping[str, str] = field(default_factory=dict)
    past: Mapping[OutcomeKey, MessageOutcome] | None = None

    def of(self, provider: str, channel: str) -> ChannelBehaviour:
        """All people together; a name that is nowhere behaves as its channel is assumed to."""
        for name in (provider, channel):
            if (found := self.by_name.get(name)) is not None:
                return found
        return assumed_by_channel().get(channel, SILENT)

    def assumption(self, provider: str, channel: str) -> str | None:
        """How a provider is taken to behave that nothing is known of; None if something is."""
        said = self.said if self.said is not None else self.by_name.keys()
        if provider in said or channel in said:
            return None
        if provider in self.assumed_like:
            return self.assumed_like[provider]
        like = self.assumed_like.get(channel, f"assumed as documented for {channel}")
        return f"nothing is known of it: {like}"


SILENT = ChannelBehaviour()


def draw(*key: object) -> Sequence[float]:
    """Ten numbers from 0 to 1 that depend on nothing but the key."""
    digest = hashlib.shake_128("\0".join(map(str, key)).encode()).digest(DIGEST_BYTES)
    return [
        int.from_bytes(digest[place : place + 8], "big") * UNIT
        for place in range(0, DIGEST_BYTES, 8)
    ]


def react(behaviour: ChannelBehaviour, chances: Sequence[float], at: int = 0) -> Reaction:
    """
    The reaction to one message, sent ``at`` (UTC milliseconds). If the outcome is unknown, the
    message may have arrived all the same, so its receipts come like any others.
    """
    outcome = answer(behaviour, chances[0])
    if isinstance(outcome, NotSent | Refused):
        return Reaction(outcome)
    delivered = behaviour.delivered
    if delivered is not None and chances[1] < delivered.share:
        lag = delivered.lag.after(chances[2], at)
        arrived = Later(lag, Delivery.DELIVERED)
        return Reaction(outcome, 0, (arrived, *engagement(behaviour, chances, at, lag)))
    if behaviour.failed is not None and chances[1] >= 1 - behaviour.failed.share:
        return Reaction(outcome, 0, (Later(behaviour.failed.lag.at(chances[2]), Delivery.FAILED),))
    silent = delivered is not None
    return Reaction(outcome, 0, () if silent else tuple(engagement(behaviour, chances, at, 0)))


def answer(behaviour: ChannelBehaviour, chance: float) -> Outcome:
    """Draw the provider's answer."""
    if not behaviour.answers:
        return Accepted()
    limits = list(accumulate(share for share, _ in behaviour.answers))
    place = bisect_left(limits, chance) if chance < limits[-1] else len(limits)
    return behaviour.answers[place][1] if place < len(behaviour.answers) else Accepted()


def engagement(
    behaviour: ChannelBehaviour, chances: Sequence[float], sent_at: int, since_ms: int
) -> list[Later]:
    """A person's actions on a message that arrived ``since_ms`` after the provider's answer."""
    found: list[Later] = []
    stops = behaviour.unsubscribed
    if stops is not None and chances[8] < stops.share:
        after = since_ms + stops.lag.after(chances[9], sent_at + since_ms)
        found.append(Later(after, Engagement.UNSUBSCRIBED))
    if behaviour.read is not None:
        if chances[3] >= behaviour.read.share:
            return found
        since_ms += behaviour.read.lag.after(chances[4], sent_at + since_ms)
        found.append(Later(since_ms, Engagement.READ))
    for share, state, chance, lag in (
        (behaviour.clicked, Engagement.CLICKED, chances[5], chances[6]),
        (behaviour.replied, Engagement.REPLIED, chances[7], chances[9]),
    ):
        if share is not None and chance < share.share:
            found.append(Later(since_ms + share.lag.after(lag, sent_at + since_ms), state))
    return found


def assumed() -> Behaviour:
    """The channels' assumptions about providers and people, used until a store has better data."""
    return Behaviour(
        assumed_by_channel(),
        "as assumed, since neither --providers nor --fit was given: only differences between"
        " versions mean something",
    )


@cache
def assumed_by_channel() -> Mapping[str, ChannelBehaviour]:
    return {name: assumed_channel(channel.assumed) for name, channel in channels().items()}


def assumed_channel(assumed: Assumed) -> ChannelBehaviour:
    """A channel's assumptions as a behaviour."""
    answers: tuple[tuple[float, Outcome], ...] = (
        (assumed.dead, Refused(Reason.REFUSED_ADDRESS, "assumed")),
        (assumed.refused, Refused(Reason.REFUSED_RECIPIENT, "assumed")),
        (assumed.lost, Unknown(Reason.CONNECTION_LOST)),
    )
    return ChannelBehaviour(
        answers=tuple((share, outcome) for share, outcome in answers if share),
        delivered=share_of(assumed.delivered),
        failed=share_of(assumed.failed),
        read=share_of(assumed.read),
        clicked=share_of(assumed.clicked),
    )


def share_of(happens: Likelihood | None) -> Share | None:
    """A share with a log-normal lag."""
    if happens is None:
        return None
    return Share(happens.share, Lag(happens.median_seconds * 1000, happens.p95_seconds * 1000))
