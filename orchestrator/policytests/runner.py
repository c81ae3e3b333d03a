"""
One test, run: its events and actions through the service's own decisions in virtual time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from orchestrator.channels import Accepted, Inbound, Receipt
from orchestrator.channels.registry import address_kinds, channels, usable_kinds
from orchestrator.configuration.loading import Configuration
from orchestrator.core.journey.journey import Journey
from orchestrator.core.journey.state import JourneyRun
from orchestrator.core.message import Attempt, Message
from orchestrator.core.policy import DAY_MS, MINUTE_MS, Policy
from orchestrator.core.reasons import Reason
from orchestrator.engine.batch import Decided
from orchestrator.engine.commands import (
    Cancel,
    Command,
    OptOut,
    Publish,
    Published,
    PutRecipient,
    RecordInbound,
    RecordReceipt,
)
from orchestrator.explain.views import message_view
from orchestrator.policytests.actions import (
    Action,
    Becomes,
    Cancels,
    Happens,
    OptsOut,
    Replies,
    Reports,
)
from orchestrator.policytests.file import PolicyTest
from orchestrator.policytests.given import charges
from orchestrator.policytests.timeline import TimelineEntry, entries
from orchestrator.virtual.fast_runner import FastRunner
from orchestrator.virtual.scripted_provider import Reaction
from orchestrator.virtual.shared_tools import SharedTools

AFTERMATH_MS = 30 * DAY_MS
"""How long after the deadline receipts are still recorded."""


@dataclass(slots=True)
class Observed:
    """
    The result of a test. ``message`` is None if the event made none; ``sent`` has the last content
    of each channel; ``impossible`` has the actions that could not be done, with their line;
    ``reasons`` are those that any message of the policy met; ``others`` has the last message of
    each policy that plays together with it.
    """

    message: Message | None = None
    entries: list[TimelineEntry] = field(default_factory=list)
    sent: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    impossible: list[tuple[int, str]] = field(default_factory=list)
    reasons: frozenset[Reason] = frozenset()
    others: dict[str, Observed] = field(default_factory=dict)
    run: JourneyRun | None = None
    """Of a test of a journey: its run."""
    carried_out: frozenset[str] = frozenset()
    """The paths of the steps that it carried out."""
    started: list[tuple[int, str]] = field(default_factory=list)
    """The messages of that run: when each began after the test's event (ms), and its policy."""
    person: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cost(self) -> Decimal:
        """The cost of what was accepted, or may have been."""
        return self.message.spent() if self.message is not None else Decimal(0)


