"""
The installation that a run takes place in: policies, governance, templates, providers, people;
drawn from its seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

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
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    Cap,
    Dedupe,
    Digest,
    Gap,
    Goal,
    Governance,
    MessageClass,
    OnHit,
    Policy,
    QuietHours,
    Retry,
    SendAt,
    Step,
    Window,
)
from orchestrator.core.values import replace
from orchestrator.render import TemplateSet
from tests.simulation.offers import with_offers
from tests.simulation.options import ZONES, Options
from tests.simulation.providers.base import StandIn
from tests.simulation.providers.infobip import Infobip
from tests.simulation.providers.mail import Mail
from tests.simulation.providers.twilio import Twilio
from tests.simulation.providers.viber_bot import ViberBot
from tests.simulation.providers.web_push import WebPush, subscription
from tests.simulation.providers.whatsapp import WhatsApp

PUBLIC_URL = "https://kaskad.example.com"
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
TEXT = "<{{ event.cart }}, {{ message.policy }}, {{ recipient.id }}>"
TEMPLATES = {
    "t": {
        "sms.text.j2": TEXT,
        "viber.text.j2": TEXT,
        "whatsapp.yaml.j2": f'template: hello\nlanguage: uk\nbody: ["{TEXT}"]',
        "email.subject.j2": "{{ event.cart }}",
        "email.text.j2": TEXT,
        "web_push.title.j2": "{{ event.cart }}",
        "web_push.text.j2": TEXT,
    }
}
TEMPLATES["digest"] = {
    part: text.replace("event.cart", "events | map(attribute='n') | join(' ')")
    for part, text in TEMPLATES["t"].items()
}
for name, says in (("after", "event.id"), ("opted_out", "event.recipient")):
    TEMPLATES[name] = {
        part: text.replace("event.cart", says) for part, text in TEMPLATES["t"].items()
    }
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


@dataclass(frozen=True, slots=True)
class Account:
    """
    A configured provider: its stand-in, its rate per second (None: none), how many connections, its
    cost.
    """

    name: str
    stand_in: StandIn
    rate: float | None
    slots: int
    cost: str | None
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Human:
    """
    A recipient: the profile that every event about them carries, and what they have agreed to.
    """

    id: str
    profile: Mapping[str, Any]
    zone: str | None
    consents: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Policies and governance as one loading of the configuration has them."""

    policies: Mapping[str, Policy]
    governance: Governance


@dataclass(frozen=True, slots=True)
class Scenery:
    """``books`` are the configurations in the order in which they come into force."""

    accounts: Mapping[str, Account]
    channels: Mapping[str, tuple[str, ...]]
    humans: tuple[Human, ...]
    books: tuple[Rulebook, ...]
    journeys: Mapping[str, Journey] = dataclasses.field(default_factory=dict)


@cache
def templates() -> TemplateSet:
    """The templates of every policy."""
    return TemplateSet.from_sources(TEMPLATES)


def paint(options: Options) -> Scenery:
    """The scenery of a run."""
    rng = Random(f"scenery {options.seed}")
    accounts = draw_accounts(rng, options)
    channels: dict[str, tuple[str, ...]] = {}
    for account in accounts:
        channels[account.stand_in.channel] = (
            *channels.get(account.stand_in.channel, ()),
            account.name,
        )
    policies = {f"p{n}": draw_policy(rng, n, sorted(channels)) for n in range(options.policies)}
    if options.receipt_outage:
        policies[OUTAGE_POLICY.name] = OUTAGE_POLICY
        accounts = [
            dataclasses.replace(account, cost="0.50")
            if account.stand_in.channel == "sms"
            else account
            for account in accounts
        ]
    books = [Rulebook(policies, draw_governance(rng, options, "0"))]
    for number in range(1, options.reloads + 1):
        before = books[-1].policies
        books.append(
            Rulebook(redraw(rng, before, number), draw_governance(rng, options, str(number)))
        )
    followers = draw_followers(Random(f"inside {options.seed}"), policies, sorted(channels))
    books = [dataclasses.replace(one, policies={**one.policies, **followers}) for one in books]
    digests = draw_digests(Random(f"digests {options.seed}"), sorted(channels))
    books = [dataclasses.replace(one, policies={**one.policies, **digests}) for one in books]
    sent, journeys = draw_journeys(Random(f"journeys {options.seed}"), sorted(channels))
    books = [dataclasses.replace(one, policies={**one.policies, **sent}) for one in books]
    books = [dataclasses.replace(one, policies=with_offers(options, one.policies)) for one in books]
    humans = tuple(draw_human(rng, options, number) for number in range(options.recipients))
    by_name = {account.name: account for account in accounts}
    return Scenery(by_name, channels, humans, tuple(books), journeys)


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
    return sent, {journey.name: journey}


