"""A process that runs until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal

from orchestrator.app import App


async def serve(app: App) -> int:
    """Run until SIGTERM or SIGINT, then drain; a second one ends at once. SIGHUP reloads. The exit code."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    reloads: set[asyncio.Task[list[str]]] = set()

    def reload() -> None:
        task = asyncio.create_task(app.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        await app.start()
        await stopping.wait()
    finally:
        await app.stop()
    return 0
