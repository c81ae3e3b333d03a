"""
What is decided before a cascade starts: what joins it, when it starts, and in which order.
"""

from __future__ import annotations

from orchestrator.core.cascade.builder import DecisionBuilder
from orchestrator.core.digest import has_room
from orchestrator.core.engagement import engagement_of, start_at
from orchestrator.core.facts import Joined
from orchestrator.core.gates import price
from orchestrator.core.message import Status
from orchestrator.core.policy import SendAt
from orchestrator.core.quiet_hours import zone_or
from orchestrator.core.reasons import Reason


def join(builder: DecisionBuilder, fact: Joined) -> None:
    """Have another event in a digest; one that is full only counts it."""
    message, digest = builder.message, builder.policy.digest
    message.hops = max(message.hops, fact.hops)
    if digest is not None and has_room(message, digest, fact.bytes):
        message.joined += 1
        message.joined_bytes += fact.bytes
        builder.say(f"joined: {message.joined + 1} events until {message.starts_at}")
    else:
        message.left_out += 1
        builder.say(f"the digest is full: {message.left_out} more only counted")


def wait_for_hour(builder: DecisionBuilder, send_at: SendAt) -> None:
    """Decide when the message starts; end it if that is after its deadline."""
    message, inputs = builder.message, builder.inputs
    zone = zone_or(inputs.zone, inputs.governance.time_zone)
    deadline_at = message.deadline_at
    start = start_at(send_at, inputs.hours, inputs.hours_of_all, zone, builder.now, deadline_at)
    builder.say(start.words)
    message.send_at = start.at
    if start.at is None:
        builder.finish(Status.EXPIRED, Reason.DEADLINE_PASSED, "send_at")


def sequence(builder: DecisionBuilder) -> tuple[int, ...]:
    """
    The order of the cascade's steps: as written, the cheapest first (unknown costs last), or first
    where the person answers best.
    """
    cascade, only = builder.policy.cascade, builder.message.only_channel
    steps = [step for step, one in enumerate(cascade) if only in ("", one.channel)]
    if builder.policy.order == "most_engaged":
        answered = builder.inputs.answered
        order = sorted(steps, key=lambda step: -engagement_of(answered, cascade[step].channel))
        known = (
            "{} ({} of {} answered)".format(name, *answered.get(name, (0, 0)))
            for name in dict.fromkeys(cascade[step].channel for step in order)
        )
        builder.say(f"order: {', '.join(known)}")
        return tuple(order)
    if builder.policy.order != "cheapest":
        return tuple(steps)

    def cost(step: int) -> float:
        providers = builder.context(step).providers
        return min((price(provider.cost) for provider in providers), default=float("inf"))

    return tuple(sorted(steps, key=cost))
