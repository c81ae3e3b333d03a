"""
A message's life, fact by fact: seconds on the left, facts on the right, no clock and no store.
"""

from __future__ import annotations

from typing import Any

from orchestrator.core.cascade.decide import Decision, decide
from orchestrator.core.effects import Call, EmitStatus, ReleaseCap, ReserveCap
from orchestrator.core.facts import Answered, Due, Fact, Prepared, ReceiptReceived, Triggered
from orchestrator.core.gates import DEFERRABLE_GATES, HARD_GATES, Gate
from orchestrator.core.inputs import Inputs, Provider
from orchestrator.core.message import Message
from orchestrator.core.outcomes import Accepted, Outcome
from orchestrator.core.policy import Policy, Step
from orchestrator.core.recipient import Address, CapUsage
from orchestrator.core.values import replace

START = 1_795_000_000_000
PHONE = Address("phone", "+380501234567", "hash-phone", (), "UA", "+380…67")
EMAIL = Address("email", "olena@example.com", "hash-email", shown="o…@example.com")
LAPTOP = Address("web_push", "https://push.example/a", "hash-push-a")
TABLET = Address("web_push", "https://push.example/b", "hash-push-b")

PROVIDERS = {
    "push": Provider("push", "web_push", ("web_push",), cost="0", fan_out=True),
    "viber_a": Provider("viber_a", "viber", ("phone",), cost="0.40"),
    "viber_b": Provider("viber_b", "viber", ("phone",), cost="0.50"),
    "mail": Provider("mail", "email", ("email",), cost="0.01"),
    "texts": Provider("texts", "sms", ("phone",), cost="1.20", country_rule=True, otp_limits=True),
}
CHANNELS = {
    "web_push": ("push",),
    "viber": ("viber_a", "viber_b"),
    "email": ("mail",),
    "sms": ("texts",),
}

GATES: tuple[Gate, ...] = HARD_GATES + DEFERRABLE_GATES
REASONS = {gate.name: gate.reasons for gate in GATES}
"""The reasons each gate may give; every check of every tale is compared with them."""

DEFAULT_INPUTS = Inputs(
    addresses=(PHONE, EMAIL, LAPTOP), providers=PROVIDERS, channels=CHANNELS, currency="UAH"
)


def seconds(count: float) -> int:
    return round(count * 1000)


def due(at: int | None) -> Due:
    """The timer that a message asked for; it must have asked for one."""
    assert at is not None
    return Due(at)


class Tale:
    """
    One message, decided fact by fact. ``given`` replaces ``inputs`` between facts; the cap usages
    that decisions reserve are added to them.
    """

    def __init__(self, *cascade: Step, inputs: Inputs | None = None, **policy: Any) -> None:
        policy.setdefault("message_class", "transactional")
        self.policy = Policy("tale", "v1", "shop.event", cascade, **policy)
        self.inputs = inputs or DEFAULT_INPUTS
        self.now = START
        self.calls: list[Call] = []
        self.statuses: list[str] = []
        self.message = Message(
            id="01KTALE",
            event_source="shop",
            event_id="1",
            event_type="shop.event",
            recipient="olena",
            policy="tale",
            policy_version="v1",
            message_class=self.policy.message_class,
            topic="topic",
            created_at=START,
            deadline_at=START + self.policy.deadline_ms,
        )
        self.last = self.apply(0, Triggered())

    def given(self, **inputs: Any) -> None:
        """Change what the next decisions rest on."""
        self.inputs = replace(self.inputs, **inputs)

    def apply(self, at: float, fact: Fact) -> Decision:
        """One fact, ``at`` seconds after the start."""
        self.now = START + seconds(at)
        before = self.message.copy()
        decision = decide(self.policy, self.message, self.inputs, fact, self.now)
        assert self.message == before, "decide must not change what it is given"
        self.message = decision.message
        for check in decision.checks:
            assert check.reason is None or check.reason in REASONS[check.gate]
        self.calls = [effect for effect in decision.effects if isinstance(effect, Call)]
        self.statuses += [
            effect.what for effect in decision.effects if isinstance(effect, EmitStatus)
        ]
        for effect in decision.effects:
            if isinstance(effect, ReserveCap):
                self.given(cap_usages=(*self.inputs.cap_usages, effect.usage))
            elif isinstance(effect, ReleaseCap):
                own = (self.message.id, effect.step)
                self.given(
                    cap_usages=tuple(
                        c for c in self.inputs.cap_usages if (c.message, c.step) != own
                    )
                )
        self.last = decision
        return decision

    def send(
        self,
        at: float,
        outcome: Outcome | None = None,
        *,
        step: int | None = None,
        answer: float = 0.2,
    ) -> int:
        """
        Do dispatch's part for the step that is ready: prepare, and answer. Return the number of the
        (last) attempt.
        """
        runs = self.message.ready()
        assert runs, f"nothing is ready: {self.last.said}"
        run = (
            next((run for run in runs if run.step == step), runs[0])
            if step is not None
            else runs[0]
        )
        provider = self.inputs.providers[run.provider or ""]
        targets = tuple(a for a in self.inputs.addresses if a.kind in provider.kinds)
        self.apply(at, Prepared(run.step, provider.name, targets, "content", None, provider.cost))
        assert self.calls, f"nothing left: {self.last.said} {self.last.checks}"
        for call in self.calls:
            self.apply(
                at + answer, Answered(call.attempt, outcome or Accepted(f"id-{call.attempt}"))
            )
        return len(self.message.attempts) - 1

    def due(self) -> Decision:
        """Let the time come that the message asked to be woken at."""
        assert self.message.due_at is not None, "the message waits for nothing"
        return self.apply((self.message.due_at - START) / 1000, Due(self.message.due_at))

    def receive(self, at: float, attempt: int, state: str, **more: Any) -> Decision:
        return self.apply(at, ReceiptReceived(attempt, state, START + seconds(at), **more))

    @property
    def status(self) -> str:
        return self.message.status.value

    @property
    def waits_until(self) -> float | None:
        """Seconds from the start."""
        return None if self.message.due_at is None else (self.message.due_at - START) / 1000

    @property
    def ready(self) -> list[tuple[int, str]]:
        return [(run.step, run.provider or "") for run in self.message.ready()]


def usage(
    at: float, message_class: str = "promotional", channel: str = "email", message: str = "other"
) -> CapUsage:
    return CapUsage(message, message_class, channel, 0, START + seconds(at), True)
