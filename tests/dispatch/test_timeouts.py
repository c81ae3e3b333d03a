"""Hard timeouts of many calls under one timer, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.dispatch.timeouts import Timeouts
from orchestrator.virtual.loop import VirtualLoop, run

SECONDS = 10.0


async def work(timeouts: Timeouts, seconds: float, within: float = SECONDS) -> str:
    """
    Work for so long; what ended it. Raises ``CancelledError`` where it was not the timeout alone.
    """
    timeout = timeouts.begin(within)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if timeout.cancelled_it():
            return "too late"
        raise
    finally:
        timeout.end()
    return "done"


def test_each_is_cancelled_at_its_own_time_and_no_other() -> None:
    async def main(loop: VirtualLoop) -> list[tuple[str, int]]:
        timeouts = Timeouts()

        async def one(begins: float, seconds: float) -> tuple[str, int]:
            await asyncio.sleep(begins)
            return await work(timeouts, seconds), round(loop.seconds)

        return list(await asyncio.gather(one(0, 4), one(1, 50), one(2, 9), one(3, 70), one(30, 99)))

    assert run(main) == [
        ("done", 4),
        ("too late", 11),
        ("done", 11),
        ("too late", 13),
        ("too late", 40),
    ]


def test_those_of_another_length_are_not_waited_for() -> None:
    async def main(loop: VirtualLoop) -> tuple[list[str], int]:
        timeouts = Timeouts()
        ends = await asyncio.gather(
            work(timeouts, 99), work(timeouts, 99, within=2.0), work(timeouts, 1, within=2.0)
        )
        return list(ends), round(loop.seconds)

    assert run(main) == (["too late", "too late", "done"], 10)


@pytest.mark.parametrize("at", [3.0, SECONDS])
def test_somebody_else_s_cancel_is_not_taken_for_the_deadline(at: float) -> None:
    async def main(loop: VirtualLoop) -> bool:
        task = asyncio.ensure_future(work(Timeouts(), 99))
        loop.call_at(at, task.cancel)
        await asyncio.wait([task])
        return task.cancelled()

    assert run(main)


def test_a_task_that_was_late_once_can_go_on() -> None:
    async def main(loop: VirtualLoop) -> list[str]:
        timeouts = Timeouts()
        return [await work(timeouts, seconds) for seconds in (99, 1, 99)]

    assert run(main) == ["too late", "done", "too late"]


def test_nothing_goes_off_after_the_close() -> None:
    async def main(loop: VirtualLoop) -> str:
        timeouts = Timeouts()
        task = asyncio.ensure_future(work(timeouts, 30))
        await asyncio.sleep(1)
        timeouts.close()
        return await task

    assert run(main) == "done"
