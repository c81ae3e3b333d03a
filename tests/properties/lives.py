"""
Random lives: any policy, any people, any providers, and facts in any order, many of them out of
place.

Everything comes from one ``Random``, so a seed is a whole life.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from orchestrator.core import facts
from orchestrator.core.cascade.decide import Decision, decide
from orchestrator.core.effects import ReleaseCap, ReserveCap
from orchestrator.core.inputs import Inputs, Provider
from orchestrator.core.message import Message
from orchestrator.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from orchestrator.core.policy import (
    CLASSES,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Budget,
    Cap,
    Gap,
    Governance,
    OnHit,
    Policy,
    QuietHours,
    Retry,
    Step,
    Window,
)
from orchestrator.core.reasons import REFUSALS, Reason
from orchestrator.core.recipient import Address, AddressState, CapUsage, Consent, Suppression
from orchestrator.core.status import WAITABLE, Delivery, Engagement
from orchestrator.core.values import replace
from orchestrator.history.codec import decode_history, encode_entry

START = 1_795_000_000_000
CHANNELS = ("web_push", "viber", "email", "sms")
KINDS = {
    "web_push": ("web_push",),
    "viber": ("phone", "viber_bot_id"),
    "email": ("email",),
    "sms": ("phone",),
}
ADDRESSES = (
    Address("phone", "+380501234567", "h-phone", (), "UA", "+380…67"),
    Address("email", "olena@example.com", "h-mail", shown="o…@example.com"),
    Address("web_push", "https://push.example/a", "h-push-a", (("auth", "x"), ("p256dh", "y"))),
    Address("web_push", "https://push.example/b", "h-push-b"),
    Address("viber_bot_id", "bot-1", "h-bot"),
    Address("phone", "+48501234567", "h-phone-pl", (), "PL", "+485…67"),
)
NOT_SENT = (Reason.CONNECT_FAILED, Reason.THROTTLED, Reason.NOT_TAKEN, Reason.START_TOO_LATE)
UNKNOWN = (
    Reason.TIMED_OUT,
    Reason.CONNECTION_LOST,
    Reason.SERVER_ERROR,
    Reason.RESPONSE_UNREADABLE,
)
CONTENT = (Reason.MISSING_VARIABLE, Reason.TEMPLATE_MISSING, Reason.TEMPLATE_ERROR, Reason.TOO_LONG)
LONG_MS = (MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, DAY_MS)


def chance(rng: Random, one_in: int) -> bool:
    return rng.randrange(one_in) == 0


def some(rng: Random, values: tuple[Any, ...], most: int | None = None) -> tuple[Any, ...]:
    """A few of them, in their order."""
    kept = tuple(value for value in values if chance(rng, 2))
    return kept[:most]


def a_step(rng: Random, channel: str) -> Step:
    states = some(rng, WAITABLE)
    return Step(
        channel,
        wait=tuple((state, rng.choice(LONG_MS)) for state in states),
        when="event.x" if chance(rng, 4) else None,
        on_unknown=rng.choice(("wait", "wait", "resend", "advance")),
        retry=Retry(rng.randrange(4), rng.choice((0, 2_000, MINUTE_MS))),
        max_cost="0.45" if chance(rng, 5) else None,
        max_parts=1 if chance(rng, 5) else None,
    )


def a_policy(rng: Random) -> Policy:
    return Policy(
        "life",
        "v1",
        "shop.event",
        tuple(a_step(rng, rng.choice(CHANNELS)) for _ in range(1 + rng.randrange(4))),
        message_class=rng.choice(CLASSES),
        topic="news",
        deadline_ms=rng.choice((10 * MINUTE_MS, HOUR_MS, DAY_MS)),
        also=(a_step(rng, rng.choice(CHANNELS)),) if chance(rng, 3) else (),
        order=rng.choice(("fixed", "fixed", "cheapest")),
        late=rng.choice(("close", "close", "ignore")),
    )


def a_governance(rng: Random, version: str) -> Governance:
    on_hit: tuple[OnHit, ...] = ("defer", "skip_step", "drop")
    quiet = QuietHours(
        "night",
        (Window(21 * 60, 9 * 60),) * 7,
        on_hit=rng.choice(on_hit),
        max_defer_ms=rng.choice((None, HOUR_MS)),
    )
    caps = (
        Cap("hourly", rng.randrange(3), window_ms=HOUR_MS, on_hit=rng.choice(on_hit)),
        Cap("daily", 1, calendar="day", channels=("sms",), on_hit=rng.choice(on_hit)),
    )
    return Governance(
        version=version,
        quiet_hours=(quiet,) if chance(rng, 4) else (),
        caps=some(rng, caps) if chance(rng, 3) else (),
        gaps=(Gap("gap", MINUTE_MS, on_hit=rng.choice(on_hit)),) if chance(rng, 5) else (),
        budgets=(Budget("sms", "1.00", "UAH", rng.choice(("hold", "skip_step", "drop"))),)
        if chance(rng, 5)
        else (),
        consent={"otp": "bypass", "promotional": rng.choice(("opt_in", "opt_out"))},
        sms_countries=("UA",) if chance(rng, 4) else (),
    )


def a_consent(rng: Random, at: int) -> Consent:
    return Consent(
        rng.choice(("*", *CHANNELS)),
        rng.choice(("*", "news")),
        rng.choice(("in", "in", "in", "out")),
        at - rng.randrange(DAY_MS),
        rng.choice(("", "form", "stop", "start")),
    )


def an_outcome(rng: Random) -> Outcome:
    match rng.randrange(5):
        case 0 | 1:
            return Accepted(rng.choice((None, "id-1")))
        case 2:
            pause = rng.choice((None, None, 500, HOUR_MS))
            return NotSent(rng.choice(NOT_SENT), pause, rng.choice((None, "503")))
        case 3:
            reason = rng.choice(sorted(REFUSALS))
            return Refused(
                reason,
                rng.choice((None, "131026")),
                suppress_after=1 + rng.randrange(2),
                classes=some(rng, ("promotional",)),
            )
    return Unknown(rng.choice(UNKNOWN), detail="x")


@dataclass(slots=True)
class Lived:
    """One fact of a life: the message before it, what was given, and what was decided."""

    at: int
    fact: facts.Fact
    inputs: Inputs
    before: Message
    decision: Decision


@dataclass
class Life:
    """
    A life as it is lived; ``history`` is what a store makes of the ``lines`` that were written.
    """

    rng: Random
    policy: Policy = field(init=False)
    governances: dict[str, Governance] = field(default_factory=dict)
    cap_usages: tuple[CapUsage, ...] = ()
    lines: bytes = b""
    lived: list[Lived] = field(default_factory=list)
    written: list[Lived] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = self.rng
        self.policy = a_policy(rng)
        self.now = START
        for version in ("g1", "g2"):
            self.governances[version] = a_governance(rng, version)
        self.message = Message(
            id="01KLIFE",
            event_source="shop",
            event_id="1",
            event_type="shop.event",
            recipient="olena",
            policy="life",
            policy_version="v1",
            message_class=self.policy.message_class,
            topic="news",
            created_at=START,
            deadline_at=START + self.policy.deadline_ms,
            currency="UAH",
        )
        if chance(rng, 3):
            self.cap_usages = (
                CapUsage(
                    "other",
                    self.policy.message_class,
                    "sms",
                    0,
                    START - rng.randrange(2 * HOUR_MS),
                    True,
                ),
            )
        self.apply(facts.Triggered())

    @property
    def history(self) -> list[dict[str, Any]]:
        return list(decode_history(self.lines))

    def inputs(self) -> Inputs:
        """
        Everything a decision rests on, drawn anew for each: the world does not hold still between
        facts.
        """
        rng = self.rng
        names = [f"{channel}_{letter}" for channel in CHANNELS for letter in "ab"]
        providers = {
            name: Provider(
                name,
                name[:-2],
                KINDS[name[:-2]],
                timeout_ms=rng.choice((1_000, 10_000)),
                cost=rng.choice((None, "0", "0.40", "1.20")),
                shut_until=self.now + rng.choice((-1, 1, MINUTE_MS)) if chance(rng, 8) else None,
                idempotent=chance(rng, 4),
                fan_out=name[:-2] == "web_push",
                country_rule=name[:-2] == "sms",
                otp_limits=name[:-2] == "sms",
            )
            for name in names
            if not chance(rng, 8)
        }
        suppressions = {"sms": Suppression("refused_address", "sms_a", START, "410")}
        states = {
            address.hash: AddressState(
                address.hash,
                (a_consent(rng, self.now),) if chance(rng, 6) else (),
                suppressions if chance(rng, 6) else {},
            )
            for address in some(rng, ADDRESSES)
        }
        return Inputs(
            governance=self.governances[rng.choice(("g1", "g1", "g2"))],
            zone=rng.choice((None, "Europe/Kyiv", "Nowhere/At_All")),
            addresses=tuple(address for address in ADDRESSES if not chance(rng, 8)),
            address_states=states,
            consents=tuple(a_consent(rng, self.now) for _ in range(rng.randrange(3))),
            cap_usages=self.cap_usages,
            conditions={
                f"step:{step}": rng.choice((True, True, False, None))
                for step in range(len(self.policy.plan))
            },
            providers=providers,
            channels={channel: (f"{channel}_a", f"{channel}_b") for channel in CHANNELS},
            currency="UAH",
            over_budget={"sms": self.now + HOUR_MS} if chance(rng, 10) else {},
            outages=some(rng, CHANNELS) if chance(rng, 6) else (),
            too_fast=("h-phone",) if chance(rng, 8) else (),
            goal_reached=chance(rng, 20) and not self.lived,
            duplicate_of="01KOTHER" if chance(rng, 20) and not self.lived else None,
        )

    def apply(self, fact: facts.Fact) -> None:
        inputs = self.inputs()
        before = self.message
        decision = decide(self.policy, before, inputs, fact, self.now)
        line = encode_entry(self.now, fact, before, decision)
        self.lines += line
        self.lived.append(Lived(self.now, fact, inputs, before, decision))
        self.written += self.lived[-1:] if line else []
        self.message = decision.message
        for effect in decision.effects:
            if isinstance(effect, ReserveCap):
                self.cap_usages = (*self.cap_usages, effect.usage)
            elif isinstance(effect, ReleaseCap):
                kept = (
                    c for c in self.cap_usages if (c.message, c.step) != (before.id, effect.step)
                )
                self.cap_usages = tuple(kept)

    def live(self, most: int) -> None:
        """Up to ``most`` more facts."""
        for _ in range(self.rng.randrange(most + 1)):
            self.pass_time()
            self.apply(self.next_fact())

    def pass_time(self) -> None:
        """
        Mostly a little; sometimes to the moment that was asked for; now and then a clock goes back.
        """
        rng, due_at = self.rng, self.message.due_at
        if due_at is not None and chance(rng, 3):
            self.now = due_at + rng.choice((0, 0, 1, MINUTE_MS))
        elif chance(rng, 15):
            self.now -= rng.randrange(10_000)
        else:
            self.now += rng.choice((0, 1, 200, 3_000, 3_000, MINUTE_MS, HOUR_MS))

    def next_fact(self) -> facts.Fact:
        """
        A random next fact, possible or not: a fact for a step that is not ready has come too late.
        """
        rng, message = self.rng, self.message
        ready = message.ready()
        if ready and not chance(rng, 4):
            return self.prepared(rng.choice(ready).step)
        pending = [attempt.number for attempt in message.attempts if attempt.answered_at is None]
        if pending and not chance(rng, 4):
            return facts.Answered(rng.choice(pending), an_outcome(rng))
        if message.due_at is not None and message.due_at <= self.now and not chance(rng, 4):
            return facts.Due(message.due_at)
        if message.attempts and not chance(rng, 4):
            return self.receipt()
        return self.anything()

    def anything(self) -> facts.Fact:
        rng, message = self.rng, self.message
        step = rng.randrange(len(self.policy.plan))
        name = f"{self.policy.plan[step].channel}_{rng.choice('ab')}"
        match rng.randrange(12):
            case 0:
                return facts.GoalReached("shop", "order")
            case 1:
                return facts.Cancelled(rng.choice((Reason.CANCELLED, Reason.ERASED)))
            case 2 | 3:
                return facts.Unpreparable(step, rng.choice(CONTENT), "event.total")
            case 4 | 5:
                until = self.now + rng.choice((1, 1_000, HOUR_MS))
                return facts.Shut(
                    step, name, rng.choice((Reason.BREAKER_OPEN, Reason.THROTTLED)), until
                )
            case 6 | 7 if message.attempts:
                return facts.Answered(rng.randrange(len(message.attempts)), an_outcome(rng))
            case 8 | 9:
                return self.prepared(step)
        return facts.Due(message.due_at or self.now)

    def prepared(self, step: int) -> facts.Prepared:
        rng = self.rng
        channel, run = self.policy.plan[step].channel, self.message.run_of(step)
        provider = (run.provider if run is not None else None) or f"{channel}_a"
        targets = tuple(a for a in ADDRESSES if a.kind in KINDS[channel] and not chance(rng, 12))
        return facts.Prepared(
            step,
            provider,
            targets,
            "c",
            rng.choice((None, 1, 3)),
            rng.choice((None, "0.40", "1.20")),
        )

    def receipt(self) -> facts.ReceiptReceived:
        rng = self.rng
        state = rng.choice([*Delivery, *Engagement, Delivery.DELIVERED, Engagement.READ]).value
        failing = state in ("failed", "rejected", "expired", "cancelled") and not chance(rng, 3)
        failure = Refused(rng.choice(sorted(REFUSALS)), "30003") if failing else None
        at = self.now - rng.randrange(MINUTE_MS)
        return facts.ReceiptReceived(
            rng.randrange(len(self.message.attempts)),
            state,
            at,
            failure,
            provider_id=rng.choice((None, "id-9")),
        )


def masked(address: Address) -> Address:
    """The address as a history keeps it."""
    return replace(address, value="", keys=())
