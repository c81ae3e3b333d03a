"""
How people and providers behave, as shares and lags, and the reaction to one message drawn from it.

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
from orchestrator.virtual.scripted_provider import Later, Reaction

P95_SIGMAS = NormalDist().inv_cdf(0.95)
NORMAL = NormalDist()
DRAWS = 8
DIGEST_BYTES = 8 * DRAWS
UNIT = 1 / 2**64


@dataclass(frozen=True, slots=True)
class Lag:
    """
    A delay: a log-normal by its median and 95th percentile (ms), or measured ``quantiles``, evenly
    spaced from the shortest to the longest.
    """

    median_ms: float = 0
    p95_ms: float = 0
    quantiles: tuple[float, ...] = ()

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
    reports that it was read.
    """

    answers: tuple[tuple[float, Outcome], ...] = ()
    delivered: Share | None = None
    failed: Share | None = None
    read: Share | None = None
    clicked: Share | None = None
    replied: Share | None = None


@dataclass(frozen=True)
class Behaviour:
    """
    By provider or by channel; a provider's own come first. ``source`` says in words where they are
    from.
    """

    by_name: Mapping[str, ChannelBehaviour] = field(default_factory=dict)
    source: str = ""

    def of(self, provider: str, channel: str) -> ChannelBehaviour:
        found = self.by_name.get(provider)
        return found if found is not None else self.by_name.get(channel, SILENT)


SILENT = ChannelBehaviour()


def draw(*key: object) -> Sequence[float]:
    """Eight numbers from 0 to 1 that depend on nothing but the key."""
    digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=DIGEST_BYTES).digest()
    return [
        int.from_bytes(digest[place : place + 8], "big") * UNIT
        for place in range(0, DIGEST_BYTES, 8)
    ]


def react(behaviour: ChannelBehaviour, chances: Sequence[float]) -> Reaction:
    """
    The reaction to one message. If the outcome is unknown, the message may have arrived all the
    same, so its receipts come like any others.
    """
    outcome = answer(behaviour, chances[0])
    if isinstance(outcome, NotSent | Refused):
        return Reaction(outcome)
    delivered = behaviour.delivered
    if delivered is not None and chances[1] < delivered.share:
        at_ms = delivered.lag.at(chances[2])
        return Reaction(
            outcome, 0, (Later(at_ms, Delivery.DELIVERED), *engagement(behaviour, chances, at_ms))
        )
    arrived = behaviour.delivered is None
    if behaviour.failed is not None and chances[1] >= 1 - behaviour.failed.share:
        return Reaction(outcome, 0, (Later(behaviour.failed.lag.at(chances[2]), Delivery.FAILED),))
    return Reaction(outcome, 0, tuple(engagement(behaviour, chances, 0)) if arrived else ())


def answer(behaviour: ChannelBehaviour, chance: float) -> Outcome:
    """Draw the provider's answer."""
    if not behaviour.answers:
        return Accepted()
    limits = list(accumulate(share for share, _ in behaviour.answers))
    place = bisect_left(limits, chance) if chance < limits[-1] else len(limits)
    return behaviour.answers[place][1] if place < len(behaviour.answers) else Accepted()


def engagement(behaviour: ChannelBehaviour, chances: Sequence[float], since_ms: int) -> list[Later]:
    """A person's actions on a message that arrived ``since_ms`` after the provider's answer."""
    found: list[Later] = []
    seen = behaviour.read is None
    if behaviour.read is not None and chances[3] < behaviour.read.share:
        since_ms += behaviour.read.lag.at(chances[4])
        found.append(Later(since_ms, Engagement.READ))
        seen = True
    for share, state, place in (
        (behaviour.clicked, Engagement.CLICKED, 5),
        (behaviour.replied, Engagement.REPLIED, 7),
    ):
        if seen and share is not None and chances[place] < share.share:
            lag = share.lag.at(
                chances[6] if place == 5 else chances[5] / share.share if share.share else 0
            )
            found.append(Later(since_ms + lag, state))
    return found


def assumed() -> Behaviour:
    """The channels' assumptions about providers and people, used until a store has better data."""
    return Behaviour(
        {name: assumed_channel(channel.assumed) for name, channel in channels().items()},
        "as assumed, since neither --providers nor --fit was given: only differences between"
        " versions mean something",
    )


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
