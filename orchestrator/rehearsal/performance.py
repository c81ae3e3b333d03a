"""
One run of a simulation: a file of events through the real service in virtual time, with receipts drawn by chance.

Everything that happens is rounded up to a grid of ``GRAIN_MS``, so that the engine finds what belongs to the same moment in
one batch, as it does in production under load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from orchestrator.channels import Accepted, Outgoing
from orchestrator.configuration import Configuration
from orchestrator.core.policy import DAY_MS, MINUTE_MS, Policy
from orchestrator.engine.commands import Event, Publish
from orchestrator.engine.desk import Decided
from orchestrator.engine.engine import BATCH_MAX
from orchestrator.rehearsal.crowd import Habits, draw, react
from orchestrator.rehearsal.lives import Life, Lives
from orchestrator.rehearsal.played import Reaction
from orchestrator.rehearsal.traffic import Traffic
from orchestrator.rehearsal.world import Props, World
from orchestrator.simulator.loop import VirtualLoop, run
from orchestrator.stores.port import Changes
from orchestrator.stores.sqlite import SqliteStore

GRAIN_MS = 1_000
AFTERMATH_MS = 3 * DAY_MS
TIDY_EVERY_MS = 6 * 3_600_000


class LeanStore(SqliteStore):
    """The embedded store in memory, without the history of each message: nobody will ask why."""

    async def commit(self, changes: Changes) -> None:
        changes.created = [(message, event, b"") for message, event, _ in changes.created]
        changes.changed = [(message, b"") for message, _ in changes.changed]
        changes.contacts = []
        await super().commit(changes)


@dataclass(frozen=True)
class Play:
    """
    What is played: ``policies`` are all that events may trigger, ``reported`` the names of those that are counted.
    ``advance`` is called now and then with the share of the events that have been played since.
    """

    configuration: Configuration
    policies: Mapping[str, Policy]
    reported: frozenset[str]
    traffic: Traffic
    habits: Habits
    seed: int
    run: int


class Performance:
    """One play, once."""

    def __init__(self, play: Play, advance: Callable[[int], None] = lambda events: None) -> None:
        self._play = play
        self._advance = advance
        self._lives = Lives(play.reported)
        self._asked: dict[tuple[str, str, str], int] = {}
        self._whose: dict[str, tuple[str, str]] = {}
        self._channels = {name: one.channel for name, one in play.configuration.settings.providers.items()}

    def perform(self) -> list[Life]:
        """The lives of all messages of the reported policies, in the order in which they were made."""
        run(self._perform)
        return list(self._lives.by_message.values())

    async def _perform(self, loop: VirtualLoop) -> None:
        play = self._play
        store = LeanStore(":memory:", inline=True)
        longest_ms = max(policy.deadline_ms for policy in play.policies.values())
        store.messages_ms = longest_ms + AFTERMATH_MS
        self._world = World(
            loop,
            play.traffic.first - play.traffic.first % GRAIN_MS,
            play.configuration,
            play.policies,
            props=Props(),
            react=self._react,
            watch=self._watch,
            grain_ms=GRAIN_MS,
            store=store,
        )
        await self._world.open()
        await self._feed(store)
        end = play.traffic.last + longest_ms + MINUTE_MS
        await self._world.sleep_until(end)
        while self._world.reports and self._world.clock.now() < end + AFTERMATH_MS:
            await self._world.sleep_until(min(max(self._world.reports), end + AFTERMATH_MS))
        await self._world.close()

    async def _feed(self, store: SqliteStore) -> None:
        """Publish every event at its time."""
        waiting: list[Event] = []
        slot = tidied_at = self._world.clock.now()
        for at, event in self._play.traffic.events():
            if at > slot or len(waiting) >= BATCH_MAX:
                await self._publish(waiting)
                waiting = []
            if at > slot:
                slot = at + -at % GRAIN_MS
                await self._world.sleep_until(slot)
                if slot - tidied_at > TIDY_EVERY_MS:
                    tidied_at = slot
                    await store.tidy(slot)
            waiting.append(event)
        await self._publish(waiting)

    async def _publish(self, events: list[Event]) -> None:
        if not events:
            return
        for event in events:
            for profile in event.recipients:
                if profile.get("locale"):
                    self._lives.locales[profile["id"]] = profile["locale"]
        await self._world.engine.submit_many([Publish(event) for event in events])
        self._advance(len(events))
        await asyncio.sleep(0)

    def _watch(self, decided: Decided, now: int) -> None:
        message = decided.decision.message
        if decided.before is None:
            self._whose[message.id] = (f"{message.event_source} {message.event_id}", message.recipient)
        self._lives.watch(decided, now)

    def _react(self, provider: str, message: Outgoing) -> Reaction:
        """How these people take this message: the same in every version of the policy."""
        channel = self._channels[provider]
        turn_of = (message.message_id, channel, message.address.hash)
        turn = self._asked[turn_of] = self._asked.get(turn_of, 0) + 1
        play = self._play
        event, recipient = self._whose[message.message_id]
        chances = draw(play.seed, play.run, event, recipient, channel, message.address.hash, turn)
        reaction = react(play.habits.of(provider, channel), chances)
        if isinstance(reaction.outcome, Accepted) or reaction.takes_ms:
            return reaction
        return replace(reaction, outcome=reaction.outcome)
