"""
A stopping service waits for everything side by side: the 25 seconds are for all of it together.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from orchestrator.app.app import App
from tests.dispatch.test_otp_first import lay_out


class SlowIntake:
    """A Kafka intake whose broker is away, so that it ends only after everything else."""

    connected = False
    lag: dict[tuple[str, int], int] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def stop(self) -> None:
        await self.released.wait()


async def test_what_is_being_sent_ends_beside_an_intake_whose_broker_is_away(
    tmp_path: Path,
) -> None:
    app = App(lay_out(tmp_path / "one", "sqlite:///./k.db"), {})
    await app.start()
    intake = SlowIntake()
    app.kafka = intake  # type: ignore[assignment]
    stop = app.runtime.dispatcher.stop

    async def stop_sends(within_seconds: float) -> None:
        await stop(within_seconds)
        intake.released.set()

    app.runtime.dispatcher.stop = stop_sends  # type: ignore[method-assign]
    await asyncio.wait_for(app.stop(), 20)


async def test_status_events_end_beside_the_listeners(tmp_path: Path) -> None:
    app = App(lay_out(tmp_path / "one", "sqlite:///./k.db"), {})
    await app.start()
    assert app.outbox is not None
    stop, asked = app.outbox.stop, asyncio.Event()

    async def stop_telling() -> None:
        await stop()
        asked.set()

    class Slow:
        """A listener that is closed once status events have ended."""

        runner = app._runners[0]

        async def cleanup(self) -> None:
            await asked.wait()
            await self.runner.cleanup()

    app.outbox.stop = stop_telling  # type: ignore[method-assign]
    app._runners[0] = Slow()  # type: ignore[call-overload]
    await asyncio.wait_for(app.stop(), 20)
