"""
One run of a simulation: a file of events in virtual time, with receipts drawn by chance.

There are two ways to play it. The quick one (``stage.py``) is for everyday; the whole one goes
through the engine, the dispatcher, the timers and a store in memory, everything rounded up to a
grid of ``GRAIN_MS``, and is there to show that the quick one leaves out nothing that matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.channels import Outgoing
from orchestrator.configuration.loading import Configuration
from orchestrator.core.message import Attempt, Message
from orchestrator.core.policy import DAY_MS, Policy
from orchestrator.engine.batch import Decided
from orchestrator.engine.commands import Publish
from orchestrator.engine.lanes import BATCH_MAX
from orchestrator.events.event import Event
from orchestrator.simulate.behaviour import Habits, draw, react
from orchestrator.simulate.event_file import Traffic
from orchestrator.simulate.outcomes import Life, Lives
from orchestrator.virtual.fast_runner import Contents, FastRunner
from orchestrator.virtual.full_runner import FullRunner
from orchestrator.virtual.loop import VirtualLoop, run
from orchestrator.virtual.scripted_provider import Reaction

GRAIN_MS = 1_000
AFTERMATH_MS = 3 * DAY_MS


@dataclass(frozen=True)
class Play:
    """
    What is played: ``policies`` are all that events may trigger, ``reported`` the names of those
    that are counted.
    """

    configuration: Configuration
    policies: Mapping[str, Policy]
    reported: frozenset[str]
    traffic: Traffic
    habits: Habits
    seed: int
    run: int

    @property
    def aftermath_ms(self) -> int:
        """How long after the last event something may still be sent, or be heard."""
        return max(policy.deadline_ms for policy in self.policies.values()) + AFTERMATH_MS


class Performance:
    """
    One play, once. ``contents`` may be shared by several runs of one file with the same templates.
    """

    def __init__(
        self,
        play: Play,
        advance: Callable[[int], None] = lambda events: None,
        contents: Contents | None = None,
    ) -> None:
        self._play = play
        self._advance = advance
        self._contents = contents if contents is not None else {}
        self._lives = Lives(play.reported)
        self._asked: dict[tuple[str, str, str, bool], int] = {}
        self._messages: dict[str, Message] = {}
        self._channels = {
            name: one.channel for name, one in play.configuration.settings.providers.items()
        }

    def perform(self) -> list[Life]:
        """
        The lives of all messages of the reported policies, in the order in which they were made.
        """
        play = self._play
        stage = FastRunner(
            play.configuration,
            play.policies,
            play.traffic.first,
            self._meet,
            self._lives.watch,
            self._contents,
        )
        stage.run(self._events(), self._advance, lambda last: last + play.aftermath_ms)
        return list(self._lives.by_message.values())

    def perform_whole(self, grain_ms: int = GRAIN_MS) -> list[Life]:
        """The same through the whole service."""
        run(lambda loop: self._perform_whole(loop, grain_ms))
        return list(self._lives.by_message.values())

    async def _perform_whole(self, loop: VirtualLoop, grain_ms: int) -> None:
        play = self._play
        start = play.traffic.first - play.traffic.first % grain_ms
        self._world = FullRunner(
            loop,
            start,
            play.configuration,
            play.policies,
            react=self._react,
            watch=self._watch,
            grain_ms=grain_ms,
        )
        await self._world.open()
        waiting: list[Event] = []
        for at, event in self._events():
            slot = at + -at % grain_ms
            if slot > self._world.clock.now() or len(waiting) >= BATCH_MAX:
                await self._publish(waiting)
                waiting = []
                await self._world.sleep_until(slot)
            waiting.append(event)
        await self._publish(waiting)
        await self._world.sleep_until(play.traffic.last + play.aftermath_ms)
        await self._world.close()

    def _events(self) -> Iterator[tuple[int, Event]]:
        """The events in their order; on the way, who speaks what is noted for the report."""
        for at, event in self._play.traffic.events():
            for profile in event.recipients:
                if profile.get("locale"):
                    self._lives.locales[profile["id"]] = profile["locale"]
            yield at, event

    async def _publish(self, events: list[Event]) -> None:
        await self._world.engine.submit_many([Publish(event) for event in events])
        self._advance(len(events))

    def _watch(self, decided: Decided, now: int) -> None:
        self._messages[decided.decision.message.id] = decided.decision.message
        self._lives.watch(decided, now)

    def _react(self, provider: str, outgoing: Outgoing) -> Reaction:
        message = self._messages[outgoing.message_id]
        place = self._world.tools.urls.keys.read_reference(outgoing.client_reference)
        assert place is not None
        return self._meet(provider, message, message.attempts[place[1]])

    def _meet(self, provider: str, message: Message, attempt: Attempt) -> Reaction:
        """How these people take this message: the same under every version of a policy."""
        channel, play = self._channels[provider], self._play
        companion = attempt.step >= len(play.policies[message.policy].cascade)
        turn_of = (message.id, channel, attempt.address_hash, companion)
        turn = self._asked[turn_of] = self._asked.get(turn_of, 0) + 1
        event = (message.event_source, message.event_id)
        chances = draw(
            play.seed,
            play.run,
            *event,
            message.policy,
            message.recipient,
            channel,
            attempt.address_hash,
            companion,
            turn,
        )
        return react(play.habits.of(provider, channel), chances)
