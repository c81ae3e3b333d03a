"""
Events really run: through the whole service in virtual time into the installation's own database.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.configuration.loading import Configuration
from orchestrator.engine.commands import Publish
from orchestrator.explain.views import message_view
from orchestrator.simulate.event_file import EventFile
from orchestrator.stores.sqlite.store import SqliteStore
from orchestrator.virtual.full_runner import FullRunner
from orchestrator.virtual.loop import VirtualLoop, run
from orchestrator.virtual.scripted_provider import React

AFTER_MS = 4 * 86_400_000


def really_run(
    configuration: Configuration, event_file: EventFile, react: React, database: Path
) -> None:
    """Publish all events at their times, with providers that answer as ``react`` says."""

    async def main(loop: VirtualLoop) -> None:
        store = SqliteStore(database, inline=True)
        full = FullRunner(
            loop,
            event_file.first,
            configuration,
            configuration.rules.policies,
            react=react,
            store=store,
            view=message_view,
        )
        await full.open()
        for at, event in event_file.events():
            await full.sleep_until(at)
            await full.submit(Publish(event))
        await full.sleep_until(event_file.last + AFTER_MS)
        await full.close()

    run(main)
