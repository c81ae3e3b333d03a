"""
One test played: its events and acts through the service's own decisions in virtual time, and what
came of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from orchestrator.channels import Accepted, Inbound, Receipt
from orchestrator.channels.registry import address_kinds, channels, usable_kinds
from orchestrator.configuration.loading import Configuration
from orchestrator.core.message import Attempt, Message
from orchestrator.core.policy import DAY_MS, MINUTE_MS, Policy
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
from orchestrator.policytests.actions import (
    Act,
    Becomes,
    Cancels,
    Happens,
    OptsOut,
    Replies,
    Reports,
)
from orchestrator.policytests.file import PolicyTest
from orchestrator.policytests.given import charges
from orchestrator.policytests.timeline import Moment, moments
from orchestrator.virtual.fast_runner import FastRunner
from orchestrator.virtual.scripted_provider import Reaction
from orchestrator.virtual.shared_tools import SharedTools

AFTERMATH_MS = 30 * DAY_MS
"""Receipts are heard so long after the deadline."""


@dataclass(slots=True)
class Happened:
    """
    What came of a test. ``message`` is None where the event made none; ``sent`` are the contents by
    channel, the last one of each; ``troubles`` are acts that could not be played, with the line
    they stand on.
    """

    message: Message | None = None
    moments: list[Moment] = field(default_factory=list)
    sent: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    troubles: list[tuple[int, str]] = field(default_factory=list)

    @property
    def cost(self) -> Decimal:
        """What was taken, or may have been taken."""
        return self.message.spent() if self.message is not None else Decimal(0)


class Trial:
    """One test on a stage of its own."""

    def __init__(self, test: PolicyTest, configuration: Configuration, tools: SharedTools) -> None:
        self.test = test
        self._configuration = configuration
        self._tools = tools
        self._moments: dict[str, list[Moment]] = {}
        self._messages: dict[str, Message] = {}
        self._asked: dict[str, int] = {}
        self._main = ""
        self._happened = Happened()

    @property
    def start(self) -> int:
        """The instant of the first entry of the history, else of the event."""
        given = self.test.given
        return given.now + min([0, *(act.at_ms for act in given.acts)])

    @property
    def policies(self) -> dict[str, Policy]:
        return {self.test.policy.name: self.test.policy}

    def play(self) -> Happened:
        """The whole test, from the first entry of its history until nothing can come any more."""
        test, given = self.test, self.test.given
        configuration, meet, watch = self._configuration, self._meet, self._watch
        self._stage = stage = FastRunner(
            configuration, self.policies, self.start, meet, watch, {}, self._tools, keep=True
        )
        if given.earlier:
            stage.add_recipient(self.known_recipient())
        self._play_acts([act for act in given.acts if act.at_ms < 0])
        stage.run_until(given.now)
        self._published(stage.submit(given.now, Publish(given.event)))
        self._play_acts([act for act in given.acts if act.at_ms >= 0])
        end = given.now + max(
            [test.policy.deadline_ms + MINUTE_MS, *(act.at_ms for act in given.acts)]
        )
        stage.run_until(end)
        while end < stage.last_receipt_at < given.now + test.policy.deadline_ms + AFTERMATH_MS:
            end = stage.last_receipt_at
            stage.run_until(end)
        sent = {
            channel: words
            for (message, channel), words in stage.said.items()
            if message == self._main
        }
        return self._result(sent)

    def _play_acts(self, acts: Sequence[Act]) -> None:
        for act in acts:
            at = self.test.given.now + act.at_ms
            self._stage.run_until(at)
            command = self._command(act)
            if command is not None:
                self._stage.submit(at, command)

    def _published(self, published: Published) -> None:
        self._main = published.messages[0] if published.messages else ""

    def known_recipient(self) -> dict[str, Any]:
        """The recipient's document, as somebody's who has had messages before."""
        given = self.test.given
        id = given.event.recipients[0]["id"]
        return {"id": id, "attributes": {}, "cap_usages": charges(given.earlier, given.now)}

    def _meet(self, provider: str, message: Message, attempt: Attempt) -> Reaction:
        return self.reaction(provider)

    def reaction(self, provider: str) -> Reaction:
        """How a provider takes its next message."""
        reactions = self.test.given.reactions.get(provider)
        if not reactions:
            return Reaction(Accepted())
        turn = self._asked.get(provider, 0)
        self._asked[provider] = turn + 1
        return reactions[min(turn, len(reactions) - 1)]

    def _watch(self, decided: Decided, now: int) -> None:
        message = decided.decision.message
        self._messages[message.id] = message
        self._moments.setdefault(message.id, []).extend(moments(decided, now))

    def _command(self, act: Act) -> Command | None:
        """
        What an act says to the engine; None, and a trouble, where there is nothing to say it about.
        """
        given = self.test.given
        recipient = given.event.recipients[0]["id"]
        match act.what:
            case Happens(event):
                return Publish(event)
            case OptsOut(channel, topic):
                return OptOut(recipient=recipient, channel=channel, topic=topic)
            case Becomes(profile):
                return PutRecipient(recipient, profile)
            case Replies(channel, text):
                return self._reply(act, channel, text)
            case Reports(channel, state):
                return self._receipt(act, channel, state)
            case Cancels() if self._main:
                return Cancel(self._main)
        self._happened.troubles.append((act.position.line, "there is no message to cancel"))
        return None

    def _receipt(self, act: Act, channel: str, state: Any) -> Command | None:
        message = self._messages.get(self._main)
        found = [
            attempt
            for attempt in (message.attempts if message else [])
            if attempt.channel == channel
        ]
        if not found:
            self._happened.troubles.append(
                (act.position.line, f"nothing was sent on {channel} that a receipt could be about")
            )
            return None
        attempt = found[-1]
        return RecordReceipt(attempt.provider, Receipt(state=state), self._main, attempt.number)

    def _reply(self, act: Act, channel: str, text: str) -> Command | None:
        accounts = self._configuration.settings.channels[channel]
        profile = self.test.given.event.recipients[0]
        for account in accounts if channels()[channel].two_way else ():
            for kind in usable_kinds(account.adapter_type.supports, channel):
                for value, _ in address_kinds()[kind].entries(profile.get(kind)):
                    return RecordInbound(
                        account.provider, channel, Inbound(kind=kind, value=value, text=text)
                    )
        self._happened.troubles.append(
            (act.position.line, f"the recipient has no address to reply from on {channel}")
        )
        return None

    def _result(self, sent: Mapping[str, Mapping[str, Any]]) -> Happened:
        happened = self._happened
        happened.message = self._messages.get(self._main)
        happened.moments = self._moments.get(self._main, [])
        happened.sent = dict(sent)
        return happened
