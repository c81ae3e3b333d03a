"""
A policy test through the whole service: engine, dispatcher, timers and a store. What the quick
stage must agree with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from orchestrator.channels import Outgoing
from orchestrator.core.policy import MINUTE_MS
from orchestrator.engine.commands import Publish
from orchestrator.policytests.actions import Act
from orchestrator.policytests.runner import AFTERMATH_MS, Happened, Trial
from orchestrator.stores.rows import Changes
from orchestrator.virtual.full_runner import FullRunner
from orchestrator.virtual.loop import VirtualLoop, run
from orchestrator.virtual.scripted_provider import Reaction


class WholeTrial(Trial):
    """The same test in a world of its own."""

    def play(self) -> Happened:
        return run(self._play)

    async def _play(self, loop: VirtualLoop) -> Happened:
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
        )
        await self._world.open()
        if given.earlier:
            known = self.known_recipient()
            await self._world.store.commit(Changes(recipients={known["id"]: orjson.dumps(known)}))
        await self._act_out([act for act in given.acts if act.at_ms < 0])
        await self._world.sleep_until(given.now)
        self._published(await self._world.submit(Publish(given.event)))
        await self._act_out([act for act in given.acts if act.at_ms >= 0])
        await self._settle(given.now + self.test.policy.deadline_ms)
        await self._world.close()
        return self._result(self._said.get(self._main, {}))

    async def _act_out(self, acts: Sequence[Act]) -> None:
        for act in acts:
            await self._world.sleep_until(self.test.given.now + act.at_ms)
            command = self._command(act)
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
