"""The outcome of each simulated message: enough to count and compare it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.core.counts import MILLIONTHS
from orchestrator.core.facts import Triggered, Unpreparable
from orchestrator.core.gates import Verdict
from orchestrator.core.message import Message, Status
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.engine.batch import Decided

RULE_GATES = ("quiet_hours", "caps", "gaps", "budget")
OutcomeKey = tuple[str, str, str]
"""Event, recipient and policy: the same under every version of the policy, and in reality."""


@dataclass(slots=True)
class MessageOutcome:
    """
    ``event`` is ``source id``, numbered for what a journey sends; ``version`` the policy's;
    ``sends`` the channels in the order of their sends with their times (ms after the message
    was made); ``rules`` the rules that made it wait or skip; ``cost`` millionths of the
    currency; ``reached_ms`` how long after it was made it had succeeded, None where it had not;
    ``skips`` the steps that were left without a send, as channel and reason; ``broken`` what
    was wrong with its templates, as channel and what.
    """

    event: str
    recipient: str
    policy: str
    message_class: str
    locale: str
    status: str = ""
    reason: str = ""
    by: str = ""
    reached_ms: int | None = None
    cost: int = 0
    flags: tuple[str, ...] = ()
    sends: list[tuple[str, int]] = field(default_factory=list)
    rules: set[tuple[str, str]] = field(default_factory=set)
    skips: tuple[tuple[str, str], ...] = ()
    broken: set[tuple[str, str]] = field(default_factory=set)
    version: str = ""

    @property
    def key(self) -> OutcomeKey:
        return (self.event, self.recipient, self.policy)


class OutcomeCollector:
    """
    Collects the outcomes of the messages of some policies. ``locale_of`` gives the locale of a
    recipient, "" unknown.
    """

    def __init__(self, policies: frozenset[str]) -> None:
        self._policies = policies
        self.locales: dict[str, str] = {}
        self.by_message: dict[str, MessageOutcome] = {}
        self._made: Counter[OutcomeKey] = Counter()

    def watch(self, decided: Decided, now: int) -> None:
        """Record one decision."""
        message = decided.decision.message
        if message.policy not in self._policies:
            return
        if isinstance(decided.fact, Triggered):
            locale = self.locales.get(message.recipient, "")
            outcome = self.by_message[message.id] = outcome_of(message, locale)
            if message.journey is not None:
                self._made[outcome.key] += 1
                outcome.event += f" #{self._made[outcome.key]}"
        outcome = self.by_message[message.id]
        if isinstance(decided.fact, Unpreparable):
            run = message.run_of(decided.fact.step)
            outcome.broken.add((run.channel if run is not None else "", decided.fact.detail))
        for check in decided.decision.checks:
            if check.verdict is not Verdict.GO and check.gate in RULE_GATES:
                outcome.rules.add((check.gate, check.rule or ""))
        note(outcome, decided.before, message, now)


def outcome_of(message: Message, locale: str = "") -> MessageOutcome:
    """The outcome of a message that has just been made."""
    event = f"{message.event_source} {message.event_id}"
    what = (message.policy, message.message_class, locale)
    return MessageOutcome(event, message.recipient, *what, version=message.policy_version)


def note(outcome: MessageOutcome, before: Message | None, message: Message, now: int) -> None:
    """Record what a decision has changed."""
    known = len(before.attempts) if before is not None else 0
    for attempt in message.attempts[known:]:
        outcome.sends.append((attempt.channel, now - message.starts_at))
    if before is None or before.status is not message.status or before.flags != message.flags:
        outcome.status = message.status.value
        outcome.reason = message.reason.value if message.reason is not None else ""
        outcome.by = message.succeeded_by or ""
        outcome.flags = tuple(message.flags)
        if message.status is Status.SUCCEEDED and outcome.reached_ms is None:
            outcome.reached_ms = now - message.starts_at
        outcome.skips = tuple(skips(message))
    if message.attempts and (
        known != len(message.attempts) or attempt_outcomes(before) != attempt_outcomes(message)
    ):
        outcome.cost = int(message.spent() * MILLIONTHS)


def skips(message: Message) -> Iterator[tuple[str, str]]:
    """The steps of a message that ended without a send."""
    tried = {attempt.step for attempt in message.attempts}
    for run in message.runs:
        if run.ended is not None and run.step not in tried:
            yield run.channel, run.ended.value


def attempt_outcomes(message: Message | None) -> list[OutcomeKind]:
    return [attempt.outcome for attempt in message.attempts] if message is not None else []
