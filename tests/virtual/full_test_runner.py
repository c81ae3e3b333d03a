"""
A policy test through the whole service: engine, dispatcher, timers and a store. What the quick
runner must agree with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from orchestrator.channels import Outgoing
from orchestrator.core.policy import MINUTE_MS
from orchestrator.engine.commands import Publish
from orchestrator.explain.views import message_view
from orchestrator.policytests.actions import Action
from orchestrator.policytests.runner import AFTERMATH_MS, Observed, PolicyTestRunner
from orchestrator.stores.rows import Changes
from orchestrator.virtual.full_runner import FullRunner
from orchestrator.virtual.loop import VirtualLoop, run
from orchestrator.virtual.scripted_provider import Reaction


class FullTestRunner(PolicyTestRunner):
    """The same test in a world of its own."""

    def run(self) -> Observed:
        return run(self._run)

    async def _run(self, loop: VirtualLoop) -> Observed:
        given = self.test.given
        self._said: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._world = FullRunner(
            loop,
            self.start,
            self._configuration,
            self.policies,
            tools=self._tools,
            react=self._react,
            watch=self._watch,
            view=message_view,
        )
        await self._world.open()
        if given.earlier:
            known = self.known_recipient()
            await self._world.store.commit(Changes(recipients={known["id"]: orjson.dumps(known)}))
        await self._run_actions_in_time([action for action in given.actions if action.at_ms < 0])
        await self._world.sleep_until(given.now)
        self._published(await self._world.submit(Publish(given.event)))
        await self._run_actions_in_time([action for action in given.actions if action.at_ms >= 0])
        starts = max(given.now, given.event.not_before or 0)
        others = [other.deadline_ms for other in self.test.together]
        await self._settle(starts + self.test.policy.deadline_ms + max(others, default=0))
        await self._world.close()
        return self._result(self.said_of(self._main))

    def said_of(self, message: str) -> Mapping[str, Mapping[str, Any]]:
        return self._said.get(message, {})

    async def _run_actions_in_time(self, actions: Sequence[Action]) -> None:
        for action in actions:
            await self._world.sleep_until(self.test.given.now + action.at_ms)
            command = self._command(action)
            if command is not None:
                await self._world.submit(command)

    async def _settle(self, deadline: int) -> None:
        """Until every deadline has passed and every receipt has come."""
        await self._world.sleep_until(max(deadline + MINUTE_MS, self._world.clock.now()))
        while self._world.reports and self._world.clock.now() < deadline + AFTERMATH_MS:
            await self._world.sleep_until(max(self._world.reports))

    def _react(self, provider: str, message: Outgoing) -> Reaction:
        channel = self._configuration.settings.providers[provider].channel
        self._said.setdefault(message.message_id, {})[channel] = message.content
        return self.reaction(provider)
