"""One test of a journey, run from its first event until the journey's deadline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.journey.journey import Journey
from orchestrator.core.journey.state import JourneyRun
from orchestrator.core.policy import Policy
from orchestrator.engine.commands import Command, Published
from orchestrator.policytests.actions import Action, Reports
from orchestrator.policytests.file import PolicyTest
from orchestrator.policytests.runner import Observed, PolicyTestRunner


class JourneyTestRunner(PolicyTestRunner):
    """Receipts are about the last message on their channel, a cancellation about the last one."""

    _run_id = ""

    @property
    def policies(self) -> dict[str, Policy]:
        return {one.name: one for one in self.test.together}

    @property
    def journeys(self) -> dict[str, Journey]:
        journey = self.test.journey
        return {journey.name: journey} if journey is not None else {}

    def _published(self, published: Published) -> None:
        self._run_id = published.journeys[0] if published.journeys else ""

    def _command(self, action: Action) -> Command | None:
        own = self._own()
        if isinstance(action.what, Reports):
            channel = action.what.channel
            own = [
                id
                for id in own
                if any(one.channel == channel for one in self._messages[id].attempts)
            ]
        self._main = own[-1] if own else ""
        return super()._command(action)

    def _own(self) -> list[str]:
        """The messages of the run, the oldest first."""
        return sorted(id for id, one in self._messages.items() if one.journey == self._run_id != "")

    def _result(self, sent: Mapping[str, Mapping[str, Any]]) -> Observed:
        own, since = self._own(), self.test.given.now
        found = super()._result({})
        messages = [self._messages[id] for id in own]
        found.run = self.run_of_test()
        found.carried_out = frozenset(self._runner.journeys.carried_out[self._run_id])
        found.started = [(one.created_at - since, one.policy) for one in messages]
        found.message = messages[-1] if messages else None
        found.entries = sorted(
            (entry for id in own for entry in self._moments[id]), key=lambda entry: entry.at
        )
        found.sent = {channel: words for id in own for channel, words in self.said_of(id).items()}
        found.person = self._runner.person(self.test.given.event.recipients[0]["id"]).document
        return found

    def run_of_test(self) -> JourneyRun | None:
        """The run as it is at the end."""
        return self._runner.journeys.runs.get(self._run_id)


def runner_of(test: PolicyTest) -> type[PolicyTestRunner]:
    """The runner of a test: of a journey, or of a policy."""
    return PolicyTestRunner if test.journey is None else JourneyTestRunner
