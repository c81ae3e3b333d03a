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

from orchestrator.core.journey.journey import Journey
from orchestrator.core.policy import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Cap,
    Gap,
    Governance,
    OnHit,
    Policy,
    QuietHours,
    Window,
)
from orchestrator.render import TemplateSet
from tests.simulation.offers import with_offers
from tests.simulation.options import ZONES, Options
from tests.simulation.policies import (
    OUTAGE_POLICY,
    draw_digests,
    draw_followers,
    draw_journeys,
    draw_policy,
    redraw,
)
from tests.simulation.providers.base import StandIn
from tests.simulation.providers.infobip import Infobip
from tests.simulation.providers.mail import Mail
from tests.simulation.providers.twilio import Twilio
from tests.simulation.providers.viber_bot import ViberBot
from tests.simulation.providers.web_push import WebPush, subscription
from tests.simulation.providers.whatsapp import WhatsApp
from tests.simulation.questions import ASKED, WHY, asking, with_questions

PUBLIC_URL = "https://kaskad.example.com"
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
TEMPLATES[ASKED] = asking(TEMPLATES["t"])
for name, says in (
    ("after", "event.id"),
    ("opted_out", "event.recipient"),
    (WHY, "event.message"),
):
    TEMPLATES[name] = {
        part: text.replace("event.cart", says) for part, text in TEMPLATES["t"].items()
    }


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
    sent, journeys = draw_journeys(Random(f"journeys {options.seed}"), sorted(channels))
    more = {
        **draw_followers(Random(f"inside {options.seed}"), policies, sorted(channels)),
        **draw_digests(Random(f"digests {options.seed}"), sorted(channels)),
        **sent,
    }
    for place, version in enumerate(books):
        offered = with_offers(options, {**version.policies, **more})
        asked = with_questions(options, offered, sorted(channels))
        books[place] = dataclasses.replace(version, policies=asked)
    humans = tuple(draw_human(rng, options, number) for number in range(options.recipients))
    by_name = {account.name: account for account in accounts}
    return Scenery(by_name, channels, humans, tuple(books), journeys)


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
