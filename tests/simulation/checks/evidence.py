"""
The ground truth, joined: which write belongs to which attempt of which message, and when its intent
was committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.message import TERMINAL, Attempt, Message
from orchestrator.core.outcomes import OutcomeKind
from orchestrator.core.policy import Policy, Step
from tests.simulation.scenery import Human, Rulebook
from tests.simulation.truth import Deed, Moment, Write
from tests.simulation.world import SimulatedRun

ENDS = frozenset(status.value for status in TERMINAL)
PRESUMED_MS = 5_000
"""
The time after its provider's timeout at which an attempt without an answer is presumed unknown.
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """
    One write with its attempt: ``intent`` is when the attempt became durable, None where it never
    was before it.
    """

    write: Write
    message: Message
    attempt: Attempt
    intent: Moment | None

    @property
    def step(self) -> int:
        return self.attempt.step


class Evidence:
    """Built once a run; everything the checkers ask more than once."""

    def __init__(self, run: SimulatedRun) -> None:
        self.run = run
        self.ledger = run.ledger
        self.messages: dict[str, Message] = {
            id: stored.message for id, stored in run.stored.items()
        }
        self.humans: dict[str, Human] = {human.id: human for human in run.scenery.humans}
        self.policies: dict[tuple[str, str], Policy] = {
            (policy.name, policy.version): policy
            for rulebook in run.scenery.books
            for policy in rulebook.policies.values()
        }
        self.intents: dict[tuple[str, int], Moment] = {}
        self.created: dict[str, Moment] = {}
        self.ended: dict[str, Moment] = {}
        counts: dict[str, int] = {}
        for commit in self.ledger.commits:
            self.created.setdefault(commit.message, commit.moment)
            if commit.status in ENDS:
                self.ended.setdefault(commit.message, commit.moment)
            for number in range(counts.get(commit.message, 0), commit.attempts):
                self.intents[commit.message, number] = commit.moment
            counts[commit.message] = max(commit.attempts, counts.get(commit.message, 0))
        self.strays: list[Write] = []
        self.sent: list[Sent] = list(self._join())
        self.sent_of: dict[tuple[str, int], list[Sent]] = {}
        for one in self.sent:
            self.sent_of.setdefault((one.message.id, one.attempt.number), []).append(one)
        self.published: dict[str, Deed] = {deed.what["id"]: deed for deed in self.deeds("publish")}
        self.published |= {
            message.event_id: happened(message)
            for message in self.messages.values()
            if follows(message)
        }

    def _join(self) -> Iterator[Sent]:
        keys = self.run.keys
        for write in self.ledger.writes:
            read = keys.read_receipt_token if write.channel == "web_push" else keys.read_reference
            place = read(write.reference)
            message = self.messages.get(place[0]) if place is not None else None
            if place is None or message is None or place[1] >= len(message.attempts):
                self.strays.append(write)
                continue
            yield Sent(write, message, message.attempts[place[1]], self.intents.get(place))

    def name(self, message: str) -> str:
        """A message as the story calls it."""
        return f"{self.ledger.alias(message)} ({message})"

    def policy(self, message: Message) -> Policy:
        return self.policies[message.policy, message.policy_version].variant(message.arm)

    def step(self, sent: Sent) -> Step:
        return self.policy(sent.message).plan[sent.attempt.step]

    def deeds(self, *kinds: str) -> Iterator[Deed]:
        """The deeds of some kinds, in the order in which they were first done."""
        return (deed for deed in self.ledger.deeds if deed.kind in kinds)

    def ended_before(self, message: str, deed: Deed) -> bool:
        """Whether a message had ended when a deed was done."""
        ended = self.ended.get(message)
        return ended is not None and deed.answered is not None and ended.order < deed.answered.order

    def books_at(self, moment: Moment) -> list[Rulebook]:
        """The rulebook in force, and while one takes the place of another, both."""
        books, number, candidates = self.run.scenery.books, 0, []
        for reload, rulebook in self.ledger.reloads:
            if reload.order > moment.order:
                break
            if moment.at - reload.at < 2 or self.broken_between(reload.at, moment.at):
                candidates.append(books[number])
            number = rulebook
        return [*candidates, books[number]]

    def broken_between(self, start: float, end: float) -> bool:
        """
        Whether the service was down or frozen at some time within a span of at most some seconds
        before ``end``.
        """
        return end - start < 600 and any(a < end and b > start for a, b in self.ledger.breaks)

    def jumped(self, start: float, end: float) -> bool:
        """Whether the wall clock was set within a span of virtual seconds."""
        return any(start <= jump.at <= end for jump in self.ledger.jumps)

    def may_have_left(self, attempt: Attempt, message: str) -> bool:
        """
        Whether an attempt counts as sent: the provider took it, or nobody can say that it did not.
        """
        took = any(one.write.accepted for one in self.sent_of.get((message, attempt.number), ()))
        return took or attempt.outcome in (
            OutcomeKind.ACCEPTED,
            OutcomeKind.UNKNOWN,
            OutcomeKind.PENDING,
        )

    def was_unknown(self, attempt: Attempt) -> bool:
        """Whether an answer came only after the attempt had been given up as unknown."""
        presumed = attempt.intent_at + attempt.timeout_ms + PRESUMED_MS
        return attempt.answered_at is not None and attempt.answered_at >= presumed


def follows(message: Message) -> bool:
    """Whether a message was started by what happened inside."""
    return message.event_type.startswith("kaskad.")


def happened(message: Message) -> Deed:
    """What started such a message, in the shape of a published event; it is no deed of anybody."""
    of_person = message.event_type == "kaskad.opt_out"
    what = {
        "id": message.event_id,
        "type": message.event_type,
        "cart": message.recipient if of_person else message.caused_by,
        "total": 500,
        "people": [message.recipient],
        "odd": None,
        "time": None,
        "starts_at": None,
    }
    return Deed("inside", what)
