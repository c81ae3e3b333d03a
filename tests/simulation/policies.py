"""The policies of a run, and its journey; drawn from its seed."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from orchestrator.core.journey.journey import (
    AGAIN,
    Entrance,
    Journey,
    JourneyEnd,
    JourneyStep,
    RepeatStep,
    SendStep,
    SetStep,
    UntilEventStep,
    WaitStep,
)
from orchestrator.core.policy import (
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    Dedupe,
    Digest,
    Goal,
    MessageClass,
    Policy,
    Retry,
    SendAt,
    Step,
    Window,
)
from orchestrator.core.values import replace

GOAL_EVENT = "shop.done"
AFTER_SHARE, CIRCLE_SHARE = 0.12, 0.2
"""Of the runs that have policies on what happens inside; of those that have one in a circle."""
JOURNEY_SHARE = 0.2
"""Of the runs that have a journey."""
AFTER = (
    "message.succeeded",
    "message.exhausted",
    "message.suppressed",
    "message.expired",
    "attempt.rejected",
    "attempt.delivered",
    "attempt.read",
    "opt_out",
)
CAN_WAIT_FOR = {
    "web_push": ("delivered", "clicked"),
    "viber": ("delivered", "read"),
    "whatsapp": ("sent", "delivered", "read"),
    "email": ("read",),
    "sms": ("delivered",),
}
CLASSES: tuple[MessageClass, ...] = (
    "otp",
    "transactional",
    "service",
    "promotional",
    "promotional",
)
OUTAGE_EVENT = "shop.outage"
DIGEST_EVENT = "shop.topic"
DIGEST_SHARE = 0.15
"""Of the runs that have a policy with a digest."""
WAITS_MS = (MINUTE_MS, 3 * MINUTE_MS, 10 * MINUTE_MS, HOUR_MS)
OUTAGE_POLICY = Policy(
    name="outage",
    version="0",
    event=OUTAGE_EVENT,
    cascade=(Step("viber", wait=(("delivered", 3 * MINUTE_MS),)), Step("sms")),
    message_class="otp",
    topic="topic0",
    template="t",
    deadline_ms=4 * HOUR_MS,
)
"""Viber first, then a paid channel: what a receipt outage of Viber must not open."""


def draw_journeys(rng: Random, channels: list[str]) -> tuple[dict[str, Policy], dict[str, Journey]]:
    """
    A journey and the policies of its messages; drawn apart, so that a seed keeps all else. It is
    about a cart, as the events are.
    """
    if rng.random() >= JOURNEY_SHARE:
        return {}, {}
    sent = {
        f"sent{number}": replace(
            draw_policy(rng, number, channels),
            name=f"sent{number}",
            event="",
            when=None,
            topic=f"topic{number}",
            dedupe=None,
            goal=None,
            also=(),
        )
        for number in range(2)
    }
    minutes = rng.choice((1, 10, 45))
    steps: list[JourneyStep] = [
        SendStep("sent0"),
        WaitStep(minutes * MINUTE_MS),
        UntilEventStep(
            "shop.b",
            "event.cart == journey.event.cart",
            rng.choice((30 * MINUTE_MS, 2 * HOUR_MS)),
            (SendStep("sent1"), SetStep((("carts", "(recipient.carts or 0) + 1"),))),
            (SendStep("sent0"),) if rng.random() < 0.5 else (),
        ),
        RepeatStep(2, (WaitStep(minutes * MINUTE_MS), SendStep("sent1"))),
    ]
    if rng.random() < 0.4:
        rng.shuffle(steps)
    exits = (JourneyEnd("shop.b", "exit.cart == event.cart"),) if rng.random() < 0.25 else ()
    journey = Journey(
        "way",
        "v0",
        Entrance("shop.a", key="event.cart", again=rng.choice(AGAIN)),
        tuple(steps),
        exits=exits,
        goal=JourneyEnd(GOAL_EVENT, "goal.cart == event.cart") if rng.random() < 0.7 else None,
        deadline_ms=rng.choice((2 * HOUR_MS, 12 * HOUR_MS)),
    )
    if rng.random() < 0.5:
        at_once = RepeatStep(2, (SendStep("sent0", at_once=True), SendStep("sent1", at_once=True)))
        journey = replace(journey, steps=(*journey.steps, at_once))
    return sent, {journey.name: journey}


def draw_policy(rng: Random, number: int, channels: list[str]) -> Policy:
    message_class = rng.choice(CLASSES)
    count = rng.randint(1, 4)
    order = rng.sample(channels, count)
    cascade = tuple(
        draw_step(rng, channel, last=place == count - 1) for place, channel in enumerate(order)
    )
    spare = [channel for channel in channels if channel not in order]
    also = (Step(rng.choice(spare)),) if spare and rng.random() < 0.15 else ()
    return Policy(
        name=f"p{number}",
        version="0",
        event=f"shop.{rng.choice('ab')}" if number else "shop.a",
        cascade=cascade,
        when="event.total >= 300" if rng.random() < 0.3 else None,
        message_class=message_class,
        topic=f"topic{number}",
        template="t",
        deadline_ms=rng.choice((10 * MINUTE_MS, HOUR_MS, 4 * HOUR_MS, 16 * HOUR_MS)),
        dedupe=Dedupe("event.cart", rng.choice((10 * MINUTE_MS, HOUR_MS)))
        if rng.random() < 0.25
        else None,
        goal=Goal(GOAL_EVENT, "goal.cart == event.cart") if rng.random() < 0.5 else None,
        also=also,
        order=rng.choice(("fixed", "fixed", "fixed", "cheapest")),
        late=rng.choice(("close", "close", "ignore")),
        default_wait_ms=rng.choice((2 * MINUTE_MS, 10 * MINUTE_MS)),
    )


def draw_followers(
    rng: Random, policies: Mapping[str, Policy], channels: list[str]
) -> dict[str, Policy]:
    """
    Policies that start from what becomes of other messages; drawn apart, so that a seed keeps all
    else. One in a circle follows its own messages, too.
    """
    if rng.random() >= AFTER_SHARE:
        return {}
    found = {}
    for number in range(rng.choice((1, 1, 2))):
        what = rng.choice(AFTER)
        circle = not number and what != "opt_out" and rng.random() < CIRCLE_SHARE
        circle &= what.startswith("message.")  # once a message: attempts would double at every hop
        one_of = rng.choice(sorted(policies))
        found[f"after{number}"] = replace(
            draw_policy(rng, number, channels),
            name=f"after{number}",
            event=f"kaskad.{what}",
            when=None if circle or what == "opt_out" else f"event.policy == '{one_of}'",
            topic=f"topic{number}",
            template="opted_out" if what == "opt_out" else "after",
            dedupe=None,
            goal=None,
            cascade=tuple(
                replace(draw_step(rng, channel, last=place == 1), when=None)
                for place, channel in enumerate(rng.sample(channels, 2))
            ),
            also=(),
        )
    return found


def draw_digests(rng: Random, channels: list[str]) -> dict[str, Policy]:
    """A policy that gathers, and may wait for hours of the day; drawn apart, as the above."""
    if rng.random() >= DIGEST_SHARE:
        return {}
    start = rng.randrange(0, 1_440, 30)
    hours = Window(start, (start + rng.choice((120, 600))) % 1_440)
    found = replace(
        draw_policy(rng, 0, channels),
        name="digest",
        event=DIGEST_EVENT,
        when=None,
        topic="topic0",
        template="digest",
        message_class="transactional",
        dedupe=None,
        goal=None,
        digest=Digest("event.cart", rng.choice((MINUTE_MS, 10 * MINUTE_MS)), None, 4),
        send_at=SendAt(hours) if rng.random() < 0.4 else None,
        also=(),
        deadline_ms=rng.choice((4 * HOUR_MS, 20 * HOUR_MS)),
    )
    return {found.name: found}


def draw_step(rng: Random, channel: str, *, last: bool) -> Step:
    states = CAN_WAIT_FOR[channel]
    wanted = sorted(
        rng.sample(states, rng.randint(0 if last else 1, min(2, len(states)))), key=states.index
    )
    waits = sorted(rng.sample(WAITS_MS, len(wanted)))
    return Step(
        channel,
        wait=tuple(zip(wanted, waits, strict=True)),
        when="event.total >= 100" if rng.random() < 0.1 else None,
        on_unknown=rng.choice(("wait", "wait", "wait", "resend", "advance")),
        retry=Retry(rng.randint(0, 3), rng.choice((10 * SECOND_MS, MINUTE_MS))),
    )


def redraw(rng: Random, before: Mapping[str, Policy], number: int) -> dict[str, Policy]:
    """The policies after a reload: some as they were, some with another cascade."""
    found = {}
    for name, policy in before.items():
        if rng.random() < 0.4:
            found[name] = policy
            continue
        steps = [
            replace(step, wait=tuple((s, w * rng.choice((1, 2))) for s, w in step.wait))
            for step in policy.cascade
        ]
        rng.shuffle(steps)
        found[name] = replace(policy, version=str(number), cascade=tuple(steps))
    return found
