"""One run of one version: a file of events in virtual time, with receipts drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from orchestrator.configuration.loading import Configuration
from orchestrator.core.journey.journey import Journey
from orchestrator.core.message import Attempt, Message
from orchestrator.core.policy import DAY_MS, Policy
from orchestrator.events.event import Event
from orchestrator.explain.views import message_view
from orchestrator.simulate.behaviour import Behaviour, draw, react
from orchestrator.simulate.event_file import EventFile
from orchestrator.simulate.outcomes import MessageOutcome, OutcomeCollector
from orchestrator.simulate.people import People
from orchestrator.simulate.tendencies import Cell
from orchestrator.virtual.content import Contents
from orchestrator.virtual.fast_runner import FastRunner
from orchestrator.virtual.scripted_provider import Reaction

AFTERMATH_MS = 3 * DAY_MS


@dataclass(frozen=True)
class RunSpec:
    """``policies`` are all that events may trigger, ``reported`` the names of those counted."""

    configuration: Configuration
    policies: Mapping[str, Policy]
    reported: frozenset[str]
    event_file: EventFile
    behaviour: Behaviour
    seed: int
    run: int

    @property
    def aftermath_ms(self) -> int:
        """The time after the last event in which something may still be sent or reported."""
        messages = max(policy.deadline_ms for policy in self.policies.values())
        journeys = max((one.deadline_ms for one in self.journeys.values()), default=0)
        return journeys + messages + AFTERMATH_MS

    @property
    def journeys(self) -> Mapping[str, Journey]:
        """Those that the file's events may start."""
        found = self.configuration.rules.journeys
        return {name: one for name, one in found.items() if self.event_file.may_start(one)}


class VersionRun:
    """Several runs of one file with the same templates may share ``contents``."""

    def __init__(
        self,
        spec: RunSpec,
        advance: Callable[[int], None] = lambda events: None,
        contents: Contents | None = None,
    ) -> None:
        self._spec = spec
        self._advance = advance
        self._contents = contents if contents is not None else {}
        self._collector = OutcomeCollector(spec.reported)
        self._people = People(spec.behaviour, spec.seed, spec.run)
        self._alike: dict[tuple[str, ...], list[str]] = {}
        self._asked: dict[tuple[str, str, str, bool], int] = {}
        self._channels = {
            name: one.channel for name, one in spec.configuration.settings.providers.items()
        }

    def run(self) -> list[MessageOutcome]:
        """
        The outcomes of all messages of the reported policies, in the order in which they were made.
        """
        spec = self._spec
        runner = FastRunner(
            spec.configuration,
            spec.policies,
            spec.event_file.first,
            self._respond,
            self._collector.watch,
            self._contents,
            view=message_view,
            journeys=spec.journeys,
        )
        runner.run(self._events(), self._advance, self._until)
        return list(self._collector.by_message.values())

    def _until(self, last: int) -> int:
        """The end of a run whose last event came at ``last``."""
        return max(last, self._spec.event_file.latest_start) + self._spec.aftermath_ms

    def _events(self) -> Iterator[tuple[int, Event]]:
        """The events in order; the locales of their recipients are noted for the report."""
        for at, event in self._spec.event_file.events():
            for profile in event.recipients:
                if profile.get("locale"):
                    self._collector.locales[profile["id"]] = profile["locale"]
            yield at, event

    def _event_of(self, message: Message) -> str:
        """
        The id of a message's event, with a number if a journey has sent several of a policy for it.
        """
        alike = (message.event_source, message.event_id, message.policy, message.recipient)
        known = self._alike.setdefault(alike, [])
        if message.id not in known:
            known.append(message.id)
        place = known.index(message.id)
        return f"{message.event_id} #{place + 1}" if place else message.event_id

    def _respond(self, provider: str, message: Message, attempt: Attempt) -> Reaction:
        """This person's reaction to this message: the same under every version of a policy."""
        channel, spec = self._channels[provider], self._spec
        companion = attempt.step >= len(spec.policies[message.policy].cascade)
        turn_of = (message.id, channel, attempt.address_hash, companion)
        turn = self._asked[turn_of] = self._asked.get(turn_of, 0) + 1
        event = (message.event_source, self._event_of(message))
        chances = draw(
            spec.seed,
            spec.run,
            *event,
            message.policy,
            message.recipient,
            channel,
            attempt.address_hash,
            companion,
            turn,
        )
        cell = Cell(provider, message.policy, message.message_class, channel)
        behaviour = self._people.toward(cell, message.recipient)
        return react(behaviour, chances, attempt.intent_at)
