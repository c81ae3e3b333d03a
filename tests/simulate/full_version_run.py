"""A simulation's run through the whole service, which the fast runner must agree with."""

from __future__ import annotations

from typing import Any

from orchestrator.channels import Outgoing
from orchestrator.core.message import Message
from orchestrator.engine.batch import Decided
from orchestrator.engine.commands import Publish
from orchestrator.explain.views import message_view
from orchestrator.simulate.outcomes import MessageOutcome
from orchestrator.simulate.version_run import VersionRun
from orchestrator.virtual.full_runner import FullRunner
from orchestrator.virtual.loop import VirtualLoop, run
from orchestrator.virtual.scripted_provider import Reaction


def whole_story(outcome: MessageOutcome) -> Any:
    """All of an outcome that both runners must agree on."""
    return (
        outcome.key,
        outcome.status,
        outcome.reason,
        outcome.by,
        outcome.reached_ms,
        outcome.cost,
        outcome.flags,
        sorted(outcome.sends),
        outcome.rules,
    )


class FullVersionRun(VersionRun):
    """The same run on a ``FullRunner``."""

    def run(self) -> list[MessageOutcome]:
        self._messages: dict[str, Message] = {}
        run(self._run)
        return list(self._collector.by_message.values())

    async def _run(self, loop: VirtualLoop) -> None:
        spec = self._spec
        self._full = FullRunner(
            loop,
            spec.event_file.first,
            spec.configuration,
            spec.policies,
            react=self._react,
            watch=self._watch,
            view=message_view,
            journeys=spec.journeys,
        )
        await self._full.open()
        for at, event in self._events():
            await self._full.sleep_until(at)
            await self._full.submit(Publish(event))
        await self._full.sleep_until(self._until(spec.event_file.last))
        await self._full.close()

    def _watch(self, decided: Decided, now: int) -> None:
        self._messages[decided.decision.message.id] = decided.decision.message
        self._collector.watch(decided, now)

    def _react(self, provider: str, outgoing: Outgoing) -> Reaction:
        message = self._messages[outgoing.message_id]
        place = self._full.tools.urls.keys.read_reference(outgoing.client_reference)
        assert place is not None
        return self._respond(provider, message, message.attempts[place[1]])