def draw_accounts(rng: Random, options: Options) -> list[Account]:
    kinds: list[tuple[str, type[StandIn]]] = [
        ("push", WebPush),
        ("infobip", Infobip),
        ("meta", WhatsApp),
        ("relay", Mail),
        ("twilio", Twilio),
    ]
    if options.bot:
        kinds.insert(1, ("bot", ViberBot))
    if options.second_providers:
        kinds += [("infobip_b", Infobip), ("twilio_b", Twilio)]
    found = []
    for name, kind in kinds:
        rate = rng.choice((0.2, 1.0, 5.0)) if options.rates_on else None
        cost = rng.choice((None, "0.50", "1.20"))
        stand_in = kind(name, f"{PUBLIC_URL}/v1/receipts/{name}")
        found.append(
            Account(name, stand_in, rate, rng.choice((1, 2, 8)), cost, rng.choice((2_000, 10_000)))
        )
    return found


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


def draw_governance(rng: Random, options: Options, version: str) -> Governance:
    if not options.governed:
        return Governance(version=version)
    quiet = tuple(draw_quiet(rng, n) for n in range(rng.choice((0, 1, 1, 2))))
    caps = tuple(draw_cap(rng, n) for n in range(rng.choice((0, 1, 1, 2))))
    gaps = (
        (Gap("gap", rng.choice((MINUTE_MS, 20 * MINUTE_MS)), on_hit=draw_hit(rng)),)
        if rng.random() < 0.3
        else ()
    )
    return Governance(
        version=version,
        quiet_hours=quiet,
        caps=caps,
        gaps=gaps,
        time_zone=rng.choice(ZONES),
        sms_countries=rng.choice(((), ("UA",))),
    )


def draw_hit(rng: Random) -> OnHit:
    return rng.choice(("defer", "defer", "defer", "skip_step", "drop"))


def draw_quiet(rng: Random, number: int) -> QuietHours:
    start = rng.randrange(0, 1_440, 15)
    window = Window(start, (start + rng.choice((60, 180, 600))) % 1_440)
    windows = [window if rng.random() < 0.9 else None for _ in range(7)]
    return QuietHours(
        name=f"quiet{number}",
        windows=tuple(windows),
        zone=rng.choice(("recipient", "recipient", "recipient", rng.choice(ZONES))),
        fallback_zone=rng.choice((None, rng.choice(ZONES))),
        classes=rng.choice(((), ("promotional",), ("promotional", "service"))),
        on_hit=draw_hit(rng),
        max_defer_ms=rng.choice((None, None, 2 * HOUR_MS)),
    )


def draw_cap(rng: Random, number: int) -> Cap:
    rolling = rng.random() < 0.75
    return Cap(
        name=f"cap{number}",
        limit=rng.randint(1, 3),
        window_ms=rng.choice((10 * MINUTE_MS, HOUR_MS, DAY_MS)) if rolling else None,
        calendar=None if rolling else "day",
        classes=rng.choice(((), (), ("promotional",), ("otp", "promotional"))),
        channels=rng.choice(((), (), ("sms",), ("viber", "whatsapp"))),
        on_hit=draw_hit(rng),
    )


def draw_human(rng: Random, options: Options, number: int) -> Human:
    """
    Most have most addresses; with shared phones every second one has the phone of the one before.
    """
    owner = number - 1 if options.shared_phones and number % 2 else number
    zone = rng.choice((None, *ZONES))
    profile: dict[str, Any] = {}
    if rng.random() < 0.9:
        abroad = rng.random() < 0.1
        profile["phone"] = (
            f"+48{600_000_000 + owner}"
            if abroad and owner == number
            else f"+380{501_234_500 + owner}"
        )
    if rng.random() < 0.8:
        profile["email"] = f"person{number}@example.com"
    if rng.random() < 0.7:
        profile["web_push"] = [subscription(number * 10 + n) for n in range(rng.choice((1, 1, 2)))]
    if rng.random() < 0.7:
        profile["viber_bot_id"] = f"bot-user-{number}"
    if zone is not None:
        profile["time_zone"] = zone
    consents: tuple[dict[str, Any], ...] = ()
    if rng.random() < 0.8:
        consents = ({"channel": "*", "topic": "*", "state": "in"},)
    return Human(f"person{number}", profile, zone, consents)
