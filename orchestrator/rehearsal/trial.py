"""One test played: its events and acts through the real service in virtual time, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from orchestrator.channels import Accepted, Inbound, Outgoing, Receipt
from orchestrator.configuration import Configuration
from orchestrator.core.message import Message
from orchestrator.core.policy import DAY_MS, MINUTE_MS
from orchestrator.engine.commands import (
    Cancel,
    Command,
    HearInbound,
    HearReceipt,
    OptOut,
    Publish,
    Published,
    PutRecipient,
)
from orchestrator.engine.desk import Decided
from orchestrator.rehearsal.acts import Act, Becomes, Cancels, Happens, OptsOut, Replies, Reports
from orchestrator.rehearsal.given import charges
from orchestrator.rehearsal.played import Reaction
from orchestrator.rehearsal.testfile import PolicyTest
from orchestrator.rehearsal.timeline import Moment, moments
from orchestrator.rehearsal.world import Props, World
from orchestrator.simulator.loop import VirtualLoop, run
from orchestrator.stores.port import Changes


@dataclass(slots=True)
class Happened:
    """
    What came of a test. ``message`` is None where the event made none; ``sent`` are the contents by channel, the last one
    of each; ``troubles`` are acts that could not be played, with the line they stand on.
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
    """One test in one world."""

    def __init__(self, test: PolicyTest, configuration: Configuration, props: Props) -> None:
        self.test = test
        self._configuration = configuration
        self._props = props
        self._moments: dict[str, list[Moment]] = {}
        self._messages: dict[str, Message] = {}
        self._sent: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._asked: dict[str, int] = {}
        self._main = ""
        self._happened = Happened()

    def play(self) -> Happened:
        """The whole test, from the first entry of its history until nothing can come any more."""
        return run(self._play)

    async def _play(self, loop: VirtualLoop) -> Happened:
        test, given = self.test, self.test.given
        start = given.now + min([0, *(act.at_ms for act in given.acts)])
        policies = {test.policy.name: test.policy}
        self._world = World(
            loop, start, self._configuration, policies, props=self._props, react=self._react, watch=self._watch
        )
        await self._world.open()
        if given.earlier:
            await self._put_earlier()
        for act in given.acts:
            if act.at_ms < 0:
                await self._world.sleep_until(given.now + act.at_ms)
                await self._act(act)
        await self._world.sleep_until(given.now)
        published: Published = await self._world.submit(Publish(given.event))
        self._main = published.messages[0] if published.messages else ""
        for act in given.acts:
            if act.at_ms >= 0:
                await self._world.sleep_until(given.now + act.at_ms)
                await self._act(act)
        await self._settle(given.now + test.policy.deadline_ms + MINUTE_MS)
        await self._world.close()
        return self._result()

    async def _settle(self, end: int) -> None:
        """Until every deadline has passed and every receipt has come."""
        await self._world.sleep_until(max(end, self._world.clock.now()))
        while self._world.reports and self._world.clock.now() < end + 30 * DAY_MS:
            await self._world.sleep_until(max(self._world.reports))

    async def _put_earlier(self) -> None:
        """The recipient as somebody who has had messages before."""
        given = self.test.given
        id = given.event.recipients[0]["id"]
        document = {"id": id, "attributes": {}, "charges": charges(given.earlier, given.now)}
        await self._world.store.commit(Changes(recipients={id: orjson.dumps(document)}))

    def _react(self, provider: str, message: Outgoing) -> Reaction:
        channel = self._configuration.settings.providers[provider].channel
        self._sent.setdefault(message.message_id, {})[channel] = message.content
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

    async def _act(self, act: Act) -> None:
        command = self._command(act)
        if command is not None:
            await self._world.submit(command)

    def _command(self, act: Act) -> Command | None:
        """What an act says to the engine; None, and a trouble, where there is nothing to say it about."""
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
        self._happened.troubles.append((act.mark.line, "there is no message to cancel"))
        return None

    def _receipt(self, act: Act, channel: str, state: Any) -> Command | None:
        message = self._messages.get(self._main)
        found = [attempt for attempt in (message.attempts if message else []) if attempt.channel == channel]
        if not found:
            self._happened.troubles.append((act.mark.line, f"nothing was sent on {channel} that a receipt could be about"))
            return None
        attempt = found[-1]
        return HearReceipt(attempt.provider, Receipt(state=state), self._main, attempt.number)

    def _reply(self, act: Act, channel: str, text: str) -> Command | None:
        accounts = self._configuration.settings.channels[channel]
        profile = self.test.given.event.recipients[0]
        for account in accounts:
            for kind in account.adapter_type.supports.address:
                value = profile.get(kind)
                if isinstance(value, str):
                    return HearInbound(account.provider, channel, Inbound(kind=kind, value=value, text=text))
        self._happened.troubles.append((act.mark.line, f"the recipient has no address to reply from on {channel}"))
        return None

    def _result(self) -> Happened:
        happened = self._happened
        happened.message = self._messages.get(self._main)
        happened.moments = self._moments.get(self._main, [])
        happened.sent = dict(self._sent.get(self._main, {}))
        return happened