class PolicyTestRunner:
    """One test with a runner of its own."""

    def __init__(self, test: PolicyTest, configuration: Configuration, tools: SharedTools) -> None:
        self.test = test
        self._configuration = configuration
        self._tools = tools
        self._moments: dict[str, list[TimelineEntry]] = {}
        self._messages: dict[str, Message] = {}
        self._asked: dict[str, int] = {}
        self._main = ""
        self._observed = Observed()

    @property
    def start(self) -> int:
        """The instant of the first entry of the history, else of the event."""
        given = self.test.given
        return given.now + min([0, *(action.at_ms for action in given.actions)])

    @property
    def policies(self) -> dict[str, Policy]:
        return {one.name: one for one in (self.test.policy, *self.test.together)}

    @property
    def journeys(self) -> dict[str, Journey]:
        """None: a test of a policy is about its messages alone."""
        return {}

    def run(self) -> Observed:
        """Run the test from the first entry of its history until nothing can come any more."""
        test, given = self.test, self.test.given
        configuration, meet, watch = self._configuration, self._meet, self._watch
        self._runner = runner = FastRunner(
            configuration,
            self.policies,
            self.start,
            meet,
            watch,
            {},
            self._tools,
            keep=True,
            view=message_view,
            codes=given.codes,
            journeys=self.journeys,
        )
        if given.earlier:
            runner.add_recipient(self.known_recipient())
        self._run_actions([action for action in given.actions if action.at_ms < 0])
        runner.run_until(given.now)
        self._published(runner.submit(given.now, Publish(given.event)))
        self._run_actions([action for action in given.actions if action.at_ms >= 0])
        starts = max(given.now, given.event.not_before or 0)
        deadline_at = starts + test.policy.deadline_ms
        end = max(
            [deadline_at + MINUTE_MS, *(given.now + action.at_ms for action in given.actions)]
        )
        runner.run_until(end)
        if test.together:
            end += max(other.deadline_ms for other in test.together) + MINUTE_MS
            runner.run_until(end)
        while end < runner.last_receipt_at < deadline_at + AFTERMATH_MS:
            end = runner.last_receipt_at
            runner.run_until(end)
        return self._result(self.said_of(self._main))

    def _run_actions(self, actions: Sequence[Action]) -> None:
        for action in actions:
            at = self.test.given.now + action.at_ms
            self._runner.run_until(at)
            command = self._command(action)
            if command is not None:
                self._runner.submit(at, command)

    def _published(self, published: Published) -> None:
        self._main = published.messages[0] if published.messages else ""

    def known_recipient(self) -> dict[str, Any]:
        """The document of a recipient who has had messages before."""
        given = self.test.given
        id = given.event.recipients[0]["id"]
        return {"id": id, "attributes": {}, "cap_usages": charges(given.earlier, given.now)}

    def _meet(self, provider: str, message: Message, attempt: Attempt) -> Reaction:
        return self.reaction(provider)

    def reaction(self, provider: str) -> Reaction:
        """The provider's reaction to its next message."""
        reactions = self.test.given.reactions.get(provider)
        if not reactions:
            return Reaction(Accepted())
        turn = self._asked.get(provider, 0)
        self._asked[provider] = turn + 1
        return reactions[min(turn, len(reactions) - 1)]

    def _watch(self, decided: Decided, now: int) -> None:
        message = decided.decision.message
        self._messages[message.id] = message
        self._moments.setdefault(message.id, []).extend(entries(decided, now))

    def _command(self, action: Action) -> Command | None:
        """
        The engine's command for an action; None, with a trouble, if there is nothing it applies to.
        """
        given = self.test.given
        recipient = given.event.recipients[0]["id"]
        match action.what:
            case Happens(event):
                return Publish(event)
            case OptsOut(channel, topic):
                return OptOut(recipient=recipient, channel=channel, topic=topic)
            case Becomes(profile):
                return PutRecipient(recipient, profile)
            case Replies(channel, text):
                return self._reply(action, channel, text)
            case Reports(channel, state):
                return self._receipt(action, channel, state)
            case Cancels() if self._main:
                return Cancel(self._main)
        self._observed.impossible.append((action.position.line, "there is no message to cancel"))
        return None

    def _receipt(self, action: Action, channel: str, state: Any) -> Command | None:
        message = self._messages.get(self._main)
        found = [
            attempt
            for attempt in (message.attempts if message else [])
            if attempt.channel == channel
        ]
        if not found:
            self._observed.impossible.append(
                (
                    action.position.line,
                    f"nothing was sent on {channel} that a receipt could be about",
                )
            )
            return None
        attempt = found[-1]
        return RecordReceipt(attempt.provider, Receipt(state=state), self._main, attempt.number)

    def _reply(self, action: Action, channel: str, text: str) -> Command | None:
        accounts = self._configuration.settings.channels[channel]
        profile = self.test.given.event.recipients[0]
        for account in accounts if channels()[channel].two_way else ():
            for kind in usable_kinds(account.adapter_type.supports, channel):
                asked = address_kinds()[kind]
                for value, _ in asked.entries(profile.get(asked.written_as)):
                    return RecordInbound(
                        account.provider, channel, Inbound(kind=kind, value=value, text=text)
                    )
        self._observed.impossible.append(
            (action.position.line, f"the recipient has no address to reply from on {channel}")
        )
        return None

    def _observed_of(self, message: Message) -> Observed:
        return Observed(message, self._moments[message.id], dict(self.said_of(message.id)))

    def said_of(self, message: str) -> Mapping[str, Mapping[str, Any]]:
        """The last content of a message on each channel."""
        said = self._runner.said.items()
        return {channel: words for (id, channel), words in said if id == message}

    def _result(self, sent: Mapping[str, Mapping[str, Any]]) -> Observed:
        observed = self._observed
        observed.message = self._messages.get(self._main)
        observed.entries = self._moments.get(self._main, [])
        observed.sent = dict(sent)
        for other in self.test.together:
            own = [one for one in self._messages.values() if one.policy == other.name]
            if own:
                observed.others[other.name] = self._observed_of(own[-1])
        observed.reasons = frozenset(
            entry.reason
            for id, found in self._moments.items()
            if self._messages[id].policy == self.test.policy.name
            for entry in found
            if entry.reason is not None
        )
        return observed
