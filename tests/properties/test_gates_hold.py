"""
Compare a campaign's sends with the rules of caps and gaps, from outside.

The oracles here are written as a person would check a list by hand. They know what was called,
nothing of cap usages, verdicts or the order in which gates are asked.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core import facts
from orchestrator.core.cascade.decide import decide
from orchestrator.core.effects import Call, ReleaseCap, ReserveCap
from orchestrator.core.inputs import Inputs, Provider
from orchestrator.core.message import Message
from orchestrator.core.outcomes import Accepted, NotSent, Refused, Unknown
from orchestrator.core.policy import DAY_MS, HOUR_MS, MINUTE_MS, Cap, Gap, Governance, Policy, Step
from orchestrator.core.reasons import Reason
from orchestrator.core.recipient import Address
from orchestrator.recipients.document import Person
from tests.properties.lives import START
from tests.properties.sizes import runs, sizes

SEEDS = st.integers(0, 2**48)


def provider(channel: str) -> Provider:
    return Provider(channel, channel, ("phone",))


PHONE = Address("phone", "+380501234567", "h")
CAPPED = Policy(
    "p",
    "v",
    "e",
    (Step("viber", wait=(("delivered", MINUTE_MS),)), Step("sms")),
    topic="t",
    deadline_ms=2 * DAY_MS,
)
OUTCOMES = (
    Accepted("x"),
    Accepted("y"),
    Unknown(Reason.TIMED_OUT),
    Refused(Reason.REFUSED_RECIPIENT),
    NotSent(Reason.THROTTLED, 1_000),
)


class Campaign:
    """
    Many messages for one person, decided fact by fact in time, each by its own timers. ``taken``
    gives the sends that really happened.
    """

    def __init__(self, rng: Random, governance: Governance, zone: str) -> None:
        self.rng, self.governance, self.zone, self.now = rng, governance, zone, START
        self.person = Person("olena", {"id": "olena", "attributes": {}}, lambda kind, value: value)
        self.messages: list[Message] = []

    def apply(self, number: int, fact: facts.Fact) -> list[Call]:
        inputs = Inputs(
            governance=self.governance,
            zone=self.zone,
            addresses=(PHONE,),
            cap_usages=self.person.cap_usages,
            providers={name: provider(name) for name in ("viber", "sms")},
            channels={"viber": ("viber",), "sms": ("sms",)},
        )
        decision = decide(CAPPED, self.messages[number], inputs, fact, self.now)
        for effect in decision.effects:
            if isinstance(effect, ReserveCap):
                self.person.reserve(effect.usage, self.governance, self.now)
            elif isinstance(effect, ReleaseCap):
                self.person.release_cap(self.messages[number].id, effect.step)
        self.messages[number] = decision.message
        return [effect for effect in decision.effects if isinstance(effect, Call)]

    def start(self) -> None:
        number = len(self.messages)
        self.messages.append(
            Message(
                f"m{number}",
                "s",
                str(number),
                "e",
                "olena",
                "p",
                "v",
                "transactional",
                "t",
                self.now,
                self.now + 2 * DAY_MS,
            )
        )
        self.apply(number, facts.Triggered())

    def step(self) -> None:
        """Let some time pass, fire what is due, and send what is ready."""
        self.now += self.rng.choice((1, 1_000, MINUTE_MS, 20 * MINUTE_MS, 3 * HOUR_MS))
        if self.rng.randrange(2):
            self.start()
        for number, message in enumerate(self.messages):
            if message.due_at is not None and message.due_at <= self.now:
                self.apply(number, facts.Due(message.due_at))
            for run in self.messages[number].ready():
                for call in self.apply(
                    number, facts.Prepared(run.step, run.provider or "", (PHONE,))
                ):
                    self.apply(number, facts.Answered(call.attempt, self.rng.choice(OUTCOMES)))

    def taken(self, channels: tuple[str, ...]) -> list[int]:
        """
        The first real send of each message or step that a rule counts, as far as it can be known.
        """
        found: list[int] = []
        for message in self.messages:
            sent = [
                (a.step, a.intent_at)
                for a in message.attempts
                if a.took and (not channels or a.channel in channels)
            ]
            if channels:
                found += [
                    min(at for step, at in sent if step == one)
                    for one in {step for step, _ in sent}
                ]
            elif sent:
                found.append(min(at for _, at in sent))
        return sorted(found)


def swept(seed: int, governance: Governance, zone: str) -> Campaign:
    campaign = Campaign(Random(seed), governance, zone)
    for _ in range(40):
        campaign.step()
    return campaign


ZONES = st.sampled_from(
    ["Europe/Kyiv", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia", "UTC"]
)
CHANNELS = st.sampled_from([(), ("sms",), ("viber",), ("sms", "viber")])


@sizes(25, 1_500)
def test_no_window_ever_holds_more_than_a_cap_allows_however_its_messages_fare(size: int) -> None:
    @runs(size)
    @given(SEEDS, st.integers(0, 4), st.sampled_from([HOUR_MS, 5 * HOUR_MS, DAY_MS]), CHANNELS)
    def holds(seed: int, limit: int, window_ms: int, channels: tuple[str, ...]) -> None:
        governance = Governance(caps=(Cap("cap", limit, window_ms, channels=channels),))
        sent = swept(seed, governance, "UTC").taken(channels)
        for at in sent:
            assert sum(at - window_ms < other <= at for other in sent) <= limit

    holds()


@sizes(20, 1_000)
def test_no_calendar_day_of_any_place_holds_more_than_a_cap_allows(size: int) -> None:
    @runs(size)
    @given(SEEDS, st.integers(1, 3), ZONES, CHANNELS)
    def holds(seed: int, limit: int, zone: str, channels: tuple[str, ...]) -> None:
        governance = Governance(caps=(Cap("cap", limit, calendar="day", channels=channels),))
        days: dict[str, int] = {}
        for at in swept(seed, governance, zone).taken(channels):
            day = datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).date().isoformat()
            days[day] = days.get(day, 0) + 1
        assert max(days.values(), default=0) <= limit

    holds()


@sizes(20, 1_000)
def test_two_messages_are_never_closer_than_a_gap_allows(size: int) -> None:
    @runs(size)
    @given(SEEDS, st.sampled_from([MINUTE_MS, HOUR_MS, 6 * HOUR_MS]), CHANNELS)
    def holds(seed: int, gap_ms: int, channels: tuple[str, ...]) -> None:
        sent = swept(seed, Governance(gaps=(Gap("gap", gap_ms, channels=channels),)), "UTC").taken(
            channels
        )
        assert all(after - before >= gap_ms for before, after in pairwise(sent))

    holds()


def test_the_campaigns_send_enough_to_prove_something() -> None:
    free = [len(swept(seed, Governance(), "UTC").taken(())) for seed in range(10)]
    capped = [
        len(swept(seed, Governance(caps=(Cap("cap", 2, DAY_MS),)), "UTC").taken(()))
        for seed in range(10)
    ]
    assert min(free) > 5
    assert sum(capped) < sum(free) / 2
